"""Comparison: what is worse is called so, and what is not surely worse is not."""

from collections.abc import Mapping

import numpy
import pytest

from likeness.errors import EvaluationError
from likeness.evaluation.compare import Difference, compare
from likeness.evaluation.scorecard import KINDS, Judged
from likeness.evaluation.shots import Shot
from likeness.statistics import Floats, picture_weights

PROMPTS, SEEDS = 24, 2
MARGIN = 0.05


def judged(
    means: Mapping[str, float],
    *,
    noise: float = 0.0,
    seed: int = 0,
    sha256: str = "0" * 64,
    prompts: int = PROMPTS,
    at: int = 0,
) -> list[Judged]:
    """Pictures with values about the mean of each axis; what a prompt does to all of them is the same for each seed."""
    rng, by_prompt = numpy.random.default_rng(seed), numpy.random.default_rng(99).normal(0, 0.1, prompts)
    found = []
    for number in range(prompts):
        for copy in range(SEEDS):
            values = {axis: mean + by_prompt[number] + rng.normal(0, noise or 1e-12) for axis, mean in means.items()}
            shot = Shot(kind="own", number=at + number, prompt=f"p{at + number}", seed=10 * number + copy)
            found.append(
                Judged(
                    who="x",
                    round="full",
                    shot=shot,
                    values={axis: float(value) for axis, value in values.items()},
                    raws={},
                    missing={},
                    instrument_sha256=sha256,
                )
            )
    return found


EVERY = dict.fromkeys(KINDS, 0.5)
TWO = {"face": 0.5, "body": 0.5}


def by_axis(first: list[Judged], second: list[Judged], margin: float = MARGIN) -> dict[str, Difference]:
    return {one.axis: one for one in compare(first, second, margin=margin, seed=1)}


def test_an_adapter_does_not_differ_from_itself():
    same = judged(EVERY, noise=0.1)
    found = by_axis(same, same)
    assert found.keys() == KINDS.keys()
    assert not any(one.is_worse or one.is_better for one in found.values())
    assert {(one.difference.mean, one.difference.low, one.difference.high) for one in found.values()} == {(0, 0, 0)}
    assert {one.difference.samples for one in found.values()} == {PROMPTS * SEEDS}


def test_a_clear_loss_is_worse_the_other_way_round_better_and_only_there():
    good, bad = judged(EVERY, noise=0.05), judged({**EVERY, "face": 0.3}, noise=0.05, seed=1)
    found, turned = by_axis(good, bad), by_axis(bad, good)
    assert {axis for axis, one in found.items() if one.is_worse} == {"face"}
    assert {axis for axis, one in turned.items() if one.is_better} == {"face"}
    assert not any(one.is_better for one in found.values())
    face = found["face"]
    assert face.second - face.first == pytest.approx(face.difference.mean)
    assert face.difference.mean == pytest.approx(-0.2, abs=0.03)
    assert face.difference.low < face.difference.mean < face.difference.high < 0
    assert face.chance < 0.01


@pytest.mark.parametrize("axis", [axis for axis, kind in KINDS.items() if kind == "harm"])
def test_of_harm_more_is_worse(axis: str):
    none, much = judged({"face": 0.5, axis: 0.5}), judged({"face": 0.5, axis: 0.7})
    found = by_axis(none, much)
    assert found[axis].is_worse
    assert found[axis].difference.mean == pytest.approx(0.2)
    assert not found["face"].is_worse
    assert by_axis(much, none)[axis].is_better


def test_a_difference_within_the_margin_is_none_and_beyond_it_one():
    less = judged({**TWO, "face": 0.46})
    assert not by_axis(judged(TWO), less)["face"].is_worse
    assert by_axis(judged(TWO), less, margin=0.01)["face"].is_worse


def test_prompts_that_are_hard_for_both_hide_no_difference():
    """Unpaired, a tenth of spread between prompts would."""
    found = by_axis(judged(TWO, noise=0.01), judged({**TWO, "body": 0.42}, noise=0.01, seed=3))
    assert found["body"].is_worse
    assert found["body"].difference.high - found["body"].difference.low < 0.02


def test_what_chance_makes_is_seldom_called_worse_though_many_axes_are_looked_at():
    called = 0
    for run in range(12):
        first, second = (judged(EVERY, noise=0.3, seed=2 * run + other, prompts=8) for other in range(2))
        called += any(one.is_worse for one in compare(first, second, margin=0, seed=run))
    assert called <= 2, "each of 13 axes at 5% would be every other time"


def test_the_more_axes_there_are_the_surer_each_has_to_be():
    """A loss that would be called one if nothing else were looked at."""
    rows = [judged({"face": 0.5}), judged({"face": 0.45}, noise=0.16, seed=9)]
    alone = compare(*rows, margin=0.0, seed=1)
    assert 0.01 < alone[0].chance <= 0.05
    assert alone[0].is_worse
    same = dict.fromkeys(KINDS.keys() - {"face"}, 0.5)
    for some in rows:
        for place, one in enumerate(some):
            some[place] = one.model_copy(update={"values": {**same, **one.values}})
    among = by_axis(*rows, margin=0.0)
    assert among["face"].chance == alone[0].chance
    assert not among["face"].is_worse


def test_the_worst_is_told_first_and_then_the_next_by_what_is_left():
    """Holm: once one is refuted, there is one fewer to be wrong about."""
    rows = [judged({"face": 0.5, "body": 0.5}), judged({"face": 0.0, "body": 0.45}, noise=0.16, seed=37)]
    found = by_axis(*rows, margin=0.0)
    assert found["face"].is_worse
    assert 0.05 / 2 < found["body"].chance <= 0.05
    assert found["body"].is_worse


def test_different_instruments_are_refused():
    with pytest.raises(EvaluationError, match="measured by different instruments"):
        compare(judged(EVERY), judged(EVERY, sha256="1" * 64), margin=MARGIN, seed=1)


def test_where_no_prompts_are_shared_it_is_refused_with_what_to_do():
    elsewhere = [
        one.model_copy(update={"shot": one.shot.model_copy(update={"seed": one.shot.seed + 5000})})
        for one in judged(EVERY)
    ]
    for second in (elsewhere, judged(EVERY, prompts=1), []):
        with pytest.raises(EvaluationError, match=r"share no prompts and seeds.*Draw the same prompts"):
            compare(judged(EVERY), second, margin=MARGIN, seed=1)


def test_only_what_both_have_is_compared():
    few = judged({**TWO, "face": 0.3})[: 6 * SEEDS]
    found = by_axis(judged(TWO), few)["face"]
    assert found.difference.samples == 6 * SEEDS
    assert found.first - found.second == pytest.approx(0.2), "of the first the same pictures"


def test_the_order_of_pictures_does_not_matter():
    first, second = judged(TWO, noise=0.1), judged(TWO, noise=0.1, seed=1)
    assert by_axis(first, second)["face"].difference == by_axis(first, second[::-1])["face"].difference


def test_an_axis_that_one_of_them_could_not_be_told_of_is_left_out_and_economy_always_is():
    with_more = judged({"face": 0.5, "body": 0.5, "economy": 0.5})
    assert by_axis(with_more, judged({"face": 0.5, "economy": 0.1})).keys() == {"face"}


def test_the_same_seed_gives_the_same_differences():
    first, second = judged(TWO, noise=0.1), judged(TWO, noise=0.1, seed=1)
    assert compare(first, second, margin=MARGIN, seed=4) == compare(first, second, margin=MARGIN, seed=4)


def test_axes_of_as_many_pictures_are_resampled_once(monkeypatch: pytest.MonkeyPatch):
    made = list[int]()

    def counted(strata: list[str], seeds: int, *, seed: int) -> Floats:
        made.append(len(strata))
        return picture_weights(strata, seeds, seed=seed)

    monkeypatch.setattr("likeness.evaluation.compare.picture_weights", counted)
    one = [*judged(TWO), *judged({"leak": 0.1}, prompts=6, at=PROMPTS)]
    assert by_axis(one, one).keys() == {"face", "body", "leak"}
    assert sorted(made) == [6, PROMPTS]
