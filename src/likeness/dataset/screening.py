"""Screening: what is not good enough to learn from, and why. Each rule is a function of what was seen of a picture.

Rules see measures, not pixels (`likeness.dataset.measures` made them), so that a threshold can be moved at once.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy

from likeness.dataset.looks import Look
from likeness.recipe import ScreenConfig

__all__ = ["RULES", "Rule", "screen", "strangers"]

Rule = Callable[[Look, ScreenConfig, int], str | None]
"""The reason, in words, why a picture is not good enough, or None: of a look at it, the thresholds, and the side of the
square that is trained on, px."""


def _small(look: Look, config: ScreenConfig, side: int) -> str | None:
    least, seen = config.smallest * side, look.measures["subject"]
    return f"its subject is {seen:.0f} px, of {least:.0f} that training at {side} px needs" if seen < least else None


def _dark(look: Look, config: ScreenConfig, side: int) -> str | None:
    light = look.measures["light"]
    return f"95% of its subject is below {light:.0%} of full brightness" if light < config.dark else None


def _bright(look: Look, config: ScreenConfig, side: int) -> str | None:
    shade = look.measures["shade"]
    return f"95% of its subject is above {shade:.0%} of full brightness" if shade > config.bright else None


def _flat(look: Look, config: ScreenConfig, side: int) -> str | None:
    contrast = look.measures["contrast"]
    return f"the brightness of its subject varies by {contrast:.1%} only" if contrast < config.flat else None


def _bars(look: Look, config: ScreenConfig, side: int) -> str | None:
    bars = look.measures["bars"]
    return f"bars of one colour on opposite sides take up {bars:.0%} of it" if config.borders and bars else None


def _text(look: Look, config: ScreenConfig, side: int) -> str | None:
    letters = look.measures["letters"]
    return f"{letters:.0f} marks like letters stand in a line" if letters >= config.letters else None


def _crowd(look: Look, config: ScreenConfig, side: int) -> str | None:
    people = look.reading.people if look.reading else None
    return f"{people} characters are in it" if config.alone and people is not None and people > 1 else None


def _blurred(look: Look, config: ScreenConfig, side: int) -> str | None:
    blur = look.measures["blur"]
    return f"its subject has a blur of {blur:.2f}, over {config.blur:g}" if blur > config.blur else None


def _noisy(look: Look, config: ScreenConfig, side: int) -> str | None:
    noise = look.measures["noise"]
    return f"noise of {noise:.1%} of full brightness even where it is smooth" if noise > config.noise else None


def _compressed(look: Look, config: ScreenConfig, side: int) -> str | None:
    quality, blocks = look.measures["jpeg"], look.measures["blocks"]
    if quality < config.jpeg:
        return f"saved as JPEG of quality {quality:.0f}"
    return f"steps between blocks of 8 px are {blocks:.1f} times those inside" if blocks > config.blocks else None


RULES: Mapping[str, Rule] = {
    "too small": _small,
    "too dark": _dark,
    "blown out": _bright,
    "flat": _flat,
    "letterbox": _bars,
    "two characters": _crowd,
    "text": _text,
    "blur": _blurred,
    "heavy JPEG": _compressed,
    "noise": _noisy,
}
"""The fault that each rule finds. The first that is found is told, so what explains other faults comes first: letters
and a second character are noise to the rule of noise."""


def screen(look: Look, config: ScreenConfig, side: int) -> tuple[str, str] | None:
    """The first fault of a picture and its reason in words; None for a picture that is good enough."""
    if look.fault:
        return look.fault, look.words
    found = ((fault, rule(look, config, side)) for fault, rule in RULES.items())
    return next(((fault, reason) for fault, reason in found if reason), None)


def strangers(
    embeddings: Mapping[str, Sequence[float]], *, same: float, references: Sequence[str] = ()
) -> dict[str, float] | None:
    """Who is not the character that most of a pool shows: id to the middle of its likenesses to those who are.

    The pool's own clusters (average linkage) say who the character is: the largest one, or the one that most of
    `references` lie in.

    Args:
        embeddings: of length 1, by picture; pictures in which nobody could be told are left out.
        same: the likeness, a cosine, from which on two pictures show one character.
        references: pictures that surely show the character.

    Returns:
        None where no cluster holds more than half of the pictures and no reference says which it is: nobody can tell.
    """
    from scipy.cluster.hierarchy import fcluster, linkage  # slow to import, and seldom needed

    ids = list(embeddings)
    if len(ids) < 3:
        return {}
    rows = numpy.array([embeddings[id] for id in ids], float)
    clusters = fcluster(linkage(rows, "average", "cosine"), 1 - same, "distance")
    sure = [clusters[ids.index(id)] for id in references if id in embeddings]
    counts = numpy.bincount(sure or clusters)
    largest = int(counts.argmax())
    if not sure and counts[largest] <= len(ids) / 2:
        return None
    own = rows[clusters == largest]
    middle = numpy.median(rows @ own.T, axis=1)
    return {id: float(value) for id, value in zip(ids, middle, strict=True) if value < same}
