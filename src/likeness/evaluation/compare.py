"""Comparison of two adapters on the same prompts and noise: what differs, how surely, and whether one is worse.

Shapes: P prompts, S seeds, R resamples.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy

from likeness.errors import EvaluationError
from likeness.evaluation.scorecard import KINDS, Judged
from likeness.evaluation.shots import NO_SEED
from likeness.records import Record
from likeness.statistics import Floats, Interval, picture_weights, resampled_means

__all__ = ["Difference", "compare"]

SURE = 0.05  # chance that any axis at all is called worse where none is
ENDS = (0.025, 0.975)
FEWEST = 2  # prompts that both were asked: of one there is no interval


class Difference(Record):
    """How two adapters differ on one axis.

    Attributes:
        axis: its name.
        first: mean of the first, over the pictures that both have.
        second: of the second.
        difference: second less first, paired by prompt and noise, with its 95% interval.
        chance: that a second which is not worse by more than the margin would look as bad as this one, at most.
        is_worse: the second is worse by more than the margin, all axes taken together at 5%.
        is_better: likewise.
    """

    axis: str
    first: float
    second: float
    difference: Interval
    chance: float
    is_worse: bool
    is_better: bool


def compare(first: Sequence[Judged], second: Sequence[Judged], *, margin: float, seed: int) -> list[Difference]:
    """What differs between two adapters, an axis each; `economy`, of which more is not better, is left out.

    Args:
        first: its pictures, as they were judged.
        second: likewise, of the same prompts and noise, or some of them.
        margin: differences up to that are none: the same recipe, trained from another seed, differs as much.
        seed: of the resampling.

    Raises:
        EvaluationError: where they were read by different instruments, or share too few prompts.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure, for several axes.
    """
    instruments = {one.instrument_sha256 for one in (*first, *second)}
    if len(instruments) > 1:
        raise EvaluationError(
            "The two were measured by different instruments, and such scores are never compared. Measure both with the "
            "same reader: likeness evaluate"
        )
    pairs = _paired(first, second)
    if len({one.shot.prompt for one, _ in pairs}) < FEWEST:
        raise EvaluationError(
            "The two share no prompts and seeds. Draw the same prompts with the same seeds with both, or let "
            "likeness evaluate draw them."
        )

    @cache  # axes of as many prompts and pictures are resampled alike
    def weights(prompts: int, pictures: int) -> Floats:
        return picture_weights([""] * prompts, pictures, seed=seed)

    found = [one for axis in KINDS if (one := _axis(axis, pairs, margin, weights))]
    worse = _holm([chance for *_, chance, _ in found])
    better = _holm([chance for *_, chance in found])
    return [
        Difference(axis=axis, first=a, second=b, difference=told, chance=chance, is_worse=is_worse, is_better=is_better)
        for (axis, a, b, told, chance, _), is_worse, is_better in zip(found, worse, better, strict=True)
    ]


Told = tuple[str, float, float, Interval, float, float]
Weights = Callable[[int, int], Floats]


def _paired(first: Sequence[Judged], second: Sequence[Judged]) -> list[tuple[Judged, Judged]]:
    others = {(one.shot.prompt, one.shot.seed): one for one in second if one.shot.seed != NO_SEED}
    keys = [(one.shot.prompt, one.shot.seed) for one in first]
    return [(one, others[key]) for one, key in zip(first, keys, strict=True) if key in others]


def _axis(axis: str, pairs: Sequence[tuple[Judged, Judged]], margin: float, weights: Weights) -> Told | None:
    told = [(a, b) for a, b in pairs if axis in a.values and axis in b.values]
    if len({a.shot.prompt for a, _ in told}) < FEWEST:
        return None
    differences_PS = _grid([(a.shot.prompt, b.values[axis] - a.values[axis]) for a, b in told])
    means_R = resampled_means(differences_PS[None], weights(*differences_PS.shape))[:, 0]
    means_R = means_R[numpy.isfinite(means_R)]
    low, high = numpy.quantile(means_R, ENDS)
    a, b = (float(numpy.mean([one.values[axis] for one in some])) for some in zip(*told, strict=True))
    interval = Interval(mean=b - a, low=float(low), high=float(high), samples=len(told))
    gain_R = -means_R if KINDS[axis] == "harm" else means_R
    return axis, a, b, interval, _share(gain_R >= -margin), _share(gain_R <= margin)


def _share(is_so_R: "numpy.typing.NDArray[numpy.bool_]") -> float:
    """The share of resamples, with one more that is so, since none of 2000 is not none of all."""
    return float((is_so_R.sum() + 1) / (len(is_so_R) + 1))


def _grid(told: Sequence[tuple[str, float]]) -> Floats:
    """Differences by prompt and picture; NaN where a prompt has fewer pictures than others."""
    rows: dict[str, list[float]] = {}
    for prompt, difference in told:
        rows.setdefault(prompt, []).append(difference)
    grid = numpy.full((len(rows), max(map(len, rows.values()))), numpy.nan)
    for place, row in enumerate(rows.values()):
        grid[place, : len(row)] = row
    return grid


def _holm(chances: Sequence[float]) -> list[bool]:
    """Which of several hypotheses are refuted, so that the chance of any false one is at most `SURE`."""
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    refuted = [False] * len(chances)
    for rank, place in enumerate(order):
        if chances[place] > SURE / (len(chances) - rank):
            break
        refuted[place] = True
    return refuted
