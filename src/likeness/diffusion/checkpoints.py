"""What a weights file is, found out without trusting it: no tensor is read, nothing is unpickled."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from likeness.errors import CheckpointError

__all__ = ["Header", "Kind", "TensorInfo", "kind_of", "read_header"]

Kind = Literal["LoRA", "VAE", "Stable Diffusion checkpoint", "denoiser", "text encoder", "unknown"]
"""What a file holds, in words."""

LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library itself

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor of a file: its dtype as safetensors names it, its shape, and where it lies, bytes from `Header.data`."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the front of a safetensors file says, checked against the file.

    Attributes:
        tensors: by name.
        metadata: the file's own notes, text by name; written by whoever wrote the file.
        data: where the tensors' bytes begin, from the start of the file.
        size: of the whole file, bytes.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    data: int
    size: int


def read_header(path: Path) -> Header:
    """The header of a safetensors file, once it is known to be whole and sound.

    Sound means: the tensors lie one behind the other, fill the file to its end, and each is as long as its dtype and
    shape say.

    Raises:
        CheckpointError: for a pickle, a file of another kind, one cut short, or one that lies about itself.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            front = file.read(9)
            _refuse_pickles(path, front)
            length = _header_length(path, front[:8], size)
            file.seek(8)
            text = file.read(length)
    except FileNotFoundError as fault:
        raise CheckpointError(f"{path} is not there. Check the path.") from fault
    except OSError as fault:
        raise CheckpointError(f"{path} cannot be read: {fault.strerror or fault}.") from fault
    entries = _entries(path, text)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{path} is not a sound safetensors file: __metadata__ is not a table of texts.")
    tensors = {name: _tensor(path, name, entry) for name, entry in entries.items()}
    _check_layout(path, tensors, size - 8 - length)
    return Header(tensors, metadata, 8 + length, size)


def kind_of(header: Header) -> Kind:
    """What a file holds, by the names of its tensors."""
    names = header.tensors.keys()
    if any(part in name for name in names for part in (".lora_", "lora_A", "_lora.", ".hada_", ".lokr_")):
        return "LoRA"
    if any(name.startswith(("model.diffusion_model.", "diffusion_model.")) for name in names):
        return "Stable Diffusion checkpoint"
    if any(name.startswith(("down_blocks.", "input_blocks.")) for name in names):
        return "denoiser"
    if any(name.startswith(("encoder.down", "decoder.up", "first_stage_model.")) for name in names):
        return "VAE"
    if any("token_embedding" in name for name in names):
        return "text encoder"
    return "unknown"


def _refuse_pickles(path: Path, front: bytes) -> None:
    """A pickle runs whatever its author wrote into it, the moment that it is opened."""
    # A zip archive, or the opcode PROTO with its version. A sound header may be as long as those bytes say, but then
    # it begins with a brace right behind them.
    begins = front[:4] == b"PK\x03\x04" or (front[:1] == b"\x80" and front[1:2] in (b"\2", b"\3", b"\4", b"\5"))
    if (begins and front[8:] != b"{") or path.suffix.lower() in (".ckpt", ".pt", ".pth", ".bin", ".pkl"):
        raise CheckpointError(
            f"{path} is a pickle, which can run any code when it is opened, and is refused. Get the .safetensors file "
            "of the same weights."
        )


def _header_length(path: Path, front: bytes, size: int) -> int:
    if len(front) < 8:
        raise CheckpointError(f"{path} is not a safetensors file: it has {len(front)} bytes. Get it again.")
    (length,) = struct.unpack("<Q", front)
    if length > LONGEST_HEADER:
        raise CheckpointError(
            f"{path} is not a safetensors file: its header would be over {LONGEST_HEADER:,} bytes long."
        )
    if 8 + length > size:
        raise CheckpointError(
            f"{path} is cut short: its header alone is {length:,} bytes long and the file has {size:,}. Get it again."
        )
    return length


def _entries(path: Path, text: bytes) -> dict[str, Any]:
    """The header's JSON object; a name that occurs twice would let two readers see two files."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a name occurs twice")
        return table

    try:
        entries = json.loads(text.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as fault:
        raise CheckpointError(f"{path} is not a sound safetensors file: its header is unreadable ({fault}).") from fault
    if not isinstance(entries, dict):
        raise CheckpointError(f"{path} is not a sound safetensors file: its header is not a table.")
    return entries


def _tensor(path: Path, name: str, entry: Any) -> TensorInfo:
    """One entry of the header, if it is as long as it says."""
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(end)]} if (
            dtype in BITS and all(type(side) is int and side >= 0 for side in shape)
        ):
            if (end - start) * 8 == math.prod(shape) * BITS[dtype]:
                return TensorInfo(dtype, tuple(shape), start, end)
    raise CheckpointError(
        f"{path} is not a sound safetensors file: the entry of tensor {name[:100]!r} is not valid: {str(entry)[:200]}"
    )


def _check_layout(path: Path, tensors: Mapping[str, TensorInfo], available: int) -> None:
    """Refuses tensors that overlap, leave a gap, or reach past the end of the file."""
    reached = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start != reached:
            fault = "overlaps the one before it" if tensor.start < reached else "leaves a gap before it"
            raise CheckpointError(f"{path} is not a sound safetensors file: tensor {name[:100]!r} {fault}.")
        reached = tensor.end
    if reached > available:
        raise CheckpointError(
            f"{path} is cut short: {reached - available:,} bytes of its tensors are missing. Get it again."
        )
    if reached < available:
        raise CheckpointError(
            f"{path} is not a sound safetensors file: {available - reached:,} bytes at its end belong to no tensor."
        )
