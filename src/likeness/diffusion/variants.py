"""Other ways of changing a layer with few numbers than the plain low-rank one, under LyCORIS's names.

Shapes: r rank, I in, O out, k kernel.
"""

import math
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor, nn

from likeness.diffusion.lora import AdapterLayer, Init, LoraLayer, weight_of
from likeness.diffusion.products import hadamard, is_scaled, kronecker, lengths_of
from likeness.diffusion.quantised import QuantisedLinear

__all__ = ["PARTS", "DoraLayer", "LohaLayer", "LokrLayer", "layer_of", "variants"]


class DoraLayer(LoraLayer):
    """A low-rank change of the direction of each input's weights, and a length that is learnt by itself.

    `W' = dora_scale * (W + delta) / |W + delta|`, the lengths over all outputs of one input: `dora_scale` is (1, I) or
    (1, I, 1, 1). Of the two axes in use it is this one that ComfyUI and A1111 compute exactly.

    Source: Liu et al. 2024, https://arxiv.org/abs/2402.09353, section 4.1; in section 4.3 the length in the denominator
    is a constant to the gradient, as it is here.
    """

    def __init__(self, target: nn.Module, rank: int, alpha: float) -> None:
        super().__init__(target, rank, alpha)
        self._frozen = (target,)  # in a tuple, so that it does not become a part of the adapter
        self.dora_scale = nn.Parameter(lengths_of(weight_of(target)))

    @classmethod
    def of(cls, target: nn.Module, tensors: Mapping[str, Tensor]) -> Self:
        """The layer of a file's down, up, alpha and lengths, if those are of the inputs."""
        layer = super().of(target, tensors)
        lengths = tuple(tensors["dora_scale"].shape)
        layer.fits(is_whole=lengths == tuple(layer.dora_scale.shape), found=layer.shape)
        return layer

    def forward(self, x: Tensor, weight: float = 1.0) -> Tensor:
        """What is added for the frozen layer's input `x`: its own answer to the change of lengths, and the low-rank one
        to inputs of the new lengths."""
        (target,) = self._frozen
        ratio = self._ratio()
        ratio = (ratio.flatten() if self.stride is None else ratio).to(x.dtype)
        more = x * (ratio - 1)
        is_quantised = isinstance(target, QuantisedLinear)
        longer = target.product(more) if is_quantised else self.applied(more, target.get_parameter("weight"))
        return longer * weight + super().forward(x * ratio, weight)

    def delta_weight(self) -> Tensor:
        """`W' - W`."""
        (target,) = self._frozen
        frozen = weight_of(target)
        return (frozen + super().delta_weight()) * self._ratio() - frozen

    def _ratio(self) -> Tensor:
        """How much longer each input's weights are than those of `W + delta`."""
        (target,) = self._frozen
        with torch.no_grad():
            lengths = lengths_of(weight_of(target) + super().delta_weight())
        return self.dora_scale / lengths


class LohaLayer(AdapterLayer):
    """The product, number by number, of two low-rank matrices: of rank r * r at most, from as much as rank 2 r takes.

    `hada_w1_a` and `hada_w2_a` are (O, r), `hada_w1_b` and `hada_w2_b` (r, I * k * k).
    Source: Hyeon-Woo et al. 2022 (FedPara), https://arxiv.org/abs/2108.06098, section 2.2; first weights as LyCORIS's.
    """

    def __init__(self, target: nn.Module, rank: int, alpha: float) -> None:
        super().__init__(target, rank, alpha)
        out, entering, place = self.shape[0], math.prod(self.shape[1:]), self.place
        self.hada_w1_a = nn.Parameter(torch.empty(out, rank, device=place))
        self.hada_w1_b = nn.Parameter(torch.empty(rank, entering, device=place))
        self.hada_w2_a = nn.Parameter(torch.zeros(out, rank, device=place))
        self.hada_w2_b = nn.Parameter(torch.empty(rank, entering, device=place))

    @classmethod
    def new(cls, target: nn.Module, rank: int, alpha: float, *, seed: int, init: Init = "kaiming") -> Self:
        """A layer that adds nothing yet: `hada_w2_a` is zero."""
        layer, generator = cls(target, rank, alpha), torch.Generator().manual_seed(seed)
        for parameter, deviation in ((layer.hada_w1_b, 1.0), (layer.hada_w1_a, 0.1), (layer.hada_w2_b, 1.0)):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * deviation)
        return layer

    @classmethod
    def of(cls, target: nn.Module, tensors: Mapping[str, Tensor]) -> Self:
        """The layer of a file's four factors and alpha."""
        a1, b1, a2, b2 = (tensors[f"hada_{name}"] for name in ("w1_a", "w1_b", "w2_a", "w2_b"))
        layer = cls(target, len(b1), tensors["alpha"].item())
        is_whole = a1.shape == a2.shape and b1.shape == b2.shape and a1.ndim == b1.ndim == 2 and a1.shape[1] == len(b1)
        fits = is_whole and (len(a1), b1.shape[1]) == (layer.shape[0], math.prod(layer.shape[1:]))
        layer.fits(is_whole=is_whole, found=layer.shape if fits else (len(a1), *b1.shape[1:]))
        return layer

    def delta_weight(self) -> Tensor:
        """`(w1_a @ w1_b) * (w2_a @ w2_b)`, scaled."""
        return hadamard(dict(self.named_parameters())).view(self.shape) * self.scale


class LokrLayer(AdapterLayer):
    """The Kronecker product of a small matrix and a larger one, which is low-rank where that takes fewer numbers.

    The frozen weights are taken as (Oa * Ob, Ia * Ib), factors as near to the square root as they go:
    `lokr_w1` is (Oa, Ia), `lokr_w2` (Ob, Ib, k, k); or that is `lokr_w2_a` (Ob, r) times `lokr_w2_b` (r, Ib * k * k).
    Source: Yeh et al. 2023 (LyCORIS), https://arxiv.org/abs/2309.14859, section 3.3; factors and first weights too.
    """

    def __init__(self, target: nn.Module, rank: int, alpha: float, *, factors: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(target, rank, alpha if is_scaled(factors) else float(rank))
        for name, shape in factors.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape, device=self.place)))

    @classmethod
    def new(cls, target: nn.Module, rank: int, alpha: float, *, seed: int, init: Init = "kaiming") -> Self:
        """A layer that adds nothing yet: `lokr_w2` is zero, or its second half."""
        out, entering, *kernel = target.get_parameter("weight").shape
        (out_a, out_b), (in_a, in_b) = _factors(out), _factors(entering)
        shapes: dict[str, tuple[int, ...]] = {"lokr_w1": (out_a, in_a)}
        if rank < max(out_b, in_b) / 2:
            shapes |= {"lokr_w2_a": (out_b, rank), "lokr_w2_b": (rank, in_b * math.prod(kernel))}
        else:
            shapes |= {"lokr_w2": (out_b, in_b, *kernel)}
        layer, generator = cls(target, rank, alpha, factors=shapes), torch.Generator().manual_seed(seed)
        for name in shapes.keys() & {"lokr_w1", "lokr_w2_a"}:
            drawn = torch.empty(shapes[name])
            nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
            layer.get_parameter(name).data.copy_(drawn)
        return layer

    @classmethod
    def of(cls, target: nn.Module, tensors: Mapping[str, Tensor]) -> Self:
        """The layer of a file's factors, whole or each as a product of two."""
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items() if name != "alpha"}
        rank = next((len(tensor) for name, tensor in tensors.items() if name.endswith("_b")), 1)
        layer = cls(target, rank, tensors["alpha"].item(), factors=shapes)
        try:
            found = tuple(layer._product().shape)
        except RuntimeError:
            found = ()
        layer.fits(is_whole=found != (), found=found)
        return layer

    def refresh(self) -> None:
        """Whole factors are never scaled, whatever their alpha: so does LyCORIS."""
        if is_scaled(name for name, _ in self.named_parameters()):
            super().refresh()

    def delta_weight(self) -> Tensor:
        """The Kronecker product, scaled."""
        return self._product() * self.scale

    def _product(self) -> Tensor:
        return kronecker(dict(self.named_parameters()), self.shape[2:])


def _factors(number: int) -> tuple[int, int]:
    """The two factors of a number that are nearest to each other, the smaller one first."""
    small = next(some for some in range(math.isqrt(number), 0, -1) if number % some == 0)
    return small, number // small


variants: Mapping[str, type[AdapterLayer]] = {
    "lora": LoraLayer,
    "rslora": LoraLayer,  # its scale, alpha / sqrt(r), is written into alpha
    "dora": DoraLayer,
    "loha": LohaLayer,
    "lokr": LokrLayer,
}
"""The layer that each variant is made of, by its name in the recipe."""


PLAIN = ("lora_down.weight", "lora_up.weight")
LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
LOKR = (("lokr_w1", ("lokr_w1_a", "lokr_w1_b")), ("lokr_w2", ("lokr_w2_a", "lokr_w2_b")))

PARTS = frozenset({"alpha", "dora_scale", *PLAIN, *LOHA, *(part for whole, two in LOKR for part in (whole, *two))})
"""The names that a layer's tensors may have in a file."""


def layer_of(parts: frozenset[str]) -> type[AdapterLayer] | None:
    """The kind of layer whose tensors have these names in a file; None for one that is not known."""
    own = parts - {"alpha"}
    if own == set(PLAIN):
        return LoraLayer
    if own == {*PLAIN, "dora_scale"}:
        return DoraLayer
    if own == set(LOHA):
        return LohaLayer
    factors = [own & {whole, *two} for whole, two in LOKR]
    is_each_once = all(own_of in ({whole}, set(two)) for own_of, (whole, two) in zip(factors, LOKR, strict=True))
    return LokrLayer if own == factors[0] | factors[1] and is_each_once else None
