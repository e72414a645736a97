"""Adapter files by others, read into our names and our ways; a file that cannot be read is refused by what it is.

Every tensor of a file is accounted for: it is read, or named in the refusal, or listed as standing beside the adapter.
Tucker's decompositions are multiplied out, which changes nothing; an alpha that is not told is the rank.

Shapes: O out, I in, r rank, k kernel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from likeness.diffusion.checkpoints import Header, kind_of, read_header
from likeness.diffusion.files.alphas import alphas_kept, alphas_told
from likeness.diffusion.files.lineage import KINDS, Layers, family_of_layers, kind_of_layer, layers_of
from likeness.diffusion.files.notations import PARTS_BY_OTHERS, RANKED, Key, canonical_name, key_of
from likeness.diffusion.layers import Shape
from likeness.errors import CheckpointError

__all__ = ["LoraFile", "by_layer", "named_for", "rank_of", "read_lora"]

MATRICES = frozenset(
    {"lora_down.weight", "lora_up.weight", "diff", *(f"hada_w{n}_{half}" for n in (1, 2) for half in "ab")}
    | {f"lokr_w{n}{half}" for n in (1, 2) for half in ("", "_a", "_b")}
)
"""Tensors that have rows and columns."""

EMBEDDINGS = "bundle_emb."
"""What the names of words begin with that OneTrainer trained along and put beside a LoRA."""


@dataclass(frozen=True, slots=True)
class LoraFile:
    """What a LoRA file holds, under our names whatever its own are.

    Attributes:
        tensors: every layer's tensors and alpha.
        metadata: the file's notes.
        family: of its base: "sd15", "sd2", "sdxl", or "" where nothing tells.
        beside: names of tensors that are of no layer: words that were trained along.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    family: str = ""
    beside: tuple[str, ...] = ()

    def layers(self) -> dict[str, dict[str, Tensor]]:
        """The tensors of each layer, by their names in it."""
        return by_layer(self.tensors)


def by_layer(named: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is named "layer.part", by layer and by part."""
    layers: dict[str, dict[str, Any]] = {}
    for name, value in named.items():
        layer, _, part = name.partition(".")
        layers.setdefault(layer, {})[part] = value
    return layers


def read_lora(path: Path) -> LoraFile:
    """A LoRA of any kind in `KINDS`, in any way of writing names: kohya-ss's, SimpleTuner's, OneTrainer's,
    ai-toolkit's, LyCORIS's, diffusers' old and new, peft's.

    Args:
        path: a .safetensors file, or a folder that peft wrote.

    Raises:
        CheckpointError: for a file that is none, or of a kind that is not read; the first stranger is named.
    """
    path = path / "adapter_model.safetensors" if path.is_dir() else path
    header = read_header(path)
    if not header.tensors:
        raise CheckpointError(f"{path} holds no tensors, so it is no LoRA.")
    beside = tuple(name for name in header.tensors if name.startswith(EMBEDDINGS))
    keys = _keys(path, header, beside)
    family = family_of_layers(_known_layers(path, keys), header.metadata)
    return LoraFile(_read(path, header, keys, family), header.metadata, family, beside)


def named_for(lora: LoraFile, family: str) -> LoraFile:
    """The same layers under their names in a family's files, where the file did not tell which family it is for."""
    names = {layer: key_of(f"{layer}.alpha") for layer in lora.layers()}
    anew = {layer: canonical_name(key.module, key.path, family) for layer, key in names.items() if key}
    tensors = {
        f"{anew.get(layer, layer)}.{part}": tensor
        for layer, parts in lora.layers().items()
        for part, tensor in parts.items()
    }
    return LoraFile(tensors, lora.metadata, family, lora.beside)


def _keys(path: Path, header: Header, beside: tuple[str, ...]) -> dict[str, tuple[Key, Shape]]:
    """Names taken apart, with the shapes of their tensors.

    Raises:
        CheckpointError: for a name that is not known, or is of a method that is not read.
    """
    keys: dict[str, tuple[Key, Shape]] = {}
    kind = kind_of(header)
    for name, tensor in header.tensors.items():
        if name in beside:
            continue
        key = key_of(name)
        if key is None or (key.part == "weight" and f"{key.stem}.on_input" not in header.tensors):
            raise CheckpointError(f"{path} holds {name!r}, which is not read: {_why_strange(name, kind)}")
        if key.part in PARTS_BY_OTHERS:
            method = PARTS_BY_OTHERS[key.part]
            raise CheckpointError(
                f"{path} holds {name!r}, which is not read: it belongs to {_with_article(method)}. LoRA, LoCon, DoRA, "
                "LoHa, LoKr and whole changes of weights are what is read. ComfyUI and A1111 know more kinds: use it "
                "there, or have its trainer export a LoRA."
            )
        keys[name] = (key, tensor.shape)
    if not keys:
        raise CheckpointError(f"{path} holds only words that were trained, {beside[0]!r}, and no LoRA.")
    return keys


def _with_article(method: str) -> str:
    return f"{'an' if method[0] in 'AEIOU' else 'a'} {method}"


FOREIGN_PARTS = {
    "double_blocks": "Flux", "single_blocks": "Flux", "single_transformer_blocks": "Flux",
    "joint_blocks": "Stable Diffusion 3", "norm1_context": "Stable Diffusion 3",
    "add_k_proj": "Stable Diffusion 3 or Flux", "img_mlp": "Qwen Image", "cross_attn": "Wan",
    "self_attention": "another family", "layers_": "Lumina or Z-Image",
}  # fmt: skip
"""What parts of names say that no Stable Diffusion 1.x, 2.x or XL has."""


def _why_strange(name: str, kind: str) -> str:
    if kind != "LoRA" and not name.startswith(("lora_", "lycoris_")):
        return f"the file is not a LoRA ({kind})."
    if "text" not in name and not name.startswith("lora_te"):
        for part, family in FOREIGN_PARTS.items():
            if part in name:
                return f"it is for {family}, and Stable Diffusion 1.x, 2.x and XL are what is read."
    return (
        "a name is lora_unet_... or lora_te_..., then .lora_down.weight, .lora_up.weight or .alpha (kohya-ss), or "
        "unet....lora_A.weight (diffusers), of a layer of Stable Diffusion 1.x, 2.x or XL."
    )


def _known_layers(path: Path, keys: Mapping[str, tuple[Key, Shape]]) -> Layers:
    """The layers of a file.

    Raises:
        CheckpointError: where a layer is named twice, or its tensors are no layer of a method in `KINDS`.
    """
    first: dict[tuple[str, str, str], str] = {}
    for name, (key, _) in keys.items():
        if (other := first.setdefault((key.module, key.path, key.part), name)) != name:
            raise CheckpointError(f"{path} holds one layer twice, as {other!r} and {name!r}. Get the file again.")
    layers, names = layers_of(keys), {(key.module, key.path): key.stem for key, _ in keys.values()}
    for place, parts in layers.items():
        if kind_of_layer(parts) not in KINDS:
            told = ", ".join(sorted(parts))
            raise CheckpointError(f"{path}: the tensors of {names[place]!r} do not belong together: {told}.")
        if kind_of_layer(parts) == "DoRA of another kind":
            raise CheckpointError(f"{path}: {names[place]!r} is not read: {KINDS['DoRA of another kind']}.")
    return layers


def _read(path: Path, header: Header, keys: Mapping[str, tuple[Key, Shape]], family: str) -> dict[str, Tensor]:
    """The tensors under our names, each layer whole."""
    loaded, read = load_file(path), {}
    alphas = alphas_told(path, header.metadata)
    layers: dict[str, dict[str, Tensor]] = {}
    for name, (key, _) in keys.items():
        notation = "sgm" if key.notation == "sgm" else "diffusers"
        layer = canonical_name(key.module, key.path, family, notation=notation)
        layers.setdefault(layer, {})[key.part] = loaded[name]
        if (alpha := alphas.get((key.module, key.path), alphas.get((key.module, "")))) is not None:
            layers[layer].setdefault("alpha", torch.tensor(alpha))
    kept = alphas_kept(path, header.metadata)
    for layer, parts in layers.items():
        whole = _whole(path, layer, parts)
        if layer in kept:
            whole = _unfolded(whole, kept[layer])
        read |= {f"{layer}.{part}": tensor for part, tensor in whole.items()}
    return read


def _unfolded(parts: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """A layer with the alpha that had been multiplied into its up weights, these as precise as its down weights."""
    up, dtype = parts["lora_up.weight"], parts["lora_down.weight"].dtype
    return {**parts, "lora_up.weight": (up / (alpha / rank_of(parts))).to(dtype), "alpha": torch.tensor(alpha)}


def _whole(path: Path, layer: str, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A layer's tensors as they are in our files: with an alpha, in float32, and without Tucker's cores.

    Raises:
        CheckpointError: where they do not belong together.
    """
    alpha = parts.get("alpha", torch.tensor(float(rank_of(parts))))
    if alpha.numel() != 1:
        raise CheckpointError(f"{path}: the alpha of {layer!r} is not one number.")
    if rank_of(parts) == 0 or any(tensor.ndim < 2 for part, tensor in parts.items() if part in MATRICES):
        raise CheckpointError(f"{path}: the tensors of {layer!r} do not belong together: one is empty, or no matrix.")
    rest = {part: tensor for part, tensor in parts.items() if part not in ("alpha", "magnitude")}
    try:
        rest = _without_cores(rest)
    except RuntimeError as fault:
        raise CheckpointError(f"{path}: the tensors of {layer!r} do not belong together ({fault}).") from fault
    down, up = rest.get("lora_down.weight"), rest.get("lora_up.weight")
    if down is not None and up is not None:
        if down.ndim < 2 or up.ndim != down.ndim or up.shape[1] != len(down):
            raise CheckpointError(f"{path}: the down and up weights of {layer!r} do not belong together.")
        lengths = parts.get("magnitude", rest.get("dora_scale"))
        if lengths is not None and ("magnitude" in parts or lengths.ndim == 1):  # one to an output, as peft has them
            rest["dora_scale"] = lengths.reshape(-1, *(1,) * (down.ndim - 1))
    return {**rest, "alpha": alpha.float().reshape(())}


def _without_cores(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same change without Tucker's cores, each multiplied into the factor behind it, in float32.

    LyCORIS has the outer factors of LoHa and LoKr as (r, O) and (r, I) where there is a core.
    """
    cores = ("lora_mid.weight", "hada_t1", "hada_t2", "lokr_t2")
    rest = {part: tensor for part, tensor in parts.items() if part not in cores}
    if "lora_mid.weight" in parts:
        mid, down = parts["lora_mid.weight"].float(), parts["lora_down.weight"].float().flatten(1)
        rest["lora_down.weight"] = torch.einsum("mnkl,ni->mikl", mid, down)
    for core, factor in (("hada_t1", "hada_w1"), ("hada_t2", "hada_w2"), ("lokr_t2", "lokr_w2")):
        if core in parts:
            a, b = parts[f"{factor}_a"].float(), parts[f"{factor}_b"].float()
            rest[f"{factor}_a"] = a.T.contiguous()
            rest[f"{factor}_b"] = torch.einsum("ijkl,jr->irkl", parts[core].float(), b).flatten(1)
    return rest


def rank_of(parts: Mapping[str, Tensor]) -> int:
    """The rank of a layer, which is its alpha where a file has none."""
    return next((len(parts[name]) for name in RANKED if name in parts), 1)
