"""The curation of a workspace: what it reads, the step itself, and the page that shows what became of each picture."""

import hashlib
import json
from pathlib import Path
from typing import Any

from likeness.dataset.curate import Beforehand, curate
from likeness.dataset.digests import digests_of
from likeness.dataset.labels import Label, read_labels
from likeness.dataset.origins import Origin, origins
from likeness.dataset.report import curation_page
from likeness.dataset.seal import read_seal, taken_back, write_seal
from likeness.dataset.summaries import summary
from likeness.diffusion.identity import native_side
from likeness.errors import TooFewPictures, WorkspaceError
from likeness.images import SUFFIXES
from likeness.perception.models import PROFILES, models_folder
from likeness.pipeline.bench import Bench
from likeness.pipeline.instruments import base_folder, open_reader
from likeness.recipe import Recipe
from likeness.records import Lack, Picture, make_folder, read_records, write_atomically, write_records
from likeness.workspace import Workspace

__all__ = [
    "curate_pictures",
    "curation_inputs",
    "curation_summary",
    "measured_lacks",
    "note_origin",
    "pool_digest",
    "training_side",
]


def pool_digest(images: Path, *, without: str | None = None) -> str:
    """Of all files with their sizes and times; a folder in which nothing was touched needs no second look.

    Args:
        without: how the names of files begin that do not matter.
    """
    paths = [path for path in sorted(images.rglob("*")) if without is None or not path.name.startswith(without)]
    found = [(path.relative_to(images), path.lstat()) for path in paths]  # a link may lead nowhere
    told = [f"{path} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}" for path, facts in found]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def curation_inputs(bench: Bench) -> dict[str, str]:
    """Digests of all that curation reads, but for its own earlier result."""
    recipe, workspace = bench.recipe, bench.workspace
    return {
        "images": pool_digest(workspace.images),
        "labels.csv": bench.digest(workspace.labels_csv),
        "sources.jsonl": bench.digest(workspace.sources_jsonl),
        "[curate]": recipe.curate.digest,
        "[perception]": recipe.perception.digest,
        "models": _models(recipe.perception.reader),
        "side": str(training_side(recipe)),
        "measured": "; ".join(f"{one.axis} {one.value} {one.because}" for one in measured_lacks(workspace)),
    }


def curate_pictures(bench: Bench) -> list[Path]:
    """Writes a record for each picture, the seal of those that are held out, and the page.

    Raises:
        TooFewPictures: where too few pictures are usable and nobody said to go on, or none is left to train on; what
            was found is written first.
    """
    recipe, workspace = bench.recipe, bench.workspace
    previous = read_records(workspace.images_jsonl, Picture) if workspace.images_jsonl.exists() else []
    noted = read_records(workspace.sources_jsonl, Origin) if workspace.sources_jsonl.exists() else []
    reader, labels = open_reader(recipe.perception), _labels(workspace)
    sealed = read_seal(workspace.held_out_json) - taken_back(previous, labels)
    found = curate(
        workspace.images,
        recipe.curate,
        reader=reader,
        key=f"{recipe.perception.digest} {getattr(reader, 'sha256', '')}",
        side=training_side(recipe),
        memory=workspace.cache,
        beforehand=Beforehand(previous, labels, noted, sealed, measured_lacks(workspace)),
        report=bench.report,
    )
    write_records(workspace.images_jsonl, found.pictures)
    write_seal(workspace.held_out_json, found.pictures, sealed)
    make_folder(workspace.curation_html.parent)
    write_atomically(workspace.curation_html, curation_page(found, recipe.curate, name=recipe.character.name))
    if not any(one.use == "train" for one in found.pictures):
        raise TooFewPictures(
            f"No picture is left to train on: all {len(found.pictures)} are held out or rejected. "
            f"{workspace.curation_html} says why for each. Add pictures, or accept some: likeness label "
            f"{workspace.root} PICTURE use=train."
        )
    if found.too_few and not recipe.curate.accept_few:
        raise TooFewPictures(
            f"{found.too_few} {workspace.curation_html} shows what is missing. Add pictures, or go on at that price "
            "with curate.accept_few = true in likeness.toml (for one command: --set curate.accept_few=true)."
        )
    return [workspace.images_jsonl, workspace.held_out_json, workspace.curation_html]


def _models(reader: str) -> str:
    """Which models there are for a reader: one that was fetched since sees more."""
    there = models_folder().glob("*") if reader in PROFILES else ()
    return ", ".join(sorted(f"{path.name} {path.stat().st_size}" for path in there))


def _labels(workspace: Workspace) -> dict[str, Label]:
    """What a person says of pictures; of one that is not there, it is said that it is not."""
    if not workspace.labels_csv.exists():
        return {}
    paths = [path.relative_to(workspace.images).as_posix() for path in workspace.images.rglob("*") if path.is_file()]
    return read_labels(workspace.labels_csv, known=paths)


def note_origin(workspace: Workspace, *, source: str, rights: str) -> None:
    """Where the pictures came from of which nobody has said so yet, and the permission they are used under."""
    with workspace.lock("likeness curate"):
        noted = read_records(workspace.sources_jsonl, Origin) if workspace.sources_jsonl.exists() else []
        files = [path for path in workspace.images.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
        found = digests_of(files, root=workspace.images, memory=workspace.cache / "digests.json")
        ids = {path.relative_to(workspace.images).as_posix(): id for path, id in zip(files, found, strict=True)}
        told = {
            path: one.model_copy(update={"source": one.source or source, "rights": one.rights or rights})
            for path, one in origins(workspace.images, noted, ids=ids).items()
        }
        gone = [one for one in noted if one.path not in told]
        write_records(workspace.sources_jsonl, [*gone, *told.values()])


def curation_summary(workspace: Workspace) -> dict[str, Any]:
    """What became of a pool, as plain data; see `likeness.dataset.curate.summary`.

    Raises:
        WorkspaceError: where nothing was curated yet.
    """
    return summary(read_records(workspace.images_jsonl, Picture), measured_lacks(workspace))


def measured_lacks(workspace: Workspace) -> list[Lack]:
    """What the last evaluation found weak in the chosen LoRA, or in all that it looked at closely where it chose none;
    nothing before there is one.

    Raises:
        WorkspaceError: where the record of the choice cannot be read.
    """
    if not workspace.choice_json.exists():
        return []
    try:
        told = json.loads(workspace.choice_json.read_bytes())
        chosen = Path(told["lora"]).stem
        findings = told["findings"].get(chosen) or [one for some in told["findings"].values() for one in some]
        lacks = [Lack.model_validate(one["lack"]) for one in findings if one["lack"]]
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise WorkspaceError(f"{workspace.choice_json} cannot be read. Delete it, and evaluate again.") from fault
    return list({(one.axis, one.value): one for one in lacks}.values())


def training_side(recipe: Recipe) -> int:
    """The side of the square that is trained on, px: as the recipe says, or the base's own.

    Raises:
        CheckpointError: where the base is nowhere, or is a file that is no base.
    """
    if recipe.encode.size:
        return recipe.encode.size
    return native_side(base_folder(recipe.base), recipe.base)
