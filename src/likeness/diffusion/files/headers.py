"""The front of an adapter file: its notes and places, written by us, and the hashes by which others know the file.

No tensor is read, and torch is not needed: notes of a file are changed by writing a new front before the same bytes.
"""

import hashlib
import json
import os
import secrets
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.diffusion.checkpoints import Header, read_header
from likeness.errors import CheckpointError, WorkspaceError

__all__ = [
    "LONGEST_HEADER",
    "Hashes",
    "family_noted",
    "front_of",
    "hash_notes",
    "hashes_of",
    "places_of",
    "write_with_notes",
]

LONGEST_HEADER = 1 << 20  # bytes; ComfyUI shows no metadata of a file with a longer one
WINDOW = (0x100000, 0x10000)  # bytes: where the part begins that old tools take for the whole, and its length
PIECE = 1 << 20
FAMILIES: Mapping[str, Mapping[str, str]] = {
    "ss_base_model_version": {"sdxl_": "sdxl", "sd_v2": "sd2", "sd_v1": "sd15"},
    "modelspec.architecture": {
        "stable-diffusion-xl": "sdxl",
        "stable-diffusion-v2": "sd2",
        "stable-diffusion-v1": "sd15",
    },
}
"""What kohya-ss's versions and ModelSpec's architectures begin with, the surer first."""


@dataclass(frozen=True, slots=True)
class Hashes:
    """By what others know a file.

    Attributes:
        sha256: of the whole file, 64 digits in lower case.
        tensors: sha256 of what is behind the header: the same after an edit of the notes.
        auto_v1: 8 digits, of 64 kB behind the first megabyte: old A1111.
        crc32: of the whole file, 8 digits.
        size: bytes.
    """

    sha256: str
    tensors: str
    auto_v1: str
    crc32: str
    size: int

    @property
    def auto_v2(self) -> str:
        """The short hash by which Civitai knows a file: 10 digits of the whole file's sha256."""
        return self.sha256[:10]

    @property
    def auto_v3(self) -> str:
        """The short hash by which A1111 and Civitai know a LoRA, whatever its metadata: 12 digits of the tensors'."""
        return self.tensors[:12]


def hashes_of(path: Path, data: int | None = None) -> Hashes:
    """The hashes of a safetensors file, read once.

    Args:
        path: of the file.
        data: where its tensors begin, where that is known already.

    Raises:
        CheckpointError: for a file that is none.
    """
    front = read_header(path).data if data is None else data
    whole, tail, window, crc = hashlib.sha256(), hashlib.sha256(), hashlib.sha256(), 0
    start, length = WINDOW
    with path.open("rb") as file:
        place = 0
        while piece := file.read(PIECE):
            whole.update(piece)
            crc = zlib.crc32(piece, crc)
            tail.update(piece[max(front - place, 0) :])
            window.update(piece[max(start - place, 0) : max(start + length - place, 0)])
            place += len(piece)
    return Hashes(whole.hexdigest(), tail.hexdigest(), window.hexdigest()[:8], f"{crc:08x}", place)


def family_noted(notes: Mapping[str, str]) -> str:
    """The family of the base as a file's notes tell it, "sd15", "sd2" or "sdxl"; "" where they do not."""
    for key, families in FAMILIES.items():
        for start, family in families.items():
            if notes.get(key, "").startswith(start):
                return family
    return ""


def front_of(notes: Mapping[str, str], places: Mapping[str, Any]) -> bytes:
    """The front of a safetensors file with these notes and tensors at these places, up to the first tensor.

    safetensors itself orders metadata by chance; here equal contents make equal files.
    """
    table = {"__metadata__": dict(sorted(notes.items())), **places}
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of 8, as the library writes them
    return struct.pack("<Q", len(text)) + text


def places_of(header: Header) -> dict[str, Any]:
    """Where each tensor of a file lies, as a front tells it."""
    return {
        name: {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [one.start, one.end]}
        for name, one in header.tensors.items()
    }


def hash_notes(
    notes: Mapping[str, str], places: Mapping[str, Any], tensors_sha256: str, tail_at: Callable[[int, int], bytes]
) -> dict[str, str]:
    """The tensors' hash under both names; and the one of older tools, of a window of a file with `ss_*` alone.

    Args:
        notes: of the file; only `ss_*` count.
        places: of its tensors.
        tensors_sha256: of the bytes behind the header.
        tail_at: those bytes from a place on, and so many; fewer where the file ends.
    """
    told = {"sshs_model_hash": tensors_sha256, "modelspec.hash_sha256": f"0x{tensors_sha256}"}
    front = front_of({key: value for key, value in notes.items() if key.startswith("ss_")}, places)
    start, length = WINDOW
    window = front[start : start + length]
    window += tail_at(max(start - len(front), 0), length - len(window))
    return told | ({"sshs_legacy_hash": hashlib.sha256(window).hexdigest()[:8]} if window else {})


def write_with_notes(path: Path, notes: Mapping[str, str], out: Path) -> bool:
    """`out` is the file with these notes in place of its own; its tensors stay, byte for byte. What the notes say of
    hashes is said anew. Written atomically, and not at all where `out` is this already: whether it was written.

    Args:
        path: a safetensors file; `out` may be the same.
        notes: text by name.
        out: where it goes.

    Raises:
        CheckpointError: for a file that cannot be read, and for notes that are longer than tools read.
        WorkspaceError: on a full disk or in a read-only folder.
    """
    header = read_header(path)
    places = places_of(header)
    with path.open("rb") as file:
        file.seek(header.data)
        tail_sha256 = hashlib.file_digest(file, "sha256").hexdigest()

        def tail_at(place: int, length: int) -> bytes:
            file.seek(header.data + place)
            return file.read(length)

        kept = {key: value for key, value in notes.items() if not key.startswith(("sshs_", "modelspec.hash_"))}
        front = front_of(kept | hash_notes(kept, places, tail_sha256, tail_at), places)
    if len(front) > LONGEST_HEADER:
        raise CheckpointError(
            f"{out} would have a header of {len(front):,} bytes; some tools read {LONGEST_HEADER:,} at most. Leave out "
            "the longest notes: the table of tags, or the picture."
        )
    if _holds(out, front, header, tail_sha256):
        return False
    _write(path, header, front, out)
    return True


def _holds(out: Path, front: bytes, header: Header, tail_sha256: str) -> bool:
    """Whether a file is already what it is to be."""
    if not out.is_file() or out.stat().st_size != len(front) + header.size - header.data:
        return False
    with out.open("rb") as file:
        return file.read(len(front)) == front and hashlib.file_digest(file, "sha256").hexdigest() == tail_sha256


def _write(path: Path, header: Header, front: bytes, out: Path) -> None:
    partial = out.with_name(f".{out.name}.{secrets.token_hex(4)}.partial")
    try:
        try:
            with path.open("rb") as source, partial.open("xb") as file:
                file.write(front)
                source.seek(header.data)
                while piece := source.read(PIECE):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            shutil.copymode(out if out.exists() else path, partial)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as fault:
        raise WorkspaceError.of(out, fault) from fault
