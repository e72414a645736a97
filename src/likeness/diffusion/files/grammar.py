"""The layers of Stable Diffusion in any tool's name for them: by whose path, and by dots or by underscores.

Sources: diffusers `unet_2d_condition.py`; Stability-AI/generative-models `openaimodel.py`; transformers
`modeling_clip.py`.
"""

import re

from likeness.diffusion.layers import ENDS_IN_SGM, RESIDUALS_IN_SGM

__all__ = ["path_in_text", "path_in_unet"]

LEAVES = {
    leaf.replace(".", "_"): leaf
    for leaf in (
        *(f"{attention}.{end}" for attention in ("attn1", "attn2") for end in ("to_q", "to_k", "to_v", "to_out.0")),
        *("ff.net.0.proj", "ff.net.2"),
    )
}
"""The layers of a transformer block."""

RESIDUALS = {theirs.replace(".", "_"): ours for ours, theirs in RESIDUALS_IN_SGM.items()}
"""The layers of a residual block, in Stability's names and in diffusers'."""

ENDS = {
    **{ours.replace(".", "_"): (ours, "diffusers") for ours in ENDS_IN_SGM},
    **{theirs.replace(".", "_"): (ours, "sgm") for ours, theirs in ENDS_IN_SGM.items()},
}
"""The layers that are in no block: path, and whose name it is."""


def path_in_unet(name: str, *, step: int = 3) -> tuple[str, str] | None:
    """Path in diffusers' UNet, and notation, of a layer that is named by dots or underscores; None for no such layer.

    Args:
        name: of the layer, without prefix and ending.
        step: places that a level takes in Stability's UNet: one for each residual block, and one for what resizes. All
            that was published has three.
    """
    flat = name.replace(".", "_")
    old = flat.replace("_processor_", "_")
    if match := re.fullmatch(r"(.+_attn[12]_to_out)", old):
        old = f"{match[1]}_0"
    if flat in ENDS:
        return ENDS[flat]
    if match := re.fullmatch(r"((?:down|up)_blocks)_(\d+)_(.+)", old):
        inner = _in_diffusers_block(match[3])
        return (f"{match[1]}.{match[2]}.{inner}", _notation(flat, old)) if inner else None
    if match := re.fullmatch(r"mid_block_(.+)", old):
        inner = _in_diffusers_block(match[1])
        return (f"mid_block.{inner}", _notation(flat, old)) if inner else None
    path = _path_of_sgm(flat, step)
    return (path, "sgm") if path else None


def _notation(flat: str, old: str) -> str:
    return "diffusers" if flat == old else "processor"


def _in_diffusers_block(name: str) -> str | None:
    if match := re.fullmatch(r"(downsamplers|upsamplers)_0_conv", name):
        return f"{match[1]}.0.conv"
    if match := re.fullmatch(r"attentions_(\d+)_(.+)", name):
        inner = _in_attention(match[2])
        return f"attentions.{match[1]}.{inner}" if inner else None
    match = re.fullmatch(r"resnets_(\d+)_(.+)", name)
    return f"resnets.{match[1]}.{match[2]}" if match and match[2] in RESIDUALS.values() else None


def _in_attention(name: str) -> str | None:
    if name in ("proj_in", "proj_out"):
        return name
    match = re.fullmatch(r"transformer_blocks_(\d+)_(.+)", name)
    return f"transformer_blocks.{match[1]}.{LEAVES[match[2]]}" if match and match[2] in LEAVES else None


def _path_of_sgm(name: str, step: int) -> str | None:
    """The path of a layer of Stability's UNet."""
    if match := re.fullmatch(r"middle_block_([012])_(.+)", name):
        place = "attentions.0" if match[1] == "1" else f"resnets.{int(match[1]) // 2}"
        inner = _in_attention(match[2]) if match[1] == "1" else RESIDUALS.get(match[2])
        return f"mid_block.{place}.{inner}" if inner else None
    match = re.fullmatch(r"(in|out)put_blocks_(\d+)_([012])_(.+)", name)
    if not match:
        return None
    is_down, number, inner = match[1] == "in", int(match[2]) - (match[1] == "in"), match[4]
    block = f"{'down' if is_down else 'up'}_blocks.{number // step}"
    if inner == "op" and is_down:
        return f"{block}.downsamplers.0.conv"
    if inner == "conv" and not is_down and match[3] != "0":
        return f"{block}.upsamplers.0.conv"
    if match[3] == "0":
        return f"{block}.resnets.{number % step}.{RESIDUALS[inner]}" if inner in RESIDUALS else None
    inside = _in_attention(inner) if match[3] == "1" else None
    return f"{block}.attentions.{number % step}.{inside}" if inside else None


def path_in_text(name: str) -> tuple[str, str] | None:
    """Path in transformers' text encoder, and notation, of a layer named by dots or underscores; None for none."""
    flat = name.replace(".", "_")
    if flat == "text_projection":
        return "text_projection", "text"
    pattern = r"(text_model_)?encoder_layers_(\d+)_(?:self_attn_(to_)?(q|k|v|out)(_proj)?|mlp_(fc[12]))"
    match = re.fullmatch(pattern, flat)
    if not match or (match[4] and bool(match[3]) == bool(match[5])):
        return None
    inner = f"mlp.{match[6]}" if match[6] else f"self_attn.{match[4]}_proj"
    notation = "old text" if match[3] else "text" if match[1] else "flat text"
    return f"text_model.encoder.layers.{match[2]}.{inner}", notation
