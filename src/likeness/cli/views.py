"""What `show` and `inspect` tell, as plain data: tables and JSON are made of it."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from likeness.errors import MissingExtra
from likeness.events import read_events
from likeness.recipe import Recipe
from likeness.records import Caption, Picture, read_records
from likeness.workspace import Run, Workspace

__all__ = ["facts_of", "state_of"]


def state_of(workspace: Workspace, recipe: Recipe) -> dict[str, Any]:
    """A workspace at a glance: character, pictures by use, captions by writer, runs with their checkpoints.

    Raises:
        WorkspaceError: for a record file that cannot be read.
    """
    pictures = read_records(workspace.images_jsonl, Picture) if workspace.images_jsonl.exists() else []
    captions = read_records(workspace.captions_jsonl, Caption) if workspace.captions_jsonl.exists() else []
    return {
        "workspace": str(workspace.root),
        "character": recipe.character.model_dump(mode="json", exclude={"consent"}),
        "base": recipe.base.path,
        "reader": recipe.perception.reader,
        "pictures": dict(Counter(picture.use for picture in pictures)),
        "rejected": {picture.path: picture.reason for picture in pictures if picture.use == "rejected"},
        "captions": dict(Counter(caption.written_by for caption in captions)),
        "runs": [_run(run) for run in _runs(workspace)],
    }


def _runs(workspace: Workspace) -> list[Run]:
    folders = [folder for folder in workspace.runs.glob("[0-9]*") if folder.name.isdecimal()]
    return [Run(folder) for folder in sorted(folders, key=lambda folder: int(folder.name))]


def _run(run: Run) -> dict[str, Any]:
    """A run, with the last loss that it reported."""
    losses = [event for event in read_events(run.events) if "loss" in event.numbers] if run.events.exists() else []
    return {
        "run": run.root.name,
        "steps": losses[-1].done if losses else 0,
        "of": losses[-1].total if losses else 0,
        "loss": losses[-1].numbers["loss"] if losses else None,
        "checkpoints": [path.name for path in run.checkpoints],
    }


def facts_of(file: Path) -> dict[str, Any]:
    """What a LoRA file holds.

    Raises:
        CheckpointError: for a file that is refused.
        MissingExtra: where torch is not installed.
    """
    try:
        from likeness.diffusion.lora_files import inspect_file
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "torch", "train", why="to inspect a weights file") from missing
    found = inspect_file(file)
    hashes = {"auto_v2": found.auto_v2, "auto_v3": found.auto_v3}
    return {
        **asdict(found),
        **hashes,
        "path": str(file),
        "metadata": dict(found.metadata),
        "dtypes": dict(found.dtypes),
    }
