"""The noise of a step: as plain as it is where nothing is asked, and otherwise as the recipe says."""

from typing import Any

import pytest
import torch
from torch import Tensor

from likeness.diffusion.schedule import Schedule
from likeness.errors import RecipeError
from likeness.recipe import TrainConfig
from likeness.training.noise import Noising, coloured, perturbed, timestep_shares

SD15 = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000}
PLAIN = Schedule.from_config({**SD15, "prediction_type": "epsilon"})
ZERO_TERMINAL = Schedule.from_config({**SD15, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 64) -> Tensor:
    return torch.randn(count, 4, 16, 16, generator=generator(9))


def test_where_nothing_is_asked_noise_is_plain_and_no_number_is_drawn():
    drawn = generator()
    before = drawn.get_state()
    assert coloured(noise(), TrainConfig(), drawn) is not None
    assert torch.equal(coloured(noise(), TrainConfig(), drawn), noise())
    assert torch.equal(perturbed(noise(), TrainConfig(), drawn), noise())
    assert torch.equal(drawn.get_state(), before)


def test_an_offset_shifts_each_channel_as_a_whole():
    added = coloured(noise(), TrainConfig(noise_offset=0.1), generator()) - noise()
    assert added.std((2, 3)).max() < 1e-6
    assert added[..., 0, 0].std().item() == pytest.approx(0.1, rel=0.15)


def test_coarser_layers_make_neighbours_alike_and_keep_the_deviation():
    made = coloured(noise(), TrainConfig(multires_noise=6), generator())
    assert made.std().item() == pytest.approx(1, abs=1e-4)
    assert (made[..., 1:] * made[..., :-1]).mean() > 0.02 > (noise()[..., 1:] * noise()[..., :-1]).mean()


def test_perturbation_adds_noise_that_is_not_to_be_found():
    more = perturbed(noise(), TrainConfig(input_perturbation=0.1), generator()) - noise()
    assert more.std().item() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("fields", [{"noise_offset": 0.05}, {"multires_noise": 6}])
def test_shifted_noise_is_refused_for_a_base_that_ends_in_pure_noise(fields: dict[str, Any]):
    (field,) = fields
    with pytest.raises(RecipeError, match=rf"train\.{field} = .*zero terminal SNR.*Set it to 0"):
        Noising.of(ZERO_TERMINAL, TrainConfig(**fields))
    assert Noising.of(PLAIN, TrainConfig(**fields)).config.steps


@pytest.mark.parametrize(("timesteps", "middle"), [("high-noise", 0.75), ("low-noise", 0.25), ("logit-normal", 0.5)])
def test_timesteps_are_drawn_as_often_as_is_said(timesteps: str, middle: float):
    config = TrainConfig.model_validate({"timesteps": timesteps})
    shares = timestep_shares(PLAIN, config)
    assert shares is not None
    assert shares.sum().item() == pytest.approx(1, abs=1e-4)
    drawn = Noising.of(PLAIN, config).timesteps(50_000, generator())
    assert (drawn.float().mean() / 1000).item() == pytest.approx(middle, abs=0.01)
    counts = torch.bincount(drawn, minlength=1000).float().view(20, 50).sum(1) / len(drawn)
    torch.testing.assert_close(counts, shares.view(20, 50).sum(1), atol=0.005, rtol=0.1)


def test_all_alike_draws_what_the_schedule_draws():
    assert timestep_shares(PLAIN, TrainConfig()) is None
    noising = Noising.of(PLAIN, TrainConfig())
    assert torch.equal(noising.timesteps(9, generator()), PLAIN.draw(9, generator()))


def test_a_range_is_kept_to_with_both_of_its_ends():
    drawn = Noising.of(PLAIN, TrainConfig(timestep_range=(700, 709))).timesteps(5000, generator())
    assert set(drawn.tolist()) == set(range(700, 710))
    with pytest.raises(RecipeError, match="this base's last timestep is 999"):
        timestep_shares(PLAIN, TrainConfig(timestep_range=(0, 1000)))
