"""Adapters of another rank: several put together into one, and one made smaller by its singular values.

A plain LoRA's change is never written out as a matrix: its factors are made orthogonal first, and what is left between
them is as small as the ranks.

Shapes: O out, I in (with the kernel, if any), r rank, n new rank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from likeness.diffusion.files.conversion import LoraFile
from likeness.diffusion.files.deltas import change_of, factors_of, shape_of
from likeness.diffusion.files.lineage import kind_of_layer
from likeness.errors import CheckpointError

__all__ = ["Kept", "combined", "resized"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a layer.

    Attributes:
        rank: the new one.
        energy: share of the sum of squares of its change, in [0, 1].
    """

    rank: int
    energy: float


def combined(loras: Sequence[tuple[LoraFile, float]]) -> dict[str, Tensor]:
    """Layers that change a base as all these together do, each at its weight; a layer's rank is the sum of its ranks.

    Alpha is the rank, and what the alphas said is in the up weights. Exact, but for one rounding to the precision of
    the most precise of the files.

    Raises:
        CheckpointError: for files of different families, and for a layer that no two factors make.
    """
    families = sorted({lora.family for lora, _ in loras if lora.family})
    if len(families) > 1:
        raise CheckpointError(f"The files are for different bases: {', '.join(families)}. Put together those of one.")
    tensors: dict[str, Tensor] = {}
    layers = [(lora.layers(), weight) for lora, weight in loras]
    for name in dict.fromkeys(layer for own, _ in layers for layer in own):
        parts = [(own[name], weight) for own, weight in layers if name in own]
        shape = _one_shape(name, [part for part, _ in parts])
        pairs = [(_factors(name, part), weight) for part, weight in parts]
        up = torch.cat([up * weight for (up, _), weight in pairs], dim=1)
        down = torch.cat([down for (_, down), _ in pairs])
        dtype = _widest([part for part, _ in parts])
        tensors |= _layer(name, up, down, shape, dtype)
    return tensors


def _one_shape(name: str, parts: Sequence[Mapping[str, Tensor]]) -> tuple[int, ...]:
    shapes = sorted({shape_of(part) for part in parts})
    if len(shapes) > 1:
        raise CheckpointError(f"{name} has weights of shape {shapes[0]} in one file and {shapes[1]} in another.")
    return shapes[0]


def _widest(parts: Sequence[Mapping[str, Tensor]]) -> torch.dtype:
    """The precision that holds what each of these layers holds."""
    dtype = None
    for part in parts:
        own = next(tensor.dtype for name, tensor in part.items() if name != "alpha")
        dtype = own if dtype is None else torch.promote_types(dtype, own)
    assert dtype
    return dtype


def _factors(name: str, parts: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Up (O, r) and down (r, I) of a layer of any method that needs no base: of a product, by its singular values."""
    if factors := factors_of(parts):
        return factors
    if "dora_scale" in parts:
        kind = kind_of_layer({part: tuple(tensor.shape) for part, tensor in parts.items()})
        raise CheckpointError(
            f"{name} is a layer of {kind}: what it changes depends on the base's weights, and no low-rank layer says "
            "it without them. Merge it into its base (likeness merge OUT FILE --base BASE)."
        )
    change = change_of(parts, torch.empty(shape_of(parts), device="meta")).flatten(1)
    left, values, right = torch.linalg.svd(change, full_matrices=False)
    rank = max(1, int((values > values[0] * 1e-6).sum()))  # what is smaller is rounding of float32
    return left[:, :rank] * values[:rank], right[:rank]


def _layer(name: str, up: Tensor, down: Tensor, shape: Sequence[int], dtype: torch.dtype) -> dict[str, Tensor]:
    """A plain layer of a file, its alpha the rank, so that nothing scales it."""
    rank, ones = len(down), (1,) * (len(shape) - 2)
    return {
        f"{name}.lora_down.weight": down.reshape(rank, *shape[1:]).to(dtype).contiguous(),
        f"{name}.lora_up.weight": up.reshape(len(up), rank, *ones).to(dtype).contiguous(),
        f"{name}.alpha": torch.tensor(float(rank)),
    }


def resized(lora: LoraFile, *, rank: int | None = None, keep: float = 1.0) -> tuple[dict[str, Tensor], dict[str, Kept]]:
    """The layers of a file at a smaller rank, each as near to what it was as that rank allows, and what each keeps.

    Args:
        lora: of any method that needs no base.
        rank: at most; None for whatever `keep` takes.
        keep: the share of the sum of squares of each layer's change that is to be kept, in (0, 1]; the smallest rank
            that does, and never more than `rank`.

    Raises:
        CheckpointError: for a DoRA, whose change depends on the base.

    Source: Eckart and Young 1936: cut singular values are the best that a rank can do in that norm.
    """
    tensors: dict[str, Tensor] = {}
    report: dict[str, Kept] = {}
    for name, parts in lora.layers().items():
        left, values, right = _singular(*_factors(name, parts))
        shares = values.square().cumsum(0) / values.square().sum().clamp(min=torch.finfo(torch.float32).tiny)
        wanted = int((shares < keep - 1e-6).sum()) + 1  # the first share that is enough
        own = min(wanted, rank or len(values), len(values))
        root = values[:own].sqrt()
        tensors |= _layer(name, left[:, :own] * root, root[:, None] * right[:own], shape_of(parts), _widest([parts]))
        report[name] = Kept(own, shares[own - 1].item())
    return tensors, report


def _singular(up: Tensor, down: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular vectors and values of `up @ down`, out of a matrix no larger than its rank."""
    left, inner_left = torch.linalg.qr(up)
    right, inner_right = torch.linalg.qr(down.T)
    vectors, values, others = torch.linalg.svd(inner_left @ inner_right.T)
    return left @ vectors, values, others @ right.T
