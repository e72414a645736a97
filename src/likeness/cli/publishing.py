"""`likeness publish`, `fix` and `withdraw`: releases that every tool shows rightly, and the end of one."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from likeness.cli.answers import opened, tell
from likeness.cli.options import AsJson, Folder, Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from likeness.catalog.card import Card

__all__ = ["app", "publish", "release_table"]

app = typer.Typer(rich_markup_mode=None)

HERE = Path()


@app.command()
def publish(folder: Folder = HERE, settings: Settings = None, as_json: AsJson = False) -> None:
    """Make a release of the chosen LoRA: its file, previews, sidecars, model card, and all that is known of it."""
    from likeness.cli.progress import reporting
    from likeness.pipeline.publishing import publish_chosen

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        release, card = publish_chosen(workspace, recipe, report=report)
    tell(as_json, {"release": str(release), "card": card.model_dump(mode="json")}, release_table(release, card))


def release_table(release: Path, card: "Card") -> "RenderableType":
    """What was released, how to use it, which tools take it, and where it lies."""
    from rich.console import Group
    from rich.text import Text

    from likeness.catalog.sidecars import trigger_words
    from likeness.cli.tables import add_row, plain_table

    table = plain_table("", "")
    add_row(table, "release", f"{card.title}, version {card.version}, for {card.base.name}")
    add_row(table, "use it with", f"{trigger_words(card)} at {card.weight:g}")
    add_row(table, "licence", card.rights.title)
    add_row(table, "works in", ", ".join(one.name for one in card.clients if one.works) or "not told")
    add_row(table, "AutoV3", card.file.tensors[:12])
    files = sorted(path.relative_to(release).as_posix() for path in release.iterdir() if path.is_file())
    add_row(table, "files", ", ".join(files))
    return Group(table, Text(f"{release}"))
