"""Trains the maquette's variational autoencoder: 64 px pictures to 4 x 16 x 16 latents.

Small random crops, many small steps: a convolutional autoencoder without attention learns as much from a crop.
"""

# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# (what diffusers and transformers say of their own types is not what they do)
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

KL_WEIGHT = 1e-8  # keeps the scale in bounds; at 1e-5 the posterior stayed a quarter as noisy as the latents
BATCH, CROP, PEAK = 16, 32, 1e-3


def build() -> AutoencoderKL:
    """About 1.1 M parameters: two halvings, no attention."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        sample_size=64,
        norm_num_groups=8,
        mid_block_add_attention=False,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        scaling_factor=1.0,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
    )


def to_tensor(pictures: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def crops(pictures: np.ndarray, generator: np.random.Generator) -> Iterator[Tensor]:
    """Endless batches of random crops, half of them mirrored, from sorted reads of the pictures on disk."""
    while True:
        some = pictures[np.sort(generator.integers(len(pictures), size=BATCH))]
        top, left = generator.integers(some.shape[1] - CROP + 1, size=2)
        some = some[:, top : top + CROP, left : left + CROP]
        yield to_tensor(some[:, :, ::-1] if generator.random() < 0.5 else some)


def loss_of(model: nn.Module, pictures_BCHW: Tensor) -> Tensor:
    """Mean squared error, a tenth of the absolute one (for edges), and the weighted divergence from a Gaussian."""
    posterior = model.encode(pictures_BCHW).latent_dist
    error = model.decode(posterior.sample()).sample.float() - pictures_BCHW
    return error.square().mean() + 0.1 * error.abs().mean() + KL_WEIGHT * posterior.kl().mean()


@torch.no_grad()
def psnr(model: AutoencoderKL, pictures: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of decoded posterior means, averaged over pictures."""
    values = []
    for start in range(0, len(pictures), 50):
        clean = to_tensor(pictures[start : start + 50]).to(model.device)
        decoded = model.decode(model.encode(clean).latent_dist.mode()).sample.clamp(-1, 1)
        error_B = ((decoded - clean) / 2).square().mean((1, 2, 3))
        values.append(-10 * torch.log10(error_B))
    return float(torch.cat(values).mean())


@torch.no_grad()
def encode(model: AutoencoderKL, pictures: np.ndarray) -> np.ndarray:
    """Posterior means, unscaled, float16 (N, 4, 16, 16)."""
    parts = []
    for start in range(0, len(pictures), 50):
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(model.encode(to_tensor(pictures[start : start + 50])).latent_dist.mode().half())
    return torch.cat(parts).numpy()


@torch.no_grad()
def decode(model: AutoencoderKL, latents: np.ndarray) -> np.ndarray:
    """Pictures of unscaled latents, uint8 (N, H, W, 3)."""
    parts = []
    for start in range(0, len(latents), 50):
        with torch.autocast("cpu", torch.bfloat16):
            pixels = model.decode(torch.from_numpy(latents[start : start + 50]).float()).sample.float()
        parts.append(((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1))
    return torch.cat(parts).numpy()
