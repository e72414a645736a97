"""The table of a scorecard: its axes under the heads of what they are, each in all columns, with what it is made of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from likeness.evaluation.axes import AXES
from likeness.evaluation.details import Detail
from likeness.evaluation.scorecard import KINDS, Round, Score

__all__ = ["Part", "Row", "groups_of", "short"]

GROUPS: Mapping[str, tuple[str, str]] = {
    "likeness": (
        "Likeness",
        "1: as alike as real pictures of the character are to each other. 0: what the base draws without.",
    ),
    "freedom": ("Freedom", "1: as the base itself does. Above 1: more than the base."),
    "harm": ("Harm", "The less the better; 0 is none."),
    "told": ("Told beside", "Counts for nothing in the choice."),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One detail of an axis in all columns: figures in words, empty where there are none."""

    name: str
    wanted: str
    figures: Sequence[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One axis in all columns."""

    axis: str
    limit: str
    scores: Sequence[Score | None]
    parts: Sequence[Part]


def groups_of(
    scores: Sequence[Score], limits: Mapping[str, float], columns: Sequence[tuple[str, Round]]
) -> Iterator[tuple[str, str, list[Row]]]:
    """The rows of the table under the heads of what they are: name, what the scale is, an axis each.

    Args:
        scores: of each adapter, axis and round.
        limits: of the axes that have one.
        columns: whose figures are shown, and of which round.
    """
    told = {(one.who, one.round, one.axis): one for one in scores}
    for kind, (title, scale) in GROUPS.items():
        rows = []
        for axis in AXES:
            some = [told.get((who, round, axis)) for who, round in columns]
            if KINDS.get(axis, "told") == kind and any(some):
                rows.append(Row(axis, _limit(axis, limits), some, _parts(some)))
        if rows:
            yield title, scale, rows


def _limit(axis: str, limits: Mapping[str, float]) -> str:
    if axis not in limits:
        return ""
    return f"{'at most' if KINDS[axis] == 'harm' else 'at least'} {limits[axis]:g}"


def _parts(scores: Sequence[Score | None]) -> list[Part]:
    """What an axis is made of, in each column, in the order in which the first columns tell it."""
    own = [{detail.name: detail for detail in one.details} if one else {} for one in scores]
    wanted = {name: detail.wanted for some in own for name, detail in some.items()}
    axis = next((one.axis for one in scores if one), "")
    return [
        Part(
            name.replace("_", " "),
            value,
            [_figure(axis, detail) if (detail := some.get(name)) else "" for some in own],
        )
        for name, value in wanted.items()
    ]


def _figure(axis: str, detail: Detail) -> str:
    """A detail in words: a share with what is there instead, or a mean."""
    if not detail.samples:
        return "untold"
    if axis == "identity" or detail.name.endswith(" entropy"):
        return f"{short(detail.share)} of {detail.samples}"
    words = f"{detail.share:.0%} of {detail.samples}"
    return f"{words}; {detail.instead} {detail.instead_share:.0%}" if detail.instead else words


def short(value: float) -> str:
    """Two decimals; what rounds to nothing has no sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
