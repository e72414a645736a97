"""Holding out: enough, over all views, and never the only picture of its kind."""

from collections import Counter

import pytest

from likeness.dataset.coverage import cell_of
from likeness.dataset.holdout import how_many, pick
from likeness.records import Picture, Reading


def picture(number: int, view: str, expression: str | None = "smile", confidence: float = 1.0) -> Picture:
    reading = Reading(
        view=view,
        expression=expression,
        confidence={"expression": confidence},
        instrument="test",
        instrument_sha256="0" * 64,
    )
    id = f"{number:064x}"
    return Picture(id=id, path=f"{number}.png", width=9, height=9, reading=reading, use="train", decided_by="curate")


def alone(pictures: list[Picture]) -> dict[str, list[Picture]]:
    return {one.path: [one] for one in pictures}


@pytest.mark.parametrize(
    ("usable", "share", "count"),
    [(45, 0.15, 7), (20, 0.15, 4), (100, 0.1, 10), (15, 0.15, 3), (4, 0.15, 0), (45, 0, 0)],
)
def test_it_is_the_share_at_least_four_and_a_fifth_of_a_small_pool(usable: int, share: float, count: int):
    assert how_many(usable, share) == count


def test_all_views_are_held_out_and_no_cell_is_emptied():
    views = ("front", "profile left", "profile right", "back")
    expressions = {"back": (None,)}
    pictures = [
        picture(100 * row + 10 * column + copy, view, expression)
        for row, view in enumerate(views)
        for column, expression in enumerate(expressions.get(view, ("smile", "sad")))
        for copy in range(3)
    ]
    pictures.append(picture(999, "three-quarter left", "angry"))  # the only one of its kind
    held = pick(alone(pictures), 5)
    assert len(held) == 5
    assert {one.reading.view for one in held if one.reading} >= set(views)
    left = Counter(cell_of(one.reading) for one in pictures if one not in held)
    assert set(left) == {cell_of(one.reading) for one in pictures}
    assert picture(999, "three-quarter left", "angry") not in held


def test_no_view_is_passed_over_because_another_can_spare_more():
    sparse = [
        picture(number, "front", expression)
        for number, expression in enumerate(("smile", "sad", "angry", "neutral") * 2)
    ]
    ample = [
        picture(10 * row + number, view) for row, view in ((1, "profile left"), (2, "back")) for number in range(6)
    ]
    held = Counter(one.reading.view for one in pick(alone(sparse + ample), 4) if one.reading)
    assert held == {"front": 2, "profile left": 1, "back": 1}


def test_a_doubtful_reading_neither_is_held_out_nor_stands_in_for_another():
    sure = [picture(1, "front", "smile"), picture(2, "front", "smile", confidence=0.6)]
    enough = [picture(number, "back", None) for number in range(3, 8)]
    assert {one.path for one in pick(alone(sure + enough), 2)}.isdisjoint({"1.png", "2.png"})


def test_what_belongs_together_is_held_out_together():
    pair = [picture(1, "front"), picture(2, "front")]
    others = [picture(number, "front") for number in range(3, 9)]
    held = {one.path for one in pick({"pair": pair, **alone(others)}, 4)}
    assert ("1.png" in held) == ("2.png" in held)
    assert len(held) == 4


def test_what_was_held_out_before_stays_and_counts():
    pictures = [picture(number, "front") for number in range(12)]
    held = pick(alone(pictures), 4, sealed=pictures[5:7])
    assert held[:2] == pictures[5:7]
    assert len(held) == 4
    assert pick(alone(pictures), 1, sealed=pictures[5:7]) == pictures[5:7]


def test_where_no_view_is_told_those_are_held_out_that_look_unlike_each_other():
    def looking(number: int, *embedding: float) -> Picture:
        reading = Reading(embedding=embedding, instrument="plain", instrument_sha256="0" * 64)
        return picture(number, "front").model_copy(update={"reading": reading})

    pool = [looking(number, 1, 0, 0) for number in range(8)]
    pool += [looking(number, 0, 1, 0) for number in range(8, 11)] + [
        looking(number, 0, 0, 1) for number in range(11, 13)
    ]
    held = pick(alone(pool), 3)
    assert len({one.reading.embedding for one in held if one.reading}) == 3


def test_a_scene_of_many_pictures_is_not_held_out_whole():
    many = [picture(number, "front") for number in range(27)]
    few = [picture(number, "back", None) for number in range(27, 30)]
    held = pick({"many": many, **alone(few)}, 4)
    assert {one.path for one in held} == {one.path for one in few}
    assert pick({"many": many}, 4) == []
