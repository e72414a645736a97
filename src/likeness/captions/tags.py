"""Tags: the short phrases, parted by commas, that captions are made of."""

import re
from collections.abc import Iterable, Mapping, Sequence

from likeness.captions.words import IMPLIED, KINDS, head_of, is_meta, kind_of

__all__ = [
    "SCENE",
    "booru_tags",
    "escaped",
    "front_tags",
    "is_prose",
    "ordered",
    "plain_tags",
    "scene_words",
    "split_tags",
    "without_repeats",
]

SCENE = ("view", "framing", "expression", "pose", "background")
"""What a reading says of the scene and not of the character, in the order in which it is said."""

SCENE_WORDS: Mapping[str, Mapping[str, str]] = {
    "view": {
        "front": "front view",
        "three-quarter left": "three-quarter view facing left",
        "three-quarter right": "three-quarter view facing right",
        "profile left": "profile facing left",
        "profile right": "profile facing right",
        "back": "from behind",
    },
    "framing": {"face": "close-up"},
    "expression": {"neutral": "neutral expression"},
}
"""Where the tag is not the value itself."""

_WORD = re.compile(r"\w{2}")
_SENTENCE_END = re.compile(r"[^\W\d_][.!?][\"')]?$")
SHORTEST_SENTENCE = 5  # words; a tag as long as that ends in no full stop


def split_tags(text: str) -> tuple[str, ...]:
    """The tags of a caption as people and other tools write them: parted by commas or line breaks, each once."""
    parts = (" ".join(part.split()) for line in text.splitlines() for part in line.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def is_prose(text: str) -> bool:
    """Whether a caption is sentences, to be kept whole, and not tags: it ends like one, and has some words."""
    return len(text.split()) >= SHORTEST_SENTENCE and _SENTENCE_END.search(text.strip()) is not None


def front_tags(trigger: str, class_words: str = "") -> tuple[str, ...]:
    """What every caption begins with: the trigger, and what the character is."""
    return split_tags(f"{trigger}, {class_words}")


def scene_words(seen: Mapping[str, str]) -> list[str]:
    """Tags for what was seen of the scene, by field of a reading, where no base has words of its own for it."""
    return [SCENE_WORDS.get(name, {}).get(seen[name], seen[name]) for name in SCENE if name in seen]


def plain_tags(seen: Mapping[str, str]) -> list[str]:
    """Tags for what was seen, by name: traits as value and noun, "blue hair"; then the scene. "none" has no tag."""
    traits = {name: value for name, value in seen.items() if name not in SCENE and value != "none"}
    return [*(_trait_tag(name, value) for name, value in traits.items()), *scene_words(seen)]


def _trait_tag(name: str, value: str) -> str:
    noun = re.sub(r" (colou?r|length|style)$", "", name.replace("_", " "))
    return value if noun.split()[-1] in value.split() else f"{value} {noun}"


def booru_tags(tags: Mapping[str, float], *, threshold: float) -> list[str]:
    """A tagger's tags as a caption has them: what it is sure of, each thing once, in order (see `ordered`).

    Underscores become spaces, but not in emoticons. Tags about the file or its rating are left out.

    Args:
        tags: each with its probability.
        threshold: tags below it are left out.
    """
    sure = {_spaced(tag): share for tag, share in sorted(tags.items()) if share >= threshold}
    said = {tag: share for tag, share in sure.items() if not is_meta(tag)}
    return ordered(without_repeats(said), said)


def _spaced(tag: str) -> str:
    """A tag as people write it; `>_<` and `^_^` have no words to be parted."""
    return " ".join(tag.replace("_", " ").split()) if _WORD.search(tag.replace("_", " ")) else tag


def without_repeats(tags: Iterable[str]) -> list[str]:
    """Tags of which none is said by another one: no "hair" beside "blue hair", no "long hair" beside "very long hair".

    One of two that are about the same noun goes where the other has all its words.
    """
    kept = list(dict.fromkeys(tags))
    implied = {less for tag in kept for less in IMPLIED.get(tag, ())}
    words = {tag: frozenset(tag.split()) for tag in kept}
    return [
        tag
        for tag in kept
        if tag not in implied
        and not any(words[tag] < words[other] and head_of(tag) == head_of(other) for other in kept)
    ]


def ordered(tags: Sequence[str], shares: Mapping[str, float]) -> list[str]:
    """People first, then traits, clothing, expression, pose, view, framing, background and the rest; in each, what is
    surer first.

    Args:
        tags: to put in order.
        shares: how sure each is, in [0, 1].
    """
    return sorted(tags, key=lambda tag: (KINDS.index(kind_of(tag)), tag == "solo", -shares.get(tag, 0.0), tag))


def escaped(tag: str) -> str:
    r"""A tag as prompts of Stable Diffusion's web interfaces take it: parentheses weigh words there, \( and \) do
    not."""
    return re.sub(r"(?<!\\)([()])", r"\\\1", tag)
