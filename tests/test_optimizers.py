"""The optimizers: each takes its paper's step, goes on where it was, and learns at the rates that the recipe says."""

from typing import Any

import pytest
import torch
from torch import nn

from likeness.diffusion.adapter import Adapter, attach
from likeness.diffusion.blocks import BlockSet
from likeness.errors import MissingExtra
from likeness.recipe import TrainConfig
from likeness.training.optimizers import Average, groups_of, new_optimizer, optimizers, rate_at, set_rates


def test_the_step_size_rises_straight_then_falls_as_a_cosine() -> None:
    config = TrainConfig(steps=100, warmup=0.1, learning_rate=2e-3)
    rates = [rate_at(step, config) for step in range(100)]
    assert rates[:10] == pytest.approx([2e-4 * (step + 1) for step in range(10)])
    assert rates[10] == 2e-3
    assert rates[55] == pytest.approx(1e-3)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[99] < 1e-6


def test_a_constant_schedule_stays_at_its_peak_and_needs_no_warm_up() -> None:
    config = TrainConfig(steps=5, warmup=0, schedule="constant", learning_rate=1e-3)
    assert {rate_at(step, config) for step in range(5)} == {1e-3}


def test_adamw_takes_the_step_that_its_paper_describes() -> None:
    config = TrainConfig(learning_rate=0.1, weight_decay=0.5, betas=(0.9, 0.99))
    weight = torch.nn.Parameter(torch.tensor([2.0]))
    weight.grad = torch.tensor([3.0])
    new_optimizer([([weight], 1.0)], config).step()
    assert weight.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5) - 0.1)


def test_the_average_follows_fast_at_first_and_swaps_places() -> None:
    tensor = torch.zeros(3)
    average = Average([tensor], decay=0.99)
    tensor.fill_(1.0)
    average.update(0)
    assert average.tensors[0][0].item() == pytest.approx(0.9)  # decay 1 / 10
    average.swap()
    assert tensor[0].item() == pytest.approx(0.9)
    assert average.tensors[0][0].item() == 1.0


def test_late_in_a_run_the_average_has_its_full_decay() -> None:
    tensor = torch.zeros(1)
    average = Average([tensor], decay=0.5)
    tensor.fill_(1.0)
    average.update(10_000)
    assert average.tensors[0].item() == 0.5


def config_of(name: str, **fields: Any) -> TrainConfig:
    return TrainConfig.model_validate({"optimizer": name, "steps": 60, "warmup": 0.0, **fields})


def installed(name: str) -> None:
    package = {"adamw8bit": "bitsandbytes", "prodigy": "prodigyopt", "schedule-free": "schedulefree"}.get(name)
    if package:
        pytest.importorskip(package, reason=f"{name} is {package}'s")


@pytest.mark.parametrize("name", optimizers)
def test_every_optimizer_finds_the_bottom_of_a_bowl(name: str) -> None:
    installed(name)
    own: dict[str, Any] = {"learning_rate": 1.0, "steps": 300} if name == "prodigy" else {"learning_rate": 0.1}
    config = config_of(name, weight_decay=0.0, **own)
    weight = nn.Parameter(torch.full((64, 64), 2.0))
    optimizer = new_optimizer([([weight], 1.0)], config)
    learns: Any = optimizer
    if hasattr(optimizer, "train"):
        learns.train()
    for step in range(config.steps):
        set_rates(optimizer, step, config)
        optimizer.zero_grad()
        (weight - 1).square().mean().backward()
        optimizer.step()
    if hasattr(optimizer, "eval"):
        learns.eval()
    assert (weight - 1).abs().max() < 0.6
    assert torch.isfinite(weight).all()


def test_an_optimizer_that_is_not_installed_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("likeness.training.optimizers.import_module", missing)
    with pytest.raises(MissingExtra, match=r"prodigyopt.*train\.optimizer = 'prodigy'.*\[optimizers\]"):
        new_optimizer([([nn.Parameter(torch.zeros(1))], 1.0)], config_of("prodigy"))


def adapter() -> Adapter:
    targets = {f"lora_unet_{name}": nn.Linear(4, 4) for name in ("a", "b", "c")}
    return attach(targets, [BlockSet("lora_unet_*", 2)])


def test_layers_with_rates_of_their_own_learn_at_them() -> None:
    some, config = adapter(), TrainConfig(learning_rate=1e-3, warmup=0)
    groups = groups_of(some, {"lora_unet_a": 1.0, "lora_unet_b": 0.1, "lora_unet_c": 1.0}, config)
    assert [(len(parameters), ratio) for parameters, ratio in groups] == [(4, 1.0), (2, 0.1)]
    optimizer = new_optimizer(groups, config)
    set_rates(optimizer, 0, config)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, pytest.approx(1e-4)]


def test_lora_plus_lets_the_half_that_begins_at_zero_learn_faster() -> None:
    some = adapter()
    ratios = dict.fromkeys(some.layers, 1.0)
    groups = dict((ratio, parameters) for parameters, ratio in groups_of(some, ratios, TrainConfig(up_rate_ratio=16)))
    ups = {id(layer.get_parameter("lora_up.weight")) for layer in some.layers.values()}
    assert {id(parameter) for parameter in groups[16.0]} == ups
    assert len(groups[1.0]) == 3


def test_one_rate_for_all_is_one_group_in_the_adapter_s_own_order() -> None:
    some = adapter()
    ((parameters, ratio),) = groups_of(some, dict.fromkeys(some.layers, 1.0), TrainConfig())
    assert ratio == 1.0
    assert [id(one) for one in parameters] == [id(one) for one in some.parameters()]


@pytest.mark.parametrize(("schedule", "middle"), [("linear", 5e-4), ("cosine", 5e-4), ("cosine-restarts", 5e-4)])
def test_schedules_fall_from_the_peak(schedule: str, middle: float) -> None:
    config = TrainConfig.model_validate({"steps": 120, "warmup": 0, "schedule": schedule, "learning_rate": 1e-3})
    rates = [rate_at(step, config) for step in range(120)]
    assert rates[0] == 1e-3
    assert rates[60] == pytest.approx(middle, rel=0.02)
    assert rates.count(1e-3) == (3 if schedule == "cosine-restarts" else 1)
    assert rates[-1] < 2e-5


def test_schedule_free_has_no_schedule() -> None:
    config = config_of("schedule-free", learning_rate=1e-3)
    assert {rate_at(step, config) for step in range(60)} == {1e-3}
