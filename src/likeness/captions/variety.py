"""Variety: whether a trait really has several values in a set of pictures, or one value and a reader that errs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from likeness.captions.seen import ABSENT, always_there, group_of, is_hidden_from_behind, traits_seen
from likeness.captions.words import BOTH_EYES
from likeness.recipe import CaptionConfig
from likeness.records import Reading
from likeness.statistics import wilson

__all__ = [
    "FEWEST",
    "NOTHING",
    "OUTFIT_PICTURES",
    "Told",
    "follows",
    "one_sided",
    "told_traits",
    "varies",
    "worn_enough",
]

NOTHING = ("none", ABSENT)
SURE = 0.8  # least confidence of a reading that counts here; readers err less there, and errors look like variety
FEWEST = 3  # pictures that a trait must be told in before it can be said to vary
OUTFIT_PICTURES = 5  # of one outfit; fewer teach no word, and may be misread
BODY_SHARE = 0.27
"""Lower bound of the share of a second value, from which a part of the body varies.

On drawings of 40 unseen characters, 40 pictures each, readings of one constant trait had a second value with a lower
bound of up to 0.26: a reader errs in the same way wherever the same thing is hard to see. A body seldom varies.
"""
WORN_SHARE = 0.08
"""The same for what can be taken off. There, readings of what was constant came to 0.06; five of 25 pictures are 0.09.
"""
MOST_UNSTEADY = 0.5  # upper bound of the commonest value's share below which even a body has no value of its own
SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Told:
    """A trait as the readings tell it.

    Attributes:
        name: as in the readings.
        group: see `group_of`.
        told: its value by the number of the reading, where it could be told.
    """

    name: str
    group: str
    told: Mapping[int, str]

    @property
    def values(self) -> Counter[str]:
        """How many pictures show each value."""
        return Counter(self.told.values())


def told_traits(readings: Sequence[Reading], config: CaptionConfig) -> list[Told]:
    """Every trait that the readings are sure of, in the order in which they name them."""
    told: dict[str, dict[int, str]] = {}
    for at, reading in enumerate(readings):
        for name, value in traits_seen(reading, config, SURE).items():
            if value != "none" or reading.view != "back":  # from behind, one cannot tell that glasses are missing
                told.setdefault(name, {})[at] = value
    own = {name for reading in readings for name in reading.traits}
    for name, values in told.items():
        if name not in own and not always_there(name):
            for at, reading in enumerate(readings):
                if reading.tags and not (reading.view == "back" and is_hidden_from_behind(name)):
                    values.setdefault(at, ABSENT)
    return [Told(name, group_of(name), values) for name, values in told.items()]


def varies(trait: Told) -> bool:
    """Whether a trait really has several values, and not one value and a reader that errs."""
    counts = trait.values
    told = counts.total()
    if told < FEWEST:
        return False
    is_worn = trait.group in ("outfit", "removable")
    # A part of the body that is not seen is hidden, not gone.
    seen = [n for value, n in counts.most_common() if is_worn or value not in NOTHING]
    second = seen[1] if len(seen) > 1 else 0
    bar = WORN_SHARE if is_worn else BODY_SHARE
    is_common = wilson(second, told)[0] >= bar and (second >= OUTFIT_PICTURES or not is_worn)
    steadiest = wilson(counts.most_common(1)[0][1], told)[1]
    return is_common or steadiest < (1 - WORN_SHARE * 2 if is_worn else MOST_UNSTEADY)


def worn_enough(trait: Told) -> list[str]:
    """The values that are in enough pictures for a word of their own."""
    return [value for value, n in trait.values.items() if n >= OUTFIT_PICTURES and value not in NOTHING]


def follows(trait: Told, outfit: Told) -> bool:
    """Whether a trait is steady within each outfit that has a word, and is nowhere else."""
    words = worn_enough(outfit)
    elsewhere = sum(1 for at, v in trait.told.items() if v not in NOTHING and outfit.told.get(at, "") not in words)
    by_outfit = [
        Told(trait.name, trait.group, {at: v for at, v in trait.told.items() if outfit.told.get(at) == word})
        for word in words
    ]
    told = len(trait.told)
    return wilson(elsewhere, told)[0] < WORN_SHARE and not any(part.told and varies(part) for part in by_outfit)


def one_sided(traits: Sequence[Told]) -> str:
    """Why a mirrored picture would show somebody else; empty where it would not."""
    common: dict[str, str] = {}
    for trait in traits:
        counts = Counter({value: n for value, n in trait.values.items() if value not in NOTHING})
        for value, n in counts.most_common(1):
            if n >= FEWEST and wilson(n, len(trait.told))[0] >= WORN_SHARE:
                common[trait.name] = value
    for name, value in common.items():
        if value.split()[0] in SIDES or any(f" {side} " in f" {value} " for side in SIDES):
            return f"{name.replace('_', ' ')}: {value}. In a mirrored picture it is on the other side"
        if name == BOTH_EYES:
            return "heterochromia: in a mirrored picture each eye has the other's colour"
    left, right = common.get("left_eye"), common.get("right_eye")
    if left and right and left != right:
        return f"left eye {left}, right eye {right}: in a mirrored picture each has the other's colour"
    return ""
