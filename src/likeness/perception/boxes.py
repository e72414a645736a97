"""Boxes that detectors find: which belong together, and what their places say of a drawing's view and framing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from likeness.perception.tag_meaning import UNSURE, Told, people_of
from likeness.records import Box

__all__ = ["Found", "area", "count_of", "framing_of", "largest", "overlap", "view_of"]

Tags = Mapping[str, float]

_COMPARABLE = 0.4  # of the tallest figure's height: who is smaller stands far behind, or is a picture on the wall
_SHIFT = 0.06  # of a head's width, by which a face lies off the middle of a turned head; less is the detectors' error
_EDGE = 0.02  # of the picture's height: a figure that ends nearer to the bottom is cut off by it

_FRAMINGS: Mapping[str, tuple[str, ...]] = {
    "face": ("portrait", "close-up"),
    "upper body": ("upper body", "cowboy shot", "feet out of frame"),
    "full body": ("full body",),
}
_HEADS = {"face": (0.0, 2.2), "upper body": (1.2, 7.0), "full body": (1.8, 12.0)}
"""How many heads tall a figure can be in each framing: a chibi's whole body is two heads, an adult's eight or nine."""


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a picture, px, with the detector's score in [0, 1]."""

    box: Box
    score: float


def area(box: Box) -> int:
    """px."""
    return (box.right - box.left) * (box.bottom - box.top)


def overlap(one: Box, other: Box) -> float:
    """How much of their union two boxes share, in [0, 1]."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0, width) * max(0, height)
    union = area(one) + area(other) - shared
    return shared / union if union else 0.0


def largest(found: Sequence[Found], *, inside: Found | None = None) -> Found | None:
    """The largest part found, among those whose centre lies `inside` another part."""
    centred = [part for part in found if inside is None or _holds_centre(inside.box, part.box)]
    return max(centred, key=lambda part: area(part.box), default=None)


def _holds_centre(outer: Box, inner: Box) -> bool:
    across, down = (inner.left + inner.right) / 2, (inner.top + inner.bottom) / 2
    return outer.left <= across <= outer.right and outer.top <= down <= outer.bottom


def count_of(tags: Tags, people: Sequence[Found]) -> tuple[int, float] | None:
    """How many characters: where tags and figures agree, or only one of them says; and how sure that is.

    Where they disagree, tags are believed from 0.8 on: figures that overlap are often found as one, or one as two.
    """
    tallest = max((person.box.bottom - person.box.top for person in people), default=0)
    near = [person for person in people if person.box.bottom - person.box.top >= _COMPARABLE * tallest]
    told = people_of(tags)
    if told is None:
        return (len(near), min(person.score for person in near)) if near else None
    return told if told[0] == len(near) or not near or told[1] >= 0.8 else None


def view_of(tags: Tags, head: Found | None, face: Found | None) -> Told:
    """From where the character is seen.

    Tags say "back" and "profile", a face's place in its head says the side: in a head that is turned left, the face
    lies left of its middle. With a face found and no such tag, it is a front view where the face lies in the middle,
    else a three-quarter view. A head turned back over a shoulder shows both sides: nothing is said then.
    """
    behind = max(tags.get("from behind", 0.0), tags.get("facing away", 0.0))
    if behind >= UNSURE:
        is_turned = face is not None or tags.get("looking back", 0.0) >= UNSURE
        return None if is_turned else ("back", behind)
    straight, profile = max(tags.get("straight-on", 0.0), tags.get("facing viewer", 0.0)), tags.get("profile", 0.0)
    if head is None or face is None:
        return ("front", straight) if straight >= max(UNSURE, profile) else None
    shift = _shift(head.box, face.box)
    side = "left" if shift < 0 else "right"
    sure = min(head.score, face.score)
    if profile >= UNSURE:
        return (f"profile {side}", min(profile, sure)) if abs(shift) >= _SHIFT else None
    return ("front", sure) if abs(shift) < _SHIFT else (f"three-quarter {side}", sure)


def _shift(head: Box, face: Box) -> float:
    """How far right of the head's middle the face's lies, in widths of the head."""
    return ((face.left + face.right) - (head.left + head.right)) / 2 / max(1, head.right - head.left)


def framing_of(tags: Tags, person: Found | None, head: Found | None, height: int) -> Told:
    """How much of the character is in the picture, by tags where boxes do not contradict, else by boxes.

    Args:
        height: of the picture, px.
    """
    shares = {word: max(tags.get(tag, 0.0) for tag in names) for word, names in _FRAMINGS.items()}
    word = max(shares, key=lambda word: shares[word])
    heads = _heads_tall(person, head)
    if shares[word] >= UNSURE:
        low, high = _HEADS[word]
        return (word, shares[word]) if heads is None or low <= heads <= high else None
    if person is None or head is None or heads is None:
        return None
    is_cut = person.box.bottom > (1 - _EDGE) * height
    by_boxes = ("face" if heads < 1.6 else "upper body" if heads < 5 else None) if is_cut else "full body"
    low, high = _HEADS[by_boxes] if by_boxes else (0.0, 0.0)
    return (by_boxes, min(person.score, head.score)) if by_boxes and low <= heads <= high else None


def _heads_tall(person: Found | None, head: Found | None) -> float | None:
    if person is None or head is None:
        return None
    return (person.box.bottom - person.box.top) / max(1, head.box.bottom - head.box.top)
