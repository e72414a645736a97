"""Embedded notes: the texts, XMP and content credentials in a picture's file, found by its headers. Nothing is decoded.

Pillow is not asked, because it warns of broken files for the whole process, shows no text behind the pixels, and no
content credentials in WebP.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Notes", "embedded_notes"]

MAX_NOTE = (
    8_000_000  # bytes of one note that is read; ComfyUI's largest workflows and a thumbnail in credentials have 1
)
MAX_TEXT = 2_000_000  # bytes that a packed text may unpack to
MAX_PARTS = 50_000  # chunks or segments of a file; a PNG of 200 megapixels in libpng's chunks of 8 kB has as many
ENDS = 262_144  # bytes at both ends of a file that are searched for XMP, where its container is not known well

_TAGS = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    0x9286: "UserComment",
}
_EXIF, _XMP = 0x8769, 0x02BC  # the tags under which EXIF's own tags, and XMP in a TIFF, lie
_CONTENT_CREDENTIALS = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # the box's id in AVIF; C2PA 2.1, A.5

At = Callable[[int, int], bytes]
"""So many bytes from a place on; fewer where there are no more."""


@dataclass(slots=True)
class Notes:
    """What a file says besides its pixels.

    Attributes:
        texts: PNG texts and EXIF tags, by their names: "parameters", "Software".
        xmp: XMP packets.
        credentials: C2PA manifests, as JUMBF.
    """

    texts: dict[str, str] = field(default_factory=dict)
    xmp: bytes = b""
    credentials: bytes = b""


def embedded_notes(path: Path) -> Notes:
    """The notes in a picture's file; of a broken file those before the break. Never raises for what a file holds.

    Raises:
        OSError: where the file cannot be read.
    """
    notes = Notes()
    with path.open("rb") as file:
        head = file.read(12)
        try:
            if head.startswith(b"\x89PNG\r\n\x1a\n"):
                _png(file, notes)
            elif head.startswith(b"\xff\xd8"):
                _jpeg(file, notes)
            elif head.startswith(b"RIFF") and head.endswith(b"WEBP"):
                _webp(file, notes)
            elif head[4:8] == b"ftyp":
                _boxes(file, notes)
            elif head[:4] in (b"II*\0", b"MM\0*"):
                _tags(_reading(file), notes)
        except (struct.error, zlib.error, ValueError, OverflowError):
            pass  # it ends, or goes wrong, in the middle: what was found until there is all that there is
    return notes


def _reading(file: io.BufferedReader) -> At:
    def at(place: int, size: int) -> bytes:
        file.seek(place)
        return file.read(min(size, MAX_NOTE))

    return at


def _png(file: io.BufferedReader, notes: Notes) -> None:
    file.seek(8)
    for _ in range(MAX_PARTS):
        size, kind = struct.unpack(">I4s", file.read(8))
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"caBX") and size <= MAX_NOTE:
            _png_note(kind, file.read(size), notes)
            file.seek(4, io.SEEK_CUR)  # its checksum
        else:
            file.seek(size + 4, io.SEEK_CUR)


def _png_note(kind: bytes, data: bytes, notes: Notes) -> None:
    key, _, rest = data.partition(b"\0")
    if kind == b"caBX":
        notes.credentials += data
    elif kind == b"eXIf":
        _tags(_slicing(data), notes)
    elif kind == b"tEXt":
        notes.texts.setdefault(key.decode("latin-1"), rest.decode("latin-1"))
    elif kind == b"zTXt":
        notes.texts.setdefault(key.decode("latin-1"), _unpacked(rest[1:]).decode("latin-1"))
    else:
        _, _, text = rest[2:].partition(b"\0")[2].partition(b"\0")  # behind its language, and its key in that language
        text = _unpacked(text) if rest[:1] == b"\1" else text
        if key == b"XML:com.adobe.xmp":
            notes.xmp += text
        else:
            notes.texts.setdefault(key.decode("latin-1"), text.decode(errors="replace"))


def _unpacked(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, MAX_TEXT)


def _jpeg(file: io.BufferedReader, notes: Notes) -> None:
    file.seek(2)
    for _ in range(MAX_PARTS):
        mark, kind, size = struct.unpack(">BBH", file.read(4))
        if mark != 0xFF or kind in (0xDA, 0xD9):  # the pixels begin, or it ends
            return
        data = file.read(size - 2)
        if kind == 0xE1 and data.startswith(b"Exif\0\0"):
            _tags(_slicing(data[6:]), notes)
        elif kind == 0xE1 and data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            notes.xmp += data[29:]
        elif kind == 0xEB and data.startswith(
            b"JP"
        ):  # JPEG XT, annex B: each part but the first repeats the box's head
            notes.credentials += data[16:] if notes.credentials else data[8:]
        elif kind == 0xFE:
            notes.texts.setdefault("Comment", data.decode(errors="replace"))


def _webp(file: io.BufferedReader, notes: Notes) -> None:
    file.seek(12)
    for _ in range(MAX_PARTS):
        kind, size = struct.unpack("<4sI", file.read(8))
        data = file.read(size) if kind in (b"EXIF", b"XMP ", b"C2PA") and size <= MAX_NOTE else b""
        file.seek(size - len(data) + size % 2, io.SEEK_CUR)
        if kind == b"EXIF":
            _tags(_slicing(data.removeprefix(b"Exif\0\0")), notes)
        elif kind == b"XMP ":
            notes.xmp += data
        elif kind == b"C2PA":
            notes.credentials += data


def _boxes(file: io.BufferedReader, notes: Notes) -> None:
    """AVIF: credentials lie in a box of their own; XMP lies among the pixels, and is searched for at both ends."""
    end = file.seek(0, io.SEEK_END)
    for start in {0, max(0, end - ENDS)}:
        found = _reading(file)(start, ENDS)
        first, last = found.find(b"<x:xmpmeta"), found.find(b"</x:xmpmeta>")
        notes.xmp += found[first:last] if 0 <= first < last else b""
    place = 0
    for _ in range(MAX_PARTS):
        size, kind, id = struct.unpack(">I4s16s", _reading(file)(place, 24))
        if kind == b"uuid" and id == _CONTENT_CREDENTIALS:
            notes.credentials += _reading(file)(place + 24, size - 24)
        if size < 8:  # it reaches to the end, or is of over 4 GB
            return
        place += size


def _tags(at: At, notes: Notes) -> None:
    """The texts of a TIFF or EXIF block. Source: TIFF 6.0, section 2."""
    order = "<" if at(0, 2) == b"II" else ">"
    (first,) = struct.unpack(f"{order}4xI", at(0, 8))
    for tag, kind, count, value in _entries(at, order, first):
        if tag == _EXIF:
            for inner in _entries(at, order, struct.unpack(f"{order}I", value)[0]):
                _note_tag(at, order, inner, notes)
        _note_tag(at, order, (tag, kind, count, value), notes)


def _entries(at: At, order: str, place: int) -> Iterator[tuple[int, int, int, bytes]]:
    (count,) = struct.unpack(f"{order}H", at(place, 2))
    for number in range(count):
        yield struct.unpack(f"{order}HHI4s", at(place + 2 + 12 * number, 12))


def _note_tag(at: At, order: str, entry: tuple[int, int, int, bytes], notes: Notes) -> None:
    tag, kind, count, value = entry
    if kind not in (1, 2, 7) or (tag not in _TAGS and tag != _XMP):  # bytes, text, or whatever: a byte each
        return
    data = value[:count] if count <= 4 else at(struct.unpack(f"{order}I", value)[0], count)
    if tag == _XMP:
        notes.xmp += data
    else:
        notes.texts.setdefault(
            _TAGS[tag], _comment(data) if tag == 0x9286 else data.rstrip(b"\0").decode(errors="replace")
        )


def _comment(data: bytes) -> str:
    """A user comment: behind eight bytes that name its letters. Programs disagree on the order of UTF-16's bytes."""
    if not data.startswith(b"UNICODE\0"):
        return data[8:].rstrip(b"\0").decode(errors="replace")
    texts = [data[8:].decode(name, errors="replace") for name in ("utf-16-be", "utf-16-le")]
    return max(texts, key=lambda text: sum(letter.isascii() for letter in text))


def _slicing(data: bytes) -> At:
    return lambda place, size: data[place : place + size]
