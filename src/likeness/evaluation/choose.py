"""Choosing: of the checkpoints of a run, the one to publish, why, and how sure that is.

Nothing is measured against the other checkpoints of the run, so that one more of them changes no other's figures.

Shapes: C checkpoints, P prompts, S seeds, R resamples.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Literal

import numpy

from likeness.messages import counted, listed
from likeness.records import Record
from likeness.seeds import stream
from likeness.statistics import Floats, Interval, mean_interval, picture_weights, resampled_means

__all__ = ["TOO_ALIKE", "Choice", "Measured", "Rule", "choose", "ranked"]

WEIGHTINGS = 200  # other weights that are tried: the share in which the leader stays is told to about 3 points
LEAST = 0.05  # of an axis, below which it counts as that: a 0 of four pictures is not to outweigh all else
SAME_HARM = 2  # decimals to which harm is compared: a hundredth of full scale is not seen
ENDS = (0.025, 0.975)
TOO_ALIKE = 1.1  # of likeness, 1 being real pictures: what is above it may be copies
ONE_ERROR = 0.16  # of a normal distribution lies below its mean less one standard error


@dataclass(frozen=True, slots=True)
class Rule:
    """What an axis counts for.

    Attributes:
        axis: its name.
        kind: "likeness" (calibrated: 1 is as alike as real pictures are, and more is not better), "freedom" (a share
            of what was asked for), or "harm" (the less the better).
        weight: in the mean that tells a leader; harm has none there.
        limit: of the interval's worse end: a floor, or for harm a ceiling. None: no gate.
        is_rate: whether it is a share of pictures, each of which is 0 or 1.
        checked_by: the axis that has to be told where this one is above `TOO_ALIKE`.
    """

    axis: str
    kind: Literal["likeness", "freedom", "harm"]
    weight: float = 1.0
    limit: float | None = None
    is_rate: bool = False
    checked_by: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of some checkpoints, all on the same prompts and noise.

    Attributes:
        steps: of the checkpoints, from the earliest.
        levels: of each prompt, what all sets of prompts have as much of, as for `without_effects`; the first of them is
            the stratum of `picture_weights`.
        values: of each axis, shape (C, P, S); NaN where a prompt does not ask for it, or an instrument could not tell.
        grains: of an axis that counts things, what one more that is right changes of a value of each checkpoint.
    """

    steps: tuple[int, ...]
    levels: tuple[tuple[str, ...], ...]
    values: Mapping[str, Floats]
    grains: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def strata(self) -> tuple[str, ...]:
        """The stratum of each prompt."""
        return tuple(first for first, *_ in self.levels)


class Choice(Record):
    """The checkpoint to publish, and the reason.

    Attributes:
        step: of the chosen one; None where each was refused.
        reason: in words.
        leader: the step of the best by weighted geometric mean.
        tied: steps of the front that cannot be told from the leader, itself among them: a 95% interval of the
            difference holds zero.
        near: steps that are not refused and less than a standard error behind the leader, of the front or not.
        front: steps that no other one equals or beats in every respect.
        refused: by step, in words, why it may not be published.
        untold: axes with a limit that was held against none, since nothing could be told of them.
        stays: share of other weightings of the axes under which the leader stays the same.
        axes: of each step and axis, the mean and its 95% interval; an axis that nothing could be told of is left out.
    """

    step: int | None
    reason: str
    leader: int | None = None
    tied: tuple[int, ...] = ()
    near: tuple[int, ...] = ()
    front: tuple[int, ...] = ()
    refused: dict[int, str] = {}
    untold: tuple[str, ...] = ()
    stays: float | None = None
    axes: dict[int, dict[str, Interval]]


def choose(
    measured: Measured,
    rules: Sequence[Rule],
    *,
    least: str,
    seed: int,
    by_means: bool = False,
    close: float = ONE_ERROR,
) -> Choice:
    """The checkpoint to publish.

    Those that may do harm, or are not like enough, are refused by the worse ends of their intervals, and those of which
    an axis could not be told that others were told by; an axis that none was told by abstains. Of the rest the Pareto
    front is taken, and its leader told by the weighted geometric mean of likeness and freedom, in which next to
    nothing of one is hardly bought back by others. Of those of the front that are less than a standard error behind
    it, on the same prompts and noise, the one with the least harm on `least` is chosen, and of equals the earliest. To
    take it from all whose 95% interval of the difference holds zero would cost twice as much likeness:
    `benchmarks/choosing.py`.

    Args:
        rules: what each axis counts for; an axis of no rule is told and counts for nothing.
        least: the axis of harm that decides among equals, as "damage".
        seed: of the resampling.
        by_means: hold limits against means, and not against the worse ends of intervals, which nobody passes of whom
            few prompts were drawn; and leave out axes without a limit that could not be told of all: for a first look,
            and for telling variants apart of one that has passed.
        close: the share of resamples in which one that is chosen before the leader has to be as good, at least.

    Source: Breiman et al. 1984, Classification and Regression Trees, section 3.4.3, for the standard error.
    """
    weights_RPS = picture_weights(measured.strata, _seeds(measured), seed=seed)
    means = {axis: _means(values_CPS) for axis, values_CPS in measured.values.items()}
    told = [rule for rule in rules if rule.axis in means and not numpy.isnan(means[rule.axis]).all()]
    if by_means:  # of an axis that one prompt asks for, one picture that cannot be read is no reason
        told = [rule for rule in told if rule.limit is not None or not numpy.isnan(means[rule.axis]).any()]
    weights = {rule.axis: rule.weight for rule in told if rule.kind != "harm" and rule.weight > 0}
    axes = _intervals(measured, weights_RPS, {rule.axis for rule in rules if rule.is_rate})
    held = {step: axes[step] if not by_means else _means_alone(axes[step]) for step in measured.steps}
    refused = {step: words for step in measured.steps if (words := _refusal(held[step], told))}
    untold = tuple(rule.axis for rule in rules if rule.limit is not None and rule not in told)
    left = [place for place, step in enumerate(measured.steps) if step not in refused]
    if not weights or not left:
        reason = (
            _no_reason(refused, len(measured.steps)) if weights else "Nothing could be told of any likeness or freedom."
        )
        return Choice(step=None, reason=reason, refused=refused, untold=untold, axes=axes)
    front = _front(means, told, left)
    draws = {axis: resampled_means(measured.values[axis], weights_RPS) for axis in weights}
    score_C, score_RC = _geometric(means, weights), _geometric(draws, weights)
    leader = max(front, key=lambda place: (score_C[place], -place))
    gap_RC = score_RC[:, [leader]] - score_RC
    tied, near = (
        [place for place in left if place == leader or numpy.nanquantile(gap_RC[:, place], end) <= 0]
        for end in (ENDS[0], close)
    )
    tied, eligible = ([place for place in some if place in front] for some in (tied, near))
    is_told = any(rule.axis == least for rule in told)
    harm_C = numpy.round(means[least], SAME_HARM) if is_told else numpy.zeros(len(measured.steps))
    chosen = min(eligible, key=lambda place: (harm_C[place], place))
    steps = numpy.asarray(measured.steps)
    return Choice(
        step=measured.steps[chosen],
        reason=_reason(measured, chosen, leader, eligible, least if is_told else "") + _unheld(untold),
        leader=measured.steps[leader],
        tied=tuple(steps[tied].tolist()),
        near=tuple(steps[near].tolist()),
        front=tuple(steps[front].tolist()),
        refused=refused,
        untold=untold,
        stays=_stays(means, list(weights), front, leader, seed),
        axes=axes,
    )


def ranked(measured: Measured, rules: Sequence[Rule]) -> list[int]:
    """Steps from the best to the worst by the weighted geometric mean alone, of equals the earliest first: for telling
    with few pictures which checkpoints are worth more. Where nothing was told, the latest first: it has learnt most."""
    means = {axis: _means(values_CPS) for axis, values_CPS in measured.values.items()}
    told = [rule for rule in rules if rule.axis in means and rule.kind != "harm" and rule.weight > 0]
    weights = {rule.axis: rule.weight for rule in told if not numpy.isnan(means[rule.axis]).any()}
    if not weights:
        return [*reversed(measured.steps)]
    score_C = _geometric(means, weights)
    order = sorted(range(len(measured.steps)), key=lambda place: (-score_C[place], place))
    return [measured.steps[place] for place in order]


def _seeds(measured: Measured) -> int:
    shapes = {values_CPS.shape for values_CPS in measured.values.values()}
    assert len(shapes) == 1, f"axes of different pictures: {shapes}"
    (checkpoints, prompts, seeds) = shapes.pop()
    assert (checkpoints, prompts) == (len(measured.steps), len(measured.strata)), "a row per step, a column per prompt"
    assert list(measured.steps) == sorted(set(measured.steps)), "steps from the earliest"
    return seeds


def _means(values_CPS: Floats) -> Floats:
    """The mean of each checkpoint over what is there; NaN where nothing is."""
    return resampled_means(values_CPS, numpy.ones((1, *values_CPS.shape[1:])))[0]


def _intervals(measured: Measured, weights_RPS: Floats, rates: Collection[str]) -> dict[int, dict[str, Interval]]:
    return {
        step: {
            axis: told
            for axis, values_CPS in measured.values.items()
            if (
                told := mean_interval(
                    values_CPS[place],
                    weights_RPS,
                    is_rate=axis in rates,
                    grain=measured.grains[axis][place] if axis in measured.grains else 0.0,
                    levels=measured.levels,
                )
            )
        }
        for place, step in enumerate(measured.steps)
    }


def _means_alone(found: Mapping[str, Interval]) -> dict[str, Interval]:
    return {axis: one.model_copy(update={"low": one.mean, "high": one.mean}) for axis, one in found.items()}


def _refusal(found: Mapping[str, Interval], rules: Sequence[Rule]) -> str:
    """Why a checkpoint is refused; empty where it is not."""
    faults = []
    for rule in rules:
        interval = found.get(rule.axis)
        if interval is None:
            faults.append(f"nothing could be told of its {rule.axis}")
            continue
        if rule.checked_by and interval.mean > TOO_ALIKE and rule.checked_by not in found:
            faults.append(
                f"{rule.axis} is {interval.mean:.3f}, above real pictures', and no {rule.checked_by} was told"
            )
        if rule.limit is None:
            continue
        if rule.kind == "harm" and interval.high > rule.limit:
            few = ", for all that so few prompts tell" if interval.mean == 0 else ""
            faults.append(f"{rule.axis} {_may_be(interval, interval.high)}, above {rule.limit:g}{few}")
        if rule.kind != "harm" and interval.low < rule.limit:
            faults.append(f"{rule.axis} {_may_be(interval, interval.low)}, below {rule.limit:g}")
    return ", ".join(faults)


def _may_be(interval: Interval, end: float) -> str:
    return f"{'is' if isclose(interval.low, interval.high, abs_tol=1e-9) else 'may be'} {end:.3f}"


def _front(means: Mapping[str, Floats], rules: Sequence[Rule], left: Sequence[int]) -> list[int]:
    """Those of `left` that no other one equals or beats on every axis, and beats on one."""
    good_CA = numpy.stack([_worth(means, rule) for rule in rules], axis=1)

    def is_beaten(place: int) -> bool:
        others_OA = good_CA[[other for other in left if other != place]]
        return bool(((others_OA >= good_CA[place]).all(1) & (others_OA > good_CA[place]).any(1)).any())

    return [place for place in left if not is_beaten(place)]


def _worth(means: Mapping[str, Floats], rule: Rule) -> Floats:
    """An axis as a number that is the better the higher, and no better above what real pictures reach."""
    return -means[rule.axis] if rule.kind == "harm" else means[rule.axis].clip(max=1)


def _geometric(means: Mapping[str, Floats], weights: Mapping[str, float]) -> Floats:
    """The geometric mean of the axes that have a weight, each in [0, 1], of any shape that all of them have."""
    logs = sum(weight * numpy.log(means[axis].clip(LEAST, 1)) for axis, weight in weights.items())
    return numpy.exp(logs / sum(weights.values()))


def _stays(means: Mapping[str, Floats], goods: Sequence[str], front: Sequence[int], leader: int, seed: int) -> float:
    """The share of other weightings, all equally likely, under which the leader leads."""
    weightings = stream(seed, "weightings").dirichlet([1.0] * len(goods), size=WEIGHTINGS)
    scores = [_geometric(means, dict(zip(goods, some, strict=True))) for some in weightings.tolist()]
    return sum(front[int(score_C[front].argmax())] == leader for score_C in scores) / len(scores)


def _no_reason(refused: Mapping[int, str], candidates: int) -> str:
    if candidates == 1:
        (why,) = refused.values()
        return f"It may not be published: {why}."
    worst = "; ".join(f"step {step}: {words}" for step, words in refused.items())
    return f"No checkpoint may be published. {worst}."


def _unheld(untold: Sequence[str]) -> str:
    return f" Nothing could be told of {listed(untold)}, so that no limit of it was held against any." if untold else ""


def _reason(measured: Measured, chosen: int, leader: int, near: Sequence[int], least: str) -> str:
    step, first = measured.steps[chosen], measured.steps[leader]
    if len(measured.steps) == 1:
        return "The only one that was measured with all prompts; no limit speaks against it."
    if len(near) == 1:
        return f"Step {step} is the best, and no other one comes within a standard error of it."
    others = counted(len(near) - 1, "other is", "others are")
    if chosen == leader:
        why = f"it is the best, though {others} within a standard error of it"
    else:
        why = f"it is within a standard error of step {first}, the best by its mean"
    return f"Step {step}: {why}; of these none has less {least or 'training'}."
