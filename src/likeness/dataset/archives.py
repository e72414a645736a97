"""Archives: zip files that nobody vouches for, read without believing what they say of themselves."""

import io
import lzma
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Self

from likeness.errors import PictureError

__all__ = ["CHUNK", "Archive", "free_name", "safe_name"]

CHUNK = 1 << 20
"""Bytes that are copied at once."""

MAX_ENTRIES = 20_000  # 5,000 pictures, each with two notes, and then some
MAX_DIRECTORY = 16_000_000  # bytes of the list of entries: 20,000 with names of 600 letters
MAX_BYTES = 16_000_000_000  # unpacked: 500 pictures of 24 megapixels as PNG, of 30 MB each, or 4,000 as JPEG
MAX_RATIO = 100  # unpacked to packed, of the whole file: pictures come to 2, drawings as BMP to 50, bombs to 1,000 up
FREE_BYTES = 64_000_000  # unpacked, for which the ratio is not asked: little flat BMPs harm nobody

_BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, OSError, RuntimeError)
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # names that Windows takes for devices
LONGEST = 120  # bytes of a part of a name; 255 are allowed, and a number or a suffix may come behind


class Archive:
    """A zip file, open for reading. Every entry's name has been checked when it is open; nothing is written.

    Raises:
        PictureError: for what is no zip file, encrypted, of too many entries, or holds a name that leads elsewhere: an
            absolute one, one with a drive or `..`, a link.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.left = path, MAX_BYTES
        self.entries: dict[str, zipfile.ZipInfo] = {}
        try:
            self._file = _Sparing(path)
        except OSError as fault:
            raise PictureError(f"{path} cannot be read: {fault.strerror or fault}.", "archive") from fault
        try:
            self._zip = zipfile.ZipFile(self._file)
            self.left = min(MAX_BYTES, max(FREE_BYTES, MAX_RATIO * path.stat().st_size))
            self._check(self._zip.infolist())
        except _BROKEN as fault:
            self._file.close()
            raise self._refusal(f"is no zip file that can be read ({fault})", "Pack it again.") from fault
        except PictureError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """The open archive."""
        return self

    def __exit__(self, *fault: object) -> None:
        """The file is closed."""
        self._zip.close()
        self._file.close()

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of an entry, a chunk at a time, counted as they come.

        Raises:
            PictureError: where they are damaged or packed in an unknown way, or there are more than the whole archive
                may have.
        """
        try:
            with self._zip.open(self.entries[name]) as file:
                while chunk := file.read(CHUNK):
                    self.left -= len(chunk)
                    if self.left < 0:
                        raise self._too_much()
                    yield chunk
        except _BROKEN as fault:  # an unknown way of packing is a NotImplementedError, which is a RuntimeError
            raise self._refusal(f"holds a damaged entry, {name} ({fault})", "Get it again.") from fault

    def _check(self, infos: list[zipfile.ZipInfo]) -> None:
        if len(infos) > MAX_ENTRIES:
            raise self._refusal(f"holds {len(infos):,} entries, more than {MAX_ENTRIES:,}", "Unpack it by hand.")
        taken: dict[str, int] = {}
        for info in infos:
            name = info.filename.replace("\\", "/")
            if name.startswith("/") or re.match(r"[A-Za-z]:", name) or ".." in name.split("/"):
                raise self._refusal(f"holds {info.filename!r}, which leads elsewhere", "Do not use it.")
            if stat.S_ISLNK(info.external_attr >> 16):
                raise self._refusal(f"holds {info.filename!r}, a link", "Pack it again without links.")
            if info.flag_bits & 1:
                raise self._refusal("is encrypted", "Unpack it with its password, and add the folder.")
            if not name.endswith("/"):
                self.entries[free_name(safe_name(name), taken)] = info

    def _too_much(self) -> PictureError:
        return self._refusal(
            f"unpacks to more than {MAX_BYTES // 1_000_000_000} GB, or to {MAX_RATIO} times its size, as a bomb does",
            "If you trust it, unpack it by hand, and add the folder.",
        )

    def _refusal(self, what: str, cure: str) -> PictureError:
        return PictureError(f"{self.path} {what}; nothing of it was added. {cure}", "archive")


class _Sparing(io.FileIO):
    """A file of which at most `MAX_DIRECTORY` bytes are read at once, whatever an archive claims its list to have."""

    def read(self, size: int | None = -1, /) -> bytes:
        here = self.tell()
        rest = self.seek(0, io.SEEK_END) - here
        self.seek(here)
        wanted = rest if size is None or size < 0 else min(size, rest)
        if wanted > MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"its list of entries has over {MAX_DIRECTORY // 1_000_000} MB")
        return super().read(wanted)


def safe_name(name: str) -> str:
    """A relative name, with forward slashes, that a file can have on any system, as like `name` as can be.

    Backslashes part folders, as some programs write them. Where it leads is for the caller to check.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(_safe_part(part) for part in parts) or "_"


def _safe_part(part: str) -> str:
    part = unicodedata.normalize("NFC", part)
    part = "".join("_" if letter in '<>:"|?*' or not letter.isprintable() else letter for letter in part)
    part = part.strip().rstrip(" .") or "_"
    if _DEVICES.match(part):
        part = f"_{part}"
    if len(part.encode()) <= LONGEST:
        return part
    place = PurePosixPath(part)
    suffix = place.suffix if len(place.suffix.encode()) <= 10 else ""
    return part.encode()[: LONGEST - len(suffix.encode())].decode(errors="ignore").rstrip(" .") + suffix


def free_name(name: str, taken: dict[str, int]) -> str:
    """`name`, or where another has it, in small or capital letters, the same with a number: "a-2.png".

    Args:
        name: wanted.
        taken: names in small letters, each with the next number to try; the one that comes out is then among them.
    """
    folded, suffix = name.casefold(), PurePosixPath(name).suffix
    free = name
    while free.casefold() in taken:
        free = f"{name.removesuffix(suffix)}-{taken[folded]}{suffix}"
        taken[folded] += 1
    taken[free.casefold()] = 2
    return free
