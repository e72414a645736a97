"""The plain reader: where the subject is, and how a picture looks."""

import numpy
import pytest
from PIL import Image, ImageDraw

from likeness.images import Pixels
from likeness.maquette.draw import draw
from likeness.maquette.world import Scene, character
from likeness.perception import load_reader
from likeness.perception.plain import PlainReader, descriptor, luminance, subject_box
from likeness.records import Box


def painted(box: tuple[int, int, int, int], size: tuple[int, int] = (200, 160)) -> Pixels:
    page = Image.new("RGB", size, "#bcd9ee")
    ImageDraw.Draw(page).ellipse(box, fill="#a02020")
    return numpy.asarray(page)


@pytest.mark.parametrize("box", [(60, 40, 120, 120), (20, 20, 90, 140), (110, 30, 180, 100)])
def test_the_subject_is_what_stands_out_from_the_border(box: tuple[int, int, int, int]):
    found = subject_box(painted(box))
    told = (found.left, found.top, found.right, found.bottom)
    assert told == pytest.approx(box, abs=9)  # a tail of 2% on each side may lie outside


def test_a_subject_that_is_cut_off_below_is_found():
    found = subject_box(painted((60, 50, 140, 300)))
    assert (found.left, found.top, found.right) == pytest.approx((60, 50, 140), abs=10)
    assert found.bottom > 140


@pytest.mark.parametrize("pixels", [numpy.full((50, 80, 3), 90, numpy.uint8), numpy.zeros((1, 1, 3), numpy.uint8)])
def test_where_nothing_stands_out_it_is_all_of_the_picture(pixels: Pixels):
    height, width = pixels.shape[:2]
    assert subject_box(pixels) == Box(left=0, top=0, right=width, bottom=height)


def test_a_descriptor_has_length_one_and_is_the_same_for_the_same_picture():
    pixels = painted((60, 40, 120, 120))
    box = subject_box(pixels)
    assert numpy.linalg.norm(descriptor(pixels, box)) == pytest.approx(1, abs=1e-5)
    assert (descriptor(pixels, box) == descriptor(pixels.copy(), box)).all()
    assert numpy.isfinite(descriptor(numpy.zeros((9, 9, 3), numpy.uint8), Box(left=0, top=0, right=9, bottom=9))).all()


def test_pictures_that_look_alike_are_near_each_other():
    def described(number: int, **scene: str) -> numpy.ndarray:
        pixels = draw(character(number), Scene(**scene), size=96)  # pyright: ignore[reportArgumentType]
        return descriptor(pixels, subject_box(pixels))

    own = described(1, expression="smile")
    assert own @ described(1, expression="sad") > 0.95
    assert own @ described(1, expression="sad") > own @ described(2, expression="smile")
    assert own @ described(1, background="night") < 0.95


def test_it_says_what_it_sees_and_abstains_on_all_else():
    (reading,) = PlainReader().read([painted((60, 40, 120, 120))])
    assert reading.subject is not None
    assert reading.embedding is not None
    assert reading.instrument == "plain"
    assert len(reading.instrument_sha256) == 64
    assert (reading.view, reading.framing, reading.expression, reading.people, reading.face) == (None,) * 5
    assert reading.traits == {}


def test_it_is_there_by_name_and_knows_nobody_apart():
    reader = load_reader("plain")
    assert isinstance(reader, PlainReader)
    assert reader.same_character is None


def test_luminance_weighs_green_most():
    red, green, blue = luminance(numpy.eye(3, dtype=numpy.uint8)[None] * 255)[0]
    assert (red, green, blue) == pytest.approx((0.299, 0.587, 0.114), abs=1e-6)
