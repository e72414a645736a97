"""Designs: a few rows that hold every pair."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, product

import pytest

from likeness.evaluation.design import Row, pairwise

AXES = {
    "view": ("front", "three-quarter", "profile", "back"),
    "framing": ("face", "upper body", "full body"),
    "expression": ("neutral", "smile", "sad", "angry"),
    "pose": ("standing", "waving", "sitting"),
}


def pairs(rows: Sequence[Row]) -> Counter[tuple[str, str]]:
    return Counter(pair for row in rows for pair in combinations(row.values(), 2))


def test_two_dozen_rows_hold_every_pair_of_four_views_three_framings_four_expressions_and_three_poses():
    found = pairs(pairwise(AXES, 24, seed=0))
    wanted = {pair for one, other in combinations(AXES.values(), 2) for pair in product(one, other)}
    assert found.keys() == wanted
    assert max(found[pair] for pair in product(AXES["view"], AXES["expression"])) <= 3


@pytest.mark.parametrize("seed", range(5))
def test_each_value_comes_about_equally_often_also_in_the_first_dozen(seed: int):
    rows = pairwise(AXES, 24, seed=seed)
    for some in (rows[:12], rows):
        for axis, values in AXES.items():
            counts = Counter(row[axis] for row in some)
            assert counts.keys() == set(values)
            assert max(counts.values()) - min(counts.values()) <= 2, axis


@pytest.mark.parametrize("seed", range(5))
def test_what_is_to_come_evenly_comes_as_often_as_each_other_and_all_pairs_are_still_there(seed: int):
    rows = pairwise(AXES, 24, seed=seed, evenly=("view", "framing"))
    for some in (rows[:12], rows):
        for axis in ("view", "framing"):
            assert set(Counter(row[axis] for row in some).values()) == {len(some) // len(AXES[axis])}
    assert pairs(rows).keys() == {pair for one, other in combinations(AXES.values(), 2) for pair in product(one, other)}


def test_what_cannot_be_seen_is_not_asked_for_and_all_else_is():
    def is_possible(row: Row) -> bool:
        return row["view"] != "back" or (row["expression"] == "neutral" and row["framing"] != "face")

    rows = pairwise(AXES, 30, seed=0, is_possible=is_possible)
    assert all(map(is_possible, rows))
    wanted = {("back", "neutral"), ("back", "upper body"), ("back", "full body"), ("profile", "smile")}
    assert wanted <= pairs(rows).keys() | {(row["view"], row["framing"]) for row in rows}


def test_the_same_seed_gives_the_same_design_and_another_seed_another():
    assert pairwise(AXES, 10, seed=1) == pairwise(AXES, 10, seed=1)
    assert pairwise(AXES, 10, seed=1) != pairwise(AXES, 10, seed=2)


def test_where_nothing_is_possible_that_is_said():
    with pytest.raises(ValueError, match="view, framing"):
        pairwise(AXES, 1, seed=0, is_possible=lambda row: False)
