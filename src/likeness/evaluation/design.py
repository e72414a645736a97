"""Designs: which combinations to ask for, where all of them would be too many."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from likeness.seeds import stream

__all__ = ["pairwise"]

CANDIDATES = 200  # rows that each place is chosen from: more make no design of these sizes shorter

Row = dict[str, str]

Part = tuple[tuple[str, str], ...]
"""One or two values of a row, each with its axis."""


def pairwise(
    axes: Mapping[str, Sequence[str]],
    count: int,
    *,
    seed: int,
    evenly: Sequence[str] = (),
    is_possible: Callable[[Row], bool] = lambda row: True,
) -> list[Row]:
    """Rows with a value on each axis, in which each pair of values of two axes comes about equally often.

    A fault that shows in one view with one expression is found with a few dozen prompts, where each view with each
    expression, framing and pose would be hundreds. The first rows are a design of their own: fewer can be drawn first.

    Args:
        axes: the values of each axis, at least one.
        count: rows.
        seed: the same axes and seed give the same design.
        evenly: axes whose values come as often as each other, as nearly as can be, before anything else.
        is_possible: whether a row can be asked for: no smile is seen from behind.

    Raises:
        ValueError: where no row is possible.

    Source: Cohen et al. 1997, The AETG System, https://doi.org/10.1109/32.605761: of many rows at random, the one that
    shows most of what was shown least.
    """
    rng = stream(seed, "pairwise")
    shown: Counter[Part] = Counter()
    rows: list[Row] = []
    while len(rows) < count:
        drawn = [{axis: str(rng.choice(list(values))) for axis, values in axes.items()} for _ in range(CANDIDATES)]
        possible = [row for row in drawn if is_possible(row)]
        if not possible:
            raise ValueError(f"none of {CANDIDATES} rows drawn from {', '.join(axes)} is possible")
        best = min(
            possible,
            key=lambda row: (sum(shown[(axis, row[axis]),] for axis in evenly if axis in row), _staleness(row, shown)),
        )
        shown.update(_parts(best))
        rows.append(best)
    return rows


def _staleness(row: Row, shown: Mapping[Part, int]) -> float:
    """The less of it was shown before, the lower."""
    return -sum(0.1 ** shown[part] for part in _parts(row))


def _parts(row: Row) -> list[Part]:
    """Its pairs of values, and the values themselves."""
    return [*combinations(row.items(), 2), *((item,) for item in row.items())]
