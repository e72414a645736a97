"""The noise schedule of a base, read from the base's own configuration. Shapes: B batch, D h w latent, T timesteps."""

import itertools
import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from likeness.diffusion.family import Prediction
from likeness.errors import CheckpointError

__all__ = ["Schedule"]


class Schedule:
    """A variance-preserving schedule: `noisy = sqrt(abar) * clean + sqrt(1 - abar) * noise`.

    Args:
        abar_T: the share of signal power left at each timestep, falling, in [0, 1].
        prediction: what the denoiser predicts, "epsilon" or "v".
        config: the base's scheduler_config.json, kept for the samplers.
        device: where timesteps are drawn and looked up.
    """

    def __init__(
        self,
        abar_T: Tensor,
        prediction: Prediction,
        *,
        config: Mapping[str, Any] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        assert prediction in ("epsilon", "v"), prediction
        self.prediction: Prediction = prediction
        self.config: Mapping[str, Any] = dict(config or {})
        # In float32, 1 - abar loses four of seven digits at the first steps, and the SNR with them.
        exact_T = abar_T.to("cpu", torch.float64)
        self.abar_T = exact_T.to(device, torch.float32)
        self._signal_T = exact_T.sqrt().to(device, torch.float32)
        self._noise_T = (1 - exact_T).sqrt().to(device, torch.float32)
        self._snr_T = (exact_T / (1 - exact_T)).to(device, torch.float32)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, device: torch.device | str = "cpu") -> Self:
        """The schedule that a scheduler_config.json describes.

        Raises:
            CheckpointError: for a schedule or a prediction that is not known; it is never guessed.
        """
        named = config.get("prediction_type", "epsilon")
        predictions: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v"}
        if named not in predictions:
            raise CheckpointError(
                f"The base's scheduler_config.json has prediction_type = {named!r}. Known: {', '.join(predictions)}."
            )
        abar_T = torch.cumprod(1 - _betas(config), dim=0)
        if config.get("rescale_betas_zero_snr", False):
            abar_T = _zero_terminal(abar_T)
        return cls(abar_T, predictions[named], config=config, device=device)

    def __len__(self) -> int:
        return len(self.abar_T)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Timesteps, int64, uniform in [0, T), shape (count,), on the schedule's device."""
        t_B = torch.randint(len(self), (count,), generator=generator, device=generator.device)
        return t_B.to(self.abar_T.device, non_blocking=True)

    def add_noise(self, clean_BDhw: Tensor, noise_BDhw: Tensor, t_B: Tensor) -> Tensor:
        """What the denoiser is shown at `t_B`, in the dtype of `clean_BDhw`."""
        signal_B111, noise_B111 = self._levels(clean_BDhw, t_B)
        return signal_B111 * clean_BDhw + noise_B111 * noise_BDhw

    def target(self, clean_BDhw: Tensor, noise_BDhw: Tensor, t_B: Tensor) -> Tensor:
        """What the denoiser should answer at `t_B`.

        Source: velocity as in Salimans and Ho 2022, https://arxiv.org/abs/2202.00512, appendix D.
        """
        if self.prediction == "epsilon":
            return noise_BDhw
        signal_B111, noise_B111 = self._levels(clean_BDhw, t_B)
        return signal_B111 * noise_BDhw - noise_B111 * clean_BDhw

    def snr(self, t_B: Tensor) -> Tensor:
        """Signal-to-noise ratio abar / (1 - abar), float32, shape (B,)."""
        return self._snr_T[t_B]

    def _levels(self, like_BDhw: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
        """Amplitudes of signal and noise, shaped to multiply a batch of latents."""
        shape = (-1,) + (1,) * (like_BDhw.ndim - 1)
        levels = self._signal_T[t_B].view(shape), self._noise_T[t_B].view(shape)
        return levels[0].to(like_BDhw.dtype), levels[1].to(like_BDhw.dtype)


def _betas(config: Mapping[str, Any]) -> Tensor:
    """Variance added at each step, float64, shape (T,). Defaults are those of diffusers' schedulers."""
    if config.get("trained_betas") is not None:
        return torch.tensor(config["trained_betas"], dtype=torch.float64)
    steps, named = config.get("num_train_timesteps", 1000), config.get("beta_schedule", "linear")
    start, end = config.get("beta_start", 1e-4), config.get("beta_end", 2e-2)
    if named == "linear":
        return torch.linspace(start, end, steps, dtype=torch.float64)
    if named == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    if named == "squaredcos_cap_v2":
        abar = [math.cos((step / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for step in range(steps + 1)]
        ratios = [after / before for before, after in itertools.pairwise(abar)]
        return torch.tensor([min(1 - ratio, 0.999) for ratio in ratios], dtype=torch.float64)
    raise CheckpointError(
        f"The base's scheduler_config.json has beta_schedule = {named!r}. "
        "Known: linear, scaled_linear, squaredcos_cap_v2, or trained_betas."
    )


def _zero_terminal(abar_T: Tensor) -> Tensor:
    """The schedule stretched so that its last step is pure noise and its first is unchanged.

    Source: Lin et al. 2023, https://arxiv.org/abs/2305.08891, algorithm 1.
    """
    root_T = abar_T.sqrt()
    first, last = root_T[0], root_T[-1]
    return ((root_T - last) * first / (first - last)) ** 2
