"""The optimizer, its step size over time, and the running average of what it moves."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from likeness.recipe import TrainConfig

__all__ = ["Average", "adamw", "rate_at"]


def adamw(parameters: Sequence[nn.Parameter], config: TrainConfig) -> torch.optim.AdamW:
    """AdamW in one kernel per step, on CPU and CUDA alike; its step size is set before each step.

    Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.
    """
    return torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def rate_at(step: int, config: TrainConfig) -> float:
    """The step size of a step, counted from 0: a straight rise over the warm-up, then a cosine to 0 or the peak.

    The first step already moves, and so does the last.
    """
    rising = round(config.steps * config.warmup)
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    if config.schedule == "constant":
        return config.learning_rate
    gone = (step - rising) / (config.steps - rising)
    return config.learning_rate * (1 + math.cos(math.pi * gone)) / 2


class Average:
    """The running average of some tensors.

    Attributes:
        tensors: the averages, in the order of the tensors that they follow.
    """

    def __init__(self, followed: Sequence[Tensor], decay: float) -> None:
        self.tensors = [tensor.detach().clone() for tensor in followed]
        self._followed, self._decay = list(followed), decay

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """The averages after `steps` steps. Early on the decay is lower, else a short run would average its start."""
        decay = min(self._decay, (1 + steps) / (10 + steps))  # as TensorFlow's ExponentialMovingAverage has it
        get_ema_multi_avg_fn(decay)(self.tensors, self._followed, steps)

    @torch.no_grad()
    def swap(self) -> None:
        """The averages stand where the followed tensors were, and these where the averages were."""
        for average, tensor in zip(self.tensors, self._followed, strict=True):
            held = average.clone()
            average.copy_(tensor)
            tensor.copy_(held)
