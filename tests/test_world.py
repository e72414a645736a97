"""The maquette's world: who a character can be, what a scene shows of it, and the tags that say so."""

import re

import numpy as np
import pytest

from likeness.maquette.world import (
    HELD_OUT_PAIRS,
    HELD_OUT_VALUES,
    KINDS,
    SCENE_AXES,
    TRAITS,
    Identity,
    Scene,
    character,
    is_unseen,
    random_identity,
    random_scene,
    scene_tags,
    trait_tags,
    visible_axes,
    visible_traits,
    vocabulary,
    with_view,
)

PLAIN = Identity({name: values[0] for name, values in TRAITS.items()})
CLIP_TOKENS = 75  # CLIP's 77 without start and end


def test_each_trait_belongs_to_one_kind():
    assert sorted(name for names in KINDS.values() for name in names) == sorted(TRAITS)


def test_the_same_seed_gives_the_same_identity_and_scene():
    first, second = (np.random.default_rng(5) for _ in range(2))
    for _ in range(20):
        assert random_identity(first) == random_identity(second)
        assert random_scene(first) == random_scene(second)


@pytest.mark.parametrize("start", range(0, 201, 67))
def test_a_numbered_character_has_an_unseen_value_and_an_unseen_pair(start: int):
    for number in range(start, start + 67):
        who = character(number)
        assert any(who[name] == value for name, value in HELD_OUT_VALUES)
        assert any(who[a] == x and who[b] == y for (a, x), (b, y) in HELD_OUT_PAIRS)
        assert is_unseen(who)
        assert all(who[name] in values for name, values in TRAITS.items())


def test_numbered_characters_differ_and_stay_who_they_are():
    assert character(3) == character(3)
    assert len({tuple(character(number).traits.values()) for number in range(200)}) == 200


def test_what_is_held_out_exists_and_is_never_drawn_for_training():
    values = {*HELD_OUT_VALUES, *(one for pair in HELD_OUT_PAIRS for one in pair)}
    assert all(value in TRAITS[name] for name, value in values)
    rng = np.random.default_rng(1)
    seen = [random_identity(rng, seen_only=True) for _ in range(1000)]
    assert not any(is_unseen(who) for who in seen)
    assert {(name, who[name]) for who in seen for name in TRAITS} == {
        (name, value) for name, values in TRAITS.items() for value in values
    } - set(HELD_OUT_VALUES)


def test_a_streak_never_has_the_hair_s_colour():
    rng = np.random.default_rng(2)
    people = [*(random_identity(rng) for _ in range(500)), *map(character, range(100))]
    assert not any(who["streak"] == who["hair_colour"] for who in people)


class TestAScene:
    def test_it_turns_and_shakes_within_its_view(self):
        rng = np.random.default_rng(3)
        middles = {view: with_view(Scene(), view).yaw for view in SCENE_AXES["view"]}
        spread = {"front": 9, "back": 14, "profile left": 6, "profile right": 6}
        for scene in (random_scene(rng) for _ in range(500)):
            assert abs(scene.yaw - middles[scene.view]) <= spread.get(scene.view, 8)
            assert max(abs(scene.shift_x), abs(scene.shift_y), abs(scene.zoom - 1)) <= 0.02

    def test_an_axis_can_be_held_fixed(self):
        rng = np.random.default_rng(4)
        scenes = [random_scene(rng, view="back", pose="waving") for _ in range(20)]
        assert {(scene.view, scene.pose) for scene in scenes} == {("back", "waving")}
        assert len({scene.background for scene in scenes}) > 1

    def test_every_value_of_every_axis_comes(self):
        rng = np.random.default_rng(5)
        scenes = [random_scene(rng) for _ in range(300)]
        for axis, values in SCENE_AXES.items():
            assert {getattr(scene, axis) for scene in scenes} == set(values)

    def test_left_views_turn_one_way_and_right_views_the_other(self):
        yaws = {view: with_view(Scene(), view).yaw for view in SCENE_AXES["view"]}
        assert 0 < yaws["three-quarter left"] < yaws["profile left"] < 90
        assert yaws["three-quarter right"] == -yaws["three-quarter left"]
        assert yaws["profile right"] == -yaws["profile left"]


class TestWhatIsVisible:
    @pytest.mark.parametrize(("view", "eyes"), [
        ("front", {"left_eye", "right_eye"}), ("three-quarter left", {"left_eye", "right_eye"}),
        ("profile left", {"left_eye"}), ("profile right", {"right_eye"}), ("back", set()),
    ])  # fmt: skip
    def test_a_profile_shows_the_eye_on_its_side(self, view: str, eyes: set[str]):
        assert {*visible_traits(PLAIN, with_view(Scene(), view))} & {"left_eye", "right_eye"} == eyes

    def test_a_close_up_hides_the_body_and_the_pose(self):
        close = Scene(framing="face")
        assert not {*visible_traits(PLAIN, close)} & {*KINDS["body"], "garment", "pattern", "tail"}
        assert {*SCENE_AXES} - {*visible_axes(close)} == {"pose"}

    def test_a_back_hides_the_face_and_its_expression(self):
        behind = with_view(Scene(), "back")
        assert not {*visible_traits(PLAIN, behind)} & set(KINDS["face"])
        assert {*SCENE_AXES} - {*visible_axes(behind)} == {"expression"}

    def test_a_plain_full_front_shows_everything(self):
        assert visible_traits(PLAIN, Scene()) == tuple(TRAITS)
        assert visible_axes(Scene()) == tuple(SCENE_AXES)


class TestTags:
    def test_each_value_has_a_tag_of_its_own_and_none_has_none(self):
        tags = {(name, value): tuple(trait_tags({name: value})) for name, values in TRAITS.items() for value in values}
        assert all((value == "none") == (found == ()) for (_, value), found in tags.items())
        said = [found for found in tags.values() if found]
        assert len(said) == len(set(said))

    def test_each_value_of_a_scene_has_a_tag_of_its_own(self):
        said = [tag for axis, values in SCENE_AXES.items() for value in values for tag in scene_tags({axis: value})]
        assert len(said) == len(set(said)) == sum(map(len, SCENE_AXES.values()))
        traits = {tag for name, values in TRAITS.items() for value in values for tag in trait_tags({name: value})}
        assert not traits & set(said)

    def test_two_eyes_of_one_colour_share_a_tag(self):
        assert trait_tags({"left_eye": "blue", "right_eye": "blue"}) == ["blue eyes"]
        assert trait_tags({"left_eye": "gold", "right_eye": "blue"}) == ["gold left eye", "blue right eye"]

    def test_a_garment_and_its_colour_share_a_tag(self):
        assert trait_tags({"garment": "coat", "garment_colour": "red"}) == ["red coat"]
        assert trait_tags({"garment": "coat"}) == ["coat"]
        assert trait_tags({"garment_colour": "red"}) == ["red clothes"]

    @pytest.mark.parametrize("view", SCENE_AXES["view"])
    @pytest.mark.parametrize("framing", SCENE_AXES["framing"])
    def test_what_a_scene_hides_has_no_tag(self, view: str, framing: str):
        tags = scene_tags(Scene(view=view, framing=framing, expression="angry", pose="waving"))
        assert ("angry" in tags) == (view != "back")
        assert ("waving" in tags) == (framing != "face")

    def test_all_that_can_be_said_at_once_fits_into_clip_s_prompt(self):
        rng = np.random.default_rng(6)
        for _ in range(500):
            who, scene = random_identity(rng), random_scene(rng)
            prompt = ", ".join([who.class_words, *trait_tags(who.traits), *scene_tags(scene)])
            assert len(re.findall(r"[a-z]+|\d|[^\sa-z\d]+", prompt)) <= CLIP_TOKENS  # as CLIP splits it

    def test_the_vocabulary_holds_every_word_of_every_prompt(self):
        rng = np.random.default_rng(7)
        for _ in range(200):
            who, scene = random_identity(rng), random_scene(rng)
            words = " ".join([who.class_words, *trait_tags(who.traits), *scene_tags(scene)]).split()
            assert {*words} <= {*vocabulary()}
