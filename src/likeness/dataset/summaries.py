"""Summaries: what the records of a pool say together, and what the pictures to train on show too seldom."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from likeness.dataset.choice import LEFT_OVER
from likeness.dataset.coverage import AXES, Coverage
from likeness.dataset.wants import Want, wanted, with_weak
from likeness.records import Lack, Picture

__all__ = ["candidates", "coverage_of", "missing", "summary", "told_axes", "untold", "untold_axes"]

_MENDABLE = {
    "blur",
    "heavy JPEG",
    "noise",
    "too small",
    "too dark",
    "blown out",
    "flat",
    "text",
    "letterbox",
    "not needed",
}
"""Faults that a person may accept for the sake of what a picture shows."""


def missing(pictures: Sequence[Picture], lacks: Sequence[Lack] = ()) -> list[Want]:
    """What the pictures to train on show too seldom.

    Args:
        pictures: the records.
        lacks: what was measured to be weak in a LoRA that learnt from them.
    """
    train = [one for one in pictures if one.use == "train"]
    weak = []
    for lack in lacks:
        have = sum(getattr(one.reading, lack.axis, None) == lack.value for one in train)
        weak.append(Want(lack.axis, lack.value, have, have + lack.count, because=lack.because))
    return with_weak(wanted((one.reading for one in train), len(train)), weak)


def told_axes(pictures: Sequence[Picture]) -> list[str]:
    """The axes of which some picture to train on tells something: what is missing is told of these alone."""
    train = [one.reading for one in pictures if one.use == "train" and one.reading]
    return [axis for axis in AXES if any(getattr(reading, axis) for reading in train)]


def untold_axes(pictures: Sequence[Picture]) -> list[str]:
    """The axes of which no picture to train on tells anything; none where there is no such picture."""
    told = told_axes(pictures)
    return [axis for axis in AXES if axis not in told] if any(one.use == "train" for one in pictures) else []


def untold(pictures: Sequence[Picture]) -> list[str]:
    """A sentence about these axes; none where all are told."""
    axes = untold_axes(pictures)
    return (
        [f"of {', '.join(axes)} nothing is known: label pictures, or have a reader look that tells them"]
        if axes
        else []
    )


def candidates(pictures: Sequence[Picture], want: Want) -> list[Picture]:
    """Pictures of the pool that would fill a gap, if a person accepted their fault."""
    return [one for one in pictures if one.fault in _MENDABLE and want.is_met_by(one.reading)]


def coverage_of(pictures: Sequence[Picture]) -> Coverage:
    """What the pictures to train on show, of what all usable ones do."""
    usable = [one for one in pictures if one.use != "rejected" or one.fault in LEFT_OVER]
    return Coverage.of([one.reading for one in usable if one.use == "train"], [one.reading for one in usable])


def summary(pictures: Sequence[Picture], lacks: Sequence[Lack] = ()) -> dict[str, Any]:
    """What became of a pool, as plain data: counts, paths by use and by fault, coverage, and what is missing in words.

    Args:
        pictures: the records, as `curate` made them or as `images.jsonl` holds them.
        lacks: as for `missing`.
    """
    uses = Counter(one.use for one in pictures)
    rejected: dict[str, list[str]] = {}
    for one in pictures:
        if one.use == "rejected":
            rejected.setdefault(one.fault or "person", []).append(one.path)
    found = coverage_of(pictures)
    return {
        "counts": {
            "pool": len(pictures),
            "train": uses["train"],
            "held_out": uses["held-out"],
            "rejected": uses["rejected"],
        },
        "rejected": rejected,
        "train": [one.path for one in pictures if one.use == "train"],
        "held_out": [one.path for one in pictures if one.use == "held-out"],
        "coverage": {"cells": found.cells, "reachable": found.reachable, "covered": found.covered},
        "missing": [*untold(pictures), *(want.words for want in missing(pictures, lacks))],
    }
