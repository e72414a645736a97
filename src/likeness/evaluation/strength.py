"""Strength: at which weight a LoRA is used best, and how far from there it may be turned up or down."""

from collections.abc import Collection, Sequence

from likeness.errors import EvaluationError
from likeness.evaluation.choose import Choice, choose
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.instruments import Instruments, Real, measure_with
from likeness.evaluation.measure import Drawn
from likeness.evaluation.scorecard import judge, measured_of, rules_of
from likeness.evaluation.shots import Kind, Shot
from likeness.events import Event, Report, silent
from likeness.messages import listed
from likeness.recipe import EvaluateConfig
from likeness.records import Record
from likeness.statistics import Interval

__all__ = ["KINDS", "WEIGHTS", "Row", "Strength", "Weighed", "few_of", "name_of", "sweep"]

WEIGHTS = (0.4, 0.6, 0.8, 1.0, 1.2, 1.4)
"""What people try: below, little is left of a character; above, most LoRAs burn."""

KINDS: tuple[Kind, ...] = ("own", "bare", "class")
"""What a weight shows in: likeness and freedom in scenes, variety by the trigger alone, and leak without it."""


class Weighed(Record):
    """What was measured at one weight.

    Attributes:
        weight: of the LoRA.
        refused: why it should not be used so, in words; empty where nothing speaks against it.
        axes: of each axis, the mean and its 95% interval; one that nothing could be told of is left out.
    """

    weight: float
    refused: str = ""
    axes: dict[str, Interval]


class Row(Record):
    """Pictures of one prompt and noise, one at each weight.

    Attributes:
        prompt: that they were drawn from.
        seed: of the noise.
        asked: what should be on them, by axis of the scene.
        pictures: by weight, where they lie, relative to the workspace; at "0" the base drew it alone.
    """

    prompt: str
    seed: int
    asked: dict[str, str]
    pictures: dict[str, str]


class Strength(Record):
    """How strongly to use a LoRA.

    Attributes:
        lora: its file, relative to the workspace.
        sha256: of the file.
        recommended: the weight; None where each was refused.
        low: the least weight that does as well, to a standard error, with all that were measured up to `recommended`.
        high: the greatest.
        reason: in words.
        weights: what was measured, from the lowest.
        rows: pictures to look at.
    """

    lora: str = ""
    sha256: str = ""
    recommended: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str
    weights: tuple[Weighed, ...]
    rows: tuple[Row, ...] = ()


def few_of(shots: Sequence[Shot], kinds: Collection[Kind], most: int) -> list[Shot]:
    """The first prompts of some kinds, `most` of each, with all their pictures."""
    kept: list[Shot] = []
    for kind in kinds:
        own = [shot for shot in shots if shot.kind == kind]
        numbers = list(dict.fromkeys(shot.number for shot in own))[:most]
        kept += [shot for shot in own if shot.number in numbers]
    return kept


def name_of(weight: float) -> str:
    """Who draws with the LoRA at a weight, as the painter is told."""
    return f"{weight:g}"


def sweep(
    weights: Sequence[float],
    shots: Sequence[Shot],
    real: Real,
    config: EvaluateConfig,
    *,
    instruments: Instruments,
    seed: int,
    report: Report = silent,
) -> Strength:
    """The weight to use a LoRA at, chosen as a checkpoint is: what may do harm is refused, and of those that are less
    than a standard error behind the best, the one that moves other pictures least.

    Args:
        weights: to try, from the lowest.
        shots: a whole plan. The base draws all of it, which tells what strangers look like; the LoRA, at each weight,
            the first few prompts of `KINDS`.
        real: what is measured against.
        config: with the limits, what axes count for, and how many prompts are a few: `config.first`.
        instruments: what looks, and draws at a weight under its `name_of`.
        seed: of the resampling.
        report: told as pictures are made.

    Raises:
        EvaluationError: where there is no real picture to compare with.
    """
    if not real.held_out:
        raise EvaluationError("There is no held-out picture of the character: nothing can be measured.")

    few = few_of(shots, KINDS, config.first)

    def drawn_by(who: str, some: Sequence[Shot], done: int) -> Drawn:
        pixels = instruments.draw(who, some)
        report(Event(stage="strength", done=len(shots) + done * len(few), total=len(shots) + len(weights) * len(few)))
        return instruments.look(some, pixels)

    measure = measure_with(drawn_by(BASE, shots, 0), real.seen(instruments), instruments, config)
    marks = [judge(drawn_by(name_of(weight), few, place), measure) for place, weight in enumerate(weights, start=1)]
    measured = measured_of(range(len(weights)), few, marks)
    choice = choose(measured, rules_of(config), least="drift", seed=seed, by_means=True)
    return _told(weights, choice)


def _told(weights: Sequence[float], choice: Choice) -> Strength:
    weighed = tuple(
        Weighed(weight=weight, refused=choice.refused.get(place, ""), axes=choice.axes[place])
        for place, weight in enumerate(weights)
    )
    if choice.step is None:
        return Strength(reason=_refusals(weighed) or choice.reason, weights=weighed)
    low = high = choice.step
    while low - 1 in choice.near:
        low -= 1
    while high + 1 in choice.near:
        high += 1
    return Strength(
        recommended=weights[choice.step],
        low=weights[low],
        high=weights[high],
        reason=_reason(weights, choice) + _untried(weights, low, high),
        weights=weighed,
    )


def _refusals(weighed: Sequence[Weighed]) -> str:
    faults = [f"at {one.weight:g} {one.refused}" for one in weighed if one.refused]
    return f"No weight may be used: {'; '.join(faults)}." if faults else ""


def _reason(weights: Sequence[float], choice: Choice) -> str:
    assert choice.step is not None
    assert choice.leader is not None
    chosen, leader = weights[choice.step], weights[choice.leader]
    if chosen != leader:
        words = f"{chosen:g} is within a standard error of {leader:g}, the best by its mean, and moves less"
        return f"{words} of what is drawn without the trigger."
    others = [f"{weights[place]:g}" for place in choice.tied if place != choice.leader]
    return f"{chosen:g} is the best" + (f", though {listed(others)} cannot be told from it." if others else ".")


def _untried(weights: Sequence[float], low: int, high: int) -> str:
    """Where the range ends because the trial did."""
    more = f" More than {weights[high]:g} was not tried." if high == len(weights) - 1 else ""
    return more + (f" Less than {weights[low]:g} was not tried." if low == 0 else "")
