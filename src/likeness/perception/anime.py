"""The anime reader: what drawings show, by two detectors, a tagger and an encoder of characters.

None of its numbers was calibrated on pictures: they are those of the models' authors, or reasons are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from likeness.images import Pixels
from likeness.perception.boxes import Found, count_of, framing_of, largest, view_of
from likeness.perception.models import MODELS, PROFILES, Model, checked, digest, models_folder
from likeness.perception.networks import BoxFinder, CharacterEncoder, Tagger
from likeness.perception.tag_meaning import UNSURE, Told, background_of, expression_of, pose_of, traits_of
from likeness.records import Reading

__all__ = ["AnimeReader"]

# The scores at which the models' cards say that they do best, and the overlaps that imgutils uses with them.
_HEAD = {"score": 0.413, "most_shared": 0.7}
_PERSON = {"score": 0.324, "most_shared": 0.5}
_FACE = {"score": 0.25, "most_shared": 0.7}


class AnimeReader:
    """Reads anime and cartoon drawings.

    View: "back" and "front" from tags; a profile's side and three-quarter views need the face detector (`anime-face`),
    because tags do not say to which side a head is turned. Where it is not there, or signs disagree, the view is left
    out. The yaw is never told.

    Attributes:
        same_character: two embeddings with a greater cosine show one character, as CCIP's authors set it: a difference
            of at most 0.178475, which is (1 - cosine) / 2.

    Args:
        models: the models folder; None for `models_folder()`.
        registry: what each model must be.

    Raises:
        MissingModel: where a model is missing, or not what it must be.
    """

    same_character = 1 - 2 * 0.178475

    def __init__(self, models: Path | None = None, *, registry: Mapping[str, Model] = MODELS) -> None:
        folder = models or models_folder()
        optional = [name for name in ("anime-face",) if registry[name].path(folder).is_file()]
        found = checked([*PROFILES["anime"], *optional], folder, why="perception.reader = 'anime'", among=registry)
        self.sha256 = digest(found)
        self.heads = BoxFinder(found["anime-head"][0], **_HEAD)
        self.people = BoxFinder(found["anime-person"][0], **_PERSON)
        self.faces = BoxFinder(found["anime-face"][0], **_FACE) if "anime-face" in found else None
        self.tagger = Tagger(found["wd-vit-tagger-v3"][0], found["wd-tags-v3"][0])
        self.encoder = CharacterEncoder(found["ccip"][0])

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        """One reading per picture, in order."""
        return [self._reading(picture) for picture in pictures]

    def _reading(self, pixels: Pixels) -> Reading:
        tags, rating = self.tagger.tag(pixels)
        people = self.people.find(pixels)
        person = largest(people)
        head = largest(self.heads.find(pixels), inside=person)
        face = largest(self.faces.find(pixels), inside=head) if self.faces and head else None
        view = view_of(tags, head, face)
        told: dict[str, Told] = {
            "view": view,
            "framing": framing_of(tags, person, head, pixels.shape[0]),
            "expression": None if view and view[0] == "back" else expression_of(tags),
            "pose": pose_of(tags),
            "background": background_of(tags),
        }
        count = count_of(tags, people)
        traits = traits_of(tags)
        sure = {name: word[1] for name, word in {**told, **traits, "people": count}.items() if word}
        sure |= {name: found.score for name, found in {"subject": person, "face": head}.items() if found}
        return Reading(
            view=_word(told["view"]),
            framing=_word(told["framing"]),
            expression=_word(told["expression"]),
            pose=_word(told["pose"]),
            background=_word(told["background"]),
            people=count[0] if count else None,
            subject=person.box if person else None,
            face=head.box if head else None,
            traits={name: value for name, (value, _) in traits.items()},
            tags={tag: round(share, 4) for tag, share in tags.items() if share >= UNSURE},
            confidence={name: round(min(1.0, share), 4) for name, share in sure.items()},
            rating=rating,
            embedding=self.encoder.encode(_part(pixels, person)),
            instrument="anime",
            instrument_sha256=self.sha256,
        )


def _word(told: Told) -> str | None:
    return told[0] if told else None


def _part(pixels: Pixels, person: Found | None) -> Pixels:
    """The main figure alone: CCIP wants one character."""
    if person is None:
        return pixels
    return pixels[person.box.top : person.box.bottom, person.box.left : person.box.right]
