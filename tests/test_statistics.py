import numpy
import pytest

from likeness.statistics import (
    bootstrap_mean,
    bootstrap_ratio,
    detectable_difference,
    mean_interval,
    picture_weights,
    resampled_means,
    without_effects,
)


def test_the_mean_lies_in_its_interval():
    interval = bootstrap_mean([0.1, 0.4, 0.5, 0.9], seed=0)
    assert interval.mean == pytest.approx(0.475)
    assert interval.low < interval.mean < interval.high
    assert interval.samples == 4


def test_the_same_values_and_seed_give_the_same_interval_and_another_seed_another():
    values = numpy.random.default_rng(0).random(30).tolist()
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1).low != bootstrap_mean(values, seed=2).low


def test_values_that_agree_leave_no_doubt():
    interval = bootstrap_mean([0.7] * 12, seed=0)
    assert (interval.low, interval.high) == pytest.approx((0.7, 0.7))


def test_nineteen_in_twenty_intervals_hold_the_true_mean():
    """400 samples of 40 with mean 0.6: the percentile interval is a little narrow at 40, hence 92 and not 94."""
    rng = numpy.random.default_rng(0)
    samples = rng.random((400, 40)) < 0.6
    intervals = [bootstrap_mean(row.astype(float).tolist(), seed=i, repeats=500) for i, row in enumerate(samples)]
    held = sum(interval.low <= 0.6 <= interval.high for interval in intervals) / len(intervals)
    assert 0.92 <= held <= 0.98


def test_an_interval_agrees_with_the_normal_one_where_that_is_right():
    values = numpy.random.default_rng(1).normal(5, 2, size=500)
    interval = bootstrap_mean(values.tolist(), seed=0, repeats=4000)
    half = 1.96 * values.std() / 500**0.5
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.08)


def test_a_higher_level_is_wider():
    values = numpy.random.default_rng(2).random(50).tolist()
    usual, sure = bootstrap_mean(values, seed=0), bootstrap_mean(values, seed=0, level=0.99)
    assert sure.low < usual.low
    assert sure.high > usual.high


def test_a_share_weighs_each_sample_by_its_count():
    share = bootstrap_ratio([9, 0], [9, 1], seed=0)
    assert share.mean == pytest.approx(0.9)
    assert share.samples == 2


def test_a_sample_with_nothing_to_get_right_changes_nothing_and_is_not_counted():
    share = bootstrap_ratio([1, 2, 0], [2, 2, 0], seed=0)
    assert share.mean == pytest.approx(0.75)
    assert share.samples == 2
    assert 0.5 <= share.low <= share.high <= 1.0


@pytest.mark.parametrize(
    ("hits", "counts", "words"),
    [
        ([], [], "nothing"),
        ([0.0], [0.0], "nothing"),
        ([1.0], [1.0, 2.0], "one length"),
        ([float("nan")], [1.0], "finite"),
        ([1.0], [-1.0], "at least 0"),
    ],
)
def test_what_has_no_mean_is_refused(hits: list[float], counts: list[float], words: str):
    with pytest.raises(ValueError, match=words):
        bootstrap_ratio(hits, counts, seed=0)


def test_each_resample_has_as_many_prompts_of_each_kind_and_as_many_pictures_as_the_sample():
    strata = ["own"] * 5 + ["others"] * 3
    weights = picture_weights(strata, 4, seed=0, repeats=50)
    assert weights.shape == (50, 8, 4)
    numpy.testing.assert_allclose(weights[:, :5].sum((1, 2)), 5)
    numpy.testing.assert_allclose(weights[:, 5:].sum((1, 2)), 3)
    assert (picture_weights(strata, 4, seed=0, repeats=50) == weights).all()
    assert weights.std(0).min() > 0


def test_a_mean_of_resamples_leaves_out_what_is_not_there():
    values = numpy.array([[[1.0], [numpy.nan], [3.0]], [[numpy.nan]] * 3])
    once = numpy.ones((1, 3, 1))
    means = resampled_means(values, once)
    assert means[0, 0] == 2.0
    assert numpy.isnan(means[0, 1])


@pytest.mark.parametrize(("prompts", "seeds"), [(4, 1), (6, 1), (6, 2), (12, 1), (24, 1), (24, 2)])
def test_intervals_of_few_prompts_hold_the_truth_nineteen_times_in_twenty_too(prompts: int, seeds: int):
    rng, held = numpy.random.default_rng(prompts), 0
    weights = [picture_weights([""] * prompts, seeds, seed=seed, repeats=1000) for seed in range(8)]
    for repeat in range(800):
        values_PS = 0.06 * rng.normal(size=(prompts, 1)) + 0.08 * rng.normal(size=(prompts, seeds))
        found = mean_interval(values_PS, weights[repeat % 8])
        assert found
        held += found.low <= 0 <= found.high
    assert 0.92 <= held / 800 <= 0.98


@pytest.mark.parametrize(("rate", "prompts"), [(0.05, 15), (0.05, 40), (0.2, 12), (0.5, 24)])
def test_a_rates_upper_end_lies_below_the_truth_in_one_of_forty(rate: float, prompts: int):
    """Also where none was seen: that in 15 prompts there was no copy does not say that there never is one."""
    rng, below = numpy.random.default_rng(prompts), 0
    for _ in range(400):
        values_PS = (rng.random((prompts, 2)) < rate).astype(float)
        found = mean_interval(values_PS, numpy.ones((1, prompts, 2)), is_rate=True)
        assert found
        below += found.high < rate
    assert below / 400 <= 0.04


@pytest.mark.parametrize(("right", "prompts"), [(0.9, 8), (0.95, 16), (0.98, 16), (0.9, 24)])
def test_that_all_of_few_pictures_are_right_does_not_say_that_none_is_ever_wrong(right: float, prompts: int):
    """Each is 1 or, where one of its three things is wrong, 2/3."""
    rng, held, weights = numpy.random.default_rng(prompts), 0, picture_weights([""] * prompts, 1, seed=0, repeats=400)
    for _ in range(400):
        values_PS = numpy.where(rng.random((prompts, 1)) < right, 1.0, 2 / 3)
        found = mean_interval(values_PS, weights, grain=1 / 3)
        assert found
        held += found.low <= right + (1 - right) * 2 / 3 <= found.high
    assert held / 400 >= 0.92


LEVELS = [(view, framing) for view in ("front", "side", "back") for framing in ("face", "body") for _ in range(4)]


def test_what_is_asked_for_equally_often_makes_a_mean_no_less_sure():
    """Views differ by three times what pictures of one do."""
    rng, held, widths = numpy.random.default_rng(0), 0, []
    weights = picture_weights([""] * 24, 1, seed=0, repeats=400)
    effects_P1 = numpy.array([[{"front": 0.3, "side": 0.0, "back": -0.3}[view]] for view, _ in LEVELS])
    for _ in range(400):
        values_PS = effects_P1 + 0.1 * rng.normal(size=(24, 1))
        left_PS, fitted = without_effects(values_PS, LEVELS)
        assert fitted == 3
        assert left_PS.mean() == pytest.approx(values_PS.mean())
        found = mean_interval(values_PS, weights, levels=LEVELS)
        assert found
        held += found.low <= 0 <= found.high
        widths.append(found.high - found.low)
    assert 0.92 <= held / 400 <= 0.98
    assert numpy.mean(widths) < 0.12, "0.22 where views count as chance"


def test_nothing_is_explained_where_there_is_too_little_to_tell_it_by():
    values_PS = numpy.arange(24.0).reshape(24, 1)
    some_PS = numpy.where(numpy.arange(24)[:, None] % 8 == 0, values_PS, numpy.nan)
    for one_PS, levels in ((values_PS, [("", "")] * 24), (some_PS, LEVELS), (numpy.full((24, 1), numpy.nan), LEVELS)):
        left_PS, fitted = without_effects(one_PS, levels)
        numpy.testing.assert_array_equal(left_PS, one_PS)
        assert fitted == 0


def test_of_nothing_there_is_no_interval_and_of_one_prompt_one_of_no_width():
    assert mean_interval(numpy.full((3, 2), numpy.nan), picture_weights([""] * 3, 2, seed=0)) is None
    one = mean_interval(numpy.array([[0.4], [numpy.nan]]), picture_weights(["own", "bare"], 1, seed=0))
    assert one
    assert (one.mean, one.low, one.high, one.samples) == (0.4, 0.4, 0.4, 1)


def test_of_many_things_as_many_are_explained_as_there_are_prompts_for():
    """Of eight prompts three differences can be told: those of four kinds, and not those of views beside them."""
    kinds = [(kind, str(place)) for kind in "abcd" for place in range(2)]
    _, fitted = without_effects(numpy.arange(8.0).reshape(8, 1), kinds)
    assert fitted == 3


@pytest.mark.parametrize("kinds", [2, 3])
def test_that_prompts_are_of_several_kinds_makes_intervals_no_narrower_than_they_are_sure(kinds: int):
    rng, held, strata = numpy.random.default_rng(kinds), 0, [str(place % kinds) for place in range(2 * kinds)]
    weights = picture_weights(strata, 1, seed=0, repeats=400)
    for _ in range(600):
        values_PS = rng.normal(size=(2 * kinds, 1))
        found = mean_interval(values_PS, weights, levels=[(stratum,) for stratum in strata])
        assert found
        held += found.low <= 0 <= found.high
    assert held / 600 >= 0.91


@pytest.mark.parametrize("seeds", [1, 2, 4])
def test_intervals_over_prompts_and_then_seeds_hold_the_truth_nineteen_times_in_twenty(seeds: int):
    """1,000 samples of 24 prompts, with the spread that others measured: 0.06 by prompt, 0.08 by picture."""
    rng = numpy.random.default_rng(0)
    weights = picture_weights(["own"] * 24, seeds, seed=0, repeats=1000)
    samples = 0.6 + 0.06 * rng.normal(size=(1000, 24, 1)) + 0.08 * rng.normal(size=(1000, 24, seeds))
    low, high = numpy.quantile(resampled_means(samples, weights), [0.025, 0.975], axis=0)
    held = float(numpy.mean((low <= 0.6) & (high >= 0.6)))
    assert (0.91 if seeds == 1 else 0.92) <= held <= 0.98


@pytest.mark.parametrize(
    ("prompts", "seeds", "difference"), [(12, 1, 0.10), (20, 1, 0.076), (24, 2, 0.052), (24, 4, 0.040), (40, 4, 0.031)]
)
def test_what_a_design_can_detect_is_what_simulations_found(prompts: int, seeds: int, difference: float):
    assert detectable_difference(prompts, seeds) == pytest.approx(difference, abs=0.003)
