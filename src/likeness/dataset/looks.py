"""Looks: what one decoding of a picture leaves, and what it matches, kept in one file: no picture is decoded twice, and
no two are compared twice.

Thresholds are not part of it. So a changed threshold, lock or count is answered without looking again.
"""

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from likeness.dataset.duplicates import Match, find_matches
from likeness.dataset.measures import measure
from likeness.dataset.provenance import made_by
from likeness.dataset.sources import PACKED
from likeness.errors import PictureError
from likeness.events import Event, Report, silent
from likeness.images import Pixels, jpeg_quality, open_pixels
from likeness.perception import Reader
from likeness.perception.plain import subject_box
from likeness.records import Box, Reading, Record, Sha256, make_folder, write_atomically

__all__ = ["THUMBNAIL", "Look", "Looks", "look_at"]

THUMBNAIL = 64
"""px, both sides of the squeezed picture that copies are found by."""

PREVIEW = 144  # px, longer side of the picture that a page shows
FORMAT = "4"  # of the memory; with another, all pictures are looked at again
WORKERS = min(os.cpu_count() or 1, 8)  # each has one picture in memory


class Look(Record):
    """What was seen of one picture.

    Attributes:
        id: sha256 of the file's bytes.
        width: px, as displayed; 0 where it could not be read.
        height: px, likewise.
        fault: why it could not be read, in a word or two; then all else is empty.
        words: the same in full.
        made_by: the program that drew it, where its metadata says that one did.
        measures: by name, as `likeness.dataset.measures.measure` makes them, and "jpeg", its quality; 100 for other
            formats.
        reading: by the instrument.
        subject: where the subject is, px: by the instrument, or else what stands out.
    """

    id: Sha256
    width: int = Field(default=0, ge=0)
    height: int = Field(default=0, ge=0)
    fault: str = ""
    words: str = ""
    made_by: str = ""
    measures: dict[str, float] = {}
    reading: Reading | None = None
    subject: Box | None = None


@dataclass(frozen=True, slots=True)
class Looks:
    """All looks at a pool, by the picture's id.

    Attributes:
        looks: one per picture, also of those that cannot be read.
        thumbnails: uint8, (64, 64, 3), of those that can.
        previews: a small JPEG file of each of these.
        matches: which of these are copies of each other, or show one scene.
    """

    looks: Mapping[str, Look]
    thumbnails: Mapping[str, NDArray[numpy.uint8]]
    previews: Mapping[str, bytes]
    matches: Sequence[Match] = ()


_LIST, _MATCHES = TypeAdapter(list[Look]), TypeAdapter(list[Match])
Seen = TypeVar("Seen")


def look_at(
    files: Mapping[str, Path], *, reader: Reader, key: str, side: int, memory: Path, report: Report = silent
) -> Looks:
    """A look at each file: those that `memory` knows as they were then, the others by decoding them now.

    Args:
        files: by id, which is the sha256 of their bytes.
        reader: looks at the pictures; it is asked for one at a time.
        key: what the reader is and how it is set; a memory with another key is forgotten.
        side: px that pictures are trained at.
        memory: the file to keep looks in. It may be deleted at any time; a broken one is forgotten.
        report: told of each file that is decoded.

    Raises:
        WorkspaceError: where the memory cannot be written.
    """
    whole_key = json.dumps([FORMAT, key, side])
    known = _remembered(memory, whole_key)
    new = {id: path for id, path in files.items() if id not in known.looks}
    lock, looks = Lock(), dict(known.looks)
    thumbnails, previews = dict(known.thumbnails), dict(known.previews)

    def seen(id: str) -> tuple[Look, Pixels | None, bytes]:
        return _look(id, new[id], read=lambda pixels: _alone(lock, reader, pixels), side=side)

    with ThreadPoolExecutor(WORKERS) as workers:
        for done, (look, thumbnail, preview) in enumerate(workers.map(seen, new), start=1):
            looks[look.id] = look
            if thumbnail is not None:
                thumbnails[look.id], previews[look.id] = thumbnail, preview
            report(Event(stage="look", done=done, total=len(new)))
    shown = _of(files, thumbnails)
    matches = [match for match in known.matches if match.whole in shown and match.part in shown]
    matches += find_matches(shown, known=known.thumbnails.keys())
    found = Looks(_of(files, looks), shown, _of(files, previews), matches)
    if new or len(found.looks) < len(known.looks):
        make_folder(memory.parent)
        write_atomically(memory, _file_of(found, whole_key))
    return found


def _of(files: Mapping[str, Path], all_known: Mapping[str, Seen]) -> dict[str, Seen]:
    """What is known of these files."""
    return {id: all_known[id] for id in files if id in all_known}


def _alone(lock: Lock, reader: Reader, pixels: Pixels) -> Reading:
    """What the reader sees; instruments are not made to be used by two at once."""
    with lock:
        return reader.read([pixels])[0]


def _look(id: str, path: Path, *, read: Callable[[Pixels], Reading], side: int) -> tuple[Look, Pixels | None, bytes]:
    """The look at one file, its thumbnail and its preview."""
    try:
        pixels = open_pixels(path)
    except PictureError as error:
        words = str(error).removeprefix(f"{path} ")
        if path.suffix.lower() in PACKED:
            words = f"an archive, which is not opened here; bring its pictures in with: likeness add FOLDER {path.name}"
        return Look(id=id, fault=error.fault, words=words), None, b""
    reading = read(pixels)
    box = reading.subject or subject_box(pixels)
    measures = {**measure(pixels, box, side=side), "jpeg": float(jpeg_quality(path) or 100)}
    look = Look(
        id=id,
        width=pixels.shape[1],
        height=pixels.shape[0],
        made_by=made_by(path),
        measures={name: round(value, 4) for name, value in measures.items()},
        reading=reading,
        subject=box,
    )
    image = Image.fromarray(pixels)
    small = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return look, numpy.asarray(small), _preview(image)


def _preview(image: Image.Image) -> bytes:
    """A small JPEG: pages hold hundreds."""
    scale, file = min(1.0, PREVIEW / max(image.size)), io.BytesIO()
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    image.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.5).save(file, "JPEG", quality=85)
    return file.getvalue()


def _file_of(found: Looks, key: str) -> bytes:
    """All of it as one safetensors file: pictures as tensors, looks as JSON in its header."""
    shown = [id for id in found.looks if id in found.thumbnails]
    thumbnails = numpy.stack([found.thumbnails[id] for id in shown]) if shown else numpy.zeros((0, 1), numpy.uint8)
    previews = numpy.frombuffer(b"".join(found.previews[id] for id in shown), numpy.uint8)
    lengths = numpy.array([len(found.previews[id]) for id in shown], numpy.int64)
    notes = {
        "key": key,
        "looks": _LIST.dump_json(list(found.looks.values()), exclude_defaults=True).decode(),
        "matches": _MATCHES.dump_json(list(found.matches)).decode(),
    }
    return save({"thumbnails": thumbnails, "previews": previews, "lengths": lengths}, notes)


def _remembered(memory: Path, key: str) -> Looks:
    """What a memory holds; nothing where it is not there, broken, or of other settings."""
    try:
        with safe_open(memory, framework="numpy") as file:
            notes = file.metadata() or {}
            if notes.get("key") != key:
                return Looks({}, {}, {})
            thumbnails, previews, lengths = (file.get_tensor(name) for name in ("thumbnails", "previews", "lengths"))
        looks = {look.id: look for look in _LIST.validate_json(notes["looks"])}
        matches = _MATCHES.validate_json(notes["matches"])
    except (OSError, SafetensorError, ValueError, KeyError):
        return Looks({}, {}, {})
    shown = [id for id, look in looks.items() if not look.fault]
    ends = lengths.cumsum()
    whole = previews.tobytes()
    cut = {id: whole[end - length : end] for id, end, length in zip(shown, ends, lengths, strict=True)}
    return Looks(looks, dict(zip(shown, thumbnails, strict=True)), cut, matches)
