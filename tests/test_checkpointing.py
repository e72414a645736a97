"""Gradient checkpointing: the same gradients to the bit, less in memory, and nothing asked twice that has no backward.

Shapes: B batch, D h w latent, L tokens, E width.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from tiny import WIDTH, tiny_unet
from torch import Tensor, nn

from likeness.diffusion.adapter import Adapter, attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.checkpointing import Checkpointing
from likeness.diffusion.lora import Dropout
from likeness.diffusion.targets import unet_targets

WITH_DROPOUT = Dropout(inputs=0.2, ranks=0.2, layers=0.3)


@pytest.fixture
def unet() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return tiny_unet().eval().requires_grad_(False)


def learner(unet: nn.Module, blocks: str, **options: Any) -> Adapter:
    """An adapter in the middle of learning: neither half is zero."""
    adapter = attach(unet_targets(unet), [BlockSet(blocks, 4)], **options).train()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return adapter


def answer(unet: nn.Module, *, tokens_are_learnt: bool = False) -> tuple[Tensor, Tensor]:
    """The denoiser's answer to a fixed question, and what it was told."""
    generator = torch.Generator().manual_seed(1)
    noisy_BDhw = torch.randn(2, 4, 8, 8, generator=generator)
    tokens_BLE = torch.randn(2, 5, WIDTH, generator=generator).requires_grad_(tokens_are_learnt)
    torch.manual_seed(3)
    return unet(noisy_BDhw, torch.tensor([10, 900]), encoder_hidden_states=tokens_BLE, return_dict=False)[0], tokens_BLE


def gradients(unet: nn.Module, adapter: Adapter, *, cut: bool, tokens_are_learnt: bool = False) -> list[Tensor]:
    adapter.zero_grad()
    with Checkpointing.of(unet, adapter).on() if cut else nullcontext():
        answer_BDhw, tokens_BLE = answer(unet, tokens_are_learnt=tokens_are_learnt)
    torch.manual_seed(99)  # whatever else is drawn before backward
    answer_BDhw.square().sum().backward()
    learnt = [parameter.grad for parameter in adapter.parameters()] + [tokens_BLE.grad] * tokens_are_learnt
    return [answer_BDhw.detach(), *(gradient.clone() for gradient in learnt if gradient is not None)]


@contextmanager
def counted(unet: nn.Module) -> Iterator[Counter[str]]:
    """How often each layer of a denoiser was asked."""
    asked = Counter[str]()

    def counter(name: str) -> Any:
        return lambda *_: asked.update([name])

    hooks = [
        module.register_forward_hook(counter(name))
        for name, module in unet.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]  # some others serve several blocks
    try:
        yield asked
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("blocks", ["all", "attention", "upper", "lora_unet_mid_block_*"])
@pytest.mark.parametrize("dropout", [Dropout(), WITH_DROPOUT], ids=["whole", "dropout"])
def test_answers_and_gradients_are_the_same_to_the_bit(unet: nn.Module, blocks: str, dropout: Dropout) -> None:
    adapter = learner(unet, blocks, dropout=dropout)
    plain, cut = (gradients(unet, adapter, cut=cut) for cut in (False, True))
    assert len(plain) > 5
    assert all(torch.equal(one, other) for one, other in zip(plain, cut, strict=True))


@pytest.mark.parametrize("variant", ["dora", "loha", "lokr"])
def test_so_they_are_for_every_variant(unet: nn.Module, variant: str) -> None:
    adapter = learner(unet, "all", variant=variant)
    plain, cut = (gradients(unet, adapter, cut=cut) for cut in (False, True))
    assert all(torch.equal(one, other) for one, other in zip(plain, cut, strict=True))


def test_where_the_text_encoder_learns_its_gradient_is_the_same_too(unet: nn.Module) -> None:
    adapter = learner(unet, "upper")
    plain, cut = (gradients(unet, adapter, cut=cut, tokens_are_learnt=True) for cut in (False, True))
    assert all(torch.equal(one, other) for one, other in zip(plain, cut, strict=True))
    with Checkpointing.of(unet, adapter).on() as names:
        answer(unet, tokens_are_learnt=True)
    assert "down_blocks.0.attentions.0.transformer_blocks.0" in names  # it is told of the text


def test_what_lies_below_the_lowest_trained_block_is_asked_once_and_what_lies_above_twice(unet: nn.Module) -> None:
    adapter = learner(unet, "lora_unet_up_blocks_1_*attn1*")
    with counted(unet) as asked, Checkpointing.of(unet, adapter).on() as cut:
        answer(unet)[0].square().sum().backward()
    inside = {
        name: asked[f"{name}.{part}"] for name in cut for part in ("conv1", "attn1.to_q") if f"{name}.{part}" in asked
    }
    assert set(inside.values()) == {2}
    below = [name for name in asked if name.startswith(("conv_in", "time", "down_blocks", "mid_block", "up_blocks.0"))]
    assert len(below) > 50
    assert {asked[name] for name in below} == {1}
    assert "up_blocks.1.attentions.0.transformer_blocks.0" in cut
    assert "up_blocks.1.resnets.0" not in cut  # in the same block, and before the first layer that learns
    assert {"up_blocks.1.resnets.1", "up_blocks.2.resnets.0"} < cut


def test_far_less_is_kept_for_backward(unet: nn.Module) -> None:
    adapter, kept = learner(unet, "attention"), []
    for context in (nullcontext(), Checkpointing.of(unet, adapter).on()):
        held: dict[int, int] = {}

        def keep(tensor: Tensor, held: dict[int, int] = held) -> Tensor:
            held[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), context:
            shown = answer(unet)[0]
        kept.append(sum(held.values()))
        del shown
    assert kept[1] < 0.4 * kept[0]


def test_without_gradients_nothing_is_cut(unet: nn.Module) -> None:
    adapter = learner(unet, "all")
    with torch.no_grad(), Checkpointing.of(unet, adapter).on() as cut:
        shown = answer(unet)[0]
    assert not cut
    assert torch.equal(shown, answer(unet)[0])


def test_the_denoiser_is_as_it_was_afterwards(unet: nn.Module) -> None:
    adapter = learner(unet, "all")
    with pytest.raises(ZeroDivisionError), Checkpointing.of(unet, adapter).on():
        raise ZeroDivisionError
    assert not any("forward" in vars(module) for module in unet.modules())
    with counted(unet) as asked:
        answer(unet)[0].sum().backward()
    assert set(asked.values()) == {1}
