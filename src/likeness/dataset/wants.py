"""Wants: what a set shows too seldom, in words as on a shopping list."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from likeness.dataset.coverage import AXES, EXPRESSIONS, Coverage, cell_of, target
from likeness.dataset.labels import VIEWS
from likeness.records import Reading

__all__ = ["Want", "phrase", "wanted", "with_weak"]


@dataclass(frozen=True, slots=True)
class Want:
    """Something that a set shows too seldom.

    Attributes:
        axis: "view", "framing" or "expression".
        value: of it.
        have: how many pictures show it.
        need: how many should.
        expressions: of a view, those that it is never shown with; empty where it is the whole view that is wanted.
        because: why more are needed than the set's size asks for, in words: what was measured of the LoRA.
    """

    axis: str
    value: str
    have: int
    need: int
    expressions: tuple[str, ...] = ()
    because: str = ""

    def is_met_by(self, reading: Reading | None) -> bool:
        """Whether a picture of which this was read would help."""
        if reading is None or getattr(reading, self.axis) != self.value:
            return False
        return not self.expressions or reading.expression in self.expressions

    @property
    def words(self) -> str:
        """As on a shopping list: "nothing from behind", "2 more with a smile (1 of 3)"."""
        told = _PHRASES.get(self.value, f"with the {self.axis} {self.value!r}")
        if self.expressions:
            *most, last = (_PHRASES.get(name, name) for name in self.expressions)
            either = f"{', '.join(most)} or {last}" if most else last
            return f"nothing {told} {either}: 1 {'of each ' if most else ''}wanted"
        if not self.have:
            return f"nothing {told}: {self.need} wanted"
        why = f": {self.because}" if self.because else ""
        return f"{self.need - self.have} more {told} ({self.have} of {self.need}){why}"


_PHRASES = {
    "front": "from the front",
    "three-quarter left": "in three-quarter view to the left",
    "three-quarter right": "in three-quarter view to the right",
    "profile left": "in profile to the left",
    "profile right": "in profile to the right",
    "back": "from behind",
    "face": "of the face close up",
    "upper body": "of the upper body",
    "full body": "of the full body",
    "neutral": "with a neutral face",
    "smile": "with a smile",
    "laughing": "laughing",
    "sad": "looking sad",
    "angry": "looking angry",
    "surprised": "looking surprised",
}


def wanted(readings: Iterable[Reading | None], count: int) -> list[Want]:
    """What these pictures show too seldom, for a set of `count`; an axis on which nothing is known is left out."""
    seen = [reading for reading in readings if reading]
    wants = []
    for axis, values in AXES.items():
        counts = Counter(getattr(reading, axis) for reading in seen if getattr(reading, axis))
        need = max(2, target(axis, count))
        if counts:
            wants += [Want(axis, value, counts[value], need) for value in values if counts[value] < need]
    return [*wants, *_empty_cells(seen, wants, count)]


def with_weak(wants: Sequence[Want], weak: Iterable[Want]) -> list[Want]:
    """The wants, each that what was measured asks more for in place of its like, and those that it alone asks for."""
    asked = {(one.axis, one.value): one for one in weak}
    kept = [one for one in wants if one.expressions or (one.axis, one.value) not in asked]
    return [*asked.values(), *kept]


def _empty_cells(seen: Sequence[Reading], wants: Sequence[Want], count: int) -> list[Want]:
    """Views that are never shown with an expression, though each of the two is shown often enough by itself; for sets
    that are large enough to show every pair."""
    cells, scarce = {cell for reading in seen if (cell := cell_of(reading))}, {want.value for want in wants}
    if not cells or count < Coverage.of((), ()).cells:
        return []
    often = [name for name in EXPRESSIONS if name not in scarce]
    lacks = {view: tuple(name for name in often if (view, name) not in cells) for view in VIEWS[:-1]}
    return [Want("view", view, 0, 1, names) for view, names in lacks.items() if names and view not in scarce]


def phrase(thing: tuple[str, ...]) -> str:
    """What a picture shows, in words: ("view+expression", "back", "") is "from behind"."""
    axis, *values = thing
    told = [_PHRASES.get(value, value) for value in values if value]
    return f"{axis} {told[0]!r}" if axis in ("pose", "outfit") else " ".join(told)
