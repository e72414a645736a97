"""Sources: what a person brings in, a folder, a zip file or a single picture, as names and the bytes behind them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from likeness.dataset.archives import CHUNK, Archive, free_name, safe_name
from likeness.dataset.origins import files_in
from likeness.errors import PictureError
from likeness.images import SUFFIXES

__all__ = ["NOTES", "PACKED", "Chunks", "Source", "is_picture", "open_source", "stem"]

NOTES = (".txt", ".caption", ".json")
"""What notes on a picture end in: its caption, and what a downloader told of it."""

ZIPS = (".zip", ".cbz")
PACKED = (*ZIPS, ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst")
"""What archives end in; only zip files are opened, and none that lies in another source."""

Chunks = Callable[[], Iterator[bytes]]
"""A file's bytes, some at a time."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source, opened.

    Attributes:
        folder: what its pictures' folder in `images/` is called; empty for a single file.
        files: its files that are not hidden, by a relative name that is safe on any system, in order of their names.
    """

    folder: str
    files: Mapping[str, Chunks]

    def notes_of(self, name: str) -> dict[str, str]:
        """The notes on a picture, by what follows its stem: for "a.png", those of ".txt", ".caption", ".json" and
        ".png.json" that are there. "a.png.txt" counts as "a.txt" where there is none."""
        short = {ending: stem(name) + ending for ending in NOTES}
        suffix = PurePosixPath(name).suffix
        long = {ending: name + ending for ending in (".txt", ".caption")} | {f"{suffix}.json": f"{name}.json"}
        found = {ending: note for ending, note in long.items() if note in self.files}
        return found | {ending: note for ending, note in short.items() if note in self.files}


def stem(name: str) -> str:
    """A path without its last suffix."""
    return name.removesuffix(PurePosixPath(name).suffix)


def is_picture(name: str) -> bool:
    """Whether a file's name is one of a picture."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def open_source(path: Path, *, workspace: Path, opened: ExitStack) -> Source:
    """The files of a source; none is read yet.

    Args:
        path: of a folder, a zip file or a picture.
        workspace: a folder that a source may not be, lie in, or hold.
        opened: closes an archive when all is read.

    Raises:
        PictureError: for a source that is missing, or none of the three, or refused by `Archive`.
    """
    place = path.expanduser().resolve()
    if place == workspace or workspace in place.parents or (place.is_dir() and place in workspace.parents):
        raise PictureError(f"{path} is part of {workspace}, or holds it. Add pictures from somewhere else.")
    if place.is_dir():
        found = sorted((folder / name).relative_to(place) for folder, names in files_in(place) for name in names)
        there = [one for one in found if (place / one).is_file()]  # no devices, no dead links
        taken: dict[str, int] = {}
        files = {free_name(safe_name(one.as_posix()), taken): _reader(place / one) for one in there}
        return Source(_folder_name(place.name), files)
    if not place.is_file():
        raise PictureError(f"{path} is {'no file or folder' if place.exists() else 'missing'}. Check the path.")
    if place.suffix.lower() in ZIPS:
        return _zipped(opened.enter_context(Archive(place)), place)
    if place.suffix.lower() in PACKED:
        raise PictureError(f"{path} is an archive that is not opened. Unpack it, and add the folder.")
    if not is_picture(place.name):
        raise PictureError(
            f"{path} is no picture: its name ends in {place.suffix or 'nothing'!r}. Add a folder, a .zip, or one of "
            f"{', '.join(sorted(SUFFIXES))}."
        )
    endings = [place.with_suffix(ending) for ending in NOTES] + [Path(f"{place}{ending}") for ending in NOTES]
    return Source("", {safe_name(one.name): _reader(one) for one in (place, *endings) if one.is_file()})


def _zipped(archive: Archive, place: Path) -> Source:
    shown = [name for name in sorted(archive.entries) if not _is_hidden(name)]
    return Source(_folder_name(place.stem), {name: _unpacker(archive, name) for name in shown})


def _folder_name(name: str) -> str:
    """A hidden folder's pictures are not to be hidden too."""
    return safe_name(name).lstrip(".") or "_"


def _is_hidden(name: str) -> bool:
    """Whether a file is hidden, or in what macOS adds to every archive."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _unpacker(archive: Archive, name: str) -> Chunks:
    return lambda: archive.chunks(name)


def _reader(path: Path) -> Chunks:
    def chunks() -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except OSError as fault:
            raise PictureError(f"{path} cannot be read: {fault.strerror or fault}. Nothing was added.") from fault

    return chunks
