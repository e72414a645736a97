"""The page of a scorecard: how good each checkpoint of a LoRA is, which was chosen and why, and what to change.

It needs nothing beside itself. What it shows is prepared here; the template only lays it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getdoc

from jinja2 import Environment, PackageLoader, StrictUndefined

from likeness.evaluation.advice import Finding
from likeness.evaluation.axes import AXES
from likeness.evaluation.choose import Choice
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.known import Seen
from likeness.evaluation.plots import axes_plot, front_plot, labels_of
from likeness.evaluation.scorecard import Round, Score
from likeness.evaluation.sheets import (
    Pictured,
    name_of,
    pairs_of,
    png_address,
    strips_of,
    suspects_of,
    worst_of,
)
from likeness.evaluation.shots import Kind
from likeness.evaluation.table import groups_of, short
from likeness.images import Pixels
from likeness.statistics import Interval

__all__ = ["CHARTS", "ScorecardPage", "charts_of", "render_scorecard"]

CHARTS = ("axes", "front")
"""Names of all charts that a page may have."""

ROUNDS: Mapping[Round, str] = {"first": "first look, few prompts", "full": "all prompts", "fresh": "fresh prompts"}

ASKED: Mapping[Kind, str] = {
    "own": "scenes of the character",
    "bare": "the trigger alone, nothing said of a scene",
    "override": "the character with other hair or another outfit",
    "background": "the character on other backgrounds",
    "style": "the character in other styles",
    "yours": "prompts of your own",
    "class": "the same scenes by the class words alone, without the trigger",
    "others": "other things altogether, without the trigger",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorecardPage:
    """What the page tells.

    Attributes:
        name: the character's.
        lora: the chosen file; empty where none was chosen.
        choice: which, why and how sure.
        findings: what is wrong, by adapter.
        detectable: the smallest difference of identity that so many pictures show; None where none were planned.
        scores: of each adapter, axis and round.
        pictures: all that were judged.
        real: held-out pictures of the character.
        trained_on: names of the training pictures, in the order that pictures' `nearest` counts them.
        originals: training pictures by their place, of those that a suspect is nearest to.
        limits: of the axes that have one.
        instruments: by what they are for, name and sha256.
        sampling: how pictures were drawn.
        versions: of what drew, with the base's digest.
    """

    name: str
    lora: str
    choice: Choice
    findings: Mapping[str, Sequence[Finding]]
    detectable: float | None
    scores: Sequence[Score]
    pictures: Sequence[Pictured]
    real: Sequence[Seen] = ()
    trained_on: Sequence[str] = ()
    originals: Mapping[int, Pixels] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    instruments: Mapping[str, str] = field(default_factory=dict)
    sampling: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def rounds(self) -> dict[str, Round]:
        """The last round that each adapter was drawn in, from the earliest adapter."""
        own = [one for one in self.scores if one.who != BASE]
        return {one.who: one.round for one in sorted(own, key=lambda one: one.step or 0)}

    @property
    def chosen(self) -> str:
        """The chosen adapter; empty for none."""
        step = self.choice.step
        return next((one.who for one in self.scores if step is not None and one.step == step), "")

    @property
    def finalists(self) -> list[str]:
        """Adapters that were measured with all prompts, the chosen one first."""
        left = [who for who, round in self.rounds.items() if round != "first"]
        return sorted(left, key=lambda who: who != self.chosen)

    @property
    def names(self) -> dict[int, str]:
        """What to call each adapter, by its step."""
        return {one.step: name_of(one.who) for one in self.scores if one.step is not None}


@dataclass(frozen=True, slots=True)
class _Column:
    """One model in the table: `round` is where its figures are from."""

    who: str
    name: str
    round: Round
    note: str


def charts_of(page: ScorecardPage) -> dict[str, bytes]:
    """The page's charts as PNG files, by name: of `CHARTS` those for which there is something to draw."""
    names = labels_of(_names(page))
    whose = {one.step: one.who for one in page.scores if one.step is not None}
    made = {
        "axes": axes_plot(page.scores, chosen=page.choice.step, limits=page.limits),
        "front": front_plot(
            page.scores,
            names=names,
            chosen=page.chosen,
            front=[whose[step] for step in page.choice.front if step in whose],
            refused=[whose[step] for step in page.choice.refused if step in whose],
        ),
    }
    return {name: png for name, png in made.items() if png}


def render_scorecard(page: ScorecardPage, charts: Mapping[str, bytes] | None = None) -> str:
    """The page as HTML that stands alone, light or dark as its reader's system is.

    Args:
        charts: as `charts_of` made them; without them the page has none.
    """
    pages = Environment(
        loader=PackageLoader("likeness.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(short=short, name=name_of)
    columns = _columns(page)
    suspects = suspects_of(page.pictures)
    whose = [page.chosen] if page.chosen else page.finalists
    return pages.get_template("scorecard.html").render(
        page=page,
        charts={name: png_address(png) for name, png in (charts or {}).items()},
        labels=_labels(page) if charts and "front" in charts else {},
        columns=columns,
        groups=list(groups_of(page.scores, page.limits, [(one.who, one.round) for one in columns])),
        findings=_findings(page),
        strips=strips_of(page.pictures, page.finalists, page.real),
        copies=len(suspects),
        pairs=pairs_of(suspects, page.trained_on, page.originals),
        worst=worst_of(page.pictures, {who: page.rounds[who] for who in whose}),
        likeness=_first(page, columns, "identity"),
        is_compared=any("memorisation" in one.judged.values for one in page.pictures),
        counts=_counts(page),
        meanings={axis: _meaning(axis) for axis in AXES},
        rounds=ROUNDS,
    )


def _names(page: ScorecardPage) -> dict[str, str]:
    return {who: name_of(who).removeprefix("step ") for who in page.rounds}


def _labels(page: ScorecardPage) -> dict[str, str]:
    """By what stands in the charts in place of names that cannot be drawn, these."""
    names = _names(page)
    return {label: names[who] for who, label in labels_of(names).items() if label != names[who]}


def _meaning(axis: str) -> str:
    """The first paragraph of an axis' explanation, on one line."""
    return " ".join((getdoc(AXES[axis]) or "").partition("\n\n")[0].split())


def _columns(page: ScorecardPage) -> list[_Column]:
    """The chosen one, the others that were measured with all prompts, and the base on the same prompts as the first."""
    found = []
    for who in page.finalists:
        note = "chosen" if who == page.chosen else ""
        found.append(_Column(who, name_of(who), page.rounds[who], note))
    by_base = {one.round for one in page.scores if one.who == BASE}
    if by_base:
        same = found[0].round if found and found[0].round in by_base else "full"
        found.append(_Column(BASE, "base", same, "without any LoRA"))
    return found


def _first(page: ScorecardPage, columns: Sequence[_Column], axis: str) -> Interval | None:
    """What the first column says of an axis."""
    first = columns[0] if page.finalists else None
    told = (one for one in page.scores if first and (one.who, one.round, one.axis) == (first.who, first.round, axis))
    return next((one.value for one in told), None)


def _findings(page: ScorecardPage) -> dict[str, Sequence[Finding]]:
    """Of the chosen one; where none is, of all."""
    return {who: some for who, some in page.findings.items() if page.chosen in ("", who)}


def _counts(page: ScorecardPage) -> list[tuple[str, int, int]]:
    """What was asked for, with the number of prompts and of pictures of each model that all prompts were drawn with."""
    found = []
    for kind, words in ASKED.items():
        shots = {
            (one.judged.shot.number, one.judged.shot.prompt, one.judged.shot.seed)
            for one in page.pictures
            if one.judged.round == "full" and one.judged.shot.kind == kind
        }
        if shots:
            found.append((words, len({number for number, _, _ in shots}), len(shots)))
    return found
