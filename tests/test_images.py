import errno
import io
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from PIL import Image, ImageCms

from likeness.errors import PictureError, WorkspaceError
from likeness.images import FORMATS, MAX_PIXELS, SUFFIXES, Pixels, cropped, fit, open_pixels, save_png, sha256_of
from likeness.records import Box

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, data: bytes = b"") -> bytes:
    """A PNG written by hand, so that the header can say what Pillow would never write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def corners() -> Pixels:
    """A picture that shows how it was turned: 6 wide, 4 high, each corner its own grey."""
    pixels = numpy.zeros((4, 6, 3), numpy.uint8)
    pixels[:2, :3], pixels[:2, 3:], pixels[2:, :3], pixels[2:, 3:] = 10, 90, 170, 250
    return pixels


def noise(width: int = 40, height: int = 30) -> Pixels:
    return numpy.random.default_rng(0).integers(0, 256, (height, width, 3), numpy.uint8)


# -- read rightly ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.ppm"])
def test_a_lossless_picture_is_read_to_the_bit_whatever_its_format(tmp_path: Path, name: str):
    Image.fromarray(noise()).save(tmp_path / name)
    pixels = open_pixels(tmp_path / name)
    assert pixels.dtype == numpy.uint8
    assert numpy.array_equal(pixels, noise())


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.avif"])
def test_a_lossy_picture_is_read_nearly_as_it_was(tmp_path: Path, name: str):
    flat = numpy.full((32, 48, 3), (200, 120, 40), numpy.uint8)
    Image.fromarray(flat).save(tmp_path / name, quality=95)
    assert numpy.abs(open_pixels(tmp_path / name).astype(int) - flat).max() <= 4


def test_a_picture_with_the_wrong_ending_is_read_for_what_it_is(tmp_path: Path):
    Image.fromarray(noise()).save(tmp_path / "a.jpg", format="PNG")
    assert numpy.array_equal(open_pixels(tmp_path / "a.jpg"), noise())


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, name: str):
    deep = numpy.linspace(0, 65535, 256).round().astype(numpy.uint16).reshape(16, 16)
    Image.fromarray(deep).save(tmp_path / name)
    assert numpy.array_equal(open_pixels(tmp_path / name)[..., 0].ravel(), numpy.arange(256))


def test_a_sixteen_bit_colour_picture_keeps_its_colours(tmp_path: Path):
    row = struct.pack(">3H", 65535, 32896, 0)
    (tmp_path / "a.png").write_bytes(png(2, 1, depth=16, data=b"\0" + row + row))
    assert open_pixels(tmp_path / "a.png")[0].tolist() == [[255, 128, 0]] * 2


def test_floating_point_is_refused_in_words(tmp_path: Path):
    Image.fromarray(numpy.zeros((4, 4), numpy.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(PictureError, match="floating-point"):
        open_pixels(tmp_path / "a.tiff")


def test_cmyk_is_read_as_the_colours_it_stands_for(tmp_path: Path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    assert numpy.abs(open_pixels(tmp_path / "a.jpg")[4, 4].astype(int) - RED).max() <= 3


def test_a_palette_is_looked_up(tmp_path: Path):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png")
    assert open_pixels(tmp_path / "a.png")[0].tolist() == [list(RED), list(BLUE)]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_a_transparent_palette_entry_is_laid_on_white(tmp_path: Path, transparency: int | bytes):
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *BLUE])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png", transparency=transparency)
    assert open_pixels(tmp_path / "a.png")[0].tolist() == [list(RED), list(WHITE)]


def test_a_half_transparent_palette_entry_is_mixed_with_white(tmp_path: Path):
    image = Image.new("P", (1, 1))
    image.putpalette([*RED])
    image.save(tmp_path / "a.png", transparency=b"\x80")
    assert open_pixels(tmp_path / "a.png")[0, 0].tolist() == [255, 127, 127]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (0, 0, 255, 255), BLUE),
        ("RGBA", (0, 0, 255, 0), WHITE),
        ("RGBA", (0, 0, 255, 128), (127, 127, 255)),
        ("LA", (0, 51), (204, 204, 204)),
    ],
)
def test_alpha_is_laid_on_white(tmp_path: Path, mode: str, colour: tuple[int, ...], expected: tuple[int, ...]):
    Image.new(mode, (3, 2), colour).save(tmp_path / "a.png")
    assert open_pixels(tmp_path / "a.png")[1, 2].tolist() == list(expected)


def test_a_colour_that_stands_for_transparent_is_laid_on_white(tmp_path: Path):
    Image.new("RGB", (2, 2), BLUE).save(tmp_path / "a.png", transparency=BLUE)
    assert open_pixels(tmp_path / "a.png")[0, 0].tolist() == list(WHITE)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_black_and_white_become_three_channels(tmp_path: Path, mode: str):
    Image.new(mode, (2, 2), 255).save(tmp_path / "a.png")
    assert open_pixels(tmp_path / "a.png").tolist() == [[list(WHITE)] * 2] * 2


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_of_an_animation_the_first_frame_is_read(tmp_path: Path, name: str):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
    assert open_pixels(tmp_path / name)[4, 4].tolist() == list(RED)


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (5, lambda p: p.transpose(1, 0, 2)),
        (6, lambda p: numpy.rot90(p, -1)),
        (7, lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda p: numpy.rot90(p, 1)),
        (9, lambda p: p),
    ],
)
def test_a_picture_is_turned_as_its_exif_block_says(
    tmp_path: Path, orientation: int, turned: Callable[[Pixels], Pixels]
):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(corners()).save(tmp_path / "a.png", exif=exif)
    assert numpy.array_equal(open_pixels(tmp_path / "a.png"), turned(corners()))


def test_a_broken_exif_block_does_not_lose_the_picture(tmp_path: Path):
    Image.fromarray(corners()).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert numpy.array_equal(open_pixels(tmp_path / "a.png"), corners())


def test_an_icc_profile_is_converted_to_srgb(tmp_path: Path):
    """In this profile red and blue are swapped, which no gamma or rounding could imitate."""
    Image.new("RGB", (4, 4), RED).save(tmp_path / "a.png", icc_profile=swapped_profile())
    red, green, blue = open_pixels(tmp_path / "a.png")[0, 0].tolist()
    assert blue > 250
    assert max(red, green) < 10


def test_an_icc_profile_is_converted_behind_alpha_too(tmp_path: Path):
    Image.new("RGBA", (4, 4), (*RED, 255)).save(tmp_path / "a.png", icc_profile=swapped_profile())
    assert open_pixels(tmp_path / "a.png")[0, 0, 2] > 250


@pytest.mark.parametrize("profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()])
def test_a_profile_that_is_broken_or_of_another_kind_counts_as_absent(tmp_path: Path, profile: bytes):
    Image.fromarray(noise()).save(tmp_path / "a.png", icc_profile=profile)
    assert numpy.array_equal(open_pixels(tmp_path / "a.png"), noise())


def swapped_profile() -> bytes:
    """The sRGB profile with the tags of its red and blue primaries exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ", 128), profile.index(b"bXYZ", 128)
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


# -- refused in words --------------------------------------------------------------------------------------------------


def test_a_missing_picture_and_a_folder_are_refused(tmp_path: Path):
    with pytest.raises(PictureError, match="missing"):
        open_pixels(tmp_path / "a.png")
    with pytest.raises(PictureError, match="not a file"):
        open_pixels(tmp_path)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(PictureError, match="not a file"):
        open_pixels(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n", bytes(1000)])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureError, match=r"a\.png is not a picture that can be read"):
        open_pixels(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.bmp", "a.tiff", "a.webp", "a.ppm"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
def test_a_picture_that_was_cut_short_is_refused(tmp_path: Path, name: str, share: float):
    Image.fromarray(noise(100, 80)).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(PictureError, match=r"damaged|not a picture"):
        open_pixels(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tiff", "a.webp", "a.avif"])
def test_damaged_bytes_give_a_picture_or_words_and_never_a_traceback(tmp_path: Path, name: str):
    """50 files per format with a few bytes changed: what can still be decoded is pixels, all else a PictureError."""
    Image.fromarray(noise(24, 16)).save(tmp_path / name)
    whole, rng = (tmp_path / name).read_bytes(), numpy.random.default_rng(0)
    refused = 0
    for _ in range(50):
        damaged = numpy.frombuffer(whole, numpy.uint8).copy()
        damaged[rng.integers(0, min(len(whole), 400), 6)] = rng.integers(0, 256, 6)
        (tmp_path / name).write_bytes(damaged.tobytes())
        try:
            assert open_pixels(tmp_path / name).dtype == numpy.uint8
        except PictureError:
            refused += 1
    assert refused


@pytest.mark.parametrize(("width", "height"), [(20_001, 10_000), (10_000, 20_001), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_from_its_header(tmp_path: Path, width: int, height: int):
    """The file has no pixels at all: to say "damaged", it would have had to be decoded."""
    (tmp_path / "a.png").write_bytes(png(width, height))
    with pytest.raises(PictureError, match="more than 200 megapixels"):
        open_pixels(tmp_path / "a.png")


def test_a_picture_of_just_200_megapixels_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pillow's own limit lies at 179 and its warning at 89; the test stops short of decoding, which takes 600 MB."""
    (tmp_path / "a.png").write_bytes(png(20_000, 10_000))
    with pytest.raises(PictureError, match="damaged"):
        open_pixels(tmp_path / "a.png")
    monkeypatch.setattr("likeness.images.MAX_PIXELS", MAX_PIXELS - 1)
    with pytest.raises(PictureError, match="megapixels"):
        open_pixels(tmp_path / "a.png")


def test_the_limit_holds_for_pictures_whose_size_a_plugin_checks_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    Image.fromarray(noise(40, 30)).save(tmp_path / "a.webp")
    monkeypatch.setattr("likeness.images.MAX_PIXELS", 40 * 30 - 2)
    with pytest.raises(PictureError, match="megapixels"):
        open_pixels(tmp_path / "a.webp")


def test_pillow_is_left_as_it_was_found(tmp_path: Path):
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    (tmp_path / "a.png").write_bytes(png(30_000, 30_000))
    with pytest.raises(PictureError):
        open_pixels(tmp_path / "a.png")
    assert limit == Image.MAX_IMAGE_PIXELS
    assert filters == list(warnings.filters)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_is_refused(tmp_path: Path, width: int, height: int):
    (tmp_path / "a.png").write_bytes(png(width, height))
    with pytest.raises(PictureError):
        open_pixels(tmp_path / "a.png")


def test_a_picture_that_may_not_be_read_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Image.fromarray(noise()).save(tmp_path / "a.png")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("PIL.Image.open", denied)
    with pytest.raises(PictureError, match="may not be read"):
        open_pixels(tmp_path / "a.png")


def test_an_original_is_never_changed(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise()).save(tmp_path / "a.jpg", exif=exif)
    before, stamp = (tmp_path / "a.jpg").read_bytes(), (tmp_path / "a.jpg").stat().st_mtime_ns
    pixels = open_pixels(tmp_path / "a.jpg")
    pixels[:] = 0  # the pixels are the caller's own
    assert (tmp_path / "a.jpg").read_bytes() == before
    assert (tmp_path / "a.jpg").stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


# -- crop, fit, save, hash ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        (None, (slice(None), slice(None))),
        (Box(left=4, top=3, right=34, bottom=13), (slice(3, 13), slice(4, 34))),
        (Box(left=-5, top=-1, right=20, bottom=10), (slice(0, 10), slice(0, 20))),
        (Box(left=30, top=20, right=99, bottom=31), (slice(20, 30), slice(30, 40))),
    ],
    ids=["none", "inside", "over the left and upper edge", "over the right and lower edge"],
)
def test_a_crop_keeps_what_of_its_box_the_picture_has(tmp_path: Path, box: Box | None, kept: tuple[slice, slice]):
    save_png(tmp_path / "a.png", noise())
    assert numpy.array_equal(cropped(tmp_path / "a.png", box), noise()[kept])


@pytest.mark.parametrize(
    "box",
    [
        Box(left=40, top=0, right=50, bottom=30),
        Box(left=0, top=-9, right=40, bottom=0),
        Box(left=20, top=0, right=10, bottom=30),
    ],
    ids=["beside", "above", "inside out"],
)
def test_a_crop_that_leaves_nothing_is_refused_in_words(tmp_path: Path, box: Box):
    save_png(tmp_path / "a.png", noise())
    with pytest.raises(PictureError, match=r"a\.png, .* leaves nothing of the picture, which is 40 x 30 px"):
        cropped(tmp_path / "a.png", box)


def test_fitting_takes_the_centre_of_what_is_too_wide_or_too_high():
    wide = numpy.zeros((20, 60, 3), numpy.uint8)
    wide[:, 20:40] = 255
    assert (fit(wide, 20, 20) == 255).all()
    assert (fit(wide.transpose(1, 0, 2), 20, 20) == 255).all()


def test_fitting_to_its_own_size_changes_nothing():
    assert numpy.array_equal(fit(noise(), 40, 30), noise())


@pytest.mark.parametrize(("width", "height"), [(8, 8), (64, 64), (7, 100), (100, 7), (1, 1)])
def test_a_fitted_picture_has_the_size_asked_for(width: int, height: int):
    assert fit(noise(33, 17), width, height).shape == (height, width, 3)


def test_fitting_does_not_alias():
    """Lines one pixel wide become their mean; nearest or plain bilinear sampling would keep some and lose others."""
    lines = numpy.zeros((256, 256, 3), numpy.uint8)
    lines[:, ::2] = 255
    assert numpy.abs(fit(lines, 32, 32)[:, 2:-2].astype(int) - 127).max() <= 3


def test_a_saved_picture_keeps_its_pixels_and_its_text(tmp_path: Path):
    save_png(tmp_path / "a.png", noise(), {"parameters": "mira, smile\nSteps: 25", "title": "Mïra 狐"})
    assert numpy.array_equal(open_pixels(tmp_path / "a.png"), noise())
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.info["parameters"] == "mira, smile\nSteps: 25"
        assert image.info["title"] == "Mïra 狐"


def test_a_picture_that_cannot_be_saved_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_png(tmp_path / "a.png", noise())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        save_png(tmp_path / "a.png", corners())
    assert numpy.array_equal(open_pixels(tmp_path / "a.png"), noise())


def test_the_hash_of_a_file_is_the_one_that_sha256sum_prints(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(WorkspaceError, match="does not exist"):
        sha256_of(tmp_path / "b")


def test_saving_writes_what_other_programs_open(tmp_path: Path):
    save_png(tmp_path / "a.png", noise())
    with Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (40, 30))


def test_what_names_of_pictures_end_in_is_of_the_formats_that_are_read_and_of_each():
    known = Image.registered_extensions()
    assert {known[ending] for ending in SUFFIXES if ending in known} == {*FORMATS} & {*known.values()}
    assert SUFFIXES - known.keys() <= {".avif", ".webp"}, "of a Pillow that is built without them"
