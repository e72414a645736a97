"""Which of a picture and its mirror image is the right way round."""

import numpy
import pytest

from likeness.dataset.sides import rightness, surroundings
from likeness.maquette.draw import draw
from likeness.maquette.world import Scene, character
from likeness.records import Reading


def read(**traits: str) -> Reading:
    return Reading(traits=traits, instrument="test", instrument_sha256="0" * 64)


def test_a_scar_on_the_other_cheek_is_seen():
    pool = [read(mark="left scar")] * 9 + [read(mark="right scar")]
    assert rightness(read(mark="left scar"), pool) == pytest.approx(0.8)
    assert rightness(read(mark="right scar"), pool) == pytest.approx(-0.8)


def test_eyes_of_two_colours_that_have_changed_places_are_seen():
    pool = [read(left_eye="gold", right_eye="purple")] * 5
    assert rightness(read(left_eye="gold", right_eye="purple"), pool) == pytest.approx(2)
    assert rightness(read(left_eye="purple", right_eye="gold"), pool) == pytest.approx(-2)


def test_a_character_that_is_the_same_on_both_sides_tells_nothing():
    pool = [read(left_eye="blue", right_eye="blue", mark="freckles")] * 5
    assert rightness(read(left_eye="blue", right_eye="blue", mark="freckles"), pool) == 0
    assert rightness(read(mark="left scar"), []) == 0
    assert rightness(None, pool) == 0


def test_surroundings_that_are_always_on_one_side_tell():
    def small(scene: Scene) -> numpy.ndarray:
        return draw(character(1), scene, size=64)

    pool = [small(Scene(background="night", expression=expression)) for expression in ("sad", "smile", "angry")]
    own = small(Scene(background="night", pose="waving"))
    assert surroundings(own, pool) > surroundings(own[:, ::-1], pool)
    assert surroundings(own, []) == 0
