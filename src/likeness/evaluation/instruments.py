"""Instruments: what draws and what looks, and what pictures are measured against, as an evaluation is given them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from likeness.evaluation.artefacts import Usual
from likeness.evaluation.copies import Copies
from likeness.evaluation.known import Seen, know
from likeness.evaluation.measure import SCENE, Drawn, Measure
from likeness.evaluation.shots import Shot
from likeness.images import Pixels
from likeness.perception import Reader
from likeness.perception.encoders import Encoder
from likeness.recipe import EvaluateConfig
from likeness.records import Reading

__all__ = ["Draw", "Instruments", "Real", "SeenReal", "measure_with"]

FEWEST = 4  # real pictures of each kind, below which copies cannot be told from new pictures

Draw = Callable[[str, Sequence[Shot]], list[Pixels]]
"""Pictures of the shots, by the candidate of a name or the base."""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What draws and what looks.

    Attributes:
        draw: makes the pictures.
        reader: looks at them.
        traits_of: what a reading says of the character, for a reader whose words are tags.
        part_of: which part of the character a trait belongs to.
        encoder: tells how far pictures moved.
        copy_encoder: tells copies.
    """

    draw: Draw
    reader: Reader
    traits_of: Callable[[Reading], Mapping[str, str]]
    part_of: Callable[[str], str]
    encoder: Encoder
    copy_encoder: Encoder

    @property
    def knows_characters(self) -> bool:
        """Whether anything here tells characters apart: the reader, or a general encoder in its place."""
        return self.reader.same_character is not None or self.encoder.name != "plain"

    def read(self, pixels: Sequence[Pixels]) -> list[Reading]:
        """What the reader sees, with the traits that its tags say, and where it knows no characters the encoder's
        embedding for its own."""
        found = [one.model_copy(update={"traits": dict(self.traits_of(one))}) for one in self.reader.read(pixels)]
        if self.reader.same_character is not None or not self.knows_characters:
            return found
        rows = self.encoder.encode(pixels)
        return [
            one.model_copy(
                update={
                    "embedding": tuple(round(float(x), 5) for x in row_E),
                    "instrument": f"{one.instrument} and {self.encoder.name}",
                    "instrument_sha256": sha256((one.instrument_sha256 + self.encoder.sha256).encode()).hexdigest(),
                }
            )
            for one, row_E in zip(found, rows, strict=True)
        ]

    def look(self, shots: Sequence[Shot], pixels: Sequence[Pixels]) -> Drawn:
        """Pictures of shots, with what the reader sees; a person's own prompts ask for what their words say of the
        character, as the reader's words would."""
        return Drawn([self._understood(shot) for shot in shots], pixels, self.read(pixels))

    def _understood(self, shot: Shot) -> Shot:
        if shot.kind != "yours":
            return shot
        said = {part.strip().lower(): 1.0 for part in shot.prompt.split(",") if part.strip()}
        traits = self.traits_of(Reading(tags=said, instrument="prompt", instrument_sha256="0" * 64))
        return shot.model_copy(update={"asked": {**traits, **shot.asked}})

    def looked_at(self, pixels: Sequence[Pixels]) -> list[Seen]:
        """The pictures, with what the reader sees."""
        return [Seen(*pair) for pair in zip(pixels, self.read(pixels), strict=True)]


@dataclass(frozen=True, slots=True)
class Real:
    """Real pictures of the character.

    Attributes:
        held_out: that nothing was trained on; with them all is compared.
        others: more of them, which tell how alike real pictures are: those that were trained on, say.
        trained_on: those that the candidates were trained on, of which copies are looked for; none where they are not
            here.
    """

    held_out: Sequence[Pixels]
    others: Sequence[Pixels]
    trained_on: Sequence[Pixels] = ()

    def seen(self, instruments: Instruments) -> "SeenReal":
        """The same, with what the reader sees in them."""
        return SeenReal(*(instruments.looked_at(some) for some in (self.held_out, self.others, self.trained_on)))


@dataclass(frozen=True, slots=True)
class SeenReal:
    """Real pictures, with what was seen in them; see `Real`."""

    held_out: list[Seen]
    others: list[Seen]
    trained_on: list[Seen]


def measure_with(base: Drawn, real: SeenReal, instruments: Instruments, config: EvaluateConfig) -> Measure:
    """What pictures are measured with, once the base's are there. Strangers are what it draws where it is asked for one
    of the class; not for cats and lakes, and not where a planned prompt says more of the character than its trigger."""
    strangers = [
        reading
        for shot, reading in zip(base.shots, base.readings, strict=True)
        if shot.kind != "others" and (shot.kind == "yours" or not shot.asked.keys() - {*SCENE, "background"})
    ]
    known = know(
        real.held_out,
        real.others,
        strangers,
        part_of=instruments.part_of,
        checklist=config.checklist,
        knows_characters=instruments.knows_characters,
    )
    enough = min(len(real.held_out), len(real.trained_on)) >= FEWEST
    copies = Copies(real.trained_on, real.held_out, instruments.copy_encoder) if enough else None
    usual = Usual.of([*(one.pixels for one in (*real.held_out, *real.others)), *base.pixels])
    return Measure(known, base, instruments.encoder, copies, usual)
