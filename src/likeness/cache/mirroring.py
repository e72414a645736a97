"""Mirroring: which pictures may be learnt from their mirror image too."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from likeness.errors import RecipeError
from likeness.records import Caption, Reading

__all__ = ["may_be_mirrored", "one_sided", "refuse_one_sided"]

SIDES = {"left", "right"}


def one_sided(readings: Sequence[Reading]) -> list[str]:
    """The traits, in words, that would be on the wrong side of a mirror image: a value that names its side in most
    readings that show it ("mark: left scar"), or a pair that differs ("left_eye: blue, right_eye: green")."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for reading in readings:
        for name, value in reading.traits.items():
            counted[name][value] += 1
    usual = {name: values.most_common(1)[0][0] for name, values in counted.items()}
    found = [f"{name}: {value}" for name, value in usual.items() if SIDES & set(value.split())]
    for name, value in usual.items():
        twin = name.replace("left_", "right_", 1) if name.startswith("left_") else ""
        if twin in usual and usual[twin] != value:
            found.append(f"{name}: {value}, {twin}: {usual[twin]}")
    return found


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
    words = " ".join((caption.text, caption.sentence, *caption.tags)).lower()
    return not SIDES & set("".join(letter if letter.isalpha() else " " for letter in words).split())
