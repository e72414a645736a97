"""The optimizer, its step size over time, and the running average of what it moves."""

import math
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from likeness.diffusion.adapter import Adapter
from likeness.errors import MissingExtra
from likeness.recipe import TrainConfig

__all__ = ["Average", "Group", "groups_of", "new_optimizer", "optimizers", "rate_at", "schedule_of", "set_rates"]

RESTARTS = 3  # cosines of a run with restarts, as kohya-ss's guides have it

Group = tuple[Sequence[nn.Parameter], float]
"""Parameters that learn at one rate, and how that rate is to `train.learning_rate`."""


optimizers: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "adamw": ("torch.optim:AdamW", {"fused": True}),  # one kernel per step, on CPU and CUDA alike
    "adamw8bit": ("bitsandbytes.optim:AdamW8bit", {}),
    # as its authors advise for training with a warm-up
    "prodigy": ("prodigyopt:Prodigy", {"use_bias_correction": True, "safeguard_warmup": True}),
    "adafactor": ("torch.optim:Adafactor", {}),
    "schedule-free": ("schedulefree:AdamWScheduleFree", {}),
}
"""Where each optimizer lives, and what is set on it beside the recipe's own, by its name in the recipe.

Sources: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101 (adamw); Dettmers et al. 2022,
https://arxiv.org/abs/2110.02861 (adamw8bit); Mishchenko and Defazio 2023, https://arxiv.org/abs/2306.06101 (prodigy);
Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235 (adafactor); Defazio et al. 2024,
https://arxiv.org/abs/2405.15682 (schedule-free).
"""


def new_optimizer(groups: Sequence[Group], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that the recipe names, over some groups; `set_rates` before each step.

    Raises:
        MissingExtra: where its library is not installed.
    """
    address, own = optimizers[config.optimizer]
    module, _, name = address.partition(":")
    try:
        kind = getattr(import_module(module), name)
    except ModuleNotFoundError as missing:
        package = module.partition(".")[0]
        raise MissingExtra(package, "optimizers", why=f"by train.optimizer = {config.optimizer!r}") from missing
    options = {"lr": config.learning_rate, "betas": config.betas, "weight_decay": config.weight_decay, **own}
    if config.optimizer == "adafactor":  # it keeps no momentum
        del options["betas"]
    named = [{"params": list(parameters), "ratio": ratio} for parameters, ratio in groups]
    with redirect_stdout(StringIO()):  # Prodigy prints its weight decay
        return kind(named, **options)


def groups_of(adapter: Adapter, ratios: Mapping[str, float], config: TrainConfig) -> list[Group]:
    """The adapter's parameters by the rate at which they learn, in their own order.

    Args:
        adapter: what is trained.
        ratios: of each layer, to `train.learning_rate`.
        config: of training; the half of a layer that begins at zero learns `up_rate_ratio` times as fast.

    Source: Hayou et al. 2024 (LoRA+), https://arxiv.org/abs/2402.12354.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in adapter.named_parameters():
        layer, _, part = name.partition(".")
        ratio = ratios[layer] * (config.up_rate_ratio if part == "lora_up.weight" else 1)
        groups.setdefault(ratio, []).append(parameter)
    return [(parameters, ratio) for ratio, parameters in groups.items()]


def set_rates(optimizer: torch.optim.Optimizer, step: int, config: TrainConfig) -> None:
    """Each group learns at the rate of this step, counted from 0, times its ratio."""
    rate = rate_at(step, config)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["ratio"]


def schedule_of(config: TrainConfig) -> str:
    """What "auto" means for the optimizer: cosine, but for schedule-free, which has none."""
    if config.schedule != "auto":
        return config.schedule
    return "constant" if config.optimizer == "schedule-free" else "cosine"


def rate_at(step: int, config: TrainConfig) -> float:
    """The step size of a step, counted from 0: a straight rise over the warm-up, then as the schedule says.

    The first step already moves, and so does the last.
    """
    rising = round(config.steps * config.warmup)
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    gone = (step - rising) / (config.steps - rising)
    schedule = schedule_of(config)
    if schedule == "constant":
        return config.learning_rate
    if schedule == "linear":
        return config.learning_rate * (1 - gone)
    if schedule == "cosine-restarts":
        gone = gone * RESTARTS % 1
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
