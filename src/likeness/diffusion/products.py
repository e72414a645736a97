"""Products: what the factors of a change of weights make together, before it is scaled; with a gradient where they
have one.

Shapes: O out, I in (with the kernel, if any), r rank; Oa * Ob = O, Ia * Ib = I.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

__all__ = ["hadamard", "is_scaled", "kronecker", "lengths_of", "low_rank"]


def low_rank(parts: Mapping[str, Tensor]) -> Tensor:
    """Of LoRA, `up @ down`: (O, I), or (O, I, k, k) where the factors are convolutions."""
    up, down = parts["lora_up.weight"], parts["lora_down.weight"]
    return (up.flatten(1) @ down.flatten(1)).reshape(len(up), *down.shape[1:])


def hadamard(parts: Mapping[str, Tensor]) -> Tensor:
    """Of LoHa, `(w1_a @ w1_b) * (w2_a @ w2_b)`: (O, I), a kernel being part of I."""
    return _of_two(parts, "hada_w1") * _of_two(parts, "hada_w2")


def kronecker(parts: Mapping[str, Tensor], kernel: tuple[int, ...] = ()) -> Tensor:
    """Of LoKr, the Kronecker product of `w1` and `w2`, each whole or as a product of two.

    Args:
        parts: by the names in a file.
        kernel: of the convolution that is changed, where it is to have its own axes: (Oa * Ob, Ia * Ib, k, k). Else a
            second factor that is whole keeps those that it has, and one that is a product of two is flat.
    """
    small, large = (parts[name] if name in parts else _of_two(parts, name) for name in ("lokr_w1", "lokr_w2"))
    large = large.reshape(len(large), -1, *kernel) if kernel else large
    return torch.kron(small.reshape(*small.shape[:2], *(1,) * (large.ndim - 2)), large.contiguous())


def is_scaled(names: Iterable[str]) -> bool:
    """Whether a LoKr of these tensors is scaled by its alpha: whole factors never are, and so does LyCORIS."""
    return any(name.endswith("_b") for name in names)


def lengths_of(weight: Tensor, axis: int = 1) -> Tensor:
    """How long the weights of each input are, or with `axis` 0 of each output: ones on all other axes."""
    shape = [-1 if other == axis else 1 for other in range(weight.ndim)]
    return weight.movedim(axis, 0).flatten(1).norm(dim=1).view(shape)


def _of_two(parts: Mapping[str, Tensor], name: str) -> Tensor:
    return parts[f"{name}_a"] @ parts[f"{name}_b"].flatten(1)
