"""Languages: how bases are spoken to, with words for the values that a reader can then tell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType

from likeness.evaluation.calibration import bin_of
from likeness.maquette.world import (
    HELD_OUT_VALUES,
    SCENE_AXES,
    TRAITS,
    Drawing,
    random_identity,
    random_scene,
    scene_tags,
    trait_tags,
    visible_axes,
    visible_traits,
)
from likeness.seeds import stream

__all__ = ["LANGUAGES", "Language", "Override", "scene_words_in", "shown_axes"]

OUTFIT: tuple[str, ...] = ("garment", "garment_colour")
OTHERS = 48  # of the maquette's other characters that can be asked for


@dataclass(frozen=True, slots=True)
class Override:
    """Something that a prompt says of the character, as that it is otherwise than it is.

    Attributes:
        traits: what a reader should then see, name to value.
        words: that ask for it.
    """

    traits: Mapping[str, str]
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How prompts are written for a kind of base.

    Attributes:
        axes: of a scene, by axis and value the words for it. A view without a side is met by either side.
        overrides: that may be asked for.
        traits: what else a person may say of a character.
        backgrounds: by value, the words of those that training pictures seldom have.
        styles: other ways to draw, for which no reader has words.
        others: whole prompts of other things, for a prompt without the trigger.
        front: words that come first in every prompt.
        negative: what is asked against, where the recipe says nothing.
        joint: between the parts of a prompt.
    """

    axes: Mapping[str, Mapping[str, str]]
    overrides: tuple[Override, ...]
    traits: tuple[Override, ...] = ()
    backgrounds: Mapping[str, str]
    styles: tuple[str, ...] = ()
    others: tuple[str, ...]
    front: tuple[str, ...] = ()
    negative: str = ""
    joint: str = ", "

    def say(self, *parts: str) -> str:
        """The parts that are there as one prompt, behind the words that come first."""
        return self.joint.join(part for part in (*self.front, *parts) if part)

    @property
    def scene_words(self) -> set[str]:
        """Every word that scenes are said with."""
        said = [words for values in (*self.axes.values(), self.backgrounds) for words in values.values()]
        return {part for words in said for part in _parts(words)}

    def understood(self, prompt: str) -> dict[str, str]:
        """What a prompt written elsewhere asks for, by axis; of two values of an axis the one with more words."""
        said = _parts(prompt)
        asked: dict[str, str] = {}
        for axis, values in {
            **self.axes,
            "background": {**self.axes.get("background", {}), **self.backgrounds},
        }.items():
            parts = {value: _parts(words) for value, words in values.items()}
            found = [value for value, own in parts.items() if own <= said]
            if found:
                asked[axis] = max(found, key=lambda value: len(parts[value]))
        return asked

    def traits_in(self, prompt: str) -> dict[str, str]:
        """What a prompt written elsewhere says of the character, by trait."""
        said = _parts(prompt)
        found = [one.traits for one in (*self.traits, *self.overrides) if _parts(one.words) <= said]
        return {name: value for traits in found for name, value in traits.items()}


def scene_words_in(caption: str, language: Language) -> set[str]:
    """The words of a language for the scene that a caption tells, in whichever language that is written."""
    found = _parts(caption) & language.scene_words
    for other in LANGUAGES.values():
        for axis, value in other.understood(caption).items():
            values = language.axes.get(axis, {})
            found |= _parts(values.get(value) or values.get(bin_of(value), "")) - {""}
    return found


def _parts(words: str) -> set[str]:
    return {part.strip().lower() for part in words.split(",")}


def shown_axes(scene: Mapping[str, str]) -> dict[str, str]:
    """Those values of a scene that can be seen in it: no expression from behind, no pose in a close-up."""
    return {axis: scene[axis] for axis in visible_axes(scene) if axis in scene}


def _maquette() -> Language:
    axes = {axis: {value: scene_tags({axis: value})[0] for value in values} for axis, values in SCENE_AXES.items()}
    hair = [
        Override({"hair_colour": colour}, f"{colour} hair")
        for colour in TRAITS["hair_colour"]
        if ("hair_colour", colour) not in HELD_OUT_VALUES
    ]
    outfits = [
        Override({"garment": garment, "garment_colour": colour}, f"{colour} {garment}")
        for garment, colour in zip(TRAITS["garment"], ("white", "green", "blue", "red", "yellow"), strict=True)
    ]
    return Language(
        axes=axes,
        overrides=(*hair, *outfits),
        traits=tuple(_traits()),
        backgrounds=axes["background"],
        others=tuple(_other(number) for number in range(OTHERS)),
    )


def _traits() -> Iterator[Override]:
    """Each value of each trait that has a tag, and those that share one: two eyes, a garment and its colour."""
    for name, values in TRAITS.items():
        yield from (Override({name: value}, tag) for value in values for tag in trait_tags({name: value}))
    eyes = ({"left_eye": colour, "right_eye": colour} for colour in TRAITS["left_eye"])
    outfits = (dict(zip(OUTFIT, both, strict=True)) for both in product(*(TRAITS[name] for name in OUTFIT)))
    for traits in (*eyes, *outfits):
        yield from (Override(traits, tag) for tag in trait_tags(traits))


def _other(number: int) -> str:
    """The prompt of a character that the embedded base knows all traits of, by its tags."""
    rng = stream(number, "others asked for")
    one = Drawing(random_identity(rng, seen_only=True), random_scene(rng))
    traits = {name: one.identity[name] for name in visible_traits(one.identity, one.scene)}
    return ", ".join([one.identity.class_words, *trait_tags(traits), *scene_tags(one.scene)])


_BOORU = Language(
    axes={
        "view": {
            "front": "looking at viewer, straight-on",
            "three-quarter": "three quarter view",
            "profile": "from side, profile",
            "back": "from behind",
        },
        "framing": {"face": "portrait, close-up", "upper body": "upper body", "full body": "full body"},
        "expression": {
            "neutral": "expressionless, closed mouth",
            "smile": "light smile, closed mouth",
            "laughing": "laughing, open mouth",
            "sad": "sad, frown",
            "angry": "angry, v-shaped eyebrows",
            "surprised": "surprised, wide-eyed",
        },
        "pose": {"standing": "standing", "sitting": "sitting", "arms up": "arms up", "crossed arms": "crossed arms"},
        "background": {
            "white background": "simple background, white background",
            "outdoors": "outdoors, day",
            "indoors": "indoors",
        },
    },
    overrides=(
        Override({"outfit": "school uniform"}, "school uniform"),
        Override({"hair_colour": "green hair"}, "green hair"),
        Override({"outfit": "kimono"}, "kimono"),
        Override({"hair_colour": "pink hair"}, "pink hair"),
        Override({"outfit": "armor"}, "armor"),
    ),
    backgrounds={
        "beach": "beach, ocean",
        "forest": "forest",
        "night": "night, city lights",
        "classroom": "classroom",
        "underwater": "underwater",
    },
    styles=("monochrome, sketch", "watercolor (medium)", "pixel art", "1990s (style)"),
    others=(
        "1boy, solo, black hair, suit, necktie, upper body, office",
        "1girl, solo, red hair, apron, smile, kitchen",
        "1boy, solo, blonde hair, armor, standing, full body, castle",
        "1girl, solo, black hair, glasses, reading, library",
        "1girl, solo, white hair, winter coat, scarf, snow",
        "1boy, solo, brown hair, hoodie, sitting, street",
        "no humans, scenery, mountain, lake",
        "no humans, cat, sitting, window",
    ),
)

_PROSE = Language(
    axes={
        "view": {
            "front": "facing the viewer",
            "three-quarter": "in three-quarter view",
            "profile": "in profile",
            "back": "seen from behind",
        },
        "framing": {"face": "close-up portrait", "upper body": "upper body shot", "full body": "full body shot"},
        "expression": {
            "neutral": "with a neutral expression",
            "smile": "smiling",
            "laughing": "laughing out loud",
            "sad": "looking sad",
            "angry": "looking angry",
            "surprised": "looking surprised",
        },
        "pose": {
            "standing": "standing",
            "sitting": "sitting on a chair",
            "arms up": "raising both arms",
            "crossed arms": "with crossed arms",
        },
        "background": {
            "white background": "in front of a white wall",
            "outdoors": "outdoors in daylight",
            "indoors": "in a living room",
        },
    },
    overrides=(
        Override({"outfit": "suit"}, "wearing a dark suit"),
        Override({"hair_colour": "blonde hair"}, "with dyed blonde hair"),
        Override({"outfit": "raincoat"}, "wearing a yellow raincoat"),
        Override({"hair_colour": "red hair"}, "with dyed red hair"),
    ),
    backgrounds={
        "beach": "on a beach",
        "forest": "in a forest",
        "night": "in a city street at night",
        "snow": "in the snow",
    },
    styles=("oil painting", "black and white photograph", "watercolour", "pencil sketch"),
    others=(
        "photo of a man in a suit in an office",
        "photo of a woman with red hair in a kitchen",
        "photo of an old man on a bench in a park",
        "photo of a girl with glasses reading in a library",
        "photo of a cat at a window",
        "photo of a mountain lake",
        "photo of a man in a hoodie on a street",
        "photo of a woman in a winter coat in the snow",
    ),
)

_UNWANTED = "lowres, bad anatomy, bad hands, text, watermark"

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        "maquette": _maquette(),
        "booru": _BOORU,
        "illustrious": replace(_BOORU, front=("masterpiece", "best quality"), negative=f"worst quality, {_UNWANTED}"),
        "noobai": replace(
            _BOORU,
            front=("masterpiece", "best quality", "newest", "absurdres"),
            negative=f"worst quality, old, early, {_UNWANTED}",
        ),
        "pony": replace(
            _BOORU, front=("score_9", "score_8_up", "score_7_up"), negative=f"score_4, score_5, score_6, {_UNWANTED}"
        ),
        "prose": _PROSE,
    }
)
"""The quality words are those that the cards of the bases ask for."""
