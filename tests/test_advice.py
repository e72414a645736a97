"""Advice: each planted fault is found and named, and of a good adapter nothing is said."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import get_args

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
    reading_of,
    real_drawings,
    seen_in,
    shots_of,
    with_fault,
)

from likeness.evaluation.advice import Fault, Finding, findings_of
from likeness.evaluation.artefacts import Usual
from likeness.evaluation.axes import AXES
from likeness.evaluation.copies import Copies
from likeness.evaluation.details import Detail
from likeness.evaluation.known import Seen
from likeness.evaluation.measure import Drawn, Measure
from likeness.evaluation.scorecard import Score, score
from likeness.evaluation.shots import Shot
from likeness.images import Pixels
from likeness.maquette.world import Drawing
from likeness.perception.encoders import PlainEncoder
from likeness.recipe import EvaluateConfig
from likeness.statistics import Interval, wilson

CONFIG = EvaluateConfig()


@cache
def shots() -> tuple[Shot, ...]:
    """Two pictures of each prompt."""
    return tuple(one.model_copy(update={"seed": one.seed + copy}) for one in shots_of() for copy in range(2))


def visible(one: Drawing) -> Pixels:
    """Its picture; without a pattern it is plain."""
    return painted(being(one, pattern="plain") if one.identity["pattern"] == "none" else one)


@pytest.fixture(scope="module")
def measure() -> Measure:
    """With copies of 16 pictures looked for."""
    shown = drawn_by(base, shots(), paint=visible)
    real = [Seen(visible(one), reading_of(one)) for one in real_drawings(24)]
    usual = Usual.of([*shown.pixels, *(one.pixels for one in real)])
    return replace(measure_by(shown), copies=Copies(real[:16], real[16:], PlainEncoder()), usual=usual)


def findings(shown: Painter | Drawn, measure: Measure) -> list[Finding]:
    """What all axes find."""
    shown = shown if isinstance(shown, Drawn) else drawn_by(shown, shots(), paint=visible)
    marks = {name: axis(shown, measure) for name, axis in AXES.items()}
    return findings_of(score("mira", 250, "full", shown, marks, measure, seed=1), CONFIG)


def other_than_learnt(one: Drawing, shot: Shot) -> Drawing:
    """Half of it is another's."""
    return being(
        one,
        ears="bear",
        horns="none",
        hair_colour="black",
        hair_style="bun",
        skin="blue",
        build="stout",
        height="short",
        eye_shape="round",
        nose="dot",
        tail="none",
    )


def one_outfit(one: Drawing, shot: Shot) -> Drawing:
    return being(one, **OUTFITS[0]) if shot.kind == "bare" else one


def from_behind(one: Drawing, shot: Shot) -> Drawing:
    return other_than_learnt(one, shot) if one.scene.view == "back" else one


def leaking(shot: Shot) -> Drawing:
    return replace(good(shot), identity=WHO) if shot.kind == "class" else good(shot)


Planted = tuple[str, Fault, str]

PLANTED: Mapping[Planted, tuple[Painter, set[tuple[str, Fault]]]] = {
    ("identity", "undertrained", ""): (
        with_fault(other_than_learnt),
        {("face", "wrong"), ("body", "wrong"), ("attributes", "wrong"), ("attributes", "lost")},
    ),
    ("identity", "weak view", "back"): (with_fault(from_behind), set()),
    ("face", "wrong", "left_eye"): (with_fault(lambda one, shot: being(one, left_eye="blue")), set()),
    ("face", "lost", "mark"): (with_fault(lambda one, shot: being(one, mark="none")), set()),
    ("face", "side", "mark side"): (with_fault(lambda one, shot: being(one, mark="right star")), {("face", "wrong")}),
    ("body", "wrong", "head_ratio"): (with_fault(lambda one, shot: being(one, head_ratio="small")), set()),
    ("clothing", "wrong", "pattern"): (with_fault(lambda one, shot: being(one, pattern="dotted")), set()),
    ("clothing", "lost", "pattern"): (with_fault(lambda one, shot: being(one, pattern="none")), set()),
    ("clothing", "outfit", "outfit coat, orange"): (
        with_fault(lambda one, shot: being(one, **OUTFITS[0])),
        {("override", "outfit"), ("variety", "outfit")},
    ),
    ("attributes", "wrong", "ears"): (with_fault(lambda one, shot: being(one, ears="bear")), set()),
    ("attributes", "lost", "streak"): (with_fault(lambda one, shot: being(one, streak="none")), set()),
    ("freedom", "stiff", "view"): (with_fault(lambda one, shot: seen_in(one, view="front")), {("variety", "stiff")}),
    ("adherence", "background", "background"): (
        with_fault(lambda one, shot: seen_in(one, background="room")),
        {("variety", "background")},
    ),
    ("override", "outfit", "garment"): (
        with_fault(lambda one, shot: being(one, garment="robe")),
        {("variety", "outfit")},
    ),
    ("variety", "outfit", "garment"): (with_fault(one_outfit), set()),
    ("variety", "stiff", "pose"): (with_fault(lambda one, shot: seen_in(one, pose="waving")), {("freedom", "stiff")}),
    ("leak", "leak", ""): (leaking, set()),
}
"""By axis, fault and what it is of: who does it, and what has to come with it."""


@pytest.mark.parametrize("planted", PLANTED, ids=" ".join)
def test_a_planted_fault_is_found_and_named_and_nothing_else_on_any_axis_but_what_comes_with_it(
    planted: Planted, measure: Measure
):
    painter, others = PLANTED[planted]
    found = findings(painter, measure)
    assert planted in {(one.axis, one.fault, one.name) for one in found}
    assert {(one.axis, one.fault) for one in found} == {planted[:2], *others}
    assert all(one.advice and one.found for one in found)


def test_of_a_good_adapter_nothing_is_said(measure: Measure):
    assert findings(good, measure) == []


def test_copies_are_found(measure: Measure):
    shown = drawn_by(good, shots(), paint=visible)
    learnt = [visible(one) for one in real_drawings(16)]
    copied = [
        learnt[place % 16] if place % 3 == 0 and shot.kind != "class" else one
        for place, (shot, one) in enumerate(zip(shown.shots, shown.pixels, strict=True))
    ]
    (found,) = findings(replace(shown, pixels=copied), measure)
    assert (found.axis, found.fault) == ("memorisation", "copies")
    assert "of the pictures copy one that was trained on" in found.found


def test_pictures_with_artefacts_are_found(measure: Measure):
    shown = drawn_by(good, shots(), paint=visible)
    blank = numpy.full_like(shown.pixels[0], 90)
    broken = [blank if place % 3 == 0 else one for place, one in enumerate(shown.pixels)]
    (found,) = findings(replace(shown, pixels=broken), measure)
    assert (found.axis, found.fault) == ("artefacts", "artefacts")


def test_each_fault_there_is_has_been_planted():
    by_hand = {"too alike", "copies", "artefacts", "untold"}
    assert {fault for _, fault, _ in PLANTED} | by_hand == {*get_args(Fault)}


# -- what it says ------------------------------------------------------------------------------------------------------


def scored(axis: str, mean: float = 0.9, *, spread: float = 0.05, details: tuple[Detail, ...] = ()) -> Score:
    value = Interval(mean=mean, low=mean - spread, high=mean + spread, samples=24)
    return Score(who="mira", step=1, round="full", axis=axis, value=value, raw=value, asked=24, details=details)


def detail(name: str, right: int, of: int, **more: str | float) -> Detail:
    low, high = wilson(right, of)
    return Detail.model_validate({"name": name, "share": right / of, "low": low, "high": high, "samples": of, **more})


def test_a_weak_view_is_a_lack_that_curation_can_fill(measure: Measure):
    found = findings(with_fault(from_behind), measure)
    (lack,) = [one.lack for one in found]
    assert lack is not None
    assert (lack.axis, lack.value, lack.count) == ("view", "back", 3)
    assert lack.because
    assert "Add 3 pictures of this view: back" in found[0].advice


@pytest.mark.parametrize(("mean", "is_said"), [(1.0, False), (1.1, False), (1.12, True)])
def test_what_is_more_alike_than_real_pictures_are_is_looked_at_for_copies(mean: float, is_said: bool):
    found = findings_of([scored("identity", mean)], CONFIG)
    assert [one.fault for one in found] == ["too alike"] * is_said
    assert all("memorisation" in one.advice for one in found)


def test_a_view_with_few_pictures_is_not_called_weak():
    views = (detail("back", 1, 2), detail("front", 9, 10))
    assert findings_of([scored("identity", 0.8, details=views)], CONFIG) == []
    views = (detail("back", 1, 3), detail("front", 9, 10))
    assert [one.name for one in findings_of([scored("identity", 0.8, details=views)], CONFIG)] == ["back"]


def test_where_all_of_it_is_weak_no_view_is_called_so():
    (found,) = findings_of([scored("identity", 0.3, details=(detail("back", 0, 9),))], CONFIG)
    assert found.fault == "undertrained"
    assert "0.30 (0.25 to 0.35)" in found.found


def test_what_is_perhaps_not_learnt_is_said_so_and_its_weak_view_may_be_why():
    for mean, words in ((0.49, "it is not learnt yet"), (0.54, "it may not be learnt yet")):
        (found,) = findings_of([scored("identity", mean)], CONFIG)
        assert words in found.found
    found = findings_of([scored("identity", 0.54, details=(detail("back", 0, 9),))], CONFIG)
    assert [one.fault for one in found] == ["undertrained", "weak view"]


def test_a_trait_on_the_other_side_is_told_from_one_that_is_wrong():
    """Whoever mirrors pictures learns half of them on the other side."""
    details = (
        detail("earring side", 2, 20, wanted="left earring", instead="right earring", instead_share=0.9),
        detail("earring", 2, 40, wanted="left earring", instead="right earring", instead_share=0.45),
    )
    (found,) = findings_of([scored("attributes", details=details)], CONFIG)
    assert (found.fault, found.name) == ("side", "earring side")
    assert "encode.mirror" in found.advice
    assert "earring side: right earring in 90% of 20 pictures, left earring in 10%" in found.found


@pytest.mark.parametrize(
    "trait",
    [
        detail("tail", 12, 20, wanted="fox", instead="cat", instead_share=0.4),
        detail("tail", 1, 3, wanted="fox", instead="cat", instead_share=0.67),
        detail("tail", 2, 20, wanted="fox", instead="cat", instead_share=0.3),
        detail("tail", 2, 20, wanted="fox", instead="cat", instead_share=0.9, base_share=0.8),
        detail("tail", 2, 20, wanted="fox or cat", instead="dragon", instead_share=0.9),
    ],
    ids=["mostly right", "too few", "now this and now that", "as the base draws it", "of several"],
)
def test_what_is_a_slip_or_was_not_learnt_either_way_is_no_fault(trait: Detail):
    assert findings_of([scored("attributes", details=(trait,))], CONFIG) == []


def test_what_nothing_could_be_told_of_a_person_has_to_look_at():
    score = Score(
        **{"who": "mira", "step": 1, "round": "full", "axis": "face", "value": None, "raw": None, "asked": 9},
        missing={"too small": 7, "from behind": 2},
    )
    (found,) = findings_of([score], CONFIG)
    assert (found.axis, found.fault) == ("face", "untold")
    assert "too small (7 of 9); from behind (2 of 9)" in found.found
    assert "likeness judge" in found.advice


@pytest.mark.parametrize(
    ("axis", "reason", "told"),
    [
        ("identity", "this reader does not tell characters apart", "likeness judge FOLDER"),
        ("identity", "4 training pictures show enough of a face, and 5 are needed", "likeness judge FOLDER"),
        ("leak", "4 training pictures show enough of a face, and 5 are needed", "Take a reader that tells it"),
        ("leak", "the base drew no such picture to compare with", "that the base drew"),
        ("drift", "the base drew no such picture to compare with", "that the base drew"),
        ("memorisation", "the training pictures are not there", "--training FOLDER"),
        ("freedom", "the reader does not tell pose, view", "Take a reader that tells it"),
    ],
)
def test_what_could_not_be_told_asks_for_what_would_tell_it(axis: str, reason: str, told: str):
    """A person who judges by eye sees likeness, and neither copies nor how far pictures moved."""
    score = Score(who="mira", step=1, round="full", axis=axis, value=None, raw=None, asked=9, missing={reason: 9})
    (found,) = findings_of([score], CONFIG)
    assert told in found.advice


@pytest.mark.parametrize(
    ("axis", "mean", "is_said"),
    [
        ("memorisation", 0.08, False),
        ("memorisation", 0.09, True),
        ("artefacts", 0.09, True),
        ("leak", 0.54, False),
        ("leak", 0.56, True),
        ("identity", 0.54, True),
        ("identity", 0.76, False),
    ],
)
def test_harm_is_a_fault_where_it_is_above_its_limit_and_a_leak_must_be_sure(axis: str, mean: float, is_said: bool):
    assert bool(findings_of([scored(axis, mean)], CONFIG)) == is_said


def test_limits_are_the_recipes():
    config = EvaluateConfig(copies_limit=0.9, identity_floor=0.9)
    assert findings_of([scored("memorisation", 0.28)], config) == []
    assert [one.fault for one in findings_of([scored("identity", 0.8)], config)] == ["undertrained"]


@pytest.mark.parametrize(
    ("mean", "words"),
    [(0.4, "is not learnt yet"), (0.52, "may not be learnt yet"), (0.7, "is not all learnt yet"), (0.78, "")],
)
def test_what_is_surely_not_all_learnt_has_more_to_learn(mean: float, words: str):
    found = [one.found for one in findings_of([scored("identity", mean)], CONFIG)]
    assert [one.rpartition(": it ")[2] for one in found] == [words] * bool(words)


def test_findings_come_in_the_order_of_the_scores_and_axes_without_faults_say_nothing():
    scores = [scored("identity", 0.1), scored("drift", 0.9), scored("leak", 1.0), scored("economy", 0.0)]
    assert [one.axis for one in findings_of(scores, CONFIG)] == ["identity", "leak"]


def test_what_the_base_draws_alike_too_is_not_held_fast():
    alike = detail("background", 0, 8, instead="white", instead_share=1.0, base_share=0.9)
    assert findings_of([scored("variety", details=(alike,))], CONFIG) == []
    fast = alike.model_copy(update={"base_share": 0.1})
    (found,) = findings_of([scored("variety", details=(fast,))], CONFIG)
    assert "white in 100% of 8 pictures; the base alone, 10%" in found.found
    few = detail("background", 0, 4, instead="white", instead_share=1.0, base_share=0.1)
    assert findings_of([scored("variety", details=(few,))], CONFIG) == [], "four may be alike by chance"


def test_unevenness_alone_is_told_and_no_fault():
    assert findings_of([scored("freedom", details=(detail("view entropy", 0, 9), detail("view", 9, 9)))], CONFIG) == []
