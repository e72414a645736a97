"""What is known of a character: what its real pictures always show, and what they may not show."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import pytest

from likeness.evaluation.known import Known, Seen, know
from likeness.images import Pixels
from likeness.records import Reading

FLAT: Pixels = numpy.zeros((4, 4, 3), numpy.uint8)
PARTS = {"left_eye": "face", "mark": "face", "build": "body", "garment": "clothing", "tail": "attributes"}
OWN = {"left_eye": "gold", "build": "slim"}


def seen(traits: Mapping[str, str], *, view: str | None = "front", framing: str = "full body", **more: Any) -> Reading:
    return Reading(view=view, framing=framing, traits={**traits}, instrument="x", instrument_sha256="0" * 64, **more)


def known_by(
    real: Sequence[Reading],
    *,
    others: Sequence[Reading] = (),
    checklist: Mapping[str, str] | None = None,
    knows_characters: bool = False,
    held_out: int = 4,
) -> Known:
    pictures = [Seen(FLAT, one) for one in real]
    return know(
        pictures[:held_out],
        pictures[held_out:],
        others,
        part_of=lambda trait: PARTS[trait],
        checklist=checklist or {},
        knows_characters=knows_characters,
    )


def test_what_is_always_there_is_the_characters_own_also_where_the_reader_erred_once():
    known = known_by([*[seen(OWN)] * 9, seen({"left_eye": "blue", "build": "slim"})])
    assert known.traits == OWN
    assert known.varying == {}
    assert known.parts == {"left_eye": "face", "build": "body"}


def test_what_is_now_this_and_now_that_is_varying_the_commonest_first_and_slips_are_left_out():
    worn = ["coat"] * 4 + ["dress"] * 6 + ["robe"]
    known = known_by([seen({"garment": garment}) for garment in worn])
    assert known.traits == {}
    assert known.varying == {"garment": ("dress", "coat")}
    assert known.names("clothing") == ["garment"]


def test_either_of_what_varies_is_right_unless_one_was_asked_for():
    known = known_by([seen({"garment": garment}) for garment in ["coat"] * 5 + ["dress"] * 5])
    assert known.agreement("clothing", seen({"garment": "coat"})) == 1
    assert known.agreement("clothing", seen({"garment": "robe"})) == 0
    assert known.agreement("clothing", seen({"garment": "coat"}), {"garment": "dress"}) == 0
    assert known.agreement("clothing", seen({"garment": "dress"}), {"garment": "dress"}) == 1


def test_what_two_pictures_show_is_not_yet_the_characters_own():
    shown_twice = known_by([*[seen(OWN)] * 8, *[seen({**OWN, "tail": "fox"})] * 2])
    assert "tail" not in shown_twice.traits
    shown_thrice = known_by([*[seen(OWN)] * 7, *[seen({**OWN, "tail": "fox"})] * 3])
    assert shown_thrice.traits["tail"] == "fox", "of the others nothing is said of it, and that is no other value"


def test_what_a_person_says_wins_over_what_was_read():
    told = [*[seen({"left_eye": "blue", "garment": "coat"})] * 6, *[seen({"left_eye": "blue", "garment": "robe"})] * 6]
    known = known_by(told, checklist={"left_eye": "gold", "garment": "coat", "mark": "left star"})
    assert known.traits == {"left_eye": "gold", "garment": "coat", "mark": "left star"}
    assert known.varying == {}
    assert known.agreement("face", seen({"left_eye": "gold", "mark": "left star"})) == 1
    assert known.agreement("face", seen({"left_eye": "blue", "mark": "left star"})) == 0.5


# -- what a view hides -------------------------------------------------------------------------------------------------

STAR, NO_STAR = {"left_eye": "gold", "mark": "left star"}, {"left_eye": "gold", "mark": "none"}


@pytest.fixture(scope="module")
def starred() -> Known:
    """A star on the left cheek, and a reader that sees none from the right. There most pictures are from."""
    from_the_right = [seen(NO_STAR, view="profile right")] * 6
    return known_by([*[seen(STAR)] * 4, *from_the_right, *[seen(STAR, view="profile left")] * 2])


def test_a_mark_on_one_cheek_is_known_though_most_pictures_do_not_show_it(starred: Known):
    assert starred.traits["mark"] == "left star"
    assert starred.hidden["mark"] == {"profile right"}


def test_a_mark_on_the_left_cheek_is_not_held_against_a_picture_from_the_right(starred: Known):
    assert starred.told("mark", seen(NO_STAR, view="profile right")) is None
    assert starred.agreement("face", seen(NO_STAR, view="profile right")) == 1
    assert starred.agreement("face", seen(NO_STAR, view="front")) == 0.5
    assert starred.agreement("face", seen(NO_STAR, view="profile left")) == 0.5


def test_a_mark_that_is_on_the_wrong_cheek_is_held_against_it_from_either_side(starred: Known):
    wrong = seen({"left_eye": "gold", "mark": "right star"}, view="profile right")
    assert starred.told("mark", wrong) == "right star"
    assert starred.agreement("face", wrong) == 0.5


def test_a_mark_that_a_reader_sees_in_one_picture_of_ten_is_its_slip():
    known = known_by([seen(STAR), *[seen(NO_STAR)] * 9])
    assert known.traits["mark"] == "none"
    assert known.agreement("face", seen(STAR)) == 0.5
    assert known.agreement("face", seen(NO_STAR)) == 1


# -- what is asked of a picture ----------------------------------------------------------------------------------------


def test_what_a_reader_does_not_name_is_neither_right_nor_wrong():
    known = known_by([seen(OWN)] * 8)
    assert known.agreement("face", seen({"build": "slim"})) is None
    assert known.agreement("body", seen({"build": "slim"})) == 1
    assert known.agreement("attributes", seen({"tail": "fox"})) is None, "of which nothing is known"


def test_a_part_that_real_pictures_of_a_view_never_show_is_not_to_be_seen_there():
    backs = [seen({"build": "slim"}, view="back")] * 4
    known = known_by([*[seen(OWN)] * 4, *backs, *[seen(OWN, view="profile left", framing="face")] * 2])
    assert known.shows("face", {"view": "front"})
    assert not known.shows("face", {"view": "back"})
    assert known.shows("body", {"view": "back"})
    assert known.shows("face", {"view": "profile"}), "either side"
    assert known.shows("face", {}), "where nothing is asked for it may"
    assert known.shows("face", {"view": "three-quarter left"}), "of which there is no picture to know from"
    assert known.shows("face", {"view": "back", "framing": "face"}), "likewise"


# -- scales ------------------------------------------------------------------------------------------------------------


def test_a_part_is_at_one_as_among_real_pictures_and_at_zero_as_for_others():
    real = [*[seen({"left_eye": "gold"})] * 9, seen({"left_eye": "blue"})]
    others = [*[seen({"left_eye": "gold"})] * 2, *[seen({"left_eye": "red"})] * 8]
    scale = known_by(real, others=others).scales["face"]
    assert scale.mark("front", 0.9, instrument="x").value == pytest.approx(1), "the reader errs in real pictures too"
    assert scale.mark("front", 0.2, instrument="x").value == pytest.approx(0), "and others have it by chance"
    one = scale.mark("front", 0.9, instrument="x", grain=0.35)
    assert (one.grain, one.raw_grain) == pytest.approx((0.5, 0.35)), "what is half of the raw way is half of the way"


def test_a_part_that_others_have_as_much_of_tells_nothing_and_says_so():
    scale = known_by([seen({"build": "slim"})] * 9, others=[seen({"build": "slim"})] * 9).scales["body"]
    mark = scale.mark("front", 1.0, instrument="x")
    assert (mark.value, mark.missing) == (None, "x cannot tell this character from others in the view 'front'")


def test_without_others_there_is_no_scale():
    assert known_by([seen(OWN)] * 9).scales == {}


# -- the ruler ---------------------------------------------------------------------------------------------------------

HERE, THERE = seen(OWN, embedding=(1.0, 0.0)), seen({}, embedding=(0.0, 1.0))


def test_a_ruler_is_made_of_what_was_held_out():
    known = known_by([HERE] * 9, others=[THERE] * 5, knows_characters=True)
    assert known.ruler is not None
    assert [mark.value for mark in known.ruler.marks([HERE, THERE])] == pytest.approx([1, 0])
    assert known.no_ruler == ""


@pytest.mark.parametrize(
    ("held_out", "count", "why"),
    [(3, 12, "3 held-out pictures show enough"), (4, 8, "4 training pictures show enough")],
)
def test_of_too_few_pictures_there_is_no_ruler_and_it_says_why(held_out: int, count: int, why: str):
    known = known_by([HERE] * count, others=[THERE] * 5, knows_characters=True, held_out=held_out)
    assert known.ruler is None
    assert known.no_ruler.startswith(why)
    assert "Add pictures" in known.no_ruler
    assert known.traits == OWN, "what it shows is known all the same"


def test_a_reader_that_tells_nobody_apart_makes_no_ruler():
    known = known_by([HERE] * 9, others=[THERE] * 5)
    assert (known.ruler, known.no_ruler) == (None, "this reader does not tell characters apart")
