"""Adapter files under kohya-ss's names, which every tool that people use reads: written, and read into an adapter.

Source: kohya-ss/sd-scripts `networks/lora.py` for the names.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from likeness.diffusion.adapter import Adapter
from likeness.diffusion.files.compat import refuse_dropped
from likeness.diffusion.files.conversion import LoraFile, by_layer, read_lora
from likeness.diffusion.files.lineage import KINDS, kind_of_layer
from likeness.diffusion.files.metadata import LoraMetadata, labelled, relabelled
from likeness.diffusion.lora import AdapterLayer
from likeness.diffusion.variants import layer_of
from likeness.errors import CheckpointError
from likeness.records import write_atomically

__all__ = ["LoraFile", "adapter_from", "load_lora", "save_lora", "save_tensors", "with_one_alpha"]

FACTORS = (
    "lora_down.weight", "lora_up.weight", "diff", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b",
)  # fmt: skip
"""Tensors of which one that is zero makes all of a layer's change zero."""


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
    A layer that changes nothing is left out.

    Args:
        path: its stem becomes the name in the file.
        adapter: the adapter, or tensors named as in its `state_dict()`.
        metadata: what the file says about itself.
        dtype: of the weights; alphas are float32.

    Raises:
        CheckpointError: for a weight that is not finite, or that `dtype` cannot hold; for an adapter that changes
            nothing; for a layer that one of the tools that read such files would drop; and for more metadata than they
            read. Nothing is written.
        WorkspaceError: on a full disk or in a read-only folder.
    """
    tensors = with_one_alpha(adapter.state_dict() if isinstance(adapter, Adapter) else adapter)
    held = {name: _in_dtype(name, tensor, dtype) for name, tensor in sorted(tensors.items())}
    _write(path, held, lambda packed, kept: labelled(packed, metadata, name=path.stem, tensors=kept))


def save_tensors(path: Path, tensors: Mapping[str, Tensor], *, notes: Mapping[str, str]) -> None:
    """`path` holds layers under our names as they are, each tensor in its own precision, with another file's notes.

    What the notes say of ranks, alphas and hashes is said anew; the rest stays.

    Raises:
        CheckpointError: as `save_lora`.
        WorkspaceError: on a full disk or in a read-only folder.
    """
    held = {name: _in_dtype(name, tensor, tensor.dtype) for name, tensor in sorted(tensors.items())}
    _write(path, held, lambda packed, kept: relabelled(packed, notes, name=path.stem, tensors=kept))


def _write(path: Path, tensors: Mapping[str, Tensor], label: Callable[[bytes, Mapping[str, Tensor]], bytes]) -> None:
    kept = _without_zeros(tensors)
    refuse_dropped(kept)
    write_atomically(path, label(save(dict(kept)), kept))


def _without_zeros(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The layers that change anything. A DoRA's change is told by its lengths too, so it is kept.

    Raises:
        CheckpointError: where none does.
    """
    zero = {
        layer
        for layer, parts in by_layer(tensors).items()
        if "dora_scale" not in parts and any(not parts[part].any() for part in FACTORS if part in parts)
    }
    kept = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] not in zero}
    if not kept:
        raise CheckpointError(
            "The adapter changes nothing: in every layer one half is zero. It was not saved. Train it for some steps, "
            "with a rate above 0 (train.learning_rate)."
        )
    return kept


def load_lora(path: Path) -> LoraFile:
    """A LoRA by us or by others that can stand beside a base as an adapter, complete.

    LoRA, LoCon, DoRA on the input axis, LoHa and LoKr are, under any tool's names; see `read_lora`.

    Raises:
        CheckpointError: for a file that is none, or of another kind; the first stranger is named.
    """
    lora = read_lora(path)
    for layer, parts in lora.layers().items():
        if layer_of(frozenset(parts)) is None or _kind(parts) in ("output-axis DoRA", "full change"):
            raise CheckpointError(_why_no_adapter(path, layer, parts))
    return lora


def _kind(parts: Mapping[str, Tensor]) -> str:
    return kind_of_layer({part: tuple(tensor.shape) for part, tensor in parts.items()})


def _why_no_adapter(path: Path, layer: str, parts: Mapping[str, Tensor]) -> str:
    kind = _kind(parts)
    if why := KINDS.get(kind, ""):
        return (
            f"{path} cannot stand beside a base: {layer!r} is a layer of {kind}: {why}. Merge it into its base instead "
            f"(likeness merge OUT {path} --base BASE)."
        )
    return f"{path}: the tensors of {layer!r} do not belong together: {', '.join(sorted(parts))}."


def adapter_from(lora: LoraFile, targets: Mapping[str, nn.Module], *, weight: float = 1.0) -> Adapter:
    """The adapter of a file, beside the layers of a base, with the ranks and alphas of the file.

    Raises:
        CheckpointError: for a layer that this base does not have, or has in another size; it is named.
    """
    layers: dict[str, AdapterLayer] = {}
    for layer, parts in sorted(lora.layers().items()):
        if layer not in targets:
            raise CheckpointError(
                f"The LoRA adapts {layer!r}, a layer that this base does not have: it is for another."
            )
        kind = layer_of(frozenset(parts))
        assert kind, "load_lora lets no other pass"
        try:
            layers[layer] = kind.of(targets[layer], parts)
        except CheckpointError as fault:
            raise CheckpointError(
                f"The LoRA's {layer!r} does not fit this base, {fault}: it is for another."
            ) from fault
    adapter = Adapter(layers, targets).eval()
    adapter.load(lora.tensors)
    adapter.weight = weight
    return adapter


def with_one_alpha(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same change of the base, (alpha / rank) * up @ down, written with the alpha that most layers have.

    Of a DoRA the alpha becomes the rank: tools differ in whether they scale before or after the lengths are taken.
    """
    layers = {name: parts for name, parts in by_layer(tensors).items() if "lora_up.weight" in parts}
    alphas = {name: parts["alpha"].item() for name, parts in layers.items()}
    shared = Counter(alphas.values()).most_common(1)[0][0] if alphas else 0.0
    written = dict(tensors)
    for layer, parts in layers.items():
        alpha = float(len(parts["lora_down.weight"])) if "dora_scale" in parts else shared
        if alphas[layer] != alpha:
            written[f"{layer}.lora_up.weight"] = parts["lora_up.weight"].detach() * (alphas[layer] / alpha)
            written[f"{layer}.alpha"] = torch.tensor(alpha)
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
