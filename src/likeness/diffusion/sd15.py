"""Stable Diffusion 1.x, of any width: Stable Diffusion 1.5 and the embedded maquette are read by this one class.

Shapes: B batch, C H W picture, D h w latent, K windows, L tokens, E width.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from likeness.diffusion.bases import open_parts
from likeness.diffusion.family import Conditioning
from likeness.diffusion.parts import Layout, Parts, TextPlan, decoded, fingerprint_of, posterior
from likeness.diffusion.prompts import final_layer, laid_end_to_end
from likeness.diffusion.targets import text_targets, unet_targets
from likeness.recipe import BaseConfig

__all__ = ["StableDiffusion15"]


class StableDiffusion15:
    """A frozen Stable Diffusion 1.x base. 2.x and XL are this with other text encoders, and say what else they have."""

    name = "sd15"
    layout: ClassVar[Layout] = Layout(
        family="sd15",
        texts=(
            TextPlan("text_encoder", "tokenizer", "cond_stage_model.transformer.", "clip", "quick_gelu", layers=12),
        ),
        heads=8,
        scaling=0.18215,
    )
    pooled_width: int = 0

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.denoiser, self.schedule = parts.unet, parts.schedule
        self.text_encoders: tuple[nn.Module, ...] = parts.text_encoders
        self.device, self.dtype = parts.unet.device, parts.unet.dtype
        self.latent_channels: int = parts.unet.config["in_channels"]
        self.pixels_per_latent, self.native_size = parts.pixels_per_latent, parts.native_size
        self.side_step: int = parts.side_step

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        config: BaseConfig | None = None,
    ) -> Self:
        """The base at `path`; see `likeness.diffusion.bases.open_parts`."""
        return cls(open_parts(path, cls.layout, device=device, dtype=dtype, config=config or BaseConfig()))

    @property
    def base_version(self) -> str:
        """As kohya-ss names it in a file."""
        return "sd_v1"

    @property
    def architecture(self) -> str:
        """As ModelSpec names it."""
        return "stable-diffusion-v1"

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over all that decides what the base draws, wherever it lies."""
        quantised = self.parts.quantised
        if quantised == "none":
            return self.encodes_as
        return hashlib.sha256(f"{self.encodes_as} quantise={quantised}".encode()).hexdigest()

    @cached_property
    def encodes_as(self) -> str:
        """sha256 over the same, but for how the denoiser is quantised: it neither sees pictures nor reads prompts."""
        return fingerprint_of(self.parts.files, self.parts.settings)

    def encode_posterior(self, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the scaled latents, float32, (B, D, h, w) each, of pictures in [-1, 1]."""
        return posterior(self.parts.vae, pixels_BCHW)

    def encode_images(self, pixels_BCHW: Tensor) -> Tensor:
        """Scaled latents of pictures in [-1, 1]: the mean of the posterior, float32."""
        return self.encode_posterior(pixels_BCHW)[0]

    def decode_latents(self, latents_BDhw: Tensor) -> Tensor:
        """Pictures, float32, in about [-1, 1] (not clamped), of scaled latents."""
        return decoded(self.parts.vae, latents_BDhw)

    def count_chunks(self, prompt: str) -> int:
        """How many windows of the text encoder a prompt fills; at least 1."""
        return len(self.parts.wordings[0].windows_of(prompt))

    def encode_prompts(self, prompts: Sequence[str], *, chunks: int | None = None) -> Conditioning:
        """The hidden states of the text encoder, (B, 77 * K, E).

        A prompt of more than 75 tokens takes several windows, each with its own start, end and padding, laid end to
        end: as A1111 and ComfyUI do, so that a LoRA sees in training what it will be asked in use. Shorter prompts of
        the same call are filled up with empty windows.

        Args:
            prompts: one per row.
            chunks: windows per row; by default what the longest of `prompts` needs.
        """
        ids_NL = self.parts.wordings[0].ids_of(prompts, chunks, self.device)
        hidden_NLE = final_layer(self.text_encoders[0], ids_NL, self.parts.clip_skip)
        return Conditioning(laid_end_to_end(hidden_NLE, len(prompts)))

    def predict(
        self, noisy_BDhw: Tensor, t_B: Tensor, conditioning: Conditioning, sizes_B6: Tensor | None = None
    ) -> Tensor:
        """The denoiser's answer, in its own dtype. `sizes_B6` is not used: this family is not told of sizes."""
        noisy_BDhw, tokens_BLE = noisy_BDhw.to(self.dtype), conditioning.tokens_BLE.to(self.dtype)
        return self.denoiser(noisy_BDhw, t_B, encoder_hidden_states=tokens_BLE, return_dict=False)[0]

    def adapter_targets(self) -> dict[str, nn.Module]:
        """Attention, feed-forward, projection and residual layers of the denoiser, then those of the text encoder."""
        return {**unet_targets(self.denoiser), **text_targets(self.text_encoders[0], "lora_te")}
