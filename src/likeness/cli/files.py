"""`likeness compat`, `convert`, `merge` and `resize`: adapter files by anyone, for any tool."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likeness.cli.answers import tell
from likeness.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["app", "compat", "convert", "merge", "resize", "verdict_table"]

app = typer.Typer(rich_markup_mode=None)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A LoRA by us or by others.", show_default=False)]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="What to write.", show_default=False)]
Files = Annotated[
    list[str], typer.Argument(metavar="FILE[=WEIGHT]...", help="LoRAs, as in mira.safetensors=0.8.", show_default=False)
]
To = Annotated[str, typer.Option("--to", metavar="TOOL", help="kohya, diffusers or peft.", show_default=False)]
Base = Annotated[Path | None, typer.Option(help="To merge into: a folder, a file, or maquette.", show_default=False)]
Rank = Annotated[int | None, typer.Option(metavar="NUMBER", help="Of every layer, at most.", show_default=False)]
Keep = Annotated[float, typer.Option(metavar="SHARE", help="Of each layer's change to keep, as 0.95.")]


@app.command()
def compat(file: File, as_json: AsJson = False) -> None:
    """Would other tools take this LoRA: ComfyUI, A1111, Forge, InvokeAI, diffusers, kohya? What mends it?"""
    from likeness.pipeline.files import check_file

    verdicts = check_file(file)
    tell(as_json, {"file": str(file), "clients": verdicts}, verdict_table(verdicts))
    if any(verdict["is_fault"] for verdict in verdicts):
        raise typer.Exit(1)


@app.command()
def convert(file: File, out: Out, to: To, as_json: AsJson = False) -> None:
    """Write a LoRA under another tool's names: kohya (for nearly all), diffusers, or peft (a folder)."""
    from likeness.pipeline.files import convert_file

    told = convert_file(file, out, to)
    left = f" Left out, as it is no part of a LoRA: {', '.join(told['left_out'])}." if told["left_out"] else ""
    tell(as_json, told, f"{told['file']}: {told['layers']} layers, for {to}.{left}")


@app.command()
def merge(out: Out, files: Files, base: Base = None, rank: Rank = None, as_json: AsJson = False) -> None:
    """Put several LoRAs together into one, or merge them into a base."""
    from likeness.cli.progress import reporting
    from likeness.pipeline.files import merge_files

    with reporting(as_json) as report:
        told = merge_files(out, files, base=base, rank=rank, report=report)
    tell(as_json, told, _kept_table(told))


@app.command()
def resize(file: File, out: Out, rank: Rank = None, keep: Keep = 1.0, as_json: AsJson = False) -> None:
    """Make a LoRA smaller, and say how much of each block is left."""
    from likeness.pipeline.files import resize_file

    told = resize_file(file, out, rank=rank, keep=keep)
    tell(as_json, told, _kept_table(told))


def verdict_table(verdicts: Sequence[dict[str, Any]]) -> "RenderableType":
    """A row per tool, and under them what is to be done, unbroken: a command is there to be copied."""
    from rich.console import Group

    from likeness.cli.tables import add_row, plain_table, unbroken

    table = plain_table("tool", "takes", "")
    for verdict in verdicts:
        add_row(table, verdict["client"], f"{verdict['matched']} of {verdict['total']}", _why(verdict))
    mends: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict["mend"]:
            mends.setdefault(verdict["mend"], []).append(verdict["client"])
    return Group(table, *(unbroken(f"for {', '.join(clients)}: {mend}") for mend, clients in mends.items()))


def _why(verdict: dict[str, Any]) -> str:
    """What a tool makes of a file, in words; nothing where it takes all of it and gets it right."""
    told = [f"does not know {verdict['unsupported']}"] if verdict["unsupported"] else []
    if verdict["refusal"]:
        told += [f"takes nothing: {verdict['refusal']}"]
    else:
        told += [f"drops {group['count']}, as {group['examples'][0]}: {group['why']}" for group in verdict["dropped"]]
    return "; ".join([*told, *verdict["notes"]]) or "all of it"


def _kept_table(told: dict[str, Any]) -> "RenderableType | str":
    """What was written, and where something was cut off, what is left of each block."""
    from rich.console import Group
    from rich.text import Text

    from likeness.cli.tables import add_row, plain_table

    if "kept" not in told:
        return f"{told['file']}: {told['layers']} layers."
    table = plain_table("block", "layers", "rank", "kept, mean", "kept, least")
    for block in told["kept"]:
        ranks = ", ".join(map(str, block["ranks"]))
        add_row(table, block["block"], str(block["layers"]), ranks, f"{block['energy']:.1%}", f"{block['least']:.1%}")
    return Group(Text(f"{told['file']}: {told['layers']} layers."), table)
