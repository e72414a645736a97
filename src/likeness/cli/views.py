"""What `show` and `inspect` tell, as plain data: tables and JSON are made of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

from likeness.cli.invocation import typed
from likeness.dataset.choice import LEFT_OVER
from likeness.dataset.curate import FEW
from likeness.dataset.summaries import summary
from likeness.errors import CheckpointError, MissingExtra
from likeness.events import read_events, silent
from likeness.images import SUFFIXES
from likeness.messages import counted
from likeness.pipeline import STEPS, all_steps, best_lora
from likeness.pipeline.bench import Bench
from likeness.pipeline.settings import settings_of
from likeness.recipe import PRESETS, Recipe
from likeness.records import Caption, Picture, read_records
from likeness.workspace import Run, Workspace

__all__ = ["facts_of", "state_of"]


def state_of(workspace: Workspace, recipe: Recipe) -> dict[str, Any]:
    """A workspace at a glance: character, pictures by use, captions by writer, runs with checkpoints, what is next.

    Raises:
        WorkspaceError: for a record file that cannot be read.
    """
    pictures = read_records(workspace.images_jsonl, Picture) if workspace.images_jsonl.exists() else []
    captions = read_records(workspace.captions_jsonl, Caption) if workspace.captions_jsonl.exists() else []
    return {
        "workspace": str(workspace.root),
        "character": recipe.character.model_dump(mode="json", exclude={"consent"}),
        "base": recipe.base.path,
        "settings": _settings(recipe),
        "reader": recipe.perception.reader,
        "pictures": dict(Counter(picture.use for picture in pictures)),
        "rejected": {picture.path: picture.reason for picture in pictures if picture.use == "rejected"},
        "faults": summary(pictures)["rejected"],
        "captions": dict(Counter(caption.written_by for caption in captions)),
        "runs": [_run(run) for run in workspace.numbered_runs()],
        "releases": list(_releases(workspace)),
        "next": _next(workspace, recipe, pictures),
    }


def _settings(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """What is trained and sampled with, by address: each value and who says so. What nobody said is left out."""
    found = settings_of(recipe)
    by = {address: f"preset {name}" for name in found.presets for address in PRESETS[name]}
    for section in ("encode", "train", "sample"):
        said = getattr(recipe, section)  # an empty list says nothing: every file has sample.prompts = []
        by |= {f"{section}.{field}": "you" for field in sorted(said.model_fields_set) if getattr(said, field) != ()}
    by |= found.left
    return {address: {"value": _value(found.recipe, address), "by": by[address]} for address in by}


def _value(recipe: Recipe, address: str) -> Any:
    section, _, field = address.partition(".")
    return getattr(recipe, section).model_dump(mode="json", include={field})[field]


def _next(workspace: Workspace, recipe: Recipe, pictures: Sequence[Picture]) -> str:
    """What a person does next: the command of the first step that is not done, or is to be done again."""
    if not any(path.is_file() for path in workspace.images.rglob("*")):
        return f"put all the pictures that you have of the character into {workspace.images}"
    bench = Bench(workspace, recipe, silent)
    try:
        stale = next(
            (name for name in all_steps(recipe) if not workspace.is_fresh(name, STEPS[name].inputs(bench))), None
        )
    except CheckpointError:  # the base is not there
        return typed("doctor", workspace.root)
    if stale is None:
        then = "" if any(_releases(workspace)) else f"; to give it on: {typed('publish', workspace.root)}"
        return f"nothing: all is done, and {best_lora(workspace)} is the LoRA{then}"
    if stale == "curate":
        return _curating(workspace, recipe, pictures)
    return typed("train" if stale == "encode" else stale, workspace.root)


def _curating(workspace: Workspace, recipe: Recipe, pictures: Sequence[Picture]) -> str:
    """What a person does to curate: the command, and before it what it needs where it would stop as it did last time.

    Args:
        workspace: of the character.
        recipe: as it is for this command.
        pictures: the records of the last curation.
    """
    command = typed("curate", workspace.root)
    files = {path.relative_to(workspace.images).as_posix() for path in workspace.images.rglob("*")}
    new = [path for path in files - {one.path for one in pictures} if PurePath(path).suffix.lower() in SUFFIXES]
    if new or not pictures:
        return command
    if not any(one.use == "train" for one in pictures):
        accepting = typed("label", workspace.root, "PICTURE", "use=train")
        return f"add pictures, or accept some: {accepting}; then: {command}"
    usable = sum(one.use != "rejected" or one.fault in LEFT_OVER for one in pictures)
    if usable >= FEW or recipe.curate.accept_few or recipe.curate.choose == "all":
        return command
    return (
        f"add pictures ({counted(usable, 'is', 'are')} usable, {FEW} are wanted), or go on with so few: write "
        f"accept_few = true under [curate] in {workspace.recipe}; then: {command}"
    )


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


def _releases(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """The releases of a workspace, as their own cards tell."""
    if not (workspace.root / "release").is_dir():
        return
    from likeness.catalog.card import read_card
    from likeness.catalog.publish import CARD

    for file in sorted((workspace.root / "release").glob(f"*/{CARD}")):
        card = read_card(file)
        told = {"version": card.version, "published": card.published.isoformat(), "auto_v3": card.file.auto_v3}
        yield {"folder": str(file.parent), **told}


def facts_of(file: Path) -> dict[str, Any]:
    """What a LoRA file holds.

    Raises:
        CheckpointError: for a file that is refused, or a folder.
        MissingExtra: where torch is not installed.
    """
    try:
        from likeness.diffusion.files.inspection import inspect_file
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "torch", "train", why="to inspect a weights file") from missing
    if file.is_dir():
        raise CheckpointError(f"{file} is a folder. Name a LoRA file in it, as in mira/runs/0001/mira.safetensors.")
    found = inspect_file(file)
    hashes = {"auto_v2": found.auto_v2, "auto_v3": found.auto_v3}
    return {
        **asdict(found),
        **hashes,
        "path": str(file),
        "metadata": dict(found.metadata),
        "dtypes": dict(found.dtypes),
    }
