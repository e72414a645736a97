"""The ledger: pictures are compared at equal noise, and the one that a run stumbled over is named."""

import math

import pytest
import torch

from likeness.training.ledger import Ledger

PATHS = ("a.png", "b.png", "c.png", "odd.png")


def filled(*, odd: float = 1.0, rounds: int = 200, recent: int = 50) -> Ledger:
    """Losses that fall with the timestep a hundredfold, and a picture whose losses are `odd` times as high."""
    ledger, generator = Ledger(PATHS, 1000, recent=recent, device=torch.device("cpu")), torch.Generator().manual_seed(1)
    for step in range(1, rounds + 1):
        t_B = torch.randint(1000, (4,), generator=generator)
        losses_B = 10 ** (-2 * (t_B // 100) / 10) * (0.8 + 0.4 * torch.rand(4, generator=generator))
        losses_B[3] *= odd
        ledger.note(step, torch.arange(4), t_B, losses_B)
    return ledger


def test_a_picture_that_is_harder_than_others_at_equal_noise_is_told():
    first, *others = filled(odd=3.0).report()
    assert (first.path, first.times, first.is_odd) == ("odd.png", 200, True)
    assert first.relative == pytest.approx(2.0, abs=0.1)  # of the mean, in which it counts itself
    assert not any(one.is_odd for one in others)


def test_pictures_that_are_alike_are_alike_whatever_noise_they_met():
    assert all(one.relative == pytest.approx(1, abs=0.05) for one in filled().report())
    assert not any(one.is_odd for one in filled().report())


def test_what_was_drawn_seldom_says_nothing():
    assert not any(one.is_odd for one in filled(odd=3.0, rounds=5).report())


def test_a_spike_names_step_and_picture():
    ledger = filled()
    assert ledger.spikes() == []
    ledger.note(201, torch.tensor([2]), torch.tensor([950]), torch.tensor([1.0]))
    ((step, path, times),) = ledger.spikes()
    assert (step, path) == (201, "c.png")
    assert times > 20
    ledger.forget_recent()
    assert ledger.spikes() == []


def test_the_first_loss_that_is_no_number_is_named_and_spoils_no_mean():
    ledger = filled()
    assert ledger.first_infinite() is None
    ledger.note(201, torch.tensor([0, 1]), torch.tensor([5, 5]), torch.tensor([1.0, math.nan]))
    ledger.note(202, torch.tensor([2]), torch.tensor([5]), torch.tensor([math.inf]))
    assert ledger.first_infinite() == (201, "b.png")
    assert torch.isfinite(ledger.sums_2PL).all()


def test_only_the_last_losses_are_kept_one_by_one():
    ledger = filled(recent=3)
    ledger.note(201, torch.tensor([2]), torch.tensor([950]), torch.tensor([1.0]))
    for step in range(202, 205):
        ledger.note(step, torch.tensor([0]), torch.tensor([950]), torch.tensor([0.01]))
    assert ledger.spikes() == []
