"""What `add`, `label` and `export-dataset` do, and what they tell, as plain data and as tables."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from likeness.captions.tags import front_tags
from likeness.captions.traits import TraitPlan
from likeness.cli.names import pictures_meant
from likeness.cli.tables import add_row, plain_table
from likeness.dataset.export import Plan, export
from likeness.dataset.intake import Intake, Origin, add
from likeness.dataset.labels import COLUMNS, Label, changed, read_labels, write_labels
from likeness.dataset.origins import origins
from likeness.dataset.seal import read_seal
from likeness.errors import WorkspaceError
from likeness.events import Report
from likeness.messages import listed
from likeness.pipeline.captions import read_plan
from likeness.pipeline.curation import training_side
from likeness.recipe import Recipe
from likeness.records import Caption, Picture, read_records, write_records
from likeness.workspace import Workspace

__all__ = [
    "add_pictures",
    "export_dataset",
    "exported_words",
    "intake_facts",
    "intake_table",
    "label_pictures",
    "label_table",
]


def add_pictures(workspace: Workspace, sources: Sequence[Path], said: tuple[str, str], report: Report) -> Intake:
    """Adds pictures to a workspace, and notes where they came from.

    Args:
        workspace: of the character.
        sources: folders, zip files and single pictures.
        said: their source, and the rights that they are used under.
        report: told of each picture.

    Raises:
        PictureError: for a source that is refused; then nothing was added.
        WorkspaceError: where the folder is no workspace, is in use, or cannot be written.
    """
    if not workspace.recipe.exists():
        raise WorkspaceError(
            f"{workspace.root} is not a character's folder: it has no likeness.toml. The folder comes first, then the "
            f"sources: likeness add FOLDER SOURCE. Start a character with: likeness init {workspace.root}"
        )
    path = workspace.sources_jsonl
    with workspace.lock("likeness add"):
        recorded = read_records(path, Origin) if path.exists() else []
        source, rights = said
        intake = add(sources, workspace.images, recorded=recorded, source=source, rights=rights, report=report)
        write_records(path, intake.recorded)
    return intake


def intake_facts(workspace: Workspace, intake: Intake) -> dict[str, Any]:
    """What came of adding, as plain data."""
    return {
        "workspace": str(workspace.root),
        "added": [origin.model_dump() for origin in intake.added],
        "notes": intake.notes,
        "present": intake.present,
        "skipped": {reason: list(names) for reason, names in intake.skipped.items()},
    }


def intake_table(intake: Intake) -> RenderableType:
    """What came of adding: how many pictures, from what, and what was left out and why."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    notes = f", with {intake.notes} notes beside them" if intake.notes else ""
    rows = [(len(intake.added), f"pictures added{notes}")]
    if intake.present:
        rows.append(
            (len(intake.present), f"there already: {listed([f'{a} as {b}' for a, b in intake.present.items()])}")
        )
    rows += [(len(names), f"passed over, {reason}: {listed(names)}") for reason, names in intake.skipped.items()]
    for count, words in rows:
        table.add_row(Text(str(count)), Text(words))
    silent = sum(not origin.rights for origin in intake.added)
    hint = f"{silent} of them say no rights; repeat with --licence WORDS to note them" if silent else ""
    return Group(table, *([Text(hint, style="dim")] if hint else []))


def label_pictures(workspace: Workspace, words: Sequence[str]) -> dict[str, Label]:
    """The labels of a workspace, after those that `words` ask for were changed.

    Args:
        words: pictures, each as `pictures_meant` takes it, and then KEY=VALUE; none only reads.

    Raises:
        WorkspaceError: for a picture that is not there, a value that is not allowed, or a table at fault.
    """
    known = list(origins(workspace.images)) if workspace.images.is_dir() else []
    names = [word for word in words if word in known or not re.match(r"[^\W\d][\w ]*=", word)]
    values = {key: value for key, _, value in (word.partition("=") for word in words if word not in names)}
    if bool(names) != bool(values):
        raise WorkspaceError(
            "Name pictures and what to say of them, as in: likeness label mira 012.png view=back use=train. "
            "An empty value takes back what was said: use="
        )
    if not words:
        return read_labels(workspace.labels_csv, known)
    with workspace.lock("likeness label"):
        labels = read_labels(workspace.labels_csv, known)
        for path in dict.fromkeys(path for name in names for path in pictures_meant(name, known, workspace.images)):
            labels[path] = changed(labels.get(path, Label(path=path)), values)
        write_labels(workspace.labels_csv, labels)
    return {path: label for path, label in labels.items() if not label.is_empty}


def label_table(labels: dict[str, Label]) -> RenderableType:
    """The labels, a row each; only columns in which something is said."""
    rows = [{"path": one.path, "use": one.use, **one.seen, **one.traits} for one in labels.values()]
    used = {name for row in rows for name, value in row.items() if value is not None}
    columns = [name for name in COLUMNS if name in used] + sorted(used - {*COLUMNS})
    if not rows:
        return Text("No labels yet. Say something of a picture with: likeness label FOLDER PICTURE view=back use=train")
    table = plain_table(*columns)
    for row in rows:
        add_row(table, *("" if row.get(name) is None else str(row[name]) for name in columns))
    return table


def export_dataset(workspace: Workspace, recipe: Recipe, to: Path, report: Report) -> dict[str, Any]:
    """Exports what was chosen and captioned, and tells what came of it, as plain data.

    Raises:
        PictureError: where there is nothing to export, or something is not to be.
        WorkspaceError: where pictures were not curated or captioned yet, or the folder cannot be used.
    """
    for path, command in ((workspace.images_jsonl, "curate"), (workspace.captions_jsonl, "caption")):
        if not path.exists():
            raise WorkspaceError(f"{path} is not there yet. Make it with: likeness {command} {workspace.root}")
    with workspace.lock("likeness export-dataset"):
        planned = read_plan(workspace) if workspace.plan_json.exists() else None
        front = front_tags(recipe.character.trigger, recipe.character.class_words)
        plan = Plan(front, training_side(recipe), _no_mirror(planned))
        files = export(
            read_records(workspace.images_jsonl, Picture),
            read_records(workspace.captions_jsonl, Caption),
            plan,
            images=workspace.images,
            to=to,
            sealed=read_seal(workspace.held_out_json),
            report=report,
        )
    return {"to": str(to.expanduser().resolve()), "pictures": files, "mirror": plan.no_mirror == "", "size": plan.size}


def _no_mirror(plan: TraitPlan | None) -> str | None:
    """Why pictures may not be mirrored; None where no trait was seen, so that nobody knows."""
    if plan is None or not plan.traits:
        return None
    return "" if plan.may_mirror else plan.mirror_reason or "the trait plan does not allow it"


def exported_words(told: dict[str, Any]) -> str:
    """What was exported, and how it is used."""
    return (
        f"{len(told['pictures'])} pictures with captions, for training at {told['size']} px, are in {told['to']}\n"
        f"sd-scripts reads them with: --dataset_config {shlex.quote(told['to'] + '/dataset.toml')}"
    )
