"""Stable Diffusion XL and what is made of it (Illustrious, Pony, NoobAI), with epsilon or v.

It is told by two text encoders, by a vector of the whole prompt, and by sizes: of the original picture, of what was cut
off at its top and left, and of what is drawn, all as height then width.

Shapes: B batch, C H W picture, D h w latent, K windows, N = B * K, L tokens, E width.
Source: Podell et al. 2023, https://arxiv.org/abs/2307.01952, section 2.2 for sizes.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from likeness.diffusion.family import Conditioning
from likeness.diffusion.parts import Layout, Parts, TextPlan
from likeness.diffusion.prompts import laid_end_to_end
from likeness.diffusion.sd15 import StableDiffusion15
from likeness.diffusion.targets import text_targets, unet_targets

__all__ = ["StableDiffusionXL"]

FIRST = TextPlan("text_encoder", "tokenizer", "conditioner.embedders.0.transformer.", "clip", "quick_gelu", layers=12)
SECOND = TextPlan(
    "text_encoder_2",
    "tokenizer_2",
    "conditioner.embedders.1.model.",
    "open_clip",
    "gelu",
    layers=32,
    zero=True,
    pooled=True,
)


class StableDiffusionXL(StableDiffusion15):
    """A frozen Stable Diffusion XL base: its pictures are those of 1.x, what it is told is more.

    Clip skip is not for it: it always reads the last layer but one, without the final normalisation, as it was trained.
    """

    name = "sdxl"
    layout: ClassVar[Layout] = Layout(family="sdxl", texts=(FIRST, SECOND), heads=0, scaling=0.13025)

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.pooled_width: int = parts.text_encoders[1].config.projection_dim

    @property
    def base_version(self) -> str:
        """As kohya-ss names it in a file."""
        return "sdxl_base_v1-0"

    @property
    def architecture(self) -> str:
        """As ModelSpec names it."""
        return "stable-diffusion-xl-v1-base"

    def count_chunks(self, prompt: str) -> int:
        """How many windows of the text encoders a prompt fills; at least 1."""
        return max(len(wording.windows_of(prompt)) for wording in self.parts.wordings)

    def encode_prompts(self, prompts: Sequence[str], *, chunks: int | None = None) -> Conditioning:
        """The last hidden states but one of both encoders side by side, (B, 77 * K, E), and the second's answer to the
        whole prompt, of its first window as A1111 and ComfyUI have it.

        Args:
            prompts: one per row.
            chunks: windows per row; by default what the longest of `prompts` needs.
        """
        count = max(map(self.count_chunks, prompts)) if chunks is None else chunks
        answers = [
            encoder(wording.ids_of(prompts, count, self.device), output_hidden_states=True)
            for encoder, wording in zip(self.text_encoders, self.parts.wordings, strict=True)
        ]
        hidden_NLE = torch.cat([answer.hidden_states[-2] for answer in answers], dim=-1)
        return Conditioning(laid_end_to_end(hidden_NLE, len(prompts)), answers[1].text_embeds[::count])

    def predict(
        self, noisy_BDhw: Tensor, t_B: Tensor, conditioning: Conditioning, sizes_B6: Tensor | None = None
    ) -> Tensor:
        """The denoiser's answer, in its own dtype. Where no sizes are told, the picture was as large as it is."""
        assert conditioning.pooled_BE is not None, "Stable Diffusion XL is told by a vector of the whole prompt too"
        if sizes_B6 is None:
            height, width = (side * self.pixels_per_latent for side in noisy_BDhw.shape[-2:])
            sizes_B6 = torch.tensor([[height, width, 0, 0, height, width]]).expand(len(noisy_BDhw), 6)
        return self.denoiser(
            noisy_BDhw.to(self.dtype),
            t_B,
            encoder_hidden_states=conditioning.tokens_BLE.to(self.dtype),
            added_cond_kwargs={
                "text_embeds": conditioning.pooled_BE.to(self.dtype),
                "time_ids": sizes_B6.to(noisy_BDhw.device, torch.float32),  # bfloat16 cannot count to 1024
            },
            return_dict=False,
        )[0]

    def adapter_targets(self) -> dict[str, nn.Module]:
        """Attention, feed-forward, projection and residual layers of the denoiser, then those of both text encoders."""
        first, second = self.text_encoders
        return {**unet_targets(self.denoiser), **text_targets(first, "lora_te1"), **text_targets(second, "lora_te2")}
