"""Tiny checkpoints as single files, in Stability's own names as the published ones have them.

The names are written out here, and are not the loader's: it uses diffusers' own converters.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from likeness.diffusion.layers import UNetPlan, sgm_path
from likeness.diffusion.plans import plan_in_config

TEXT_PLACES = {
    "sd15": {"text_encoder": "cond_stage_model.transformer."},
    "sd2": {"text_encoder": "cond_stage_model.model."},
    "sdxl": {
        "text_encoder": "conditioner.embedders.0.transformer.",
        "text_encoder_2": "conditioner.embedders.1.model.",
    },
}

IN_VAE = (
    (r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d+)\.resnets\.(\d+)", r"up.\1.block.\2"),
    (r"up_blocks\.(\d+)\.upsamplers\.0", r"up.\1.upsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
)
"""diffusers' names in a VAE, and Stability's (`ldm/modules/diffusionmodules/model.py`)."""

IN_OPEN_CLIP = (
    ("encoder.layers.", "transformer.resblocks."),
    ("self_attn.out_proj", "attn.out_proj"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("final_layer_norm", "ln_final"),
    ("embeddings.token_embedding", "token_embedding"),
)
"""transformers' names in a text encoder, and OpenCLIP's."""


def single_file(
    folder: Path, to: Path, family: str, *, keys: Sequence[str] = (), notes: Mapping[str, str] | None = None
) -> Path:
    """The checkpoint of a diffusers folder as one file, with further (empty) keys and notes of its own."""
    tensors = {f"model.diffusion_model.{name}": tensor for name, tensor in unet_tensors(folder / "unet").items()}
    tensors |= {f"first_stage_model.{name}": tensor for name, tensor in vae_tensors(folder / "vae").items()}
    for part, place in TEXT_PLACES[family].items():
        tensors |= {f"{place}{name}": tensor for name, tensor in text_tensors(folder / part, place).items()}
    tensors |= {key: torch.zeros(0) for key in keys}
    tensors["alphas_cumprod"] = torch.zeros(1000)  # what old training programs left in their files
    to.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, to, metadata=dict(notes or {}))
    return to


def unet_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """A UNet's tensors in Stability's names."""
    plan = plan_in_config(json.loads((folder / "config.json").read_text()))
    tensors = load_file(folder / "diffusion_pytorch_model.safetensors")
    return {in_stability(name, plan): tensor for name, tensor in tensors.items()}


def in_stability(name: str, plan: UNetPlan) -> str:
    path, _, kind = name.rpartition(".")
    if path == "conv_norm_out":
        return f"out.0.{kind}"
    if ".resnets." in path and path.endswith((".norm1", ".norm2")):
        number = path[-1]
        beside = sgm_path(f"{path[:-5]}conv{number}", plan)
        return f"{beside.rpartition('.')[0]}.0.{kind}"
    return f"{sgm_path(path, plan)}.{kind}"


def vae_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """A VAE's tensors in Stability's names; its attention is a convolution of one pixel there."""
    tensors = load_file(folder / "diffusion_pytorch_model.safetensors")
    levels = len(json.loads((folder / "config.json").read_text())["block_out_channels"])
    named: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        told = name
        for theirs, ours in IN_VAE:
            told = re.sub(theirs, ours, told)
        told = re.sub(r"(?<=\.up\.)\d+", lambda found: str(levels - 1 - int(found[0])), told)
        is_pixel = ".mid.attn_1." in told and tensor.ndim == 2
        named[told] = tensor[:, :, None, None] if is_pixel else tensor
    return named


def text_tensors(folder: Path, place: str) -> dict[str, torch.Tensor]:
    """A text encoder's tensors as its place in a single file names them."""
    tensors: dict[str, Any] = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    if place.endswith(".transformer."):
        return {f"text_model.{name}": tensor for name, tensor in bare.items()} | {
            "text_model.embeddings.position_ids": torch.arange(77)[None]
        }
    named = {"positional_embedding": bare.pop("embeddings.position_embedding.weight")}
    if "text_projection.weight" in bare:
        named["text_projection"] = bare.pop("text_projection.weight").T
    named["logit_scale"] = torch.zeros(())
    for kind in ("weight", "bias"):
        for layer in sorted({name.split(".self_attn")[0] for name in bare if f".self_attn.q_proj.{kind}" in name}):
            parts = [bare.pop(f"{layer}.self_attn.{letter}_proj.{kind}") for letter in "qkv"]
            named[f"{layer.replace('encoder.layers.', 'transformer.resblocks.')}.attn.in_proj_{kind}"] = torch.cat(
                parts
            )
    for name, tensor in bare.items():
        told = name
        for theirs, ours in IN_OPEN_CLIP:
            told = told.replace(theirs, ours)
        named[told] = tensor
    return named
