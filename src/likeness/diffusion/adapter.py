"""The adapter: trainable layers that stand beside the frozen layers of a base."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from likeness.diffusion.blocks import BlockSet, assigned
from likeness.diffusion.lora import AdapterLayer, Dropout, Init
from likeness.diffusion.variants import variants
from likeness.errors import CheckpointError
from likeness.seeds import seed_of

__all__ = ["Adapter", "attach"]


NO_DROPOUT = Dropout()


class Adapter(nn.Module):
    """Layers that stand beside the layers of a base, which itself is never changed.

    `parameters()` are what is trained. `state_dict()` has the names and tensors of a file: for a plain LoRA
    `<layer>.lora_down.weight`, `<layer>.lora_up.weight` and `<layer>.alpha`.

    Attributes:
        weight: strength; at 0 the base answers bit for bit as without an adapter.
        layers: by the name that other tools give them in a file.
        targets: the frozen layers that they stand beside, by the same names.
    """

    def __init__(self, layers: Mapping[str, AdapterLayer], targets: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.weight = 1.0
        self.layers = dict(layers)
        self.targets = {name: targets[name] for name in layers}
        self._hooks = []
        for name, layer in self.layers.items():
            self.add_module(name, layer)
            self._hooks.append(targets[name].register_forward_hook(partial(self._add, layer)))

    def _add(self, layer: AdapterLayer, frozen: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if self.weight == 0 or (self.training and _is_left_out(layer.dropout)):
            return None
        return output + layer(inputs[0], self.weight)

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
            layer.refresh()


def _is_left_out(dropout: Dropout) -> bool:
    return dropout.layers > 0 and torch.rand(()).item() < dropout.layers


def attach(
    targets: Mapping[str, nn.Module],
    sets: Sequence[BlockSet],
    *,
    seed: int = 0,
    variant: str = "lora",
    init: Init = "kaiming",
    dropout: Dropout = NO_DROPOUT,
) -> Adapter:
    """A new adapter beside the layers of `sets`; it adds nothing until it is trained or loaded.

    A layer that several sets name is as the last of them says. A layer's first weights depend on `seed` and its name
    alone, so that they are the same whatever else is adapted.

    Args:
        targets: a base's `adapter_targets()`.
        sets: which layers, each with its rank.
        seed: of the first weights.
        variant: a name in `variants`. "rslora" is a plain LoRA whose scale is alpha / sqrt(rank): it stands in alpha,
            since no tool knows of it.
        init: how the half that is not zero begins.
        dropout: what it does without while it learns.

    Raises:
        RecipeError: for a block set that is not known or fits no layer.

    Source: Kalajdzievski 2023 (rsLoRA), https://arxiv.org/abs/2312.03732, for its scale.
    """
    layers = {}
    for name, some in assigned(targets, sets).items():
        alpha = some.rank if some.alpha is None else some.alpha
        if variant == "rslora":
            alpha *= math.sqrt(some.rank)
        own = seed_of(seed, "adapter", name)
        layers[name] = variants[variant].new(targets[name], some.rank, alpha, seed=own, init=init)
        layers[name].dropout = dropout
    return Adapter(layers, targets).eval()
