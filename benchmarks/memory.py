"""What a full-size denoiser keeps in memory for backward, and what gradient checkpointing and int8 leave of it.

python benchmarks/memory.py      # no weights, no card: shapes alone, on the meta device; a minute

What autograd saves is counted, each storage once and frozen weights not at all, in bfloat16 with an adapter of rank 16
in float32. Attention is counted as its fused kernels save: queries, keys, values, the answer and a number for each row.
To that come the weights, and what lives for the length of one layer. With gradient checkpointing, the largest block is
counted whole: it is there again while backward passes through it.
"""

import sys
from contextlib import nullcontext
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from likeness.diffusion.adapter import attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.checkpointing import Checkpointing
from likeness.diffusion.layers import PLANS
from likeness.diffusion.plans import unet_config
from likeness.diffusion.quantised import bytes_saved
from likeness.diffusion.targets import unet_targets

FAMILIES = {"sd15": (64, 8), "sdxl": (128, 0)}  # side of the latents, heads
GB = 1e9


class _Attention(torch.autograd.Function):
    """A fused attention, as far as memory goes."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        answer = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, answer, torch.empty(query.shape[:-1], device=query.device))
        return answer

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError


def _fused(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    return _Attention.apply(query, key, value)


class _Kept:
    """What autograd keeps, by storage, and the most that one block adds to it."""

    def __init__(self, denoiser: nn.Module, cuts: Checkpointing) -> None:
        self.storages: dict[int, Tensor] = {}
        self.largest_block = 0
        self._frozen = {_place(parameter) for parameter in denoiser.parameters()}
        self._before: dict[nn.Module, int] = {}
        self._hooks = [block.register_forward_pre_hook(self._enter) for block in cuts.blocks.values()]
        self._hooks += [block.register_forward_hook(self._leave) for block in cuts.blocks.values()]

    def keep(self, tensor: Tensor) -> Tensor:
        if (place := _place(tensor)) not in self._frozen:
            self.storages[place] = tensor
        return tensor

    @property
    def total(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in self.storages.values())

    def _enter(self, block: nn.Module, inputs: Any) -> None:
        self._before[block] = self.total

    def _leave(self, block: nn.Module, inputs: Any, output: Any) -> None:
        self.largest_block = max(self.largest_block, self.total - self._before[block])

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def kept(denoiser: nn.Module, family: str, batch: int, blocks: str, *, cut: bool) -> tuple[int, int]:
    """Bytes that are kept after a forward pass, and those of the largest block in it."""
    adapter = attach(unet_targets(denoiser), [BlockSet(blocks, 16)]).train()
    cuts, (side, _) = Checkpointing.of(denoiser, adapter), FAMILIES[family]
    meant: dict[str, Any] = {"device": "meta", "dtype": torch.bfloat16}
    more = {"text_embeds": torch.empty(batch, 1280, **meant), "time_ids": torch.empty(batch, 6, device="meta")}
    told = torch.empty(batch, 77, denoiser.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn2.to_k")
                       .get_parameter("weight").shape[1], **meant)  # fmt: skip
    seen = _Kept(denoiser, cuts)
    try:
        with torch.autograd.graph.saved_tensors_hooks(seen.keep, lambda t: t), cuts.on() if cut else nullcontext():
            denoiser(
                torch.empty(batch, 4, side, side, **meant),
                torch.empty(batch, dtype=torch.int64, device="meta"),
                encoder_hidden_states=told,
                added_cond_kwargs=more,
                return_dict=False,
            )
    finally:
        seen.remove()
        adapter.detach()
    return seen.total, seen.largest_block


def main() -> None:
    """The table of docs/bases.md."""
    functional.scaled_dot_product_attention = _fused
    torch.is_autocast_enabled = lambda *_: False  # it does not know the meta device
    for family, (side, heads) in FAMILIES.items():
        with torch.device("meta"):
            unet = UNet2DConditionModel(**unet_config(PLANS[family], heads=heads, side=side))
        denoiser = nn.Module.to(unet, torch.bfloat16).requires_grad_(False)  # diffusers' own warns of nothing
        weights = sum(parameter.nbytes for parameter in denoiser.parameters())
        smaller = weights - bytes_saved(denoiser)
        print(f"\n{family}, {8 * side} px: weights {weights / GB:.2f} GB, with int8 {smaller / GB:.2f} GB")
        print("| blocks | pictures at once | kept, GB | with gradient checkpointing |")
        for blocks in ("attention", "upper"):
            for batch in (4, 1):
                whole, largest = kept(denoiser, family, batch, blocks, cut=False)
                cut, _ = kept(denoiser, family, batch, blocks, cut=True)
                print(f"| {blocks} | {batch} | {whole / GB:.2f} | {(cut + largest) / GB:.2f} |")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
