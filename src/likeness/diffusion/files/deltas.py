"""What the layers of an adapter file add to the weights of a base, as one matrix each, and as few numbers as it takes.

Shapes: O out, I in (with the kernel, if any), r rank.
"""

from collections.abc import Mapping

from torch import Tensor

from likeness.diffusion.files.conversion import rank_of
from likeness.diffusion.products import hadamard, is_scaled, kronecker, lengths_of, low_rank
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
    wanted, before = parts["dora_scale"].float(), weight.float()
    changed = before + added
    lengths = lengths_of(changed, axis=1 if wanted.shape[0] == 1 else 0)
    return changed * (wanted.reshape(lengths.shape) / lengths) - before


def _product(parts: Mapping[str, Tensor]) -> Tensor:
    """The change that a layer's factors make together, scaled; of a DoRA before its lengths."""
    exact = {name: tensor.float() for name, tensor in parts.items()}
    if "diff" in parts:
        return exact["diff"]
    if "hada_w1_a" in parts:
        return hadamard(exact) * _scale(parts)
    if "lora_down.weight" in parts:
        return low_rank(exact) * _scale(parts)
    return kronecker(exact) * (_scale(parts) if is_scaled(parts) else 1.0)


def _scale(parts: Mapping[str, Tensor]) -> float:
    return parts["alpha"].item() / rank_of(parts)
