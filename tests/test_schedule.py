"""Shapes: B batch, D h w latent, T timesteps."""

from typing import Any, cast

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from likeness.diffusion.schedule import Schedule
from likeness.errors import CheckpointError

SD15 = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}

# t, SNR, SNR after the zero-terminal rescale: computed by hand from the formulas of the papers.
GOLDEN = [
    (0, 1175.47, 1175.47),
    (100, 8.45389, 7.83090),
    (200, 3.05996, 2.80313),
    (499, 0.384408, 0.319887),
    (800, 0.038281, 0.0179581),
    (900, 0.0143543, 0.00296918),
    (999, 0.00468192, 0.0),
]


@pytest.mark.parametrize(("t", "plain", "rescaled"), GOLDEN)
def test_the_signal_to_noise_ratio_has_its_golden_values(t: int, plain: float, rescaled: float) -> None:
    step = torch.tensor([t])
    assert Schedule.from_config(SD15).snr(step).item() == pytest.approx(plain, rel=2e-5)
    zero_terminal = Schedule.from_config(SD15 | {"rescale_betas_zero_snr": True})
    assert zero_terminal.snr(step).item() == pytest.approx(rescaled, rel=2e-5, abs=1e-12)


@pytest.mark.parity
@pytest.mark.parametrize("named", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("rescaled", [False, True])
def test_noise_and_velocity_are_those_of_diffusers(named: str, rescaled: bool) -> None:
    config = SD15 | {"beta_schedule": named, "rescale_betas_zero_snr": rescaled, "prediction_type": "v_prediction"}
    ours, theirs = Schedule.from_config(config), cast("Any", DDIMScheduler(**config))
    clean, noise = torch.randn(2, 4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0, 1, 500, 999])
    torch.testing.assert_close(ours.add_noise(clean, noise, t), theirs.add_noise(clean, noise, t), atol=2e-4, rtol=0)
    torch.testing.assert_close(ours.target(clean, noise, t), theirs.get_velocity(clean, noise, t), atol=2e-4, rtol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_clean_picture_follows_from_the_noisy_one_and_the_target(prediction: str) -> None:
    named = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    schedule = Schedule.from_config(SD15 | {"prediction_type": named})
    assert schedule.prediction == prediction
    clean, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    t = torch.tensor([0, 500, 999])
    noisy, target = schedule.add_noise(clean, noise, t), schedule.target(clean, noise, t)
    abar = schedule.abar_T[t].double().view(-1, 1, 1, 1)
    recovered = {
        "epsilon": (noisy - (1 - abar).sqrt() * target) / abar.sqrt(),
        "v": abar.sqrt() * noisy - (1 - abar).sqrt() * target,
    }[prediction]
    torch.testing.assert_close(recovered, clean, atol=1e-4, rtol=0)


def test_noising_keeps_the_dtype_of_the_latents() -> None:
    clean = torch.ones(2, 4, 8, 8, dtype=torch.bfloat16)
    noisy = Schedule.from_config(SD15).add_noise(clean, clean, torch.tensor([0, 999]))
    assert noisy.dtype == torch.bfloat16


def test_timesteps_are_drawn_over_the_whole_range_and_repeat_with_their_seed() -> None:
    schedule = Schedule.from_config(SD15)
    drawn = schedule.draw(20_000, torch.Generator().manual_seed(3))
    assert drawn.dtype == torch.int64
    assert (drawn.min().item(), drawn.max().item()) == (0, 999)
    assert drawn.float().mean().item() == pytest.approx(499.5, abs=8)
    assert torch.equal(drawn, schedule.draw(20_000, torch.Generator().manual_seed(3)))


def test_a_base_that_lists_its_betas_is_taken_at_its_word() -> None:
    schedule = Schedule.from_config({"trained_betas": [0.1, 0.2, 0.5]})
    torch.testing.assert_close(schedule.abar_T, torch.tensor([0.9, 0.72, 0.36]))
    assert len(schedule) == 3


@pytest.mark.parametrize("field", ["prediction_type", "beta_schedule"])
def test_an_unknown_schedule_is_refused_and_never_guessed(field: str) -> None:
    with pytest.raises(CheckpointError, match=f"{field} = 'sample'"):
        Schedule.from_config(SD15 | {field: "sample"})
