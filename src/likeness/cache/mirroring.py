"""Mirroring: which pictures may be learnt from their mirror image too."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from likeness.errors import RecipeError
from likeness.records import Caption, Reading

__all__ = ["may_be_mirrored", "one_sided", "refuse_one_sided"]

OTHER = {"left": "right", "right": "left"}
SIDES = OTHER.keys()
NOTHING = ("none", "no", "")


def one_sided(readings: Sequence[Reading]) -> list[str]:
    """The traits, in words, that would be on the wrong side of a mirror image: one that names a side in most readings
    that show it, by its name or its value ("mark: left scar"), but for pairs that are alike on both; and eyes of two
    colours."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for reading in readings:
        for name, value in reading.traits.items():
            counted[name.lower()][value.lower()] += 1
    usual = {name: values.most_common(1)[0][0] for name, values in counted.items()}
    return [
        f"{name}: {value}"
        for name, value in usual.items()
        if SIDES & set(_words(value)) or "heterochromia" in value or _is_alone(name, value, usual)
    ]


def _is_alone(name: str, value: str, usual: Mapping[str, str]) -> bool:
    """Whether a trait's name has a side on the other of which it is not the same: "left_eye" unlike "right_eye"."""
    words = _words(name)
    twin = "_".join(OTHER.get(word, word) for word in words)
    return bool(SIDES & set(words)) and value not in NOTHING and usual.get(twin) != value


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalpha() else " " for letter in text.lower()).split()


def refuse_one_sided(readings: Sequence[Reading]) -> None:
    """Nothing, where the readings know of nothing that has a side.

    Raises:
        RecipeError: where they do, naming it.
    """
    if found := one_sided(readings):
        raise RecipeError(
            f"encode.mirror = true, but the character is not the same on both sides ({'; '.join(found)}). Mirror "
            "images would teach it both ways. Set encode.mirror = false; or, where they were read wrongly, mend the "
            "traits with likeness label."
        )


def may_be_mirrored(caption: Caption) -> bool:
    """Whether the caption is as true of the mirror image: it says neither left nor right."""
    return not SIDES & set(_words(" ".join((caption.text, caption.sentence, *caption.tags))))
