"""Shots: what is asked for, by which words, of which noise."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

from likeness.errors import EvaluationError
from likeness.evaluation.languages import LANGUAGES, Language, scene_words_in
from likeness.evaluation.shots import CALLED, Shot, Subject, Worn, first_of, is_called, plan_shots
from likeness.maquette.world import SCENE_AXES, scene_tags
from likeness.recipe import EvaluateConfig

MAQUETTE = LANGUAGES["maquette"]
CONFIG = EvaluateConfig(count=8, seeds=2)
MIRA = Subject("mira", "1girl", {"hair_colour": "pink", "garment": "robe", "garment_colour": "red"})
RED = Worn({"garment": "dress", "garment_colour": "red"}, "red dress")
BLUE = Worn({"garment": "coat", "garment_colour": "blue"}, "blue coat")


@cache
def planned(seed: int = 1) -> tuple[Shot, ...]:
    return tuple(plan_shots(MIRA, MAQUETTE, CONFIG, seed=seed))


def of_kind(kind: str, shots: list[Shot] | tuple[Shot, ...]) -> list[Shot]:
    return [shot for shot in shots if shot.kind == kind]


def words(prompt: str) -> set[str]:
    return set(prompt.split(", "))


def test_each_kind_has_its_share_of_prompts_with_as_many_pictures_of_each():
    numbers = Counter(shot.kind for shot in planned() if shot == next(s for s in planned() if s.number == shot.number))
    assert numbers == {"own": 8, "bare": 3, "override": 1, "background": 1, "class": 2, "others": 2}
    assert set(Counter(shot.number for shot in planned()).values()) == {CONFIG.seeds}
    assert [shot.number for shot in planned()] == sorted(shot.number for shot in planned())


def test_the_same_seed_gives_the_same_shots_and_another_one_other_prompts_and_other_noise():
    assert tuple(plan_shots(MIRA, MAQUETTE, CONFIG, seed=1)) == planned()
    fresh = planned(2)
    assert not {shot.seed for shot in planned()} & {shot.seed for shot in fresh}
    assert not {s.prompt for s in of_kind("own", planned())} & {s.prompt for s in of_kind("own", fresh)}
    assert [shot.kind for shot in fresh] == [shot.kind for shot in planned()]


def test_no_two_pictures_with_the_trigger_have_the_same_noise():
    called = [shot.seed for shot in planned() if shot.kind != "class"]
    assert len(set(called)) == len(called)


def test_a_scene_without_the_trigger_has_the_noise_of_the_same_scene_with_it():
    own = {shot.seed: shot for shot in of_kind("own", planned())}
    for shot in of_kind("class", planned()):
        assert "mira" not in shot.prompt
        assert own[shot.seed].prompt == f"mira, {shot.prompt}"
        assert own[shot.seed].asked == shot.asked


def test_the_trigger_is_in_front_where_the_character_is_asked_for_and_nowhere_else():
    with_it = {shot.kind for shot in planned() if shot.prompt.startswith("mira, 1girl")}
    assert with_it == {"own", "bare", "override", "background"}
    assert not any("mira" in shot.prompt for shot in planned() if shot.kind in ("class", "others"))
    assert {shot.prompt for shot in of_kind("bare", planned())} == {"mira, 1girl"}


def test_no_scene_reads_like_a_caption_that_was_trained_on():
    captions = [shot.prompt for shot in of_kind("own", planned())]
    fresh = plan_shots(replace(MIRA, captions=captions), MAQUETTE, CONFIG, seed=1)
    for shot in of_kind("own", fresh):
        for caption in captions:
            both = words(shot.prompt) & words(caption) - {"mira", "1girl"}
            assert len(both) < 0.8 * len((words(shot.prompt) | words(caption)) - {"mira", "1girl"})


def test_a_scene_that_a_caption_tells_in_other_words_is_not_asked_for_either():
    """Sentences for the base, tags in the captions."""
    prose = LANGUAGES["prose"]
    own = of_kind("own", plan_shots(MIRA, prose, CONFIG, seed=1))
    captions = [", ".join(["mira", *scene_tags(_as_maquette(shot.asked))]) for shot in own]
    again = of_kind("own", plan_shots(replace(MIRA, captions=captions), prose, CONFIG, seed=1))
    told = [scene_words_in(caption, prose) for caption in captions]
    assert all(told)
    for shot in again:
        asked = scene_words_in(shot.prompt, prose)
        assert all(len(asked & said) < 0.8 * len(asked | said) for said in told)


def _as_maquette(asked: Mapping[str, str]) -> dict[str, str]:
    """What the maquette has a tag for, of a scene; a side of a view."""
    sided = {name: value if value in SCENE_AXES[name] else f"{value} left" for name, value in asked.items()}
    return {name: value for name, value in sided.items() if value in SCENE_AXES[name]}


def test_where_each_scene_reads_like_a_caption_that_is_said_with_what_to_do():
    one = replace(MAQUETTE, axes={"view": {"front": "front view"}})
    with pytest.raises(EvaluationError, match=r"8 unseen scenes.*fewer.*evaluate\.count.*evaluate\.words"):
        plan_shots(replace(MIRA, captions=["mira, front view"]), one, CONFIG, seed=1)


@pytest.mark.parametrize("name", ["maquette", "booru", "prose"])
def test_what_a_character_is_already_is_never_asked_for_as_another(name: str):
    for own in LANGUAGES[name].overrides[::3]:
        other = next(one for one in LANGUAGES[name].overrides if not one.traits.items() & own.traits.items())
        language = replace(_small(name), overrides=(own, other))
        shots = plan_shots(replace(MIRA, traits=own.traits), language, EvaluateConfig(count=9, seeds=1), seed=1)
        asked = [shot.asked for shot in of_kind("override", shots)]
        assert asked
        assert all(other.traits.items() <= one.items() for one in asked)


def _small(name: str) -> Language:
    """A language of one axis, whose designs are quick."""
    return replace(LANGUAGES[name], axes={"framing": LANGUAGES[name].axes["framing"]})


@cache
def _small_shots() -> list[Shot]:
    return plan_shots(MIRA, _small("maquette"), EvaluateConfig(count=24, seeds=1), seed=1)


def test_hair_and_outfit_take_turns_in_being_another():
    shots = _small_shots()
    asked = [{*shot.asked} - {*MAQUETTE.axes} for shot in of_kind("override", shots)]
    assert len(asked) == 4
    assert all(one != other for one, other in pairwise(asked))
    assert len({shot.prompt for shot in of_kind("override", shots)}) == 4


def test_something_else_is_asked_for_where_clothes_can_be_seen():
    shots = _small_shots()
    assert {shot.asked["framing"] for shot in of_kind("override", shots)} <= {"upper body", "full body"}
    assert "face" in {shot.asked["framing"] for shot in of_kind("own", shots)}


def test_what_should_be_seen_is_what_the_prompt_says():
    for shot in planned():
        if shot.kind != "others":
            asked = {axis: value for axis, value in shot.asked.items() if axis in MAQUETTE.axes}
            assert MAQUETTE.understood(shot.prompt) == asked, shot.prompt
    (override,) = {shot.prompt: shot for shot in of_kind("override", planned())}.values()
    (said,) = [one for one in MAQUETTE.overrides if one.traits.items() <= override.asked.items()]
    assert said.words in override.prompt


def test_another_background_is_one_that_the_scene_did_not_have():
    two = {name: MAQUETTE.backgrounds[name] for name in ("white", "night")}
    language = replace(_small("maquette"), backgrounds=two)
    language = replace(language, axes={**language.axes, "background": two})
    shots = plan_shots(MIRA, language, EvaluateConfig(count=24, seeds=1), seed=1)
    others = of_kind("background", shots)
    assert len(others) == 4
    for shot, scene in zip(others, of_kind("own", shots), strict=False):
        assert shot.asked["framing"] == scene.asked["framing"]
        assert shot.asked["background"] != scene.asked["background"]


def test_a_background_that_no_scene_has_is_asked_for_where_the_language_knows_some():
    shots = plan_shots(MIRA, LANGUAGES["booru"], EvaluateConfig(count=8, seeds=1), seed=1)
    scenes = {shot.asked["background"] for shot in of_kind("own", shots)}
    assert not {shot.asked["background"] for shot in of_kind("background", shots)} & scenes
    assert all("mira, 1girl" in shot.prompt for shot in of_kind("style", shots))
    assert of_kind("style", shots)


def test_outfits_take_turns_and_are_wanted():
    shots = plan_shots(replace(MIRA, outfits=[RED, BLUE]), _small("maquette"), CONFIG, seed=1)
    prompts = {shot.number: shot for shot in of_kind("own", shots)}
    for place, shot in enumerate(prompts.values()):
        worn = (RED, BLUE)[place % 2]
        assert worn.words in shot.prompt
        assert worn.traits.items() <= shot.asked.items()
    assert not any(worn.words in shot.prompt for shot in of_kind("class", shots) for worn in (RED, BLUE))


def test_a_prompt_of_ones_own_gets_the_trigger_once():
    config = EvaluateConfig(count=4, seeds=1, prompts=("in front view, smile", "a drawing of mira, profile left"))
    first, second = of_kind("yours", plan_shots(MIRA, _small("maquette"), config, seed=1))
    assert first.prompt == "mira, 1girl, in front view, smile"
    assert second.prompt == "a drawing of mira, profile left"
    assert "yours" in CALLED


def test_of_a_prompt_of_ones_own_is_wanted_what_it_says():
    config = EvaluateConfig(count=4, seeds=1, prompts=("turned left, smile, eating cake",))
    (own,) = of_kind("yours", plan_shots(MIRA, MAQUETTE, config, seed=1))
    assert own.asked == {"view": "three-quarter left", "expression": "smile"}


def test_of_a_prompt_of_ones_own_is_wanted_what_it_says_of_the_character():
    config = EvaluateConfig(count=4, seeds=1, prompts=("front view, red hair, orange coat", "gold eyes"))
    first, second = of_kind("yours", plan_shots(MIRA, MAQUETTE, config, seed=1))
    assert first.asked == {"view": "front", "hair_colour": "red", "garment": "coat", "garment_colour": "orange"}
    assert second.asked == {"left_eye": "gold", "right_eye": "gold"}


def test_a_first_look_has_some_prompts_of_each_kind_and_a_picture_of_each():
    few = first_of(planned(), 1 / 4)
    assert Counter(shot.kind for shot in few) == {
        **{"own": 2, "bare": 1, "override": 1, "background": 1, "class": 1, "others": 1}
    }
    first = {shot.number: shot for shot in reversed(planned())}
    assert few == [first[shot.number] for shot in few]
    own = [shot.number for shot in few if shot.kind == "own"]
    assert own == [0, 1], "the first few are a design of their own"
    (alone,) = of_kind("class", few)
    assert alone.seed in {shot.seed for shot in of_kind("own", few)}, "it has its pair"


def test_a_first_look_at_all_has_each_prompt_once():
    assert [shot.number for shot in first_of(planned(), 1.0)] == sorted({shot.number for shot in planned()})


def test_a_trigger_without_class_words_is_said_alone():
    shots = plan_shots(Subject("mira", "", {}), _small("maquette"), EvaluateConfig(count=4, seeds=1), seed=1)
    assert {shot.prompt for shot in of_kind("bare", shots)} == {"mira"}
    assert not any(shot.prompt.startswith(",") for shot in shots)


def test_neither_outfits_nor_other_backgrounds_make_a_caption_s_scene_another():
    worn = (Worn({"garment": "dress"}, "red dress, striped clothes, short"),)
    asked = plan_shots(replace(MIRA, outfits=worn), MAQUETTE, CONFIG, seed=1)
    captions = [shot.prompt for shot in asked if shot.kind in ("own", "background")]
    taught = replace(MIRA, outfits=worn, captions=captions)
    again = plan_shots(taught, MAQUETTE, CONFIG, seed=1)
    assert again
    assert not {shot.prompt for shot in again} & set(captions)


def test_an_outfit_that_it_has_is_no_other():
    hoodie = Worn({"garment": "hoodie", "garment_colour": "green"}, "green hoodie")
    for seed in range(6):
        asked = plan_shots(replace(MIRA, outfits=(hoodie,)), MAQUETTE, CONFIG, seed=seed)
        others = [shot for shot in asked if shot.kind == "override"]
        assert others
        assert not any(shot.asked.get("garment") == "hoodie" for shot in others)


@pytest.mark.parametrize(("prompt", "is_said"), [("a miracle, front view", False), ("MIRA, smile", True)])
def test_a_trigger_is_a_word_of_its_own(prompt: str, is_said: bool):
    assert is_called(prompt, "mira") is is_said
