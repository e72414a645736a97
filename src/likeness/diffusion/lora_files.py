"""Adapter files under kohya-ss's names, which every tool that people use reads: written, read, and looked into.

Source: kohya-ss/sd-scripts `networks/lora.py` for the names.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from likeness.diffusion.checkpoints import Header, Kind, kind_of, read_header
from likeness.diffusion.lora import Adapter, LoraLayer
from likeness.diffusion.metadata import LoraMetadata, labelled
from likeness.errors import CheckpointError
from likeness.records import write_atomically

__all__ = ["BlockSummary", "FileReport", "LoraFile", "adapter_from", "inspect_file", "load_lora", "save_lora"]

PARTS = ("lora_down.weight", "lora_up.weight", "alpha")


@dataclass(frozen=True, slots=True)
class LoraFile:
    """What a LoRA file holds: every layer's down, up and alpha by their names in the file, and the file's notes."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """The adapted layers in one block of the base; ranks and alphas are those that occur, ascending."""

    block: str
    layers: int
    ranks: tuple[int, ...]
    alphas: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a weights file is.

    Attributes:
        size: of the file, bytes.
        kind: what it holds, in words.
        dtypes: how many tensors of each, by safetensors' names.
        parameters: numbers in all tensors.
        blocks: of a LoRA, by block of the base.
        metadata: the file's own notes.
        sha256: of the whole file.
        tail_sha256: of the tensors alone: the same after an edit of the metadata.
    """

    path: Path
    size: int
    kind: Kind
    dtypes: Mapping[str, int]
    parameters: int
    blocks: tuple[BlockSummary, ...]
    metadata: Mapping[str, str]
    sha256: str
    tail_sha256: str

    @property
    def auto_v2(self) -> str:
        """The short hash by which Civitai knows a file: 10 digits of the whole file's sha256."""
        return self.sha256[:10]

    @property
    def auto_v3(self) -> str:
        """The short hash by which A1111 and Civitai know a LoRA, whatever its metadata: 12 digits of the tensors'."""
        return self.tail_sha256[:12]


def save_lora(
    path: Path,
    adapter: Adapter | Mapping[str, Tensor],
    *,
    metadata: LoraMetadata,
    dtype: torch.dtype = torch.float16,
) -> None:
    """`path` holds the adapter, whole or not at all; equal weights and metadata give equal bytes.

    All layers of a file have one alpha, that of most of the adapter's; where a layer's own differs, its up weights are
    scaled to make up for it. Every tool but diffusers reads an alpha per layer; diffusers loses those of attention.

    Args:
        path: its stem becomes the name in the file.
        adapter: the adapter, or tensors named as in its `state_dict()`.
        metadata: what the file says about itself.
        dtype: of the weights; alphas are float32.

    Raises:
        CheckpointError: for a weight that is not finite, or that `dtype` cannot hold, and for more metadata than tools
            read; nothing is written.
        WorkspaceError: on a full disk or in a read-only folder.
    """
    tensors = _with_one_alpha(adapter.state_dict() if isinstance(adapter, Adapter) else adapter)
    packed = save({name: _in_dtype(name, tensor, dtype) for name, tensor in sorted(tensors.items())})
    write_atomically(path, labelled(packed, metadata, name=path.stem, tensors=tensors))


def load_lora(path: Path) -> LoraFile:
    """A plain LoRA by us or by others, complete: an alpha that the file leaves out is the layer's rank.

    Raises:
        CheckpointError: for a file that is no plain LoRA under kohya-ss's names; the first stranger is named.
    """
    header = read_header(path)
    for name in header.tensors:
        layer, _, part = name.partition(".")
        if not layer.startswith(("lora_unet_", "lora_te_")) or part not in PARTS:
            raise CheckpointError(f"{path} holds {name!r}, which is not read: {_why_not(name, kind_of(header))}")
    if not header.tensors:
        raise CheckpointError(f"{path} holds no tensors, so it is no LoRA.")
    tensors = load_file(path)
    for layer in {name.partition(".")[0] for name in tensors}:
        down, up = (tensors.get(f"{layer}.{part}") for part in PARTS[:2])
        if down is None or up is None or down.ndim < 2 or up.ndim != down.ndim or up.shape[1] != len(down):
            raise CheckpointError(f"{path}: the down and up weights of {layer!r} do not belong together.")
        alpha = tensors.setdefault(f"{layer}.alpha", torch.tensor(float(len(down))))
        if alpha.numel() != 1:
            raise CheckpointError(f"{path}: the alpha of {layer!r} is not one number.")
        tensors[f"{layer}.alpha"] = alpha.float().reshape(())
    return LoraFile(tensors, header.metadata)


def adapter_from(lora: LoraFile, targets: Mapping[str, nn.Module], *, weight: float = 1.0) -> Adapter:
    """The adapter of a file, beside the layers of a base, with the ranks and alphas of the file.

    Raises:
        CheckpointError: for a layer that this base does not have, or has in another size; it is named.
    """
    layers = {}
    for layer in sorted({name.partition(".")[0] for name in lora.tensors}):
        if layer not in targets:
            raise CheckpointError(
                f"The LoRA adapts {layer!r}, a layer that this base does not have: it is for another."
            )
        down, up, alpha = (lora.tensors[f"{layer}.{part}"] for part in PARTS)
        made = LoraLayer(targets[layer], len(down), alpha.item())
        shapes = tuple(down.shape[1:]), len(up)
        if shapes != (tuple(made.lora_down["weight"].shape[1:]), len(made.lora_up["weight"])):
            raise CheckpointError(f"The LoRA's {layer!r} is of another size than the base's: it is for another base.")
        layers[layer] = made
    adapter = Adapter(layers, targets)
    adapter.load(lora.tensors)
    adapter.weight = weight
    return adapter


def inspect_file(path: Path) -> FileReport:
    """What a safetensors file is, by its header, its alphas and its bytes.

    Raises:
        CheckpointError: for a pickle, a file of another kind, one cut short, or one that lies about itself.
    """
    header = read_header(path)
    whole, tail = hashlib.sha256(), hashlib.sha256()
    with path.open("rb") as file:
        whole.update(file.read(header.data))
        while piece := file.read(1 << 20):
            whole.update(piece)
            tail.update(piece)
    return FileReport(
        path=path,
        size=header.size,
        kind=kind_of(header),
        dtypes=dict(Counter(tensor.dtype for tensor in header.tensors.values())),
        parameters=sum(torch.Size(tensor.shape).numel() for tensor in header.tensors.values()),
        blocks=_blocks(path, header),
        metadata=header.metadata,
        sha256=whole.hexdigest(),
        tail_sha256=tail.hexdigest(),
    )


def _with_one_alpha(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same change of the base, (alpha / rank) * up @ down, written with the alpha that most layers have."""
    alphas = {name.removesuffix(".alpha"): tensor.item() for name, tensor in tensors.items() if name.endswith(".alpha")}
    (shared, _), *_ = Counter(alphas.values()).most_common(1)
    written = dict(tensors)
    for layer, alpha in alphas.items():
        if alpha != shared:
            written[f"{layer}.lora_up.weight"] = tensors[f"{layer}.lora_up.weight"].detach() * (alpha / shared)
            written[f"{layer}.alpha"] = torch.tensor(shared)
    return written


def _in_dtype(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    kept = tensor.detach().cpu().to(torch.float32 if name.endswith(".alpha") else dtype).contiguous()
    if not torch.isfinite(kept).all():
        largest = tensor.detach().abs().max().item()
        raise CheckpointError(
            f"{name} holds a weight of size {largest:g}, which {str(dtype).removeprefix('torch.')} cannot hold; the "
            "adapter was not saved. Train with a lower learning rate, or save in another precision."
        )
    return kept


def _why_not(name: str, kind: Kind) -> str:
    """What a stranger among the names tells about its file."""
    others = {"dora_scale": "DoRA", "hada_": "LoHa", "lokr_": "LoKr", "lora_mid": "Tucker LoCon", "oft_": "OFT"}
    for part, method in others.items():
        if part in name:
            return f"it belongs to a {method}. Plain LoRA is what is read."
    if name.startswith("lora_te1_") or "_input_blocks_" in name or "_output_blocks_" in name:
        return "it is named as for SDXL. LoRAs of Stable Diffusion 1.x are what is read."
    if kind != "LoRA":
        return f"the file is not a LoRA ({kind})."
    return "a name is lora_unet_... or lora_te_..., then .lora_down.weight, .lora_up.weight or .alpha (kohya-ss)."


def _blocks(path: Path, header: Header) -> tuple[BlockSummary, ...]:
    """A LoRA's layers by block of the base, under any of the names in use."""
    downs = re.compile(r"(.+?)[._](lora_down\.weight|lora_A\.weight|lora\.down\.weight|lora_A\.default\.weight)")
    found: dict[str, list[tuple[int, float]]] = {}
    with safe_open(path, framework="pt") as file:
        for name, tensor in header.tensors.items():
            if (match := downs.fullmatch(name)) and tensor.shape:
                rank = tensor.shape[0]
                alpha = f"{match[1]}.alpha"
                value = file.get_tensor(alpha).float().mean().item() if alpha in header.tensors else float(rank)
                found.setdefault(_block_of(match[1]), []).append((rank, value))
    return tuple(
        BlockSummary(block, len(pairs), tuple(sorted({r for r, _ in pairs})), tuple(sorted({a for _, a in pairs})))
        for block, pairs in sorted(found.items())
    )


def _block_of(layer: str) -> str:
    name = layer.replace(".", "_")
    blocks = r"(down_blocks|up_blocks|input_blocks|output_blocks)_(\d+)|(mid_block|middle_block)"
    if match := re.search(blocks, name):
        return match[0] if match[3] else f"{match[1]}.{match[2]}"
    return "text encoder" if "text" in name or name.startswith("lora_te") else "other"
