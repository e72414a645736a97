"""How five programs that cannot run here change a weight, each written out after its source and by nobody's code.

Each takes a base's weights (O, I, ...) and a layer's tensors under kohya-ss's names, and gives the changed weights.

Sources: ComfyUI `comfy/weight_adapter/{lora,loha,lokr,base}.py`; Forge `backend/patcher/lora.py`; A1111
`extensions-builtin/Lora/{network,network_lora,network_hada,network_lokr,lyco_helpers}.py`; InvokeAI
`backend/patches/layers/`; kohya-ss/sd-scripts `networks/{lora,loha,lokr}.py`.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]


def matrix(parts: Parts, shape: torch.Size) -> tuple[Tensor, int | None]:
    """The change before it is scaled, and what alpha is divided by (None: it is not looked at)."""
    if "lora_up.weight" in parts:
        up, down = parts["lora_up.weight"], parts["lora_down.weight"]
        return torch.mm(up.flatten(1), down.flatten(1)).reshape(shape), down.shape[0]
    if "hada_w1_a" in parts:
        one = torch.mm(parts["hada_w1_a"], parts["hada_w1_b"])
        two = torch.mm(parts["hada_w2_a"], parts["hada_w2_b"])
        return (one * two).reshape(shape), parts["hada_w1_b"].shape[0]
    rank, factors = None, []
    for name in ("lokr_w1", "lokr_w2"):
        if name in parts:
            factors.append(parts[name])
        else:
            factors.append(torch.mm(parts[f"{name}_a"], parts[f"{name}_b"]))
            rank = parts[f"{name}_b"].shape[0]
    small, large = factors
    if large.ndim == 4:
        small = small[:, :, None, None]
    return torch.kron(small, large.contiguous()).reshape(shape), rank


def scale_of(parts: Parts, rank: int | None) -> float:
    return parts["alpha"].item() / rank if "alpha" in parts and rank else 1.0


def column_lengths(weight: Tensor) -> Tensor:
    """Of each input's weights, in one row."""
    rows = weight.transpose(0, 1).reshape(weight.shape[1], -1).norm(dim=1, keepdim=True)
    return rows.reshape(weight.shape[1], *[1] * (weight.dim() - 1)).transpose(0, 1)


def comfyui(weight: Tensor, parts: Parts) -> Tensor:
    """Scaled first; lengths of outputs are those of the base's own weights."""
    change, rank = matrix(parts, weight.shape)
    changed = weight + change * scale_of(parts, rank)
    if "dora_scale" not in parts:
        return changed
    if parts["dora_scale"].shape[0] == weight.shape[0]:
        lengths = weight.reshape(weight.shape[0], -1).norm(dim=1).reshape(-1, *[1] * (weight.dim() - 1))
    else:
        lengths = column_lengths(changed)
    return changed * (parts["dora_scale"] / (lengths + torch.finfo(weight.dtype).eps))


def a1111(weight: Tensor, parts: Parts) -> Tensor:
    """Scaled last, after lengths; these are of inputs whatever their shape says."""
    change, rank = matrix(parts, weight.shape)
    if "dora_scale" in parts:
        changed = weight + change
        change = changed * (parts["dora_scale"] / column_lengths(changed)) - weight
    return weight + change * scale_of(parts, rank)


def invokeai(weight: Tensor, parts: Parts) -> Tensor:
    """Scaled first; lengths are of inputs."""
    change, rank = matrix(parts, weight.shape)
    changed = weight + change * scale_of(parts, rank)
    if "dora_scale" in parts:
        return changed * (parts["dora_scale"] / column_lengths(changed))
    return changed


def kohya(weight: Tensor, parts: Parts) -> Tensor:
    """A convolution of low rank is the down weights convolved with the up weights; lengths are not known."""
    assert "dora_scale" not in parts
    if "lora_up.weight" in parts and weight.ndim == 4:
        up, down = parts["lora_up.weight"], parts["lora_down.weight"]
        change = torch.nn.functional.conv2d(down.permute(1, 0, 2, 3), up).permute(1, 0, 2, 3)
        return weight + change * scale_of(parts, len(down))
    change, rank = matrix(parts, weight.shape)
    return weight + change * scale_of(parts, rank)


FORMULAS: Mapping[str, Callable[[Tensor, Parts], Tensor]] = {
    "ComfyUI": comfyui,
    "A1111": a1111,
    "Forge": comfyui,  # Forge's is a copy of ComfyUI's
    "InvokeAI": invokeai,
    "kohya": kohya,
}
