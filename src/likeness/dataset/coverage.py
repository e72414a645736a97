"""Coverage: which views, framings and expressions a set shows, and which pictures show most together.

Shapes: N pictures.
"""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy
from numpy.typing import NDArray

from likeness.dataset.labels import FRAMINGS, VIEWS
from likeness.records import Reading

__all__ = [
    "AXES",
    "EXPRESSIONS",
    "Chosen",
    "Coverage",
    "Problem",
    "cell_of",
    "choose",
    "embedding_rows",
    "shown",
    "target",
]

EXPRESSIONS = ("neutral", "smile", "laughing", "sad", "angry", "surprised")
"""What a set should show, beside every view and framing. A back view has no expression."""

AXES = {"view": VIEWS, "framing": FRAMINGS, "expression": EXPRESSIONS}
"""What a set should vary in, with the values that it should show."""

Cell = tuple[str, str]
"""A view and an expression; of a back view the expression is empty."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a set of pictures shows, of what it should.

    Attributes:
        cells: how many pairs of a view and an expression there are.
        reachable: how many of them some usable picture shows.
        covered: how many of those a picture to train on shows.
        counts: pictures to train on, by view, framing and expression.
    """

    cells: int
    reachable: int
    covered: int
    counts: Mapping[tuple[str, str, str], int]

    @classmethod
    def of(cls, train: Sequence[Reading | None], usable: Sequence[Reading | None]) -> "Coverage":
        """The coverage of `train`, where all of `usable` (those of `train` among them) could have been chosen."""
        there = {cell for reading in usable if (cell := cell_of(reading))}
        shown_by_train = {cell for reading in train if (cell := cell_of(reading))}
        expected = {(view, expression) for view, expression in product(VIEWS[:-1], EXPRESSIONS)} | {("back", "")}
        counts = Counter(
            (cell[0], reading.framing or "", cell[1]) for reading in train if reading and (cell := cell_of(reading))
        )
        return cls(len(expected | there), len(there), len(shown_by_train & there), counts)


def cell_of(reading: Reading | None) -> Cell | None:
    """The view and expression of a picture; None where one of them could not be told."""
    if reading is None or reading.view is None:
        return None
    if reading.view == "back":
        return ("back", "")
    return (reading.view, reading.expression) if reading.expression else None


def shown(reading: Reading | None) -> frozenset[tuple[str, ...]]:
    """All that a picture shows and a set should: each axis alone, pairs of view and another, and all three at once.

    Outfit and pose count beside them, each alone, as what should vary.
    """
    if reading is None:
        return frozenset()
    values = {"view": reading.view, "framing": reading.framing, "expression": reading.expression}
    if reading.view == "back":
        values["expression"] = None
    single = {(axis, value) for axis, value in values.items() if value}
    beside = {("pose", reading.pose), ("outfit", reading.traits.get("outfit"))}
    view, framing, expression = values.values()
    joint = {("view+expression", view, expression or "")} if view and (expression or view == "back") else set()
    if view and framing:
        joint |= {("view+framing", view, framing), ("all", view, framing, expression or "")}
    return frozenset(single | {(axis, value) for axis, value in beside if value} | joint)


def embedding_rows(readings: Sequence[Reading | None]) -> NDArray[numpy.float64]:
    """The embeddings of some pictures, a row each; of zeros where there is none."""
    rows = [reading.embedding or () if reading else () for reading in readings]
    width = max(map(len, rows), default=0)
    return numpy.array([row or (0.0,) * width for row in rows], float).reshape(len(rows), width)


_WORTH = {"view+expression": 3.0, "view": 2.0, "framing": 2.0, "expression": 2.0, "view+framing": 1.0}
"""Of showing one thing often enough, against 0.3 for the rest: a cell that nobody showed comes before variety."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Pictures to choose from.

    Attributes:
        embeddings: of length 1, one row per picture; a row of zeros where there is none.
        quality: in [0, 1].
        shows: what each shows, as `shown` tells.
        groups: at most `per_group` pictures of one of these are chosen; "" is no group.
        sources: at most `per_source` likewise; 0 is no limit.
        locked: indices that are chosen whatever they bring.
        variety, worth, coverage: weights of the three parts.
    """

    embeddings: NDArray[numpy.float32]
    quality: Sequence[float]
    shows: Sequence[frozenset[tuple[str, ...]]]
    groups: Sequence[str]
    sources: Sequence[str]
    locked: Sequence[int] = ()
    per_group: int = 2
    per_source: int = 0
    variety: float = 1.0
    worth: float = 0.3
    coverage: float = 1.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """A picture that was chosen.

    Attributes:
        index: which.
        new: what it shows that was not shown often enough before it.
        variety: how much better it stands for the pool than those before it, in [0, 1].
        gain: all that it adds to the sum.
    """

    index: int
    new: tuple[tuple[str, ...], ...]
    variety: float
    gain: float


def choose(problem: Problem, count: int) -> list[Chosen]:
    """Up to `count` pictures that together are worth most, in the order in which they were chosen.

    The sum is monotone and submodular: how well the nearest chosen picture stands for each of the pool (facility
    location), quality, and what is shown, each thing up to a target. Lazy greedy: the value of a picture only falls,
    so most need not be looked at again. Without limits it reaches at least 1 - 1/e of the best there is.

    Source: Nemhauser et al. 1978, https://doi.org/10.1007/BF01588971; Minoux 1978 for the lazy order.
    """
    worth = _Worth(problem, count)
    chosen: list[Chosen] = []
    for index in problem.locked:
        chosen.append(worth.take(index))
    heap = [(-worth.gain(index), index) for index in sorted({*range(len(problem.quality))} - {*problem.locked})]
    heapq.heapify(heap)
    while heap and len(chosen) < count:
        _, index = heapq.heappop(heap)
        if not worth.is_allowed(index):
            continue
        gain = worth.gain(index)
        if heap and gain < -heap[0][0] - 1e-12:
            heapq.heappush(heap, (-gain, index))
        else:
            chosen.append(worth.take(index))
    return chosen


class _Worth:
    """The sum so far, and what one more picture would add to it."""

    def __init__(self, problem: Problem, count: int) -> None:
        self.problem = problem
        self.likeness_NN = numpy.clip(problem.embeddings @ problem.embeddings.T, 0, 1)
        self.nearest_N = numpy.zeros(len(problem.quality), numpy.float32)
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.taken = {"group": Counter[str](), "source": Counter[str]()}
        self.count = max(count, 1)

    def gain(self, index: int) -> float:
        """What this picture would add."""
        weights = self.problem
        covered = sum(self._worth_of(thing) for thing in self._missing(index))
        return (
            weights.variety * self._variety(index)
            + weights.worth * weights.quality[index] / self.count
            + weights.coverage * covered / self.count
        )

    def take(self, index: int) -> Chosen:
        """Adds this picture."""
        taken = Chosen(index, tuple(self._missing(index)), self._variety(index), self.gain(index))
        self.nearest_N = numpy.maximum(self.nearest_N, self.likeness_NN[index])
        self.counts.update(self.problem.shows[index])
        self.taken["group"][self.problem.groups[index]] += 1
        self.taken["source"][self.problem.sources[index]] += 1
        return taken

    def is_allowed(self, index: int) -> bool:
        """Whether its group and source have room."""
        group, source = self.problem.groups[index], self.problem.sources[index]
        if group and self.taken["group"][group] >= self.problem.per_group:
            return False
        most = self.problem.per_source
        return not (most and source and self.taken["source"][source] >= most)

    def _variety(self, index: int) -> float:
        return float(numpy.maximum(self.likeness_NN[index] - self.nearest_N, 0).sum()) / len(self.nearest_N)

    def _missing(self, index: int) -> list[tuple[str, ...]]:
        """What it shows that is not shown often enough, in a fixed order."""
        return sorted(thing for thing in self.problem.shows[index] if self.counts[thing] < target(thing[0], self.count))

    def _worth_of(self, thing: tuple[str, ...]) -> float:
        return _WORTH.get(thing[0], 0.3) / target(thing[0], self.count)


def target(axis: str, count: int) -> int:
    """How often each value of an axis should be shown by `count` pictures: half of an even share; a cell, once."""
    return max(1, count // (2 * len(AXES[axis]))) if axis in AXES else 1
