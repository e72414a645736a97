"""The loss and its weights: golden values, and properties that a wrong sign or a wrong form breaks."""

import pytest
import torch

from likeness.diffusion.schedule import Schedule
from likeness.recipe import TrainConfig
from likeness.training.objective import denoising_loss, min_snr_weight
from likeness.training.optimizers import Average, adamw, rate_at

SD15 = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
TIMES = torch.tensor([0, 100, 200, 499, 800, 900, 999])
EPSILON = [0.00425, 0.59144, 1, 1, 1, 1, 1]
V = [0.00425, 0.52888, 0.75369, 0.27767, 0.03687, 0.01415, 0.00466]
V_ZERO_TERMINAL = [0.00425, 0.56619, 0.73706, 0.24236, 0.01764, 0.00296, 0]


def schedule(prediction: str, *, zero_terminal: bool = False) -> Schedule:
    named = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    return Schedule.from_config({**SD15, "prediction_type": named, "rescale_betas_zero_snr": zero_terminal})


@pytest.mark.parametrize(
    ("prediction", "zero_terminal", "golden"),
    [("epsilon", False, EPSILON), ("v", False, V), ("v", True, V_ZERO_TERMINAL)],
)
def test_the_weights_are_the_golden_ones(prediction: str, zero_terminal: bool, golden: list[float]) -> None:
    weights = min_snr_weight(schedule(prediction, zero_terminal=zero_terminal), TIMES)
    torch.testing.assert_close(weights, torch.tensor(golden), atol=6e-6, rtol=0)


def test_a_weight_that_has_no_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="unbounded at SNR 0"):
        min_snr_weight(schedule("epsilon", zero_terminal=True), TIMES)


def test_a_higher_cap_lets_low_noise_steps_weigh_more() -> None:
    low, high = (min_snr_weight(schedule("epsilon"), TIMES, gamma) for gamma in (1.0, 5.0))
    assert (low <= high).all()
    assert low[0] * 4.9 < high[0]


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_a_perfect_denoiser_has_no_loss(prediction: str) -> None:
    noising = schedule(prediction)
    generator = torch.Generator().manual_seed(1)
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=generator)
    t = torch.tensor([0, 500, 999])
    abar = noising.abar_T[t].view(-1, 1, 1, 1)
    noisy = noising.add_noise(clean, noise, t)
    perfect = {
        "epsilon": (noisy - abar.sqrt() * clean) / (1 - abar).sqrt(),
        "v": (abar.sqrt() * noisy - clean) / (1 - abar).sqrt(),
    }[prediction]
    target = noising.target(clean, noise, t)
    assert denoising_loss(perfect, target, torch.ones(3)) < 1e-5
    assert denoising_loss(-perfect, target, torch.ones(3)) > 1


def test_the_loss_is_the_weighted_mean_of_each_examples_own() -> None:
    output, target = torch.zeros(2, 4, 8, 8), torch.ones(2, 4, 8, 8)
    target[1] = 2
    assert denoising_loss(output, target, torch.tensor([1.0, 0.5])).item() == pytest.approx((1 + 0.5 * 4) / 2)


def test_the_loss_is_summed_in_float32_whatever_the_answer_is_in() -> None:
    output, target = torch.full((1, 4, 64, 64), 256.0, dtype=torch.float16), torch.zeros(1, 4, 64, 64)
    assert denoising_loss(output, target, torch.ones(1)).item() == 256.0**2


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
    adamw([weight], config).step()
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
