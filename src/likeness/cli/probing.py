"""`likeness strength` and `blocks`: at which weight a LoRA is used best, and what each of its blocks is for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likeness.cli.answers import opened, tell
from likeness.cli.options import AsJson, Folder, Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from likeness.evaluation.blocks import Blocks
    from likeness.evaluation.compare import Difference
    from likeness.evaluation.strength import Strength
    from likeness.statistics import Interval

__all__ = ["app", "blocks", "blocks_table", "strength", "strength_table"]

app = typer.Typer(rich_markup_mode=None)

HERE = Path()
SHOWN = ("identity", "freedom", "variety", "leak", "drift", "artefacts", "memorisation")
"""Axes in a table; --json has them all."""

Weights = Annotated[
    str, typer.Option(metavar="NUMBERS", help="Weights to try, as in 0.6,0.8,1.", show_default="0.4 to 1.4 by 0.2")
]
Write = Annotated[
    Path | None,
    typer.Option("--write", metavar="OUT", help="Where a LoRA without these blocks goes.", show_default=False),
]


@app.command()
def strength(folder: Folder = HERE, weights: Weights = "", settings: Settings = None, as_json: AsJson = False) -> None:
    """At which weight is the chosen LoRA used best, and how far can it be turned up or down?"""
    from likeness.cli.progress import reporting
    from likeness.pipeline.probing import probe_strength, weights_of

    tried = weights_of(weights)
    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        found = probe_strength(workspace, recipe, tried, report=report)
    tell(as_json, found.model_dump(mode="json"), strength_table(found))


@app.command()
def blocks(folder: Folder = HERE, write: Write = None, settings: Settings = None, as_json: AsJson = False) -> None:
    """Which blocks of the chosen LoRA hold the character, which do harm, and which can be left out?"""
    from likeness.cli.progress import reporting
    from likeness.pipeline.layer_painter import prune_file
    from likeness.pipeline.probing import probe_blocks

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        found = probe_blocks(workspace, recipe, report=report)
    told: dict[str, Any] = {**found.model_dump(mode="json"), "file": ""}
    if write and found.prune:
        told["file"] = str(prune_file(workspace.root / found.lora, found.prune, write))
    tell(as_json, told, blocks_table(found, told["file"], write))


def strength_table(found: "Strength") -> "RenderableType":
    """The weight to use and why, and each weight by axis."""
    from rich.console import Group
    from rich.text import Text

    from likeness.cli.tables import add_row, plain_table

    shown = [axis for axis in SHOWN if any(axis in one.axes for one in found.weights)]
    table = plain_table("weight", *shown, "")
    for one in found.weights:
        add_row(table, f"{one.weight:g}", *(_cell(one.axes.get(axis)) for axis in shown), one.refused)
    words = f"{found.lora}: {found.reason}"
    if found.recommended is not None:
        words += f"\nUse it at {found.recommended:g}"
        words += (
            "." if found.low == found.high else f"; {found.low:g} to {found.high:g} do as well, to a standard error."
        )
    return Group(Text(words), table)


def blocks_table(found: "Blocks", file: str, asked: Path | None) -> "RenderableType":
    """What the blocks are for in words, each block by axis without it and with it alone, and what was written."""
    from rich.console import Group
    from rich.text import Text

    from likeness.cli.tables import add_row, plain_table

    shown = [axis for axis in SHOWN if axis in found.whole]
    table = plain_table("", "layers", *shown)
    add_row(table, "whole LoRA", str(sum(one.layers for one in found.blocks)), *(_cell(found.whole[a]) for a in shown))
    for one in found.blocks:
        for words, some in ((f"without {one.block}", one.without), (f"{one.block} alone", one.alone)):
            add_row(table, words, str(one.layers), *_differences(some, shown))
    for words, some in (
        (f"without {' and '.join(found.prune)}", found.pruned if len(found.prune) > 1 else ()),
        (found.block_set, found.in_block_set),
    ):
        if some:
            add_row(table, words, "", *_differences(some, shown))
    parts = [Text(f"{found.lora}: {found.told}"), table, Text("Differences are to the whole LoRA.")]
    if asked:
        parts.append(Text(f"Written: {file}" if file else f"{asked} was not written: no block is to be left out."))
    return Group(*parts)


def _differences(some: "tuple[Difference, ...]", shown: list[str]) -> list[str]:
    by_axis = {one.axis: one.difference for one in some}
    return [_cell(by_axis.get(axis), sign="+") for axis in shown]


def _cell(interval: "Interval | None", sign: str = "") -> str:
    if interval is None:
        return ""
    return f"{interval.mean:{sign}.2f}\n{interval.low:{sign}.2f} to {interval.high:{sign}.2f}"
