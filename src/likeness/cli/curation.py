"""What `likeness curate` tells: what became of a pool, or of one picture of it."""

import difflib
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from likeness import pipeline
from likeness.cli.tables import add_row, facts_table, plain_table, unbroken
from likeness.dataset.curate import candidates, missing, summary
from likeness.errors import TooFewPictures, WorkspaceError
from likeness.events import Report
from likeness.messages import listed
from likeness.recipe import Recipe
from likeness.records import Picture, read_records
from likeness.workspace import Workspace

__all__ = ["curated", "curation_table", "explained", "why", "why_table"]

SHOWN = 4  # paths in a row; --json and the page have them all


def curated(
    workspace: Workspace, recipe: Recipe, *, source: str, rights: str, report: Report
) -> tuple[dict[str, Any], RenderableType, TooFewPictures | None]:
    """Curates, and answers with what became of the pool: as plain data, as a table, and what keeps it from going on.

    Args:
        source: where pictures came from of which nobody said so yet; empty where nobody says so now.
        rights: the permission that they are used under, likewise.

    Raises:
        LikenessError: what curation raises.
    """
    if source or rights:
        pipeline.note_origin(workspace, source=source, rights=rights)
    started, fault = time.monotonic(), None
    try:
        pipeline.run(workspace, recipe, ("curate",), report=report)
    except TooFewPictures as too_few:
        fault = too_few
    pictures = read_records(workspace.images_jsonl, Picture)
    told = {
        "workspace": str(workspace.root),
        **summary(pictures),
        "seconds": round(time.monotonic() - started, 3),
    }
    return told, curation_table(told, pictures, str(workspace.curation_html)), fault


def explained(workspace: Workspace, path: str) -> tuple[dict[str, Any], RenderableType]:
    """What became of one picture, and why: as plain data, and as a table; see `why`."""
    told = why(read_records(workspace.images_jsonl, Picture), path)
    return told, why_table(told)


def curation_table(told: dict[str, Any], pictures: Sequence[Picture], page: str) -> RenderableType:
    """A pool at a glance: what each file is used for, what is missing, and where the page is.

    Args:
        told: as `likeness.dataset.curate.summary` makes it.
        pictures: the records.
        page: path of the page that shows all of it.
    """
    counts, found = told["counts"], told["coverage"]
    uses = plain_table("", "files", "")
    add_row(uses, "train", str(counts["train"]), f"show {found['covered']} of {found['reachable']} views by expression")
    add_row(uses, "held out", str(counts["held_out"]), "for measuring; never trained on")
    for fault, paths in sorted(told["rejected"].items(), key=lambda pair: -len(pair[1])):
        add_row(uses, f"rejected: {fault}", str(len(paths)), listed(paths, SHOWN))
    parts: list[RenderableType] = [uses]
    for want in missing(pictures):
        named = listed([one.path for one in candidates(pictures, want)], SHOWN)
        parts.append(Text(f"missing: {want.words}{f'; in the pool, if you accept it: {named}' if named else ''}"))
    return Group(*parts, unbroken(f"page: {page}"))


def why(pictures: Sequence[Picture], path: str) -> dict[str, Any]:
    """What became of one picture, and why, as plain data.

    Args:
        path: relative to `images/`, or its last part where no other picture ends in it.

    Raises:
        WorkspaceError: where there is no such picture, or several.
    """
    named = [one for one in pictures if one.path == path] or [
        one for one in pictures if one.path.rpartition("/")[2] == path.rpartition("/")[2]
    ]
    if len(named) != 1:
        known = [one.path for one in pictures]
        close = difflib.get_close_matches(path, known, n=1)
        said = f"did you mean {close[0]}?" if close else "likeness curate lists them all."
        several = f"{path} could be any of {', '.join(one.path for one in named)}. Write the path from images/ on."
        raise WorkspaceError(several if named else f"{path} is not a picture of this pool; {said}")
    (one,) = named
    reading = one.reading.model_dump(exclude={"embedding"}, exclude_defaults=True) if one.reading else None
    facts = one.model_dump(exclude={"reading"})
    same = [other.path for other in pictures if one.group and other.group == one.group and other.path != one.path]
    return {**facts, "reading": reading, "same_scene": same}


def why_table(told: dict[str, Any]) -> RenderableType:
    """The same for a person."""
    reading = told["reading"] or {}
    seen = [f"{name} {reading[name]}" for name in ("view", "framing", "expression", "pose") if reading.get(name)]
    facts = {
        "picture": told["path"],
        "use": told["use"] + (f" ({told['fault']})" if told["fault"] else ""),
        "why": told["reason"],
        "decided by": told["decided_by"],
        "size": f"{told['width']} x {told['height']} px",
        "seen": ", ".join(seen) + (f"; by {reading['instrument']}" if reading else ""),
        "scores": ", ".join(f"{name} {value:g}" for name, value in told["scores"].items()),
        "same scene": ", ".join(told["same_scene"]),
        "drawn by": told["made_by"],
        "source": "; ".join(filter(None, (told["source"], told["rights"]))),
    }
    return facts_table([(name, value) for name, value in facts.items() if value])
