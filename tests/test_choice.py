"""The choice: what it says of each picture, and of numbers that are not as they were asked for."""

import pytest

from likeness.dataset.choice import choose_pictures
from likeness.recipe import CurateConfig
from likeness.records import Picture


def pool(count: int, *, locked: int = 0, group: str = "") -> list[Picture]:
    """Pictures of which nothing is known, the first of them locked by a person."""
    return [
        Picture(
            id=f"{number:064x}",
            path=f"{number}.png",
            width=64,
            height=64,
            group=group,
            use="train",
            decided_by="person" if number < locked else "curate",
        )
        for number in range(count)
    ]


def used(pictures: list[Picture], use: str) -> list[Picture]:
    return [one for one in pictures if one.use == use]


def test_locks_that_are_more_than_are_asked_for_are_all_trained_on_and_that_is_told():
    final, notes = choose_pictures(pool(30, locked=5), CurateConfig(count=1))
    assert [one.path for one in used(final, "train")] == [f"{number}.png" for number in range(5)]
    assert notes == ["5 pictures are locked by use=train: all are trained on, over curate.count = 1."]


@pytest.mark.parametrize(("count", "locked"), [(5, 5), (0, 5), (1, 0)])
def test_locks_that_fit_are_not_worth_a_word(count: int, locked: int):
    assert choose_pictures(pool(30, locked=locked), CurateConfig(count=count))[1] == []


@pytest.mark.parametrize(
    ("usable", "told"), [(4, "0 pictures are held out"), (5, "1 picture is held out"), (10, "2 pictures are held out")]
)
def test_too_few_to_measure_by_are_told_in_their_number(usable: int, told: str):
    (note,) = choose_pictures(pool(usable), CurateConfig())[1]
    assert note == f"{told}; fewer than 4 measure a character badly."


def test_what_is_left_over_says_how_many_took_its_place():
    alone, _ = choose_pictures(pool(3), CurateConfig(count=1, held_out=0))
    assert {one.reason for one in used(alone, "rejected")} == {"good, but 1 other shows more"}
    scene, _ = choose_pictures(pool(3, group="0.png"), CurateConfig(alike=1, held_out=0))
    assert {one.reason for one in used(scene, "rejected")} == {"1 picture of this scene is chosen already"}
    pair, _ = choose_pictures(pool(3, group="0.png"), CurateConfig(held_out=0))
    assert {one.reason for one in used(pair, "rejected")} == {"2 pictures of this scene are chosen already"}
