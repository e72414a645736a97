"""Tiny real models for tests: folders written by the very classes that write Stable Diffusion's.

`tiny_sd15` is the smallest; those of `tiny_base` have what every published checkpoint has (32 groups of normalisation,
heads of 64 channels), so that `tiny_files` can write them as single files too, which do not say such things.
"""

import json
import os
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.clip.tokenization_clip import CLIPTokenizer

# Some virtual machines announce AMX and then forbid it, which ends the process at its first bfloat16 product. oneDNN
# reads this at that product, so it is in time here.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

WIDTH = 16


def byte_letters() -> list[str]:
    """The 256 printable letters that stand for bytes in a CLIP vocabulary (the bytes_to_unicode of GPT-2)."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in kept] + [chr(256 + n) for n in range(256 - len(kept))]


def clip_tokenizer(folder: Path, pad: str = "<|endoftext|>") -> CLIPTokenizer:
    """A byte-level BPE of its own with a few merges, in `folder` as vocab.json and merges.txt."""
    letters = byte_letters()
    merges = [("b", "l"), ("bl", "u"), ("blu", "e</w>"), ("e", "a"), ("ea", "r"), ("f", "o"), ("fo", "x</w>")]
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    limits = {"model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "do_lower_case": True, "errors": "replace"}
    special = {"bos_token": words[-2], "eos_token": words[-1], "unk_token": words[-1], "pad_token": pad}
    if pad != words[-1]:  # as newer versions of transformers wrote those of Stable Diffusion 2.x and XL
        flags = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
        special |= {"added_tokens_decoder": {f"{words.index(pad)}": {"content": pad, "special": True, **flags}}}
    (folder / "tokenizer_config.json").write_text(json.dumps({**limits, **special}))
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def tiny_unet() -> UNet2DConditionModel:
    """A denoiser with attention where Stable Diffusion 1.x has it: at every level but the lowest."""
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,
        norm_num_groups=8,
    )


def tiny_vae() -> AutoencoderKL:
    """An autoencoder of 4 px per latent."""
    kind: Any = AutoencoderKL  # its own annotations ask for one level
    return kind(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 16),
        norm_num_groups=8,
        latent_channels=4,
        sample_size=32,
        scaling_factor=0.5,
        mid_block_add_attention=False,
    )


def tiny_text_encoder(words: int) -> CLIPTextModel:
    """A CLIP text encoder of two layers."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=words - 2,
            eos_token_id=words - 1,
            pad_token_id=words - 1,
        )
    )


def tiny_sd15(folder: Path, *, prediction: Literal["epsilon", "v_prediction"] = "epsilon", seed: int = 0) -> Path:
    """A whole SD 1.x pipeline folder: 32 px pictures, latents 4 x 8 x 8; the same every time."""
    parts = {name: ["diffusers", kind] for name, kind in (("unet", "UNet2DConditionModel"), ("vae", "AutoencoderKL"))}
    parts |= {"scheduler": ["diffusers", "PNDMScheduler"]}
    parts |= {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    empty = {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = clip_tokenizer(folder / "tokenizer")
        tiny_unet().save_pretrained(folder / "unet")
        tiny_vae().save_pretrained(folder / "vae")
        tiny_text_encoder(len(tokenizer)).save_pretrained(folder / "text_encoder")
    scheduler = PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction,
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.save_pretrained(folder / "scheduler")
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.35.0", **parts, **empty}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


Prediction = Literal["epsilon", "v_prediction"]

UNETS: dict[str, dict[str, Any]] = {
    "sd15": {
        "block_out_channels": (32, 32, 64),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 64,
        "attention_head_dim": 8,
    },
    "sd2": {
        "block_out_channels": (64, 64, 64),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 128,
        "attention_head_dim": (1, 1, 1),
        "use_linear_projection": True,
    },
    "sdxl": {
        "block_out_channels": (32, 64, 128),
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 1, 2),
        "cross_attention_dim": 64 + 128,
        "attention_head_dim": (0, 1, 2),  # the first level has no attention
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 6 * 256 + 96,
    },
}
"""As the published UNets of each family, at a tenth of their width."""

TEXTS: dict[str, list[tuple[str, str, int, str, int]]] = {
    "sd15": [("text_encoder", "tokenizer", 64, "quick_gelu", 0)],
    "sd2": [("text_encoder", "tokenizer", 128, "gelu", 0)],
    "sdxl": [("text_encoder", "tokenizer", 64, "quick_gelu", 0), ("text_encoder_2", "tokenizer_2", 128, "gelu", 96)],
}
"""Folder, tokenizer, width, activation and width of the projection (0: none) of each text encoder."""


def tiny_base(
    folder: Path,
    family: str = "sdxl",
    *,
    prediction: Prediction = "epsilon",
    zero_terminal: bool = False,
    seed: int = 0,
) -> Path:
    """A whole pipeline folder of a family: 32 px pictures, latents 4 x 8 x 8; the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        UNet2DConditionModel(sample_size=8, **UNETS[family]).save_pretrained(folder / "unet")
        deep_vae(0.13025 if family == "sdxl" else 0.18215).save_pretrained(folder / "vae")
        for name, vocabulary, width, activation, projection in TEXTS[family]:
            words = len(clip_tokenizer(folder / vocabulary, pad="!" if activation == "gelu" else "<|endoftext|>"))
            deep_text_encoder(words, width, activation, projection).save_pretrained(folder / name)
    scheduler = {"_class_name": "DDIMScheduler", "prediction_type": prediction, **SCHEDULER}
    scheduler |= {"rescale_betas_zero_snr": True} if zero_terminal else {}
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (folder / "model_index.json").write_text(json.dumps(pipeline_index(family)))
    return folder


SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


def pipeline_index(family: str) -> dict[str, Any]:
    """The model_index.json of a family."""
    index: dict[str, Any] = {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    index |= {"scheduler": ["diffusers", "DDIMScheduler"], "feature_extractor": [None, None]}
    for name, vocabulary, _, _, projection in TEXTS[family]:
        index[name] = ["transformers", "CLIPTextModelWithProjection" if projection else "CLIPTextModel"]
        index[vocabulary] = ["transformers", "CLIPTokenizer"]
    if family == "sdxl":
        own = {"_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True}
    else:
        own = {
            "_class_name": "StableDiffusionPipeline",
            "safety_checker": [None, None],
            "requires_safety_checker": False,
        }
    return {**own, "_diffusers_version": "0.35.0", **index}


def deep_vae(scaling: float) -> AutoencoderKL:
    """An autoencoder of 4 px per latent with all that Stable Diffusion's has, attention in the middle too."""
    kind: Any = AutoencoderKL
    return kind(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 32, 64),
        layers_per_block=2,
        latent_channels=4,
        sample_size=32,
        scaling_factor=scaling,
    )


def deep_text_encoder(words: int, width: int, activation: str, projection: int) -> CLIPTextModel:
    """A CLIP text encoder of three layers, with a projection where it has a width."""
    config = CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=projection or width,
        num_hidden_layers=3,
        num_attention_heads=width // 64,
        max_position_embeddings=77,
        hidden_act=activation,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=0 if activation == "gelu" else words - 1,
    )
    kind: Any = CLIPTextModelWithProjection if projection else CLIPTextModel
    return kind(config)
