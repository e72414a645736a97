"""The layers of each family: as many, as wide and so named as in the published models and in other tools' files."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from likeness.diffusion.layers import PLANS, file_name, text_layers, unet_layers

CROSS, PLAIN = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")

PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "sd15": {
        "block_out_channels": (320, 640, 1280, 1280),
        "down_block_types": (CROSS[0],) * 3 + PLAIN[:1],
        "up_block_types": PLAIN[1:] + (CROSS[1],) * 3,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "sd2": {
        "block_out_channels": (320, 640, 1280, 1280),
        "down_block_types": (CROSS[0],) * 3 + PLAIN[:1],
        "up_block_types": PLAIN[1:] + (CROSS[1],) * 3,
        "cross_attention_dim": 1024,
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
    },
    "sdxl": {
        "block_out_channels": (320, 640, 1280),
        "down_block_types": PLAIN[:1] + (CROSS[0],) * 2,
        "up_block_types": (CROSS[1],) * 2 + PLAIN[1:],
        "transformer_layers_per_block": (1, 2, 10),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
"""The unet/config.json of runwayml/stable-diffusion-v1-5, stabilityai/stable-diffusion-2-1 and
stabilityai/stable-diffusion-xl-base-1.0, where they differ from diffusers' defaults."""

KOHYA = ("*_attentions_*", "*_input_blocks_*_1_*", "*_middle_block_1_*", "*_output_blocks_*_1_*")
"""What kohya-ss adapts of a UNet where nothing else is said: all that is in a Transformer2DModel."""


def names(family: str, *patterns: str) -> list[str]:
    every = [file_name(path, PLANS[family]) for path in unet_layers(PLANS[family])]
    return [name for name in every if any(fnmatchcase(name, pattern) for pattern in patterns)]


@pytest.mark.parametrize("family", PLANS)
def test_the_published_models_have_just_these_layers_in_these_shapes(family: str):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**PUBLISHED[family])
    theirs = {
        path: tuple(module.weight.shape)
        for path, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
    assert unet_layers(PLANS[family]) == theirs


@pytest.mark.parametrize(
    ("family", "patterns", "count"),
    [
        ("sd15", KOHYA, 192),
        ("sd2", KOHYA, 192),
        ("sdxl", KOHYA, 722),
        ("sdxl", ("*_attn[12]_to_*",), 560),
        ("sdxl", ("*_output_blocks_*_attn[12]_to_*",), 288),
        ("sdxl", ("*_proj_in", "*_proj_out"), 22),
        ("sdxl", ("*_ff_net_*",), 140),
    ],
)
def test_there_are_as_many_as_kohya_ss_adapts(family: str, patterns: tuple[str, ...], count: int):
    # An upsampler of SDXL stands third in its place, and that of a level without attention second.
    assert len([name for name in names(family, *patterns) if not name.endswith("_1_conv")]) == count


@pytest.mark.versions
@pytest.mark.parametrize(("family", "layers", "width", "count"), [("sd15", 12, 768, 72), ("sd2", 23, 1024, 138)])
def test_a_text_encoder_has_six_layers_to_a_block(family: str, layers: int, width: int, count: int):
    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 64
    )
    with torch.device("meta"):
        encoder = CLIPTextModel(config)
    theirs = {
        "lora_te_text_model_" + path.removeprefix("text_model.").replace(".", "_"): tuple(module.weight.shape)
        for path, module in encoder.named_modules()
        if isinstance(module, nn.Linear)
    }
    assert len(theirs) == count
    assert text_layers("lora_te", layers, width) == theirs


def test_sdxl_s_two_text_encoders_have_264_layers():
    both = {**text_layers("lora_te1", 12, 768), **text_layers("lora_te2", 32, 1280)}
    assert len(both) == 264
    assert both["lora_te2_text_model_encoder_layers_31_mlp_fc1"] == (5120, 1280)


@pytest.mark.parametrize(
    ("family", "name", "shape"),
    [
        ("sd15", "lora_unet_up_blocks_1_attentions_0_proj_in", (1280, 1280, 1, 1)),
        ("sd15", "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", (1280, 768)),
        ("sdxl", "lora_unet_output_blocks_0_1_transformer_blocks_9_attn2_to_k", (1280, 2048)),
        ("sdxl", "lora_unet_output_blocks_3_1_transformer_blocks_1_attn1_to_out_0", (640, 640)),
        ("sdxl", "lora_unet_middle_block_1_transformer_blocks_0_ff_net_0_proj", (10240, 1280)),
        ("sdxl", "lora_unet_input_blocks_3_0_op", (320, 320, 3, 3)),
        ("sdxl", "lora_unet_output_blocks_5_2_conv", (640, 640, 3, 3)),
        ("sdxl", "lora_unet_middle_block_2_in_layers_2", (1280, 1280, 3, 3)),
        ("sdxl", "lora_unet_label_emb_0_0", (1280, 2816)),
        ("sdxl", "lora_unet_out_2", (4, 320, 3, 3)),
    ],
)
def test_layers_are_named_as_in_files_of_kohya_ss(family: str, name: str, shape: tuple[int, ...]):
    plan = PLANS[family]
    assert {file_name(path, plan): size for path, size in unet_layers(plan).items()}[name] == shape


@pytest.mark.parametrize("family", PLANS)
def test_no_two_layers_share_a_name(family: str):
    assert len(set(names(family, "*"))) == len(unet_layers(PLANS[family]))


@pytest.mark.parity
@pytest.mark.versions
def test_diffusers_finds_the_attention_of_sdxl_by_these_names():
    plan = PLANS["sdxl"]
    paths = [path for path in unet_layers(plan) if ".attentions." in path]
    files = {
        f"{file_name(path, plan)}.{part}": torch.zeros(1)
        for path in paths
        for part in ("lora_down.weight", "lora_up.weight", "alpha")
    }
    config = type("Config", (), {"layers_per_block": 2})()
    theirs, _ = _convert_non_diffusers_lora_to_diffusers(_maybe_map_sgm_blocks_to_diffusers(files, config))
    downs = [name.removesuffix(".down.weight").removesuffix(".lora") for name in theirs if ".down." in name]
    found = {re.sub(r"\.processor\.(to_\w+)_lora", r".\1", name).replace("to_out", "to_out.0") for name in downs}
    assert {name.replace("to_out.0.0", "to_out.0") for name in found} == {f"unet.{path}" for path in paths}
