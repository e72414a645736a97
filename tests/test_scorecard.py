"""The scorecard: means with their intervals, what they rest on, and what could not be told."""

from collections.abc import Sequence
from dataclasses import replace

import numpy
import pytest
from painters import FLAT, OUTFITS, base, being, drawn_by, good, measure_by, reading_of, shots_of, with_fault

from likeness.evaluation.advice import findings_of
from likeness.evaluation.axes import AXES
from likeness.evaluation.calibration import Mark
from likeness.evaluation.details import Detail, details_of, mirrored
from likeness.evaluation.measure import Drawn, Measure
from likeness.evaluation.scorecard import KINDS, Score, judge, judged, measured_of, rules_of, score
from likeness.evaluation.shots import Shot
from likeness.evaluation.table import groups_of
from likeness.maquette.world import TRAITS
from likeness.recipe import EvaluateConfig
from likeness.records import Reading
from likeness.statistics import wilson

BLIND = Mark(None, 0.3, "nothing was seen")


@pytest.fixture(scope="module")
def measure() -> Measure:
    return measure_by(drawn_by(base, shots_of()))


def shot(number: int, seed: int = 0, kind: str = "own") -> Shot:
    return Shot.model_validate({"kind": kind, "number": number, "prompt": f"p{number}", "seed": 100 * number + seed})


def drawn(shots: Sequence[Shot]) -> Drawn:
    return Drawn(shots, [FLAT] * len(shots), [Reading(instrument="x", instrument_sha256="0" * 64)] * len(shots))


def scored(
    shots: Sequence[Shot], marks: Sequence[Mark | None], measure: Measure, axis: str = "leak", seed: int = 1
) -> Score:
    (found,) = score("mira", 250, "full", drawn(shots), {axis: marks}, measure, seed=seed)
    return found


def told(*values: float) -> list[Mark | None]:
    return [Mark(value, value / 2) for value in values]


SHOTS = [shot(number, seed) for number in range(12) for seed in range(2)]
VALUES = numpy.random.default_rng(0).normal(0.7, 0.1, len(SHOTS)).tolist()


def test_a_score_has_its_mean_within_its_interval_and_what_it_rests_on(measure: Measure):
    found = scored(SHOTS, told(*VALUES), measure)
    assert (found.who, found.step, found.round, found.axis) == ("mira", 250, "full", "leak")
    assert found.value is not None
    assert found.raw is not None
    assert found.value.mean == pytest.approx(numpy.mean(VALUES))
    assert found.value.low < found.value.mean < found.value.high
    assert found.raw.mean == pytest.approx(numpy.mean(VALUES) / 2)
    assert found.value.samples == found.asked == len(SHOTS)
    assert found.missing == {}


def test_an_interval_is_the_same_for_the_same_seed_and_of_nothing_but_equals_a_point(measure: Measure):
    assert scored(SHOTS, told(*VALUES), measure) == scored(SHOTS, told(*VALUES), measure)
    same = scored(SHOTS, told(*[0.4] * len(SHOTS)), measure).value
    assert same is not None
    assert (same.low, same.high) == pytest.approx((0.4, 0.4))


def test_pictures_of_one_prompt_are_not_taken_for_as_many_prompts(measure: Measure):
    """That pictures of one prompt are alike says nothing of another."""
    values = [float(number % 2) for number in range(12)]
    many, few = (
        scored(shots, told(*[values[one.number] for one in shots]), measure).value
        for shots in ([shot(number, seed) for number in range(12) for seed in range(8)], [shot(n) for n in range(12)])
    )
    assert many is not None
    assert few is not None
    assert many.high - many.low > 0.8 * (few.high - few.low)


def test_each_kind_keeps_its_share_in_each_resample(measure: Measure):
    """Own prompts are at 1 and bare ones at 0: of so many of each the mean never changes."""
    shots = [shot(number, kind="own" if number < 6 else "bare") for number in range(12)]
    found = scored(shots, told(*[1.0] * 6, *[0.0] * 6), measure).value
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_that_views_differ_makes_a_mean_no_less_sure_where_each_is_asked_for_as_often(measure: Measure):
    """Of 24 prompts the half that is seen from behind comes out at 0, and a choice is told as much."""
    views = [("front", "back")[number % 2] for number in range(24)]
    shots = [shot(number).model_copy(update={"asked": {"view": view}}) for number, view in enumerate(views)]
    some = told(*[float(view == "front") for view in views])
    found = scored(shots, some, measure).value
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert measured_of((1,), shots, [{"leak": some}]).levels == tuple(("own", "", view, "") for view in views)
    rated = scored(shots, some, measure, axis="memorisation").value
    assert rated is not None
    assert rated.low < 0.4, "shares are counted"
    yours = [one.model_copy(update={"kind": "yours"}) for one in shots]
    for unplanned in (
        scored(yours, some, measure),
        score("x", 1, "full", drawn(shots), {"leak": some}, measure, seed=1, is_planned=False)[0],
    ):
        assert unplanned.value is not None
        assert unplanned.value.low < 0.4, "nobody sees to it that there are as many of each"


def test_that_outfits_take_turns_makes_a_mean_no_less_sure(measure: Measure):
    """A reader that looks at clothes too finds one of them less alike; what a prompt has otherwise is no outfit."""
    worn = [("coat", "dress", "robe")[number % 3] for number in range(24)]
    some = told(*[{"coat": 0.9, "dress": 0.6, "robe": 0.75}[outfit] for outfit in worn])
    for kind, is_sure in (("own", True), ("override", False)):
        shots = [
            shot(number, kind=kind).model_copy(update={"asked": {"view": "front", "garment": outfit}})
            for number, outfit in enumerate(worn)
        ]
        found = scored(shots, some, measure).value
        assert found is not None
        assert (found.high - found.low < 1e-9) == is_sure


def test_what_the_instrument_says_of_a_copy_is_no_rate(measure: Measure):
    copies: list[Mark | None] = [Mark(0.0, -0.2 - place / 10000) for place in range(24)]
    found = scored(SHOTS, copies, measure, axis="memorisation")
    assert found.value is not None
    assert found.raw is not None
    assert found.value.high > 0.2, "in 12 prompts without a copy there may still be some"
    assert found.raw.low == pytest.approx(found.raw.mean, abs=0.001)


def test_what_counts_things_is_not_sure_where_all_of_them_are_right(measure: Measure):
    counted: list[Mark | None] = [Mark(1.0, 1.0, grain=0.5, raw_grain=0.25)] * len(SHOTS)
    found = scored(SHOTS, counted, measure, axis="body")
    assert found.value is not None
    assert found.raw is not None
    assert (found.value.low, found.value.high) == pytest.approx((1 - 1.96 * 0.5 / 12, 1 + 1.96 * 0.5 / 12), abs=1e-4)
    assert found.raw.low == pytest.approx(1 - 1.96 * 0.25 / 12, abs=1e-4)
    assert measured_of((1,), SHOTS, [{"body": counted}]).grains == {"body": [0.5]}


def test_where_less_than_half_could_be_told_there_is_no_value_and_what_is_missing_is_counted(measure: Measure):
    some = [*told(*[0.9] * 11), *[BLIND] * 10, *[Mark(None, None, "too dark")] * 3]
    found = scored(SHOTS, some, measure)
    assert found.value is None
    assert found.asked == 24
    assert found.missing == {"nothing was seen": 10, "too dark": 3}
    assert found.raw is not None
    assert found.raw.samples == 21, "what the instrument said is kept"


def test_half_is_enough_and_what_was_not_told_counts_for_nothing(measure: Measure):
    found = scored(SHOTS, [*told(*[0.9] * 12), *[BLIND] * 12], measure)
    assert found.value is not None
    assert (found.value.mean, found.value.samples, found.asked) == (pytest.approx(0.9), 12, 24)


def test_what_a_picture_was_not_asked_for_is_not_missing(measure: Measure):
    found = scored(SHOTS, [*told(*[0.9] * 4), *[None] * 20], measure)
    assert found.value is not None
    assert (found.asked, found.value.samples, found.missing) == (4, 4, {})


def test_an_axis_that_no_picture_was_asked_for_has_no_score(measure: Measure):
    assert score("mira", 1, "full", drawn(SHOTS), {"leak": [None] * 24}, measure, seed=1) == []


# -- by picture --------------------------------------------------------------------------------------------------------


def test_each_picture_is_told_with_what_each_axis_says_of_it():
    marks = {"identity": told(0.123456789, 0.5), "face": [BLIND, None], "memorisation": [None, Mark(0, 0.4, "", 7)]}
    one, other = judged("mira", "fresh", drawn(SHOTS[:2]), marks)
    assert (one.who, one.round, one.shot) == ("mira", "fresh", SHOTS[0])
    assert one.values == {"identity": 0.12346}
    assert one.raws == {"identity": 0.06173, "face": 0.3}
    assert one.missing == {"face": "nothing was seen"}
    assert (one.nearest, other.nearest) == (None, 7)
    assert other.values == {"identity": 0.5, "memorisation": 0}
    assert other.instrument_sha256 == "0" * 64


def test_every_axis_marks_every_picture(measure: Measure):
    marks = judge(drawn_by(good, shots_of()), measure)
    assert marks.keys() == AXES.keys()
    assert {len(some) for some in marks.values()} == {len(shots_of())}
    assert AXES.keys() - KINDS.keys() == {"economy"}


# -- for a choice ------------------------------------------------------------------------------------------------------


def test_a_choice_gets_a_row_a_checkpoint_a_column_a_prompt_and_all_its_pictures():
    shots = [shot(0, 0), shot(0, 1), shot(1, 0, "bare"), shot(1, 1, "bare")]
    found = measured_of((5, 9), shots, [{"leak": told(1, 2, 3, 4)}, {"leak": [*told(5, 6, 7), None]}])
    assert (found.steps, found.strata) == ((5, 9), ("own", "bare"))
    numpy.testing.assert_equal(found.values["leak"], [[[1, 2], [3, 4]], [[5, 6], [7, numpy.nan]]])


def test_what_could_hardly_be_told_of_a_checkpoint_has_no_value_there_and_one_for_others():
    seen, hardly = told(*VALUES), [*told(*VALUES[:5]), *[BLIND] * 19]
    found = measured_of((1, 2), SHOTS, [{"leak": seen}, {"leak": hardly}])
    assert numpy.isfinite(found.values["leak"][0]).all()
    assert numpy.isnan(found.values["leak"][1]).all()


def test_an_axis_that_was_asked_of_nobody_is_left_out():
    marks = {"leak": told(*VALUES), "override": [None] * 24}
    assert measured_of((1, 2), SHOTS, [marks, marks]).values.keys() == {"leak"}


def test_rules_are_what_the_recipe_says():
    config = EvaluateConfig(weights={"clothing": 3.0}, identity_floor=0.4, copies_limit=0.2)
    rules = {rule.axis: rule for rule in rules_of(config)}
    assert rules.keys() == KINDS.keys()
    assert (rules["clothing"].weight, rules["face"].weight, rules["identity"].weight) == (3.0, 0.5, 1.0)
    assert (rules["identity"].limit, rules["memorisation"].limit, rules["face"].limit) == (0.4, 0.2, None)
    assert {axis for axis, rule in rules.items() if rule.kind == "harm"} == {
        *("memorisation", "leak", "drift", "artefacts")
    }


# -- details -----------------------------------------------------------------------------------------------------------


def details(axis: str, shown: Drawn, measure: Measure) -> dict[str, Detail]:
    return {one.name: one for one in details_of(axis, shown, AXES[axis](shown, measure), measure)}


def test_each_trait_of_a_part_is_told_with_what_is_there_instead(measure: Measure):
    shown = drawn_by(with_fault(lambda one, shot: being(one, left_eye="blue") if shot.number % 2 else one), shots_of())
    found = details("face", shown, measure)
    eye = found["left_eye"]
    seen = [
        one.traits["left_eye"]
        for s, one in zip(shots_of(), shown.readings, strict=True)
        if "left_eye" in one.traits and s.kind in ("own", "background")
    ]
    assert (eye.wanted, eye.instead, eye.samples) == ("gold", "blue", len(seen))
    assert eye.share == pytest.approx(seen.count("gold") / len(seen))
    assert eye.instead_share == pytest.approx(1 - eye.share)
    assert (eye.low, eye.high) == wilson(seen.count("gold"), len(seen))
    assert found["right_eye"].share == 1
    assert (found["right_eye"].instead, found["right_eye"].instead_share) == ("", 0)


def test_a_mark_on_the_wrong_side_is_told_apart_from_no_mark(measure: Measure):
    wrong, gone = (
        details("face", drawn_by(with_fault(lambda one, shot, mark=mark: being(one, mark=mark)), shots_of()), measure)
        for mark in ("right star", "none")
    )
    assert (wrong["mark side"].share, wrong["mark side"].instead) == (0, "right star")
    assert "mark side" not in gone
    assert gone["mark"].instead == "none"


def test_what_the_base_would_draw_anyway_is_told(measure: Measure):
    always_blue = measure_by(drawn_by(lambda shot: being(base(shot), left_eye="blue"), shots_of()))
    shown = drawn_by(with_fault(lambda one, shot: being(one, left_eye="blue")), shots_of())
    assert details("face", shown, always_blue)["left_eye"].base_share == 1
    assert details("face", shown, measure)["left_eye"].base_share < 0.5


def test_an_outfit_that_varies_is_wanted_as_either(measure: Measure):
    found = details("clothing", drawn_by(good, shots_of()), measure)
    assert {*found["garment"].wanted.split(" or ")} == {outfit["garment"] for outfit in OUTFITS}
    assert found["garment"].share == 1


def test_each_outfit_that_is_asked_for_is_told_and_which_one_leaks_into_it(measure: Measure):
    right = details("clothing", drawn_by(good, shots_of()), measure)
    outfits = {name: one for name, one in right.items() if name.startswith("outfit ")}
    assert {name: (one.share, one.instead) for name, one in outfits.items()} == dict.fromkeys(outfits, (1, ""))
    assert len(outfits) == len(OUTFITS)
    leaking = drawn_by(with_fault(lambda one, shot: being(one, **OUTFITS[0])), shots_of())
    found = details("clothing", leaking, measure)
    assert (found["outfit robe, black"].share, found["outfit robe, black"].instead) == (1, "")
    leaks = found["outfit coat, orange"]
    assert (leaks.share, leaks.instead, leaks.instead_share) == (0, "robe, black", 1)


def test_a_trait_that_a_persons_own_prompt_asks_to_be_otherwise_is_not_told(measure: Measure):
    asked = {"framing": "full body", "view": "front", "tail": "cat"}
    yours = Shot(kind="yours", number=0, prompt="mirachar, cat tail", seed=3, asked=asked)
    found = details("attributes", drawn_by(good, [yours]), measure)
    assert "tail" not in found
    assert found["ears"].share == 1


def test_a_trait_of_the_checklist_that_the_reader_never_names_is_told_as_untold(measure: Measure):
    known = replace(measure.known, traits={**measure.known.traits, "tattoo": "snake"})
    known = replace(known, parts={**known.parts, "tattoo": "attributes"})
    shown, listed = drawn_by(good, shots_of()), replace(measure, known=known)
    assert details("attributes", shown, listed)["tattoo"] == Detail(
        name="tattoo", wanted="snake", share=0, low=0, high=1, samples=0
    )
    marks = {"attributes": AXES["attributes"](shown, listed)}
    scores = score("mira", 250, "full", shown, marks, listed, seed=1)
    (found,) = findings_of(scores, EvaluateConfig(checklist={"tattoo": "snake"}))
    assert (found.fault, found.name) == ("untold", "tattoo")
    assert "tattoo: the reader names nothing of it in any picture" in found.found
    assert findings_of(scores, EvaluateConfig()) == [], "nobody asked for it"
    assert [one.axis for one in findings_of([], EvaluateConfig(checklist={"tattoo": "snake"}))] == ["checklist"]
    (*_, (_, _, rows)) = groups_of(scores, {}, [("mira", "full")])
    assert {part.name: part.figures for part in rows[0].parts}["tattoo"] == ["untold"]


def test_likeness_is_told_by_the_view_that_was_asked_for(measure: Measure):
    def odd(one, shot):
        return being(one, **{n: TRAITS[n][0] for n in ("ears", "horns", "tail")}) if one.scene.view == "back" else one

    found = details("identity", drawn_by(with_fault(odd), shots_of()), measure)
    assert found.keys() == {s.asked["view"] for s in shots_of() if s.kind in ("own", "background")}
    assert found.pop("back").share < 0.95
    assert min(one.share for one in found.values()) == pytest.approx(1, abs=0.02)


def test_a_view_of_which_nothing_could_be_told_has_no_likeness(measure: Measure):
    shown = drawn_by(good, shots_of())
    seen = [None if one.view == "back" else one.embedding for one in shown.readings]
    readings = [one.model_copy(update={"embedding": row}) for one, row in zip(shown.readings, seen, strict=True)]
    assert "back" not in details("identity", replace(shown, readings=readings), measure)


def test_how_evenly_what_was_asked_for_comes_is_told(measure: Measure):
    fixed = with_fault(lambda one, shot: replace(one, scene=replace(one.scene, framing="upper body")))
    even, uneven = (details("freedom", drawn_by(painter, shots_of()), measure) for painter in (good, fixed))
    assert even["framing entropy"].share == pytest.approx(1)
    assert uneven["framing entropy"].share == 0
    assert uneven["framing"].instead == "upper body"
    assert uneven["pose entropy"].share == pytest.approx(1, abs=0.1)


def test_what_is_drawn_where_nothing_is_said_is_told_beside_the_base(measure: Measure):
    fixed = with_fault(lambda one, shot: replace(one, scene=replace(one.scene, background="room")))
    one = details("variety", drawn_by(fixed, shots_of()), measure)["background"]
    bare = [reading_of(base(s)).background for s in shots_of() if s.kind == "bare"]
    assert (one.instead, one.instead_share, one.share) == ("room", 1, 0)
    assert one.base_share == bare.count("room") / len(bare)


def test_the_training_picture_that_most_are_nearest_to_is_told(measure: Measure):
    marks = [Mark(0, 0.5, "", place) for place in (3, 3, 3, 1)]
    (found,) = details_of("memorisation", drawn(SHOTS[:4]), marks, measure)
    assert (found.name, found.share, found.samples) == ("nearest to training picture 4", 0.75, 4)


def test_the_other_side_of_a_value():
    assert mirrored("left scar") == "right scar"
    assert mirrored("right star") == "left star"
    assert mirrored("freckles") == mirrored("none") == ""
