"""Watching a run: it goes on while checkpoints get better, and ends some checkpoints after the best one."""

import pytest
from test_axes import Painter, base, good
from test_evaluate import CONFIG, FEW, FULL, Studio, partly, planned, real_drawings

from likeness.evaluation.evaluate import BASE, Candidate
from likeness.evaluation.instruments import Real
from likeness.evaluation.watch import Watch

LEARNING: list[Painter] = [partly(share) for share in (0.1, 0.3, 0.6, 0.9)]
FLAT: list[Painter] = [good] * 3


def watched(painters: list[Painter], patience: int, first: int = CONFIG.first) -> tuple[Studio, list[str]]:
    """A run whose checkpoints draw so, and what was said after each of them, until it ended."""
    studio = Studio({f"step-{place}00": painter for place, painter in enumerate(painters, start=1)})
    real = [studio.reader.show(one) for one in real_drawings(16)]
    watch = Watch(
        lambda seed: planned(seed, CONFIG.count),
        Real(real[:8], real[8:]),
        CONFIG.model_copy(update={"first": first}),
        instruments=studio.instruments(),
        seed=5,
        patience=patience,
    )
    said: list[str] = []
    for place in range(1, len(painters) + 1):
        so_far = [Candidate(name, 100 * number) for number, name in enumerate(studio.painters, start=1)][:place]
        said.append(watch.spent(so_far))
        if said[-1]:
            break
    return studio, said


def test_a_run_that_gets_better_goes_on():
    _, said = watched([*LEARNING, good], patience=1)
    assert said == [""] * 5


@pytest.mark.parametrize(("patience", "looked_at"), [(1, 6), (2, 7), (3, 8)])
def test_it_ends_so_many_checkpoints_after_the_best(patience: int, looked_at: int):
    _, said = watched([*LEARNING, good, *FLAT], patience)
    assert (len(said), said[:-1]) == (looked_at, [""] * (looked_at - 1))
    assert said[-1].startswith(f"{patience} checkpoint")
    assert "no better than step 500 (identity 1.0" in said[-1]


def test_that_few_prompts_prove_nobody_harmless_keeps_no_run_going():
    """Of so few, no copy at all may still be more than the limit, by the interval."""
    _, said = watched([*LEARNING, good, *FLAT], patience=2, first=2)
    assert "no better than step" in said[-1]


def test_it_goes_on_until_a_checkpoint_may_be_published():
    """What has learnt nothing may well have been a little better before."""
    _, said = watched([base] * 5, patience=1)
    assert said == [""] * 5


def test_each_checkpoint_is_drawn_once_with_the_first_prompts_of_an_evaluation():
    studio, _ = watched([*LEARNING, good], patience=3)
    assert studio.asked == [
        ("step-100", FEW),
        (BASE, FULL),
        *((f"step-{place}00", FEW) for place in range(2, 6)),
    ]
