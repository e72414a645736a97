"""The layers of each family under the names that adapter files give them, worked out without a model.

A layer has two names: its path in diffusers' UNet ("up_blocks.1.attentions.0.proj_in") and its name in a file, which
kohya-ss builds from that path for Stable Diffusion 1.x and 2.x, and from the path in Stability's own UNet
("output_blocks.3.1.proj_in") for SDXL. Both are written out here, because files are kept for longer than libraries keep
their names.

Shapes: O out, I in, k kernel.
Sources: kohya-ss/sd-scripts `networks/lora.py`; Stability-AI/generative-models `openaimodel.py` for SDXL's own paths.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["PLANS", "Notation", "Shape", "UNetPlan", "file_name", "sgm_path", "text_layers", "unet_layers"]

Shape = tuple[int, ...]
"""Of a layer's weights: (O, I) of a Linear, (O, I, k, k) of a convolution."""

Notation = Literal["diffusers", "sgm"]
"""Whose paths the names in a file are built from."""

TEXT_PARTS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
"""The layers of one block of a CLIP text encoder, by their path in every version of transformers."""


@dataclass(frozen=True, slots=True)
class UNetPlan:
    """What a UNet of the Stable Diffusion kind is built of; all else follows.

    Attributes:
        widths: channels at each level, the highest resolution first.
        depths: transformer blocks in each attention at each level; 0 where a level has none.
        middle: transformer blocks in the middle; 0 where it has no attention.
        context: width of the vectors that text is told in.
        linear: whether the projections around transformer blocks are Linear, and not convolutions of one pixel.
        pooled: width of the vector that tells of the whole prompt and of sizes; 0 where the family has none.
        resnets: residual blocks in each level on the way down; on the way up there is one more.
        channels: of a latent.
        notation: whose paths files name its layers by.
    """

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    middle: int
    context: int
    linear: bool
    pooled: int = 0
    resnets: int = 2
    channels: int = 4
    notation: Notation = "diffusers"


PLANS: Mapping[str, UNetPlan] = {
    "sd15": UNetPlan((320, 640, 1280, 1280), (1, 1, 1, 0), 1, context=768, linear=False),
    "sd2": UNetPlan((320, 640, 1280, 1280), (1, 1, 1, 0), 1, context=1024, linear=True),
    "sdxl": UNetPlan((320, 640, 1280), (0, 2, 10), 10, context=2048, linear=True, pooled=2816, notation="sgm"),
}
"""The published UNet of each family, by the family's name."""


def unet_layers(plan: UNetPlan) -> dict[str, Shape]:
    """The shape of every layer that an adapter may stand beside, by its path in diffusers' UNet, from the input on."""
    return dict([*_entrance(plan), *_down(plan), *_middle(plan), *_up(plan), *_exit(plan)])


def _entrance(plan: UNetPlan) -> Iterator[tuple[str, Shape]]:
    first = plan.widths[0]
    yield "conv_in", (first, plan.channels, 3, 3)
    for name, told in (("time_embedding", first), ("add_embedding", plan.pooled)):
        if told:
            yield f"{name}.linear_1", (4 * first, told)
            yield f"{name}.linear_2", (4 * first, 4 * first)


def _exit(plan: UNetPlan) -> Iterator[tuple[str, Shape]]:
    yield "conv_out", (plan.channels, plan.widths[0], 3, 3)


def _down(plan: UNetPlan) -> Iterator[tuple[str, Shape]]:
    entering = plan.widths[0]
    for level, (width, depth) in enumerate(zip(plan.widths, plan.depths, strict=True)):
        block = f"down_blocks.{level}"
        if depth:
            for index in range(plan.resnets):
                yield from _attention(f"{block}.attentions.{index}", width, depth, plan)
        for index in range(plan.resnets):
            yield from _resnet(f"{block}.resnets.{index}", entering, width, plan)
            entering = width
        if level < len(plan.widths) - 1:
            yield f"{block}.downsamplers.0.conv", (width, width, 3, 3)


def _middle(plan: UNetPlan) -> Iterator[tuple[str, Shape]]:
    width = plan.widths[-1]
    if plan.middle:
        yield from _attention("mid_block.attentions.0", width, plan.middle, plan)
    for index in (0, 1) if plan.middle else (0,):
        yield from _resnet(f"mid_block.resnets.{index}", width, width, plan)


def _up(plan: UNetPlan) -> Iterator[tuple[str, Shape]]:
    entering, skipped = plan.widths[-1], _skips(plan)
    for level, (width, depth) in enumerate(zip(plan.widths[::-1], plan.depths[::-1], strict=True)):
        block = f"up_blocks.{level}"
        if depth:
            for index in range(plan.resnets + 1):
                yield from _attention(f"{block}.attentions.{index}", width, depth, plan)
        for index in range(plan.resnets + 1):
            yield from _resnet(f"{block}.resnets.{index}", entering + skipped.pop(), width, plan)
            entering = width
        if level < len(plan.widths) - 1:
            yield f"{block}.upsamplers.0.conv", (width, width, 3, 3)


def _skips(plan: UNetPlan) -> list[int]:
    """Channels of what is handed from the way down to the way up, in the order in which it is made."""
    made = [plan.widths[0]]
    for level, width in enumerate(plan.widths):
        made += [width] * (plan.resnets + (level < len(plan.widths) - 1))
    return made


def _attention(path: str, width: int, depth: int, plan: UNetPlan) -> Iterator[tuple[str, Shape]]:
    pixel = () if plan.linear else (1, 1)
    yield f"{path}.proj_in", (width, width, *pixel)
    for index in range(depth):
        block = f"{path}.transformer_blocks.{index}"
        for attention, told in (("attn1", width), ("attn2", plan.context)):
            yield f"{block}.{attention}.to_q", (width, width)
            yield f"{block}.{attention}.to_k", (width, told)
            yield f"{block}.{attention}.to_v", (width, told)
            yield f"{block}.{attention}.to_out.0", (width, width)
        yield f"{block}.ff.net.0.proj", (8 * width, width)  # GEGLU: half of it gates the other half
        yield f"{block}.ff.net.2", (width, 4 * width)
    yield f"{path}.proj_out", (width, width, *pixel)


def _resnet(path: str, entering: int, width: int, plan: UNetPlan) -> Iterator[tuple[str, Shape]]:
    yield f"{path}.conv1", (width, entering, 3, 3)
    yield f"{path}.time_emb_proj", (width, 4 * plan.widths[0])
    yield f"{path}.conv2", (width, width, 3, 3)
    if entering != width:
        yield f"{path}.conv_shortcut", (width, entering, 1, 1)


def text_layers(prefix: str, layers: int, width: int) -> dict[str, Shape]:
    """The shape of every layer of a CLIP text encoder, by its name in a file.

    Args:
        prefix: "lora_te" of the only encoder, "lora_te1" and "lora_te2" of SDXL's two.
        layers: of the encoder.
        width: of its vectors.
    """
    shapes = {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    return {
        f"{prefix}_text_model_encoder_layers_{index}_{part.replace('.', '_')}": shapes.get(part, (width, width))
        for index in range(layers)
        for part in TEXT_PARTS
    }


def file_name(path: str, plan: UNetPlan, notation: Notation | None = None) -> str:
    """The name in a file of the layer at a path of diffusers' UNet.

    Args:
        path: as `unet_layers` has it.
        plan: of the UNet.
        notation: whose paths the name is built from; by default those that the family's files have.
    """
    told = sgm_path(path, plan) if (notation or plan.notation) == "sgm" else path
    return "lora_unet_" + told.replace(".", "_")


ENDS_IN_SGM = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
"""Stability's paths of the layers that are in no block, by diffusers'."""

RESIDUALS_IN_SGM = {
    "conv1": "in_layers.2",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
"""Stability's paths of the layers in a residual block, by diffusers'."""


def sgm_path(path: str, plan: UNetPlan) -> str:
    """The path in Stability's own UNet of the layer at a path of diffusers' UNet.

    There, every level on the way down takes `resnets + 1` places of `input_blocks`, after the first, and every level on
    the way up as many of `output_blocks`; a residual block is the first in its place, an attention the second, and what
    enlarges the picture the last.
    """
    if path in ENDS_IN_SGM:
        return ENDS_IN_SGM[path]
    block, rest = path.split(".", 1)
    if block == "mid_block":
        kind, index, inner = rest.split(".", 2)
        return f"middle_block.1.{inner}" if kind == "attentions" else f"middle_block.{2 * int(index)}.{_inside(inner)}"
    level, kind, index, inner = rest.split(".", 3)
    step, place = plan.resnets + 1, int(index)
    if kind == "resnets":
        inner = f"0.{_inside(inner)}"
    elif kind == "attentions":
        inner = f"1.{inner}"
    if block == "down_blocks":
        place, inner = (step, "0.op") if kind == "downsamplers" else (1 + place, inner)
        return f"input_blocks.{step * int(level) + place}.{inner}"
    if kind == "upsamplers":
        place, inner = plan.resnets, f"{2 if plan.depths[::-1][int(level)] else 1}.{inner}"
    return f"output_blocks.{step * int(level) + place}.{inner}"


def _inside(residual: str) -> str:
    """A layer of a residual block, under Stability's name for it."""
    return RESIDUALS_IN_SGM[residual]
