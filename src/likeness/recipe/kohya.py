"""A recipe out of what kohya's sd-scripts were called with, and for each flag of it what became of that flag."""

import copy
import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from likeness.recipe.kohya_files import DATASET, Entry, KohyaSettings
from likeness.recipe.kohya_flags import BY_HAND, LEFT_OUT, NOT_NEEDED, SAME, every_flag
from likeness.recipe.page import Recipe
from likeness.toml import faults_of

__all__ = ["Desk", "Imported", "Line", "Outcome", "number", "numbers", "pairs"]

Outcome = Literal["taken over", "converted", "kohya's default", "not needed", "by hand", "left out", "not known"]
"""What became of a flag: the same here; put into our terms; not given, so that kohya's own value held; done without
being asked; for a person to decide; without a counterpart, or against something else; a slip."""


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one flag.

    Attributes:
        flag: kohya's name, with its place in a dataset file.
        value: that it had.
        outcome: what became of it.
        address: of the field that it set here, as "train.rank"; "" where it set none.
        result: that field's value.
        why: what a person should know.
    """

    flag: str
    value: Any
    outcome: Outcome
    address: str = ""
    result: Any = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """A recipe, and what became of every flag."""

    recipe: Recipe
    lines: tuple[Line, ...]


class Desk:
    """Where a recipe is put together, flag by flag. A value that the recipe refuses beside the others is left out.

    Attributes:
        settings: what kohya's scripts were called with.
        is_sdxl: whether the base is an SDXL.
        lines: what became of the flags so far.
    """

    def __init__(self, settings: KohyaSettings, *, is_sdxl: bool) -> None:
        self.settings, self.is_sdxl = settings, is_sdxl
        self.lines: list[Line] = []
        self.data: dict[str, Any] = {"character": {"name": "character", "trigger": "characterchar", "kind": "original"}}

    def value(self, *names: str) -> Any:
        """What the first of these flags that is on was set to; None where none is."""
        return next((entry.value for entry in self.entries(*names) if not _is_off(entry.value)), None)

    def entries(self, *names: str) -> list[Entry]:
        """All that was said under these names, what is believed first."""
        return [entry for name in names for entry in self.settings.entries if entry.name == name]

    def figure(self, *names: str) -> float | None:
        """As `value`, where that is a number."""
        value = self.value(*names)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def get(self, address: str, otherwise: Any) -> Any:
        """What a field was set to so far."""
        section, _, field = address.rpartition(".")
        return self.data.get(section, {}).get(field, otherwise)

    def take(self, flag: str, address: str, result: Any, why: str = "", *, of: str = "") -> bool:
        """Sets a field, if the recipe bears it, and says what it came from; `of`: the part of the flag that says it."""
        tried = copy.deepcopy(self.data)
        section, _, field = address.rpartition(".")
        (tried.setdefault(section, {}) if section else tried)[field] = result
        if faults := faults_of(Recipe, tried):
            self.leave(flag, f"{address} = {result!r} is refused: {faults[0]}", of=of)
            return False
        self.data = tried
        said = self.entries(flag)
        changed = bool(why) or any(entry.value != result for entry in said[:1])
        outcome: Outcome = ("converted" if changed else "taken over") if said else "kohya's default"
        self._tell(flag, outcome, address, result, why=why, of=of)
        return True

    def leave(self, flag: str, why: str, outcome: Outcome = "left out", *, of: str = "") -> None:
        """Says why a flag sets nothing."""
        self._tell(flag, outcome, "", None, why=why, of=of)

    def _tell(self, flag: str, outcome: Outcome, address: str, result: Any, *, why: str, of: str) -> None:
        said = self.entries(flag)
        if not said or of:
            value = of or None
            self.lines.append(Line(flag, value, outcome, address, result, why))
            return
        for entry in said:
            name = f"{entry.place}.{flag}" if "[" in entry.place else flag
            if entry.value == said[0].value:
                self.lines.append(Line(name, entry.value, outcome, address, result, why))
            else:
                why = f"{said[0].place} says otherwise, and goes first"
                self.lines.append(Line(name, entry.value, "left out", why=why))

    def rest(self) -> None:
        """What became of all flags that nobody has spoken of yet."""
        told = {line.flag.rpartition(".")[2] for line in self.lines}
        for name in dict.fromkeys(entry.name for entry in self.settings.entries):
            if name not in told:
                self._rest_of(name)
        for entry in self.settings.launcher:
            self.lines.append(
                Line(f"accelerate {entry.name}", entry.value, "not needed", why="likeness needs no launcher")
            )

    def _rest_of(self, name: str) -> None:
        if name in DATASET:
            if name in self.settings.read:
                return self.leave(name, "it was read too", "not needed")
            return self.leave(name, "it is not there: name that file beside this one")
        if name not in every_flag():
            close = difflib.get_close_matches(name, every_flag(), n=1)
            return self.leave(name, f"did you mean {close[0]}?" if close else "no flag of kohya's scripts", "not known")
        if self.value(name) is None and name not in NOT_NEEDED:
            return self.leave(name, "it is off", "not needed")
        if name in SAME:
            self.take(name, SAME[name], self.value(name))
            return None
        if name in BY_HAND:
            return self.leave(name, BY_HAND[name], "by hand")
        if name in NOT_NEEDED:
            return self.leave(name, NOT_NEEDED[name], "not needed")
        return self.leave(name, LEFT_OUT.get(name, "it changes nothing here"))

    def finished(self) -> Imported:
        """The recipe, once `rest` has been called."""
        return Imported(Recipe.model_validate(self.data), tuple(self.lines))


def _is_off(value: Any) -> bool:
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)


def pairs(value: Any) -> dict[str, str]:
    """`name=value` of network_args and optimizer_args, be they a list or one text; a value may hold commas."""
    text = " ".join(map(str, value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value or "")
    found = re.findall(r"(\w+)\s*=\s*(\[[^\]]*\]|\([^)]*\)|\S+)", text)
    return {name: given.strip(",\"'") for name, given in found}


def numbers(text: str) -> list[Any]:
    """The parts of a list as it is written in an argument: "[0.9,0.99]", "0.9,0.99"."""
    return [number(part.strip()) for part in text.strip("[]()").split(",") if part.strip()]


def number(text: str) -> Any:
    """A number that is written as text; what is none stays as it is, for the recipe to refuse."""
    try:
        read = float(text)
    except ValueError:
        return text
    return int(read) if read.is_integer() and "." not in text and "e" not in text.lower() else read
