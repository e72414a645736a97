"""Options: what may be typed behind a command, and how its help explains it."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AsJson",
    "DemoFolder",
    "File",
    "Folder",
    "Licence",
    "NewFolder",
    "NoDraw",
    "PlanOnly",
    "Seed",
    "Settings",
    "Source",
    "Sources",
    "ToFolder",
    "Why",
    "Words",
]

NewFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The character's folder.", show_default=False)]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The character's folder.", show_default="here")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A .safetensors file.", show_default=False)]
DemoFolder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the demo keeps its files.")]
Seed = Annotated[int, typer.Option(metavar="NUMBER", min=0, help="Which character: each number is another one.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.FIELD=VALUE",
        help="A value instead of the recipe's, as in train.rank=8. May be repeated.",
    ),
]
Why = Annotated[str, typer.Option(metavar="PICTURE", help="Only say why this picture is in or out, as last curated.")]
Source = Annotated[str, typer.Option(metavar="WORDS", help="Where pictures came from of which nobody said so yet.")]
Licence = Annotated[str, typer.Option(metavar="WORDS", help="The permission they are used under, likewise.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, JSON events on stderr.")]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Only measure what it would take: train nothing.")]
NoDraw = Annotated[bool, typer.Option("--no-draw", help="Only look at the word: load no base, draw nothing.")]
Sources = Annotated[
    list[Path], typer.Argument(metavar="SOURCE", help="Folders, zip files and pictures.", show_default=False)
]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PICTURE... KEY=VALUE...]", help="As in '012.png view=back use=train'; 'raw/*.png' is many."
    ),
]
ToFolder = Annotated[Path, typer.Argument(metavar="TO", help="The folder to make.", show_default=False)]
