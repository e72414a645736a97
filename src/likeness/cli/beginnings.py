"""Starting a workspace."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from likeness.pipeline.settings import settings_of
from likeness.recipe import CharacterConfig, Recipe, load_recipe, write_recipe
from likeness.workspace import Workspace

__all__ = ["begin", "draft"]

LONGEST_NAME = 60  # letters; the trigger is made of it, and may have 80


def begin(folder: Path, settings: Sequence[str] = ()) -> Workspace:
    """A new workspace: its folder, `images/`, and a likeness.toml named for the folder, with `settings` laid over it.

    Raises:
        WorkspaceError: where there is a recipe already, or the folder cannot be made.
        RecipeError: for settings that are not valid; then nothing is made.
    """
    recipe = draft(Workspace(folder), settings)
    workspace = Workspace.create(folder)
    write_recipe(workspace.recipe, recipe, settings_of(recipe))
    return workspace


def draft(workspace: Workspace, settings: Sequence[str] = ()) -> Recipe:
    """The recipe that a workspace begins with, `settings` laid over it; nothing is written there.

    Raises:
        RecipeError: for settings that are not valid.
    """
    name = re.sub(r"[^\w -]", "", workspace.root.name)[:LONGEST_NAME].strip() or "character"
    character = CharacterConfig(name=name, trigger=_trigger(name), class_words="", kind="original")
    with TemporaryDirectory() as desk:
        path = Path(desk) / workspace.recipe.name
        write_recipe(path, Recipe(character=character))
        return load_recipe(path, settings)


def _trigger(name: str) -> str:
    """One word out of a name; the ending makes one that no base is likely to know."""
    return (re.sub(r"[\W_]+", "", name.lower()) or "character") + "char"
