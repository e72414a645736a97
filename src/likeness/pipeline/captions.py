"""The captions of a workspace: the step that writes them with their plan, and the audit of what it wrote."""

from collections.abc import Callable, Mapping
from pathlib import Path

from likeness.captions.audit import Finding, audit
from likeness.captions.caption import TagsOf, caption
from likeness.captions.files import read_written
from likeness.captions.tags import front_tags
from likeness.captions.traits import TraitPlan
from likeness.errors import CheckpointError, MissingExtra, WorkspaceError
from likeness.events import Event
from likeness.maquette.world import scene_tags, trait_tags
from likeness.pipeline.bench import Bench
from likeness.pipeline.instruments import open_reader
from likeness.pipeline.trigger import open_tongue
from likeness.recipe import BaseConfig, Recipe
from likeness.records import Caption, Picture, read_records, write_atomically, write_records
from likeness.workspace import Workspace

__all__ = ["TAGS_OF", "audit_captions", "read_plan", "write_captions"]

TAGS_OF: Mapping[str, TagsOf] = {"maquette": lambda seen: [*trait_tags(seen), *scene_tags(seen)]}
"""The words for what a reader saw, by the reader's name; one without an entry speaks plainly."""


def write_captions(bench: Bench) -> list[Path]:
    """Writes the captions and the trait plan, and tells what the audit finds, a note each."""
    recipe, workspace = bench.recipe, bench.workspace
    made = caption(
        read_records(workspace.images_jsonl, Picture),
        recipe.caption,
        images=workspace.images,
        front=bench.front,
        reader=None if recipe.caption.source == "files" else open_reader(recipe.perception),
        tags_of=TAGS_OF.get(recipe.perception.reader),
        report=bench.report,
    )
    write_records(workspace.captions_jsonl, made.captions)
    write_atomically(workspace.plan_json, made.plan.model_dump_json(indent=1) + "\n")
    total = len(made.captions)
    for finding in audit_captions(workspace, recipe):
        bench.report(Event(stage="caption", done=total, total=total, note=f"{finding.kind}: {finding.found}"))
    return [workspace.plan_json, workspace.captions_jsonl]


def read_plan(workspace: Workspace) -> TraitPlan:
    """The trait plan that the caption step wrote.

    Raises:
        WorkspaceError: where there is none, or it cannot be read.
    """
    try:
        return TraitPlan.model_validate_json(workspace.plan_json.read_bytes())
    except FileNotFoundError as fault:
        raise WorkspaceError(
            f"{workspace.plan_json} is not there: there are no captions yet. Make them with: likeness caption "
            f"{workspace.root}"
        ) from fault
    except ValueError as fault:
        raise WorkspaceError(f"{workspace.plan_json} cannot be read. Delete it and repeat the command.") from fault


def audit_captions(workspace: Workspace, recipe: Recipe) -> list[Finding]:
    """What to know about a workspace's captions before training; see `audit`.

    Raises:
        WorkspaceError: where there are no captions yet, or no picture is trained on.
    """
    plan, named = read_plan(workspace), recipe.character
    pictures = read_records(workspace.images_jsonl, Picture)
    if not any(picture.use == "train" for picture in pictures):
        raise WorkspaceError(
            f"No picture of {workspace.root} is trained on, so there are no captions to look through. What became of "
            f"them says: likeness curate {workspace.root}"
        )
    used = [picture for picture in pictures if picture.use != "rejected"]
    is_read = recipe.caption.source != "reader"
    written = read_written(used, pictures, workspace.images, trigger=named.trigger) if is_read else {}
    return audit(
        pictures,
        read_records(workspace.captions_jsonl, Caption),
        plan=plan,
        front=front_tags(named.trigger, named.class_words),
        written=written,
        count_tokens=_counter(recipe.base),
        added=recipe.caption.add,
    )


def _counter(base: BaseConfig) -> Callable[[str], int] | None:
    """Counts a text's tokens; None where the base, or what splits words, is not here: captions need neither."""
    try:
        tongue = open_tongue(base)
    except (CheckpointError, MissingExtra):
        return None
    return lambda text: len(tongue.split(text))
