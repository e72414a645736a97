"""Comparison of two adapters on the same prompts and noise: what differs, how surely, and whether one is worse.

Shapes: P prompts, S seeds, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy

from likeness.errors import EvaluationError
from likeness.evaluation.scorecard import KINDS, LEAST_TOLD, Judged, paired
from likeness.evaluation.significance import decidable, refuted, sign_flip_chances
from likeness.records import Record
from likeness.statistics import Floats, Interval, by_prompt, mean_interval, picture_weights

__all__ = ["Difference", "Untold", "compare", "untold"]

FEWEST = 2  # prompts that both were asked: of one there is no interval

Pair = tuple[Judged, Judged]


class Difference(Record):
    """How two adapters differ on one axis.

    Attributes:
        axis: its name.
        first: mean of the first, over the pictures that could be told of both.
        second: of the second.
        difference: second less first, paired by prompt and noise, with its 95% interval.
        prompts: how many that rests on.
        chance: that a second which is not worse by more than the margin would look as bad as this one, at most.
        is_decidable: there are prompts enough to call it worse or better.
        is_worse: the second is worse by more than the margin, all axes taken together at 5%.
        is_better: likewise.
    """

    axis: str
    first: float
    second: float
    difference: Interval
    prompts: int
    chance: float
    is_decidable: bool
    is_worse: bool
    is_better: bool


class Untold(Record):
    """An axis that some pictures ask for and that could not be told of them, or not compared.

    Attributes:
        axis: its name.
        asked: pictures of each that ask for it, of the same prompts and noise.
        first: of how many of the first it could not be told.
        second: of the second.
        is_compared: it could be told of at least half the pairs, and of two prompts.
    """

    axis: str
    asked: int
    first: int
    second: int
    is_compared: bool


def compare(first: Sequence[Judged], second: Sequence[Judged], *, margin: float, seed: int) -> list[Difference]:
    """What differs between two adapters, an axis each. `economy` is left out, of which more is not better, and so is
    what could be told of less than half the pairs of pictures.

    Args:
        first: its pictures, as they were judged, each once.
        second: likewise, of the same prompts and noise, or some of them.
        margin: differences up to that are none: the same recipe, trained from another seed, differs as much.
        seed: of the resampling and the flips of signs.

    Raises:
        EvaluationError: where they were read by different instruments, or share too few prompts.
    """
    instruments = {one.instrument_sha256 for one in (*first, *second)}
    if len(instruments) > 1:
        raise EvaluationError(
            "The two were measured by different instruments, and such scores are never compared. Measure both with the "
            "same reader: likeness evaluate"
        )
    pairs = paired(first, second)
    prompts = len({_prompt_of(one) for one, _ in pairs})
    if prompts < FEWEST:
        raise EvaluationError(
            f"The two share {'only one prompt' if prompts else 'no prompt'} with the same noise; at least {FEWEST} are "
            "needed. Draw the same prompts with the same seeds with both; likeness evaluate does so for the same "
            "trigger and captions and the same [evaluate]."
        )

    @cache  # axes of as many prompts and pictures are resampled alike
    def weights(prompts: int, pictures: int) -> Floats:
        return picture_weights([""] * prompts, pictures, seed=seed)

    found = [one for axis in KINDS if (one := _compared(axis, pairs))]
    tests = {
        one.axis: sign_flip_chances(numpy.stack([one.gains + margin, margin - one.gains]), seed=seed).tolist()
        for one in found
    }
    able = decidable({one.axis: one.prompts for one in found})
    worse, better = (refuted({axis: tests[axis][place] for axis in able}) for place in (0, 1))
    return [
        Difference(
            axis=one.axis,
            first=one.first,
            second=one.second,
            difference=one.interval(weights(*one.differences_PS.shape)),
            prompts=one.prompts,
            chance=tests[one.axis][0],
            is_decidable=one.axis in able,
            is_worse=one.axis in worse,
            is_better=one.axis in better,
        )
        for one in found
    ]


def untold(first: Sequence[Judged], second: Sequence[Judged]) -> list[Untold]:
    """The axes that could not be told of some of the pictures that `compare` pairs, or are not compared."""
    pairs, found = paired(first, second), []
    for axis in KINDS:
        asked, told = _asked_and_told(axis, pairs)
        gaps = [sum(axis not in one.values for one in some) for some in zip(*asked, strict=True)]
        is_compared = _is_enough(asked, told)
        if any(gaps) or (asked and not is_compared):
            found.append(Untold(axis=axis, asked=len(asked), first=gaps[0], second=gaps[1], is_compared=is_compared))
    return found


@dataclass(frozen=True)
class _Compared:
    """What could be told of both on an axis; NaN where a prompt has fewer pictures than others."""

    axis: str
    first: float
    second: float
    differences_PS: Floats

    @property
    def prompts(self) -> int:
        return len(self.differences_PS)

    @property
    def gains(self) -> Floats:
        """How much better the second is, by prompt."""
        return numpy.nanmean(self.differences_PS, axis=1) * (-1 if KINDS[self.axis] == "harm" else 1)

    def interval(self, weights_RPS: Floats) -> Interval:
        found = mean_interval(self.differences_PS, weights_RPS)
        assert found, "only axes that some pictures tell are compared"
        return found


def _prompt_of(one: Judged) -> tuple[bool, int]:
    """What tells prompts apart: those of the trigger alone have one text, and the fresh round counts anew."""
    return one.round == "fresh", one.shot.number


def _asked_and_told(axis: str, pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs that ask for an axis, and those of them of which it could be told."""
    asked = [pair for pair in pairs if any(axis in one.values or axis in one.missing for one in pair)]
    return asked, [pair for pair in asked if all(axis in one.values for one in pair)]


def _is_enough(asked: Sequence[Pair], told: Sequence[Pair]) -> bool:
    return len(told) >= LEAST_TOLD * len(asked) and len({_prompt_of(one) for one, _ in told}) >= FEWEST


def _compared(axis: str, pairs: Sequence[Pair]) -> _Compared | None:
    """None where too little could be told."""
    asked, told = _asked_and_told(axis, pairs)
    if not _is_enough(asked, told):
        return None
    a, b = (float(numpy.mean([one.values[axis] for one in some])) for some in zip(*told, strict=True))
    differences_PS = by_prompt((_prompt_of(one), two.values[axis] - one.values[axis]) for one, two in told)
    return _Compared(axis, a, b, differences_PS)
