"""Collecting: which picture files a folder holds, and what was decided about them before. Nothing is decoded."""

from collections.abc import Collection, Sequence
from pathlib import Path

from likeness.dataset.digests import digests_of
from likeness.errors import PictureError, WorkspaceError
from likeness.records import Picture

__all__ = ["LABELLED", "NOTES", "collect"]

NOTES = {".txt", ".caption", ".json", ".jsonl", ".toml", ".yaml", ".yml", ".csv", ".md"}
"""What lies beside pictures and is none: captions, and what people and their tools note down."""

LABELLED = "as labels.csv says"
"""The reason of what a label decided: it stands as long as the label does, and is not remembered without it."""

OURS = "curate"  # who decides, where no person did
UNKNOWN = 0  # px; the size of a picture that nobody has looked at


def collect(
    images: Path, *, memory: Path, previous: Sequence[Picture] = (), sealed: Collection[str] = ()
) -> list[Picture]:
    """A record for every picture file in a folder and the folders in it, by path; the files are only read.

    What a person decided earlier is in it, and so is all else that is known of the same bytes, also under a new name.
    A record whose file is gone is left out. A file that is byte for byte another one, before it in the list or decided
    on by a person, is rejected. Hidden files and notes (`NOTES`) are passed over.

    Args:
        images: the folder.
        memory: the file to keep the sha256 of files in, which may be deleted at any time.
        previous: records of an earlier time.
        sealed: ids of pictures that were held out at any time; they still are.

    Raises:
        WorkspaceError: where there is no such folder, or a file in it may not be read, or the memory not written.
        PictureError: where the folder holds no file that could be a picture.
    """
    by_whom = sorted(reversed(previous), key=lambda picture: picture.decided_by == "person")
    known = {picture.id: picture for picture in by_whom}  # of several, what a person decided; else the first
    exact = {(one.id, one.path): one for one in previous if one.decided_by == "person" and one.reason != LABELLED}
    first_with: dict[str, str] = {}
    pictures = []
    files = _files(images)
    for file, id in zip(files, digests_of(files, root=images, memory=memory), strict=True):
        path = file.relative_to(images).as_posix()
        is_copy = id in first_with
        picture = exact.get((id, path)) or _recalled(known.get(id), id, path, is_copy=is_copy)
        if id in sealed and not is_copy and picture.decided_by != "person":
            picture = picture.model_copy(update={"use": "held-out"})
        if is_copy and picture.decided_by != "person":
            picture = picture.rejected("exact duplicate", f"the same file as {first_with[id]}")
        first_with.setdefault(id, path)
        pictures.append(picture)
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


def _recalled(earlier: Picture | None, id: str, path: str, *, is_copy: bool) -> Picture:
    """What is known of these bytes: a person's decision as it was, or that the picture is held out."""
    new = Picture(id=id, path=path, width=UNKNOWN, height=UNKNOWN, use="train", decided_by=OURS)
    if earlier is None or is_copy or earlier.reason == LABELLED:  # known of the file before this one, or by its label
        return new
    if earlier.decided_by == "person":
        return earlier.model_copy(update={"path": path})
    return new.model_copy(update={"use": "held-out"}) if earlier.use == "held-out" else new
