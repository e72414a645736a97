"""Choosing a checkpoint: gates, front, ties, and how good the choice is where the truth is known.

Shapes: C checkpoints, P prompts, S seeds.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy
import pytest

from likeness.evaluation.choose import TOO_ALIKE, Choice, Measured, Rule, choose
from likeness.statistics import Floats

RULES = (
    Rule("identity", "likeness", weight=2, limit=0.3),
    Rule("adherence", "freedom"),
    Rule("copies", "harm", limit=0.2),
    Rule("damage", "harm"),
)
AXES = tuple(rule.axis for rule in RULES)
PROMPTS, SEEDS = 24, 2


def measured(
    truth: Mapping[str, Sequence[float]], *, noise: float = 0.0, noisy: Collection[str] = AXES, seed: int = 0
) -> Measured:
    """Values about the truth of each axis and checkpoint: what a prompt does to all, to each, and to a picture."""
    rng = numpy.random.default_rng(seed)
    count = len(next(iter(truth.values())))
    shape = (count, PROMPTS, SEEDS)

    def about(axis: str, means: Sequence[float]) -> Floats:
        prompts = 0.06 * rng.normal(size=(1, PROMPTS, 1)) + 0.03 * rng.normal(size=(count, PROMPTS, 1))
        apart = prompts + 0.08 * rng.normal(size=shape)
        return numpy.asarray(means)[:, None, None] + noise * (axis in noisy) * apart

    values = {axis: about(axis, means) for axis, means in truth.items()}
    return Measured(tuple(100 * (place + 1) for place in range(count)), (("own",),) * PROMPTS, values)


def chosen(truth: Mapping[str, Sequence[float]], rules: Sequence[Rule] = RULES, **options: Any) -> Choice:
    return choose(measured(truth, **options), rules, least="damage", seed=1)


def with_rest(identity: Sequence[float], **axes: Sequence[float]) -> dict[str, Sequence[float]]:
    """Identity, and other axes that are alike for all unless they are given."""
    rest = {"adherence": 0.9, "copies": 0.0, "damage": 0.1}
    return {"identity": identity, **{name: axes.get(name, [value] * len(identity)) for name, value in rest.items()}}


def test_the_best_one_is_chosen_where_the_difference_is_plain():
    found = chosen(with_rest([0.5, 0.9, 0.7]), noise=1)
    assert (found.step, found.leader, found.tied) == (200, 200, (200,))
    assert found.reason == "Step 200 is the best, and no other one comes within a standard error of it."


def test_of_a_single_one_the_reason_compares_it_with_nothing():
    assert chosen(with_rest([0.9])).reason.startswith("The only one that was measured with all prompts; no limit")
    assert chosen(with_rest([0.1])).reason == "It may not be published: identity is 0.100, below 0.3."


def test_of_those_that_cannot_be_told_apart_the_least_harm_wins_and_then_the_earliest():
    truth = with_rest([0.5, 0.81, 0.81, 0.81], damage=[0.1, 0.2, 0.1, 0.1])
    found = chosen(truth, noise=1, noisy=("identity", "adherence"))
    assert {200, 300} <= set(found.tied)
    assert found.step == 300
    assert "none has less damage" in found.reason


def test_a_limit_of_which_nothing_could_be_told_is_named():
    rules = (*RULES, Rule("memorisation", "harm", limit=0.2))
    found = chosen(with_rest([0.5, 0.9]), rules)
    assert found.untold == ("memorisation",)
    assert found.reason.endswith("Nothing could be told of memorisation, so that no limit of it was held against any.")
    assert chosen(with_rest([0.5, 0.9])).untold == ()


@pytest.mark.parametrize(("axis", "is_refused"), [("memorisation", True), ("copies", False)])
def test_what_is_more_alike_than_real_pictures_has_to_be_looked_at_for_copies(axis: str, is_refused: bool):
    rules = (Rule("identity", "likeness", limit=0.3, checked_by=axis), *RULES[1:])
    found = chosen(with_rest([0.9, TOO_ALIKE + 0.05]), rules)
    assert (200 in found.refused) == is_refused
    assert 100 not in found.refused
    if is_refused:
        assert found.refused[200] == "identity is 1.150, above real pictures', and no memorisation was told"


def test_by_means_few_prompts_refuse_nobody_for_being_few():
    """A rate of 0 in few prompts may be more than any limit, by its interval."""
    truth = with_rest([0.9, 0.2])
    few = replace(
        measured(truth), levels=(("own",),) * 3, values={a: v[:, :3] for a, v in measured(truth).values.items()}
    )
    rules = (*RULES[:2], Rule("copies", "harm", limit=0.2, is_rate=True), RULES[3])
    surely = choose(few, rules, least="damage", seed=1)
    assert surely.step is None
    assert "copies may be 0.562, above 0.2, for all that so few prompts tell" in surely.reason
    found = choose(few, rules, least="damage", seed=1, by_means=True)
    assert (found.step, list(found.refused)) == (100, [200])
    assert found.axes[100]["copies"].high > 0.2, "what is told is the interval"


def test_one_picture_that_could_not_be_read_holds_nobody_back_in_a_first_look():
    """Of an axis without a limit, that is; what a limit is held against has to be told."""
    plain = measured(with_rest([0.5, 0.9]))
    for axis, refused in (("adherence", []), ("copies", [200])):
        values = plain.values[axis].copy()
        values[1] = numpy.nan
        some = replace(plain, values={**plain.values, axis: values})
        found = choose(some, RULES, least="damage", seed=1, by_means=True)
        assert list(found.refused) == refused
        assert found.step == (100 if refused else 200)


def test_of_equals_the_earliest_is_chosen():
    found = chosen(with_rest([0.5, 0.8, 0.8]))
    assert (found.step, found.tied) == (200, (200, 300))


def test_who_copies_is_never_chosen_however_alike():
    found = chosen(with_rest([0.6, 1.0], copies=[0.0, 0.3]))
    assert found.step == 100
    assert found.refused == {200: "copies is 0.300, above 0.2"}


def test_a_gate_goes_by_the_worse_end_of_the_interval():
    """On average 0.17 copies are below the limit; of few pictures nobody knows."""
    sure, unsure = measured(with_rest([0.9, 0.9], copies=[0.17, 0.17])), numpy.random.default_rng(0)
    copies = sure.values["copies"].copy()
    copies[1] = unsure.permutation(numpy.repeat([0.0, 1.0], [40, 8])).reshape(PROMPTS, SEEDS)
    found = choose(Measured(sure.steps, sure.levels, {**sure.values, "copies": copies}), RULES, least="damage", seed=1)
    assert copies[1].mean() < 0.17
    assert list(found.refused) == [200]


def test_where_all_are_refused_none_is_chosen_and_each_reason_is_told():
    found = chosen(with_rest([0.1, 0.9], copies=[0.0, 0.5]))
    assert found.step is None
    assert "identity is 0.100, below 0.3" in found.reason
    assert "copies is 0.500, above 0.2" in found.reason


def test_to_be_more_alike_than_real_pictures_are_is_worth_nothing():
    found = chosen(with_rest([1.0, 1.2], damage=[0.1, 0.2]))
    assert found.step == 100
    assert found.front == (100,), "the other one has nothing but more damage"


def test_a_zero_cannot_be_bought_back():
    assert chosen(with_rest([0.7, 1.0], adherence=[0.7, 0.0])).leader == 100


def test_one_that_is_beaten_in_every_respect_is_not_in_the_front():
    found = chosen(with_rest([0.6, 0.9, 0.95], damage=[0.2, 0.1, 0.3]))
    assert found.front == (200, 300)


def test_what_was_not_asked_for_or_not_seen_is_no_zero():
    plain = measured(with_rest([0.8, 0.6]))
    identity = plain.values["identity"].copy()
    identity[:, ::2] = numpy.nan
    found = choose(
        Measured(plain.steps, plain.levels, {**plain.values, "identity": identity}), RULES, least="damage", seed=1
    )
    assert found.axes[100]["identity"].mean == pytest.approx(0.8)
    assert found.axes[100]["identity"].samples == PROMPTS * SEEDS // 2


def test_an_axis_that_nothing_can_be_told_of_abstains():
    plain = measured(with_rest([0.8, 0.6]))
    blind = numpy.full((2, PROMPTS, SEEDS), numpy.nan)
    found = choose(
        Measured(plain.steps, plain.levels, {**plain.values, "adherence": blind}), RULES, least="damage", seed=1
    )
    assert found.step == 100
    assert "adherence" not in found.axes[100]


@pytest.mark.parametrize("axis", ["identity", "copies"])
def test_one_of_which_nothing_could_be_told_is_refused_and_opens_no_gate_for_others(axis: str):
    plain = measured(with_rest([0.8, 0.9, 0.2], copies=[0.0, 0.5, 0.0]))
    values = plain.values[axis].copy()
    values[0] = numpy.nan
    found = choose(Measured(plain.steps, plain.levels, {**plain.values, axis: values}), RULES, least="damage", seed=1)
    assert found.step is None
    assert found.refused[100] == f"nothing could be told of its {axis}"
    assert "copies" in found.refused[200]
    assert "identity" in found.refused[300]


def test_where_nothing_good_could_be_told_of_any_none_is_chosen():
    plain = measured({"copies": [0.0, 0.0], "damage": [0.1, 0.1]})
    found = choose(plain, RULES, least="damage", seed=1)
    assert found.step is None
    assert "Nothing could be told" in found.reason


def test_one_more_checkpoint_changes_no_figure_of_the_others():
    truth = with_rest([0.5, 0.8, 0.9])
    three = measured(truth, noise=1)
    two = Measured(three.steps[:2], three.levels, {axis: values[:2] for axis, values in three.values.items()})
    found = [choose(some, RULES, least="damage", seed=1) for some in (two, three)]
    assert found[0].axes == {step: found[1].axes[step] for step in three.steps[:2]}


def test_how_much_the_leader_hangs_on_the_weights_is_told():
    assert chosen(with_rest([0.5, 0.9], adherence=[0.5, 0.9])).stays == 1.0
    found = chosen(with_rest([0.7, 0.9], adherence=[0.9, 0.7]))
    assert found.stays == pytest.approx(0.5, abs=0.1)


def test_the_choice_is_near_the_best_in_nine_of_ten_runs_and_whoever_copies_is_refused():
    """Twelve checkpoints that learn, then copy: the truth is known, and the noise is that of others' measurements."""
    near, kept, runs = 0, list[int](), 60
    for run in range(runs):
        rng = numpy.random.default_rng(run)
        at = numpy.arange(1, 13) / rng.uniform(4, 8)  # where it has learnt most of what it will
        identity = 0.95 * (1 - numpy.exp(-at))
        truth: dict[str, Floats] = {
            "identity": identity,
            "adherence": 0.92 - 0.25 * (at - 1).clip(0),
            "copies": (0.2 * (at - 1.3)).clip(0),
            "damage": 0.05 * at,
        }
        worth = (identity**2 * truth["adherence"]) ** (1 / 3)
        best = int(numpy.where(truth["copies"] < 0.2, worth, 0).argmax())
        found = chosen({axis: values.tolist() for axis, values in truth.items()}, noise=1, seed=run)
        assert found.step is not None
        place = found.step // 100 - 1
        near += worth[best] - worth[place] <= 0.02
        copies = {100 * (place + 1) for place in numpy.flatnonzero(truth["copies"] > 0.25)}
        assert copies <= found.refused.keys()
        assert found.step in found.tied
        kept.append(len(found.tied))
    assert near >= 0.9 * runs
    assert 1 < numpy.mean(kept) < 6, "ties are neither overlooked nor made of everything"
