"""Starting a workspace."""

import re
from collections.abc import Sequence
from pathlib import Path

from likeness.errors import RecipeError
from likeness.recipe import CharacterConfig, Recipe, load_recipe, write_recipe
from likeness.workspace import Workspace

__all__ = ["begin"]


def begin(folder: Path, settings: Sequence[str] = ()) -> Workspace:
    """A new workspace: its folder, `images/`, and a likeness.toml named for the folder, with `settings` laid over it.

    Raises:
        WorkspaceError: where there is a recipe already, or the folder cannot be made.
        RecipeError: for settings that are not valid; then no recipe is left behind.
    """
    workspace = Workspace.create(folder)
    name = re.sub(r"[^\w -]", "", workspace.root.name).strip() or "character"
    character = CharacterConfig(name=name, trigger=_trigger(name), class_words="", kind="original")
    write_recipe(workspace.recipe, Recipe(character=character))
    if settings:
        _lay_over(workspace.recipe, settings)
    return workspace


def _trigger(name: str) -> str:
    """One word out of a name; the ending makes one that no base is likely to know."""
    return (re.sub(r"[\W_]+", "", name.lower()) or "character") + "char"


def _lay_over(path: Path, settings: Sequence[str]) -> None:
    try:
        recipe = load_recipe(path, settings)
    except RecipeError:
        path.unlink()  # it was written a moment ago, by this very command
        raise
    path.unlink()
    write_recipe(path, recipe)
