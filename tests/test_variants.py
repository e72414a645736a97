"""The variants: each adds what its formula says, as other libraries compute it, and comes back from its file."""

import math
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import LoHaConfig, LoKrConfig, inject_adapter_in_model
from safetensors.torch import load_file
from torch import Tensor, nn

from likeness.diffusion.adapter import Adapter, attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.files.lora_files import adapter_from, load_lora, save_lora
from likeness.diffusion.files.metadata import LoraMetadata
from likeness.diffusion.lora import Dropout, LoraLayer
from likeness.diffusion.variants import DoraLayer, LokrLayer, variants
from likeness.errors import CheckpointError

NAME = "lora_unet_mid_block_resnets_0_conv1"
OTHERS = [name for name in variants if name != "lora"]
METADATA = LoraMetadata(title="x", base_name="tiny", prediction="epsilon", resolution=(64, 64))


def frozen_layers() -> list[nn.Linear | nn.Conv2d]:
    torch.manual_seed(0)
    made = [nn.Linear(6, 10), nn.Conv2d(6, 10, 1), nn.Conv2d(6, 12, 3, stride=2, padding=1), nn.Linear(8, 8)]
    return [layer.requires_grad_(False) for layer in made]


FROZEN = ["linear", "pixel", "strided", "square"]


def frozen_layer(kind: str) -> nn.Linear | nn.Conv2d:
    return frozen_layers()[FROZEN.index(kind)]


def shown(frozen: nn.Module) -> Tensor:
    wide = frozen.get_parameter("weight").shape[1]
    x = torch.randn(2, wide, 8, 8, generator=torch.Generator().manual_seed(1))
    return x if isinstance(frozen, nn.Conv2d) else x.movedim(1, -1)


def beside(frozen: nn.Module, variant: str, *, rank: int = 3, alpha: float = 2.0, **options: Any) -> Adapter:
    return attach({NAME: frozen}, [BlockSet(NAME, rank, alpha)], variant=variant, **options)


def trained(adapter: Adapter, seed: int = 5) -> Adapter:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return adapter


@pytest.mark.parametrize("kind", FROZEN)
@pytest.mark.parametrize("variant", variants)
def test_a_new_adapter_of_any_kind_adds_nothing_and_can_learn(variant: str, kind: str):
    frozen = frozen_layer(kind)
    x, before = shown(frozen), frozen(shown(frozen))
    adapter = beside(frozen, variant)
    torch.testing.assert_close(frozen(x), before, atol=0, rtol=0)
    frozen(x).square().sum().backward()
    moved = [name for name, one in adapter.named_parameters() if one.grad is not None and one.grad.abs().max() > 0]
    assert moved, "nothing would learn"


@pytest.mark.parametrize("kind", FROZEN)
@pytest.mark.parametrize("rank", [2, 3, 20])
@pytest.mark.parametrize("variant", variants)
def test_what_any_kind_adds_is_what_its_change_of_weights_says(variant: str, rank: int, kind: str):
    frozen = frozen_layer(kind)
    x, before = shown(frozen), frozen(shown(frozen))
    adapter = trained(beside(frozen, variant, rank=rank))
    answer = frozen(x)
    adapter.weight = 0.5
    half = frozen(x)
    adapter.detach()
    assert (answer - before).abs().max() > 0.05
    torch.testing.assert_close(half - before, (answer - before) / 2, atol=1e-5, rtol=1e-4)
    frozen.weight.add_(adapter.layers[NAME].delta_weight())
    torch.testing.assert_close(answer, frozen(x), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", FROZEN)
def test_dora_gives_each_input_s_weights_the_length_that_was_learnt(kind: str):
    """The formula of ComfyUI's weight_decompose and of A1111's, for a scale of one length per input."""
    frozen = frozen_layer(kind)
    adapter = trained(beside(frozen, "dora"))
    layer = cast("DoraLayer", adapter.layers[NAME])
    assert layer.dora_scale.shape == (1, frozen.weight.shape[1], *(1,) * (frozen.weight.ndim - 2))
    changed = frozen.weight + LoraLayer.delta_weight(layer)
    others = [axis for axis in range(frozen.weight.ndim) if axis != 1]
    expected = layer.dora_scale * changed / changed.square().sum(others, keepdim=True).sqrt()
    torch.testing.assert_close(frozen.weight + layer.delta_weight(), expected, atol=1e-5, rtol=1e-5)


def test_the_lengths_of_dora_are_a_constant_to_the_gradient():
    frozen = frozen_layer("linear")
    adapter = trained(beside(frozen, "dora"))
    layer = cast("DoraLayer", adapter.layers[NAME])
    down, up = layer.lora_down["weight"], layer.lora_up["weight"]
    x = shown(frozen)
    frozen(x).square().sum().backward()
    changed = frozen.weight + up @ down * layer.scale
    whole = layer.dora_scale * changed / changed.norm(dim=0, keepdim=True).detach()
    loss = (x @ whole.T + frozen.bias).square().sum()
    for ours, theirs in zip(
        (layer.dora_scale.grad, down.grad, up.grad),
        torch.autograd.grad(loss, (layer.dora_scale, down, up)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["linear", "strided", "square"])
@pytest.mark.parametrize("variant", ["loha", "lokr"])
def test_products_are_as_peft_computes_them(variant: str, kind: str):
    frozen = frozen_layer(kind)
    adapter = trained(beside(frozen, variant, rank=2))
    ours = adapter.layers[NAME]
    config = (LoHaConfig if variant == "loha" else LoKrConfig)(r=2, alpha=2, target_modules=["x"])
    holder = nn.ModuleDict({"x": frozen_layer(kind)})
    inject_adapter_in_model(config, holder)
    theirs = cast("Any", holder["x"])
    for name, parameter in ours.named_parameters():
        own = getattr(theirs, name)["default"]
        own.data.copy_(parameter.data.view(own.shape))
    torch.testing.assert_close(ours.delta_weight(), theirs.get_delta_weight("default"), atol=1e-6, rtol=1e-5)


def test_rslora_is_a_plain_lora_of_another_alpha():
    adapter = beside(frozen_layer("linear"), "rslora", rank=16, alpha=8.0)
    layer = adapter.layers[NAME]
    assert type(layer) is LoraLayer
    assert layer.alpha.item() == 8.0 * math.sqrt(16)
    assert layer.scale == pytest.approx(8.0 / math.sqrt(16))


@pytest.mark.parametrize("kind", FROZEN)
@pytest.mark.parametrize("rank", [2, 20])
@pytest.mark.parametrize("variant", variants)
def test_any_kind_comes_back_from_its_file(tmp_path: Path, variant: str, rank: int, kind: str):
    frozen, path = frozen_layer(kind), tmp_path / "x.safetensors"
    adapter = trained(beside(frozen, variant, rank=rank, alpha=3.0))
    save_lora(path, adapter, metadata=METADATA, dtype=torch.float32)
    again = adapter_from(load_lora(path), {NAME: frozen})
    torch.testing.assert_close(again.layers[NAME].delta_weight(), adapter.layers[NAME].delta_weight())
    assert type(again.layers[NAME]) is type(adapter.layers[NAME])
    if variant == "dora":
        assert load_file(path)[f"{NAME}.alpha"].item() == rank, "tools differ in where they scale"


def test_half_precision_keeps_the_change_to_half_precision(tmp_path: Path):
    for variant in variants:
        frozen, path = frozen_layer("square"), tmp_path / f"{variant}.safetensors"
        adapter = trained(beside(frozen, variant))
        save_lora(path, adapter, metadata=METADATA)
        again = adapter_from(load_lora(path), {NAME: frozen}).layers[NAME].delta_weight()
        exact = adapter.layers[NAME].delta_weight()
        assert (again - exact).abs().max() <= 3e-3 * exact.abs().max(), variant


def test_whole_kronecker_factors_are_never_scaled(tmp_path: Path):
    layer = LokrLayer.new(frozen_layer("square"), 20, 5.0, seed=0)
    assert {name for name, _ in layer.named_parameters()} == {"lokr_w1", "lokr_w2"}
    assert layer.scale == 1.0
    tensors = {**layer.state_dict(), "alpha": torch.tensor(7.0)}
    again = LokrLayer.of(frozen_layer("square"), tensors)
    again.load_state_dict(tensors)
    again.refresh()
    torch.testing.assert_close(again.delta_weight(), layer.delta_weight())


@pytest.mark.parametrize("variant", variants)
def test_a_file_for_another_base_is_refused_whatever_its_kind(tmp_path: Path, variant: str):
    path = tmp_path / "x.safetensors"
    save_lora(path, trained(beside(frozen_layer("linear"), variant)), metadata=METADATA)
    with pytest.raises(CheckpointError, match=f"{NAME}.*does not fit this base"):
        adapter_from(load_lora(path), {NAME: nn.Linear(7, 9)})


@pytest.mark.parametrize("dropout", [Dropout(inputs=0.5), Dropout(ranks=0.5), Dropout(layers=0.5)])
def test_what_is_left_out_at_random_is_left_out_in_training_only_and_the_mean_stays(dropout: Dropout):
    frozen = frozen_layer("linear")
    x = shown(frozen)[:1, :1, :1]
    adapter = trained(beside(frozen, "lora", rank=8, dropout=dropout))
    whole = frozen(x)
    assert torch.equal(frozen(x), whole)
    adapter.train()
    torch.manual_seed(3)
    answers = torch.stack([frozen(x) for _ in range(4000)])
    torch.manual_seed(3)
    assert torch.equal(frozen(x), answers[0]), "one seed, one answer"
    assert answers.std(0).max() > 0.01
    adapter.weight = 0.0
    base = frozen(x)
    share = 1.0 if not dropout.layers else 0.5  # of the steps; nothing makes up for a layer that is left out
    torch.testing.assert_close(answers.mean(0), base + share * (whole - base), atol=0.05, rtol=0.05)


def test_a_gaussian_start_has_the_deviation_that_peft_gives_it():
    layer = LoraLayer.new(nn.Linear(2000, 10), 8, 8.0, seed=1, init="gaussian")
    assert layer.lora_down["weight"].std().item() == pytest.approx(1 / 8, rel=0.05)
    assert not layer.lora_up["weight"].any()
