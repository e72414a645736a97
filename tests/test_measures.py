"""Measures: each number rises with the flaw that it is for, and stands still for what is none."""

import io
from pathlib import Path

import numpy
import pytest
from PIL import Image, ImageDraw, ImageFilter

from likeness.dataset.measures import bars, block_steps, blur, detail, longest_line, measure, noise
from likeness.images import Pixels
from likeness.maquette.draw import draw
from likeness.maquette.pool import make_pool
from likeness.maquette.world import Scene, character
from likeness.perception.plain import luminance
from likeness.records import Box

SIDE = 64


@pytest.fixture(scope="module")
def drawing() -> Image.Image:
    return Image.fromarray(draw(character(1), Scene(background="beach"), size=128, supersampling=3))


def whole(image: Image.Image) -> dict[str, float]:
    pixels = numpy.asarray(image)
    return measure(pixels, Box(left=0, top=0, right=image.width, bottom=image.height), side=SIDE)


def compressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def test_blur_is_measured_at_the_size_that_is_trained_at(drawing: Image.Image):
    soft = drawing.filter(ImageFilter.GaussianBlur(3))
    assert whole(drawing)["blur"] < 0.5 < 0.7 < whole(soft)["blur"]
    pixels = numpy.asarray(soft)
    box = Box(left=0, top=0, right=128, bottom=128)
    assert measure(pixels, box, side=16)["blur"] < 0.6, "trained at 16 px, nobody sees it"


def test_only_the_blur_of_the_subject_counts(drawing: Image.Image):
    page = Image.new("RGB", (256, 128))
    page.paste(drawing.filter(ImageFilter.GaussianBlur(6)), (128, 0))
    page.paste(drawing, (0, 0))
    sharp = measure(numpy.asarray(page), Box(left=0, top=0, right=128, bottom=128), side=SIDE)
    soft = measure(numpy.asarray(page), Box(left=128, top=0, right=256, bottom=128), side=SIDE)
    assert sharp["blur"] < 0.5 < soft["blur"]


def test_a_picture_of_one_colour_is_all_blur_and_no_noise():
    grey_HW = numpy.full((64, 64), 0.5, numpy.float32)
    assert blur(grey_HW) == 1
    assert noise(grey_HW) == 0
    assert longest_line(grey_HW) == 0
    assert detail(Image.new("L", (64, 64), 128)) == 0
    assert bars(numpy.full((64, 64, 3), 128, numpy.uint8)) == 0
    assert block_steps(numpy.full((64, 64), 128, numpy.uint8)) == 1


@pytest.mark.parametrize("deviation", [0.02, 0.05, 0.1])
def test_noise_is_the_deviation_that_was_added_where_the_picture_is_smooth(deviation: float):
    rng = numpy.random.default_rng(0)
    slope_HW = numpy.tile(numpy.linspace(0.3, 0.6, 128, dtype=numpy.float32), (128, 1))
    slope_HW[:, 100:] += rng.uniform(-0.3, 0.3, (128, 28)).astype(numpy.float32)  # texture on a fifth of it is no noise
    found = noise(slope_HW + rng.normal(0, deviation, slope_HW.shape).astype(numpy.float32))
    assert found == pytest.approx(deviation, rel=0.15)


def test_blocks_of_heavy_compression_show_also_after_saving_as_png(drawing: Image.Image):
    heavy, light = (numpy.asarray(compressed(drawing, quality).convert("L")) for quality in (6, 85))
    assert block_steps(heavy) > 1.4
    assert block_steps(light) < 1.2
    assert block_steps(heavy[3:, 3:]) < block_steps(heavy), "blocks that do not start at the corner are not JPEG's"


def test_an_enlarged_copy_has_less_detail_than_its_original_and_so_has_a_shrunk_one(drawing: Image.Image):
    original = detail(drawing.convert("L"))
    for share in (0.6, 0.8, 1.3, 2):
        side = int(128 * share)
        copy = drawing.resize((side, side), Image.Resampling.LANCZOS)
        assert detail(copy.convert("L")) < 0.95 * original, share


def test_bars_are_told_from_a_plain_background():
    page = Image.new("RGB", (100, 100), "white")
    ImageDraw.Draw(page).ellipse((30, 30, 70, 100), fill="red")
    plain: Pixels = numpy.asarray(page)
    assert bars(plain) == 0
    boxed = numpy.pad(plain, ((15, 15), (0, 0), (0, 0)))
    assert bars(boxed) == pytest.approx(30 / 130)
    assert bars(boxed.swapaxes(0, 1)) == pytest.approx(30 / 130)
    assert bars(numpy.pad(plain, ((15, 0), (0, 0), (0, 0)))) == 0, "on one side it may be sky"


@pytest.mark.parametrize(("fill", "ground"), [("white", "black"), ("black", "white"), ("#c0c0c0", "#505050")])
def test_a_line_of_letters_is_seen_on_light_and_dark(fill: str, ground: str):
    page = Image.new("RGB", (256, 256), ground)
    ImageDraw.Draw(page).text((20, 120), "(c) artist 2024", fill=fill, font_size=22)
    assert longest_line(luminance(numpy.asarray(page))) >= 10


def test_letters_within_their_outlines_are_letters(tmp_path: Path):
    for one in make_pool(character(25), tmp_path / "pool", seed=25):
        if one.flaw == "text":
            page = Image.open(tmp_path / "pool" / one.path).resize((256, 256), Image.Resampling.BICUBIC)
            assert longest_line(luminance(numpy.asarray(page))) >= 8, one.path


def test_a_row_of_dots_is_no_text():
    page = Image.new("RGB", (256, 256), "orange")
    pen = ImageDraw.Draw(page)
    for column in range(14):
        pen.ellipse((10 + column * 17, 100, 21 + column * 17, 111), fill="white")
    assert longest_line(luminance(numpy.asarray(page))) < 8


def test_light_and_shade_are_the_ends_of_the_subject_s_brightness(drawing: Image.Image):
    dark = whole(drawing.point([value // 8 for value in range(256)] * 3))
    assert dark["light"] < 0.15 < whole(drawing)["light"]
    washed = whole(drawing.point([220 + value // 8 for value in range(256)] * 3))
    assert washed["shade"] > 0.8 > whole(drawing)["shade"]
    assert whole(drawing)["contrast"] > 2 * washed["contrast"]
    assert whole(drawing)["subject"] == 128
