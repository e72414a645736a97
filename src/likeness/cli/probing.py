"""`likeness strength` and `blocks`: at which weight a LoRA is used best, and what each of its blocks is for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

SCALES = {
    "identity": "1 is as alike as real pictures are to each other",
    "freedom": "1 is as the base",
    "variety": "likewise",
    "economy": "of the likeness, what the trigger brings",
}

Weights = Annotated[
    str, typer.Option(metavar="NUMBERS", help="Weights to try, as in 0.6,0.8,1.", show_default="0.4 to 1.4 by 0.2")
]
Write = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a LoRA without the blocks that can be left out.", show_default=False),
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
    plots = {"chart": workspace.plots / "strength.png", "pictures": workspace.plots / "strength-pictures.png"}
    files = {name: str(path) for name, path in {"record": workspace.strength_json, **plots}.items()}
    tell(as_json, {**found.model_dump(mode="json"), **files}, strength_table(found, files))


@app.command()
def blocks(folder: Folder = HERE, write: Write = None, settings: Settings = None, as_json: AsJson = False) -> None:
    """Which blocks of the chosen LoRA hold the character, which do harm, and which can be left out?"""
    from likeness.cli.progress import reporting
    from likeness.pipeline.layer_painter import prune_file
    from likeness.pipeline.probing import probe_blocks

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        found = probe_blocks(workspace, recipe, report=report)
    files = {"record": str(workspace.blocks_json), "chart": str(workspace.plots / "blocks.png"), "file": ""}
    if write and found.prune:
        files["file"] = str(prune_file(workspace.root / found.lora, found.prune, write))
    tell(as_json, {**found.model_dump(mode="json"), **files}, blocks_table(found, files, write))


def strength_table(found: "Strength", files: Mapping[str, str]) -> "RenderableType":
    """The weight to use and why, each weight by axis, why some may not be used, and where it is written."""
    from rich.console import Group
    from rich.text import Text

    from likeness.cli.tables import add_row, plain_table

    words = f"{found.lora}: {found.reason}"
    if found.recommended is not None:
        words += f"\nUse it at {found.recommended:g}"
        words += "." if found.low == found.high else f"; {found.low:g} to {found.high:g} do as well."
    shown = [axis for axis in (*SHOWN, "economy") if any(axis in one.axes for one in found.weights)]
    table = plain_table("weight", *shown)
    for one in found.weights:
        add_row(table, f"{one.weight:g}", *(_cell(one.axes.get(axis)) for axis in shown))
    refused = [Text(f"Not at {one.weight:g}: {one.refused}.") for one in found.weights if one.refused]
    return Group(Text(words), table, *refused, Text(_scales(shown)), *_places(files))


def blocks_table(found: "Blocks", files: Mapping[str, str], asked: Path | None) -> "RenderableType":
    """What the blocks are for in words; the whole LoRA by axis, and how it differs without each block, with it alone,
    and as is suggested; where it is written."""
    from rich.console import Group
    from rich.text import Text

    from likeness.cli.tables import add_row, plain_table

    shown = [axis for axis in SHOWN if axis in found.whole]
    table = plain_table("", "layers", *shown)
    add_row(table, "whole LoRA", str(sum(one.layers for one in found.blocks)), *(_cell(found.whole[a]) for a in shown))
    rows = {
        "without": [(one.block, str(one.layers), one.without) for one in found.blocks],
        "alone": [(one.block, str(one.layers), one.alone) for one in found.blocks],
        "suggested": [
            (f"without {' and '.join(found.prune)}", "", found.pruned),
            (f"{found.block_set} alone", "", found.in_block_set),
        ],
    }
    for heading, some in rows.items():
        if told := [row for row in some if row[2]]:
            add_row(table, heading)
        for name, layers, differences in told:
            add_row(table, f"  {name}", layers, *_differences(differences, shown))
    lines = ["Below the whole LoRA stand differences to it.", _scales(shown)]
    parts = [Text(f"{found.lora}: {found.told}"), table, *map(Text, lines), *_places(files)]
    if asked:
        told = f"written: {files['file']}" if files["file"] else f"{asked} was not written: no block is to be left out."
        parts.append(Text(told))
    return Group(*parts)


def _places(files: Mapping[str, str]) -> "list[RenderableType]":
    from likeness.cli.tables import unbroken

    names = {"chart": "chart", "pictures": "pictures", "record": "all of it"}
    return [unbroken(f"{words}: {files[name]}") for name, words in names.items() if name in files]


def _differences(some: "tuple[Difference, ...]", shown: list[str]) -> list[str]:
    by_axis = {one.axis: one.difference for one in some}
    return [_cell(by_axis.get(axis), sign="+") for axis in shown]


def _scales(shown: Sequence[str]) -> str:
    """What the figures of a table mean, of those axes that are in it."""
    told = [f"{axis.capitalize()}: {words}." for axis, words in SCALES.items() if axis in shown]
    return " ".join([*told, "The rest is harm."])


def _cell(interval: "Interval | None", sign: str = "") -> str:
    from likeness.cli.tables import figure

    if interval is None:
        return ""
    mean, low, high = (figure(number, sign=sign) for number in (interval.mean, interval.low, interval.high))
    return f"{mean}\n{low} to {high}"
