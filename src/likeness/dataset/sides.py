"""Sides: which of a picture and its mirror image is the right way round, by what else is in the pool."""

from collections import Counter
from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

from likeness.records import Reading

__all__ = ["rightness", "surroundings"]

_MIRRORED = {"left": "right", "right": "left"}
_FRAME = 32  # px, both sides, at which what is around the subject is compared
_NEIGHBOURS = 3  # pictures with like surroundings; one may be a chance, and many are not there
_FAR = 60  # levels; surroundings that differ by more are other surroundings


def rightness(reading: Reading | None, pool: Sequence[Reading]) -> float:
    """How far the one-sided traits of a picture are on the side that they have in the pool: positive where they are,
    negative where they are on the other, 0 where the character has none.

    One-sided are a value that names its side ("left scar") and a pair of traits ("left_eye", "right_eye") that differ.
    """
    if reading is None:
        return 0.0
    return sum(_agreement(name, value, pool) for name, value in reading.traits.items())


def _agreement(name: str, value: str, pool: Sequence[Reading]) -> float:
    """Share of the pool that has this value here, less the share that has it on the other side."""
    here = _counts(name, pool)
    total = sum(here.values())
    if not total:
        return 0.0
    side, separator, rest = name.partition("_")
    if side in _MIRRORED and separator:
        there = _counts(f"{_MIRRORED[side]}_{rest}", pool)
        if not there or there.most_common(1)[0][0] == here.most_common(1)[0][0]:
            return 0.0
        return here[value] / total - there[value] / sum(there.values())
    side, _, rest = value.partition(" ")
    return (here[value] - here[f"{_MIRRORED[side]} {rest}"]) / total if side in _MIRRORED else 0.0


def _counts(name: str, pool: Sequence[Reading]) -> Counter[str]:
    return Counter(reading.traits[name] for reading in pool if name in reading.traits)


def surroundings(thumbnail: NDArray[numpy.uint8], pool: Sequence[NDArray[numpy.uint8]]) -> float:
    """How like the surroundings of a picture are to those of the pictures of a pool that are most like it, 0 being
    equal and negative less so. A moon that is always on the right is on the left in a mirror image."""
    if not pool:
        return 0.0
    own, others = _frame(thumbnail), numpy.stack([_frame(other) for other in pool])
    away = numpy.minimum(numpy.abs(others - own).max(-1), _FAR).mean(-1)
    return -float(numpy.sort(away)[:_NEIGHBOURS].mean())


def _frame(thumbnail: NDArray[numpy.uint8]) -> NDArray[numpy.float32]:
    """The upper and side borders of a picture, shrunk: where the subject seldom is."""
    step = len(thumbnail) // _FRAME
    small = thumbnail.reshape(_FRAME, step, _FRAME, step, 3).mean((1, 3))
    around = numpy.ones((_FRAME, _FRAME), bool)
    around[4:, 6:26] = False
    return small[around].astype(numpy.float32)
