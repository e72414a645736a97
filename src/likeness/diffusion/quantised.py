"""A frozen base in a byte a weight: its linear layers rounded to int8 or fp8, a scale for each output.

The weight-only layers of other libraries (torchao's, in 0.18) work whole weights out in the forward pass, and autograd
keeps them for backward: all layers whole at once, and more memory than without. Here they are worked out again.

Shapes: I in, O out.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from likeness.errors import RecipeError

__all__ = ["Quantisation", "QuantisedLinear", "bytes_saved", "quantise"]

Quantisation = Literal["int8", "fp8"]

FORMATS = {"int8": (torch.int8, 127.0), "fp8": (torch.float8_e4m3fn, 448.0)}
"""The number format and its largest number."""


class QuantisedLinear(nn.Linear):
    """A frozen linear layer with a byte for each weight: `weight` (O, I), times `scale_O1`.

    int8 has 8 bits of an output's largest weight, fp8 (e4m3) 4 bits of each weight: int8 is nearer to the base wherever
    it was measured.
    """

    scale_O1: Tensor

    def __init__(self, whole: nn.Linear, kind: Quantisation) -> None:
        super().__init__(whole.in_features, whole.out_features, bias=whole.bias is not None, device="meta")
        dtype, most = FORMATS[kind]
        weight = whole.weight.detach()
        # In the layer's own precision, and used so from here on: what is rounded off the scale is not lost.
        scale_O1 = (weight.abs().amax(1, keepdim=True).float() / most).clamp(min=1e-7).to(weight.dtype)
        steps = (weight.float() / scale_O1.float()).clamp(-most, most)
        self.weight = nn.Parameter((steps.round() if kind == "int8" else steps).to(dtype), requires_grad=False)
        self.bias = whole.bias
        self.register_buffer("scale_O1", scale_O1)

    def forward(self, input: Tensor) -> Tensor:
        """The layer's answer to `input` (..., I)."""
        answer = self.product(input)
        return answer if self.bias is None else answer + self.bias.to(answer.dtype)

    def product(self, x: Tensor) -> Tensor:
        """The same without its bias."""
        return _Product.apply(x, self)

    def whole(self) -> Tensor:
        """What it multiplies with, (O, I), in the base's precision."""
        return self.weight.to(self.scale_O1.dtype) * self.scale_O1


class _Product(torch.autograd.Function):
    """`x` times a layer's weights. They are worked out anew for backward, and not kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantisedLinear) -> Tensor:
        ctx.layer = layer
        return functional.linear(x, layer.whole())

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (grad,) = grad_outputs
        return grad @ ctx.layer.whole().to(grad.dtype), None


def quantise(denoiser: nn.Module, kind: Quantisation, *, device: torch.device) -> None:
    """The linear layers in a denoiser's attentions have a byte for each weight; what tells of time and what is
    convolved stays whole.

    Raises:
        RecipeError: where the device has no such numbers.
    """
    _check(kind, device)
    for path, layer in _meant(denoiser).items():
        parent, _, name = path.rpartition(".")
        setattr(denoiser.get_submodule(parent), name, QuantisedLinear(layer, kind))


def bytes_saved(denoiser: nn.Module) -> int:
    """How much less memory the weights of a denoiser would take if they were quantised; 0 where they are."""
    weights = [layer.weight for layer in _meant(denoiser).values()]
    return sum(weight.numel() * (weight.element_size() - 1) - len(weight) * weight.element_size() for weight in weights)


def _meant(denoiser: nn.Module) -> dict[str, nn.Linear]:
    return {
        path: layer for path, layer in denoiser.named_modules() if ".attentions." in path and type(layer) is nn.Linear
    }


def _check(kind: Quantisation, device: torch.device) -> None:
    try:
        torch.ones(1, device=device).to(FORMATS[kind][0]).float()
    except (RuntimeError, TypeError) as fault:  # Metal has no fp8
        raise RecipeError(f"base.quantise = {kind!r} cannot be on {device}: {fault}. Use 'int8' or 'none'.") from fault
