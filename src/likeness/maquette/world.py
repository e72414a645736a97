"""What a maquette character can be, and how it can be seen: the truth behind every drawing.

Left and right are the character's own for traits (`left_eye`), and the viewer's for views (`profile left` faces the
picture's left edge). A positive yaw turns the character towards the picture's left edge, which brings its own left side
to the front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import cos, radians

import numpy as np

from likeness.seeds import stream

__all__ = [
    "EYE_COLOURS",
    "HELD_OUT_PAIRS",
    "HELD_OUT_VALUES",
    "KINDS",
    "SCENE_AXES",
    "TRAITS",
    "Drawing",
    "Identity",
    "Scene",
    "character",
    "is_unseen",
    "random_identity",
    "random_scene",
    "scene_tags",
    "trait_tags",
    "visible_axes",
    "visible_traits",
    "vocabulary",
    "with_view",
]

KINDS: dict[str, tuple[str, ...]] = {
    "face": ("eye_shape", "left_eye", "right_eye", "mark", "nose", "skin"),
    "body": ("head_ratio", "height", "build"),
    "clothing": ("garment", "garment_colour", "pattern"),
    "attributes": ("ears", "horns", "tail", "hair_style", "hair_colour", "streak", "accessory"),
}
EYE_COLOURS = ("blue", "green", "red", "gold", "purple", "black")
TRAITS: dict[str, tuple[str, ...]] = {
    "eye_shape": ("round", "narrow", "droopy"),
    "left_eye": EYE_COLOURS,
    "right_eye": EYE_COLOURS,
    "mark": ("none", "left scar", "right scar", "left star", "right star", "freckles", "left diamond"),
    "nose": ("dot", "muzzle", "red"),
    "skin": ("fair", "tan", "dark", "blue"),
    "head_ratio": ("big", "medium", "small"),
    "height": ("short", "medium", "tall"),
    "build": ("slim", "average", "stout"),
    "garment": ("dress", "hoodie", "coat", "overalls", "robe"),
    "garment_colour": ("red", "blue", "green", "yellow", "purple", "black", "white", "orange"),
    "pattern": ("plain", "striped", "dotted", "trimmed"),
    "ears": ("human", "cat", "rabbit", "bear", "elf"),
    "horns": ("none", "devil", "unicorn", "ram"),
    "tail": ("none", "cat", "fox", "dragon"),
    "hair_style": ("bob", "long", "twintails", "spiky", "bun", "curly"),
    "hair_colour": ("black", "brown", "blonde", "red", "blue", "green", "pink", "white", "purple", "teal"),
    "streak": ("none", "white", "pink"),
    "accessory": ("none", "scarf", "glasses", "crown", "headphones"),
}
SCENE_AXES: dict[str, tuple[str, ...]] = {
    "view": ("front", "three-quarter left", "three-quarter right", "profile left", "profile right", "back"),
    "framing": ("face", "upper body", "full body"),
    "expression": ("neutral", "smile", "laughing", "sad", "angry", "surprised"),
    "pose": ("standing", "waving", "arms up", "hands on hips", "pointing"),
    "background": ("white", "meadow", "beach", "night", "room", "sunset"),
}

# What the embedded Stable Diffusion never saw: an unseen character has at least one such value and one such pair.
HELD_OUT_VALUES: tuple[tuple[str, str], ...] = (
    ("hair_colour", "teal"),
    ("garment_colour", "orange"),
    ("mark", "left diamond"),
)
HELD_OUT_PAIRS: tuple[tuple[tuple[str, str], tuple[str, str]], ...] = (
    (("ears", "rabbit"), ("tail", "dragon")),
    (("ears", "bear"), ("horns", "devil")),
    (("garment", "coat"), ("pattern", "dotted")),
    (("hair_style", "twintails"), ("horns", "ram")),
    (("left_eye", "gold"), ("right_eye", "purple")),
    (("left_eye", "red"), ("right_eye", "blue")),
    (("accessory", "crown"), ("hair_style", "spiky")),
    (("garment", "robe"), ("tail", "cat")),
)

_YAW = {  # degrees: the middle of each view, and how far it may turn
    "front": (0, 9),
    "three-quarter left": (34, 8),
    "three-quarter right": (-34, 8),
    "profile left": (68, 6),
    "profile right": (-68, 6),
    "back": (180, 14),
}
_TRAIT_TAGS = {  # where a tag is not value and noun
    "mark": {
        "left scar": "scar on left cheek",
        "right scar": "scar on right cheek",
        "left star": "star on left cheek",
        "right star": "star on right cheek",
        "freckles": "freckles",
        "left diamond": "diamond on left cheek",
    },
    "nose": {"dot": "dot nose", "muzzle": "animal muzzle", "red": "red nose"},
    "height": {"short": "short", "medium": "medium height", "tall": "tall"},
    "build": {"slim": "slim", "average": "average build", "stout": "stout"},
    "horns": {"devil": "devil horns", "unicorn": "unicorn horn", "ram": "ram horns"},
    "hair_style": {
        "bob": "bob cut",
        "long": "long hair",
        "twintails": "twintails",
        "spiky": "spiky hair",
        "bun": "hair bun",
        "curly": "curly hair",
    },
    "accessory": {"scarf": "scarf", "glasses": "glasses", "crown": "crown", "headphones": "headphones"},
}
_NOUNS = {
    "eye_shape": "eyes",
    "left_eye": "left eye",
    "right_eye": "right eye",
    "skin": "skin",
    "head_ratio": "head",
    "pattern": "clothes",
    "ears": "ears",
    "tail": "tail",
    "hair_colour": "hair",
    "streak": "streak",
}
_SCENE_TAGS = {  # where a tag is not the value
    "view": {
        "front": "front view",
        "three-quarter left": "turned left",
        "three-quarter right": "turned right",
        "back": "from behind",
    },
    "framing": {"face": "close-up"},
    "expression": {"neutral": "neutral face"},
    "background": {"white": "white background", "night": "night sky"},
}
_CUT_OFF_BY = {  # what a framing leaves out; what little of it shows cannot be named
    "face": {*KINDS["body"], "garment", "pattern", "tail", "pose"},
    "upper body": {"height", "pattern"},  # sashes, capes and bibs leave too little cloth above the waist
    "full body": set[str](),
}
_SHIFT, _ZOOM = 0.02, 0.02  # at most, as shares of the picture: about one pixel at 64 px
_PROFILES = ("profile left", "profile right")
_EYE_AZIMUTH, _MARK_AZIMUTH = 27, 37  # degrees, on the character's left; negative on its right


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a character is.

    Attributes:
        traits: a value for every name of `TRAITS`.
        class_words: what it is, as a tag: "1girl" or "1boy"; the first has heavier lashes.
    """

    traits: Mapping[str, str]
    class_words: str = "1girl"

    def __getitem__(self, trait: str) -> str:
        return self.traits[trait]


@dataclass(frozen=True, slots=True)
class Scene:
    """How a character is seen: a value for every name of `SCENE_AXES`, and where the camera stands.

    Attributes:
        yaw: degrees; positive turns the character towards the picture's left edge.
        shift_x: to the right, as a share of the picture's side.
        shift_y: down, as a share of the picture's side.
        zoom: 1 as the framing says; larger is closer.
    """

    view: str = "front"
    framing: str = "full body"
    expression: str = "neutral"
    pose: str = "standing"
    background: str = "white"
    yaw: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    zoom: float = 1.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture's truth: who is on it, and how."""

    identity: Identity
    scene: Scene


def is_unseen(identity: Identity) -> bool:
    """True when the embedded Stable Diffusion was never shown one of this identity's values or pairs of values."""
    return any(identity[name] == value for name, value in HELD_OUT_VALUES) or any(
        identity[a] == x and identity[b] == y for (a, x), (b, y) in HELD_OUT_PAIRS
    )


def random_identity(rng: np.random.Generator, *, seen_only: bool = False) -> Identity:
    """An identity at random; with `seen_only`, one without any held-out value or pair."""
    while True:
        traits = {name: str(rng.choice(values)) for name, values in TRAITS.items()}
        if rng.random() < 0.7:  # most characters have two eyes of one colour
            traits["right_eye"] = traits["left_eye"]
        for name, share in (("mark", 0.3), ("horns", 0.3), ("streak", 0.3)):  # and often no mark, horns or streak
            if rng.random() < share:
                traits[name] = "none"
        identity = Identity(traits, str(rng.choice(["1girl", "1boy"])))
        if traits["streak"] == traits["hair_colour"] or (seen_only and is_unseen(identity)):
            continue
        return identity


def character(number: int) -> Identity:
    """The unseen character of this number: at least one held-out value and one held-out pair, always the same."""
    rng = stream(number, "maquette character")
    while True:
        traits = dict(random_identity(rng, seen_only=True).traits)
        name, value = HELD_OUT_VALUES[int(rng.integers(len(HELD_OUT_VALUES)))]
        traits[name] = value
        traits.update(HELD_OUT_PAIRS[int(rng.integers(len(HELD_OUT_PAIRS)))])
        if traits["streak"] != traits["hair_colour"]:
            return Identity(traits, str(rng.choice(["1girl", "1boy"])))


def random_scene(rng: np.random.Generator, **fixed: str) -> Scene:
    """A scene at random, each value of an axis as likely as the others, with any axis of `SCENE_AXES` held fixed."""
    chosen = {axis: fixed.get(axis) or str(rng.choice(values)) for axis, values in SCENE_AXES.items()}
    middle, spread = _YAW[chosen["view"]]
    shift_x, shift_y = (float(shift) for shift in rng.uniform(-_SHIFT, _SHIFT, 2))
    yaw, zoom = float(middle + rng.uniform(-spread, spread)), float(rng.uniform(1 - _ZOOM, 1 + _ZOOM))
    return Scene(**chosen, yaw=yaw, shift_x=shift_x, shift_y=shift_y, zoom=zoom)


def with_view(scene: Scene, view: str) -> Scene:
    """The same scene seen from the middle of another view."""
    return replace(scene, view=view, yaw=float(_YAW[view][0]))


def visible_traits(identity: Identity, scene: Scene) -> tuple[str, ...]:
    """Names of the traits that this scene shows; the others cannot be read off the picture."""
    cut_off = _CUT_OFF_BY[scene.framing]
    return tuple(name for name in TRAITS if name not in cut_off and _faces_viewer(name, identity[name], scene))


def _faces_viewer(name: str, value: str, scene: Scene) -> bool:
    """Whether a trait of this value is on the side that the scene shows, and uncovered."""
    if name in KINDS["face"] or (name, value) == ("accessory", "glasses"):
        return scene.view != "back" and _is_side_visible(name, value, scene.yaw)
    if name == "streak":
        return scene.view not in _PROFILES
    if name == "ears":  # hair covers human and elf ears from the side
        return scene.view not in _PROFILES or value not in ("human", "elf")
    if name == "tail":  # it swings out to the character's left, which is then behind the body
        return scene.view != "three-quarter right"
    return True


def _is_side_visible(name: str, value: str, yaw: float) -> bool:
    """Whether a feature of the face is on the side that is turned to the viewer."""
    if name not in ("left_eye", "right_eye", "mark") or value in ("none", "freckles"):
        return True
    azimuth = _MARK_AZIMUTH if name == "mark" else _EYE_AZIMUTH
    side = 1 if name == "left_eye" or value.startswith("left ") else -1
    return cos(radians(side * azimuth - yaw)) > 0.3  # below, it is squeezed to less than a third of its width


def visible_axes(scene: Scene | Mapping[str, str]) -> tuple[str, ...]:
    """Names of the axes that this scene shows: no expression from behind, no pose in a close-up.

    Args:
        scene: or some values of one, by axis; what is left out hides nothing.
    """
    values = _values_of(scene)
    hidden = {"expression"} if values.get("view") == "back" else set[str]()
    hidden |= _CUT_OFF_BY.get(values.get("framing", ""), set())
    return tuple(axis for axis in SCENE_AXES if axis not in hidden)


def _values_of(scene: Scene | Mapping[str, str]) -> Mapping[str, str]:
    return scene if isinstance(scene, Mapping) else {axis: getattr(scene, axis) for axis in SCENE_AXES}


def trait_tags(traits: Mapping[str, str]) -> list[str]:
    """Booru-style tags of these trait values, in a fixed order; a value of "none" has no tag.

    Two eyes of one colour share a tag, and so do a garment and its colour.
    """
    return [tag for name in TRAITS if (tag := _trait_tag(name, traits))]


def _trait_tag(name: str, traits: Mapping[str, str]) -> str:
    """The tag of one trait among others; "" where it has none, or where another trait's tag says it."""
    value = traits.get(name, "none")
    has_one_eye_colour = "left_eye" in traits and traits["left_eye"] == traits.get("right_eye")
    if value == "none" or (name == "garment" and "garment_colour" in traits):
        return ""
    if name in ("left_eye", "right_eye") and has_one_eye_colour:
        return f"{value} eyes" if name == "left_eye" else ""
    if name == "garment_colour":
        return f"{value} {traits.get('garment', 'clothes')}"
    if name == "garment":
        return value
    return _TRAIT_TAGS[name][value] if name in _TRAIT_TAGS else f"{value} {_NOUNS[name]}"


def scene_tags(scene: Scene | Mapping[str, str]) -> list[str]:
    """Booru-style tags of a scene, or of some values of one, by axis. What the scene cannot show has none."""
    values = _values_of(scene)
    shown = [axis for axis in visible_axes(values) if axis in values]
    return [_SCENE_TAGS.get(axis, {}).get(values[axis], values[axis]) for axis in shown]


def vocabulary() -> list[str]:
    """Every word that a tag or a class word of this world can contain, sorted."""
    tags = ["1girl", "1boy", *(f"{colour} eyes" for colour in EYE_COLOURS), "clothes"]
    for name, values in TRAITS.items():
        tags += [tag for value in values for tag in trait_tags({name: value})]
    for axis, values in SCENE_AXES.items():
        tags += [tag for value in values for tag in scene_tags({axis: value})]
    return sorted({word for tag in tags for word in tag.split()})
