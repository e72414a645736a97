"""Muon: momentum whose steps are made orthogonal, for the matrices and filters of a network (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Muon", "orthogonal"]

# Newton-Schulz in five rounds: brings every singular value near 1 (the reference implementation's coefficients)
_A, _B, _C, _ROUNDS = 3.4445, -4.7750, 2.0315, 5


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix (M, N), float32, with its singular values brought near 1 (small ones less so).

    All rounds are done on the small side's square, which is a fifth of the work where one side is much longer.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.mT if is_tall else matrix).contiguous()
    x = x / (x.norm() + 1e-7)
    square = x @ x.mT
    one = torch.eye(len(square), device=x.device)
    product = one
    for _ in range(_ROUNDS):
        factor = _A * one + _B * square + _C * (square @ square)
        product, square = factor @ product, factor @ square @ factor
        square = (square + square.mT) / 2  # against rounding
    x = product @ x
    return x.mT if is_tall else x


class Muon(torch.optim.Optimizer):
    """For parameters of two dimensions or more; a filter counts as a matrix with a row for each output.

    A step's root mean square is a fifth of the rate, as AdamW's is, so that both take the same rate and decay (Liu et
    al. 2025, "Muon is scalable for LLM training", section 2.2).
    """

    def __init__(self, groups: list[dict], lr: float, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step along the orthogonal part of Nesterov's momentum."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(momentum, group["momentum"]).flatten(1)
                rate = group["lr"] * 0.2 * max(ahead.shape) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"]).add_(orthogonal(ahead).view_as(p), alpha=-rate)
        return closure() if closure else None
