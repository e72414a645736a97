"""The objective: how far the denoiser's answer is from what it should be. Shapes: B batch, D h w latent."""

import torch
from torch import Tensor

from likeness.diffusion.family import Schedule

__all__ = ["denoising_loss", "min_snr_weight"]


def denoising_loss(output_BDhw: Tensor, target_BDhw: Tensor, weight_B: Tensor) -> Tensor:
    """The weighted mean squared error over a batch: one number, float32 whatever the denoiser answers in.

    Args:
        weight_B: a factor per example; ones leave the plain mean.
    """
    error_BDhw = (output_BDhw.float() - target_BDhw.float()).square()
    return (weight_B * error_BDhw.flatten(1).mean(1)).mean()


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
    if torch.any(snr_B == 0):
        raise ValueError(
            "min-SNR weighting of epsilon prediction is unbounded at SNR 0; "
            "use prediction='v' with a zero-terminal schedule"
        )
    return capped_B / snr_B
