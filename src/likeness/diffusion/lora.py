"""The adapter: low-rank layers beside the frozen layers of a base.

Shapes: r rank, I in, O out, k kernel; `delta = (alpha / r) * up(down(x)) * weight`.
Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 4.1; names and tensors as kohya-ss writes them.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.errors import CheckpointError, RecipeError
from likeness.seeds import seed_of

__all__ = ["Adapter", "BlockSet", "LoraLayer", "attach", "block_sets", "select"]

ATTENTION = "_attn[12]_to_*"
TRANSFORMER = (f"lora_unet_*{ATTENTION}", "lora_unet_*_ff_net_*", "lora_unet_*_attentions_*_proj_*")

block_sets: Mapping[str, tuple[str, ...]] = {
    "attention": (f"lora_unet_*{ATTENTION}",),
    "cross-attention": ("lora_unet_*_attn2_to_*",),
    "upper": (f"lora_unet_up_blocks_*{ATTENTION}",),
    "mid-upper": (f"lora_unet_mid_block_*{ATTENTION}", f"lora_unet_up_blocks_*{ATTENTION}"),
    "attention-ff": (f"lora_unet_*{ATTENTION}", "lora_unet_*_ff_net_*"),
    "transformer": TRANSFORMER,
    "convolutions": ("lora_unet_*_resnets_*_conv*",),
    "all": (*TRANSFORMER, "lora_unet_*_resnets_*_conv*"),
}
"""Named parts of a denoiser, as patterns over the names of its layers.

- attention: queries, keys, values and outputs, self and cross, everywhere. What peers train by default.
- cross-attention: those of the cross attention alone, where pictures are told of words.
- upper: attention in the upward half, the middle block not included, so that backward stops at the first up block.
- mid-upper: the same and the middle block, which decides composition.
- attention-ff: attention and the feed-forward layers.
- transformer: these and the projections around them; what kohya-ss calls a LoRA.
- convolutions: those of the residual blocks.
- all: transformer and convolutions.

None touches a text encoder: its outputs are encoded once, before training. A pattern such as `lora_te_*` would.
"""


@dataclass(frozen=True, slots=True)
class BlockSet:
    """Layers that are adapted alike.

    Attributes:
        blocks: a name in `block_sets`, or a pattern over layer names such as "lora_unet_mid_block_*".
        rank: of every layer in the set; a layer narrower than that still gets it.
        alpha: strength is alpha / rank; equal to the rank where nothing is said.
    """

    blocks: str
    rank: int
    alpha: float | None = None


class LoraLayer(nn.Module):
    """A low-rank layer beside a frozen Linear or Conv2d; answers what is to be added to that layer's output.

    Weights are float32 whatever the frozen layer is: `lora_down.weight` (r, I) or (r, I, k, k), drawn from `seed`, and
    `lora_up.weight` (O, r) or (O, r, 1, 1), zero, so that nothing is added at first.
    """

    alpha: Tensor

    def __init__(self, target: nn.Module, rank: int, alpha: float, *, seed: int = 0) -> None:
        super().__init__()
        assert isinstance(target, nn.Linear | nn.Conv2d), f"no low-rank form for a {type(target).__name__}"
        frozen = target.weight
        self.stride: tuple[int, ...] | None = None
        if isinstance(target, nn.Conv2d):
            assert (target.groups, target.padding_mode) == (1, "zeros"), "grouped, or not padded with zeros"
            self.stride, self.padding, self.dilation = target.stride, target.padding, target.dilation
        drawn = torch.empty(rank, *frozen.shape[1:])
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=torch.Generator().manual_seed(seed))
        zeros = torch.zeros(frozen.shape[0], rank, *(1,) * (frozen.ndim - 2))
        self.lora_down = nn.ParameterDict({"weight": nn.Parameter(drawn.to(frozen.device))})
        self.lora_up = nn.ParameterDict({"weight": nn.Parameter(zeros.to(frozen.device))})
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self.rank = rank
        self.scale = float(alpha) / rank  # a number, because reading the tensor would wait for the device

    def forward(self, x: Tensor, weight: float = 1.0) -> Tensor:
        """What is added to the frozen layer's output for its input `x`, in the precision that the layer computes in."""
        down, up = self.lora_down["weight"], self.lora_up["weight"]
        if x.dtype != down.dtype and not torch.is_autocast_enabled(x.device.type):
            down, up = down.to(x.dtype), up.to(x.dtype)
        scale = self.scale * weight
        if self.stride is None:
            hidden = functional.linear(x, down)
        else:
            hidden = functional.conv2d(x, down, None, self.stride, self.padding, self.dilation)
        if scale != 1:
            hidden = hidden * scale  # here and not on the answer, because r is narrower than O
        return functional.linear(hidden, up) if self.stride is None else functional.conv2d(hidden, up)

    def delta_weight(self) -> Tensor:
        """What the layer adds at full strength, as a change of the frozen weights: float32, of their shape."""
        down, up = self.lora_down["weight"], self.lora_up["weight"]
        return (up.flatten(1) @ down.flatten(1)).view(up.shape[0], *down.shape[1:]) * self.scale


class Adapter(nn.Module):
    """Low-rank layers that stand beside the layers of a base, which itself is never changed.

    `parameters()` are what is trained. `state_dict()` has the names and tensors of a file: `<layer>.lora_down.weight`,
    `<layer>.lora_up.weight` and `<layer>.alpha`.

    Attributes:
        weight: strength; at 0 the base answers bit for bit as without an adapter.
        layers: by the name that other tools give them in a file.
    """

    def __init__(self, layers: Mapping[str, LoraLayer], targets: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.weight = 1.0
        self.layers = dict(layers)
        self._hooks = []
        for name, layer in self.layers.items():
            self.add_module(name, layer)
            self._hooks.append(targets[name].register_forward_hook(partial(self._add, layer)))

    def _add(self, layer: LoraLayer, frozen: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        return None if self.weight == 0 else output + layer(inputs[0], self.weight)

    def detach(self) -> None:
        """The base is as it was before the adapter; the adapter keeps its weights and can be saved."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """The adapter has the weights and alphas of `tensors`, named as in `state_dict()`.

        Raises:
            CheckpointError: unless names and shapes are exactly the adapter's own.
        """
        own = self.state_dict()
        if strange := sorted(own.keys() ^ tensors.keys()):
            raise CheckpointError(f"These are not the adapter's own weights; first difference: {strange[0]}.")
        for name, tensor in tensors.items():
            if own[name].shape != tensor.shape:
                raise CheckpointError(
                    f"{name} has shape {tuple(tensor.shape)}; the adapter's is {tuple(own[name].shape)}."
                )
        with torch.no_grad():
            for name, tensor in tensors.items():
                own[name].copy_(tensor)
        for layer in self.layers.values():
            layer.scale = layer.alpha.item() / layer.rank


def select(targets: Mapping[str, nn.Module], blocks: str) -> list[str]:
    """The names of the layers in a block set, in the base's own order.

    Args:
        targets: a base's `adapter_targets()`.
        blocks: a name in `block_sets`, or a pattern over layer names ("*", "?" and "[...]" as in file names).

    Raises:
        RecipeError: for a name that is not known, or a pattern that fits no layer.
    """
    patterns = block_sets.get(blocks, (blocks,))
    chosen = [name for name in targets if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if chosen:
        return chosen
    close = difflib.get_close_matches(blocks, block_sets, n=1)
    raise RecipeError(
        f"train.blocks = {blocks!r} fits no layer of this base{f'; did you mean {close[0]!r}?' if close else '.'} "
        f"Use one of {', '.join(block_sets)}; or a pattern such as 'lora_unet_mid_block_*'."
    )


def attach(targets: Mapping[str, nn.Module], sets: Sequence[BlockSet], *, seed: int = 0) -> Adapter:
    """A new adapter beside the layers of `sets`; it adds nothing until it is trained or loaded.

    A layer that several sets name is as the last of them says. A layer's first weights depend on `seed` and its name
    alone, so that they are the same whatever else is adapted.

    Raises:
        RecipeError: for a block set that is not known or fits no layer.
    """
    assert sets, "no block set"
    said = {name: block_set for block_set in sets for name in select(targets, block_set.blocks)}
    layers = {}
    for name in (name for name in targets if name in said):
        rank, alpha = said[name].rank, said[name].alpha
        own = seed_of(seed, "adapter", name)
        layers[name] = LoraLayer(targets[name], rank, rank if alpha is None else alpha, seed=own)
    return Adapter(layers, targets)
