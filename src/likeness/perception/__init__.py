"""Perception: instruments that look at pictures. A reader is one file with one method, chosen by name in the recipe."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from likeness.errors import MissingExtra, RecipeError
from likeness.images import Pixels
from likeness.perception.models import PROFILES
from likeness.records import Reading

__all__ = ["READERS", "Reader", "load_reader"]


class Reader(Protocol):
    """What looks at pictures of a character."""

    @property
    def same_character(self) -> float | None:
        """Likeness, the product of two embeddings, from which on two pictures show one character; None for a reader
        that cannot tell characters apart."""
        ...

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        """One reading per picture, in order; a field that cannot be told is left out."""
        ...


READERS: dict[str, tuple[str, str]] = {
    "plain": ("likeness.perception.plain:PlainReader", ""),
    "maquette": ("likeness.perception.maquette:MaquetteReader", "perception"),
    "photo": ("likeness.perception.photo:PhotoReader", "photo"),
    "anime": ("likeness.perception.anime:AnimeReader", "perception"),
}
"""Where each reader lives, and the extra that brings what it needs, by name."""


def load_reader(name: str, *, models: Path | None = None) -> Reader:
    """The reader of this name from `READERS`, or one of your own as "package.module:Class".

    Args:
        models: the folder of downloaded models, for readers that need some; None for the one that
            `likeness models` uses.

    Raises:
        RecipeError: for an unknown name, or where there is no such module or class.
        MissingExtra: where a library that the reader needs is not installed.
        MissingModel: where a model that the reader needs is not there, or is not what it must be.
    """
    options = {"models": models} if name in PROFILES else {}
    address, extra = READERS.get(name, (name, ""))
    module, colon, cls = address.partition(":")
    if not colon:
        raise RecipeError(
            f"perception.reader = {name!r} is not known. Use one of {', '.join(READERS)}; "
            "or package.module:Class for your own."
        )
    try:
        return cast(Reader, getattr(import_module(module), cls)(**options))
    except ModuleNotFoundError as missing:
        if extra:
            raise MissingExtra(missing.name or module, extra, why=f"by perception.reader = {name!r}") from missing
        raise RecipeError(
            f"perception.reader = {name!r}: no module {missing.name!r} is found. Check the spelling, and that it is "
            "installed or on PYTHONPATH."
        ) from missing
    except AttributeError as missing:
        raise RecipeError(f"perception.reader = {name!r}: {missing}. Check the spelling of the class.") from missing
