"""Languages: what is said by their words is understood back, and readers have names for it."""

from dataclasses import replace
from itertools import combinations

import pytest

from likeness.captions.seen import traits_seen
from likeness.captions.tags import split_tags
from likeness.evaluation.languages import LANGUAGES, Language, shown_axes
from likeness.maquette.world import HELD_OUT_VALUES, TRAITS, random_identity, scene_tags, trait_tags, vocabulary
from likeness.pipeline.evaluation import language_of
from likeness.recipe import CaptionConfig, EvaluateConfig, Recipe
from likeness.records import Reading
from likeness.seeds import stream

EACH = pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)


def every_value(language: Language) -> list[tuple[str, str, str]]:
    """Axis, value and words, of backgrounds those beside the axes too."""
    axes = {**language.axes, "background": {**language.axes["background"], **language.backgrounds}}
    return [(axis, value, words) for axis, values in axes.items() for value, words in values.items()]


@EACH
def test_each_value_is_understood_by_its_words(language: Language):
    for axis, value, words in every_value(language):
        assert language.understood(language.say("mira", "1girl", words)) == {axis: value}


@EACH
def test_each_pair_of_values_is_understood_by_its_words(language: Language):
    for (axis, value, words), (other_axis, other, other_words) in combinations(every_value(language), 2):
        if axis != other_axis:
            told = language.understood(language.say("mira", words, other_words))
            assert told == {axis: value, other_axis: other}


@EACH
def test_what_is_said_is_understood_in_any_order_and_any_case(language: Language):
    said = {axis: [*values][-1] for axis, values in language.axes.items()}
    words = [language.axes[axis][value] for axis, value in said.items()]
    assert language.understood(language.say("mira", *words)) == said
    assert language.understood(language.say(*reversed(words), "mira").upper()) == said


@EACH
def test_what_brings_no_scene_with_it_says_nothing_of_one(language: Language):
    for words in (*(one.words for one in language.overrides), *language.styles, *language.front):
        assert language.understood(language.say("mira", words)) == {}


def test_of_two_values_that_are_both_said_the_one_with_more_words_is_meant():
    views = {"profile": "from side", "profile below": "from side, from below", "back": "from behind"}
    language = replace(LANGUAGES["booru"], axes={"view": views})
    assert language.understood("from below, mira, from side") == {"view": "profile below"}
    assert language.understood("mira, from side") == {"view": "profile"}
    assert language.understood("mira, from below") == {}


def test_a_word_that_is_part_of_another_is_not_understood_as_it():
    booru = LANGUAGES["booru"]
    assert booru.understood("outstanding, nightgown, from behind a door") == {}
    assert booru.understood("laughing, open mouth, forest") == {"expression": "laughing", "background": "forest"}


@EACH
def test_what_is_asked_to_be_otherwise_is_understood_as_that(language: Language):
    for one in language.overrides:
        assert language.traits_in(language.say("mira", one.words.upper())) == one.traits
    for axis, value, words in every_value(language):
        assert language.traits_in(words) == {}, f"{axis} {value} is of the scene"


def test_what_is_asked_to_be_otherwise_is_what_a_reader_names():
    for one in LANGUAGES["booru"].overrides:
        reading = Reading(tags={one.words: 1.0}, instrument="tagger", instrument_sha256="0" * 64)
        assert traits_seen(reading, CaptionConfig(), 0.0) == one.traits
    named = {name for one in LANGUAGES["booru"].overrides for name in one.traits}
    assert {name for one in LANGUAGES["prose"].overrides for name in one.traits} <= named


def test_a_character_of_the_maquette_is_understood_by_its_tags():
    for number in range(20):
        traits = random_identity(stream(number, "said")).traits
        said = {name: value for name, value in traits.items() if value != "none"}
        assert LANGUAGES["maquette"].traits_in(", ".join(trait_tags(traits))) == said


def test_prompts_begin_with_the_words_that_a_base_wants_first():
    assert LANGUAGES["pony"].say("mira", "", "smile") == "score_9, score_8_up, score_7_up, mira, smile"
    assert LANGUAGES["booru"].say("", "mira") == "mira"


@EACH
def test_the_words_of_a_value_are_its_own_on_an_axis(language: Language):
    for axis in (*language.axes, "background"):
        words = [said for at, _, said in every_value(language) if at == axis]
        assert len(set(words)) == len(words)


@EACH
def test_there_is_enough_to_ask_for(language: Language):
    """For 24 scenes: overrides of two kinds, four other backgrounds, six prompts of other things."""
    assert len({tuple(one.traits) for one in language.overrides}) >= 2
    assert len(language.overrides) >= 4
    assert len(language.backgrounds) >= 4
    assert len(set(language.others)) == len(language.others) >= 6


def test_each_set_of_words_that_a_recipe_can_name_is_there():
    allowed = EvaluateConfig.model_json_schema()["properties"]["words"]["enum"]
    assert {*allowed} - {"auto"} == {*LANGUAGES}


def test_the_maquette_is_asked_in_words_that_it_knows_for_what_it_has_seen():
    maquette, known = LANGUAGES["maquette"], {*vocabulary()}
    prompts = [*maquette.others, *(one.words for one in maquette.overrides)]
    assert {word for prompt in prompts for tag in split_tags(prompt) for word in tag.split()} <= known
    for one in maquette.overrides:
        assert all(value in TRAITS[name] for name, value in one.traits.items())
        assert not one.traits.items() & {*HELD_OUT_VALUES}


def test_what_cannot_be_seen_is_not_asked_for():
    assert shown_axes({"view": "back", "expression": "smile", "pose": "waving"}) == {"view": "back", "pose": "waving"}
    assert shown_axes({"framing": "face", "pose": "waving", "view": "front"}) == {"framing": "face", "view": "front"}
    assert scene_tags({"framing": "face", "pose": "waving"}) == ["close-up"]


@pytest.mark.parametrize(
    ("base", "reader", "words", "name"),
    [
        ("maquette", "maquette", "auto", "maquette"),
        ("models/noobaiXLNAIXL_vPred10.safetensors", "anime", "auto", "noobai"),
        ("ponyDiffusionV6XL.safetensors", "anime", "auto", "pony"),
        ("Illustrious-XL-v1.0.safetensors", "anime", "auto", "illustrious"),
        ("some-merge.safetensors", "anime", "auto", "booru"),
        ("ponies/v1-5.safetensors", "photo", "auto", "prose"),
        ("ponyDiffusionV6XL.safetensors", "anime", "booru", "booru"),
    ],
)
def test_a_base_is_spoken_to_in_the_words_of_its_family(base: str, reader: str, words: str, name: str):
    recipe = Recipe.model_validate(
        {
            "character": {"name": "Mira", "trigger": "mira", "kind": "original"},
            "base": {"path": base},
            "perception": {"reader": reader},
            "evaluate": {"words": words},
        }
    )
    assert language_of(recipe) is LANGUAGES[name]
