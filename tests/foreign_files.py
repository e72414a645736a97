"""Adapter files as other tools write them: the same few layers under each tool's names.

The names are written out here, by hand or by rules of their own, and not by the package's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Layer:
    """A plain low-rank layer: its network ("unet", "te", "te2"), its path in diffusers, and in Stability's UNet."""

    module: str
    path: str
    sgm: str
    down: Tensor
    up: Tensor
    alpha: float

    @property
    def change(self) -> Tensor:
        """The change of the base's weights."""
        scale = self.alpha / len(self.down)
        return torch.einsum("or,r...->o...", self.up.flatten(1), self.down) * scale


BLOCK = "transformer_blocks"

PLACES: dict[str, list[tuple[str, str, str, tuple[int, ...]]]] = {
    "sd15": [
        ("unet", "down_blocks.0.attentions.0.proj_in", "input_blocks.1.1.proj_in", (320, 320, 1, 1)),
        ("unet", f"mid_block.attentions.0.{BLOCK}.0.attn2.to_k", f"middle_block.1.{BLOCK}.0.attn2.to_k", (1280, 768)),
        (
            "unet",
            f"up_blocks.1.attentions.0.{BLOCK}.0.attn1.to_out.0",
            f"output_blocks.3.1.{BLOCK}.0.attn1.to_out.0",
            (1280, 1280),
        ),
        (
            "unet",
            f"up_blocks.3.attentions.2.{BLOCK}.0.ff.net.0.proj",
            f"output_blocks.11.1.{BLOCK}.0.ff.net.0.proj",
            (2560, 320),
        ),
        ("unet", "down_blocks.0.resnets.1.conv1", "input_blocks.2.0.in_layers.2", (320, 320, 3, 3)),
        ("te", "text_model.encoder.layers.3.self_attn.q_proj", "", (768, 768)),
        ("te", "text_model.encoder.layers.11.mlp.fc1", "", (3072, 768)),
    ],
    "sdxl": [
        ("unet", "down_blocks.1.attentions.0.proj_in", "input_blocks.4.1.proj_in", (640, 640)),
        (
            "unet",
            f"up_blocks.0.attentions.0.{BLOCK}.9.attn2.to_k",
            f"output_blocks.0.1.{BLOCK}.9.attn2.to_k",
            (1280, 2048),
        ),
        (
            "unet",
            f"mid_block.attentions.0.{BLOCK}.0.attn1.to_out.0",
            f"middle_block.1.{BLOCK}.0.attn1.to_out.0",
            (1280, 1280),
        ),
        ("unet", "down_blocks.0.downsamplers.0.conv", "input_blocks.3.0.op", (320, 320, 3, 3)),
        ("unet", "up_blocks.1.resnets.2.conv_shortcut", "output_blocks.5.0.skip_connection", (640, 960, 1, 1)),
        ("te", "text_model.encoder.layers.3.self_attn.q_proj", "", (768, 768)),
        ("te2", "text_model.encoder.layers.31.mlp.fc2", "", (1280, 5120)),
    ],
}
"""Layers of the published bases: network, diffusers' path, Stability's path, shape of the weights."""


def layers(family: str, *, alpha: float = 1.0, rank: int = 2, dtype: torch.dtype = torch.float32) -> list[Layer]:
    """Low-rank layers of a family, their weights as if trained; the same every time."""
    generator = torch.Generator().manual_seed(11)
    made = []
    for module, path, sgm, (out, *entering) in PLACES[family]:
        down = torch.randn(rank, *entering, generator=generator).to(dtype)
        up = torch.randn(out, rank, *(1,) * (len(entering) - 1), generator=generator).to(dtype)
        made.append(Layer(module, path, sgm, down, up, alpha))
    return made


def flat(path: str) -> str:
    """A path with underscores."""
    return path.replace(".", "_")


def kohya_name(layer: Layer, family: str, *, sgm: bool) -> str:
    """The layer as kohya-ss names it."""
    if layer.module == "unet":
        return "lora_unet_" + flat(layer.sgm if sgm else layer.path)
    prefix = {"te": "lora_te1_" if family == "sdxl" else "lora_te_", "te2": "lora_te2_"}[layer.module]
    return prefix + flat(layer.path)


def kohya(family: str, made: list[Layer], *, sgm: bool | None = None) -> Tensors:
    """kohya-ss's file, SDXL's layers by Stability's paths unless said otherwise."""
    file: Tensors = {}
    for layer in made:
        name = kohya_name(layer, family, sgm=family == "sdxl" if sgm is None else sgm)
        file |= {f"{name}.lora_down.weight": layer.down, f"{name}.lora_up.weight": layer.up}
        file[f"{name}.alpha"] = torch.tensor(layer.alpha, dtype=layer.down.dtype)
    return file


def folded(layer: Layer) -> Tensor:
    """Up weights with alpha in them."""
    return layer.up * (layer.alpha / len(layer.down))


NETWORKS = {"unet": "unet", "te": "text_encoder", "te2": "text_encoder_2"}


def diffusers_new(family: str, made: list[Layer]) -> Tensors:
    """As diffusers writes them since 0.22, and OneTrainer for it: alpha is in the up weights."""
    return {
        f"{NETWORKS[layer.module]}.{layer.path}.lora_{half}.weight": tensor
        for layer in made
        for half, tensor in (("A", layer.down), ("B", folded(layer)))
    }


def diffusers_old(family: str, made: list[Layer]) -> Tensors:
    """As diffusers wrote attention up to 0.21; of the other layers it trained none, so they are not in the file."""
    file: Tensors = {}
    for layer in made:
        parent, _, leaf = layer.path.rpartition(".")
        if ".attn" in layer.path:
            parent, leaf = layer.path.removesuffix(".0").rsplit(".", 1)
            stem = f"unet.{parent}.processor.{leaf}_lora"
        elif layer.module != "unet" and "self_attn" in layer.path:
            stem = f"{NETWORKS[layer.module]}.{parent}.to_{leaf.removesuffix('_proj')}_lora"
        elif layer.module != "unet":
            stem = f"{NETWORKS[layer.module]}.{layer.path}.lora_linear_layer"
        else:
            continue
        file |= {f"{stem}.down.weight": layer.down, f"{stem}.up.weight": folded(layer)}
    return file


def peft_bare(family: str, made: list[Layer]) -> Tensors:
    """As peft saves one network's adapter."""
    return {
        f"base_model.model.{layer.path}.lora_{half}.weight": tensor
        for layer in made
        if layer.module == "unet"
        for half, tensor in (("A", layer.down), ("B", folded(layer)))
    }


def one_trainer(family: str, made: list[Layer]) -> Tensors:
    """OneTrainer's own: kohya-ss's names, and words that were trained along."""
    return kohya(family, made) | {"bundle_emb.mira.clip_l": torch.zeros(2, 768)}


def simple_tuner(family: str, made: list[Layer]) -> Tensors:
    """SimpleTuner's "comfyui": diffusers' paths, alphas in float32."""
    file = kohya(family, made, sgm=False)
    return {name: tensor.float() if name.endswith("alpha") else tensor for name, tensor in file.items()}


def from_diffusers_to_kohya(family: str, made: list[Layer]) -> Tensors:
    """diffusers' `convert_state_dict_to_kohya`: a first text encoder is te1 in every family, alphas are whole."""
    file = {}
    for layer in made:
        name = kohya_name(layer, "sdxl", sgm=False)
        file |= {f"{name}.lora_down.weight": layer.down, f"{name}.lora_up.weight": folded(layer)}
        file[f"{name}.alpha"] = torch.tensor(len(layer.down))
    return file


def compvis(family: str, made: list[Layer]) -> Tensors:
    """By Stability's paths, whatever the family."""
    return kohya(family, made, sgm=True)


def generic(family: str, made: list[Layer]) -> Tensors:
    """ComfyUI's own: dotted, by Stability's paths."""
    file: Tensors = {}
    for layer in made:
        if layer.module == "unet":
            stem = f"diffusion_model.{layer.sgm}"
            file |= {f"{stem}.lora_A.weight": layer.down, f"{stem}.lora_B.weight": folded(layer)}
    return file


NAMINGS: Mapping[str, Callable[[str, list[Layer]], Any]] = {
    "kohya": kohya,
    "kohya by diffusers' paths": simple_tuner,
    "kohya by Stability's paths": compvis,
    "diffusers": diffusers_new,
    "diffusers before 0.22": diffusers_old,
    "peft": peft_bare,
    "OneTrainer": one_trainer,
    "diffusers to kohya": from_diffusers_to_kohya,
    "ComfyUI": generic,
}
"""The ways of writing a plain LoRA, by the tool that has them."""
