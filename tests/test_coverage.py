"""Coverage and choice: what a set shows, what it lacks, and the pictures that show most together."""

from collections.abc import Sequence
from itertools import combinations, product
from math import e

import numpy
import pytest

from likeness.dataset.coverage import (
    EXPRESSIONS,
    Chosen,
    Coverage,
    Problem,
    _Worth,
    cell_of,
    choose,
    shown,
    target,
)
from likeness.dataset.labels import FRAMINGS, VIEWS
from likeness.dataset.summaries import missing
from likeness.dataset.wants import phrase, wanted
from likeness.records import Lack, Picture, Reading


def read(view: str | None = None, framing: str | None = None, expression: str | None = None, **more: object) -> Reading:
    told = {"view": view, "framing": framing, "expression": expression, **more}
    return Reading.model_validate({**told, "instrument": "test", "instrument_sha256": "0" * 64})


def problem(count: int, seed: int = 0, **options: object) -> Problem:
    """Pictures at random: embeddings, quality, views, framings and expressions."""
    rng = numpy.random.default_rng(seed)
    rows = rng.normal(size=(count, 6)).astype(numpy.float32)
    readings = [read(str(rng.choice(VIEWS)), str(rng.choice(FRAMINGS)), str(rng.choice(EXPRESSIONS))) for _ in rows]
    told: dict[str, object] = {
        "embeddings": rows / numpy.linalg.norm(rows, axis=1, keepdims=True),
        "quality": rng.uniform(size=count).tolist(),
        "shows": [shown(reading) for reading in readings],
        "groups": [""] * count,
        "sources": [""] * count,
    }
    return Problem(**(told | options))  # pyright: ignore[reportArgumentType]


def value(whole: Problem, indices: Sequence[int], count: int) -> float:
    """What a set is worth: the gains of its pictures, in any order."""
    worth = _Worth(whole, count)
    return sum(worth.take(index).gain for index in indices)


def indices(chosen: Sequence[Chosen]) -> list[int]:
    return [one.index for one in chosen]


def test_a_back_view_is_one_cell_and_what_could_not_be_told_is_none():
    assert cell_of(read("back", expression="smile")) == ("back", "")
    assert cell_of(read("front", expression="smile")) == ("front", "smile")
    assert cell_of(read("front")) is None
    assert cell_of(read(expression="smile")) is None
    assert cell_of(None) is None
    assert shown(None) == frozenset()


def test_coverage_counts_cells_that_there_are_can_be_reached_and_are_trained_on():
    front, side, back = read("front", "face", "smile"), read("profile left", "face", "sad"), read("back", "face")
    found = Coverage.of([front, back], [front, side, back, None])
    assert (found.cells, found.reachable, found.covered) == (5 * 6 + 1, 3, 2)
    assert found.counts == {("front", "face", "smile"): 1, ("back", "face", ""): 1}
    assert Coverage.of([read("front", "face", "sleepy")], []).reachable == 0


@pytest.mark.parametrize("seed", range(6))
def test_the_lazy_greedy_takes_what_a_patient_one_takes(seed: int):
    whole, count = problem(30, seed), 10
    worth, left, patient = _Worth(whole, count), set(range(30)), []
    while len(patient) < count:
        best = max(sorted(left), key=worth.gain)
        left.remove(best)
        patient.append(worth.take(best).index)
    assert value(whole, indices(choose(whole, count)), count) == pytest.approx(value(whole, patient, count))


@pytest.mark.parametrize("seed", range(6))
def test_on_small_sets_the_choice_is_within_its_bound_of_the_best_there_is(seed: int):
    whole, count = problem(11, seed), 4
    best = max(value(whole, some, count) for some in combinations(range(11), count))
    found = value(whole, indices(choose(whole, count)), count)
    assert found >= (1 - 1 / e) * best
    assert found >= 0.97 * best, "in practice it comes much nearer"


@pytest.mark.parametrize("seed", range(4))
def test_the_sum_is_monotone_and_submodular(seed: int):
    """Another picture never harms, and adds no more to a larger set than to a smaller one."""
    whole = problem(12, seed)
    rng = numpy.random.default_rng(seed)
    few, many = _Worth(whole, 6), _Worth(whole, 6)
    order = [int(index) for index in rng.permutation(12)]
    for index in order[:2]:
        few.take(index)
    for index in order[:6]:
        many.take(index)
    for index in order[6:]:
        assert few.gain(index) >= many.gain(index) - 1e-6
        assert many.gain(index) >= 0


def test_every_cell_that_can_be_shown_is_chosen_before_any_is_shown_twice():
    cells = list(product(VIEWS[:3], EXPRESSIONS[:4]))
    readings = [read(view, "face", expression) for view, expression in cells for _ in range(3)]
    same = numpy.tile(numpy.eye(1, 4, dtype=numpy.float32), (len(readings), 1))
    whole = problem(
        len(readings), embeddings=same, quality=[0.5] * len(readings), shows=[shown(reading) for reading in readings]
    )
    chosen = choose(whole, len(cells))
    assert {cell_of(readings[one.index]) for one in chosen} == set(cells)
    assert all(("view+expression", *cells[one.index // 3]) in one.new for one in chosen)


def test_of_pictures_that_show_the_same_the_better_one_is_chosen():
    readings = [read("front", "face", "smile")] * 5
    same = numpy.tile(numpy.eye(1, 4, dtype=numpy.float32), (5, 1))
    whole = problem(5, embeddings=same, quality=[0.1, 0.2, 0.9, 0.3, 0.4], shows=[shown(one) for one in readings])
    assert indices(choose(whole, 1)) == [2]


def test_of_two_that_look_alike_the_second_gives_way_to_one_that_does_not():
    rows = numpy.array([[1, 0], [1, 0], [0, 1]], numpy.float32)
    whole = problem(3, embeddings=rows, quality=[0.5] * 3, shows=[frozenset()] * 3)
    assert set(indices(choose(whole, 2))) == {0, 2}


def test_no_more_than_allowed_come_from_one_scene_or_one_source():
    scenes = problem(12, groups=["beach"] * 6 + [""] * 6)
    assert sum(index < 6 for index in indices(choose(scenes, 12))) == 2
    sources = problem(12, sources=["site"] * 6 + [""] * 6, per_source=3)
    assert sum(index < 6 for index in indices(choose(sources, 12))) == 3


def test_what_is_locked_comes_first_whatever_it_brings():
    whole = problem(12, locked=(7, 3), groups=["beach"] * 12, per_group=3)
    assert indices(choose(whole, 5))[:2] == [7, 3]
    assert len(choose(whole, 5)) == 3


def test_a_shopping_list_names_what_is_missing_and_how_much():
    train = [read("front", "face", "smile")] * 10 + [read("profile left", "upper body", "sad")]
    words = [want.words for want in wanted(train, 24)]
    assert "nothing from behind: 2 wanted" in words
    assert "1 more in profile to the left (1 of 2)" in words
    assert "nothing of the full body: 4 wanted" in words
    assert not any("from the front" in told or "with a smile" in told for told in words)
    assert wanted([None, read()], 20) == [], "where nobody could tell, nobody can say what is missing"


def test_a_shopping_list_names_the_expressions_that_a_view_is_never_shown_with():
    never = {("front", "sad"), ("front", "angry")}
    train = [read(view, None, some) for view, some in product(VIEWS, EXPRESSIONS) if (view, some) not in never]
    (want,) = wanted(train, len(train))
    assert want.words == "nothing from the front looking sad or looking angry: 1 of each wanted"
    assert want.is_met_by(read("front", "face", "sad"))
    assert not want.is_met_by(read("front", "face", "smile"))
    assert not want.is_met_by(None)
    assert all(not want.expressions for want in wanted(train, 30)), "30 pictures cannot show 31 pairs"


def test_a_set_should_show_each_value_half_as_often_as_an_even_share():
    assert (target("view", 36), target("framing", 36), target("expression", 36)) == (3, 6, 3)
    assert target("view", 5) == target("pose", 100) == 1


def test_what_a_picture_shows_is_said_in_words():
    assert phrase(("view+expression", "back", "")) == "from behind"
    assert phrase(("view+expression", "front", "smile")) == "from the front with a smile"
    assert phrase(("pose", "waving")) == "pose 'waving'"


def test_what_was_measured_to_be_weak_is_asked_for_before_what_the_counts_ask_for():
    views = ["front"] * 8 + ["profile left"] * 8
    pictures = [picture(place, view) for place, view in enumerate(views)]
    lack = Lack(axis="view", value="profile left", count=3, because="likeness there is 0.41")
    first, *others = missing(pictures, [lack])
    assert first.words == "3 more in profile to the left (8 of 11): likeness there is 0.41"
    assert others == missing(pictures), "the others stay as they were"


def picture(place: int, view: str) -> Picture:
    reading = Reading(view=view, instrument="fake", instrument_sha256="0" * 64)
    fields = {"id": f"{place:064x}", "path": f"{place}.png", "width": 64, "height": 64}
    return Picture.model_validate({**fields, "reading": reading, "use": "train", "decided_by": "curate"})
