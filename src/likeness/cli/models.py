"""`likeness models`: which models readers need, under which terms, and the command that fetches them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from likeness.cli.answers import tell
from likeness.cli.options import AsJson

__all__ = ["app", "fetch_models", "list_models", "path_of_model"]

app = typer.Typer(
    name="models",
    help="The models that readers need. Nothing is downloaded unless you ask for it here.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Models, or a reader for all that it needs.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="A model.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """Every model: task, licence, size, and whether it is here."""
    from likeness.perception.models import MODELS, models_folder

    folder = models_folder()
    rows = [_row(name) for name in MODELS]
    tell(as_json, {"folder": str(folder), "models": rows}, _table(rows, folder))


@app.command("fetch")
def fetch_models(names: Names, as_json: AsJson = False) -> None:
    """Download models, each compared with its sha256."""
    from likeness.cli.progress import reporting
    from likeness.perception.downloads import fetch
    from likeness.perception.models import models_folder, models_named

    models, folder = models_named(names), models_folder()
    with reporting(as_json) as report:
        found = {model.name: fetch(model, folder, report=report) for model in models}
    rows = [{"name": name, "path": str(path), "sha256": sha256} for name, (path, sha256) in found.items()]
    tell(as_json, {"models": rows}, "\n".join(row["path"] for row in rows))


@app.command("path")
def path_of_model(name: Name, as_json: AsJson = False) -> None:
    """Where a model lies, after its sha256 was compared."""
    from likeness.perception.models import checked, models_folder

    for found, (path, sha256) in checked([name], models_folder(), why="this command").items():
        tell(as_json, {"name": found, "path": str(path), "sha256": sha256}, str(path))


def _row(name: str) -> dict[str, Any]:
    """What is known of a model, as plain data."""
    from dataclasses import asdict

    from likeness.perception.models import MODELS, PROFILES, models_folder

    model = MODELS[name]
    readers = [reader for reader, needed in PROFILES.items() if name in needed]
    return {**asdict(model), "needed_by": readers, "is_here": model.path(models_folder()).is_file()}


def _table(rows: list[dict[str, Any]], folder: Path) -> Any:
    from rich.console import Group
    from rich.text import Text

    from likeness.cli.tables import add_row, plain_table

    table = plain_table("model", "task", "needed by", "licence", "MB", "here")
    table.columns[4].justify = "right"
    for row in rows:
        licence = row["licence"] + (" *" if row["note"] else "") + ("" if row["commercial"] else ", NOT COMMERCIAL")
        cells = (row["name"], row["task"], ", ".join(row["needed_by"]), licence, f"{row['size'] / 1e6:.1f}")
        add_row(table, *cells, "yes" if row["is_here"] else "no")
    notes = dict.fromkeys(row["note"] for row in rows if row["note"])
    return Group(table, *(Text(f"* {note}", style="dim") for note in notes), Text(f"folder: {folder}"))
