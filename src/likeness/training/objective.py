"""The objective: how far the denoiser's answer is from what it should be, and which noise levels count for how much.

Shapes: B batch, D h w latent, T timesteps.
"""

import torch
from torch import Tensor

from likeness.diffusion.family import Schedule
from likeness.errors import RecipeError
from likeness.recipe import TrainConfig

__all__ = ["debiased_weight", "denoising_loss", "loss_weights", "min_snr_weight"]

MOST_SNR = 1000.0  # where debiased weights stop falling: only the first steps have more, and nobody can see them


def denoising_loss(
    output_BDhw: Tensor,
    target_BDhw: Tensor,
    weight_B: Tensor,
    *,
    map_B1hw: Tensor | None = None,
    huber_c: float | None = None,
) -> Tensor:
    """The weighted mean error of each example, float32 whatever the denoiser answers in; shape (B,).

    Args:
        output_BDhw: the denoiser's answer.
        target_BDhw: what it should be.
        weight_B: a factor per example; ones leave the plain mean.
        map_B1hw: how much each place counts. Its mean over a picture is taken out, so that a small subject weighs as
            much as a large one.
        huber_c: the error from which on it counts straight and no longer squared, `2 c (sqrt(e^2 + c^2) - c)`; None:
            the square. Small errors count alike in both.

    Source: kohya-ss/sd-scripts for the form of huber.
    """
    error_BDhw = output_BDhw.float() - target_BDhw.float()
    if huber_c is None:
        lost_BDhw = error_BDhw.square()
    else:
        lost_BDhw = 2 * huber_c * ((error_BDhw.square() + huber_c**2).sqrt() - huber_c)
    if map_B1hw is not None:
        lost_BDhw = lost_BDhw * (map_B1hw / map_B1hw.mean((1, 2, 3), keepdim=True))
    return weight_B * lost_BDhw.flatten(1).mean(1)


def min_snr_weight(schedule: Schedule, t_B: Tensor, gamma: float = 5.0) -> Tensor:
    """Per-example loss weight that stops low-noise steps from dominating.

    Args:
        schedule: of the base; its prediction decides the form.
        t_B: timesteps, int64, in [0, T).
        gamma: SNR at which the weight is capped; 5 in the paper.

    Returns:
        Weights, float32, shape (B,). In (0, 1] for epsilon prediction.

    Raises:
        ValueError: for epsilon prediction at a step with SNR 0, where the weight is unbounded.

    Source: Hang et al. 2023, https://arxiv.org/abs/2303.09556, section 3.4.
    """
    snr_B = schedule.snr(t_B)
    capped_B = snr_B.clamp(max=gamma)
    if schedule.prediction == "v":
        return capped_B / (snr_B + 1)
    _refuse_bottomless(snr_B, "min-SNR")
    return capped_B / snr_B


def debiased_weight(schedule: Schedule, t_B: Tensor) -> Tensor:
    """Per-example loss weight that grows with the noise, as the error of the picture that is seen in it does.

    1 / sqrt(SNR) for epsilon, and sqrt(SNR) / (SNR + 1) for v: the same objective, since an error of v is one of
    epsilon times sqrt(1 + 1 / SNR).

    Args:
        schedule: of the base; its prediction decides the form.
        t_B: timesteps, int64, in [0, T).

    Raises:
        ValueError: for epsilon prediction at a step with SNR 0, where the weight is unbounded.

    Source: Yu et al. 2023, https://arxiv.org/abs/2310.08442, section 3.2.
    """
    snr_B = schedule.snr(t_B).clamp(max=MOST_SNR)
    if schedule.prediction == "v":
        return snr_B.sqrt() / (snr_B + 1)
    _refuse_bottomless(snr_B, "debiased")
    return snr_B.rsqrt()


def _refuse_bottomless(snr_B: Tensor, weighting: str) -> None:
    if torch.any(snr_B == 0):
        raise ValueError(
            f"{weighting} weighting of epsilon prediction is unbounded at SNR 0; "
            "use prediction='v' with a zero-terminal schedule"
        )


def loss_weights(schedule: Schedule, config: TrainConfig) -> Tensor:
    """The weight of every timestep, float32, shape (T,), on the schedule's device.

    Where the base predicts v and ends in pure noise, none is below `config.weight_floor`: otherwise the last step would
    weigh nothing, though all of a picture's light and colour is decided there.

    Raises:
        RecipeError: for a weighting that has no bound with this base.
    """
    every_T = torch.arange(len(schedule))
    snr_T = schedule.snr(every_T)
    if config.weighting == "none":
        return torch.ones_like(snr_T)
    try:
        if config.weighting == "min-snr":
            weight_T = min_snr_weight(schedule, every_T, config.min_snr_gamma)
        else:
            weight_T = debiased_weight(schedule, every_T)
    except ValueError as fault:
        raise RecipeError(
            f"train.weighting = {config.weighting!r} cannot be: this base predicts epsilon, and its last step is pure "
            "noise, where the weight has no bound. Set it to 'none'."
        ) from fault
    return weight_T.clamp(min=config.weight_floor) if snr_T[-1] == 0 else weight_T
