"""What booru tags say of a drawing, in the words of a reading: expression, pose, background, how many, traits.

Every function takes the probability of each tag, by name, and abstains where the tags do not say. What a tagger is less
sure of than `UNSURE` is not believed.
"""

import re
from collections.abc import Iterable, Mapping

__all__ = ["UNSURE", "Told", "background_of", "expression_of", "people_of", "pose_of", "traits_of"]

Tags = Mapping[str, float]
Told = tuple[str, float] | None
"""A word and how sure it is, in [0, 1]; None: the tags do not say."""

UNSURE = 0.35
"""The threshold that the WD tagger's authors use for general tags."""

_EXPRESSIONS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "laughing": (("laughing",), (":d",), ("open mouth", "smile")),
    "smile": (("smile",), ("light smile",), ("grin",)),
    "sad": (("sad",), ("crying",), ("tears",)),
    "angry": (("angry",), ("annoyed",), ("frown", "v-shaped eyebrows")),
    "surprised": (("surprised",), ("wide-eyed",)),
    "neutral": (("expressionless",),),
}
"""Tags that say an expression, by its word: any one of the groups is enough, all of a group are needed."""

_COLOURS = "aqua|black|blonde|blue|brown|green|grey|orange|pink|purple|red|silver|white|yellow"
_HAIR = re.compile(rf"((?:light |dark )?(?:{_COLOURS})) hair")
_EYES = re.compile(rf"((?:light |dark )?(?:{_COLOURS})) eyes")
_EARS = re.compile(r"(\w+) ears")
_TAIL = re.compile(r"(\w+) tail")
_MIXED_HAIR = ("multicolored hair", "two-tone hair", "streaked hair", "gradient hair", "colored inner hair")

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "hair_length": ("very short hair", "short hair", "medium hair", "long hair", "very long hair", "bald"),
    "hair_style": (
        *("twintails", "low twintails", "short twintails", "ponytail", "high ponytail", "low ponytail"),
        *("side ponytail", "twin braids", "single braid", "hair bun", "single hair bun", "double bun", "bob cut"),
        *("hime cut", "drill hair", "twin drills", "spiked hair", "curly hair", "wavy hair", "straight hair", "afro"),
        *("two side up", "one side up", "dreadlocks", "braid"),
    ),
    "fringe": ("blunt bangs", "parted bangs", "swept bangs", "hair over one eye", "asymmetrical bangs"),
    "wings": ("feathered wings", "bat wings", "demon wings", "dragon wings", "fairy wings", "wings"),
    "eyewear": ("glasses", "sunglasses", "eyepatch", "monocle", "goggles", "blindfold"),
    "skin": ("dark skin", "very dark skin", "pale skin", "tan", "colored skin"),
    "mark": ("scar on face", "facial mark", "mole under eye", "mole under mouth", "freckles", "whisker markings"),
    "horns": ("demon horns", "dragon horns", "sheep horns", "curled horns", "single horn", "oni horns", "horns"),
    "halo": ("halo",),
}
"""Traits of which a character has one value: the likeliest of these tags."""

_GENERIC = {"animal", "fake animal", "extra", "multiple"}  # say that there are some, not which
_POSES = (
    *("standing", "sitting", "lying", "kneeling", "squatting", "walking", "running", "jumping", "all fours"),
    *(
        "floating",
        "arms up",
        "crossed arms",
        "hand on own hip",
        "hands on own hips",
        "waving",
        "pointing",
        "leaning forward",
    ),
)
_PLACES = ("outdoors", "indoors", "beach", "forest", "night", "city", "classroom", "bedroom", "underwater")
_COUNTS = {"1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6+": 6}


def _likeliest(tags: Tags, words: Iterable[str]) -> Told:
    best = max(words, key=lambda word: tags.get(word, 0.0), default="")
    share = tags.get(best, 0.0)
    return (best, share) if share >= UNSURE else None


def expression_of(tags: Tags) -> Told:
    """One of the expressions that captions know.

    Laughing is a smile with an open mouth. A closed mouth, with no sign of any feeling, is neutral; it is as sure as
    the closed mouth is, less the strongest sign of a feeling.
    """
    signs = {word: max(_all_of(tags, group) for group in groups) for word, groups in _EXPRESSIONS.items()}
    if signs["laughing"] >= UNSURE:
        signs["smile"] = 0.0
    word = max(signs, key=lambda word: signs[word])
    if signs[word] >= UNSURE:
        return word, signs[word]
    still = tags.get("closed mouth", 0.0) - signs[word]
    return ("neutral", still) if still >= UNSURE else None


def _all_of(tags: Tags, group: tuple[str, ...]) -> float:
    return min(tags.get(tag, 0.0) for tag in group)


def pose_of(tags: Tags) -> Told:
    """The pose, in the tagger's own word."""
    return _likeliest(tags, _POSES)


def background_of(tags: Tags) -> Told:
    """A colour ("white background"), or a place ("outdoors")."""
    plain = [tag for tag in tags if re.fullmatch(rf"({_COLOURS}|gradient|two-tone|transparent) background", tag)]
    found = _likeliest(tags, plain) or _likeliest(tags, _PLACES)
    return found or _likeliest(tags, ("simple background",))


def people_of(tags: Tags) -> tuple[int, float] | None:
    """How many characters, and how sure that is; 6 stands for more.

    "solo" is one. Else girls, boys and others are added up, each by its likeliest count.
    """
    if tags.get("no humans", 0.0) >= UNSURE and tags.get("solo", 0.0) < UNSURE:
        return 0, tags["no humans"]
    solo = tags.get("solo", 0.0)
    if solo >= 0.5:
        return 1, solo
    counts = [_count(tags, who) for who in ("girl", "boy", "other")]
    told = [count for count in counts if count is not None]
    return (min(6, sum(count for count, _ in told)), min(share for _, share in told)) if told else None


def _count(tags: Tags, who: str) -> tuple[int, float] | None:
    shares = {number: tags.get(f"{word}{who}" + "s" * (number > 1), 0.0) for word, number in _COUNTS.items()}
    number = max(shares, key=lambda number: shares[number])
    return (number, shares[number]) if shares[number] >= UNSURE else None


def traits_of(tags: Tags) -> dict[str, tuple[str, float]]:
    """What belongs to the character, by name: value in words, and how sure that is.

    Eyes of two colours are one value, "blue and red": tags do not say which is which.
    """
    found = {name: _likeliest(tags, words) for name, words in _CHOICES.items()}
    found["hair_colour"] = _colours(tags, _HAIR, is_mixed=_likeliest(tags, _MIXED_HAIR) is not None)
    found["eye_colour"] = _colours(tags, _EYES, is_mixed=tags.get("heterochromia", 0.0) >= UNSURE)
    found["ears"] = _kind(tags, _EARS, {"pointy": "elf"})
    found["tail"] = _kind(tags, _TAIL, {})
    return {name: told for name, told in found.items() if told is not None}


def _colours(tags: Tags, pattern: re.Pattern[str], *, is_mixed: bool) -> Told:
    """The likeliest colour; of mixed ones the two likeliest, in alphabetical order so that pictures agree."""
    shares = {match[1]: share for tag, share in tags.items() if (match := pattern.fullmatch(tag)) and share >= UNSURE}
    first = sorted(shares, key=lambda colour: -shares[colour])[: 2 if is_mixed else 1]
    return (" and ".join(sorted(first)), min(shares[colour] for colour in first)) if first else None


def _kind(tags: Tags, pattern: re.Pattern[str], names: Mapping[str, str]) -> Told:
    shares = {match[1]: share for tag, share in tags.items() if (match := pattern.fullmatch(tag))}
    told = _likeliest(shares, [kind for kind in shares if kind not in _GENERIC])
    return (names.get(told[0], told[0]), told[1]) if told else None
