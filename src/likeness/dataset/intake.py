"""Intake: pictures, with the notes beside them, are copied from folders, files and zip files into a character's folder.

Everything is read into a hidden folder first and only then moved to its place, so that what is refused leaves nothing.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

from likeness.dataset.origins import Origin, files_in, origins, repeats_in, said_in
from likeness.dataset.sources import NOTES, PACKED, Chunks, Source, is_picture, open_source, stem
from likeness.errors import PictureError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.images import SUFFIXES, sha256_of
from likeness.records import make_folder

__all__ = ["Intake", "Origin", "add", "origins"]

STAGE = ".adding-"  # what the hidden folder is called; hidden files are no pictures of the character


@dataclass(frozen=True, slots=True)
class Intake:
    """What came of adding.

    Attributes:
        added: a record for each picture that is new, by path.
        notes: how many caption and JSON files came with them.
        present: what was there already byte for byte: name in its source, to its path in `images/`.
        skipped: what is no picture: reason, to names in their sources.
        recorded: all records as they are now to be kept, the earlier ones too, by path.
    """

    added: tuple[Origin, ...]
    notes: int
    present: dict[str, str]
    skipped: dict[str, tuple[str, ...]]
    recorded: tuple[Origin, ...]


def add(
    sources: Sequence[Path],
    images: Path,
    *,
    recorded: Sequence[Origin] = (),
    source: str = "",
    rights: str = "",
    report: Report = silent,
) -> Intake:
    """Copies the pictures of `sources` into `images`, each source into a folder of its name, a single file as it is.

    Folders in a source stay as they are, so that kohya's `N_name` keep their meaning. `NAME.txt`, `NAME.caption`,
    `NAME.json` and `NAME.png.json` come with `NAME.png`. A name that is taken gets a number; nothing is overwritten.
    What is there already is not copied again, but gets the notes and the origin that it lacks. The sources are only
    read. Either all of them are added or, where one is refused, nothing is.

    Args:
        sources: folders, zip files and single pictures.
        images: the folder of originals, in its workspace; nobody else may write in it meanwhile.
        recorded: what was noted of pictures added earlier.
        source: where they come from, for those beside which no JSON file says it.
        rights: the licence or permission, likewise.
        report: told of each picture.

    Raises:
        PictureError: for a source that is missing, no picture, damaged, or not safe; or where none holds a picture.
        WorkspaceError: on a full disk or in a read-only folder.
    """
    make_folder(images)
    for left_over in images.glob(f"{STAGE}*"):  # by a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    with ExitStack() as opened:
        found = [open_source(path, workspace=images.parent.resolve(), opened=opened) for path in sources]
        total = sum(is_picture(name) for one in found for name in one.files)
        if total == 0:
            raise PictureError(f"No source holds a picture. Pictures end in {', '.join(sorted(SUFFIXES))}.")
        with _stage_in(images) as stage:
            desk = _Desk(images, stage)
            for one in found:
                for name in filter(is_picture, one.files):
                    desk.take(one, name, Origin(path=name, source=source, rights=rights))
                    report(Event(stage="add", done=desk.taken, total=total))
                desk.pass_over(one)
            return desk.settle(recorded)


@contextmanager
def _stage_in(images: Path) -> Iterator[Path]:
    """A hidden folder that is gone afterwards; on the disk of `images`, so that a move is a rename."""
    stage = None
    try:
        stage = Path(mkdtemp(prefix=STAGE, dir=images))
        yield stage
    except OSError as fault:
        raise WorkspaceError.of(images, fault) from fault
    finally:
        if stage:
            shutil.rmtree(stage, ignore_errors=True)


class _Desk:
    """Where files lie until all sources have been read, and what is found out about them by then."""

    def __init__(self, images: Path, stage: Path) -> None:
        self.images, self.stage = images, stage
        self.staged: dict[str, Path] = {}  # where each file will be in images/, to where it is now
        self.added: list[Origin] = []
        self.found_again: list[Origin] = []
        self.present: dict[str, str] = {}
        self.skipped: dict[str, list[str]] = {}
        self.taken = self.notes = 0
        there = [folder / name for folder, names in files_in(images) for name in names]
        self.there = {path.relative_to(images).as_posix() for path in there}
        self.stems = {stem(path).casefold() for path in self.there}
        self.by_size: dict[int, list[Path]] = {}  # pictures that nobody has read yet
        for path in there:
            if is_picture(path.name) and path.is_file():
                self.by_size.setdefault(path.stat().st_size, []).append(path)
        self.by_sha256: dict[str, str] = {}

    def take(self, source: Source, name: str, said: Origin) -> None:
        """A picture and its notes are staged; of one that is there already, the notes that it lacks."""
        self.taken += 1
        file, sha256, size = self._stored(source.files[name])
        path = self._place_of(sha256, size)
        is_new = path is None
        if path is None:
            path = self._free(f"{source.folder}/{name}".lstrip("/"))
            self._keep(file, path)
            self.by_sha256[sha256] = path
        else:
            file.unlink()
            self.present[name] = path
        facts = self._take_notes(source, source.notes_of(name), path, is_new=is_new)
        told = {"source": facts[0] or said.source, "rights": facts[1] or said.rights}
        origin = Origin(path=path, sha256=sha256, repeats=repeats_in(path), **told)
        (self.added if is_new else self.found_again).append(origin)

    def _take_notes(self, source: Source, notes: dict[str, str], path: str, *, is_new: bool) -> tuple[str, str]:
        """The source and rights that the JSON files among the notes tell."""
        told = ("", "")
        captions = {stem(path) + ending for ending in (".txt", ".caption")}
        has_caption = not is_new and any(self._is_taken(caption) for caption in captions)
        for ending, note in notes.items():
            to = stem(path) + ending
            if self._is_taken(to) or (to in captions and has_caption):
                continue
            file, _, _ = self._stored(source.files[note])
            if ending.endswith(".json"):
                try:
                    source_told, rights_told = said_in(file)
                    told = (told[0] or source_told, told[1] or rights_told)
                except WorkspaceError:
                    self._skip("no JSON, though beside a picture", note)
                    continue
            self._keep(file, to)
            self.notes += 1
        return told

    def pass_over(self, source: Source) -> None:
        """What is neither a picture nor a note on one is counted."""
        notes = {note for name in source.files if is_picture(name) for note in source.notes_of(name).values()}
        for name in source.files:
            suffix = PurePosixPath(name).suffix.lower()
            if suffix in PACKED:
                self._skip("an archive in a source: unpack it, and add the folder", name)
            elif suffix in NOTES and name not in notes:
                self._skip("a note without its picture", name)
            elif suffix not in NOTES and not is_picture(name):
                self._skip(f"no picture: {suffix or 'no suffix'}", name)

    def settle(self, recorded: Sequence[Origin]) -> Intake:
        """Every staged file is moved to its place."""
        for path, file in self.staged.items():
            make_folder((self.images / path).parent)
            file.rename(self.images / path)
        kept = {origin.path: origin for origin in (*recorded, *self.added)}
        for origin in self.found_again:
            known = kept.get(origin.path, origin)
            lacking = {name: getattr(known, name) or getattr(origin, name) for name in ("sha256", "source", "rights")}
            kept[origin.path] = known.model_copy(update=lacking)
        return Intake(
            added=tuple(sorted(self.added, key=lambda origin: origin.path)),
            notes=self.notes,
            present=self.present,
            skipped={reason: tuple(names) for reason, names in self.skipped.items()},
            recorded=tuple(kept[path] for path in sorted(kept)),
        )

    def _stored(self, chunks: Chunks) -> tuple[Path, str, int]:
        """A new file in the stage, safe on the disk, with the sha256 and number of its bytes."""
        path, digest, size = self.stage / f"{len(self.staged)}.{self.taken}", hashlib.sha256(), 0
        with path.open("wb") as file:
            for chunk in chunks():
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        return path, digest.hexdigest(), size

    def _place_of(self, sha256: str, size: int) -> str | None:
        """Where a picture is already; what has another size is not even read."""
        for path in self.by_size.pop(size, ()):
            self.by_sha256.setdefault(sha256_of(path), path.relative_to(self.images).as_posix())
        return self.by_sha256.get(sha256)

    def _free(self, path: str) -> str:
        """The path, with a number where its stem is taken: as notes belong to a stem, no two pictures share one."""
        first = stem(path)
        free = next(one for one in _numbered(first) if one.casefold() not in self.stems)
        self.stems.add(free.casefold())
        return free + PurePosixPath(path).suffix

    def _is_taken(self, path: str) -> bool:
        return path in self.there or path in self.staged

    def _keep(self, file: Path, path: str) -> None:
        self.staged[path] = file

    def _skip(self, reason: str, name: str) -> None:
        self.skipped.setdefault(reason, []).append(name)


def _numbered(name: str) -> Iterator[str]:
    """ "a", "a-2", "a-3" and so on."""
    return chain([name], (f"{name}-{number}" for number in count(2)))
