"""A base in one .safetensors file, in Stability's own names, as nearly all checkpoints are handed around.

Configurations are worked out from the shapes of its tensors and from what its family always has; names are turned into
diffusers' by diffusers' own converters. Nothing is fetched, and only one part is in memory twice at a time.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import init_empty_weights
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from likeness.diffusion.checkpoints import Header, read_header
from likeness.diffusion.identity import latent_side
from likeness.diffusion.layers import Shape
from likeness.diffusion.parts import Layout, Networks, TextPlan
from likeness.diffusion.plans import plan_in_file, unet_config
from likeness.diffusion.statements import said_in_file, settled
from likeness.errors import CheckpointError
from likeness.recipe import BaseConfig

__all__ = ["SCHEDULER", "read_single_file", "read_vae_file"]

UNET, VAE = "model.diffusion_model.", "first_stage_model."

SCHEDULER: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
"""The schedule that every Stable Diffusion from 1.1 to XL was trained on, as their scheduler_config.json have it."""


def read_single_file(path: Path, layout: Layout, *, dtype: torch.dtype, config: BaseConfig) -> Networks:
    """The networks in one file.

    Args:
        path: the file; its kind is known.
        layout: of the family.
        dtype: of denoiser and text encoders; the VAE is float32.
        config: what the recipe says; the file's own VAE is read where it names no other.

    Raises:
        CheckpointError: where a part or a tensor is missing, or is not built as the published ones are.
        RecipeError: where the recipe contradicts the file.
    """
    header = read_header(path)
    said = said_in_file(header)
    side = latent_side(layout.family, settled(said, config)[0])
    texts = tuple(_text_encoder(path, header, text, dtype) for text in layout.texts)
    return Networks(
        unet=_unet(path, header, heads=layout.heads, side=side, dtype=dtype),
        vae=read_vae_file(path, layout.scaling) if not config.vae else None,
        text_encoders=texts,
        scheduler=SCHEDULER,
        said=said,
        files={"checkpoint": path},
    )


def _unet(path: Path, header: Header, *, heads: int, side: int, dtype: torch.dtype) -> UNet2DConditionModel:
    config = unet_config(plan_in_file(path, _shapes(header, UNET)), heads=heads, side=side)
    with init_empty_weights():
        unet = UNet2DConditionModel(**config)
    try:
        converted = convert_ldm_unet_checkpoint(_tensors(path, header, UNET), config)
    except KeyError as missing:
        raise CheckpointError(f"{path} is not a whole UNet2DConditionModel: {missing} is missing.") from missing
    return _filled(unet, converted, path, dtype)


def read_vae_file(path: Path, scaling: float) -> AutoencoderKL:
    """The VAE in a file, of its own or beside all else, float32.

    Args:
        path: the file.
        scaling: what its latents are multiplied by: 0.18215, or 0.13025 in SDXL.

    Raises:
        CheckpointError: where there is none.
    """
    header = read_header(path)
    start = VAE if any(name.startswith(VAE) for name in header.tensors) else ""
    shapes = _shapes(header, start)
    if "encoder.down.0.block.0.conv1.weight" not in shapes:
        raise CheckpointError(
            f"{path} holds no VAE in Stability's names. Name one as base.vae: a .safetensors file, or the folder vae "
            "of a diffusers checkpoint."
        )
    config = _vae_config(shapes, scaling)
    with init_empty_weights():
        vae = AutoencoderKL(**config)
    return _filled(vae, convert_ldm_vae_checkpoint(_tensors(path, header, start), config), path, torch.float32)


def _vae_config(shapes: Mapping[str, Shape], scaling: float) -> dict[str, Any]:
    levels = _count(shapes, "encoder.down.")
    widths = [shapes[f"encoder.down.{level}.block.0.conv2.weight"][0] for level in range(levels)]
    return {
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": widths,
        "layers_per_block": _count(shapes, "encoder.down.0.block."),
        "latent_channels": shapes["decoder.conv_in.weight"][1],
        "mid_block_add_attention": "encoder.mid.attn_1.q.weight" in shapes,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "scaling_factor": scaling,
    }


def _text_encoder(path: Path, header: Header, text: TextPlan, dtype: torch.dtype) -> nn.Module:
    shapes = _shapes(header, text.prefix)
    try:
        config = _text_config(shapes, text)
    except KeyError as missing:
        raise CheckpointError(f"{path} holds no whole text encoder: {text.prefix} lacks {missing}.") from missing
    with init_empty_weights():
        encoder = CLIPTextModelWithProjection(config) if text.pooled else CLIPTextModel(config)
    tensors = _tensors(path, header, text.prefix)
    if text.notation == "clip":
        named = {f"cond_stage_model.transformer.{name.removeprefix(text.prefix)}": t for name, t in tensors.items()}
        converted = convert_ldm_clip_checkpoint(named)
    else:
        converted = convert_open_clip_checkpoint(encoder, tensors, prefix=text.prefix)
    nested = "text_model." if hasattr(encoder, "text_model") else ""
    converted = {name.removeprefix("text_model."): tensor for name, tensor in converted.items()}
    placed = {name if name == "text_projection.weight" else nested + name: t for name, t in converted.items()}
    return _filled(encoder, placed, path, dtype, strict=False)


def _text_config(shapes: Mapping[str, Shape], text: TextPlan) -> CLIPTextConfig:
    """What an encoder is built of; heads have 64 channels in all that were published."""
    if text.notation == "clip":
        inside = "text_model." if any(name.startswith("text_model.") for name in shapes) else ""
        vocabulary, width = shapes[f"{inside}embeddings.token_embedding.weight"]
        layers, inner = f"{inside}encoder.layers.", "0.mlp.fc1.weight"
        longest = shapes[f"{inside}embeddings.position_embedding.weight"][0]
        projection = width
    else:
        vocabulary, width = shapes["token_embedding.weight"]
        layers, inner = "transformer.resblocks.", "0.mlp.c_fc.weight"
        longest = shapes["positional_embedding"][0]
        projection = shapes["text_projection"][1] if text.pooled else width
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=shapes[layers + inner][0],
        num_hidden_layers=min(_count(shapes, layers), text.layers),
        num_attention_heads=max(width // 64, 1),
        max_position_embeddings=longest,
        projection_dim=projection,
        hidden_act=text.activation,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=0 if text.zero else vocabulary - 1,
    )


def _shapes(header: Header, prefix: str) -> dict[str, Shape]:
    return {
        name.removeprefix(prefix): tensor.shape for name, tensor in header.tensors.items() if name.startswith(prefix)
    }


def _count(shapes: Mapping[str, Shape], start: str) -> int:
    """How many numbered parts there are behind `start`."""
    return len({name.removeprefix(start).split(".")[0] for name in shapes if name.startswith(start)})


def _tensors(path: Path, header: Header, prefix: str) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as opened:
        return {name: opened.get_tensor(name) for name in header.tensors if name.startswith(prefix)}


def _filled(module: Any, tensors: Mapping[str, Any], path: Path, dtype: torch.dtype, *, strict: bool = True) -> Any:
    """A network with these weights in place of none.

    Args:
        module: with weights that take no memory.
        tensors: by the names of its weights.
        path: they came from.
        dtype: they are to have.
        strict: whether a tensor too many is refused; text encoders come with positions and scales that nothing reads.

    Raises:
        CheckpointError: where a tensor is missing, of another shape, or too many.
    """
    own = module.state_dict()
    for name, wanted in own.items():
        seen = tensors.get(name)
        if seen is None or seen.shape != wanted.shape:
            what = "is missing" if seen is None else f"is {tuple(seen.shape)}, where {tuple(wanted.shape)} belongs"
            raise CheckpointError(f"{path} is not a whole {type(module).__name__}: {name} {what}.")
    if strict and (more := sorted(tensors.keys() - own.keys())):
        raise CheckpointError(f"{path} holds more than a {type(module).__name__}: {more[0]} is not known.")
    module.load_state_dict({name: tensors[name].to(dtype) for name in own}, strict=True, assign=True)
    return cast("Any", module)
