"""Comparison: what is worse is called so, and what is not surely worse is not."""

from collections.abc import Mapping, Sequence

import numpy
import pytest

from likeness.errors import EvaluationError
from likeness.evaluation.compare import Difference, Untold, compare, untold
from likeness.evaluation.scorecard import KINDS, Judged
from likeness.evaluation.shots import Shot
from likeness.evaluation.significance import decidable, refuted, sign_flip_chances
from likeness.statistics import Floats, picture_weights, pseudo_values

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


def called_worse(gains_XAP: Floats, margin: float) -> Floats:
    """In which comparisons which axes are called worse, shape (X, A): of X comparisons, by axis and prompt."""
    axes = [str(place) for place in range(gains_XAP.shape[1])]
    able = decidable({axis: gains_XAP.shape[2] for axis in axes})
    found = []
    for gains_AP in gains_XAP:
        worse = refuted(dict(zip(axes, sign_flip_chances(gains_AP + margin, seed=0), strict=True))) if able else set()
        found.append([axis in worse for axis in axes])
    return numpy.array(found)


def gains(comparisons: int, axes: int, prompts: int) -> Floats:
    """By prompt, of two pictures each, as checkpoints of one run differ: from picture to picture by 0.2, and from
    prompt to prompt by 0.04; the last two axes are rates, of a tenth of the pictures."""
    rng = numpy.random.default_rng(5)
    found_XAP = rng.normal(0, 0.2, (comparisons, axes, prompts, 2)).mean(-1)
    found_XAP += rng.normal(0, 0.04, found_XAP.shape)
    hits = (rng.random((2, comparisons, 2, prompts, 2)) < 0.1).mean(-1)
    found_XAP[:, -2:] = hits[0] - hits[1]
    return found_XAP


@pytest.mark.parametrize(("prompts", "axes"), [(4, 13), (8, 12), (24, 13)])
def test_chance_calls_any_axis_worse_in_a_twentieth_of_comparisons_at_most(prompts: int, axes: int):
    called = called_worse(gains(400, axes, prompts), 0.0).any(1)
    assert called.mean() <= 0.05
    assert called.any() == (prompts > 4), "the test could have called some"


def test_a_loss_of_a_fifth_is_found_in_nine_of_ten_comparisons_of_24_prompts():
    lost_XAP = gains(300, 13, PROMPTS)
    lost_XAP[:, 0] -= 0.2
    assert called_worse(lost_XAP, MARGIN)[:, 0].mean() >= 0.9


@pytest.mark.parametrize("prompts", [2, 4])
def test_few_prompts_say_nothing_however_much_differs(prompts: int):
    for run in range(10):
        some = (judged(EVERY, noise=0.3, seed=2 * run + other, prompts=prompts) for other in range(2))
        assert not any(one.is_worse or one.is_better for one in compare(*some, margin=0, seed=run))
    found = by_axis(judged(TWO, prompts=prompts), judged({**TWO, "face": 0.1}, prompts=prompts))
    assert {(one.prompts, one.is_decidable, one.is_worse) for one in found.values()} == {(prompts, False, False)}


def test_axes_of_too_few_prompts_leave_the_others_to_be_decided():
    """Of 13 axes that are all tested, no 8 prompts could say anything."""
    none, rest = "override", {axis: 0.5 for axis in KINDS if axis != "override"}
    first = [*judged(rest, prompts=8), *judged({none: 0.5}, prompts=4, at=8)]
    second = [*judged({**rest, "face": 0.1}, prompts=8), *judged({none: 0.1}, prompts=4, at=8)]
    found = by_axis(first, second)
    assert [axis for axis, one in found.items() if not one.is_decidable] == [none]
    assert [axis for axis, one in found.items() if one.is_worse] == ["face"]
    assert decidable(dict.fromkeys(KINDS, 8)) == []
    assert decidable({"face": 5, "body": 4}) == ["face"]


def test_the_chance_of_signs_is_counted_and_from_13_prompts_on_drawn():
    alike = numpy.array([[-1.0] * 5, [1.0] * 5, [0.1, 0.2, -0.3, 0.0, 0.0]])
    assert sign_flip_chances(alike, seed=0).tolist() == [1 / 32, 1, 5 / 8]
    many = numpy.stack([numpy.full(13, -1.0), numpy.full(13, 0.0), numpy.resize([-1.0, 1.0], 13)])
    assert sign_flip_chances(many, seed=0) == pytest.approx([1 / 4096, 1, 0.5], abs=0.02)
    assert (sign_flip_chances(many, seed=0) == sign_flip_chances(many, seed=0)).all()
    assert sign_flip_chances(numpy.full((1, 40), -1.0), seed=0) == 1 / 4096, "what was seen is one of them"


def test_the_more_axes_there_are_the_surer_each_has_to_be():
    """A loss that would be called one if nothing else were looked at."""
    rows = [judged({"face": 0.5}), judged({"face": 0.45}, noise=0.16, seed=23)]
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
    rows = [judged({"face": 0.5, "body": 0.5}), judged({"face": 0.0, "body": 0.45}, noise=0.16, seed=8)]
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
    for second, shared in ((elsewhere, "no prompt"), (judged(EVERY, prompts=1), "only one prompt"), ([], "no prompt")):
        with pytest.raises(EvaluationError, match=f"share {shared} with the same noise.*Draw the same prompts"):
            compare(judged(EVERY), second, margin=MARGIN, seed=1)


def shown(pictures: list[Judged], **told: object) -> list[Judged]:
    """The same pictures of other shots."""
    return [one.model_copy(update={"shot": one.shot.model_copy(update=told)}) for one in pictures]


def test_prompts_of_one_text_are_told_apart_by_their_numbers():
    """The trigger alone is asked for several times, each with noise of its own."""
    first, second = (shown(judged({"variety": mean, "face": 0.5}), kind="bare", prompt="mira") for mean in (0.9, 0.5))
    found = by_axis(first, second)
    assert {axis: one.prompts for axis, one in found.items()} == {"face": PROMPTS, "variety": PROMPTS}
    assert [axis for axis, one in found.items() if one.is_worse] == ["variety"]
    fresh = [one.model_copy(update={"round": "fresh"}) for one in shown(second, prompt="mira, again")]
    assert by_axis([*second, *fresh], [*second, *fresh])["face"].prompts == 2 * PROMPTS, "which are counted anew"


def test_pictures_are_paired_whatever_the_number_of_their_prompt_and_never_with_another_kind():
    """In another folder of pictures a prompt may have another place."""
    first, moved = judged(TWO, noise=0.1), judged(TWO, noise=0.1, seed=3)
    later = [one for one in moved for one in shown([one], number=one.shot.number + 7)]
    assert by_axis(first, later)["face"] == by_axis(first, moved)["face"]
    with pytest.raises(EvaluationError, match="share no prompt"):
        compare(first, shown(moved, kind="class"), margin=MARGIN, seed=1)


def varieties(scenes_N: Sequence[int]) -> list[Judged]:
    """Pictures of the trigger alone, each with the share of the others that show another scene, as the axis has it."""
    shares = pseudo_values(
        [float(numpy.mean(numpy.delete(scenes_N, place) != one)) for place, one in enumerate(scenes_N)]
    )
    some = shown(judged({"variety": 0.0}, prompts=len(scenes_N) // SEEDS), kind="bare", prompt="mira")
    return [
        one.model_copy(update={"values": {"variety": float(share)}}) for one, share in zip(some, shares, strict=True)
    ]


def test_variety_is_seldom_called_worse_by_chance_though_its_pictures_are_measured_by_each_other():
    rng, called = numpy.random.default_rng(3), 0
    for run in range(100):
        first, second = (varieties(rng.choice(4, size=16 * SEEDS, p=[0.5, 0.3, 0.1, 0.1]).tolist()) for _ in range(2))
        called += compare(first, second, margin=0.0, seed=run)[0].is_worse
    assert called <= 5, "15 if they were taken for independent"


def without(pictures: list[Judged], axis: str, places: range) -> list[Judged]:
    """The same pictures, of some of which an axis could not be told."""
    found = [*pictures]
    for place in places:
        values = {name: value for name, value in found[place].values.items() if name != axis}
        found[place] = found[place].model_copy(update={"values": values, "missing": {axis: "it is from behind"}})
    return found


def test_what_could_be_told_of_less_than_half_is_not_compared_and_all_gaps_are_counted():
    first, second = judged(TWO), judged({**TWO, "face": 0.1})
    hidden = without(without(second, "face", range(3, 48)), "body", range(2))
    assert by_axis(first, hidden).keys() == {"body"}
    assert untold(first, hidden) == [
        Untold(axis="face", asked=48, first=0, second=45, is_compared=False),
        Untold(axis="body", asked=48, first=0, second=2, is_compared=True),
    ]
    both = without(first, "face", range(24)), without(second, "face", range(23, 26))
    assert by_axis(*both).keys() == {"body"}, "of each enough, but not of the same pictures"
    half = without(first, "face", range(24)), without(second, "face", range(12, 24))
    assert by_axis(*half)["face"].difference.samples == 24
    assert untold(first, second) == []


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
