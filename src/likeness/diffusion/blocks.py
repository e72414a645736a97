"""Which layers of a base are adapted: named parts of a denoiser, and patterns over the names of its layers."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from likeness.errors import RecipeError

__all__ = ["BlockSet", "assigned", "block_sets", "select"]

ATTENTION = "_attn[12]_to_*"
TRANSFORMER = (
    f"lora_unet_*{ATTENTION}",
    "lora_unet_*_ff_net_*",
    "lora_unet_*_proj_in",
    "lora_unet_*_proj_out",
)
UPPER = (f"lora_unet_up_blocks_*{ATTENTION}", f"lora_unet_output_blocks_*{ATTENTION}")
MIDDLE = (f"lora_unet_mid_block_*{ATTENTION}", f"lora_unet_middle_block_*{ATTENTION}")
CONVOLUTIONS = (
    "lora_unet_*_resnets_*_conv*",
    "lora_unet_*_in_layers_2",
    "lora_unet_*_out_layers_3",
    "lora_unet_*_skip_connection",
)

block_sets: Mapping[str, tuple[str, ...]] = {
    "attention": (f"lora_unet_*{ATTENTION}",),
    "cross-attention": ("lora_unet_*_attn2_to_*",),
    "upper": UPPER,
    "mid-upper": (*MIDDLE, *UPPER),
    "content": (f"lora_unet_up_blocks_1_attentions_0_*{ATTENTION}", f"lora_unet_output_blocks_0_1_*{ATTENTION}"),
    "style": (f"lora_unet_up_blocks_1_attentions_1_*{ATTENTION}", f"lora_unet_output_blocks_1_1_*{ATTENTION}"),
    "attention-ff": (f"lora_unet_*{ATTENTION}", "lora_unet_*_ff_net_*"),
    "transformer": TRANSFORMER,
    "convolutions": CONVOLUTIONS,
    "all": (*TRANSFORMER, *CONVOLUTIONS),
}
"""Named parts of a denoiser, as patterns over the names of its layers, under diffusers' names and Stability's.

- attention: queries, keys, values and outputs, self and cross, everywhere. What peers train by default.
- cross-attention: those of the cross attention alone, where pictures are told of words.
- upper: attention in the upward half, the middle block not included, so that backward stops at the first up block.
- mid-upper: the same and the middle block, which decides composition.
- content: the first attention of the way up. B-LoRA found it to hold what SDXL draws; of other families it is the
  first one likewise, by analogy.
- style: the second one, which B-LoRA found to hold how SDXL draws it.
- attention-ff: attention and the feed-forward layers.
- transformer: these and the projections around them; what kohya-ss calls a LoRA.
- convolutions: those of the residual blocks; with the transformer, what is called a LoCon.
- all: transformer and convolutions.

None touches a text encoder: those have rates of their own.

Source: Frenkel et al. 2024 (B-LoRA), https://arxiv.org/abs/2403.14572, section 4, for content and style.
"""


@dataclass(frozen=True, slots=True)
class BlockSet:
    """Layers that are adapted alike.

    Attributes:
        blocks: a name in `block_sets`, or a pattern over layer names such as "lora_unet_mid_block_*".
        rank: of every layer in the set; a layer narrower than that still gets it.
        alpha: strength is alpha / rank; equal to the rank where nothing is said.
        rate: peak step size of these layers; None: that of all others.
    """

    blocks: str
    rank: int
    alpha: float | None = None
    rate: float | None = None


def select(names: Collection[str], blocks: str) -> list[str]:
    """The names of the layers in a block set, in the base's own order.

    Args:
        names: of a base's `adapter_targets()`.
        blocks: a name in `block_sets`, or a pattern over layer names ("*", "?" and "[...]" as in file names).

    Raises:
        RecipeError: for a name that is not known, or a pattern that fits no layer.
    """
    patterns = block_sets.get(blocks, (blocks,))
    chosen = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if chosen:
        return chosen
    close = difflib.get_close_matches(blocks, block_sets, n=1)
    raise RecipeError(
        f"train.blocks = {blocks!r} fits no layer of this base{f'; did you mean {close[0]!r}?' if close else '.'} "
        f"Use one of {', '.join(block_sets)}; or a pattern such as 'lora_unet_mid_block_*'."
    )


def assigned(names: Collection[str], sets: Sequence[BlockSet]) -> dict[str, BlockSet]:
    """The set of each layer that any set names, in the base's own order; of several the last decides.

    Raises:
        RecipeError: for a block set that is not known or fits no layer.
    """
    assert sets, "no block set"
    said = {name: some for some in sets for name in select(names, some.blocks)}
    return {name: said[name] for name in names if name in said}
