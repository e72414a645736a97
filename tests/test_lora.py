"""The adapter against peft, and what it promises about the base that it stands beside."""

import copy
import math
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from tiny import WIDTH, tiny_unet
from torch import Tensor, nn

from likeness.diffusion.adapter import Adapter, attach
from likeness.diffusion.blocks import BlockSet, block_sets, select
from likeness.diffusion.lora import LoraLayer
from likeness.errors import CheckpointError, RecipeError


def named(unet: nn.Module) -> dict[str, nn.Module]:
    """Layers by their names in a file; the rule is StableDiffusion15's, and tested with it."""
    kinds = (nn.Linear, nn.Conv2d)
    return {
        "lora_unet_" + path.replace(".", "_"): layer
        for path, layer in unet.named_modules()
        if isinstance(layer, kinds) and any(part in path for part in (".attentions.", ".resnets.", "samplers."))
    }


def trained(adapter: Adapter, seed: int = 5) -> Adapter:
    """The same adapter with weights as if trained: neither half is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return adapter


@pytest.fixture
def unet() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return tiny_unet().eval().requires_grad_(False)


@pytest.fixture
def ask() -> Callable[[nn.Module], Tensor]:
    """The denoiser's answer to a fixed question."""
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(2, 4, 8, 8, generator=generator)
    tokens = torch.randn(2, 5, WIDTH, generator=generator)

    def answer(unet: nn.Module) -> Tensor:
        return unet(noisy, torch.tensor([10, 900]), encoder_hidden_states=tokens, return_dict=False)[0]

    return answer


@pytest.mark.parity
@pytest.mark.parametrize("alpha", [4.0, 1.5])
def test_forward_and_gradients_equal_pefts(unet: nn.Module, ask: Callable[[nn.Module], Tensor], alpha: float) -> None:
    theirs = copy.deepcopy(unet)
    adapter = trained(attach(named(unet), [BlockSet("all", 4, alpha)]))
    paths = [path for path in dict(theirs.named_modules()) if "lora_unet_" + path.replace(".", "_") in adapter.layers]
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=cast("int", alpha), target_modules=paths), theirs)
    pairs = []
    for path in paths:
        layer, other = adapter.layers["lora_unet_" + path.replace(".", "_")], cast("Any", theirs.get_submodule(path))
        pairs += [(layer.get_parameter("lora_down.weight"), other.lora_A["default"].weight)]
        pairs += [(layer.get_parameter("lora_up.weight"), other.lora_B["default"].weight)]
    for ours, other in pairs:
        other.data.copy_(ours.data)
    answers = ask(unet), ask(theirs)
    torch.testing.assert_close(answers[0], answers[1], atol=2e-5, rtol=1e-5)
    for answer in answers:
        answer.square().sum().backward()
    largest = max(other.grad.abs().max().item() for _, other in pairs)
    for ours, other in pairs:
        torch.testing.assert_close(ours.grad, other.grad, atol=1e-5 * largest, rtol=1e-4)


def test_a_new_adapter_adds_nothing_and_starts_as_the_paper_says(
    unet: nn.Module, ask: Callable[[nn.Module], Tensor]
) -> None:
    before = ask(unet)
    adapter = attach(named(unet), [BlockSet("attention", 8)])
    assert torch.equal(ask(unet), before)
    down = torch.cat(
        [
            layer.get_parameter("lora_down.weight").flatten()
            * math.sqrt(layer.get_parameter("lora_down.weight").shape[1])
            for layer in adapter.layers.values()
        ]
    )
    assert down.std().item() == pytest.approx(
        1 / math.sqrt(3), rel=0.02
    )  # kaiming_uniform(a=sqrt 5): U(-1, 1) / sqrt(I)
    assert down.abs().max().item() <= 1


def test_a_layers_first_weights_are_the_same_whatever_else_is_adapted(unet: nn.Module) -> None:
    torch.manual_seed(1)
    everywhere = attach(named(unet), [BlockSet("all", 4)], seed=7).state_dict()
    torch.manual_seed(2)
    upper = attach(named(unet), [BlockSet("upper", 4)], seed=7).state_dict()
    other = attach(named(unet), [BlockSet("upper", 4)], seed=8).state_dict()
    assert all(torch.equal(tensor, everywhere[name]) for name, tensor in upper.items())
    downs = [name for name in upper if name.endswith("lora_down.weight")]
    assert not any(torch.equal(upper[name], other[name]) for name in downs)
    starts = {tuple(upper[name].flatten()[:4].tolist()) for name in downs}
    assert len(starts) == len(downs), "two layers start alike"


def test_weight_zero_is_the_base_and_weight_scales_what_is_added(unet: nn.Module) -> None:
    layer = cast("nn.Linear", named(unet)["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"])
    x = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(3))
    base = layer(x)
    adapter = trained(attach(named(unet), [BlockSet("attention", 4, 2.0)]))
    added = layer(x) - base
    assert added.abs().max() > 0.1
    adapter.weight = 0.5
    torch.testing.assert_close(layer(x) - base, added / 2, atol=1e-6, rtol=1e-5)
    adapter.weight = 0
    assert torch.equal(layer(x), base)


def test_two_adapters_over_one_base_add_up(unet: nn.Module) -> None:
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    layer = cast("nn.Linear", named(unet)[name])
    x = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(3))
    base = layer(x)
    one, two = (trained(attach(named(unet), [BlockSet("attention", 4)]), seed) for seed in (1, 2))
    torch.testing.assert_close(layer(x), base + one.layers[name](x) + two.layers[name](x))


def test_detaching_gives_the_base_back_bit_for_bit(unet: nn.Module, ask: Callable[[nn.Module], Tensor]) -> None:
    weights, before = copy.deepcopy(unet.state_dict()), ask(unet)
    adapter = trained(attach(named(unet), [BlockSet("all", 4)]))
    ask(unet).sum().backward()
    assert not torch.equal(ask(unet), before)
    adapter.detach()
    assert torch.equal(ask(unet), before)
    assert unet.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in unet.state_dict().items())
    assert not any(layer._forward_hooks for layer in unet.modules())
    assert adapter.state_dict()


@pytest.mark.parametrize(
    ("blocks", "below"),
    [
        ("upper", ["conv_in", "time_embedding", "down_blocks", "mid_block", "up_blocks.0"]),
        ("mid-upper", ["conv_in", "time_embedding", "down_blocks", "mid_block.resnets.0"]),
    ],
)
def test_backward_stops_at_the_lowest_trained_block(
    unet: nn.Module, ask: Callable[[nn.Module], Tensor], blocks: str, below: list[str]
) -> None:
    adapter = attach(named(unet), [BlockSet(blocks, 4)])
    keeps_a_graph: dict[str, bool] = {}
    for path, layer in unet.named_modules():
        if not list(layer.children()):
            layer.register_forward_hook(
                lambda _, __, output, path=path: keeps_a_graph.update({path: output.requires_grad})
            )
    ask(unet).square().sum().backward()
    lower = [path for path in keeps_a_graph if path.startswith(tuple(below))]
    assert len(lower) > 20
    assert sum(keeps_a_graph[path] for path in lower) == 0
    assert keeps_a_graph["conv_out"]
    assert all(layer.get_parameter("lora_up.weight").grad is not None for layer in adapter.layers.values())


@pytest.mark.parametrize("autocast", [False, True])
def test_weights_and_gradients_stay_float32_beside_a_bfloat16_base(autocast: bool) -> None:
    frozen = nn.Linear(8, 6).requires_grad_(False)
    frozen = frozen if autocast else frozen.bfloat16()
    adapter = trained(attach({"lora_unet_x": frozen}, [BlockSet("lora_unet_x", 4)]))
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(1)).to(frozen.weight.dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        answer = frozen(x)
    answer.float().sum().backward()
    assert answer.dtype == torch.bfloat16
    exact = x.float() @ (frozen.weight.float() + adapter.layers["lora_unet_x"].delta_weight()).T + frozen.bias.float()
    torch.testing.assert_close(answer.float(), exact, atol=0.05, rtol=0.05)
    for parameter in adapter.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None
        assert parameter.grad.dtype == torch.float32


@pytest.mark.parametrize(
    "frozen",
    [nn.Linear(6, 10), nn.Conv2d(6, 10, 1), nn.Conv2d(6, 10, 3, padding=1), nn.Conv2d(6, 10, 3, stride=2, padding=1)],
)
def test_what_is_added_is_what_the_change_of_weights_says(frozen: nn.Linear | nn.Conv2d) -> None:
    frozen.requires_grad_(False)
    x = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(1))
    x = x if isinstance(frozen, nn.Conv2d) else x.movedim(1, -1)
    adapter = trained(attach({"lora_unet_x": frozen}, [BlockSet("lora_unet_x", 3, 2.0)]))
    answer = frozen(x)
    adapter.detach()
    frozen.weight.add_(adapter.layers["lora_unet_x"].delta_weight())
    torch.testing.assert_close(answer, frozen(x), atol=1e-5, rtol=1e-5)


# Of the tiny denoiser: 7 transformers (2 down, 1 middle, 4 up) and 11 residual blocks; 8 attention layers each.
COUNTS = {
    "attention": 7 * 8,
    "cross-attention": 7 * 4,
    "upper": 4 * 8,
    "mid-upper": 5 * 8,
    "content": 8,
    "style": 8,
    "attention-ff": 7 * 10,
    "transformer": 7 * 12,
    "convolutions": 11 * 2 + 7,
    "all": 7 * 12 + 11 * 2 + 7,
}


@pytest.mark.parametrize("blocks", block_sets)
def test_each_named_block_set_is_the_layers_that_it_says(unet: nn.Module, blocks: str) -> None:
    assert len(select(named(unet), blocks)) == COUNTS[blocks]


def test_a_pattern_chooses_layers_and_the_last_set_that_names_a_layer_decides(unet: nn.Module) -> None:
    sets = [BlockSet("attention", 4), BlockSet("lora_unet_mid_block_*attn2*", 16, 8.0)]
    adapter = attach(named(unet), sets)
    kinds = {name: (layer.rank, layer.scale) for name, layer in adapter.layers.items()}
    middle = {name for name in kinds if "mid_block" in name and "attn2" in name}
    assert len(middle) == 4
    assert {kinds[name] for name in middle} == {(16, 0.5)}
    assert {kinds[name] for name in kinds.keys() - middle} == {(4, 1.0)}
    assert list(adapter.layers) == [name for name in named(unet) if name in kinds]


@pytest.mark.parametrize(("wrong", "hint"), [("uper", "did you mean 'upper'"), ("lora_unet_nowhere_*", "Use one of")])
def test_an_unknown_block_set_is_refused_with_the_choices(unet: nn.Module, wrong: str, hint: str) -> None:
    with pytest.raises(RecipeError, match=hint) as refused:
        attach(named(unet), [BlockSet(wrong, 4)])
    assert all(name in str(refused.value) for name in block_sets)


def test_an_adapter_loads_its_own_weights_and_alphas(unet: nn.Module, ask: Callable[[nn.Module], Tensor]) -> None:
    first = trained(attach(named(unet), [BlockSet("attention", 4, 3.0)]))
    answer, weights = ask(unet), {name: tensor.clone() for name, tensor in first.state_dict().items()}
    first.detach()
    second = attach(named(unet), [BlockSet("attention", 4, 1.0)], seed=9)
    second.load(weights)
    assert torch.equal(ask(unet), answer)


@pytest.mark.parametrize("change", ["missing", "strange", "rank"])
def test_an_adapter_refuses_weights_that_are_not_its_own(unet: nn.Module, change: str) -> None:
    adapter = attach(named(unet), [BlockSet("attention", 4)])
    weights = dict(adapter.state_dict())
    name = next(iter(weights))
    if change == "rank":
        weights[name] = torch.zeros(5, *weights[name].shape[1:])
    elif change == "missing":
        del weights[name]
    else:
        name = "lora_unet_strange.alpha"
        weights[name] = torch.zeros(())
    with pytest.raises(CheckpointError, match=name):
        adapter.load(weights)


def test_a_layer_without_a_low_rank_form_is_a_bug_of_the_caller() -> None:
    with pytest.raises(AssertionError, match="GroupNorm"):
        LoraLayer(nn.GroupNorm(2, 4), 2, 2.0)
