"""A layer of an adapter: what stands beside a frozen layer of a base, and the low-rank one.

Shapes: r rank, I in, O out, k kernel; `delta = (alpha / r) * up(down(x)) * weight`.
Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 4.1; names and tensors as kohya-ss writes them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.diffusion.products import low_rank
from likeness.diffusion.quantised import QuantisedLinear
from likeness.errors import CheckpointError

__all__ = ["AdapterLayer", "Dropout", "Init", "LoraLayer", "weight_of"]

Init = Literal["kaiming", "gaussian"]
"""How the half that is not zero begins: uniform in ±1/sqrt(I), as in the paper's code; or normal with deviation 1/r."""


@dataclass(frozen=True, slots=True)
class Dropout:
    """What an adapter does without at random while it learns, each a share in [0, 1).

    Attributes:
        inputs: of the numbers that a layer is given.
        ranks: of a layer's ranks, per picture.
        layers: of the layers, per step.
    """

    inputs: float = 0.0
    ranks: float = 0.0
    layers: float = 0.0


def weight_of(frozen: nn.Module) -> Tensor:
    """The weights of a frozen layer, float32; of a quantised one, what it multiplies with."""
    if isinstance(frozen, QuantisedLinear):
        return frozen.whole().float()
    return frozen.get_parameter("weight").detach().float()


class AdapterLayer(nn.Module):
    """A layer beside a frozen Linear or Conv2d; answers what is to be added to that layer's output.

    A variant says in `delta_weight` how it changes the frozen weights; that is all it has to say. Weights are float32
    whatever the frozen layer is.

    Attributes:
        shape: of the frozen weights, (O, I) or (O, I, k, k).
        place: the device that they are on.
        rank: of the change, or of its factors.
        scale: alpha / rank; a number, because reading the tensor would wait for the device.
        dropout: what it does without while it learns.
    """

    alpha: Tensor

    def __init__(self, target: nn.Module, rank: int, alpha: float) -> None:
        super().__init__()
        assert isinstance(target, nn.Linear | nn.Conv2d), f"no low-rank form for a {type(target).__name__}"
        self.stride: tuple[int, ...] | None = None
        if isinstance(target, nn.Conv2d):
            assert (target.groups, target.padding_mode) == (1, "zeros"), "grouped, or not padded with zeros"
            self.stride, self.padding, self.dilation = target.stride, target.padding, target.dilation
        self.shape, self.place = tuple(target.weight.shape), target.weight.device
        self.register_buffer("alpha", torch.tensor(float(alpha)))
        self.rank, self.scale, self.dropout = rank, float(alpha) / rank, Dropout()

    @classmethod
    def new(cls, target: nn.Module, rank: int, alpha: float, *, seed: int, init: Init = "kaiming") -> Self:
        """A layer that adds nothing yet, drawn from `seed`."""
        raise NotImplementedError

    @classmethod
    def of(cls, target: nn.Module, tensors: Mapping[str, Tensor]) -> Self:
        """The layer that `tensors`, named as in its `state_dict()`, are of.

        Raises:
            CheckpointError: where they do not belong together, or to a layer of another size.
        """
        raise NotImplementedError

    def delta_weight(self) -> Tensor:
        """What the layer adds at full strength, as a change of the frozen weights: float32, of their shape."""
        raise NotImplementedError

    def forward(self, x: Tensor, weight: float = 1.0) -> Tensor:
        """What is added to the frozen layer's output for its input `x`, in the precision that the layer computes in."""
        return self.applied(self.dropped(x), self.delta_weight() * weight)

    def applied(self, x: Tensor, weight: Tensor) -> Tensor:
        """`x` through `weight` as through the frozen layer's own, without its bias."""
        if weight.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
            weight = weight.to(x.dtype)
        if self.stride is None:
            return functional.linear(x, weight)
        return functional.conv2d(x, weight, None, self.stride, self.padding, self.dilation)

    def dropped(self, x: Tensor) -> Tensor:
        """`x` without what the layer is not given this time."""
        share = self.dropout.inputs
        return functional.dropout(x, share) if share and self.training else x

    def refresh(self) -> None:
        """`scale` is what the tensors say, after they were loaded."""
        self.scale = self.alpha.item() / self.rank

    def fits(self, *, is_whole: bool, found: tuple[int, ...]) -> None:
        """Nothing, where a file's tensors are whole and change weights of the frozen layer's shape.

        Raises:
            CheckpointError: otherwise.
        """
        if not is_whole:
            raise CheckpointError("its tensors do not belong together")
        if found != self.shape:
            raise CheckpointError(f"it changes weights of shape {found}, and the base has {self.shape}")


class LoraLayer(AdapterLayer):
    """A low-rank layer: `lora_down.weight` (r, I) or (r, I, k, k) and `lora_up.weight` (O, r) or (O, r, 1, 1)."""

    def __init__(self, target: nn.Module, rank: int, alpha: float) -> None:
        super().__init__(target, rank, alpha)
        out, *entering = self.shape
        down = torch.empty(rank, *entering, device=self.place)
        up = torch.zeros(out, rank, *(1,) * (len(entering) - 1), device=self.place)
        self.lora_down = nn.ParameterDict({"weight": nn.Parameter(down)})
        self.lora_up = nn.ParameterDict({"weight": nn.Parameter(up)})

    @classmethod
    def new(cls, target: nn.Module, rank: int, alpha: float, *, seed: int, init: Init = "kaiming") -> Self:
        """A layer that adds nothing yet: `lora_down` is drawn from `seed`, `lora_up` is zero."""
        layer = cls(target, rank, alpha)
        down = layer.lora_down["weight"]
        drawn, generator = torch.empty(down.shape), torch.Generator().manual_seed(seed)
        if init == "gaussian":
            nn.init.normal_(drawn, std=1 / rank, generator=generator)
        else:
            nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
        down.data.copy_(drawn)
        return layer

    @classmethod
    def of(cls, target: nn.Module, tensors: Mapping[str, Tensor]) -> Self:
        """The layer of a file's down, up and alpha."""
        down, up = tensors["lora_down.weight"], tensors["lora_up.weight"]
        layer = cls(target, len(down), tensors["alpha"].item())
        is_whole = down.ndim == up.ndim and up.shape[1] == len(down)
        layer.fits(is_whole=is_whole, found=(len(up), *down.shape[1:]))
        return layer

    def forward(self, x: Tensor, weight: float = 1.0) -> Tensor:
        """What is added for the frozen layer's input `x`."""
        hidden = self.applied(self.dropped(x), self.lora_down["weight"])
        if self.dropout.ranks and self.training:
            hidden = hidden * self._kept_ranks(hidden)
        if (scale := self.scale * weight) != 1:
            hidden = hidden * scale  # here and not on the answer, because r is narrower than O
        up = self.lora_up["weight"]
        if up.dtype != hidden.dtype and not torch.is_autocast_enabled(x.device.type):
            up = up.to(hidden.dtype)
        return functional.linear(hidden, up) if self.stride is None else functional.conv2d(hidden, up)

    def _kept_ranks(self, hidden: Tensor) -> Tensor:
        """A factor per picture and rank: 0 for those that are left out, and for the others what makes up for them."""
        shape = [len(hidden), *(1,) * (hidden.ndim - 1)]
        shape[-1 if self.stride is None else 1] = self.rank
        return functional.dropout(torch.ones(shape, device=hidden.device, dtype=hidden.dtype), self.dropout.ranks)

    def delta_weight(self) -> Tensor:
        """`up @ down`, scaled."""
        return low_rank(dict(self.named_parameters())) * self.scale
