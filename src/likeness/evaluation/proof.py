"""Base against LoRA on the same prompts and seeds: who is on the pictures, and whether they follow the prompts."""

from collections.abc import Sequence

from likeness.evaluation.tallies import ADHERENCE, Gauge, count_adherence, count_asked_traits, count_traits
from likeness.maquette.world import KINDS, TRAITS, Drawing
from likeness.records import Reading, Record

__all__ = ["Comparison", "compare_others", "compare_with_base"]


class Comparison(Record):
    """What a LoRA changes.

    Attributes:
        identity: share of the character's visible traits that are drawn right.
        by_kind: the same for face, body, clothing and attributes apart.
        adherence: share of the pictures whose view, framing, expression or pose is as asked, where it can show.
    """

    identity: Gauge
    by_kind: dict[str, Gauge]
    adherence: dict[str, Gauge]


def compare_with_base(
    asked: Sequence[Drawing], *, base: Sequence[Reading], lora: Sequence[Reading], seed: int = 0
) -> Comparison:
    """Base and LoRA, measured against what was asked of both.

    Args:
        asked: per prompt, the character and the scene.
        base: what an instrument read off the base's picture of each prompt.
        lora: the same for the base with the LoRA.
        seed: of the resampling behind the intervals.

    Raises:
        ValueError: where no prompt shows a trait of some kind, or some axis.
    """
    kinds = {
        kind: Gauge.of(count_traits(asked, base, names), count_traits(asked, lora, names), seed=seed)
        for kind, names in KINDS.items()
    }
    axes = {
        axis: Gauge.of(count_adherence(asked, base, axis), count_adherence(asked, lora, axis), seed=seed)
        for axis in ADHERENCE
    }
    whole = Gauge.of(count_traits(asked, base, TRAITS), count_traits(asked, lora, TRAITS), seed=seed)
    return Comparison(identity=whole, by_kind=kinds, adherence=axes)


def compare_others(
    asked: Sequence[Drawing], *, base: Sequence[Reading], lora: Sequence[Reading], seed: int = 0
) -> Gauge:
    """What the LoRA does to other characters, asked for by their own tags and without its trigger: the share of the
    traits asked for that are drawn. A LoRA that leaks draws fewer of them than the base does."""
    return Gauge.of(count_asked_traits(asked, base), count_asked_traits(asked, lora), seed=seed)
