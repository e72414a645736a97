"""Tags and sentences: order, repeats, spelling; and what a sentence makes of them."""

import pytest

from likeness.captions.claims import contradiction
from likeness.captions.seen import group_of, tagged_traits
from likeness.captions.sentences import sentence
from likeness.captions.tags import (
    booru_tags,
    escaped,
    front_tags,
    is_prose,
    plain_tags,
    split_tags,
    without_repeats,
)
from likeness.captions.words import KINDS, head_of, is_meta, kind_of
from likeness.records import Reading

FRONT = ("mira", "1girl")


def said(*tags: str) -> list[str]:
    return booru_tags(dict.fromkeys(tags, 0.9), threshold=0.35)


def test_tags_are_split_at_commas_and_lines_and_said_once() -> None:
    assert split_tags("a  b, c\nd,,a b") == ("a b", "c", "d")
    assert front_tags("mira", "1girl, fox") == ("mira", "1girl", "fox")
    assert front_tags("mira") == ("mira",)


def test_what_a_reader_saw_has_plain_words_where_no_base_has_its_own() -> None:
    seen = {"hair_colour": "blue", "accessory": "none", "ears": "cat", "view": "back", "framing": "upper body"}
    assert plain_tags(seen) == ["blue hair", "cat ears", "from behind", "upper body"]


def test_tags_come_in_the_order_people_traits_clothing_expression_pose_view_framing_background_rest() -> None:
    words = ["sword", "meadow", "upper body", "from side", "standing", "smile", "red scarf", "blue hair", "1girl"]
    assert said(*words) == list(reversed(words))
    assert [kind_of(tag) for tag in reversed(words)] == list(KINDS)


def test_among_tags_of_a_kind_the_surest_comes_first_and_the_count_of_people_before_solo() -> None:
    tags = {"sword": 0.5, "lamp": 0.9, "solo": 0.99, "1girl": 0.95}
    assert booru_tags(tags, threshold=0.35) == ["1girl", "solo", "lamp", "sword"]


def test_a_tag_below_the_threshold_goes_unsaid() -> None:
    assert booru_tags({"smile": 0.34, "sitting": 0.35}, threshold=0.35) == ["sitting"]


@pytest.mark.parametrize(
    ("tags", "kept"),
    [
        (["very long hair", "long hair", "hair"], ["very long hair"]),
        (["hair", "blue hair"], ["blue hair"]),
        (["blue hair", "long hair"], ["blue hair", "long hair"]),
        (["shirt", "white shirt", "white skirt"], ["white shirt", "white skirt"]),
        (["animal ears", "cat ears"], ["cat ears"]),
        (["smile", "open mouth"], ["smile", "open mouth"]),
        (["grin", "smile"], ["grin"]),
        (["scar", "scar on cheek"], ["scar on cheek"]),
        (["simple background", "white background"], ["white background"]),
        (["cat", "cat ears"], ["cat", "cat ears"]),
    ],
)
def test_a_tag_that_another_says_already_is_left_out(tags: list[str], kept: list[str]) -> None:
    assert without_repeats(tags) == kept


def test_underscores_become_spaces_but_not_in_emoticons() -> None:
    assert set(said("long_hair", ">_<", "^_^", "x_x")) == {"long hair", ">_<", "^_^", "x_x"}
    assert {kind_of(face) for face in (">_<", "^_^", "x_x", ":d")} == {"expression"}


@pytest.mark.parametrize(
    "tag", ["highres", "rating:safe", "general", "watermark", "artist name", "score_9", "twitter username", "year 2023"]
)
def test_tags_about_the_file_are_left_out(tag: str) -> None:
    assert is_meta(tag)
    assert said(tag, "smile") == ["smile"]


def test_parentheses_are_escaped_once() -> None:
    assert escaped("mira (series)") == r"mira \(series\)"
    assert escaped(escaped("mira (series)")) == escaped("mira (series)")


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("A girl stands in a field.", True),
        ("She sits, looking out. It rains!", True),
        ("1girl, solo, smile, open mouth, !?", False),
        ("1girl, solo, smile, blue hair, ...", False),
        ("Smile.", False),
        ("long hair, a girl in a red dress, meadow", False),
    ],
)
def test_sentences_are_told_from_tags(text: str, is_one: bool) -> None:
    assert is_prose(text) is is_one


def test_the_noun_of_a_tag_is_what_it_is_about() -> None:
    assert [head_of(tag) for tag in ("long hair", "scar on left cheek", "hair between eyes")] == [
        "hair",
        "scar",
        "hair",
    ]


# -- traits in a tagger's words ------------------------------------------------------------------------------------


def test_colours_and_lengths_of_hair_are_values_of_one_trait_each() -> None:
    traits = tagged_traits({"blue hair": 0.9, "long hair": 0.8, "green eyes": 0.9, "hair bow": 0.6}, 0.35)
    assert traits == {
        "blue hair": "hair_colour",
        "long hair": "hair_length",
        "green eyes": "eye_colour",
        "hair bow": "bow",
    }


def test_one_garment_is_the_outfit_and_what_belongs_to_the_scene_is_no_trait() -> None:
    tags = {"white shirt": 0.99, "school uniform": 0.7, "skirt": 0.9, "smile": 0.9, "meadow": 0.9}
    assert tagged_traits(tags, 0.35) == {"white shirt": "shirt", "skirt": "skirt", "school uniform": "outfit"}


def test_what_can_be_taken_off_is_told_from_the_body() -> None:
    named = {name: group_of(name) for name in ("hair_colour", "ears", "garment", "outfit", "pattern", "glasses")}
    assert list(named.values()) == ["body", "body", "outfit", "outfit", "detail", "removable"]
    assert group_of("accessory") == "removable"


# -- sentences -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        (
            ["front view", "upper body", "smile", "waving", "white background"],
            "mira, a girl, is shown from the front, from the waist up, smiling and waving, on a white background.",
        ),
        (
            ["from behind", "full body", "arms up", "meadow", "red scarf", "tall"],
            "mira, a girl who is tall, is shown from behind, in full-body view, wearing a red scarf, with arms up, in "
            "a meadow.",
        ),
        (
            ["glasses", "apron", "open mouth", "blush", "holding umbrella", "looking at viewer", "outdoors", "lamp"],
            "mira, a girl, is shown looking at the viewer, wearing glasses and an apron, with an open mouth, blushing "
            "and holding an umbrella, outdoors, with a lamp.",
        ),
        (["night sky"], "mira, a girl, is shown with a night sky in the background."),
        (["1girl", "solo", "profile left", "sad"], "mira, a girl, is shown in profile facing left, looking sad."),
        ([], "mira, a girl, is shown."),
    ],
)
def test_tags_become_one_sentence(tags: list[str], told: str) -> None:
    assert sentence(FRONT, tags) == told


def test_a_sentence_begins_with_trigger_and_class_words_whatever_they_are() -> None:
    assert sentence(("mira",), ["meadow"]) == "mira is shown in a meadow."
    assert sentence(("mira", "fox"), ["meadow"]) == "mira, a fox, is shown in a meadow."


def test_a_word_for_an_outfit_is_worn_and_has_no_article() -> None:
    assert (
        sentence(FRONT, ["miragown", "scarf"], ["miragown"]) == "mira, a girl, is shown wearing miragown and a scarf."
    )


# -- claims --------------------------------------------------------------------------------------------------------


def read(confidence: float = 0.97, **fields: str) -> Reading:
    sure = {"confidence": dict.fromkeys(fields, confidence), "instrument": "eye", "instrument_sha256": "0" * 64}
    return Reading.model_validate({**sure, **fields})


def test_a_caption_that_says_otherwise_than_a_sure_reading_contradicts_it() -> None:
    assert contradiction("mira, from behind", read(view="front")) == (
        "says 'from behind', the reading says front (0.97)"
    )
    assert contradiction("A girl seen from behind, smiling.", read(expression="sad")).startswith("says 'smiling'")


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("mira, from behind", read(view="back")),
        ("mira, from behind", read(0.7, view="front")),
        ("mira, from side", read(view="profile left")),
        ("mira, portrait", read(framing="upper body")),
        ("mira, smile", read(expression="laughing")),
        ("mira, smile", read(expression="bored")),
        ("mira, sadly dressed", read(expression="smile")),
        ("mira, smile", Reading(expression="sad", instrument="eye", instrument_sha256="0" * 64)),
    ],
)
def test_a_caption_that_agrees_or_a_reading_that_is_not_sure_contradicts_nothing(text: str, reading: Reading) -> None:
    assert contradiction(text, reading) == ""
