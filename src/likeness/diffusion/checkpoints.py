"""What a weights file is, found out without trusting it: no tensor is read, nothing is unpickled."""

import json
import math
import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from likeness.errors import CheckpointError

__all__ = ["Header", "Kind", "TensorInfo", "kind_of", "read_header"]

Kind = Literal[
    "LoRA",
    "ControlNet",
    "textual inversion",
    "Stable Diffusion 1.x checkpoint",
    "Stable Diffusion 2.x checkpoint",
    "SDXL checkpoint",
    "SDXL refiner",
    "Playground 2.5 checkpoint",
    "inpainting checkpoint",
    "checkpoint that is shown other pictures",
    "Stable Diffusion 3 checkpoint",
    "Flux checkpoint",
    "Stable Cascade checkpoint",
    "checkpoint of a family that is not known",
    "denoiser",
    "VAE",
    "text encoder",
    "unknown",
]
"""What a file holds, in words. A checkpoint is a whole base; a denoiser, a VAE and a text encoder are its parts."""

STRANGERS: Mapping[str, Kind] = {
    "joint_blocks.": "Stable Diffusion 3 checkpoint",
    "double_blocks.": "Flux checkpoint",
    "single_transformer_blocks.": "Flux checkpoint",
    "transformer_blocks.0.norm1_context.": "Stable Diffusion 3 checkpoint",  # Flux has these too, and is told before
    "clip_txt_mapper.": "Stable Cascade checkpoint",
    "effnet_mapper.": "Stable Cascade checkpoint",
    "edm_mean": "Playground 2.5 checkpoint",
    "encoder_hid_proj.": "checkpoint of a family that is not known",  # Kolors, told by another language model
    "double_layers.": "checkpoint of a family that is not known",  # AuraFlow
    "cap_embedder.": "checkpoint of a family that is not known",  # Lumina
    "head.modulation": "checkpoint of a family that is not known",  # Wan
    "cross_attn.q_linear.": "checkpoint of a family that is not known",  # PixArt, Sana
    "model.diffusion_model.transformer_blocks.": "checkpoint of a family that is not known",
}
"""By a part of a tensor's name that no Stable Diffusion 1.x, 2.x or XL has. The first that is found tells."""

TEXTS: Mapping[str, Kind] = {
    "conditioner.embedders.1.model.": "SDXL checkpoint",
    "conditioner.embedders.0.model.": "SDXL refiner",
    "cond_stage_model.model.": "Stable Diffusion 2.x checkpoint",
    "cond_stage_model.transformer.": "Stable Diffusion 1.x checkpoint",
}
"""By the place where a checkpoint keeps its text encoder."""

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
    """What a file holds, by the names and shapes of its tensors."""
    names = header.tensors.keys()
    if _any(names, ".lora_", "lora_A", "_lora.", ".hada_", ".lokr_", ".oft_", ".dora_scale"):
        return "LoRA"
    if _any(names, "control_model.", "controlnet_", "control_blocks."):
        return "ControlNet"
    if names <= {"emb_params", "clip_l", "clip_g"} and names:
        return "textual inversion"
    for part, kind in STRANGERS.items():
        if _any(names, part):
            return kind
    if "model.diffusion_model.input_blocks.0.0.weight" in names:
        return _checkpoint(header)
    if _any(names, "down_blocks.0.resnets.0.time_emb_proj", "time_embedding.") or _starts(names, "input_blocks."):
        return "denoiser"
    return _part(names)


def _checkpoint(header: Header) -> Kind:
    """What a file is that has a UNet in Stability's own names."""
    first = header.tensors["model.diffusion_model.input_blocks.0.0.weight"].shape
    if len(first) == 4 and first[1] == 9:  # a latent, a mask, and the latent of what is kept
        return "inpainting checkpoint"
    if len(first) == 4 and first[1] != 4:  # beside the latent, depth (5), a small picture (7) or one to edit (8)
        return "checkpoint that is shown other pictures"
    for place, kind in TEXTS.items():
        if _starts(header.tensors, place):
            return kind
    return "denoiser"


def _part(names: Collection[str]) -> Kind:
    if _starts(names, "down_blocks."):
        return "denoiser"
    if _starts(names, "encoder.down", "decoder.up", "first_stage_model.", "encoder.conv_in", "vae."):
        return "VAE"
    if _any(names, "token_embedding", "text_model.", "transformer.resblocks."):
        return "text encoder"
    return "unknown"


def _any(names: Iterable[str], *parts: str) -> bool:
    return any(part in name for name in names for part in parts)


def _starts(names: Iterable[str], *beginnings: str) -> bool:
    return any(name.startswith(beginnings) for name in names)


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
