"""Gradient checkpointing: blocks of a denoiser forget what happened inside them, and find it out again for backward.

Only blocks that hold a trained layer, or lie above one, are asked twice: what lies below has no backward pass.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from likeness.diffusion.adapter import Adapter

__all__ = ["Checkpointing"]

BLOCK = re.compile(r".*\.(resnets|transformer_blocks)\.\d+")
"""Where a denoiser is cut. An attention of SDXL has up to ten transformer blocks: each is found out by itself."""


@dataclass(frozen=True, slots=True)
class Checkpointing:
    """Where a denoiser with an adapter beside it may be cut.

    Attributes:
        blocks: its residual and transformer blocks, by name.
        learning: the names of those that hold a layer with an adapter beside it.
        is_random: whether the adapter does without something at random, which has to be the same both times.
    """

    blocks: Mapping[str, nn.Module]
    learning: frozenset[str]
    is_random: bool

    @classmethod
    def of(cls, denoiser: nn.Module, adapter: Adapter) -> Self:
        """Every block of a denoiser of diffusers."""
        blocks = {name: module for name, module in denoiser.named_modules() if BLOCK.fullmatch(name)}
        trained = {id(target) for target in adapter.targets.values()}
        learning = {name for name, block in blocks.items() if any(id(part) in trained for part in block.modules())}
        dropouts = [layer.dropout for layer in adapter.layers.values()]
        return cls(blocks, frozenset(learning), any(some.inputs or some.ranks or some.layers for some in dropouts))

    @contextmanager
    def on(self) -> Iterator[set[str]]:
        """Forward passes until the block ends keep only what goes into each block; backward asks those blocks again.

        Gradients are the same to the bit, in the time of about one forward pass more. Backward may come later, but
        before anything of the adapter is changed. Yields the names of blocks that were cut, as they are called.
        """
        cut = set[str]()
        for name, block in self.blocks.items():
            block.forward = partial(self._asked, name, block.forward, cut)
        try:
            yield cut
        finally:
            for block in self.blocks.values():
                del block.forward  # the class's own is seen again

    def _asked(self, name: str, forward: Callable[..., Any], cut: set[str], *args: Any, **named: Any) -> Any:
        """What a block answers. It is cut only where backward passes: where it learns, or is above what does."""
        has_backward = name in self.learning or any(map(_is_learnt, (*args, *named.values())))
        if not (torch.is_grad_enabled() and has_backward):
            return forward(*args, **named)
        cut.add(name)
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=self.is_random, **named)


def _is_learnt(value: object) -> bool:
    return isinstance(value, Tensor) and value.requires_grad
