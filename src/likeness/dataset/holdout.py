"""Holding out: which pictures are kept for measuring, and never trained on."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy
from numpy.typing import NDArray

from likeness.dataset.coverage import cell_of, embedding_rows
from likeness.records import Picture

__all__ = ["LEAST", "how_many", "pick"]

LEAST = 4
"""Fewest pictures that a character can be measured against."""

_SURE = 0.97
"""Confidence from which on a reading is taken to be right when the last picture of a cell is looked for. At 0.9, two of
30 pools lost a cell to a reading that was wrong."""


def how_many(usable: int, share: float) -> int:
    """How many of `usable` pictures to hold out: the share, at least `LEAST`; of fewer than 20, a fifth. None for 0."""
    if not share:
        return 0
    return min(max(LEAST, round(share * usable)), usable // 2 if share > 0.2 else usable // 5)


def pick(units: Mapping[str, Sequence[Picture]], count: int, sealed: Sequence[Picture] = ()) -> list[Picture]:
    """Pictures to hold out, until there are `count` of them: whole units, spread over views as the pool is.

    A unit is taken only if what it shows is surely shown by others too, so that training loses no view or expression,
    as long as there are such units: a view of which nothing can be spared is not held out. Among them the view comes
    first that lacks most for its share. Where nobody told views, those are taken that look least like those before.

    Args:
        units: pictures that belong together (copies and near-copies of one scene) under one name.
        count: how many to hold out in all.
        sealed: pictures that are held out already, and stay.
    """
    held = list(sealed)
    left = {name: unit for name, unit in units.items() if not {one.id for one in unit} & {one.id for one in sealed}}
    views = Counter(_view(one) for unit in units.values() for one in unit)
    rest = Counter(cell for unit in left.values() for one in unit if (cell := _sure_cell(one)))
    taken = Counter(_view(one) for one in held)
    names, rows = list(left), embedding_rows([unit[0].reading for unit in left.values()])
    near = dict(zip(names, _nearest(rows, held), strict=True))
    while len(held) < count:
        room = count - len(held)
        fitting = [name for name, unit in left.items() if len(unit) <= room]
        if not fitting:  # nothing but scenes of many pictures: to hold one out whole would leave little to learn from
            break
        owed = {view: times * count / views.total() - taken[view] for view, times in views.items()}
        ranks = {name: (*_rank(left[name], rest, owed[_view(left[name][0])]), -near[name], name) for name in fitting}
        unit = left.pop(max(fitting, key=ranks.__getitem__))
        held += unit
        taken.update(_view(one) for one in unit)
        rest.subtract(cell for one in unit if (cell := _sure_cell(one)))
        near = {name: max(near[name], value) for name, value in zip(names, _nearest(rows, unit), strict=True)}
    return held


def _rank(
    unit: Sequence[Picture], rest: Counter[tuple[str, str]], owed: float
) -> tuple[bool, bool, float, bool, int, float]:
    """How good a unit is to hold out, the weightiest reason first.

    Args:
        unit: the pictures.
        rest: how often each cell was surely read among all that are left.
        owed: pictures that its view still lacks for its share.
    """
    own = Counter(cell for one in unit if (cell := cell_of(one.reading)))
    spare = min((rest[cell] - times for cell, times in own.items()), default=1)
    confidence = _confidence(unit)
    return spare >= 1, owed > 0, owed, confidence >= _SURE, min(spare, 2), confidence


def _nearest(rows: NDArray[numpy.float64], held: Sequence[Picture]) -> list[float]:
    """How like each row is to the likest of some pictures; 0 where there is nothing to compare."""
    own = embedding_rows([one.reading for one in held])
    if not own.size or own.shape[1] != rows.shape[1]:
        return [0.0] * len(rows)
    return (rows @ own.T).max(axis=1).tolist()


def _view(picture: Picture) -> str:
    return (picture.reading.view if picture.reading else None) or ""


def _sure_cell(picture: Picture) -> tuple[str, str] | None:
    """The view and expression of a picture, if both were read surely."""
    return cell_of(picture.reading) if _confidence([picture]) >= _SURE else None


def _confidence(unit: Sequence[Picture]) -> float:
    """The least sure of the views and expressions that were read in a unit; 1 where no instrument was asked."""
    told = [one.reading.confidence for one in unit if one.reading]
    return min((some.get(axis, 1.0) for some in told for axis in ("view", "expression")), default=1.0)
