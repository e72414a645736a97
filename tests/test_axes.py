"""Axes: each is lowered by the fault that is planted for it, and by no other. The truth is drawn; no model is asked."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import fmean

import numpy
import pytest
from painters import (
    OUTFITS,
    WHO,
    Painter,
    base,
    being,
    drawn_by,
    good,
    measure_by,
    painted,
    real_drawings,
    seen_in,
    shots_of,
    strangers,
    with_fault,
)

from likeness.evaluation.artefacts import Usual
from likeness.evaluation.axes import AXES, UNDRAWN
from likeness.evaluation.calibration import Mark
from likeness.evaluation.measure import Drawn, Measure, is_as_asked
from likeness.evaluation.shots import CALLED, Shot
from likeness.maquette.world import Drawing
from likeness.seeds import stream

LIKENESSES = ("identity", "face", "body", "clothing", "attributes")


@pytest.fixture(scope="module")
def measure() -> Measure:
    return measure_by(drawn_by(base, shots_of()))


def marks_of(axis: str, painter: Painter | Drawn, measure: Measure) -> list[Mark | None]:
    return AXES[axis](painter if isinstance(painter, Drawn) else drawn_by(painter, shots_of()), measure)


def mean(axis: str, painter: Painter | Drawn, measure: Measure) -> float:
    """Of what could be told; there is something."""
    return fmean(mark.value for mark in marks_of(axis, painter, measure) if mark and mark.value is not None)


def kinds_with_marks(axis: str, painter: Painter, measure: Measure) -> set[str]:
    pairs = zip(shots_of(), marks_of(axis, painter, measure), strict=True)
    return {shot.kind for shot, mark in pairs if mark}


def test_who_is_right_is_at_one_and_others_are_at_zero():
    many = [shot.model_copy(update={"seed": shot.seed + more}) for more in range(2) for shot in shots_of()]
    measure, right, wrong = measure_by(drawn_by(base, many)), drawn_by(good, many), drawn_by(strangers, many)
    for axis in LIKENESSES:
        assert mean(axis, right, measure) == pytest.approx(1, abs=0.02)
        assert mean(axis, wrong, measure) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize(
    ("axis", "wrong"),
    [
        ("face", {"left_eye": "blue", "right_eye": "blue"}),
        ("face", {"mark": "right star"}),
        ("body", {"head_ratio": "small", "build": "stout"}),
        ("clothing", {"garment": "overalls", "garment_colour": "green"}),
        ("attributes", {"tail": "none", "ears": "human"}),
        ("attributes", {"streak": "none"}),
    ],
)
def test_what_is_wrong_lowers_its_own_part_and_no_other(axis: str, wrong: dict[str, str], measure: Measure):
    found = {
        part: mean(part, with_fault(lambda one, shot: being(one, **wrong)), measure)
        for part in LIKENESSES
        if part != "identity"
    }
    assert found.pop(axis) < 0.95
    assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=0.02)


@pytest.mark.parametrize("axis", ["face", "body", "clothing", "attributes", "freedom", "adherence", "override"])
def test_what_one_thing_less_takes_of_a_mark_is_told_with_it(axis: str, measure: Measure):
    """A raw mark is a share of things: it is a whole number of its grains."""
    for mark in marks_of(axis, good, measure):
        if mark and mark.value is not None and mark.raw is not None:
            assert mark.raw_grain > 0
            assert mark.raw / mark.raw_grain == pytest.approx(round(mark.raw / mark.raw_grain))
            assert mark.grain > 0


def test_the_more_of_a_part_is_wrong_the_lower_it_is(measure: Measure):
    eyes = {"left_eye": "blue", "right_eye": "blue"}
    found = [
        mean("face", with_fault(lambda one, shot, wrong=wrong: being(one, **wrong)), measure)
        for wrong in ({}, eyes, {**eyes, "skin": "blue"}, {**eyes, "skin": "blue", "eye_shape": "round", "nose": "dot"})
    ]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0


def test_the_outfit_that_is_asked_for_is_wanted_and_not_just_one_that_it_has(measure: Measure):
    def other(one: Drawing, shot: Shot) -> Drawing:
        return being(one, **next(outfit for outfit in OUTFITS if outfit["garment"] != one.identity["garment"]))

    found = zip(shots_of(), marks_of("clothing", with_fault(other), measure), strict=True)
    by_kind = {kind: [mark.value for shot, mark in found if mark and shot.kind == kind] for kind in ("own",)}
    assert max(value for value in by_kind["own"] if value is not None) < 0.95
    shot = Shot(kind="yours", number=0, prompt="mirachar", seed=1, asked={"framing": "full body", "view": "front"})
    (mark,) = AXES["clothing"](drawn_by(with_fault(other), [shot]), measure)
    assert mark is not None
    assert mark.value == pytest.approx(1), "where none is asked for, either will do"


OTHERWISE = {"hair_colour": "red"}


def marks_of_yours(one: Drawing, asked: Mapping[str, str], measure: Measure) -> dict[str, Mark | None]:
    """By axis, the mark of a picture of a person's own prompt."""
    shot = Shot(kind="yours", number=0, prompt="mirachar", seed=1, asked={"framing": "full body", **asked})
    drawn = drawn_by(lambda shot: seen_in(one, view="front", framing="full body"), [shot])
    return {axis: AXES[axis](drawn, measure)[0] for axis in LIKENESSES}


@pytest.mark.parametrize("hair", ["red", "teal"])
def test_what_a_persons_own_prompt_asks_to_be_otherwise_is_no_fault_of_likeness(hair: str, measure: Measure):
    right, wrong = good(shots_of()[0]), {"ears": "human", "tail": "none"}
    marks = marks_of_yours(being(right, hair_colour=hair), OTHERWISE, measure)
    told = {axis: mark.value for axis, mark in marks.items() if mark}
    assert told == dict.fromkeys(("face", "body", "clothing", "attributes"), pytest.approx(1)), "whoever it looks like"
    spoilt = marks_of_yours(being(right, hair_colour=hair, **wrong), OTHERWISE, measure)["attributes"]
    unasked = marks_of_yours(being(right, hair_colour="red"), {}, measure)["attributes"]
    for mark in (spoilt, unasked):
        assert mark is not None
        assert mark.value is not None
        assert mark.value < 0.9, "all else is wanted as it is"


def test_other_clothes_that_a_person_asks_for_make_it_nobody_else(measure: Measure):
    asked = {"garment": "dress", "garment_colour": "white", "pattern": "dotted"}
    marks = marks_of_yours(being(good(shots_of()[0]), **asked), asked, measure)
    assert marks["clothing"] is None
    assert marks["identity"] is not None
    assert marks["identity"].value == pytest.approx(1, abs=0.02)


def test_what_a_persons_own_prompt_says_of_it_as_it_is_is_wanted(measure: Measure):
    first, second = (being(good(shots_of()[0]), **outfit) for outfit in OUTFITS)
    right, other = (marks_of_yours(one, OUTFITS[0], measure) for one in (first, second))
    assert right["identity"] is not None
    for marks, is_right in ((right, True), (other, False)):
        assert marks["clothing"] is not None
        assert (marks["clothing"].value == pytest.approx(1)) is is_right


@pytest.mark.parametrize("axis", LIKENESSES)
def test_likeness_is_asked_of_those_that_are_to_show_the_character_as_it_is(axis: str, measure: Measure):
    assert kinds_with_marks(axis, good, measure) == {shot.kind for shot in shots_of()} & {*CALLED}


@pytest.mark.parametrize("axis", ["face", "body", "clothing", "attributes"])
def test_a_reader_that_names_nothing_leaves_a_mark_without_a_value_and_says_so(axis: str, measure: Measure):
    drawn = drawn_by(good, shots_of())
    blind = replace(drawn, readings=[one.model_copy(update={"traits": {}}) for one in drawn.readings])
    seen, unseen = (marks_of(axis, some, measure) for some in (drawn, blind))
    assert [mark is None for mark in unseen] == [mark is None for mark in seen], "it was asked for none the less"
    told = {(mark.value, mark.raw, mark.missing) for mark in unseen if mark}
    assert told == {(None, None, f"the reader named nothing of its {axis}")}


def test_without_an_embedding_there_is_no_identity_and_a_reason(measure: Measure):
    drawn = drawn_by(good, shots_of())
    blind = replace(drawn, readings=[one.model_copy(update={"embedding": None}) for one in drawn.readings])
    told = {(mark.value, mark.missing) for mark in marks_of("identity", blind, measure) if mark}
    assert told == {(None, "nothing to compare was seen")}


@pytest.mark.parametrize(("axis", "hidden"), [("face", {"view": "back"}), ("body", {"framing": "face"})])
def test_what_a_scene_hides_is_not_asked_for(axis: str, hidden: dict[str, str], measure: Measure):
    pairs = list(zip(shots_of(), marks_of(axis, good, measure), strict=True))
    of_those = [mark for shot, mark in pairs if shot.kind == "own" and hidden.items() <= shot.asked.items()]
    of_others = [mark for shot, mark in pairs if shot.kind == "own" and not hidden.items() <= shot.asked.items()]
    assert of_those
    assert set(of_those) == {None}
    assert None not in of_others


# -- what is left free -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["freedom", "adherence", "override", "variety"])
def test_who_does_all_that_the_base_does_has_all_its_freedom(axis: str, measure: Measure):
    assert mean(axis, good, measure) == pytest.approx(1, abs=0.1)


FAST: Mapping[str, Callable[[Drawing, Shot], Drawing]] = {
    "freedom": lambda one, shot: seen_in(one, view="front", framing="face"),
    "adherence": lambda one, shot: seen_in(one, background="room"),
    "override": lambda one, shot: replace(one, identity=WHO) if shot.kind == "override" else one,
}
"""What a LoRA may hold fast."""


@pytest.mark.parametrize("fault", FAST)
def test_what_is_held_fast_lowers_its_own_axis_and_no_other(fault: str, measure: Measure):
    found = {axis: mean(axis, with_fault(FAST[fault]), measure) for axis in FAST}
    assert found.pop(fault) < 0.7
    assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=0.02)


def half_deaf(shot: Shot) -> Drawing:
    """A base that turns as it is asked every other time."""
    one = base(shot)
    turned = "front" if one.scene.view == "back" else "back"
    return one if shot.number % 2 else seen_in(one, view=turned)


def test_freedom_is_told_by_what_the_base_itself_does():
    measure = measure_by(drawn_by(half_deaf, shots_of()))
    alike = with_fault(lambda one, shot: replace(one, scene=half_deaf(shot).scene))
    never = with_fault(lambda one, shot: seen_in(one, view="front" if one.scene.view == "back" else "back"))
    assert mean("freedom", alike, measure) == pytest.approx(1, abs=0.1)
    assert mean("freedom", good, measure) > 1.1, "it follows better than the base"
    assert mean("freedom", never, measure) < 0.8


def test_what_the_base_cannot_draw_is_not_held_against_a_lora():
    def still(one: Drawing, shot: Shot) -> Drawing:
        return seen_in(one, pose="standing" if one.scene.pose != "standing" else "waving")

    measure = measure_by(drawn_by(lambda shot: still(base(shot), shot), shots_of()))
    assert mean("freedom", with_fault(still), measure) == pytest.approx(1)
    assert mean("freedom", with_fault(FAST["freedom"]), measure) < 0.7, "all else is"


def test_where_the_base_can_do_nothing_of_it_nothing_is_told_and_the_reason_is():
    nowhere = drawn_by(lambda shot: seen_in(base(shot), background="nowhere"), shots_of())
    marks = [mark for mark in marks_of("adherence", good, measure_by(nowhere)) if mark]
    assert {(mark.value, mark.missing) for mark in marks} == {(None, "the base itself does not draw background")}
    assert {mark.raw for mark in marks} == {1.0}, "what was seen is kept"


def test_a_reader_that_tells_no_background_is_named_as_the_reason(measure: Measure):
    drawn = drawn_by(good, shots_of())
    blind = replace(drawn, readings=[one.model_copy(update={"background": None}) for one in drawn.readings])
    told = {(mark.value, mark.raw, mark.missing) for mark in marks_of("adherence", blind, measure) if mark}
    assert told == {(None, None, "the reader does not tell background")}
    assert mean("freedom", blind, measure) == pytest.approx(1)


def test_a_view_without_a_side_is_met_by_either():
    assert is_as_asked("profile left", "profile")
    assert is_as_asked("profile right", "profile")
    assert not is_as_asked("profile right", "profile left")
    assert not is_as_asked("front", "profile")
    assert not is_as_asked("profile", "profile left"), "the side was asked for"


@pytest.mark.parametrize(
    "always", [{"background": "room"}, {"view": "front"}, {"framing": "full body"}, {"pose": "waving"}]
)
def test_variety_falls_where_the_trigger_alone_always_brings_the_same(always: dict[str, str], measure: Measure):
    free = mean("variety", good, measure)
    held = mean("variety", with_fault(lambda one, shot: seen_in(one, **always)), measure)
    assert held < free - 0.1


def test_variety_falls_where_the_trigger_alone_always_brings_one_outfit(measure: Measure):
    held = with_fault(lambda one, shot: being(one, **OUTFITS[0]) if shot.kind == "bare" else one)
    assert mean("variety", held, measure) < mean("variety", good, measure) - 0.1
    assert kinds_with_marks("variety", good, measure) == {"bare"}


def test_variety_without_any_is_zero(measure: Measure):
    same = {"background": "room", "view": "front", "framing": "full body", "pose": "waving"}
    held = with_fault(lambda one, shot: being(seen_in(one, **same), **OUTFITS[0]))
    assert mean("variety", held, measure) == 0


def test_the_spread_of_varietys_marks_is_that_of_their_mean(measure: Measure):
    """Each picture is told by all others, so that marks taken as they are would look twice as sure as they are."""
    bare = next(shot for shot in shots_of() if shot.kind == "bare")
    shots = [bare.model_copy(update={"number": place}) for place in range(12)]
    means, errors = [], []
    for seed in range(60):
        rng = stream(seed, "views")
        views = ["front" if rng.random() < 0.7 else "back" for _ in shots]
        shown = drawn_by(lambda shot, views=views: fixed(shot, view=views[shot.number]), shots)
        told = [mark.value for mark in AXES["variety"](shown, measure) if mark and mark.value is not None]
        means.append(fmean(told))
        errors.append(numpy.std(told, ddof=1) / len(told) ** 0.5)
    assert fmean(errors) == pytest.approx(numpy.std(means, ddof=1), rel=0.3)


def fixed(shot: Shot, view: str) -> Drawing:
    return seen_in(good(shot), view=view, background="room", framing="full body", pose="waving")


# -- harm --------------------------------------------------------------------------------------------------------------


def leaky(shot: Shot) -> Drawing:
    """The character where only its class is asked for, too."""
    return replace(good(shot), identity=WHO) if shot.kind == "class" else good(shot)


def test_leak_is_the_likeness_beyond_the_bases_own_picture_of_the_same_noise(measure: Measure):
    assert {mark.value for mark in marks_of("leak", good, measure) if mark} == {0.0}, "what the base draws is no leak"
    assert mean("leak", leaky, measure) == pytest.approx(1, abs=0.2)
    assert kinds_with_marks("leak", leaky, measure) == {"class"}


def test_a_leak_is_paired_picture_by_picture(measure: Measure):
    before = measure.known.ruler
    assert before is not None
    own = {shot.seed: mark.value for shot, mark in zip(shots_of(), before.marks(measure.base.readings), strict=True)}
    for shot, mark in zip(shots_of(), marks_of("leak", leaky, measure), strict=True):
        if mark:
            assert mark.value == pytest.approx(1 - (own[shot.seed] or 0), abs=0.02)


@pytest.mark.parametrize("axis", ["leak", "drift"])
def test_what_the_base_did_not_draw_is_compared_with_nothing(axis: str, measure: Measure):
    moved = [shot.model_copy(update={"seed": shot.seed + 1}) for shot in shots_of()]
    told = {(mark.value, mark.missing) for mark in AXES[axis](drawn_by(leaky, moved), measure) if mark}
    assert told == {(None, UNDRAWN)}


def test_economy_is_how_much_of_the_likeness_the_trigger_brings(measure: Measure):
    assert mean("economy", good, measure) > 0.7
    assert mean("economy", leaky, measure) == pytest.approx(0, abs=0.02)
    assert mean("economy", base, measure) == pytest.approx(0, abs=0.02)
    assert kinds_with_marks("economy", good, measure) == {"class"}


def test_drift_is_how_far_pictures_without_the_trigger_move():
    without = [shot for shot in shots_of() if shot.kind in ("class", "others")]
    shots = [shot for shot in shots_of() if shot.kind == "own"][:3] + without
    measure = measure_by(drawn_by(base, shots, paint=painted))
    still, moved, more = (
        drawn_by(painter, shots, paint=painted)
        for painter in (good, leaky, with_fault(lambda one, shot: seen_in(one, view="back", background="night")))
    )
    assert [mark and mark.value for mark in AXES["drift"](still, measure)] == [
        *[None] * 3,
        *[pytest.approx(0, abs=1e-6)] * len(without),
    ]
    assert 0.01 < mean("drift", moved, measure) < mean("drift", more, measure)


def test_without_training_pictures_copies_are_not_told_and_that_is_said(measure: Measure):
    marks = marks_of("memorisation", good, measure)
    assert {shot.kind for shot, mark in zip(shots_of(), marks, strict=True) if not mark} == {"class", "others"}
    assert {(m.value, m.missing) for m in marks if m} == {(None, "the training pictures are not there")}


def test_a_picture_that_is_blank_counts_and_all_are_looked_at(measure: Measure):
    usual = replace(measure, usual=Usual.of([painted(one) for one in real_drawings(6)]))
    some = drawn_by(good, shots_of()[:6], paint=painted)
    blank = replace(some, pixels=[numpy.full_like(some.pixels[0], 77), *some.pixels[1:]])
    assert [mark and mark.value for mark in AXES["artefacts"](some, usual)] == [0.0] * 6
    assert [mark and mark.value for mark in AXES["artefacts"](blank, usual)] == [1.0, *[0.0] * 5]


def test_a_reader_that_knows_no_characters_tells_no_likeness_as_a_whole_but_its_parts():
    measure = measure_by(drawn_by(base, shots_of()), knows_characters=False)
    for axis in ("identity", "leak", "economy"):
        told = {(mark.value, mark.missing) for mark in marks_of(axis, good, measure) if mark}
        assert told == {(None, "this reader does not tell characters apart")}
    assert mean("face", good, measure) == pytest.approx(1, abs=0.02)
