"""The recipe as a file: `likeness.toml`, read strictly and written with an explanation beside each field."""

from collections.abc import Sequence
from pathlib import Path

from likeness.errors import WorkspaceError
from likeness.recipe.page import Recipe
from likeness.recipe.presets import Settled
from likeness.records import write_atomically
from likeness.toml import commented_toml, read_toml

__all__ = ["load_recipe", "write_recipe"]

MAIN = {
    "character.name",
    "character.trigger",
    "character.class_words",
    "character.kind",
    "base.path",
    "sample.prompts",
}  # what a person is likely to set first: `write_recipe` writes these out, and the others as comments


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a file, with `section.field=value` of the command line laid over it.

    Args:
        overrides: each value is read as TOML, and as plain text where it is not TOML.

    Raises:
        RecipeError: with all faults at once, each with field, value and what is allowed.
        WorkspaceError: where there is no such file.
    """
    return read_toml(path, Recipe, overrides)


def write_recipe(path: Path, recipe: Recipe, whole: Settled | None = None) -> None:
    """A new likeness.toml that explains itself: each field with its description, all but a few as comments.

    Args:
        path: of the new file.
        recipe: what is set in it is written out.
        whole: the same with presets under it: what they say is what the comments show.

    Raises:
        WorkspaceError: where there is one already; a person's recipe is never overwritten.
    """
    if path.exists():
        raise WorkspaceError(f"{path} exists already. Edit it, or choose another folder.")
    page = commented_toml(recipe, MAIN, shown=whole.recipe if whole else recipe)
    write_atomically(path, (_heading(whole) if whole else "") + page)


def _heading(whole: Settled) -> str:
    """What a person is told above all fields."""
    by = f", by preset {' + '.join(whole.presets)} (docs/recipes.md)" if whole.presets else ""
    return (
        f"# A line such as '# rank = 16' sets nothing: it tells the value that holds{by}.\n"
        "# Another base may have another one; `likeness show` tells. Without the '# ' it is set, and stays.\n\n"
    )
