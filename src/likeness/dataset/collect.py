"""Collecting: a record for every picture file of a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from likeness.errors import PictureError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.images import open_pixels, sha256_of
from likeness.records import Picture

__all__ = ["collect"]

NOTES = {".txt", ".caption", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".csv", ".md"}
"""What lies beside pictures and is none: captions, and what people and their tools note down."""

OURS = "collect"  # who decided, where it was the rules on this page
UNKNOWN = 0  # px; the size of a picture that cannot be read


def collect(
    images: Path, *, previous: Sequence[Picture] = (), source: str = "", rights: str = "", report: Report = silent
) -> list[Picture]:
    """A record for every picture file in a folder and the folders in it, by path; the files are only read.

    A file that cannot be read as a picture, or that is byte for byte another one, is there too: rejected, with the
    reason in words. Hidden files and notes (`NOTES`) are passed over.

    Args:
        images: the folder.
        previous: records of an earlier time. What a person decided stays, and so does all else that is known of the
            same bytes, also under a new name. A record whose file is gone is left out.
        source: where new pictures came from, for their records.
        rights: the permission new pictures are used under, likewise.
        report: told of each file, and of why one was rejected.

    Raises:
        WorkspaceError: where there is no such folder, or a file in it may not be read.
        PictureError: where the folder holds no file that could be a picture.
    """
    files = _files(images)
    by_whom = sorted(reversed(previous), key=lambda picture: picture.decided_by == "person")
    known = {picture.id: picture for picture in by_whom}  # of several, what a person decided; else the first
    exact = {(picture.id, picture.path): picture for picture in previous}
    first_with: dict[str, str] = {}
    pictures = []
    for done, file in enumerate(files, start=1):
        id, path = sha256_of(file), file.relative_to(images).as_posix()
        picture = _recalled(exact.get((id, path)) or known.get(id), path, first_with)
        if picture is None:
            new = Picture(
                id=id,
                path=path,
                width=UNKNOWN,
                height=UNKNOWN,
                source=source,
                rights=rights,
                use="rejected",
                decided_by=OURS,
            )
            copied = f"the same file as {first_with[id]}" if id in first_with else ""
            picture = new.model_copy(update={"reason": copied}) if copied else _seen(file, new)
        first_with.setdefault(id, path)
        pictures.append(picture)
        note = f"{path}: {picture.reason}" if picture.use == "rejected" else ""
        report(Event(stage="collect", done=done, total=len(files), note=note))
    return pictures


def _files(images: Path) -> list[Path]:
    if not images.is_dir():
        raise WorkspaceError(
            f"{images} is not a folder. Check the path, or start a workspace with: likeness init FOLDER"
        )
    inside = [(path.relative_to(images), path) for path in images.rglob("*")]
    files = [
        path
        for place, path in inside
        if (path.is_file() or path.is_symlink())
        and not path.is_dir()
        and path.suffix.lower() not in NOTES
        and not any(part.startswith(".") for part in place.parts)
    ]
    if not files:
        raise PictureError(
            f"{images} holds no pictures. Put the character's pictures there; 20 to 50 are a good start."
        )
    return sorted(files, key=lambda path: path.relative_to(images).as_posix())


def _recalled(earlier: Picture | None, path: str, first_with: Mapping[str, str]) -> Picture | None:
    """What is known of these bytes, unless it is only what this page once found out and should look at again."""
    if earlier is None or (earlier.decided_by == OURS and earlier.use == "rejected"):
        return None
    if earlier.id in first_with and earlier.path != path:  # the record is of the file before this one
        return None
    return earlier.model_copy(update={"path": path})


def _seen(file: Path, new: Picture) -> Picture:
    """The record of a file that nobody has decided about."""
    try:
        height, width = open_pixels(file).shape[:2]
    except PictureError as fault:
        return new.model_copy(update={"reason": str(fault).removeprefix(f"{file} ")})
    return new.model_copy(update={"width": width, "height": height, "use": "train"})
