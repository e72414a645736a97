"""Copies are found, mirrored and cropped ones too; new pictures of the character are none."""

from dataclasses import replace

import numpy
import pytest
from painters import WHO, reading_of, real_drawings
from PIL import Image

from likeness.evaluation.copies import Copies
from likeness.evaluation.known import Seen
from likeness.images import Pixels
from likeness.maquette.draw import draw
from likeness.maquette.world import Drawing, random_scene
from likeness.perception.encoders import PlainEncoder
from likeness.records import Box, Reading
from likeness.seeds import stream

SIDE = 48


def drawn(one: Drawing) -> Seen:
    return Seen(draw(one.identity, one.scene, size=SIDE, supersampling=1), reading_of(one))


def seen(pixels: Pixels, subject: Box | None = None) -> Seen:
    return Seen(pixels, Reading(subject=subject, instrument="x", instrument_sha256="0" * 64))


@pytest.fixture(scope="module")
def learnt() -> list[Seen]:
    return [drawn(one) for one in real_drawings()[:16]]


@pytest.fixture(scope="module")
def copies(learnt: list[Seen]) -> Copies:
    return Copies(learnt, [drawn(one) for one in real_drawings()[16:26]], PlainEncoder())


def cut(pixels: Pixels, top: int, left: int, side: int) -> Pixels:
    """A part, as large as the whole was."""
    part = Image.fromarray(pixels[top : top + side, left : left + side])
    return numpy.asarray(part.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def noisy(pixels: Pixels) -> Pixels:
    """As a model draws it again, which is never to the last bit."""
    grain = stream(1, "grain").normal(0, 6, pixels.shape)
    return (pixels + grain).clip(0, 255).astype(numpy.uint8)


@pytest.mark.parametrize(
    "how",
    [
        lambda pixels: pixels,
        noisy,
        lambda pixels: pixels[:, ::-1],
        lambda pixels: cut(pixels, 0, 0, 38),
        lambda pixels: cut(pixels, 5, 5, 38),
        lambda pixels: cut(pixels, 10, 10, 38),
    ],
    ids=["the same", "noisy", "mirrored", "upper left", "middle", "lower right"],
)
def test_a_copy_is_found_and_where_it_was_copied_from(how, copies: Copies, learnt: list[Seen]):
    found = copies.find([seen(how(one.pixels)) for one in learnt])
    assert [one.place for one in found] == list(range(16))
    assert all(one.is_copy for one in found)
    assert min(one.likeness for one in found) > 0.9
    assert min(one.excess for one in found) > 0


def test_new_pictures_of_the_character_are_no_copies(copies: Copies):
    rng = stream(7, "new")
    found = copies.find([drawn(Drawing(WHO, random_scene(rng))) for _ in range(40)])
    assert sum(one.is_copy or one.is_background_copy for one in found) <= 1


@pytest.mark.parametrize("turn", [1, -1], ids=["as it is", "mirrored"])
def test_a_training_picture_that_is_there_twice_hides_no_copy(learnt: list[Seen], turn: int):
    twin = replace(learnt[0], pixels=noisy(numpy.ascontiguousarray(learnt[0].pixels[:, ::turn])))
    held_out = [drawn(one) for one in real_drawings()[16:26]]
    twice = Copies([*learnt, twin], held_out, PlainEncoder())
    assert all(one.is_copy for one in twice.find([replace(one, pixels=noisy(one.pixels)) for one in learnt]))
    assert twice.whole.most == pytest.approx(Copies(learnt, held_out, PlainEncoder()).whole.most, abs=0.05)


def test_a_copy_among_new_pictures_is_told_from_them(copies: Copies, learnt: list[Seen]):
    rng = stream(8, "new")
    new = [drawn(Drawing(WHO, random_scene(rng))) for _ in range(4)]
    found = copies.find([new[0], learnt[5], *new[1:]])
    assert [one.is_copy for one in found] == [False, True, False, False, False]
    assert found[1].place == 5


def test_a_held_out_picture_that_is_drawn_again_is_no_copy_of_what_was_learnt(copies: Copies):
    again = copies.find([drawn(one) for one in real_drawings()[16:26]])
    assert not any(one.is_copy for one in again)
    assert max(one.excess for one in again) < 0


def test_of_nothing_nothing_is_found(copies: Copies):
    assert copies.find([]) == []


def test_how_near_is_too_near_hangs_on_how_near_real_pictures_are():
    """Who has many pictures of one scene copies less surely."""
    one = real_drawings()[0]
    rng = stream(9, "poses")

    def alike(count: int) -> list[Seen]:
        fixed = {"view": "front", "framing": "full body", "background": "room"}
        return [drawn(replace(one, scene=random_scene(rng, **fixed))) for _ in range(count)]

    strict = Copies(alike(8), alike(6), PlainEncoder())
    assert not any(found.is_copy for found in strict.find(alike(8)))


# -- backgrounds -------------------------------------------------------------------------------------------------------

BOX = Box(left=10, top=7, right=38, bottom=48)
"""Half of a picture, and where a subject is taken to be when nobody saw it."""


def placed(background: int, subject: int) -> Seen:
    """A subject before a background, both of smooth patches at random, by number."""
    back, front = (
        numpy.asarray(
            Image.fromarray(stream(number, word).integers(0, 256, (cells, cells, 3), dtype=numpy.uint8)).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC
            )
        ).copy()
        for number, word, cells in ((background, "background", 6), (subject, "subject", 8))
    )
    back[BOX.top : BOX.bottom, BOX.left : BOX.right] = front[BOX.top : BOX.bottom, BOX.left : BOX.right]
    return seen(back, BOX)


@pytest.fixture(scope="module")
def places() -> Copies:
    """The same subject before a background of its own in each picture."""
    training = [placed(number, 1) for number in range(10)]
    return Copies(training, [placed(number, 1) for number in range(20, 26)], PlainEncoder())


def test_a_background_that_was_copied_is_found_behind_another_subject(places: Copies):
    found = places.find([placed(number, 50 + number) for number in range(10)])
    assert [one.is_background_copy for one in found] == [True] * 10
    assert not any(one.is_copy for one in found)


def test_a_copy_of_the_whole_is_no_copy_of_its_background_too(places: Copies):
    found = places.find([placed(number, 1) for number in range(10)])
    assert all(one.is_copy and not one.is_background_copy for one in found)


def test_a_new_background_is_no_copy(places: Copies):
    found = places.find([placed(60 + number, 1) for number in range(10)])
    assert not any(one.is_copy or one.is_background_copy for one in found)


def test_a_background_that_held_out_pictures_have_too_is_the_characters_home_and_no_copy():
    """All pictures are before one wall: of who draws it again nothing is copied."""
    training = [placed(1, number) for number in range(10)]
    home = Copies(training, [placed(1, number) for number in range(20, 26)], PlainEncoder())
    assert not any(one.is_background_copy for one in home.find([placed(1, number) for number in range(40, 50)]))


def test_where_nobody_saw_the_subject_it_is_taken_to_be_in_the_middle(places: Copies):
    blind = [seen(placed(number, 50 + number).pixels) for number in range(10)]
    assert [one.is_background_copy for one in places.find(blind)] == [True] * 10


def test_a_subject_that_fills_the_picture_leaves_no_background_to_copy(places: Copies):
    full = Box(left=0, top=0, right=SIDE, bottom=SIDE)
    (found,) = places.find([seen(placed(3, 53).pixels, full)])
    assert not found.is_background_copy
