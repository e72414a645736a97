"""What the demo made and found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.demo.subject import Asked
from likeness.evaluation.proof import Comparison
from likeness.evaluation.tallies import Gauge
from likeness.images import Pixels
from likeness.records import Reading

__all__ = ["DemoResult", "Shown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo made and found.

    Attributes:
        workspace: the character's folder.
        name: the character's.
        lora: the adapter file.
        page: the report, HTML.
        grid: the large picture.
        scorecard: the page of all checkpoints.
        chosen: why this one of them, in words.
        catalog: the page of a small catalog that the release is in; or why it was not published.
        seconds: that this call took, by part: curate, encode, train, evaluate, sample, and total, which is all of it.
            What was finished before and has not changed takes next to none.
        curation: what became of the pool, as `likeness curate --json` tells.
        comparison: base against LoRA on the character.
        others: the same on other characters, without the trigger.
    """

    workspace: Path
    name: str
    lora: Path
    page: Path
    grid: Path
    scorecard: Path
    chosen: str
    catalog: str
    seconds: Mapping[str, float]
    curation: Mapping[str, Any]
    comparison: Comparison
    others: Gauge

    def summary(self) -> dict[str, Any]:
        """All of it as plain data: shares as plain numbers, and under "intervals" with where they may lie."""
        found = self.comparison
        return {
            **{
                name: str(getattr(self, name))
                for name in ("workspace", "name", "lora", "page", "grid", "scorecard", "chosen", "catalog")
            },
            "seconds": dict(self.seconds),
            "curation": dict(self.curation),
            "identity": {
                **_means(found.identity),
                "by_kind": {kind: _means(gauge) for kind, gauge in found.by_kind.items()},
            },
            "adherence": {axis: _means(gauge) for axis, gauge in found.adherence.items()},
            "others": _means(self.others),
            "intervals": {**found.model_dump(), "others": self.others.model_dump()},
        }


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of it, picture by picture, and what the reader saw."""

    asked: Asked
    base: list[Pixels]
    lora: list[Pixels]
    base_readings: list[Reading]
    lora_readings: list[Reading]


def _means(gauge: Gauge) -> dict[str, float]:
    return {"base": round(gauge.base.mean, 4), "lora": round(gauge.lora.mean, 4)}
