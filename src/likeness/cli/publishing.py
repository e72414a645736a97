"""`likeness publish`, `fix` and `withdraw`: releases that every tool shows rightly, and the end of one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likeness.cli.answers import opened, tell
from likeness.cli.options import AsJson, Folder, Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from likeness.catalog.fix import Change
    from likeness.pipeline.publishing import Released

__all__ = ["app", "changes_table", "fix", "publish", "release_table", "withdraw"]

app = typer.Typer(rich_markup_mode=None)

HERE = Path()

LoraFiles = Annotated[list[Path], typer.Argument(metavar="FILE...", help="LoRAs, or folders of them.")]
What = Annotated[
    str, typer.Argument(metavar="WHAT", help="Folder of a release, or place of an entry: /characters/sdxl-1.0/mira.")
]
From = Annotated[Path, typer.Option("--from", metavar="CATALOG", help="The catalog that an entry is in.")]
Because = Annotated[str, typer.Option("--because", metavar="TEXT", help="Why, for the page and the record.")]
CheckOnly = Annotated[bool, typer.Option("--check", help="Only say what is wrong; exit with 1 where something is.")]


@app.command()
def publish(folder: Folder = HERE, settings: Settings = None, as_json: AsJson = False) -> None:
    """Make a release of the chosen LoRA: its file, previews, sidecars, model card, and all that is known of it."""
    from likeness.cli.progress import reporting
    from likeness.pipeline.publishing import publish_chosen

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        released = publish_chosen(workspace, recipe, report=report)
    told = {"release": str(released.folder), "changed": released.changed}
    tell(as_json, {**told, "card": released.card.model_dump(mode="json")}, release_table(released))


@app.command()
def fix(files: LoraFiles, check: CheckOnly = False, as_json: AsJson = False) -> None:
    """Mend the notes and sidecars of LoRAs that others made, so that every tool shows them; say what was changed."""
    from likeness.cli.progress import reporting
    from likeness.pipeline.fixing import fix_files

    with reporting(as_json) as report:
        changes = fix_files(files, write=not check, report=report)
    tell(as_json, {"changes": [one.model_dump() for one in changes]}, changes_table(changes, is_done=not check))
    if check and changes:
        raise typer.Exit(1)


@app.command()
def withdraw(what: What, source: From = Path("catalog"), because: Because = "", as_json: AsJson = False) -> None:
    """Remove a release, or an entry of a catalog: a page that says so stays there, and a record for others."""
    from likeness.catalog.publish import CARD
    from likeness.catalog.withdraw import checklist, others_of, rebuild, withdraw_entry, withdraw_release

    is_release = (Path(what) / CARD).exists() or (Path(what) / "likeness.toml").exists()
    told = withdraw_release(Path(what), because) if is_release else withdraw_entry(source, what, because)
    left = checklist(told, [] if is_release else others_of(source, told))
    words = "\n".join([f"{what} is withdrawn. Left to you:", *left])
    tell(as_json, {**told.model_dump(mode="json"), "left": list(left)}, words)
    if not is_release:
        rebuild(source)  # comes last: it may have faults of its own


def changes_table(changes: "Sequence[Change]", *, is_done: bool) -> "RenderableType":
    """What was mended, or would be, by file."""
    from rich.console import Group
    from rich.text import Text

    if not changes:
        return Text("Nothing is wrong with them.")
    lines = [Text(f"{one.file}: {one.what}") for one in changes]
    return Group(*lines, Text("" if is_done else "Nothing was written. Without --check, it is."))


def release_table(released: "Released") -> "RenderableType":
    """What was released, how to use it, which tools take it, and what of it was written."""
    from rich.console import Group
    from rich.text import Text

    from likeness.catalog.sidecars import trigger_words
    from likeness.cli.tables import add_row, plain_table

    card, table = released.card, plain_table("", "")
    add_row(table, "release", f"{card.title}, version {card.version}, for {card.base.name}")
    add_row(
        table, "use it with", f"{trigger_words(card)} at {card.weight:g}" if card.is_weighed else trigger_words(card)
    )
    add_row(table, "licence", card.rights.title)
    add_row(table, "works in", ", ".join(one.name for one in card.clients if one.works) or "not told")
    add_row(table, "AutoV3", card.file.auto_v3)
    add_row(table, "written", ", ".join(released.changed) or "nothing: all of it was there already")
    return Group(table, Text(f"{released.folder}"))
