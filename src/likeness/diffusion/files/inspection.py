"""What a weights file is: its kind, its base, who wrote it, ranks by block, hashes. Only alphas are read."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from likeness.diffusion.checkpoints import Header, Kind, kind_of, read_header
from likeness.diffusion.files.headers import hashes_of
from likeness.diffusion.files.lineage import Layers, family_of_layers, kind_of_layer, layers_of, trainer_of
from likeness.diffusion.files.notations import Key, key_of
from likeness.diffusion.layers import Shape

__all__ = ["BlockSummary", "FileReport", "block_of", "inspect_file", "keys_in", "method_of"]

B_LORA = {"up_blocks.0.attentions.0": "content", "up_blocks.0.attentions.1": "style"}
"""The parts of SDXL that B-LoRA trains, and what it found them to hold."""


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
        method: of a LoRA, in words: "LoRA", "LoHa", "LoRA (B-LoRA: content)", "LoRA 192, LoCon 22"; "" of what is none.
        family: of its base: "sd15", "sd2", "sdxl", or "" where nothing tells.
        trainer: that wrote it, where the file tells.
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
    method: str
    family: str
    trainer: str
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


def inspect_file(path: Path) -> FileReport:
    """What a safetensors file is, by its header, its alphas and its bytes.

    Raises:
        CheckpointError: for a pickle, a file of another kind, one cut short, or one that lies about itself.
    """
    header = read_header(path)
    keys = keys_in(header)
    layers = layers_of(keys)
    hashes = hashes_of(path, header.data)
    kind: Kind = "LoRA" if keys else kind_of(header)
    return FileReport(
        path=path,
        size=header.size,
        kind=kind,
        method=method_of(layers) if kind == "LoRA" else "",
        family=family_of_layers(layers, header.metadata) if kind == "LoRA" else "",
        trainer=trainer_of(header.tensors, header.metadata) if kind == "LoRA" else "",
        dtypes=dict(Counter(tensor.dtype for tensor in header.tensors.values())),
        parameters=sum(torch.Size(tensor.shape).numel() for tensor in header.tensors.values()),
        blocks=_blocks(path, header, keys),
        metadata=header.metadata,
        sha256=hashes.sha256,
        tail_sha256=hashes.tensors,
    )


def keys_in(header: Header) -> dict[str, tuple[Key, Shape]]:
    """The names in an adapter file that are understood, taken apart, and the shapes of their tensors."""
    found = {name: key_of(name) for name in header.tensors}
    inputs = {key.stem for key in found.values() if key and key.part == "on_input"}
    return {
        name: (key, header.tensors[name].shape)
        for name, key in found.items()
        if key and (key.part != "weight" or key.stem in inputs)
    }


def method_of(layers: Layers) -> str:
    """The methods of a file's layers, with how many of each where there is more than one."""
    counts = Counter(kind_of_layer(parts) or "unknown" for parts in layers.values())
    several = [f"{kind} {number}" for kind, number in counts.most_common()]
    told = ", ".join(several if len(several) > 1 else counts)
    blocks = {".".join(path.split(".")[:4]) for module, path in layers if module == "unet"}
    if set(counts) == {"LoRA"} and blocks and blocks <= B_LORA.keys():
        told += f" (B-LoRA: {' and '.join(B_LORA[block] for block in sorted(blocks))})"
    return told


def _blocks(path: Path, header: Header, keys: Mapping[str, tuple[Key, Shape]]) -> tuple[BlockSummary, ...]:
    """A LoRA's layers by block of the base, as the file names it; also layers that no base is known to have."""
    ends = r"(?:[._]lora[._]down|\.lora_down|\.lora_A(?:\.default)?|\.lora_linear_layer\.down)"
    ranked = re.compile(rf"(.+?){ends}\.weight")
    stems = {match[1]: tensor.shape for name, tensor in header.tensors.items() if (match := ranked.fullmatch(name))}
    for name, (key, shape) in keys.items():
        if key.part in ("hada_w1_b", "lokr_w1", "lokr_w2_b", "diff", "on_input", "oft_blocks", "oft_diag"):
            stems[name.removesuffix(key.suffix)] = shape if key.part in ("hada_w1_b", "lokr_w2_b") else ()
    found: dict[str, list[tuple[int, float]]] = {}
    with safe_open(path, framework="pt") as file:
        for stem, shape in stems.items():
            rank, told = shape[0] if shape else 0, f"{stem}.alpha" in header.tensors
            alpha = file.get_tensor(f"{stem}.alpha").float().mean().item() if told else float(rank)
            found.setdefault(block_of(stem), []).append((rank, alpha))
    return tuple(
        BlockSummary(block, len(pairs), tuple(sorted({r for r, _ in pairs})), tuple(sorted({a for _, a in pairs})))
        for block, pairs in sorted(found.items())
    )


def block_of(layer: str) -> str:
    """The block of the base that a layer is in, by any tool's name for it: "up_blocks.1", "text encoder", "other"."""
    name = layer.replace(".", "_")
    blocks = r"(down_blocks|up_blocks|input_blocks|output_blocks)_(\d+)|(mid_block|middle_block)"
    if match := re.search(blocks, name):
        return match[0] if match[3] else f"{match[1]}.{match[2]}"
    return "text encoder" if "text" in name or name.startswith("lora_te") else "other"
