"""The noise of a step: how much of it, what is added to a picture, and what is to be found.

Shapes: B batch, D h w latent, T timesteps.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from likeness.diffusion.family import Schedule
from likeness.errors import RecipeError
from likeness.recipe import TrainConfig

__all__ = ["Noising", "coloured", "perturbed", "timestep_shares"]


@dataclass(frozen=True, slots=True)
class Noising:
    """How a run makes its noise.

    Attributes:
        schedule: of the base.
        config: of training.
        reached_T: the share of all draws at each timestep or one before it, float32, on the CPU; None: all alike.
    """

    schedule: Schedule
    config: TrainConfig
    reached_T: Tensor | None = None

    @classmethod
    def of(cls, schedule: Schedule, config: TrainConfig) -> Self:
        """As the recipe says.

        Raises:
            RecipeError: for noise or timesteps that do not suit the base.
        """
        _check_offsets(schedule, config)
        shares_T = timestep_shares(schedule, config)
        return cls(schedule, config, None if shares_T is None else shares_T.cumsum(0))

    def timesteps(self, count: int, generator: torch.Generator) -> Tensor:
        """Timesteps, int64, shape (count,), on the schedule's device."""
        if self.reached_T is None:
            return self.schedule.draw(count, generator)
        reached_T = self.reached_T.to(generator.device)
        drawn_B = torch.rand(count, generator=generator, device=generator.device) * reached_T[-1]
        return torch.searchsorted(reached_T, drawn_B, right=True).clamp(max=len(reached_T) - 1)


def timestep_shares(schedule: Schedule, config: TrainConfig) -> Tensor | None:
    """How often each timestep is drawn, float32, shape (T,), summing to 1, on the CPU; None for all alike.

    logit-normal: the logit of a share of all steps is normal (0, 1), as Stable Diffusion 3 has it. high-noise and
    low-noise: the share is the cube root of a uniform number, or 1 less that.

    Raises:
        RecipeError: for a range that this base does not have.

    Source: Esser et al. 2024, https://arxiv.org/abs/2403.03206, section 3.1, for logit-normal.
    """
    first, last = config.timestep_range if any(config.timestep_range) else (0, len(schedule) - 1)
    if last >= len(schedule):
        raise RecipeError(f"train.timestep_range ends at {last}; this base's last timestep is {len(schedule) - 1}.")
    if config.timesteps == "uniform" and (first, last) == (0, len(schedule) - 1):
        return None
    place_T = (torch.arange(len(schedule), dtype=torch.float64) + 0.5) / len(schedule)
    density_T = {
        "uniform": torch.ones_like(place_T),
        "logit-normal": torch.exp(-place_T.logit().square() / 2) / (place_T * (1 - place_T)),
        "high-noise": place_T.square(),
        "low-noise": (1 - place_T).square(),
    }[config.timesteps]
    density_T[:first], density_T[last + 1 :] = 0, 0
    return (density_T / density_T.sum()).float()


def _check_offsets(schedule: Schedule, config: TrainConfig) -> None:
    """Refuses noise that shifts whole channels, for a base whose last step is pure noise: it knows dark and light
    already, and would learn that pure noise is tinted."""
    ends_in_noise = schedule.snr(torch.tensor([len(schedule) - 1])).item() == 0
    for field in ("noise_offset", "multires_noise"):
        if ends_in_noise and (value := getattr(config, field)):
            raise RecipeError(
                f"train.{field} = {value:g}, but this base was made with zero terminal SNR and draws dark and light by "
                "itself; shifted noise would spoil that. Set it to 0."
            )


def coloured(noise_BDhw: Tensor, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """The noise with what the recipe adds to it: a shift of each channel, or coarser layers.

    Args:
        noise_BDhw: plain.
        config: of training.
        generator: on the noise's device; it is used only where something is added.

    Source: https://www.crosslabs.org/blog/diffusion-with-offset-noise for the shift; kohya-ss/sd-scripts
    `pyramid_noise_like`, for the layers: each half to a quarter as fine as the one before, all scaled to deviation 1.
    """
    if config.noise_offset:
        shift_BD11 = torch.randn(*noise_BDhw.shape[:2], 1, 1, generator=generator, device=noise_BDhw.device)
        return noise_BDhw + config.noise_offset * shift_BD11
    if not config.multires_noise:
        return noise_BDhw
    whole_BDhw, (high, wide) = noise_BDhw, noise_BDhw.shape[-2:]
    ratios = torch.rand(config.multires_noise, generator=generator, device=noise_BDhw.device).tolist()
    shrunk = 1.0
    for layer, drawn in enumerate(ratios, start=1):
        shrunk *= 2 + 2 * drawn
        size = max(1, int(high / shrunk)), max(1, int(wide / shrunk))
        coarse = torch.randn(*noise_BDhw.shape[:2], *size, generator=generator, device=noise_BDhw.device)
        spread_BDhw = functional.interpolate(coarse, size=(high, wide), mode="bilinear")
        whole_BDhw = whole_BDhw + config.multires_discount**layer * spread_BDhw
        if size == (1, 1):
            break
    return whole_BDhw / whole_BDhw.std()


def perturbed(noise_BDhw: Tensor, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """What is added to the picture, where `noise_BDhw` is what is to be found: somewhat more, or the same.

    Source: Ning et al. 2023, https://arxiv.org/abs/2301.11706, section 4.
    """
    if not config.input_perturbation:
        return noise_BDhw
    more_BDhw = torch.randn(noise_BDhw.shape, generator=generator, device=noise_BDhw.device)
    return noise_BDhw + config.input_perturbation * more_BDhw
