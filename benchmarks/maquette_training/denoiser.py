"""Trains the maquette's denoiser: Stable Diffusion 1.x's U-Net at small width, on latents and captions of drawings.

On the CPU, single-threaded processes that average their gradients are faster than threads; on a GPU it is one.
"""

# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# (what diffusers and transformers say of their own types is not what they do)
from __future__ import annotations

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from torch.nn import functional

from likeness.maquette.world import Identity, Scene
from maquette_training.drawings import truth_of
from maquette_training.text import LENGTH, WIDTH, prompt_of

BATCH, PEAK, UNCONDITIONAL = 32, 1.5e-3, 0.1  # per process; rate; share of empty prompts, as Stable Diffusion's


def build() -> UNet2DConditionModel:
    """7.3 M parameters: attention at 16 x 16 and 8 x 8, none at the lowest level, as in Stable Diffusion."""
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128, 160),
        layers_per_block=1,
        norm_num_groups=16,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
    )
    unet.set_attn_processor(
        AttnProcessor()
    )  # with bfloat16 on the CPU, the fused attention's backward is four times slower
    return unet


def scheduler() -> DDPMScheduler:
    """Stable Diffusion's noise schedule with v-prediction."""
    return DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        steps_offset=1,
        timestep_spacing="trailing",
        clip_sample=False,
    )


class Denoising:
    """Batches and the loss: prompts of each drawing's truth, encoded on the fly by the frozen text encoder."""

    def __init__(
        self,
        unet,
        encoder,
        tokenizer,
        latents: Tensor,
        *,
        seed: int,
        rank: int,
        shards: int,
        first: int = 0,
    ) -> None:
        self.unet, self.encoder, self.tokenizer, self.latents, self.seed, self.device = (
            unet,
            encoder,
            tokenizer,
            latents,
            seed,
            str(unet.device),
        )
        self.generator = np.random.default_rng([seed, rank, first])
        self.noise = torch.Generator().manual_seed((first * 1000 + seed) * 1000 + rank)
        self.mine = np.arange(len(latents))[rank::shards]
        self.scheduler = scheduler()
        self.truths: dict[int, tuple[Identity, Scene]] = {}

    def encode(self, prompts: list[str]) -> Tensor:
        """Prompts to (B, 77, E) on the device, without gradient."""
        ids = self.tokenizer(
            prompts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
        ).input_ids
        with torch.no_grad():
            return self.encoder(input_ids=ids.to(self.device)).last_hidden_state

    def loss(self) -> Tensor:
        """Mean squared error of v, with steps drawn more often from the middle, where content is decided."""
        chosen = self.generator.choice(self.mine, BATCH)
        prompts = [self._prompt(int(index)) for index in chosen]
        clean = self.latents[torch.from_numpy(chosen)].float().to(self.device)
        noise = torch.randn(clean.shape, generator=self.noise).to(self.device)
        # logit-normal, as Esser et al. 2024, section 3.1
        share = torch.sigmoid(torch.randn(len(clean), generator=self.noise) * 1.2 + 0.1)
        t = (share * 1000).long().clamp(0, 999)
        noisy = self.scheduler.add_noise(clean, noise, t)
        target = self.scheduler.get_velocity(clean, noise, t)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16):
            states = self.encode(prompts)
            output = self.unet(noisy, t.to(self.device), states, return_dict=False)[0]
        return functional.mse_loss(output.float(), target)

    def _prompt(self, index: int) -> str:
        if self.generator.random() < UNCONDITIONAL:
            return ""
        truth = self.truths.get(index) or self.truths.setdefault(index, truth_of(index, seed=self.seed, seen_only=True))
        return prompt_of(*truth, self.generator)
