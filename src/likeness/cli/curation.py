"""What `likeness curate` tells: what became of a pool, or of one picture of it."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from likeness import pipeline
from likeness.cli.invocation import typed
from likeness.cli.names import pictures_meant
from likeness.cli.tables import SHOWN, add_row, facts_table, fault_words, plain_table, unbroken
from likeness.dataset.summaries import candidates, missing, summary, untold
from likeness.errors import LikenessError, TooFewPictures, WorkspaceError
from likeness.events import Report
from likeness.images import SUFFIXES
from likeness.messages import listed
from likeness.pipeline.curation import measured_lacks
from likeness.recipe import Recipe
from likeness.records import Lack, Picture, read_records
from likeness.workspace import Workspace

__all__ = ["answered", "curated", "curation_table", "explained", "why", "why_table"]


def answered(
    workspace: Workspace, recipe: Recipe, asked: str, *, said: tuple[str, str], report: Report
) -> tuple[dict[str, Any], RenderableType, TooFewPictures | None]:
    """What `likeness curate` answers: as `explained` where a picture is asked about, else as `curated`.

    Args:
        asked: the picture; empty for the pool.
        said: source and rights, as `curated` takes them.

    Raises:
        LikenessError: where both are given: who asks changes nothing; and what the two raise.
    """
    source, rights = said
    if not asked:
        return curated(workspace, recipe, source=source, rights=rights, report=report)
    if source or rights:
        raise LikenessError("--why only asks, and notes nothing: give --source and --licence without it.")
    return *explained(workspace, recipe, asked, report=report), None


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
    pictures, lacks = read_records(workspace.images_jsonl, Picture), measured_lacks(workspace)
    told = {
        "workspace": str(workspace.root),
        **summary(pictures, lacks),
        "seconds": round(time.monotonic() - started, 3),
    }
    return told, curation_table(told, pictures, str(workspace.curation_html), lacks), fault


def explained(
    workspace: Workspace, recipe: Recipe, path: str, *, report: Report
) -> tuple[dict[str, Any], RenderableType]:
    """What became of one picture, and why, by the records that are there: as plain data, and as a table; see `why`.

    Nothing is curated, and `recipe` is not looked at, unless there are no records yet.
    """
    if not workspace.images_jsonl.exists():
        with suppress(TooFewPictures):  # what was found is written all the same
            pipeline.run(workspace, recipe, ("curate",), report=report)
    told = why(read_records(workspace.images_jsonl, Picture), path, images=workspace.images)
    return told, why_table(told)


def curation_table(
    told: dict[str, Any], pictures: Sequence[Picture], page: str, lacks: Sequence[Lack] = ()
) -> RenderableType:
    """A pool at a glance: what each file is used for, what is missing, and where the page is.

    Args:
        told: as `likeness.dataset.curate.summary` makes it.
        pictures: the records.
        page: path of the page that shows all of it.
        lacks: what was measured to be weak in a LoRA that learnt from them.
    """
    counts, found = told["counts"], told["coverage"]
    uses = plain_table("", "files", "")
    shown = f"show {found['covered']} of {found['reachable']} views by expression" if found["reachable"] else ""
    add_row(uses, "train", str(counts["train"]), shown)
    add_row(uses, "held out", str(counts["held_out"]), "for measuring; never trained on")
    for fault, paths in sorted(told["rejected"].items(), key=lambda pair: -len(pair[1])):
        add_row(uses, f"rejected: {fault_words(fault)}", str(len(paths)), listed(paths, SHOWN))
    parts: list[RenderableType] = [uses]
    parts += [Text(f"missing: {words}") for words in untold(pictures)]
    for want in missing(pictures, lacks):
        named = listed([one.path for one in candidates(pictures, want)], SHOWN)
        parts.append(Text(f"missing: {want.words}{f'; in the pool, if you accept it: {named}' if named else ''}"))
    return Group(*parts, unbroken(f"page: {page}"))


def why(pictures: Sequence[Picture], path: str, *, images: Path) -> dict[str, Any]:
    """What became of one picture, and why, as plain data.

    Args:
        pictures: the records.
        path: as `pictures_meant` takes it.
        images: the folder of originals.

    Raises:
        WorkspaceError: where there is no such picture, or several, or it has no record yet.
    """
    records = {one.path: one for one in pictures}
    files = [file.relative_to(images).as_posix() for file in images.rglob("*") if file.suffix.lower() in SUFFIXES]
    named, *others = pictures_meant(path, sorted({*records, *files}), images)
    if others:
        raise WorkspaceError(f"{path!r} could be any of {listed([named, *others])}. Name one of them.")
    if named not in records:
        cure = typed("curate", images.parent)
        raise WorkspaceError(f"{named} is newer than the last curation: nothing is decided yet. Decide with: {cure}")
    one = records[named]
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
        "use": told["use"] + (f" ({fault_words(told['fault'])})" if told["fault"] else ""),
        "why": told["reason"],
        "decided by": told["decided_by"],
        "size": f"{told['width']} x {told['height']} px",
        "seen": "; ".join(filter(None, (", ".join(seen), f"by {reading['instrument']}" if reading else ""))),
        "scores": ", ".join(f"{name} {value:g}" for name, value in told["scores"].items()),
        "same scene": ", ".join(told["same_scene"]),
        "drawn by": told["made_by"],
        "source": "; ".join(filter(None, (told["source"], told["rights"]))),
    }
    return facts_table([(name, value) for name, value in facts.items() if value])
