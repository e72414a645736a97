"""A reader in five lines, for tests that must not depend on weights. Named in a recipe as `fake_reader:FakeReader`."""

from collections.abc import Sequence

from likeness.images import Pixels
from likeness.maquette.world import TRAITS
from likeness.records import Reading


class FakeReader:
    """Sees the front view of the same character in every picture, and its mean brightness as its background."""

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        seen: dict[str, object] = {"view": "front", "framing": "face", "expression": "smile", "pose": "standing"}
        traits = {name: values[0] for name, values in TRAITS.items()}
        return [
            Reading(
                **seen, background=f"grey {p.mean():.0f}", traits=traits, instrument="fake", instrument_sha256="0" * 64
            )
            for p in pictures
        ]
