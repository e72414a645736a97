"""What is measured: identity (traits drawn right) and adherence (the scene as asked), per prompt.

A prompt is what is resampled for intervals: what is in one picture is not independent.
"""

from collections.abc import Collection, Sequence

from likeness.maquette.world import Drawing, visible_axes, visible_traits
from likeness.records import Reading, Record
from likeness.statistics import Interval, bootstrap_ratio

__all__ = ["ADHERENCE", "Gauge", "Tally", "count_adherence", "count_asked_traits", "count_traits"]

ADHERENCE = ("view", "framing", "expression", "pose")
"""The axes of a scene on which a model is to follow its prompt; the background is left to it."""


class Tally(Record):
    """How much of what a prompt's picture could show is right, a number per prompt.

    Attributes:
        hits: what was read as it should be; an instrument that abstains has not read it so.
        counts: what there was to get right; 0 for a prompt whose scene does not show it.
    """

    hits: tuple[int, ...]
    counts: tuple[int, ...]

    def share(self, *, seed: int = 0) -> Interval:
        """The share of what was right, and its 95% interval over prompts."""
        return bootstrap_ratio(self.hits, self.counts, seed=seed)


class Gauge(Record):
    """One measure of two models on the same prompts and seeds, as shares in [0, 1].

    Attributes:
        base: without the adapter.
        lora: with it.
        gain: `lora` minus `base`, paired by prompt.
    """

    base: Interval
    lora: Interval
    gain: Interval

    @classmethod
    def of(cls, base: Tally, lora: Tally, *, seed: int = 0) -> "Gauge":
        """What two tallies of the same prompts say."""
        assert base.counts == lora.counts, "tallies of different prompts"
        gains = [after - before for before, after in zip(base.hits, lora.hits, strict=True)]
        return cls(
            base=base.share(seed=seed), lora=lora.share(seed=seed), gain=bootstrap_ratio(gains, base.counts, seed=seed)
        )


def count_traits(asked: Sequence[Drawing], readings: Sequence[Reading], traits: Collection[str]) -> Tally:
    """How many of `traits` are the character's own, of those that each asked scene shows.

    Args:
        asked: per picture, who should be on it and how.
        readings: per picture, what an instrument saw.
        traits: names of `likeness.maquette.world.TRAITS`.
    """
    return _tally(asked, readings, [[name for name in _visible(one) if name in traits] for one in asked])


def count_asked_traits(asked: Sequence[Drawing], readings: Sequence[Reading]) -> Tally:
    """The same for traits that stand in the prompt: all that are visible, but for those of value "none", which have no
    tag to ask for them with."""
    return _tally(asked, readings, [[name for name in _visible(one) if one.identity[name] != "none"] for one in asked])


def count_adherence(asked: Sequence[Drawing], readings: Sequence[Reading], axis: str) -> Tally:
    """Whether each picture's `axis`, one of `ADHERENCE`, is as asked; not counted where the scene cannot show it."""
    shown = [axis in visible_axes(one.scene) for one in asked]
    hits = [
        int(show and getattr(reading, axis) == getattr(one.scene, axis))
        for one, reading, show in zip(asked, readings, shown, strict=True)
    ]
    return Tally(hits=tuple(hits), counts=tuple(map(int, shown)))


def _visible(asked: Drawing) -> tuple[str, ...]:
    return visible_traits(asked.identity, asked.scene)


def _tally(asked: Sequence[Drawing], readings: Sequence[Reading], names: Sequence[Sequence[str]]) -> Tally:
    hits = [
        sum(reading.traits.get(name) == one.identity[name] for name in own)
        for one, reading, own in zip(asked, readings, names, strict=True)
    ]
    return Tally(hits=tuple(hits), counts=tuple(len(own) for own in names))
