"""What a reading says of the character, by name of the trait, whether an instrument names traits or gives tags."""

from collections.abc import Mapping

from likeness.captions.tags import SCENE, booru_tags
from likeness.captions.words import BOTH_EYES, COLOURS, FACIAL, GARMENTS, LENGTHS, head_of, kind_of
from likeness.recipe import CaptionConfig
from likeness.records import Reading

__all__ = [
    "ABSENT",
    "OUTFIT",
    "always_there",
    "group_of",
    "is_hidden_from_behind",
    "scene_seen",
    "tagged_traits",
    "traits_seen",
]

OUTFIT = "outfit"
"""The trait of a tagger's reading that names what is worn."""

ABSENT = ""
"""The value of a trait that a tagger named in other pictures and not in this one."""

CLOTHING = {"garment", "garment_colour", "garment_color", "outfit", "clothing", "clothes", "costume"}
DETAILS = {"pattern", "sleeves", "collar", "material", "fabric"}
NATURAL = ("hair_colour", "hair_length", "eye_colour", "skin", "ears")
"""What every character has: where a tagger does not name it, it could not be told."""


def group_of(name: str) -> str:
    """What a trait is: "outfit" (what is worn), "detail" of it, "removable" (other clothing, accessories), or "body".

    Args:
        name: of the trait, as in a reading, or as `tagged_traits` gives it.
    """
    spaced = name.replace("_", " ")
    if name in CLOTHING:
        return "outfit"
    if name in DETAILS:
        return "detail"
    return "removable" if kind_of(spaced) == "clothing" else "body"


def always_there(name: str) -> bool:
    """Whether a tagger that does not name this trait in a picture could not tell it there."""
    return name in NATURAL


def scene_seen(reading: Reading, min_confidence: float) -> dict[str, str]:
    """What a reading says of the scene, by field, where it is sure of it."""
    seen = {name: value for name in SCENE if (value := getattr(reading, name)) is not None}
    return {name: value for name, value in seen.items() if reading.confidence.get(name, 1.0) >= min_confidence}


def traits_seen(reading: Reading, config: CaptionConfig, min_confidence: float) -> dict[str, str]:
    """The value of each trait that a reading is sure of; an instrument's own traits come before those of its tags.

    Args:
        reading: of one picture.
        config: for the threshold of its tags.
        min_confidence: for the traits that it names itself.
    """
    own = {name: value for name, value in reading.traits.items() if reading.confidence.get(name, 1) >= min_confidence}
    tagged = tagged_traits(reading.tags, config.tag_threshold)
    by_tag = {name: tag for tag, name in reversed(tagged.items())}  # of two, the surer one
    return {**by_tag, **own}


def tagged_traits(tags: Mapping[str, float], threshold: float) -> dict[str, str]:
    """The trait that each tag about the character speaks of, by tag, the surest first; other tags are left out.

    Colours and lengths of hair and the colour of eyes are traits that share a name; of several garments one is the
    outfit. All else is a trait named by its own noun (clothing) or by itself.
    """
    said = booru_tags(tags, threshold=threshold)
    worn = [tag for tag in said if kind_of(tag) == "clothing" and head_of(tag) in GARMENTS]
    outfit = min(worn, key=lambda tag: GARMENTS.index(head_of(tag)), default=None)
    ours = [tag for tag in said if kind_of(tag) in ("trait", "clothing")]
    return {tag: OUTFIT if tag == outfit else _name(tag) for tag in ours}


def _name(tag: str) -> str:
    """The name of the trait that a tag speaks of."""
    rest, _, noun = tag.rpartition(" ")
    if kind_of(tag) == "clothing":
        return head_of(tag)
    if noun == "hair" and rest in LENGTHS:
        return "hair_length"
    if noun in ("hair", "eyes", "skin") and set(rest.split()) <= COLOURS and rest:
        return {"hair": "hair_colour", "eyes": "eye_colour"}.get(noun, noun)
    if noun in ("ears", "tail") and rest:
        return noun
    return tag


def is_hidden_from_behind(name: str) -> bool:
    """Whether a trait of a tagger's is in the face, so that a picture from behind says nothing of it."""
    return head_of(name.replace("_", " ")) in FACIAL or name in ("eye_colour", BOTH_EYES)
