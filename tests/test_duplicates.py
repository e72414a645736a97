"""Copies are found under all that people and sites do to pictures, and two drawings of one scene are no copies."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from PIL import Image, ImageEnhance

from likeness.dataset.duplicates import ALIKE, COPY, Match, find_matches
from likeness.images import Pixels, open_pixels
from likeness.maquette.draw import draw
from likeness.maquette.world import Scene, character, with_view

PHOTOS = Path(__file__).parents[2] / "shared" / "data" / "dreambooth"
SCENE = Scene(framing="upper body", expression="smile", background="beach")


def drawn(scene: Scene, number: int = 1) -> Image.Image:
    return Image.fromarray(draw(character(number), scene, size=128, supersampling=3))


def small(image: Image.Image) -> Pixels:
    return numpy.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.LANCZOS))


def matched(*thumbnails: Pixels) -> list[Match]:
    return find_matches({str(number): thumbnail for number, thumbnail in enumerate(thumbnails)})


def compressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height)))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "shrunk": lambda image: image.resize((52, 52), Image.Resampling.LANCZOS),
    "enlarged": lambda image: image.resize((256, 256), Image.Resampling.LANCZOS),
    "squeezed": lambda image: image.resize((128, 110), Image.Resampling.LANCZOS),
    "recompressed": lambda image: compressed(image, 30),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "cropped": lambda image: cropped(image, 0.08, 0.03, 0.1, 0.06),
    "cropped all around": lambda image: cropped(image, 0.1, 0.1, 0.1, 0.1),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "paler": lambda image: ImageEnhance.Color(image).enhance(0.85),
    "several at once": lambda image: compressed(
        cropped(image, 0.05, 0.08, 0, 0).transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((90, 90)), 60
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("view", ["front", "profile left", "back"])
def test_a_copy_is_found(change: str, view: str):
    original = drawn(with_view(SCENE, view))
    (match,) = matched(small(original), small(CHANGES[change](original)))
    assert match.is_copy
    assert match.left_over <= COPY


def test_a_match_says_what_the_copy_is_of_the_original():
    original = drawn(SCENE)
    crop = cropped(original, 0.1, 0.05, 0, 0)
    (match,) = matched(small(crop), small(original))
    assert (match.whole, match.part, match.is_mirrored, match.is_crop) == ("1", "0", False, True)
    assert match.window == pytest.approx((0.1, 0.05, 0.9, 0.95), abs=0.02)
    (mirror,) = matched(small(original), small(original.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    assert mirror.is_mirrored
    assert not mirror.is_crop


@pytest.mark.parametrize(
    "other",
    [
        replace(SCENE, expression="sad"),
        replace(SCENE, pose="waving"),
        replace(SCENE, background="night"),
        with_view(SCENE, "three-quarter left"),
        replace(SCENE, framing="face"),
    ],
    ids=["expression", "pose", "background", "view", "framing"],
)
def test_two_drawings_that_differ_in_one_thing_are_no_copies(other: Scene):
    for match in matched(small(drawn(SCENE)), small(drawn(other))):
        assert not match.is_copy


def test_one_scene_drawn_twice_is_alike_and_no_copy():
    scene = with_view(SCENE, "back")
    again = replace(scene, yaw=scene.yaw + 6, shift_x=0.01, zoom=1.01)
    (match,) = matched(small(drawn(scene)), small(drawn(again)))
    assert COPY < match.left_over <= ALIKE


def test_two_characters_in_one_scene_are_no_match():
    assert matched(small(drawn(SCENE, 1)), small(drawn(SCENE, 2))) == []


def test_each_pair_is_told_once_and_few_pictures_have_none():
    original = small(drawn(SCENE))
    assert matched() == matched(original) == []
    pairs = [(match.whole, match.part) for match in matched(*[original] * 3)]
    assert sorted(tuple(sorted(pair)) for pair in pairs) == [("0", "1"), ("0", "2"), ("1", "2")]


def test_what_was_compared_before_is_not_compared_again():
    shown = {name: small(drawn(SCENE)) for name in "abcd"}
    pairs = {frozenset((match.whole, match.part)) for match in find_matches(shown, known={"b", "d"})}
    assert pairs == {frozenset(pair) for pair in ("ab", "ac", "ad", "bc", "cd")}
    assert find_matches(shown, known=shown) == []


def test_flat_pictures_are_compared_without_a_number_that_is_none():
    flat = numpy.full((64, 64, 3), 40, numpy.uint8)
    assert all(numpy.isfinite(match.left_over) for match in matched(flat, flat, small(drawn(SCENE))))


@pytest.mark.slow
def test_photographs_are_told_from_each_other_and_their_copies_found():
    if not PHOTOS.is_dir():
        pytest.skip(f"no photographs: {PHOTOS} is not there; benchmarks/curation_quality.py measures more of this")
    images = [Image.fromarray(open_pixels(path)) for path in sorted(PHOTOS.glob("*/0[01].jpg"))]
    thumbnails = [small(image) for image in images]
    assert not any(match.is_copy for match in matched(*thumbnails))
    for image, thumbnail in zip(images[:4], thumbnails, strict=False):
        for change in ("shrunk", "recompressed", "mirrored", "cropped all around", "paler"):
            assert any(match.is_copy for match in matched(thumbnail, small(CHANGES[change](image)))), change
