"""Charts of what was probed: how a LoRA does over its weight, and without each of its blocks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from likeness.evaluation.blocks import Blocks
from likeness.evaluation.compare import Difference
from likeness.evaluation.plots import figure, png_of
from likeness.evaluation.strength import Strength
from likeness.records import make_folder, write_atomically

__all__ = ["draw_blocks", "draw_strength"]

COLOURS = {
    "identity": "#0072b2",
    "freedom": "#009e73",
    "leak": "#d55e00",
    "drift": "#cc79a7",
    "artefacts": "#e69f00",
    "economy": "#56b4e9",
    "memorisation": "#000000",
}
"""Of the axes that are shown. Okabe and Ito 2008: told apart by all eyes."""

OVER_WEIGHT = {
    "1: as real pictures, or as the base draws": ("identity", "freedom", "economy"),
    "harm: the less the better": ("leak", "drift", "memorisation", "artefacts"),
}
"""The axes of each plot, by what its scale says."""

OVER_BLOCKS = ("identity", "freedom", "leak", "drift", "artefacts")


def draw_strength(found: Strength, to: Path) -> None:
    """`to` is a chart over the weight, of identity, freedom and economy, and of harm beside them, with their intervals
    and the recommended range shaded; what could not be told is left out.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    with figure(10.8, 4.2, layout="constrained") as chart:
        for plot, (scale, axes) in zip(chart.subplots(1, 2), OVER_WEIGHT.items(), strict=True):
            _over_weight(plot, found, axes)
            plot.set_xlabel("weight of the LoRA")
            plot.set_ylabel(scale)
        _save(png_of(chart), to)


def _over_weight(plot: Any, found: Strength, axes: Sequence[str]) -> None:
    """Some axes over the weight, and which weights may be used."""
    for axis in axes:
        told = [(one.weight, one.axes[axis]) for one in found.weights if axis in one.axes]
        if told:
            weights, intervals = zip(*told, strict=True)
            plot.plot(weights, [one.mean for one in intervals], marker="o", color=COLOURS[axis], label=axis)
            low, high = [one.low for one in intervals], [one.high for one in intervals]
            plot.fill_between(weights, low, high, color=COLOURS[axis], alpha=0.15, linewidth=0)
    if found.recommended is not None and found.low is not None and found.high is not None:
        if found.low < found.high:
            plot.axvspan(found.low, found.high, color="#999999", alpha=0.2, label="as good, to a standard error")
        plot.axvline(found.recommended, color="#555555", linestyle="--", label=f"recommended: {found.recommended:g}")
    if plot.get_legend_handles_labels()[0]:
        plot.legend(frameon=False)


def draw_blocks(found: Blocks, to: Path) -> None:
    """`to` is a chart of what each axis loses or gains without each block, and with it alone, with intervals.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    with figure(10, 1.5 + 0.6 * len(found.blocks), layout="constrained") as chart:
        without, alone = chart.subplots(1, 2, sharey=True)
        _errors(without, [one.without for one in found.blocks], "without the block")
        _errors(alone, [one.alone for one in found.blocks], "with the block alone")
        without.set_yticks(range(len(found.blocks)), [one.block for one in found.blocks])
        without.invert_yaxis()
        alone.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        _save(png_of(chart), to)


def _errors(plot: Any, rows: Sequence[Sequence[Difference]], title: str) -> None:
    """A row per block, in it a dot and an interval per axis."""
    for place, axis in enumerate(OVER_BLOCKS):
        told = [(row, one.difference) for row, some in enumerate(rows) for one in some if one.axis == axis]
        heights = [row + 0.15 * (place - len(OVER_BLOCKS) // 2) for row, _ in told]
        ends = [[one.mean - one.low for _, one in told], [one.high - one.mean for _, one in told]]
        plot.errorbar(
            [one.mean for _, one in told], heights, xerr=ends, fmt="o", markersize=4, color=COLOURS[axis], label=axis
        )
    plot.axvline(0, color="#555555", linewidth=0.8)
    plot.set_title(title)
    plot.set_xlabel("difference to the whole LoRA")


def _save(png: bytes, to: Path) -> None:
    make_folder(to.parent)
    write_atomically(to, png)
