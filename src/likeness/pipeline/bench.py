"""The bench: what the steps of one command work on and with."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.captions.tags import front_tags
from likeness.events import Report
from likeness.images import sha256_of
from likeness.pipeline.instruments import base_folder, open_base
from likeness.recipe import Recipe
from likeness.workspace import Workspace

if TYPE_CHECKING:
    from likeness.diffusion.family import DiffusionModel

__all__ = ["Bench"]


class Bench:
    """What the steps of one command work on and with; the base is opened when it is first needed.

    Attributes:
        workspace: where all is read and written.
        recipe: as it is for this command.
        report: told of all that the steps tell.
    """

    def __init__(self, workspace: Workspace, recipe: Recipe, report: Report) -> None:
        self.workspace, self.recipe, self.report = workspace, recipe, report

    @cached_property
    def model(self) -> "DiffusionModel":
        """The base."""
        return open_base(self.recipe.base)

    @property
    def front(self) -> tuple[str, ...]:
        """What every caption begins with."""
        return front_tags(self.recipe.character.trigger, self.recipe.character.class_words)

    def digest(self, path: Path) -> str:
        """Of a file's bytes; of one that is not there, a word."""
        return sha256_of(path) if path.exists() else "missing"

    @cached_property
    def base_digest(self) -> str:
        """Of the base's files by name, size and time: enough to see a change without loading gigabytes."""
        root = base_folder(self.recipe.base)
        parts = sorted(root.rglob("*")) if root.is_dir() else [root]
        told = [f"{part} {part.stat().st_size} {part.stat().st_mtime_ns}" for part in parts if part.is_file()]
        settings = self.recipe.base
        return hashlib.sha256("\n".join([settings.device, settings.dtype, *told]).encode()).hexdigest()
