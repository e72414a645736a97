"""What a UNet is built of, read off its configuration or off the names and shapes in a file, and written as one.

A single file says nothing of itself but its tensors; what they leave open (heads, groups of normalisation) is a
constant of its family.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likeness.diffusion.layers import Shape, UNetPlan, sgm_path, unet_layers
from likeness.errors import CheckpointError

__all__ = ["TIME_CHANNELS", "plan_in_config", "plan_in_file", "unet_config"]

TIME_CHANNELS = 256
"""Of each of the six numbers that SDXL is told of sizes."""


def plan_in_config(config: Mapping[str, Any]) -> UNetPlan:
    """The plan of the UNet that a unet/config.json of diffusers describes."""
    widths = tuple(config["block_out_channels"])
    told = config.get("transformer_layers_per_block", 1)
    every = (told,) * len(widths) if isinstance(told, int) else tuple(told)
    depths = tuple(
        depth if kind.startswith("CrossAttn") else 0
        for depth, kind in zip(every, config["down_block_types"], strict=True)
    )
    has_sizes = config.get("addition_embed_type") == "text_time"
    return UNetPlan(
        widths,
        depths,
        every[-1],
        context=config["cross_attention_dim"],
        linear=bool(config.get("use_linear_projection")),
        pooled=config["projection_class_embeddings_input_dim"] if has_sizes else 0,
        resnets=config["layers_per_block"],
        channels=config["in_channels"],
        notation="sgm" if has_sizes else "diffusers",
    )


def plan_in_file(path: Path, shapes: Mapping[str, Shape]) -> UNetPlan:
    """The plan of the UNet whose tensors have these shapes, by Stability's own names: "input_blocks.0.0.weight".

    Raises:
        CheckpointError: for a UNet that is not built as the published ones are, such as a pruned one.
    """
    inputs = {int(name.split(".")[1]) for name in shapes if name.startswith("input_blocks.")}
    ends = sorted(place for place in inputs if f"input_blocks.{place}.0.op.weight" in shapes)
    step = ends[0] if ends else max(inputs, default=0) + 1
    firsts = [1 + step * level for level in range(len(ends) + 1)]
    depths = tuple(_depth(shapes, f"input_blocks.{place}.1.") for place in firsts)
    attention = next((f"input_blocks.{at}.1." for at, depth in zip(firsts, depths, strict=True) if depth), "")
    pooled = shapes["label_emb.0.0.weight"][1] if "label_emb.0.0.weight" in shapes else 0
    try:
        plan = UNetPlan(
            tuple(shapes[f"input_blocks.{place}.0.out_layers.3.weight"][0] for place in firsts),
            depths,
            _depth(shapes, "middle_block.1."),
            context=shapes[f"{attention}transformer_blocks.0.attn2.to_k.weight"][1],
            linear=len(shapes[f"{attention}proj_in.weight"]) == 2,
            pooled=pooled,
            resnets=step - 1,
            channels=shapes["input_blocks.0.0.weight"][1],
            notation="sgm" if pooled else "diffusers",
        )
    except KeyError as missing:
        raise CheckpointError(f"{path} has no UNet that is known: it lacks {missing}.") from missing
    _check(path, plan, shapes)
    return plan


def _depth(shapes: Mapping[str, Shape], attention: str) -> int:
    """How many transformer blocks an attention has."""
    inside = f"{attention}transformer_blocks."
    return len({name.removeprefix(inside).split(".")[0] for name in shapes if name.startswith(inside)})


def _check(path: Path, plan: UNetPlan, shapes: Mapping[str, Shape]) -> None:
    for layer, shape in unet_layers(plan).items():
        name = f"{sgm_path(layer, plan)}.weight"
        if shapes.get(name) != shape:
            seen = shapes.get(name, "not there")
            raise CheckpointError(
                f"{path} has no UNet that is known: {name} is {seen}, where {shape} belongs. Pruned and rebuilt UNets "
                "(SSD-1B, Segmind Vega) are not read."
            )


def unet_config(plan: UNetPlan, *, heads: int, side: int) -> dict[str, Any]:
    """The configuration of diffusers for a UNet.

    Args:
        plan: of the UNet.
        heads: of every attention; 0 for one to every 64 channels.
        side: of the latents it was made for.
    """
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in plan.depths]
    config: dict[str, Any] = {
        "sample_size": side,
        "in_channels": plan.channels,
        "out_channels": plan.channels,
        "block_out_channels": plan.widths,
        "layers_per_block": plan.resnets,
        "down_block_types": down,
        "up_block_types": [kind.replace("Down", "Up") for kind in down[::-1]],
        "transformer_layers_per_block": [max(depth, 1) for depth in plan.depths[:-1]] + [plan.middle],
        "cross_attention_dim": plan.context,
        # Under this name diffusers keeps the number of heads, and not their width.
        "attention_head_dim": heads or [width // 64 for width in plan.widths],
        "use_linear_projection": plan.linear,
    }
    if plan.pooled:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": TIME_CHANNELS,
            "projection_class_embeddings_input_dim": plan.pooled,
        }
    return config
