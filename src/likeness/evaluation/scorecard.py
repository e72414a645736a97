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
from likeness.evaluation.measure import SCENE, Drawn, Measure
from likeness.evaluation.shots import BALANCED, NO_SEED, Shot
from likeness.recipe import EvaluateConfig
from likeness.records import Record
from likeness.statistics import (
    Floats,
    Interval,
    by_prompt,
    mean_interval,
    picture_weights,
)

__all__ = [
    "KINDS",
    "LEAST_TOLD",
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
    who: str,
    step: int | None,
    round: Round,
    drawn: Drawn,
    marks: Marks,
    measure: Measure,
    *,
    seed: int,
    is_planned: bool = True,
) -> list[Score]:
    """A score for each axis that some picture was asked for.

    Args:
        seed: of the resampling.
        is_planned: whether the prompts are those of a plan, which has as much of each view and framing.
    """
    levels = _levels(drawn.shots, is_planned=is_planned)
    most = max(Counter(shot.number for shot in drawn.shots).values())
    weights = picture_weights([kind for kind, *_ in levels], most, seed=seed)
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
                value=_value_sample(axis, drawn.shots, some).interval(weights, levels),
                raw=_raw_sample(axis, drawn.shots, some).interval(weights, levels),
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
    samples = {
        axis: [_value_sample(axis, shots, one[axis]) for one in marks]
        for axis in marks[0]
        if any(mark for one in marks for mark in one[axis])
    }
    return Measured(
        tuple(steps),
        _levels(shots),
        values={axis: numpy.stack([one.values_PS for one in some]) for axis, some in samples.items()},
        grains={axis: [one.grain for one in some] for axis, some in samples.items()},
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
    """Values by prompt and seed, NaN where there is none, and what their interval hangs on besides."""

    values_PS: Floats
    is_rate: bool
    grain: float

    def interval(self, weights_RPS: Floats, levels: Sequence[Sequence[str]]) -> Interval | None:
        return mean_interval(self.values_PS, weights_RPS, is_rate=self.is_rate, grain=self.grain, levels=levels)


def _value_sample(axis: str, shots: Sequence[Shot], marks: Sequence[Mark | None]) -> _Sample:
    """Of calibrated values; of none where less than half could be told."""
    own = [mark for mark in marks if mark]
    is_told = sum(mark.value is not None for mark in own) >= LEAST_TOLD * len(own)
    told = [mark.value if mark and is_told else None for mark in marks]
    grains = [mark.grain for mark in own if mark.value is not None]
    return _Sample(_grid(shots, told), axis in RATES, fmean(grains or [0.0]))


def _raw_sample(axis: str, shots: Sequence[Shot], marks: Sequence[Mark | None]) -> _Sample:
    """Of what the instrument says: of a copy how alike it is, which is no rate."""
    told = [mark.raw if mark else None for mark in marks]
    grains = [mark.raw_grain for mark in marks if mark and mark.raw is not None]
    return _Sample(_grid(shots, told), axis == "artefacts", fmean(grains or [0.0]))


def _levels(shots: Sequence[Shot], *, is_planned: bool = True) -> tuple[tuple[str, ...], ...]:
    """Of each prompt its kind, and of those that were planned what all plans have as much of: outfits, which take
    turns, views and framings."""
    first = {shot.number: shot for shot in shots}
    return tuple((shot.kind, *(_balanced(shot) if is_planned else ())) for shot in first.values())


def _balanced(shot: Shot) -> tuple[str, str, str]:
    worn = [value for name, value in shot.asked.items() if shot.kind == "own" and name not in (*SCENE, "background")]
    view, framing = (shot.asked.get(name, "") if shot.kind != "yours" else "" for name in BALANCED)
    return ", ".join(worn), view, framing


def _grid(shots: Sequence[Shot], told: Sequence[float | None]) -> Floats:
    """Values by prompt and seed, shape (P, S); NaN where there is none."""
    values = [numpy.nan if value is None else value for value in told]
    return by_prompt(zip((shot.number for shot in shots), values, strict=True))
