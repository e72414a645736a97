"""The loss and its weights: golden values, and properties that a wrong sign or a wrong form breaks."""

import math

import pytest
import torch

from likeness.diffusion.schedule import Schedule
from likeness.errors import RecipeError
from likeness.recipe import TrainConfig
from likeness.training.objective import debiased_weight, denoising_loss, loss_weights, min_snr_weight

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
    assert denoising_loss(perfect, target, torch.ones(3)).max() < 1e-5
    assert denoising_loss(-perfect, target, torch.ones(3)).min() > 1


def test_each_example_has_its_own_loss_and_weight() -> None:
    output, target = torch.zeros(2, 4, 8, 8), torch.ones(2, 4, 8, 8)
    target[1] = 2
    assert denoising_loss(output, target, torch.tensor([1.0, 0.5])).tolist() == pytest.approx([1, 0.5 * 4])


def test_a_small_subject_weighs_as_much_as_a_large_one() -> None:
    output, target = torch.zeros(2, 4, 8, 8), torch.zeros(2, 4, 8, 8)
    masks = torch.zeros(2, 1, 8, 8)
    masks[0, :, :2, :2], masks[1, :, :, :4] = 1, 1
    target[masks.expand_as(target) == 1] = 3.0
    losses = denoising_loss(output, target, torch.ones(2), map_B1hw=masks)
    assert losses.tolist() == pytest.approx([9, 9])
    even = denoising_loss(output, target, torch.ones(2), map_B1hw=torch.full((2, 1, 8, 8), 0.3))
    torch.testing.assert_close(even, denoising_loss(output, target, torch.ones(2)))


def test_huber_counts_small_errors_squared_and_large_ones_straight() -> None:
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1)
    small, large, larger = (
        denoising_loss(torch.full((1, 1, 1, 1), error), zero, one, huber_c=0.1).item() for error in (1e-3, 100.0, 200.0)
    )
    assert small == pytest.approx(1e-6, rel=1e-3)
    assert larger - large == pytest.approx(2 * 0.1 * 100, rel=1e-3)


def test_the_loss_is_summed_in_float32_whatever_the_answer_is_in() -> None:
    output, target = torch.full((1, 4, 64, 64), 256.0, dtype=torch.float16), torch.zeros(1, 4, 64, 64)
    assert denoising_loss(output, target, torch.ones(1)).item() == 256.0**2


def test_debiased_weights_are_one_objective_for_both_predictions() -> None:
    """An error of the velocity is one of the noise, divided by the amplitude of the picture."""
    epsilon, v = schedule("epsilon"), schedule("v")
    abar = epsilon.abar_T[TIMES]
    torch.testing.assert_close(debiased_weight(v, TIMES) / abar, debiased_weight(epsilon, TIMES), rtol=1e-4, atol=1e-5)
    assert debiased_weight(epsilon, TIMES)[-1].item() == pytest.approx(1 / math.sqrt(0.00468192), rel=1e-4)


def test_the_last_step_of_a_zero_terminal_base_is_taught_and_no_other_base_is_changed() -> None:
    config = TrainConfig(weight_floor=0.05)
    floored = loss_weights(schedule("v", zero_terminal=True), config)
    assert (floored[-1].item(), floored.min().item()) == (pytest.approx(0.05), pytest.approx(0.05))
    assert floored[100].item() == pytest.approx(0.56619, abs=1e-5)
    plain = loss_weights(schedule("v"), config)
    assert plain[-1].item() == pytest.approx(0.00466, abs=1e-5)
    assert loss_weights(schedule("epsilon"), TrainConfig(weighting="none")).unique().tolist() == [1.0]


@pytest.mark.parametrize("weighting", ["min-snr", "debiased"])
def test_weights_without_a_bound_are_refused_with_what_to_do(weighting: str) -> None:
    config = TrainConfig.model_validate({"weighting": weighting})
    with pytest.raises(RecipeError, match=f"train.weighting = '{weighting}' cannot be.*Set it to 'none'"):
        loss_weights(schedule("epsilon", zero_terminal=True), config)
