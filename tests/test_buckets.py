"""Buckets: no picture is dropped for its shape, and each is seen as often as every other one."""

from collections import Counter

import pytest
import torch

from likeness.training.buckets import Bucket, planned, repeats_of


def bucket(pictures: list[int], *, is_class: bool = False, repeats: int = 1) -> Bucket:
    count = len(pictures)
    return Bucket(
        mean_MDhw=torch.zeros(count, 4, 2, 2),
        std_MDhw=torch.zeros(count, 4, 2, 2),
        sizes_M6=torch.zeros(count, 6),
        mask_M1hw=None,
        twin_P=torch.arange(count),
        pictures_P=torch.tensor(pictures),
        deck_N=torch.arange(count).repeat(repeats),
        is_class=is_class,
    )


def seen(buckets: list[Bucket], batches: int, batch: int, *, class_share: float = 0.3) -> Counter[int]:
    turns = planned(buckets, batches, class_share=class_share)
    return Counter(
        picture
        for turn in turns
        for picture in buckets[turn.bucket]
        .pictures_P[buckets[turn.bucket].dealt(batch, seed=1, number=turn.number)]
        .tolist()
    )


@pytest.mark.parametrize("batch", [1, 2, 4, 8])
def test_every_picture_is_seen_as_often_whatever_its_shape(batch: int) -> None:
    buckets = [bucket(list(range(30))), bucket([30, 31, 32]), bucket([33])]
    counts = seen(buckets, 34 * 50 // batch, batch)
    assert len(counts) == 34
    assert max(counts.values()) - min(counts.values()) <= max(2, batch)


def test_a_longer_plan_begins_as_a_shorter_one() -> None:
    buckets = [bucket(list(range(7))), bucket([7, 8]), bucket([9, 10, 11], is_class=True)]
    assert planned(buckets, 100, class_share=0.3)[:40] == planned(buckets, 40, class_share=0.3)


def test_buckets_take_turns_and_do_not_come_in_blocks() -> None:
    turns = [turn.bucket for turn in planned([bucket([0, 1, 2]), bucket([3, 4, 5])], 20, class_share=0)]
    assert turns == [0, 1] * 10


def test_the_class_has_its_share_of_batches_and_none_where_it_has_no_pictures() -> None:
    own, others = bucket(list(range(5))), bucket(list(range(5, 105)), is_class=True)
    turns = planned([own, others], 1000, class_share=0.3)
    assert sum(turn.bucket for turn in turns) == pytest.approx(300, abs=1)
    assert {turn.bucket for turn in planned([own], 50, class_share=0.3)} == {0}


def test_rounds_of_a_bucket_hold_each_place_of_its_deck_once() -> None:
    one = bucket([10, 11, 12], repeats=2)
    rows = torch.cat([one.dealt(4, seed=3, number=number) for number in range(3)])
    for start in (0, 6):
        assert Counter(rows[start : start + 6].tolist()) == {0: 2, 1: 2, 2: 2}
    assert not torch.equal(rows[:6], rows[6:])


def test_pictures_of_rare_views_come_more_often_but_at_most_thrice() -> None:
    views = ["front"] * 8 + ["profile left"] * 4 + ["back"] + [None, None]
    assert repeats_of(views) == [1] * 8 + [2] * 4 + [3] + [1, 1]
    assert repeats_of([None] * 3) == [1, 1, 1]
