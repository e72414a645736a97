"""The scorecard: what each axis says of one model, with its interval, what it rests on, and what could not be told.

Shapes: C models, P prompts, S seeds.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy

from likeness.evaluation.axes import AXES
from likeness.evaluation.calibration import Mark
from likeness.evaluation.choose import Measured, Rule
from likeness.evaluation.details import Detail, details_of
from likeness.evaluation.measure import Drawn, Measure
from likeness.evaluation.shots import NO_SEED, Shot
from likeness.recipe import EvaluateConfig
from likeness.records import Record
from likeness.statistics import (
    Floats,
    Interval,
    by_prompt,
    mean_interval,
    picture_weights,
    resampled_means,
    without_effects,
)

__all__ = [
    "KINDS",
    "Judged",
    "Round",
    "Score",
    "judge",
    "judge_base",
    "judged",
    "measured_of",
    "paired",
    "rules_of",
    "score",
]

Round = Literal["first", "full", "fresh"]
"""Few prompts on all checkpoints; the full set on some; the full set on fresh prompts and noise."""

KINDS: Mapping[str, Literal["likeness", "freedom", "harm"]] = {
    **dict.fromkeys(("identity", "face", "body", "clothing", "attributes"), "likeness"),
    **dict.fromkeys(("freedom", "adherence", "override", "variety"), "freedom"),
    **dict.fromkeys(("memorisation", "leak", "drift", "artefacts"), "harm"),
}
"""What each axis is of those that count in a choice; `economy` is told and counts for nothing."""

HALF = ("face", "body", "clothing", "attributes", "adherence", "override", "variety")
"""What counts half: `identity` and `freedom` hold much of it."""

RATES = ("memorisation", "artefacts")
"""What each picture is or is not."""

BALANCED = ("view", "framing")
"""What every set of prompts has as much of, and what explains most of how pictures of one model differ."""

LEAST_TOLD = 0.5  # of the pictures that ask for an axis: of fewer, what could be told is not what there is


class Score(Record):
    """What one axis says of one model.

    Attributes:
        who: the checkpoint's name, or "base".
        step: that it was trained for; None for what is no checkpoint of a run.
        round: on which prompts.
        axis: its name.
        value: the mean, calibrated where it is a likeness (1: as real pictures), and its 95% interval; None where
            nothing could be told.
        raw: the mean as the instrument says it.
        asked: pictures that ask for it.
        missing: of those, how many nothing could be told of, by reason.
        details: what it is made of.
    """

    who: str
    step: int | None
    round: Round
    axis: str
    value: Interval | None
    raw: Interval | None
    asked: int
    missing: dict[str, int] = {}
    details: tuple[Detail, ...] = ()


class Judged(Record):
    """One picture, and what each axis says of it.

    Attributes:
        who: who drew it.
        round: on which prompts.
        shot: what was asked.
        values: by axis; an axis that it was not asked for, or that could not be told, is left out.
        raws: the same, as the instrument says it.
        missing: by axis, why there is no value.
        nearest: place of the training picture that it is most like, where such are compared with.
        picture: where it lies, relative to the folder of the evaluation; empty where it was not kept.
        instrument_sha256: of the weights that read it.
    """

    who: str
    round: Round
    shot: Shot
    values: dict[str, float]
    raws: dict[str, float]
    missing: dict[str, str]
    nearest: int | None = None
    picture: str = ""
    instrument_sha256: str


Marks = Mapping[str, Sequence[Mark | None]]


def judge(drawn: Drawn, measure: Measure) -> dict[str, list[Mark | None]]:
    """The marks of each axis, one per picture."""
    return {name: axis(drawn, measure) for name, axis in AXES.items()}


def judge_base(drawn: Drawn, measure: Measure) -> dict[str, list[Mark | None]]:
    """The marks of the base; it has learnt none of the training pictures, and nobody asks whether it copies them."""
    return {name: axis(drawn, measure) for name, axis in AXES.items() if name != "memorisation"}


def judged(who: str, round: Round, drawn: Drawn, marks: Marks) -> list[Judged]:
    """The same, by picture."""
    found = []
    for place, (shot, reading) in enumerate(zip(drawn.shots, drawn.readings, strict=True)):
        own = {axis: mark for axis, some in marks.items() if (mark := some[place])}
        values = {axis: _short(mark.value) for axis, mark in own.items() if mark.value is not None}
        raws = {axis: _short(mark.raw) for axis, mark in own.items() if mark.raw is not None}
        missing = {axis: mark.missing for axis, mark in own.items() if mark.value is None}
        found.append(
            Judged(
                who=who,
                round=round,
                shot=shot,
                values=values,
                raws=raws,
                missing=missing,
                nearest=next((mark.nearest for mark in own.values() if mark.nearest is not None), None),
                instrument_sha256=reading.instrument_sha256,
            )
        )
    return found


def _short(value: float) -> float:
    """Five decimals, as embeddings are kept with."""
    return round(float(value), 5)


def paired(first: Sequence[Judged], second: Sequence[Judged]) -> list[tuple[Judged, Judged]]:
    """Pictures of the same prompt and noise, whatever the number of the prompt is in either evaluation; of pictures
    whose noise nobody knows there are none."""

    def key(one: Judged) -> tuple[str, str, int]:
        return one.shot.kind, one.shot.prompt, one.shot.seed

    others = {key(one): one for one in second if one.shot.seed != NO_SEED}
    return [(one, others[key(one)]) for one in first if key(one) in others]


def score(
    who: str, step: int | None, round: Round, drawn: Drawn, marks: Marks, measure: Measure, *, seed: int
) -> list[Score]:
    """A score for each axis that some picture was asked for."""
    weights = _weights(drawn.shots, seed)
    scores = []
    for axis, some in marks.items():
        own = [mark for mark in some if mark]
        if not own:
            continue
        scores.append(
            Score(
                who=who,
                step=step,
                round=round,
                axis=axis,
                value=_interval(_value_sample(axis, drawn.shots, some), weights, axis),
                raw=_interval(_raw_sample(axis, drawn.shots, some), weights, axis),
                asked=len(own),
                missing=dict(Counter(mark.missing for mark in own if mark.value is None)),
                details=details_of(axis, drawn, some, measure),
            )
        )
    return scores


def measured_of(steps: Sequence[int], shots: Sequence[Shot], marks: Sequence[Marks]) -> Measured:
    """What was measured of several checkpoints on the same shots, as a choice wants it.

    An axis that less than half could be told of a checkpoint has no value there.
    """
    strata, _ = _layout(shots)
    samples = {
        axis: [_value_sample(axis, shots, one[axis]) for one in marks]
        for axis in marks[0]
        if any(mark for one in marks for mark in one[axis])
    }
    return Measured(
        tuple(steps),
        strata,
        values={axis: numpy.stack([one.values_PS for one in some]) for axis, some in samples.items()},
        grains={axis: max(one.grain for one in some) for axis, some in samples.items()},
        fitted={axis: max(one.fitted for one in some) for axis, some in samples.items()},
    )


def rules_of(config: EvaluateConfig) -> list[Rule]:
    """What each axis counts for, as the recipe says."""
    limits = {
        "identity": config.identity_floor,
        "memorisation": config.copies_limit,
        "leak": config.leak_limit,
        "drift": config.drift_limit,
        "artefacts": config.artefacts_limit,
    }
    return [
        Rule(
            axis,
            kind,
            config.weights.get(axis, 0.5 if axis in HALF else 1.0),
            limits.get(axis),
            is_rate=axis in RATES,
            checked_by="memorisation" if axis == "identity" else "",
        )
        for axis, kind in KINDS.items()
    ]


@dataclass(frozen=True, slots=True)
class _Sample:
    """Values by prompt and seed, NaN where there is none, less what the design explains of them."""

    values_PS: Floats
    grain: float
    fitted: int


def _value_sample(axis: str, shots: Sequence[Shot], marks: Sequence[Mark | None]) -> _Sample:
    """Of calibrated values; of none where less than half could be told."""
    own = [mark for mark in marks if mark]
    is_told = sum(mark.value is not None for mark in own) >= LEAST_TOLD * len(own)
    told = [mark.value if mark and is_told else None for mark in marks]
    return _sample(axis, shots, told, [mark.grain for mark in own if mark.value is not None])


def _raw_sample(axis: str, shots: Sequence[Shot], marks: Sequence[Mark | None]) -> _Sample:
    told = [mark.raw if mark else None for mark in marks]
    return _sample(axis, shots, told, [mark.raw_grain for mark in marks if mark and mark.raw is not None])


def _sample(axis: str, shots: Sequence[Shot], told: Sequence[float | None], grains: Sequence[float]) -> _Sample:
    values_PS, fitted = _grid(shots, told), 0
    if axis not in RATES:  # whose intervals are told by counts
        balanced = {shot.number: [shot.asked.get(name, "") for name in BALANCED] for shot in shots}
        values_PS, fitted = without_effects(values_PS, [*balanced.values()])
    return _Sample(values_PS, fmean(grains or [0.0]), fitted)


def _interval(sample: _Sample, weights_RPS: Floats, axis: str) -> Interval | None:
    means_R = resampled_means(sample.values_PS[None], weights_RPS)[:, 0]
    return mean_interval(sample.values_PS, means_R, is_rate=axis in RATES, grain=sample.grain, fitted=sample.fitted)


def _weights(shots: Sequence[Shot], seed: int) -> Floats:
    strata, seeds = _layout(shots)
    return picture_weights(strata, seeds, seed=seed)


def _layout(shots: Sequence[Shot]) -> tuple[tuple[str, ...], int]:
    """The kind of each prompt, and how many pictures there are of one, at most."""
    kinds = {shot.number: shot.kind for shot in shots}
    return tuple(kinds.values()), max(Counter(shot.number for shot in shots).values())


def _grid(shots: Sequence[Shot], told: Sequence[float | None]) -> Floats:
    """Values by prompt and seed, shape (P, S); NaN where there is none."""
    values = [numpy.nan if value is None else value for value in told]
    return by_prompt(zip((shot.number for shot in shots), values, strict=True))
