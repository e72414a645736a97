"""Measures: what one model drew, what it is measured with, and whether what is seen is what was asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy

from likeness.evaluation.artefacts import Usual
from likeness.evaluation.calibration import bin_of
from likeness.evaluation.copies import Copies
from likeness.evaluation.known import Known, Seen
from likeness.evaluation.shots import NO_SEED, Shot
from likeness.images import Pixels
from likeness.perception.encoders import Encoder
from likeness.records import Reading
from likeness.statistics import Floats

__all__ = ["SCENE", "Drawn", "Measure", "asked_otherwise", "is_as_asked", "seen_of"]

SCENE = ("view", "framing", "expression", "pose")
"""What a LoRA is to leave free."""


@dataclass(frozen=True)
class Drawn:
    """What one model drew.

    Attributes:
        shots: that it was asked for.
        pixels: a picture of each.
        readings: what the reader saw in each.
    """

    shots: Sequence[Shot]
    pixels: Sequence[Pixels]
    readings: Sequence[Reading]

    @cached_property
    def seen(self) -> list[Seen]:
        """Pictures with what was seen in them."""
        return [Seen(*pair) for pair in zip(self.pixels, self.readings, strict=True)]


@dataclass(frozen=True)
class Measure:
    """What pictures are measured with.

    Attributes:
        known: the character.
        base: what the base drew, of all the shots.
        encoder: what tells how far a picture moved.
        copies: what finds copies; None where the training pictures are not there.
        usual: what pictures in order look like.
    """

    known: Known
    base: Drawn
    encoder: Encoder
    copies: Copies | None
    usual: Usual

    @cached_property
    def base_at(self) -> Mapping[tuple[str, int], int]:
        """Where the base's picture of a shot is."""
        return {(shot.prompt, shot.seed): place for place, shot in enumerate(self.base.shots) if shot.seed != NO_SEED}

    @cached_property
    def base_rows(self) -> Floats:
        """The encoder's rows of the base's pictures."""
        return numpy.asarray(self.encoder.encode(self.base.pixels), dtype=float)

    @cached_property
    def base_rates(self) -> Mapping[str, float]:
        """By what is asked, how often the base itself draws it; what it is never asked for is left out."""
        hits: dict[str, list[bool]] = {}
        for shot, reading in zip(self.base.shots, self.base.readings, strict=True):
            for name, value in shot.asked.items():
                if (seen := seen_of(reading, name)) is not None:
                    hits.setdefault(name, []).append(is_as_asked(seen, value))
        return {name: fmean(some) for name, some in hits.items()}


def asked_otherwise(shot: Shot, known: Known) -> frozenset[str]:
    """Traits that a person's own prompt asks to be otherwise than the character's: no likeness is told by them."""
    if shot.kind != "yours":
        return frozenset()
    told = ((name, value) for name, value in shot.asked.items() if name in known.parts)
    return frozenset(name for name, value in told if not known.is_own(name, value, {}))


def seen_of(reading: Reading, name: str) -> str | None:
    """What was seen of an axis of the scene, or of a trait."""
    return getattr(reading, name) if name in (*SCENE, "background") else reading.traits.get(name)


def is_as_asked(seen: str, asked: str) -> bool:
    """A view without a side is met by either."""
    return seen == asked or (bin_of(asked) == asked and bin_of(seen) == asked)
