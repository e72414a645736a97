"""Artefacts: what is wrong with a picture's pixels, whatever is on it."""

import tracemalloc
from collections.abc import Callable

import numpy
import pytest
from painters import base, painted, real_drawings, shots_of

from likeness.evaluation.artefacts import Usual, measures
from likeness.images import Pixels, fit
from likeness.seeds import stream


@pytest.fixture(scope="module")
def real() -> list[Pixels]:
    return [painted(one) for one in real_drawings(14)]


@pytest.fixture(scope="module")
def usual(real: list[Pixels]) -> Usual:
    return Usual.of(real)


def altered(pixels: Pixels, change: Callable[[numpy.ndarray], numpy.ndarray]) -> Pixels:
    return change(pixels.astype(float)).clip(0, 255).astype(numpy.uint8)


def grainy(pixels: Pixels) -> Pixels:
    return altered(pixels, lambda level: level + stream(1, "grain").normal(0, 60, level.shape))


def burnt(pixels: Pixels) -> Pixels:
    return altered(pixels, lambda level: (level - level.mean()) * 8 + 128)


def blank(pixels: Pixels) -> Pixels:
    return altered(pixels, lambda level: numpy.full_like(level, 90))


FAULTS = {"blank": blank, "noise": grainy, "burnt": burnt}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_in_each_picture_that_has_it_and_in_no_other(fault: str, real: list[Pixels], usual: Usual):
    some = [FAULTS[fault](picture) if place < 3 else picture for place, picture in enumerate(real[:8])]
    found = usual.faults(some)
    assert all(fault in words for words in found[:3]), found
    assert found[3:] == [""] * 5


def test_pictures_in_order_have_no_fault_also_those_that_were_not_seen_before(usual: Usual):
    new = [painted(one) for one in real_drawings(8, seed=1)] + [painted(base(shot)) for shot in shots_of()[:8]]
    assert usual.faults(new) == [""] * 16


def test_the_ways_of_a_base_are_usual_where_it_drew_some_of_them(real: list[Pixels]):
    grey = [altered(picture, lambda level: level * 0.1 + 110) for picture in real[:6]]
    assert "blank" in Usual.of(real).faults(grey)[0]
    assert Usual.of([*real, *grey[:3]]).faults(grey[3:]) == [""] * 3


def test_blank_is_blank_however_widely_contrasts_range(real: list[Pixels]):
    """Real pictures from pale to stark, and one that the base failed at."""
    ranging = [(128 + (one.astype(float) - 128) * scale).astype(numpy.uint8) for one in real for scale in (0.2, 1.0)]
    flat = numpy.full((64, 64, 3), 90, numpy.uint8)
    other = numpy.full((64, 64, 3), 150, numpy.uint8)
    some = Usual.of([*ranging, *ranging, flat])
    assert some.faults([flat, other, real[0]]) == ["blank", "blank", ""]


def test_most_of_the_same_is_a_fault_of_each_of_them(real: list[Pixels], usual: Usual):
    assert usual.faults([real[0]] * 4 + real[1:3]) == ["all the same"] * 4 + [""] * 2
    assert usual.faults([real[0]] * 2 + real[1:5]) == [""] * 6, "a few are chance"
    assert usual.faults([real[0]] * 2) == [""] * 2, "of two nobody knows"


def test_many_pictures_are_compared_in_little_memory(usual: Usual):
    """Each with each at once would be 160 x 160 x 768 numbers: 157 MB."""
    pictures = [numpy.full((16, 16, 3), place, numpy.uint8) for place in range(160)]
    tracemalloc.start()
    try:
        assert not any("same" in words for words in usual.faults(pictures))
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_measures_are_in_their_range_and_say_what_they_name():
    flat, white = numpy.full((40, 30, 3), 90, numpy.uint8), numpy.full((40, 30, 3), 255, numpy.uint8)
    red = flat * numpy.array([2, 0, 0], numpy.uint8)
    rough = stream(2, "rough").integers(0, 256, (128, 128, 3), dtype=numpy.uint8)
    found_XM = measures([flat, white, red, rough])
    assert found_XM.shape == (4, 4)
    assert (found_XM >= 0).all()
    assert (found_XM[:, [0, 1, 3]] <= 1).all()
    contrast, saturation, noise, clipped = found_XM.T
    assert contrast[:3].tolist() == pytest.approx([0] * 3, abs=1e-6)
    assert saturation.tolist()[:3] == pytest.approx([0, 0, 180 / 255])
    assert clipped.tolist()[:3] == pytest.approx([0, 1, 1])
    assert contrast[3] > 0.1
    assert noise[3] > 0.1 > noise[:3].max()
    assert measures([]).shape == (0, 4)


def test_mush_is_noise_however_faint_its_colours():
    """Blots of a few pixels, as broken weights draw them: a faint one is as noisy as a strong one."""
    blots = stream(3, "blots").random((24, 24, 3)) - 0.5
    strong, faint = (fit((128 + share * 255 * blots).astype(numpy.uint8), 128, 128) for share in (0.9, 0.3))
    noise = measures([strong, faint])[:, 2]
    assert noise[0] == pytest.approx(noise[1], abs=0.02)
    assert noise.min() > 0.1


def test_edges_are_no_noise():
    halves = numpy.zeros((128, 128, 3), numpy.uint8)
    halves[:, 64:] = 255
    assert measures([halves])[0, 2] == 0
