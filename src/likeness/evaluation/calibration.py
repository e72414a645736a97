"""Calibration: likeness on a scale where strangers are 0 and real pictures of the character, among themselves, are 1.

What an encoder calls alike hangs on the encoder and on how a character is turned: so each view has its own 0 and 1.

Shapes: X pictures, N held-out pictures, E embedding.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy

from likeness.errors import PictureError
from likeness.records import Reading
from likeness.statistics import Floats

__all__ = ["Mark", "Ruler", "Scale", "bin_of"]

NEAREST = 3  # held-out pictures that one is compared with: a mean of all would punish a view that few of them show
FEWEST = 4  # held-out pictures, as curation holds out at least; one of them is always left out
ENOUGH = 5  # pictures of a view, real and others, from which on it has a scale of its own
APART = 0.1  # of an embedding's length: an encoder for which strangers are nearer than that cannot tell them apart


@dataclass(frozen=True, slots=True)
class Mark:
    """How alike one picture is.

    Attributes:
        value: calibrated; None where it could not be told.
        raw: the mean likeness to the nearest held-out pictures, any one of them left out, in [-1, 1].
        missing: why there is no value, in words; empty where there is one.
        nearest: place of the training picture that it is most like, where such are compared with.
        grain: what one thing more that is right would change of the value; 0 where it counts no things.
        raw_grain: the same of the raw one.
    """

    value: float | None
    raw: float | None
    missing: str = ""
    nearest: int | None = None
    grain: float = 0.0
    raw_grain: float = 0.0


@dataclass(frozen=True, slots=True)
class Scale:
    """Where 0 and 1 lie, by view.

    Attributes:
        zeros: by view, what others reach; "" for all views together.
        ones: by view, what the character's own pictures reach.
    """

    zeros: Mapping[str, float]
    ones: Mapping[str, float]

    @classmethod
    def of(cls, real: Sequence[tuple[str | None, float]], others: Sequence[tuple[str | None, float]]) -> "Scale":
        """The scale that pictures give, each by its view and what it reaches; at least one of each."""
        return cls(_by_view(others), _by_view(real))

    def mark(self, view: str | None, raw: float, *, instrument: str, grain: float = 0.0) -> Mark:
        """A picture's place on it; `grain` is what one thing more that is right would change of `raw`."""
        place = bin_of(view)
        place = place if place in self.zeros and place in self.ones else ""
        if place not in self.zeros:
            return Mark(None, raw, "too few pictures of others, to tell what no likeness is")
        if place not in self.ones:
            return Mark(None, raw, "too few real pictures, to tell how alike they are")
        span = self.ones[place] - self.zeros[place]
        if span < APART:
            where = f" in the view {place!r}" if place else ""
            return Mark(None, raw, f"{instrument} cannot tell this character from others{where}")
        return Mark((raw - self.zeros[place]) / span, raw, grain=grain / span, raw_grain=grain)


@dataclass(frozen=True, slots=True)
class Ruler:
    """How alike a character's pictures are as a whole.

    Attributes:
        held_out_NE: embeddings of the held-out pictures; only with them is anything compared.
        scale: of what is nearest to them.
        instrument_sha256: of the weights that saw all of them: scores of different encoders are never compared.
    """

    held_out_NE: Floats
    scale: Scale
    instrument_sha256: str

    @classmethod
    def of(cls, held_out: Sequence[Reading], training: Sequence[Reading], others: Sequence[Reading]) -> "Ruler":
        """The scale of one character.

        Args:
            held_out: real pictures that nothing was trained on; at least 4 of them with an embedding.
            training: other real pictures of the character: they tell how alike real pictures are, and nothing else.
            others: pictures of other characters, or of what the base draws for the class words; of fewer than 5
                nothing is calibrated, and raw likeness is told alone.

        Raises:
            PictureError: where there are too few of any.
        """
        known = [_embedded(readings) for readings in (held_out, training, others)]
        needed = {"held-out pictures": FEWEST, "training pictures": ENOUGH}
        for some, (words, least) in zip(known, needed.items(), strict=False):
            if len(some) < least:
                raise PictureError(
                    f"{len(some)} {words} show enough of the character to compare; {least} are needed. Add pictures "
                    "and curate again, or set perception.reader to one that knows characters apart."
                )
        shas = {reading.instrument_sha256 for some in known for reading in some}
        assert len(shas) == 1, "readings of different instruments are never compared"
        held_out_NE = _rows(known[0])
        ones, zeros = (_told(some, _nearness(_rows(some), held_out_NE)) if some else [] for some in known[1:])
        return cls(held_out_NE, Scale.of(ones, zeros), shas.pop())

    def marks(self, readings: Sequence[Reading]) -> list[Mark]:
        """How alike each picture is: 1 as the real ones, 0 as others; below and above are possible."""
        found = []
        for reading in readings:
            if reading.embedding is None:
                found.append(Mark(None, None, "nothing to compare was seen"))
                continue
            assert reading.instrument_sha256 == self.instrument_sha256, "seen by another instrument"
            found.append(self._mark(reading, float(_nearness(_rows([reading]), self.held_out_NE)[0])))
        return found

    def own_marks(self, held_out: Sequence[Reading]) -> list[Mark]:
        """The same for those held-out pictures that the scale was made with, each compared with the others."""
        likeness_NN = self.held_out_NE @ self.held_out_NE.T
        numpy.fill_diagonal(likeness_NN, -numpy.inf)
        return [
            self._mark(reading, _nearest(row_N))
            for reading, row_N in zip(_embedded(held_out), likeness_NN, strict=True)
        ]

    def _mark(self, reading: Reading, raw: float) -> Mark:
        return self.scale.mark(reading.view, raw, instrument=reading.instrument)


def bin_of(view: str | None) -> str:
    """A view without its side, as "profile" of "profile left": for an encoder both are alike hard. "" for none."""
    return (view or "").removesuffix(" left").removesuffix(" right")


def _embedded(readings: Sequence[Reading]) -> list[Reading]:
    return [reading for reading in readings if reading.embedding is not None]


def _rows(readings: Sequence[Reading]) -> Floats:
    return numpy.array([reading.embedding for reading in readings], dtype=float)


def _nearness(rows_XE: Floats, held_out_NE: Floats) -> Floats:
    """The mean likeness to the nearest held-out pictures, when any one of them is left out: a held-out picture, which
    cannot be compared with itself, has one fewer to be near to too."""
    likeness_XN = rows_XE @ held_out_NE.T
    count = likeness_XN.shape[1]
    left_out = [numpy.delete(likeness_XN, place, axis=1) for place in range(count)]
    return numpy.mean([[_nearest(row) for row in some] for some in left_out], axis=0)


def _nearest(likeness_N: Floats) -> float:
    return float(numpy.sort(likeness_N)[-NEAREST:].mean())


def _told(readings: Sequence[Reading], raw_X: Floats) -> list[tuple[str | None, float]]:
    return [(reading.view, raw) for reading, raw in zip(readings, raw_X.tolist(), strict=True)]


def _by_view(told: Sequence[tuple[str | None, float]]) -> dict[str, float]:
    """The mean of each view that enough pictures show, and of all under ""."""
    found: dict[str, list[float]] = {"": []}
    for view, raw in told:
        for place in {"", bin_of(view)}:
            found.setdefault(place, []).append(raw)
    return {place: float(numpy.mean(raws)) for place, raws in found.items() if len(raws) >= ENOUGH}
