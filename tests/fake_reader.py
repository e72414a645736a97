"""A reader that needs no weights, for tests. Named in a recipe as `fake_reader:FakeReader`."""

from collections.abc import Sequence

import numpy

from likeness.images import Pixels
from likeness.maquette.world import TRAITS
from likeness.records import Reading


class FakeReader:
    """Sees the front view of the same character in every picture, and its mean brightness as its background."""

    same_character = None

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        return [
            Reading(
                view="front",
                framing="face",
                expression="smile",
                pose="standing",
                background=f"grey {picture.mean():.0f}",
                traits={name: values[0] for name, values in TRAITS.items()},
                instrument="fake",
                instrument_sha256="0" * 64,
            )
            for picture in pictures
        ]


class KnowingReader(FakeReader):
    """Knows a character by the colour of its picture."""

    same_character = 0.9

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        found = zip(super().read(pictures), pictures, strict=True)
        return [one.model_copy(update={"embedding": tuple(_direction(picture))}) for one, picture in found]


def _direction(picture: Pixels) -> list[float]:
    mean_3 = picture.reshape(-1, 3).mean(axis=0) - 127.4
    return (mean_3 / numpy.linalg.norm(mean_3)).tolist()
