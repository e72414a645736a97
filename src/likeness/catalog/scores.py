"""How good a LoRA is, as its card tells it: scores with their intervals, curves, and the weight to use it at."""

from typing import Any

from likeness.records import Record
from likeness.statistics import Interval

__all__ = ["AxisScore", "Evaluated", "Strength"]


class AxisScore(Record):
    """What one axis says: the mean and its 95% interval, and of the base on the same prompts."""

    axis: str
    kind: str
    value: Interval
    base: Interval | None = None


class Evaluated(Record):
    """How good it is.

    Attributes:
        reason: why this checkpoint was chosen.
        scores: by axis.
        curves: by axis, of each checkpoint its step, and mean, low and high.
        findings: what is wrong with it, in words.
        measured: with what: scores are compared where all of it is the same.
        protocol: digest of that.
    """

    reason: str
    scores: tuple[AxisScore, ...]
    curves: dict[str, tuple[tuple[int, float, float, float], ...]] = {}
    findings: tuple[str, ...] = ()
    measured: dict[str, Any] = {}
    protocol: str = ""


class Strength(Record):
    """At which weight it is used best, as was measured; the range does as well."""

    recommended: float
    low: float
    high: float
    reason: str

    @property
    def range_words(self) -> str:
        """How far it may be turned up or down, as a sentence goes on; nothing where only one weight will do."""
        return f"; {self.low:g} to {self.high:g} do as well" if self.low != self.high else ""
