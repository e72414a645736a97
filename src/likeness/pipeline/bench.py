"""The bench: what the steps of one command work on and with."""

import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.captions.tags import front_tags
from likeness.events import Report
from likeness.images import sha256_of
from likeness.pipeline.instruments import base_folder, named_path, open_base
from likeness.pipeline.settings import settings_of
from likeness.recipe import BaseConfig, Recipe
from likeness.records import make_folder, write_atomically
from likeness.workspace import Workspace

if TYPE_CHECKING:
    from likeness.diffusion.family import DiffusionModel

__all__ = ["Bench"]


class Bench:
    """What the steps of one command work on and with; the base is opened when it is first needed.

    Attributes:
        workspace: where all is read and written.
        settings: the recipe for this command, with what suits its base laid under it.
        report: told of all that the steps tell.
    """

    def __init__(self, workspace: Workspace, recipe: Recipe, report: Report) -> None:
        self.workspace, self.settings, self.report = workspace, settings_of(recipe), report

    @property
    def recipe(self) -> Recipe:
        """The recipe, with nothing left open: all that is made follows from it."""
        return self.settings.recipe

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
        """Of what the base's files hold, wherever they lie, and of how it is loaded."""
        settings = self.recipe.base
        held = self.held(base_folder(settings), "base")
        told = [
            f"{name} {self.held(named_path(settings, name), f'base-{name}')}"
            for name in ("vae", "tokenizer")
            if getattr(settings, name)
        ]
        usual, changed = BaseConfig(), ("prediction", "zero_terminal", "clip_skip", "vae_dtype", "quantise")
        told += [f"{name} {value}" for name in changed if (value := getattr(settings, name)) != getattr(usual, name)]
        return _digest([settings.device, settings.dtype, held, *told])

    def held(self, path: Path, name: str) -> str:
        """Digest of what the files of a model hold, wherever they lie; under `name` it is kept in the cache."""
        return _held_by(path, memory=self.workspace.cache / f"{name}.txt")


def _held_by(model: Path, *, memory: Path) -> str:
    """Digest of a model's files, by place and content. Bases have gigabytes, so `memory` keeps it until one of the
    files has another place, size or time."""
    inside = [path for path in sorted(model.rglob("*")) if path.suffix in (".json", ".safetensors", ".txt")]
    files = inside if model.is_dir() else [model]
    stats = [(path, path.stat()) for path in files]
    seen = _digest(f"{path} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}" for path, facts in stats)
    known, _, held = memory.read_text().partition(" ") if memory.exists() else ("", "", "")
    if known != seen:
        held = _digest(f"{path.relative_to(model).as_posix()} {sha256_of(path)}" for path in files)
        make_folder(memory.parent)
        write_atomically(memory, f"{seen} {held}")
    return held


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
