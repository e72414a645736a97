"""The contract of a model family: what the rest of the program may ask of a base, whatever it is.

Shapes: B batch, C H W picture, D h w latent, L tokens, E width, T timesteps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from likeness.recipe import BaseConfig

__all__ = ["Conditioning", "DiffusionModel", "Prediction", "Schedule"]

Prediction = Literal["epsilon", "v"]
"""What a denoiser predicts: the noise, or the velocity."""


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What the denoiser is told about a batch of pictures.

    Attributes:
        tokens_BLE: a vector per token.
        pooled_BE: a vector per prompt, for the families that use one.
    """

    tokens_BLE: Tensor
    pooled_BE: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens_BLE)

    def __getitem__(self, rows: Tensor | slice | Sequence[int]) -> Self:
        """The conditioning of some rows, in the order asked for."""
        pooled_BE = None if self.pooled_BE is None else self.pooled_BE[rows]
        return type(self)(self.tokens_BLE[rows], pooled_BE)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """The same conditioning on another device, or in another precision."""
        pooled_BE = None if self.pooled_BE is None else self.pooled_BE.to(device=device, dtype=dtype)
        return type(self)(self.tokens_BLE.to(device=device, dtype=dtype), pooled_BE)

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, in order. All parts have as many tokens, and all or none have `pooled_BE`."""
        pooled = [part.pooled_BE for part in parts if part.pooled_BE is not None]
        assert len(pooled) in (0, len(parts)), "some parts have a pooled vector and others have none"
        return cls(torch.cat([part.tokens_BLE for part in parts]), torch.cat(pooled) if pooled else None)


class Schedule(Protocol):
    """How much noise a picture holds at each timestep, and what is to be predicted there."""

    @property
    def prediction(self) -> Prediction:
        """What the denoiser predicts."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """What the base's own scheduler_config.json says, for the samplers of diffusers."""
        ...

    def __len__(self) -> int: ...

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Timesteps, int64, uniform in [0, T), shape (count,), on the schedule's device."""
        ...

    def add_noise(self, clean_BDhw: Tensor, noise_BDhw: Tensor, t_B: Tensor) -> Tensor:
        """What the denoiser is shown at `t_B`."""
        ...

    def target(self, clean_BDhw: Tensor, noise_BDhw: Tensor, t_B: Tensor) -> Tensor:
        """What the denoiser should answer at `t_B`."""
        ...

    def snr(self, t_B: Tensor) -> Tensor:
        """Signal-to-noise ratio, float32, shape (B,); 0 at the last step of a zero-terminal schedule."""
        ...


class DiffusionModel(Protocol):
    """A base model: frozen, on one device, and one class per family."""

    name: str
    pixels_per_latent: int
    side_step: int  # px of which both sides of what is trained on are a multiple
    schedule: Schedule
    denoiser: nn.Module
    text_encoders: tuple[nn.Module, ...]
    device: torch.device
    dtype: torch.dtype
    latent_channels: int
    native_size: tuple[int, int]
    pooled_width: int  # of the vector that tells of the whole prompt; 0 where the family has none

    @classmethod
    def load(cls, path: Path, *, device: torch.device, dtype: torch.dtype, config: BaseConfig | None = None) -> Self:
        """The base in a folder that diffusers wrote, or in one .safetensors file. Never a pickle, never from the
        network. `config` has what the recipe says of it, apart from where it lies, its device and dtype."""
        ...

    @property
    def base_version(self) -> str:
        """As kohya-ss names such a base in a file: "sd_v1", "sd_v2_v", "sdxl_base_v1-0"."""
        ...

    @property
    def architecture(self) -> str:
        """As ModelSpec names it: "stable-diffusion-v1"."""
        ...

    @property
    def fingerprint(self) -> str:
        """sha256 of all that decides what the base draws: its weights, configurations and vocabulary."""
        ...

    @property
    def encodes_as(self) -> str:
        """The same, but for how the denoiser is quantised: what is encoded for one such base is for all."""
        ...

    def encode_posterior(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the scaled latents, so that each training step draws its own."""
        ...

    def encode_images(self, pixels_BCHW: Tensor) -> Tensor:
        """Scaled latents of pictures in [-1, 1]: the mean of the posterior."""
        ...

    def decode_latents(self, latents_BDhw: Tensor) -> Tensor:
        """Pictures in about [-1, 1] of scaled latents."""
        ...

    def count_chunks(self, prompt: str) -> int:
        """How many windows of the text encoder a prompt fills; at least 1."""
        ...

    def encode_prompts(self, prompts: Sequence[str], *, chunks: int | None = None) -> Conditioning:
        """What the denoiser is told by each prompt. A long prompt takes several windows and is never cut.

        Args:
            prompts: one per row.
            chunks: windows per row, where rows of several calls have to be as long; by default what the longest of
                `prompts` needs.
        """
        ...

    def predict(
        self, noisy_BDhw: Tensor, t_B: Tensor, conditioning: Conditioning, sizes_B6: Tensor | None = None
    ) -> Tensor:
        """The denoiser's answer. `sizes_B6` (original, crop, target) is for the families that are told of them."""
        ...

    def adapter_targets(self) -> dict[str, nn.Module]:
        """Each layer that an adapter may stand beside, by the name that other tools give it in a file."""
        ...
