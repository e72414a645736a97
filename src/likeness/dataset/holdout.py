"""Holding out: which pictures are kept for measuring, and never trained on."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy

from likeness.dataset.coverage import cell_of
from likeness.records import Picture

__all__ = ["LEAST", "how_many", "pick"]

LEAST = 4
"""Fewest pictures that a character can be measured against."""

_SURE = 0.97  # confidence from which on a reading is taken to be right when the last picture of a cell is looked for


def how_many(usable: int, share: float) -> int:
    """How many of `usable` pictures to hold out: the share, at least `LEAST`; of fewer than 20, a fifth. None for 0."""
    if not share:
        return 0
    return min(max(LEAST, round(share * usable)), usable // 2 if share > 0.2 else usable // 5)


def pick(units: Mapping[str, Sequence[Picture]], count: int, sealed: Sequence[Picture] = ()) -> list[Picture]:
    """Pictures to hold out, until there are `count` of them: whole units, spread over views as the pool is.

    A unit is taken only if what it shows is shown by others too, so that training loses no view or expression, as long
    as there are such units; and surest first, because a picture that was misread may be the only one of its kind. Where
    nobody told views, those are taken that look least like those that were taken before.

    Args:
        units: pictures that belong together (copies and near-copies of one scene) under one name.
        count: how many to hold out in all.
        sealed: pictures that are held out already, and stay.
    """
    held = list(sealed)
    left = {name: unit for name, unit in units.items() if not {one.id for one in unit} & {one.id for one in sealed}}
    views = Counter(_view(one) for unit in units.values() for one in unit)
    while len(held) < count:
        room = count - len(held)
        fitting = {name: unit for name, unit in left.items() if len(unit) <= room}
        if not fitting:  # nothing but scenes of many pictures: to hold one out whole would leave little to learn from
            break
        taken = Counter(_view(one) for one in held)
        rest = Counter(cell for unit in left.values() for one in unit if (cell := _sure_cell(one)))
        owed = {view: times * count / views.total() - taken[view] for view, times in views.items()}
        ranks = {
            name: (*_rank(unit, rest, owed[_view(unit[0])]), -_nearest(unit[0], held), name)
            for name, unit in fitting.items()
        }
        held += left.pop(max(fitting, key=ranks.__getitem__))
    return held


def _rank(unit: Sequence[Picture], rest: Counter[tuple[str, str]], owed: float) -> tuple[bool, bool, int, float, float]:
    """How good a unit is to hold out, the weightiest reason first.

    Args:
        unit: the pictures.
        rest: how often each cell was surely read among all that are left.
        owed: pictures that its view still lacks for its share.
    """
    own = Counter(cell for one in unit if (cell := cell_of(one.reading)))
    spare = min((rest[cell] - times for cell, times in own.items()), default=1)
    confidence = _confidence(unit)
    return spare >= 1 and confidence >= _SURE, owed > 0, min(spare, 2), owed, confidence


def _nearest(picture: Picture, held: Sequence[Picture]) -> float:
    """How like a picture is to the likest of those that are held out; 0 where there is none, or nothing to compare."""
    own = picture.reading.embedding if picture.reading else None
    others = [one.reading.embedding for one in held if one.reading and one.reading.embedding]
    return float((numpy.array(others) @ numpy.array(own)).max()) if own and others else 0.0


def _view(picture: Picture) -> str:
    return (picture.reading.view if picture.reading else None) or ""


def _sure_cell(picture: Picture) -> tuple[str, str] | None:
    """The view and expression of a picture, if both were read surely."""
    return cell_of(picture.reading) if _confidence([picture]) >= _SURE else None


def _confidence(unit: Sequence[Picture]) -> float:
    """The least sure of the views and expressions that were read in a unit; 1 where no instrument was asked."""
    told = [one.reading.confidence for one in unit if one.reading]
    return min((some.get(axis, 1.0) for some in told for axis in ("view", "expression")), default=1.0)
