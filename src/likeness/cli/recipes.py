"""`likeness import-recipe`: settings of kohya's sd-scripts as a likeness.toml, and what became of each."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likeness.cli.answers import tell
from likeness.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import RenderableType

    from likeness.recipe.kohya import Imported, Line

__all__ = ["app", "import_recipe", "imported_table"]

app = typer.Typer(rich_markup_mode=None)

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Config and dataset files (.toml, .json), a script (.sh, .bat, .ps1, .txt), or the quoted command line.",
        show_default=False,
    ),
]
To = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The character's folder.", show_default="here")]
Images = Annotated[
    int | None,
    typer.Option(metavar="NUMBER", min=1, help="How many pictures there are, to count epochs.", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="A value instead of theirs. May be repeated."),
]


@app.command("import-recipe")
def import_recipe(
    sources: Sources, to: To = Path(), images: Images = None, settings: Settings = None, as_json: AsJson = False
) -> None:
    """Write a recipe from settings of kohya's sd-scripts, and say what became of each."""
    place, found = _written(to, _imported(sources, images), settings or ())
    told = {"recipe": str(place), "flags": [_plain(line) for line in found.lines]}
    tell(as_json, told, imported_table(place, found))


def _imported(sources: Sequence[str], images: int | None) -> "Imported":
    from likeness.diffusion.identity import family_of
    from likeness.errors import CheckpointError
    from likeness.recipe.kohya_files import read_kohya
    from likeness.recipe.kohya_terms import import_recipe

    settings, family = read_kohya(sources), ""
    for base in (entry.value for entry in settings.entries if entry.name == "pretrained_model_name_or_path"):
        try:
            family = family_of(Path(str(base)).expanduser())
        except CheckpointError:  # it lies on another machine: the script and the sizes tell
            continue
        break
    return import_recipe(settings, images=images, family=family)


def _written(to: Path, found: "Imported", settings: Sequence[str]) -> tuple[Path, "Imported"]:
    """The new likeness.toml, with `settings` laid over what was imported; nothing is made where it is not valid."""
    from dataclasses import replace

    from likeness.errors import WorkspaceError
    from likeness.pipeline.settings import settings_of
    from likeness.recipe import load_recipe, write_recipe
    from likeness.workspace import Workspace

    place = Workspace(to).recipe
    if place.exists():
        raise WorkspaceError(f"{place} exists already, and is never written over. Name another folder with --to.")
    with TemporaryDirectory() as desk:
        write_recipe(Path(desk) / place.name, found.recipe)
        recipe = load_recipe(Path(desk) / place.name, settings)
    write_recipe(Workspace.create(to).recipe, recipe, settings_of(recipe))
    return place, replace(found, recipe=recipe)


def _plain(line: "Line") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(line)


def imported_table(place: Path, found: "Imported") -> "RenderableType":
    """A table for each kind of outcome that there is, and what to do next."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for outcome, heading in HEADINGS.items():
        lines = [line for line in found.lines if line.outcome == outcome]
        if lines:
            table = _unset(lines) if outcome in ("not needed", "left out", "by hand", "not known") else _set(lines)
            parts += [Text(heading, style="bold"), table, Text()]
    return Group(*parts, _next(place, found))


HEADINGS = {
    "taken over": "Taken over as it is",
    "converted": "Put into our terms",
    "kohya's default": "Not set, so that kohya's own default held: taken over too, as ours are others",
    "by hand": "Yours to decide",
    "left out": "Left out",
    "not known": "Not known",
    "not needed": "Not needed here",
}


def _set(lines: Sequence["Line"]) -> "RenderableType":
    """Flags that set a field: what they were, what is set, and what a person should know."""
    from likeness.cli.tables import add_row, plain_table

    table = plain_table("kohya", "here", "")
    for line in lines:
        said = line.flag if line.value is None else f"{line.flag} {_short(line.value)}"
        add_row(table, said, f"{line.address} = {_short(line.result)}", line.why)
    return table


def _unset(lines: Sequence["Line"]) -> "RenderableType":
    """Flags that set none, together where the reason is one."""
    from likeness.cli.tables import add_row, plain_table

    reasons: dict[str, list[str]] = {}
    for line in lines:
        said = line.flag if line.value is None or line.value is True else f"{line.flag} {_short(line.value)}"
        reasons.setdefault(line.why, []).append(said)
    table = plain_table("kohya", "why")
    for why, flags in reasons.items():
        add_row(table, ", ".join(flags), why)
    return table


def _short(value: Any) -> str:
    """A value on one line, cut where it is long: the recipe has it whole."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


LONGEST = 60  # letters of a value: paths and lists of patterns are longer, and the file is there to be read


def _next(place: Path, found: "Imported") -> "RenderableType":
    from likeness.cli.invocation import typed
    from likeness.cli.tables import unbroken

    recipe = found.recipe
    named = ", ".join(f"{name} = {getattr(recipe.character, name)!r}" for name in ("trigger", "class_words", "kind"))
    words = [f"Written: {place}", f"Check [character]: {named}."]
    if recipe.base.path != "maquette" and not Path(recipe.base.path).expanduser().exists():
        words.append(f"base.path = {recipe.base.path} is not on this machine: name the file that is.")
    words.append(f"Next: {typed('add', place.parent, 'PICTURES')}")
    words.append(f"Every value: {typed('show', place.parent)}")
    return unbroken("\n".join(words))
