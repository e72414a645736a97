"""What a value of the recipe may be: how strict a section is, and the kinds of text that a field takes."""

import hashlib
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator

__all__ = ["Address", "Blocks", "Device", "FileName", "Inside", "Section", "Sha256", "Tag"]


class Section(BaseModel):
    """One section of the recipe: frozen, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def _a_truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation in (int, float):
            raise ValueError("input should be a number, not true or false")
        return value

    @property
    def digest(self) -> str:
        """The sha256 of all that the section says: it changes when, and only when, a value does."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def _plain_name(text: str) -> str:
    if any(letter in '/\\:*?"<>|' or not letter.isprintable() for letter in text) or text.startswith("."):
        raise ValueError('input should be a name that a file can have: no / \\ : * ? " < > |, and no dot in front')
    return text


def _one_tag(text: str) -> str:
    if "," in text or not text.isprintable():
        raise ValueError("input should be one tag: no comma and no line break")
    return text


def _device(text: str) -> str:
    kind, _, index = text.partition(":")
    if text not in ("auto", "cpu", "mps", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise ValueError("input should be 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'")
    return text


def _blocks(value: Any) -> Any:
    """The name of a set, or a list of patterns: one check for both, so that a fault is told once."""
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list | tuple) or not patterns or not all(isinstance(p, str) and p for p in patterns):
        raise ValueError("input should be the name of a set, as in 'attention', or a list of patterns of layer names")
    return value


def _sha256(text: str) -> str:
    if text and (len(text) != 64 or not set(text.lower()) <= set("0123456789abcdef")):
        raise ValueError("input should be a sha256: 64 hexadecimal digits, as sha256sum prints them")
    return text.lower()


def _address(text: str) -> str:
    if text and not text.startswith(("https://", "http://")):
        raise ValueError("input should be an address on the web, as in 'https://example.org/contact'")
    return text


def _inside(text: str) -> str:
    if text.startswith(("/", "~")) or "\\" in text or not text.isprintable() or {"", ".."} & set(text.split("/")):
        raise ValueError("input should be the place of a file below its own folder")
    return text


Address = Annotated[str, AfterValidator(_address)]
"""An address on the web, or nothing."""

Inside = Annotated[str, AfterValidator(_inside)]
"""Where a file is, relative to a folder that it does not leave: what strangers wrote is read, too."""

Blocks = Annotated[str | tuple[str, ...], BeforeValidator(_blocks)]
"""The name of a set of blocks, or patterns over the names of layers."""

Device = Annotated[str, AfterValidator(_device)]
"""Where a model is: a name that torch knows, or "auto"."""

FileName = Annotated[str, AfterValidator(_plain_name)]
"""A name that a file can have on any system."""

Sha256 = Annotated[str, AfterValidator(_sha256)]
"""A digest in lower-case hexadecimal, or nothing."""

Tag = Annotated[str, AfterValidator(_one_tag)]
"""One phrase of a caption."""
