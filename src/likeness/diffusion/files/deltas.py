"""What the layers of an adapter file add to the weights of a base, as one matrix each, and as few numbers as it takes.

Shapes: O out, I in (with the kernel, if any), r rank.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from likeness.diffusion.files.conversion import rank_of
from likeness.errors import CheckpointError

__all__ = ["change_of", "factors_of", "shape_of"]


def shape_of(parts: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The shape of the weights that a layer changes, as far as its tensors tell: a LoHa of a convolution is flat."""
    if "lora_down.weight" in parts:
        return len(parts["lora_up.weight"]), *parts["lora_down.weight"].shape[1:]
    if "diff" in parts:
        return tuple(parts["diff"].shape)
    return tuple(_product(parts).shape)


def factors_of(parts: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Up (O, r) and down (r, I), float32, whose product is the change at full strength; None of what is no product of
    two."""
    if "lora_down.weight" not in parts or "dora_scale" in parts:
        return None
    up, down = parts["lora_up.weight"].float().flatten(1), parts["lora_down.weight"].float().flatten(1)
    return up * _scale(parts), down


def change_of(parts: Mapping[str, Tensor], weight: Tensor) -> Tensor:
    """What a layer adds to these weights of the base, at full strength: float32, of their shape.

    A DoRA's lengths are of inputs where they lie in one row and of outputs where they lie in one column; both are taken
    of the changed weights, as in the paper.

    Args:
        parts: the layer's tensors, by our names.
        weight: of the base.

    Raises:
        CheckpointError: where the layer is for weights of another shape.
    """
    try:
        added = _product(parts)
    except RuntimeError as fault:
        raise CheckpointError(f"its tensors do not belong together ({fault})") from fault
    if added.numel() != weight.numel() or len(added) != len(weight):
        raise CheckpointError(
            f"it changes weights of shape {tuple(added.shape)}, and the base has {tuple(weight.shape)}"
        )
    added = added.reshape(weight.shape)
    if "dora_scale" not in parts:
        return added
    lengths, before = parts["dora_scale"].float(), weight.float()
    changed = before + added
    axis = 1 if lengths.shape[0] == 1 else 0
    others = [other for other in range(changed.ndim) if other != axis]
    lengths = lengths.reshape([-1 if other == axis else 1 for other in range(changed.ndim)])
    return changed * (lengths / changed.square().sum(others, keepdim=True).sqrt()) - before


def _product(parts: Mapping[str, Tensor]) -> Tensor:
    """The change that a layer's factors make together, scaled; of a DoRA before its lengths."""
    if "diff" in parts:
        return parts["diff"].float()
    if "hada_w1_a" in parts:
        first, second = (
            parts[f"{factor}_a"].float() @ parts[f"{factor}_b"].float().flatten(1) for factor in ("hada_w1", "hada_w2")
        )
        return first * second * _scale(parts)
    if "lora_down.weight" in parts:
        up, down = parts["lora_up.weight"].float(), parts["lora_down.weight"].float()
        return (up.flatten(1) @ down.flatten(1)).reshape(len(up), *down.shape[1:]) * _scale(parts)
    small, large = _factor(parts, "lokr_w1"), _factor(parts, "lokr_w2")
    small = small.reshape(*small.shape, *(1,) * (large.ndim - 2))
    is_scaled = any(part.endswith("_b") for part in parts)  # whole factors never are: so does LyCORIS
    return torch.kron(small, large.contiguous()) * (_scale(parts) if is_scaled else 1.0)


def _factor(parts: Mapping[str, Tensor], name: str) -> Tensor:
    return parts[name].float() if name in parts else parts[f"{name}_a"].float() @ parts[f"{name}_b"].float()


def _scale(parts: Mapping[str, Tensor]) -> float:
    return parts["alpha"].item() / rank_of(parts)
