"""Stable Diffusion 2.x: as 1.x, but for its text encoder (OpenCLIP's H), its projections (Linear) and its kinds.

Two kinds were published: of 512 px, which predicts epsilon, and of 768 px, which predicts v. Nothing in a single file
of their tensors tells them apart.
"""

from typing import ClassVar

from likeness.diffusion.parts import Layout, TextPlan
from likeness.diffusion.sd15 import StableDiffusion15

__all__ = ["StableDiffusion2"]


class StableDiffusion2(StableDiffusion15):
    """A frozen Stable Diffusion 2.x base. Of its text encoder's 24 layers it reads 23, so that clip skip 1 is what all
    tools do."""

    name = "sd2"
    layout: ClassVar[Layout] = Layout(
        family="sd2",
        texts=(
            TextPlan("text_encoder", "tokenizer", "cond_stage_model.model.", "open_clip", "gelu", layers=23, zero=True),
        ),
        heads=0,
        scaling=0.18215,
    )

    @property
    def base_version(self) -> str:
        """As kohya-ss names it in a file, by what it predicts."""
        return "sd_v2_v" if self.schedule.prediction == "v" else "sd_v2"

    @property
    def architecture(self) -> str:
        """As ModelSpec names it, by what it predicts."""
        return "stable-diffusion-v2-768-v" if self.schedule.prediction == "v" else "stable-diffusion-v2-512"
