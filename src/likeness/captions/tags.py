"""Tags: the short phrases, parted by commas, that captions are made of."""

from collections.abc import Mapping

__all__ = ["SCENE", "front_tags", "plain_tags", "split_tags"]

SCENE = ("view", "framing", "expression", "pose", "background")
"""What a reading says of the scene and not of the character, in the order in which it is said."""


def split_tags(text: str) -> tuple[str, ...]:
    """The tags of a caption as people and other tools write them: parted by commas or line breaks, each once."""
    parts = (" ".join(part.split()) for line in text.splitlines() for part in line.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def front_tags(trigger: str, class_words: str = "") -> tuple[str, ...]:
    """What every caption begins with: the trigger, and what the character is."""
    return split_tags(f"{trigger}, {class_words}")


def plain_tags(seen: Mapping[str, str]) -> list[str]:
    """Tags for what was seen, by name, where no base has words of its own for it: the scene's values as they are, a
    trait with its name: "blue hair colour"."""
    scene = [seen[name] for name in SCENE if name in seen]
    return scene + [f"{value} {name.replace('_', ' ')}" for name, value in seen.items() if name not in SCENE]
