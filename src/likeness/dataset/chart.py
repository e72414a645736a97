"""The chart of a curation: how many pictures show each view with each expression, as a table that a page lays out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from likeness.dataset.coverage import AXES, EXPRESSIONS, cell_of
from likeness.dataset.labels import FRAMINGS, VIEWS
from likeness.dataset.summaries import coverage_of
from likeness.records import Picture

__all__ = ["Bar", "Chart", "Row", "Square", "axis_bars", "charted"]

HEATS = 4  # colours that a person tells apart without a scale beside them


@dataclass(frozen=True, slots=True)
class Square:
    """The pictures of one view and expression.

    Attributes:
        train: how many are trained on.
        held_out: how many are held out.
        framings: of those trained on, face, upper body and full body; they sum to less where a framing was not told.
        is_reachable: whether any picture that is good enough shows it.
        heat: 0 where none is trained on, to 4 for as many as the fullest square has; see `Chart.step`.
    """

    train: int
    held_out: int
    framings: tuple[int, ...]
    is_reachable: bool
    heat: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One view: a square for each expression; of the back view a single one.

    Attributes:
        view: its name.
        squares: in the order of `Chart.expressions`.
        train: how many pictures of it are trained on.
        held_out: how many are held out.
    """

    view: str
    squares: tuple[Square, ...]
    train: int
    held_out: int


@dataclass(frozen=True, slots=True)
class Chart:
    """All views by all expressions.

    Attributes:
        expressions: the columns: those that a set should show, then others that a person or a reader named.
        rows: a view each.
        totals: for each column, pictures trained on and held out; back views are in none.
        train: how many pictures trained on are in the chart.
        held_out: how many that are held out are.
        untold: how many trained on are not in it, because their view or expression was not told.
        step: by how many pictures a square grows hotter.
    """

    expressions: tuple[str, ...]
    rows: tuple[Row, ...]
    totals: tuple[tuple[int, int], ...]
    train: int
    held_out: int
    untold: int
    step: int


@dataclass(frozen=True, slots=True)
class Bar:
    """How many pictures trained on, and held out, show one value of an axis."""

    value: str
    train: int
    held_out: int


def charted(pictures: Sequence[Picture]) -> Chart | None:
    """The chart of a pool; None where no picture that is good enough has a view and an expression."""
    by_cell: dict[tuple[str, str], list[Picture]] = {}
    for picture in pictures:
        if cell := cell_of(picture.reading):
            by_cell.setdefault(cell, []).append(picture)
    squares = {cell: _square(some) for cell, some in by_cell.items()}
    there = {cell: square for cell, square in squares.items() if square.is_reachable}
    if not there:
        return None
    views = (*VIEWS, *sorted({view for view, _ in there} - {*VIEWS}))
    expressions = (*EXPRESSIONS, *sorted({expression for _, expression in there} - {*EXPRESSIONS, ""}))
    step = ceil(max((one.train for (_, expression), one in there.items() if expression), default=1) / HEATS) or 1
    rows = tuple(_row(view, expressions, there, step) for view in views)
    columns = list(zip(*(row.squares for row in rows if row.view != "back"), strict=True))
    train = sum(row.train for row in rows)
    return Chart(
        expressions=expressions,
        rows=rows,
        totals=tuple((sum(one.train for one in some), sum(one.held_out for one in some)) for some in columns),
        train=train,
        held_out=sum(row.held_out for row in rows),
        untold=sum(one.use == "train" for one in pictures) - train,
        step=step,
    )


def _square(pictures: Sequence[Picture]) -> Square:
    """The square of pictures that all show one view and expression."""
    found = coverage_of(pictures)
    framings = Counter[str]()
    for (_, framing, _), times in found.counts.items():
        framings[framing] += times
    held_out = sum(one.use == "held-out" for one in pictures)
    return Square(framings.total(), held_out, tuple(framings[framing] for framing in FRAMINGS), bool(found.reachable))


def _row(view: str, expressions: Iterable[str], there: dict[tuple[str, str], Square], step: int) -> Row:
    nothing = Square(0, 0, (0,) * len(FRAMINGS), is_reachable=False)
    found = [there.get((view, expression), nothing) for expression in ([""] if view == "back" else expressions)]
    squares = tuple(
        Square(one.train, one.held_out, one.framings, one.is_reachable, min(HEATS, ceil(one.train / step)))
        for one in found
    )
    return Row(view, squares, sum(one.train for one in squares), sum(one.held_out for one in squares))


def axis_bars(pictures: Sequence[Picture], axis: str) -> list[Bar]:
    """How many pictures show each value of an axis: those that a set should show, others, and "not told" at last."""
    uses = {use: Counter[str]() for use in ("train", "held-out")}
    for picture in pictures:
        if picture.use in uses:
            uses[picture.use][(getattr(picture.reading, axis) if picture.reading else None) or ""] += 1
    others = sorted({*uses["train"], *uses["held-out"]} - {*AXES[axis], ""})
    bars = [Bar(value, uses["train"][value], uses["held-out"][value]) for value in (*AXES[axis], *others)]
    untold = Bar("not told", uses["train"][""], uses["held-out"][""])
    return [*bars, untold] if untold.train or untold.held_out else bars
