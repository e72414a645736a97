"""The names of tensors in adapter files, in every way of writing them that is in use: taken apart, and written anew.

A name is a prefix, a layer and a tensor of it: "lora_unet_" + "mid_block_attentions_0_proj_in" + ".lora_down.weight",
or "unet." + "mid_block.attentions.0.proj_in" + ".lora_A.weight". A layer is known by its path in diffusers' UNet, and
in transformers' text encoder as it was called up to version 5.5.

Sources of the ways of writing: kohya-ss/sd-scripts `networks/lora.py`; KohakuBlueleaf/LyCORIS; diffusers 0.42
`utils/state_dict_utils.py` for its old and new names; huggingface/peft `utils/save_and_load.py`; ostris/ai-toolkit for
"magnitude"; bghira/SimpleTuner for "lycoris_".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from likeness.diffusion.files.grammar import path_in_text, path_in_unet
from likeness.diffusion.layers import PLANS, Notation, Shape, file_name, unet_layers

__all__ = [
    "PARTS_BY_OTHERS",
    "RANKED",
    "TEXT_ENCODERS",
    "Key",
    "Module",
    "canonical_name",
    "key_of",
    "published_layers",
]

Module = Literal["unet", "te", "te1", "te2"]
"""Which network a layer is in: the denoiser, the only or first text encoder ("te" where the name does not say which),
SDXL's first, SDXL's second."""

TEXT_ENCODERS: Mapping[str, str] = {"te": "text_encoder", "te1": "text_encoder", "te2": "text_encoder_2"}
"""What diffusers calls each text encoder."""

PREFIXES: Mapping[str, Module] = {
    "lora_unet_": "unet",
    "lycoris_unet_": "unet",
    "lycoris_": "unet",
    "lora_te1_": "te1",
    "lora_te2_": "te2",
    "lora_te_": "te",
    "unet.base_model.model.": "unet",
    "unet.": "unet",
    "base_model.model.": "unet",
    "model.diffusion_model.": "unet",
    "diffusion_model.": "unet",
    "text_encoder_2.base_model.model.": "te2",
    "text_encoder_2.": "te2",
    "text_encoder.base_model.model.": "te",
    "text_encoder.": "te",
    "": "unet",
}
"""The network that each beginning of a name means; of several the longest. Bare names may be of a text encoder too."""

_HALVES = {
    "lora_down.weight": (
        ".lora_down.weight", ".lora_A.weight", ".lora_A.default.weight", ".lora_A.default_0.weight", ".lora_A",
        "_lora.down.weight", ".lora.down.weight", ".lora_linear_layer.down.weight",
    ),
    "lora_up.weight": (
        ".lora_up.weight", ".lora_B.weight", ".lora_B.default.weight", ".lora_B.default_0.weight", ".lora_B",
        "_lora.up.weight", ".lora.up.weight", ".lora_linear_layer.up.weight",
    ),
    "magnitude": (
        ".magnitude", ".lora_magnitude_vector", ".lora_magnitude_vector.weight",
        ".lora_magnitude_vector.default.weight", ".lora_magnitude_vector.default",
    ),
}  # fmt: skip

_READ = (
    "alpha", "dora_scale", "lora_mid.weight", "diff",
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
)  # fmt: skip

RANKED = ("lora_down.weight", "hada_w1_b", "lokr_w2_b", "lokr_w1_b")
"""The tensors that are as long as their layer's rank, by our names."""

PARTS_BY_OTHERS: Mapping[str, str] = {
    "diff_b": "change of biases",
    "w_norm": "change of normalisations",
    "b_norm": "change of normalisations",
    "set_weight": "replacement of weights",
    "reshape_weight": "LoRA that reshapes weights",
    "oft_blocks": "OFT",
    "oft_diag": "OFT",
    "oft_R": "OFT",
    "oft_R.weight": "OFT",
    "rescale": "OFT",
    "boft_R": "BOFT",
    "boft_s": "BOFT",
    "on_input": "IA3",
    "ia3_l": "IA3",
    "weight": "IA3",
    "a1.weight": "GLoRA",
    "a2.weight": "GLoRA",
    "b1.weight": "GLoRA",
    "b2.weight": "GLoRA",
    "scalar": "LyCORIS file with a scalar of its own",
    "bias_indices": "LoRA with sparse biases",
    "bias_values": "LoRA with sparse biases",
    "bias_size": "LoRA with sparse biases",
    "lora_B.bias": "LoRA with biases",
}
"""Tensors that are known and not read, and the method that they belong to."""

SUFFIXES: Mapping[str, str] = {
    **{suffix: part for part, suffixes in _HALVES.items() for suffix in suffixes},
    **{f".{part}": part for part in (*_READ, *PARTS_BY_OTHERS)},
}
"""Our name for the tensor that each ending of a name means; of several the longest."""


@dataclass(frozen=True, slots=True)
class Key:
    """A tensor's name, taken apart.

    Attributes:
        name: as the file has it.
        prefix: what it begins with.
        suffix: what it ends with, its dot or underscore with it.
        notation: how the layer is written between them: by diffusers' path, by Stability's ("sgm"), by diffusers' old
            path with "processor" in it; of a text encoder "text", "flat text" without "text_model", or "old text".
        module: the network that it is in.
        path: of the layer, dotted, in diffusers' UNet or transformers' text encoder.
        part: our name for the tensor.
    """

    name: str
    prefix: str
    suffix: str
    notation: str
    module: Module
    path: str
    part: str

    @property
    def stem(self) -> str:
        """The name of the layer as the file has it."""
        return self.name.removesuffix(self.suffix)


@lru_cache(maxsize=16384)
def key_of(name: str) -> Key | None:
    """A name taken apart; None for one that is in no way of writing that is known."""
    suffix = _longest(SUFFIXES, name, ends=True)
    prefix = _longest(PREFIXES, name, ends=False)
    if suffix is None or prefix is None:
        return None
    inner, module = name.removesuffix(suffix)[len(prefix) :], PREFIXES[prefix]
    if module == "unet" and (found := path_in_unet(inner)):
        path, notation = found
    elif (module != "unet" or prefix in ("", "base_model.model.")) and (found := path_in_text(inner)):
        path, notation = found
        module = "te" if module == "unet" else module
    else:
        return None
    return Key(name, prefix, suffix, notation, module, path, SUFFIXES[suffix])


def _longest(table: Iterable[str], name: str, *, ends: bool) -> str | None:
    fitting = [some for some in table if (name.endswith(some) if ends else name.startswith(some))]
    return max(fitting, key=len, default=None)


@lru_cache(maxsize=8)
def published_layers(family: str) -> Mapping[str, Shape]:
    """The shapes of the layers of the published UNet of a family, by path; nothing for ""."""
    return unet_layers(PLANS[family]) if family else {}


def canonical_name(module: Module, path: str, family: str, *, notation: Notation = "diffusers") -> str:
    """The name of a layer in our files, which is kohya-ss's.

    Args:
        module: the network.
        path: of the layer in it.
        family: of the base, or "" where it is not known; then `notation` decides on how a UNet's layer is written.
        notation: likewise.
    """
    if module == "unet":
        is_sgm = family == "sdxl" or (not family and notation == "sgm")
        if is_sgm and path in published_layers("sdxl"):
            return file_name(path, PLANS["sdxl"])
        return file_name(path, PLANS["sd15"], "diffusers")
    named = {"te": "te1"}.get(module, module) if family == "sdxl" else "te" if family else module
    return f"lora_{named}_{path.replace('.', '_')}"
