"""A base taken apart: what each family is made of, whether it lay in a folder or in one file.

Shapes: B batch, C H W picture, D h w latent.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from likeness.diffusion.prompts import Wording
from likeness.diffusion.schedule import Schedule
from likeness.diffusion.statements import Statement

__all__ = ["Layout", "Networks", "Parts", "TextPlan", "decoded", "fingerprint_of", "posterior"]


@dataclass(frozen=True, slots=True)
class TextPlan:
    """A text encoder of a family, and where it lies.

    Attributes:
        folder: in a folder that diffusers wrote.
        vocabulary: the folder of its tokenizer there.
        prefix: of its tensors' names in a single file.
        notation: whose names those are: of transformers' CLIP, or of OpenCLIP.
        activation: between the layers of its feed-forward parts.
        layers: that are read at most; a single file may hold one more.
        zero: whether its windows are filled up with token 0 and not with the end of text.
        pooled: whether its answer to a whole prompt is used, through a projection.
    """

    folder: str
    vocabulary: str
    prefix: str
    notation: Literal["clip", "open_clip"]
    activation: str
    layers: int
    zero: bool = False
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """What a family has that no tensor's shape tells.

    Attributes:
        family: its name.
        texts: its text encoders.
        heads: of every attention; 0 for one to every 64 channels.
        scaling: what the latents of its VAE are multiplied by.
    """

    family: str
    texts: tuple[TextPlan, ...]
    heads: int
    scaling: float


@dataclass(frozen=True, slots=True)
class Networks:
    """What was read of a base.

    Attributes:
        unet: the denoiser.
        vae: None where it was not asked for.
        text_encoders: in the order of the layout.
        scheduler: the configuration of the noise schedule.
        said: what the base says of itself.
        files: all that was read, by a name that does not depend on where it lies.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL | None
    text_encoders: tuple[nn.Module, ...]
    scheduler: Mapping[str, Any]
    said: Statement
    files: Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class Parts:
    """A base, frozen and on its device, in the parts that a family works with.

    Attributes:
        unet: the denoiser.
        vae: of pictures.
        text_encoders: in the order of the layout.
        wordings: how each of them is asked.
        schedule: of noise.
        clip_skip: the layer of the text encoder that is read, from the end.
        files: all that decides what the base draws, by a name that does not depend on where it lies.
        settings: what the recipe changes about it; empty where it leaves all as it is.
        quantised: how the denoiser's weights are rounded; it changes nothing of how pictures and texts are encoded.
    """

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoders: tuple[Any, ...]
    wordings: tuple[Wording, ...]
    schedule: Schedule
    clip_skip: int
    files: Mapping[str, Path]
    settings: tuple[str, ...]
    quantised: str = "none"

    @property
    def pixels_per_latent(self) -> int:
        """px along a side."""
        return 2 ** (len(self.vae.config["block_out_channels"]) - 1)

    @property
    def side_step(self) -> int:
        """px of which both sides of a picture must be a multiple: what the UNet halves, it must be able to double."""
        return self.pixels_per_latent * 2 ** (len(self.unet.config["block_out_channels"]) - 1)

    @property
    def native_size(self) -> tuple[int, int]:
        """Width and height that the base draws best, px."""
        side = self.unet.config["sample_size"] * self.pixels_per_latent
        return side, side


def posterior(vae: AutoencoderKL, pixels_BCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the scaled latents, float32, (B, D, h, w) each, of pictures in [-1, 1]."""
    scaling = vae.config["scaling_factor"]
    told = vae.encode(pixels_BCHW.to(vae.device, vae.dtype), return_dict=False)[0]
    return told.mean.float() * scaling, told.std.float() * scaling


def decoded(vae: AutoencoderKL, latents_BDhw: Tensor) -> Tensor:
    """Pictures, float32, in about [-1, 1] (not clamped), of scaled latents."""
    latents: Any = (latents_BDhw.to(vae.device, torch.float32) / vae.config["scaling_factor"]).to(vae.dtype)
    return vae.decode(latents, return_dict=False)[0].float()


def fingerprint_of(files: Mapping[str, Path], settings: Sequence[str]) -> str:
    """sha256 over the contents of files, each by its name, and over what the recipe changes about them."""
    digest = hashlib.sha256()
    for name in sorted(files):
        with files[name].open("rb") as opened:
            digest.update(f"{name}:".encode())
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    for setting in settings:
        digest.update(setting.encode())
    return digest.hexdigest()
