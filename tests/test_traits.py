"""The trait plan: what is always there is absorbed, what varies is exposed, an outfit has its word."""

from typing import Any

import pytest

from likeness.captions.traits import TraitPlan, plan_traits
from likeness.errors import RecipeError
from likeness.maquette.draw import draw
from likeness.maquette.world import Identity, character, random_scene
from likeness.perception import load_reader
from likeness.recipe import CaptionConfig
from likeness.records import Reading
from likeness.seeds import stream
from likeness.statistics import wilson


def reading(
    view: str = "front", confidence: float = 0.9, tags: dict[str, float] | None = None, **traits: str
) -> Reading:
    return Reading(
        view=view,
        traits=traits,
        tags=tags or {},
        confidence=dict.fromkeys(traits, confidence),
        instrument="eye",
        instrument_sha256="0" * 64,
    )


def planned(*groups: tuple[int, dict[str, Any]], **plan: str) -> TraitPlan:
    """The plan of so many readings of each kind."""
    readings = [reading(**told) for count, told in groups for _ in range(count)]
    return plan_traits(
        readings, CaptionConfig(plan={name.replace("__", " "): w for name, w in plan.items()}), trigger="mira"
    )


def only(plan: TraitPlan, name: str) -> Any:
    return next(trait for trait in plan.traits if trait.name == name)


def test_what_is_always_there_is_absorbed_with_its_counts() -> None:
    trait = only(planned((20, {"hair_colour": "blue"}), (2, {"ears": "cat"})), "hair_colour")
    assert (trait.decision, trait.pictures, trait.told, trait.share) == ("absorb", 20, 20, 1.0)
    assert trait.reason == "always there"
    assert trait.decided_by == "rule"


@pytest.mark.parametrize("strays", [1, 2, 4])
@pytest.mark.parametrize("of", [12, 20, 40])
def test_a_few_wrong_readings_do_not_make_the_body_vary(strays: int, of: int) -> None:
    plan = planned((of - strays, {"hair_colour": "blue"}), (strays, {"hair_colour": "green"}))
    assert only(plan, "hair_colour").decision == "absorb"
    assert f"{strays} of {of} read otherwise" in only(plan, "hair_colour").reason


def test_a_body_that_has_several_values_each_common_is_exposed() -> None:
    assert (
        only(planned((20, {"hair_colour": "blue"}), (20, {"hair_colour": "green"})), "hair_colour").decision == "expose"
    )
    fifths = [(8, {"hair_colour": colour}) for colour in ("blue", "green", "red", "pink", "white")]
    assert only(planned(*fifths), "hair_colour").decision == "expose"


def test_a_part_of_the_body_that_is_not_seen_is_hidden_and_not_gone() -> None:
    assert only(planned((15, {"mark": "freckles"}), (15, {"mark": "none"})), "mark").decision == "absorb"


def test_an_accessory_in_a_part_of_the_pictures_is_exposed_and_one_that_is_always_there_is_not() -> None:
    assert only(planned((20, {"accessory": "scarf"}), (20, {"accessory": "none"})), "accessory").decision == "expose"
    assert only(planned((39, {"accessory": "scarf"}), (1, {"accessory": "none"})), "accessory").decision == "absorb"


def test_clothes_seen_otherwise_in_fewer_than_five_pictures_may_be_misread() -> None:
    assert only(planned((10, {"garment": "dress"}), (4, {"garment": "coat"})), "garment").decision == "absorb"
    assert only(planned((10, {"garment": "dress"}), (5, {"garment": "coat"})), "garment").decision == "trigger"


def test_that_nothing_is_seen_from_behind_does_not_say_that_nothing_is_there() -> None:
    groups = (20, {"accessory": "glasses"}), (20, {"accessory": "none", "view": "back"})
    assert only(planned(*groups), "accessory").told == 20
    assert only(planned(*groups), "accessory").decision == "absorb"


def test_a_reading_that_is_not_sure_does_not_count() -> None:
    plan = planned((20, {"garment": "dress"}), (20, {"garment": "coat", "confidence": 0.7}))
    assert only(plan, "garment").values == {"dress": 20}


def test_a_trait_told_in_two_pictures_is_absorbed_and_says_so() -> None:
    trait = only(planned((1, {"tail": "cat"}), (1, {"tail": "fox"})), "tail")
    assert (trait.decision, trait.reason) == ("absorb", "told in 2 of the pictures: too few to say that it varies")


def test_outfits_worn_in_five_pictures_or_more_get_words_and_rarer_ones_are_said() -> None:
    plan = planned((15, {"garment": "dress"}), (8, {"garment": "coat"}), (2, {"garment": "robe"}))
    trait = only(plan, "garment")
    assert (trait.decision, trait.triggers) == ("trigger", {"dress": "miradress", "coat": "miracoat"})
    assert "robe: under 5 pictures" in trait.reason


def test_what_changes_with_the_outfit_is_left_to_the_outfits_word() -> None:
    plan = planned(
        (15, {"garment": "dress", "garment_colour": "red"}), (15, {"garment": "coat", "garment_colour": "blue"})
    )
    assert only(plan, "garment").decision == "trigger"
    assert (only(plan, "garment_colour").decision, only(plan, "garment_colour").triggers) == ("absorb", {})
    assert "follows garment" in only(plan, "garment_colour").reason


def test_what_changes_within_an_outfit_is_exposed() -> None:
    groups = [(8, {"garment": g, "garment_colour": c}) for g in ("dress", "coat") for c in ("red", "blue")]
    plan = planned(*groups)
    assert only(plan, "garment_colour").decision == "expose"


def test_many_outfits_of_a_picture_or_two_each_are_said_as_they_are() -> None:
    plan = planned(*[(2, {"garment": name}) for name in ("dress", "coat", "robe", "hoodie", "suit", "shirt", "gown")])
    assert only(plan, "garment").decision == "expose"


# -- a person's word -----------------------------------------------------------------------------------------------


def test_a_person_decides_and_it_is_marked_so() -> None:
    plan = planned((20, {"hair_colour": "blue"}), hair_colour="expose")
    assert (only(plan, "hair_colour").decision, only(plan, "hair_colour").decided_by) == ("expose", "person")
    both = (20, {"garment": "dress"}), (20, {"garment": "coat"})
    assert only(planned(*both, garment="absorb"), "garment").triggers == {}
    assert only(planned(*both, garment="trigger"), "garment").triggers == {"dress": "miradress", "coat": "miracoat"}


def test_a_person_names_the_word_of_an_outfit() -> None:
    trait = only(planned((20, {"garment": "ball gown"}), (2, {"garment": "coat"}), ball__gown="miragown"), "garment")
    assert (trait.decision, trait.decided_by, trait.triggers) == ("trigger", "person", {"ball gown": "miragown"})

    dyed = planned((9, {"hair_colour": "blue"}), (9, {"hair_colour": "red"}), hair_colour="trigger")
    assert only(dyed, "hair_colour").triggers == {"blue": "mirablue", "red": "mirared"}
    two = planned((20, {"garment": "dress"}), (9, {"garment": "coat"}), dress="miragown")
    assert only(two, "garment").triggers == {"dress": "miragown", "coat": "miracoat"}


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"hair_color": "expose"}, "'hair_color' was seen in no picture; did you mean 'hair_colour'"),
        ({"hair_colour": "maybe"}, "hair_colour = 'maybe': use 'absorb', 'expose' or 'trigger'"),
        ({"dress": "expose"}, "'dress' is an outfit, not a trait"),
    ],
)
def test_a_plan_for_what_was_never_seen_is_an_error_with_a_proposal(plan: dict[str, str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        planned((5, {"hair_colour": "blue", "garment": "dress"}), **plan)


def test_without_readings_there_is_no_plan_and_no_error() -> None:
    plan = plan_traits([], CaptionConfig(plan={"hair_colour": "expose"}), trigger="mira")
    assert (plan.traits, plan.may_mirror, plan.decision_on("hair_colour")) == ((), True, "absorb")


# -- mirroring -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "traits",
    [{"mark": "left scar"}, {"mark": "scar on right cheek"}, {"left_eye": "red", "right_eye": "blue"}],
)
def test_what_is_on_one_side_turns_mirroring_off_and_says_why(traits: dict[str, str]) -> None:
    plan = planned((10, traits))
    assert not plan.may_mirror
    assert "mirrored picture" in plan.mirror_reason


def test_two_eyes_of_one_colour_and_a_stray_reading_leave_mirroring_on() -> None:
    same = {"left_eye": "red", "right_eye": "red", "mark": "none"}
    plan = planned((57, same), (3, {"mark": "left scar"}))
    assert (plan.may_mirror, plan.mirror_reason) == (True, "")


# -- taggers -------------------------------------------------------------------------------------------------------


def test_a_taggers_hair_is_a_trait_and_what_it_does_not_name_is_not_told() -> None:
    plan = planned((12, {"tags": {"blue hair": 0.9}}), (8, {"tags": {"smile": 0.9}}))
    trait = only(plan, "hair_colour")
    assert (trait.value, trait.told, trait.decision) == ("blue hair", 12, "absorb")


def test_a_taggers_hat_that_comes_and_goes_is_exposed() -> None:
    plan = planned((12, {"tags": {"red hat": 0.9}}), (8, {"tags": {"smile": 0.9}}))
    assert (only(plan, "hat").told, only(plan, "hat").decision) == (20, "expose")


def test_glasses_that_a_tagger_does_not_see_from_behind_are_always_there() -> None:
    plan = planned((12, {"tags": {"glasses": 0.9}}), (8, {"tags": {"smile": 0.9}, "view": "back"}))
    assert (only(plan, "glasses").told, only(plan, "glasses").decision) == (12, "absorb")


def test_heterochromia_turns_mirroring_off() -> None:
    assert not planned((12, {"tags": {"heterochromia": 0.9}})).may_mirror


# -- the drawn world -----------------------------------------------------------------------------------------------


def test_a_drawn_character_is_absorbed_whole_though_its_reader_errs() -> None:
    reader = load_reader("maquette")
    for number in (3001, 3002, 3003, 3004):
        rng = stream(number, "test of the plan")
        pictures = [draw(character(number), random_scene(rng), size=64) for _ in range(24)]
        plan = plan_traits(reader.read(pictures), CaptionConfig(), trigger="mira")
        assert {trait.decision for trait in plan.traits} == {"absorb"}, number


def test_a_drawn_character_with_two_outfits_gets_a_word_for_each() -> None:
    reader, rng = load_reader("maquette"), stream(1, "test of two outfits")
    first = character(2001)
    second = Identity({**first.traits, "garment": "robe", "garment_colour": "green"}, first.class_words)
    pictures = [draw(first if at < 24 else second, random_scene(rng), size=64) for at in range(40)]
    plan = plan_traits(reader.read(pictures), CaptionConfig(), trigger="mira")
    assert {value for trait in plan.traits for value in trait.triggers} == {first["garment_colour"], "green"}
    assert {trait.name for trait in plan.traits if trait.decision == "expose"} == set()


def test_a_share_of_few_pictures_may_be_anything_and_of_many_is_known() -> None:
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-3)  # as R's binom::binom.wilson has it
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-12)
    low, high = wilson(500, 1000)
    assert 0.46 < low < 0.5 < high < 0.54
