"""The page of a curation: what became of each picture and why, and what to look for next.

It needs nothing beside itself. What it shows is prepared here; the template only lays it out.
"""

import base64
import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from likeness.dataset.chart import Bar, Chart, axis_bars, charted
from likeness.dataset.coverage import AXES, Coverage
from likeness.dataset.curate import Curation
from likeness.dataset.duplicates import COPY
from likeness.dataset.faults import FAULTS
from likeness.dataset.summaries import candidates, coverage_of, missing, summary, told_axes, untold_axes
from likeness.dataset.wants import Want
from likeness.perception.models import PROFILES, Model, models_named
from likeness.recipe import CurateConfig
from likeness.recipe.values import Section
from likeness.records import Picture

__all__ = ["curation_page"]

SHOWN = 6  # candidates that the shopping list shows for one want; all are further down the page
MANY = 60  # pictures from which on a sheet is folded


@dataclass(frozen=True, slots=True)
class _Shown:
    """One picture as the page shows it: `image` is a data address, empty where it could not be read."""

    path: str
    image: str
    alt: str
    reason: str
    tags: Sequence[str]
    marks: Sequence[str]
    origin: str

    @property
    def accept(self) -> str:
        """What a person types to train on it all the same."""
        return f"likeness label FOLDER {shlex.quote(self.path)} use=train"


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Pictures under one heading."""

    title: str
    advice: str
    pictures: Sequence[_Shown]


@dataclass(frozen=True, slots=True)
class _Wish:
    """A line of the shopping list, with the first of the pictures that would do if a person accepted them."""

    words: str
    pictures: Sequence[_Shown]
    more: int


@dataclass(frozen=True, slots=True)
class _Copies:
    """A picture that stays, or that a person rejected, and its copies: kind, and what is left over between the two."""

    kept: _Shown
    verdict: str
    copies: Sequence[tuple[_Shown, str, float]]


@dataclass(frozen=True, slots=True)
class _Instrument:
    """Who read the pictures: name and beginning of the sha256, how many it read, and the models that it needs."""

    name: str
    sha256: str
    pictures: int
    models: Sequence[Model]


@dataclass(frozen=True, slots=True)
class _Setting:
    """A field of the recipe as it was in use, and where nobody sets it, both as JSON."""

    field: str
    value: str
    usual: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """All that the page tells: `told` are the axes of which something is known, `bars` those that no chart shows."""

    name: str
    counts: Mapping[str, int]
    coverage: Coverage
    notes: Sequence[str]
    too_few: str
    is_accepted: bool
    chooses_all: bool
    wishes: Sequence[_Wish]
    told: Sequence[str]
    untold: Sequence[str]
    chart: Chart | None
    bars: Mapping[str, Sequence[Bar]]
    chosen: Sequence[_Shown]
    held_out: Sequence[_Shown]
    rejected: Sequence[_Sheet]
    copies: Sequence[_Copies]
    instruments: Sequence[_Instrument]
    settings: Sequence[_Setting]
    most_left_over: float = COPY


def curation_page(found: Curation, config: CurateConfig, *, name: str) -> str:
    """What became of a pool, as a page of HTML that stands alone, light or dark as its reader's system is.

    Args:
        found: by `likeness.dataset.curate.curate`.
        config: that it was found with.
        name: the character's.
    """
    pages = Environment(
        loader=PackageLoader("likeness.dataset"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template("curation.html").render(page=_page(found, config, name), many=MANY)


def _page(found: Curation, config: CurateConfig, name: str) -> _Page:
    pictures = found.pictures
    shown = [_shown(picture, found) for picture in pictures]
    told, chart = told_axes(pictures), charted(pictures)
    beside = [axis for axis in told if axis == "framing" or not chart]
    return _Page(
        name=name,
        counts=summary(pictures)["counts"],
        coverage=coverage_of(pictures),
        notes=found.notes,
        too_few=found.too_few,
        is_accepted=config.accept_few,
        chooses_all=config.choose == "all",
        wishes=[_wish(want, found) for want in missing(pictures, found.lacks)],
        told=told,
        untold=untold_axes(pictures),
        chart=chart,
        bars={axis: axis_bars(pictures, axis) for axis in beside},
        chosen=_used(pictures, shown, "train"),
        held_out=_used(pictures, shown, "held-out"),
        rejected=_rejected(found, shown),
        copies=_copies(found, shown),
        instruments=_instruments(found),
        settings=[*_settings(config.screen, "curate.screen"), *_settings(config, "curate")],
    )


def _shown(picture: Picture, found: Curation) -> _Shown:
    """The picture with all that its caption says."""
    reading, preview = picture.reading, found.looks.previews.get(picture.id)
    tags = [value for axis in AXES if reading and (value := getattr(reading, axis))]
    marks = [f"AI-generated: {picture.made_by}"] if picture.made_by else []
    return _Shown(
        path=picture.path,
        image=f"data:image/jpeg;base64,{base64.b64encode(preview).decode()}" if preview else "",
        alt=", ".join([picture.path, *tags]),
        reason=picture.reason,
        tags=tags,
        marks=[*marks, "decided by you"] if picture.decided_by == "person" else marks,
        origin="; ".join(filter(None, (picture.source, picture.rights))),
    )


def _wish(want: Want, found: Curation) -> _Wish:
    able = candidates(found.pictures, want)
    return _Wish(want.words, [_shown(one, found) for one in able[:SHOWN]], max(0, len(able) - SHOWN))


def _used(pictures: Sequence[Picture], shown: Sequence[_Shown], use: str) -> list[_Shown]:
    return [some for some, one in zip(shown, pictures, strict=True) if one.use == use]


def _rejected(found: Curation, shown: Sequence[_Shown]) -> list[_Sheet]:
    """Sheets of what was rejected, by fault, in the order of `FAULTS`; a fault that is not there comes last."""
    sheets: dict[str, list[_Shown]] = {fault: [] for fault in FAULTS}
    for picture, some in zip(found.pictures, shown, strict=True):
        if picture.use == "rejected":
            look = found.looks.looks[picture.id]
            fault = "duplicate" if picture.fault.endswith("duplicate") else picture.fault or "person"
            sheets.setdefault("unreadable" if look.fault else fault, []).append(some)
    return [_Sheet(*FAULTS.get(fault, (fault, "")), some) for fault, some in sheets.items() if some]


def _copies(found: Curation, shown: Sequence[_Shown]) -> list[_Copies]:
    """Each picture that has copies, with them; the same file twice is one too."""
    groups: dict[str, list[tuple[Picture, _Shown]]] = {}
    for picture, some in zip(found.pictures, shown, strict=True):
        copy = found.copies.of.get(picture.id)
        if some.image:
            groups.setdefault(copy.kept if copy else picture.id, []).append((picture, some))
    return [_side_by_side(id, group, found) for id, group in groups.items() if len(group) > 1]


def _side_by_side(kept: str, group: Sequence[tuple[Picture, _Shown]], found: Curation) -> _Copies:
    """The picture that stays, first, and beside it the others."""
    first, stays = next((picture, some) for picture, some in group if picture.id == kept)
    copies = []
    for picture, some in group:
        copy = found.copies.of.get(picture.id)
        if some is not stays:
            kind = copy.kind if copy and picture.fault != "exact duplicate" else "exact duplicate"
            copies.append((some, kind, copy.left_over if copy else 0.0))
    return _Copies(stays, "rejected" if first.use == "rejected" else "kept", copies)


def _instruments(found: Curation) -> list[_Instrument]:
    """Who read the pictures, with the models that each needs."""
    readings = [look.reading for look in found.looks.looks.values() if look.reading]
    counts = Counter((reading.instrument, reading.instrument_sha256) for reading in readings)
    return [
        _Instrument(name, sha256[:12], times, models_named([name]) if name in PROFILES else [])
        for (name, sha256), times in counts.items()
    ]


def _settings(section: Section, where: str) -> list[_Setting]:
    """The section's fields as they are, without sections inside it."""
    fields = type(section).model_fields
    return [
        _Setting(f"{where}.{name}", json.dumps(value), json.dumps(field.default), field.description or "")
        for name, field in fields.items()
        if not isinstance(value := getattr(section, name), Section)
    ]
