"""Strict TOML files: read with all faults told at once, written with a description beside each field."""

import difflib
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from likeness.errors import RecipeError, WorkspaceError

__all__ = ["commented_toml", "faults_of", "plain_toml", "read_toml"]

Model = TypeVar("Model", bound=BaseModel)
UNKNOWN_DEFAULT = "default_factory_not_called"  # a default that depends on a field at fault: that fault is told already


def read_toml(path: Path, model: type[Model], overrides: Sequence[str] = (), *, kind: str = "recipe") -> Model:
    """What a TOML file says, as `model`, with `section.field=value` laid over it; `kind` is what messages call it.

    Raises:
        RecipeError: with all faults at once, a line each; those that `overrides` bring begin with "--set".
        WorkspaceError: where there is no such file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        data = tomllib.loads(text)
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    except ValueError as fault:  # TOMLDecodeError and UnicodeDecodeError; both say where
        raise RecipeError(f"{path} is not valid TOML: {fault}. Text needs quotes, a list needs brackets.") from fault
    slips = [fault for override in overrides if (fault := _lay_over(data, override))]
    faults = faults_of(model, data)
    if slips or faults:
        alone = faults_of(model, tomllib.loads(text))
        slips += [f"--set {fault}" for fault in faults if fault not in alone]
        blamed = f"{path} is not a valid {kind}:"
        raise RecipeError(_listed(blamed, [fault for fault in faults if fault in alone], slips))
    return model.model_validate(data)


def faults_of(model: type[BaseModel], data: Mapping[str, Any]) -> list[str]:
    """All that is wrong with `data` as `model`, in words: field, value and what is allowed."""
    try:
        model.model_validate(data)
    except ValidationError as invalid:
        return [_in_words(model, error) for error in invalid.errors() if error["type"] != UNKNOWN_DEFAULT]
    return []


def _listed(blamed: str, of_file: Sequence[str], slips: Sequence[str]) -> str:
    """The message, a line for each fault; the file is blamed only for what is wrong in it without `--set` too."""
    first = blamed if of_file else "What --set says is not valid:"
    return "\n".join([first, *(f"  {fault}" for fault in (*slips, *of_file))])


def _lay_over(data: dict[str, Any], override: str) -> str | None:
    """Puts one `section.field=value` into `data`; returns the fault, in words, where it cannot be."""
    address, equals, text = override.partition("=")
    *sections, field = (part.strip() for part in address.split("."))
    if not equals or not field or not all(sections):
        return f"--set {override!r}: write it as section.field=value, as in --set train.rank=8"
    for name in sections:
        data = data.setdefault(name, {})
        if not isinstance(data, dict):
            return f"--set {override!r}: {name} is not a section"
    data[field] = _value(text.strip())
    return None


def _value(text: str) -> Any:
    """A TOML value, or the text itself where it is none: `8`, `true`, `["a", "b"]`, `a cat`."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _in_words(model: type[BaseModel], error: Mapping[str, Any]) -> str:
    """One fault of pydantic's, as field, value and what is allowed."""
    place: tuple[str | int, ...] = error["loc"]
    address = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    if error["type"] == "extra_forbidden":
        return f"{address}: no such field; {_suggestion(model, place)}"
    if error["type"] == "missing":
        return f"{address}: missing; {_description(model, place)}"
    message = error["msg"].removeprefix("Value error, ")
    if place[-1] == "[key]":  # a name in a table of values
        return f"{address.removesuffix('.[key]')}: {message}"
    if error["type"] == "model_type":
        message = f"input should be a section, written as [{address}]"
    elif error["type"] == "string_type" and isinstance(error["input"], int | float):
        message = f"input should be text: write it in quotes, '\"{error['input']}\"'"
    elif error["type"] == "tuple_type":
        message = 'input should be a list, as in ["one", "two"]'
    return f"{address} = {error['input']!r}: {message[:1].lower()}{message[1:]}"


def _suggestion(model: type[BaseModel], place: Sequence[str | int]) -> str:
    """What may have been meant by a field that is not there: a sibling, or the same name in another section."""
    siblings, name = _fields(model, place[:-1]), str(place[-1])
    elsewhere = [address for address in _addresses(model) if address.rpartition(".")[2] == name]
    outermost = min((address.count(".") for address in elsewhere), default=0)
    close = [address for address in elsewhere if address.count(".") == outermost] or difflib.get_close_matches(
        name, siblings, n=1
    )
    return f"did you mean {' or '.join(close)}?" if close else f"use one of {', '.join(siblings)}"


def _fields(model: type[BaseModel], place: Sequence[str | int]) -> dict[str, Any]:
    """The fields of the section at `place`."""
    for part in place:
        if not isinstance(part, int):
            model = _section(model.model_fields[part].annotation) or model
    return dict(model.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section class in an annotation, as in `Consent | None` or `tuple[AdapterSet, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section(part))), None)


def _addresses(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if section := _section(field.annotation):
            yield from _addresses(section, f"{prefix}{name}.")


def _description(model: type[BaseModel], place: Sequence[str | int]) -> str:
    """What the field at `place`, or the list that `place` lies in, is for."""
    names = [part for part in place if isinstance(part, str)]
    return _fields(model, names[:-1])[names[-1]].description or ""


def plain_toml(model: BaseModel) -> str:
    """Every value of `model`, defaults too, without comments; what is None is left out."""
    return tomli_w.dumps(model.model_dump(exclude_none=True))


def commented_toml(model: Model, main: Collection[str], *, shown: Model | None = None) -> str:
    """`model` as a page to edit: each field under its description; what is neither in `main` nor set is a comment.

    Args:
        main: addresses of the fields that are always written out, as in "train.rank".
        shown: has the values that are written where `model` sets none; `model` itself, where it is left out.
    """
    return "\n".join(_page(model, shown or model, main, "")).strip() + "\n"


def _page(model: BaseModel, values: BaseModel, main: Collection[str], prefix: str) -> Iterator[str]:
    """The lines of one section, inner sections last: in TOML, what follows a header belongs to that header."""
    inner: list[tuple[str, BaseModel, BaseModel, bool]] = []
    for name, field in type(model).model_fields.items():
        value, section = getattr(values, name), _section(field.annotation)
        if section and not isinstance(value, tuple):
            mine = getattr(model, name)
            inner.append((name, mine or section(), value or section(), value is not None))
            continue
        shown = value is not None and (prefix + name in main or name in model.model_fields_set)
        if value is None:
            value = (field.examples or [""])[0]
        yield f"# {field.description}"
        yield f"{'' if shown else '# '}{name} = {_toml(value)}"
    for name, mine, value, is_set in inner:
        yield from ["", f"# {type(model).model_fields[name].description}"]
        lines = [f"[{prefix}{name}]", *_page(mine, value, main, f"{prefix}{name}.")]
        yield from lines if is_set else [line if line.startswith("#") else f"# {line}" for line in lines]


def _toml(value: Any) -> str:
    """A value on one line; `tomli_w` spreads a list over several, which cannot be commented out as one."""
    if isinstance(value, BaseModel):
        return "{ " + ", ".join(f"{name} = {_toml(part)}" for name, part in value) + " }"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_toml(name)} = {_toml(part)}" for name, part in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return tomli_w.dumps({"value": value}).removeprefix("value = ").strip()
