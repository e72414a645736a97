"""Axes: what is told of a model's pictures, one function each.

Each answers with a mark per picture: None where the picture was not asked for it, and a mark without a value where it
was and nothing could be told.
"""

from collections.abc import Callable, Collection, Mapping
from statistics import fmean
from types import MappingProxyType

import numpy

from likeness.evaluation.calibration import Mark
from likeness.evaluation.copies import Likest
from likeness.evaluation.known import Known
from likeness.evaluation.measure import SCENE, Drawn, Measure, asked_otherwise, is_as_asked, seen_of
from likeness.evaluation.shots import CALLED, Kind, Shot
from likeness.statistics import pseudo_values

__all__ = [
    "AXES",
    "Axis",
    "adherence",
    "artefacts",
    "attributes",
    "body",
    "clothing",
    "drift",
    "economy",
    "face",
    "freedom",
    "identity",
    "leak",
    "memorisation",
    "override",
    "variety",
]

ABLE = 0.25  # of a base's own pictures that are as asked: below, it cannot draw that, and no LoRA is to blame

UNDRAWN = "the base drew no such picture to compare with"

Marks = list[Mark | None]

Axis = Callable[[Drawn, Measure], Marks]


def identity(drawn: Drawn, measure: Measure) -> Marks:
    """How alike the character is as a whole, by the reader's embedding: of a photo's face, of a drawing all of it."""
    known = measure.known
    asked = [shot.kind in CALLED and not _is_another(shot, known) for shot in drawn.shots]
    if known.ruler is None:
        return [Mark(None, None, known.no_ruler) if one else None for one in asked]
    return [mark if one else None for one, mark in zip(asked, known.ruler.marks(drawn.readings), strict=True)]


def _is_another(shot: Shot, known: Known) -> bool:
    """Whether a prompt asks for somebody who is not quite the character; other clothes make it nobody else."""
    return any(known.parts[name] != "clothing" for name in asked_otherwise(shot, known))


def face(drawn: Drawn, measure: Measure) -> Marks:
    """The share of the face's traits that are the character's, where the scene shows a face."""
    return _part(drawn, measure, "face")


def body(drawn: Drawn, measure: Measure) -> Marks:
    """The share of its proportions that are right, where the scene shows the body."""
    return _part(drawn, measure, "body")


def clothing(drawn: Drawn, measure: Measure) -> Marks:
    """The share of what it wears that is right: the outfit asked for, or else one that it has."""
    return _part(drawn, measure, "clothing")


def attributes(drawn: Drawn, measure: Measure) -> Marks:
    """The share of its distinctive attributes that are right, on the right side and in the right number."""
    return _part(drawn, measure, "attributes")


def _part(drawn: Drawn, measure: Measure, part: str) -> Marks:
    known, marks = measure.known, []
    scale = known.scales.get(part)
    for shot, reading in zip(drawn.shots, drawn.readings, strict=True):
        without = asked_otherwise(shot, known) & {*known.names(part)}
        if shot.kind not in CALLED or not known.names(part) or not known.shows(part, shot.asked):
            marks.append(None)
            continue
        raw = known.agreement(part, reading, shot.asked, without=without)
        if raw is None and without:
            marks.append(None)
        elif raw is None or scale is None:
            why = f"the reader named nothing of its {part}"
            marks.append(Mark(None, raw, why if raw is None else "nobody else's pictures to compare with"))
        else:
            grain = 1 / len(known.named(part, reading, without=without))
            marks.append(scale.mark(reading.view, raw, instrument=reading.instrument, grain=grain))
    return marks


def freedom(drawn: Drawn, measure: Measure) -> Marks:
    """The share of view, framing, expression and pose that is as asked, 1 being what the base itself does."""
    return _followed(drawn, measure, SCENE, ("own", "background", "style", "yours"))


def adherence(drawn: Drawn, measure: Measure) -> Marks:
    """Whether the background is as asked, 1 being what the base itself does."""
    return _followed(drawn, measure, ("background",), ("own", "background", "yours"))


def override(drawn: Drawn, measure: Measure) -> Marks:
    """Whether hair or outfit is another where a prompt says so, 1 being what the base itself does."""
    names = {name for shot in drawn.shots if shot.kind == "override" for name in shot.asked}
    return _followed(drawn, measure, names - {*SCENE, "background"}, ("override",))


def _followed(drawn: Drawn, measure: Measure, names: Collection[str], kinds: Collection[Kind]) -> Marks:
    rates = measure.base_rates if measure.base.shots else dict.fromkeys(names, 1.0)
    able = {name for name in names if rates.get(name, 0) >= ABLE}
    marks: Marks = []
    for shot, reading in zip(drawn.shots, drawn.readings, strict=True):
        asked = {name: value for name, value in shot.asked.items() if name in names}
        if shot.kind not in kinds or not asked:
            marks.append(None)
            continue
        told = {name: is_as_asked(seen, asked[name]) for name in asked if (seen := seen_of(reading, name)) is not None}
        if not told.keys() & able:
            why = "the reader does not tell" if not told else "the base itself does not draw"
            marks.append(Mark(None, fmean(told.values()) if told else None, f"{why} {', '.join(sorted(asked))}"))
            continue
        drawable = [name for name in told if name in able]
        value = fmean(told[name] / rates[name] for name in drawable)
        grain = fmean(1 / rates[name] for name in drawable) / len(drawable)
        marks.append(Mark(value, fmean(told.values()), grain=grain, raw_grain=1 / len(told)))
    return marks


def variety(drawn: Drawn, measure: Measure) -> Marks:
    """How much pictures differ of which the prompt says nothing but the trigger: the share of the others that show
    another background, view, framing, pose or outfit, 1 being as much as the base's own. Values are pseudo-values."""
    names = measure.known.open_names
    spread, usual = (_spread(one, names) for one in (drawn, measure.base))
    base = {name: fmean(values) for name in names if (values := [row[name] for row in usual if name in row])}
    able = [{name: share / base[name] for name, share in row.items() if base.get(name, 0) >= ABLE} for row in spread]
    alone = iter(pseudo_values([fmean(row.values()) for row in able if row]))
    marks: Marks = []
    rows = iter(zip(spread, able, strict=True))
    for shot in drawn.shots:
        if shot.kind != "bare":
            marks.append(None)
            continue
        row, shares = next(rows)
        raw = fmean(row.values()) if row else None
        missing = (
            "" if shares else "the reader told nothing of the scene" if not row else "the base draws but one scene"
        )
        marks.append(Mark(next(alone) if shares else None, raw, missing))
    return marks


def _spread(drawn: Drawn, names: Collection[str]) -> list[dict[str, float]]:
    """For each picture of the trigger alone, by name the share of the others that show something else."""
    bare = [reading for shot, reading in zip(drawn.shots, drawn.readings, strict=True) if shot.kind == "bare"]
    seen = {name: [seen_of(reading, name) for reading in bare] for name in names}
    rows: list[dict[str, float]] = [{} for _ in bare]
    for name, values in seen.items():
        for place, value in enumerate(values):
            others = [other for at, other in enumerate(values) if at != place and other is not None]
            if value is not None and others:
                rows[place][name] = fmean(other != value for other in others)
    return rows


def memorisation(drawn: Drawn, measure: Measure) -> Marks:
    """1 for a picture that copies a training picture or its background, else 0."""
    asked = [shot.kind not in ("class", "others") for shot in drawn.shots]
    if measure.copies is None:
        return [Mark(None, None, "the training pictures are not there") if one else None for one in asked]
    found = iter(measure.copies.find([seen for seen, one in zip(drawn.seen, asked, strict=True) if one]))
    return [_copied(next(found)) if one else None for one in asked]


def _copied(likest: Likest) -> Mark:
    return Mark(float(likest.is_copy or likest.is_background_copy), likest.likeness, nearest=likest.place)


def drift(drawn: Drawn, measure: Measure) -> Marks:
    """How far pictures without the trigger moved from the base's of the same noise: 1 - cosine."""
    rows_XE = numpy.asarray(measure.encoder.encode(drawn.pixels), dtype=float)
    marks: Marks = []
    for shot, row_E in zip(drawn.shots, rows_XE, strict=True):
        place = measure.base_at.get((shot.prompt, shot.seed))
        if shot.kind not in ("class", "others"):
            marks.append(None)
        elif place is None:
            marks.append(Mark(None, None, UNDRAWN))
        else:
            moved = 1 - float(row_E @ measure.base_rows[place])
            marks.append(Mark(moved, moved))
    return marks


def leak(drawn: Drawn, measure: Measure) -> Marks:
    """How much likeness pictures of the class words alone take on, beyond the base's of the same noise."""
    known = measure.known
    asked = [shot.kind == "class" for shot in drawn.shots]
    if known.ruler is None:
        return [Mark(None, None, known.no_ruler) if one else None for one in asked]
    before = known.ruler.marks(measure.base.readings)
    marks: Marks = []
    for one, shot, after in zip(asked, drawn.shots, known.ruler.marks(drawn.readings), strict=True):
        place = measure.base_at.get((shot.prompt, shot.seed))
        beside = Mark(None, None, UNDRAWN) if place is None else before[place]
        marks.append(_less(after, beside) if one else None)
    return marks


def economy(drawn: Drawn, measure: Measure) -> Marks:
    """How much of the likeness the trigger brings: with it, less without it, on the same scene and noise."""
    known = measure.known
    if known.ruler is None:
        return [Mark(None, None, known.no_ruler) if shot.kind == "class" else None for shot in drawn.shots]
    marks = known.ruler.marks(drawn.readings)
    called = {shot.seed: mark for shot, mark in zip(drawn.shots, marks, strict=True) if shot.kind == "own"}
    return [
        _less(called[shot.seed], mark) if shot.kind == "class" and shot.seed in called else None
        for shot, mark in zip(drawn.shots, marks, strict=True)
    ]


def artefacts(drawn: Drawn, measure: Measure) -> Marks:
    """1 for a picture that is blank, burnt, noisy or the same as most others, else 0."""
    return [Mark(float(bool(fault)), float(bool(fault)), "") for fault in measure.usual.faults(drawn.pixels)]


AXES: Mapping[str, Axis] = MappingProxyType(
    {
        axis.__name__: axis
        for axis in (
            *(identity, face, body, clothing, attributes),
            *(freedom, adherence, override, variety),
            *(memorisation, leak, drift, artefacts, economy),
        )
    }
)
"""All axes by name, in the order in which a scorecard shows them."""


def _less(one: Mark, other: Mark) -> Mark:
    if one.value is None or other.value is None:
        return Mark(None, None, one.missing or other.missing)
    assert one.raw is not None
    assert other.raw is not None
    return Mark(one.value - other.value, one.raw - other.raw)
