"""Export: the chosen pictures and their captions as a folder that kohya's sd-scripts and its kin train on."""

import json
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import Any

from likeness.dataset.archives import free_name, safe_name
from likeness.dataset.kohya import Plan, dataset_toml, folder_name, is_seen_alike
from likeness.errors import PictureError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.images import cropped, save_png, sha256_of
from likeness.messages import listed
from likeness.records import Caption, Picture, make_folder, write_atomically

__all__ = ["RECORD", "Plan", "export"]

RECORD = "likeness.json"
"""The file that says where each picture of an export came from."""

TOML = "dataset.toml"


def export(
    pictures: Sequence[Picture],
    captions: Sequence[Caption],
    plan: Plan,
    *,
    images: Path,
    to: Path,
    sealed: Collection[str] = (),
    report: Report = silent,
) -> list[str]:
    """Writes the pictures to train on, a caption beside each, `dataset.toml` and `likeness.json`; returns their names.

    Pictures are copied as they are, unless they are cropped, or sd-scripts would see another picture than a viewer
    does: those are written as PNG.
    The whole folder is there at once, in place of an earlier export.

    Args:
        pictures: records, those of other pictures too.
        captions: of the pictures.
        plan: what the trainer is told.
        images: the folder that the records' paths start from.
        to: the folder to make; if it is there, it is empty or an earlier export in which nobody changed a file.
        sealed: ids of held-out pictures, which are never exported, whatever their records say.
        report: told of each picture.

    Raises:
        PictureError: where there is nothing to train on, a picture has changed since it was curated, or is held out.
        WorkspaceError: where a caption is missing, or the folder holds other files or cannot be written.
    """
    chosen = [picture for picture in pictures if picture.use == "train"]
    _check_pictures(chosen, pictures, sealed, images)
    texts = {caption.picture: " ".join(caption.text.split()) for caption in captions}
    if missing := [picture.path for picture in chosen if picture.id not in texts]:
        raise WorkspaceError(f"{_some(missing)} without a caption. Make captions first with: likeness caption FOLDER")
    to = to.expanduser().resolve()
    _check_place(to, images)
    stage = to.with_name(f".{to.name}.{token_hex(4)}.partial")
    try:
        entries = []
        for picture, place in _places(chosen, plan):
            written = _write(picture, images, stage / place)
            write_atomically(written.with_suffix(".txt"), texts[picture.id] + "\n")
            entries.append(_entry(picture, written.relative_to(stage).as_posix(), texts[picture.id]))
            report(Event(stage="export", done=len(entries), total=len(chosen)))
        said = [caption for caption in captions if caption.picture in {picture.id for picture in chosen}]
        write_atomically(stage / TOML, dataset_toml(chosen, said, plan, to))
        _write_record(stage, plan, entries)
        if to.exists():
            shutil.rmtree(to)
        stage.rename(to)
    except OSError as fault:
        raise WorkspaceError.of(to, fault) from fault
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return [entry["file"] for entry in entries]


def _check_pictures(
    chosen: Sequence[Picture], pictures: Sequence[Picture], sealed: Collection[str], images: Path
) -> None:
    """That there is something to export, and that it is what was curated: nothing held out, by no other name."""
    if not chosen:
        raise PictureError("No picture is to be trained on. Curate first with: likeness curate FOLDER")
    held = [picture for picture in pictures if picture.use == "held-out"]
    ids, groups = {one.id for one in held} | set(sealed), {one.group for one in held if one.group}
    if leaks := [one.path for one in chosen if one.id in ids or one.group in groups]:
        raise PictureError(
            f"{_some(leaks)} held out, or a copy of a held-out picture: scores would be measured on what was learnt. "
            "Curate again with: likeness curate FOLDER"
        )
    if stale := [one.path for one in chosen if sha256_of(images / one.path) != one.id]:
        raise PictureError(f"{_some(stale)} not what was curated any more. Curate again with: likeness curate FOLDER")


def _check_place(to: Path, images: Path) -> None:
    """That the folder may be made, or made anew: nothing is lost that this program did not write."""
    if images.resolve() in (to, *to.parents):
        raise WorkspaceError(f"{to} lies among the character's own pictures. Export to another folder.")
    if to.exists() and not to.is_dir():
        raise WorkspaceError(f"{to} is a file. Export to a folder.")
    there = {path.relative_to(to).as_posix() for path in to.rglob("*") if not path.is_dir()} if to.is_dir() else set()
    if others := sorted(there - _exported_before(to)):
        raise WorkspaceError(
            f"{to} holds other files, or a changed export: see {listed(others)}. Export to a new folder."
        )
    make_folder(to.parent)


def _exported_before(to: Path) -> set[str]:
    """The files of an earlier export, that one's record too, as far as they are as they were written."""
    try:
        files = dict(json.loads((to / RECORD).read_bytes())["files"])
        return {RECORD, *(name for name, sha256 in files.items() if sha256_of(to / name) == sha256)}
    except (OSError, ValueError, KeyError, TypeError, WorkspaceError):
        return set()


def _places(chosen: Sequence[Picture], plan: Plan) -> list[tuple[Picture, str]]:
    """Where each picture goes: flat, since sd-scripts looks into no folder of a folder, and under a stem of its own."""
    taken: dict[str, int] = {}
    places = []
    for picture in chosen:
        flat = safe_name(picture.path.replace("/", "_"))
        stem = free_name(flat.removesuffix(PurePosixPath(flat).suffix), taken)
        places.append((picture, f"img/{folder_name(picture.repeats, plan)}/{stem}"))
    return places


def _write(picture: Picture, images: Path, to: Path) -> Path:
    """The picture, copied or redrawn; its path has the suffix that goes with it."""
    source = images / picture.path
    make_folder(to.parent)
    if picture.crop is None and is_seen_alike(source):
        copied = to.with_name(to.name + source.suffix)
        shutil.copyfile(source, copied)
        return copied
    redrawn = to.with_name(to.name + ".png")
    save_png(redrawn, cropped(source, picture.crop))
    return redrawn


def _entry(picture: Picture, file: str, caption: str) -> dict[str, Any]:
    told = picture.model_dump(include={"id", "path", "source", "rights", "made_by", "repeats"})
    return {"file": file, **told, "crop": picture.crop.model_dump() if picture.crop else None, "caption": caption}


def _write_record(stage: Path, plan: Plan, entries: Sequence[Mapping[str, Any]]) -> None:
    files = {path.relative_to(stage).as_posix(): sha256_of(path) for path in sorted(stage.rglob("*")) if path.is_file()}
    record = {"front": plan.front, "size": plan.size, "pictures": entries, "files": files}
    write_atomically(stage / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _some(paths: Sequence[str]) -> str:
    """ "a.png, b.png, c.png and 2 more are"."""
    return f"{listed(paths)} {'is' if len(paths) == 1 else 'are'}"
