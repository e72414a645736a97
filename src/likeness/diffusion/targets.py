"""The layers of a base that an adapter may stand beside, by the names that other tools give them in a file.

The names stand in files that people keep, so they are spelled out in `likeness.diffusion.layers`, where libraries' own
names have moved: transformers 5.6 dropped `text_model` from the path of every layer of one encoder, and not of another.
"""

from typing import Any

from torch import nn

from likeness.diffusion.layers import TEXT_PARTS, file_name
from likeness.diffusion.plans import plan_in_config

__all__ = ["text_targets", "unet_targets"]

PARTS = (".attentions.", ".resnets.", ".downsamplers.", ".upsamplers.")


def unet_targets(unet: nn.Module) -> dict[str, nn.Module]:
    """Attention, feed-forward, projection and residual layers of a UNet, as kohya-ss names them."""
    told: Any = unet
    plan = plan_in_config(told.config)
    return {
        file_name(path, plan): module
        for path, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d) and any(part in path for part in PARTS)
    }


def text_targets(encoder: nn.Module, prefix: str) -> dict[str, nn.Module]:
    """Attention and feed-forward layers of a CLIP text encoder, whatever transformers calls them.

    Args:
        encoder: of transformers.
        prefix: "lora_te" of the only encoder, "lora_te1" and "lora_te2" of SDXL's two.
    """
    nested = "text_model.encoder.layers" in dict(encoder.named_modules())
    layers = encoder.get_submodule("text_model.encoder.layers" if nested else "encoder.layers")
    return {
        f"{prefix}_text_model_encoder_layers_{index}_{part.replace('.', '_')}": layer.get_submodule(part)
        for index, layer in layers.named_children()
        for part in TEXT_PARTS
    }
