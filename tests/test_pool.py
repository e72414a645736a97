"""The raw pool: each flaw where its truth says, really so, and the truth nowhere on disk."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likeness.errors import PictureError
from likeness.images import Pixels, open_pixels
from likeness.maquette.draw import draw
from likeness.maquette.pool import FLAWS, GOOD, Member, make_pool
from likeness.maquette.world import Drawing, character

WHO = character(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pool") / "images"


@pytest.fixture(scope="module")
def members(folder: Path) -> list[Member]:
    return make_pool(WHO, folder, seed=1)


def with_flaw(members: list[Member], flaw: str) -> list[Member]:
    found = [member for member in members if member.flaw == flaw]
    assert len(found) == FLAWS[flaw]
    return found


def clean(member: Member) -> Pixels:
    """The picture before its flaw."""
    assert isinstance(member.drawing, Drawing)
    return draw(member.drawing.identity, member.drawing.scene, size=128, supersampling=3)


def difference(one: Pixels, other: Pixels) -> float:
    """Mean over channels, of 255."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def detail(pixels: Pixels) -> float:
    """Mean step between neighbouring columns."""
    return float(np.abs(np.diff(pixels.astype(int), axis=1)).mean())


def test_there_is_one_member_per_file_in_the_order_of_names(folder: Path, members: list[Member]):
    assert [member.path for member in members] == sorted(path.name for path in folder.iterdir())
    assert len(members) == 80


def test_each_flaw_comes_as_often_as_it_should(members: list[Member]):
    assert Counter(member.flaw for member in members) == {**FLAWS, "": GOOD}


def test_flaws_lie_anywhere_among_the_good_pictures(members: list[Member]):
    first_half = [member.flaw != "" for member in members[:40]]
    assert 8 <= sum(first_half) <= 27


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(
    tmp_path: Path, folder: Path, members: list[Member]
):
    again = make_pool(WHO, tmp_path / "again", seed=1)
    assert again == members
    assert all((tmp_path / "again" / one.path).read_bytes() == (folder / one.path).read_bytes() for one in members)
    assert make_pool(WHO, tmp_path / "other", seed=2, size=16) != members


def test_the_truth_is_not_on_disk(folder: Path, members: list[Member]):
    """Neither as a file, nor in a picture's metadata."""
    for member in members:
        if member.flaw not in ("not a picture", "truncated"):
            with Image.open(folder / member.path) as image:
                assert {*image.info} <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert {path.suffix for path in folder.iterdir()} == {".png", ".jpg"}


def test_a_good_picture_shows_the_character_as_drawn(folder: Path, members: list[Member]):
    for member in members:
        if member.flaw == "":
            assert member.drawing is not None
            assert member.drawing.identity == WHO
            assert np.array_equal(open_pixels(folder / member.path), clean(member))


class TestDuplicates:
    def test_each_repeats_a_good_picture_of_the_pool(self, members: list[Member]):
        good = {member.path: member.drawing for member in members if member.flaw == ""}
        for member in members:
            assert bool(member.original) == member.flaw.endswith("duplicate")
            assert not member.original or member.drawing == good[member.original]

    def test_an_exact_one_has_the_same_bytes(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "exact duplicate"):
            assert (folder / member.path).read_bytes() == (folder / member.original).read_bytes()

    def test_a_rescaled_one_has_another_size(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "rescaled duplicate"):
            pixels = open_pixels(folder / member.path)
            assert 70 <= pixels.shape[0] == pixels.shape[1] <= 205
            assert pixels.shape[0] != 128
            back = np.asarray(Image.fromarray(pixels).resize((128, 128), Image.Resampling.LANCZOS))
            assert difference(back, clean(member)) < 8

    def test_a_recompressed_one_is_a_jpeg_of_it(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "recompressed duplicate"):
            assert member.path.endswith(".jpg")
            assert 0 < difference(open_pixels(folder / member.path), clean(member)) < 8

    def test_a_mirrored_one_is_its_mirror_image(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "mirrored duplicate"):
            assert np.array_equal(open_pixels(folder / member.path)[:, ::-1], clean(member))

    def test_a_cropped_one_is_a_part_of_it(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "cropped duplicate"):
            part, whole = open_pixels(folder / member.path), clean(member)
            assert max(part.shape[:2]) < 128
            windows = np.lib.stride_tricks.sliding_window_view(whole, part.shape)
            assert (windows == part).all((-1, -2, -3)).any()


class TestSpoiltPictures:
    def test_blur_takes_detail_away(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "blur"):
            assert detail(open_pixels(folder / member.path)) < 0.7 * detail(clean(member))

    def test_a_dark_one_is_dark(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "too dark"):
            assert open_pixels(folder / member.path).max() <= 0.16 * 255
            assert open_pixels(folder / member.path).max() > 0

    def test_heavy_jpeg_is_much_smaller_and_worse_than_a_recompressed_one(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "heavy JPEG"):
            usual = io.BytesIO()
            Image.fromarray(clean(member)).save(usual, "JPEG", quality=45)
            assert (folder / member.path).stat().st_size < 0.7 * usual.tell()
            with Image.open(usual) as image:
                fair = difference(np.asarray(image), clean(member))
            assert difference(open_pixels(folder / member.path), clean(member)) > 1.5 * fair

    def test_a_letterbox_has_black_bars(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "letterbox"):
            pixels = open_pixels(folder / member.path)
            bar = (pixels.shape[0] - 128) // 2
            assert 15 <= bar <= 25
            assert pixels[:bar].max() == pixels[-bar:].max() == 0
            assert np.array_equal(pixels[bar:-bar], clean(member))

    def test_a_stamp_covers_part_of_the_picture(self, folder: Path, members: list[Member]):
        for member in with_flaw(members, "text"):
            changed = (open_pixels(folder / member.path) != clean(member)).any(-1)
            assert 0.01 < changed.mean() < 0.2
            assert np.ptp(np.nonzero(changed.any(1))[0]) < 24  # one line of it


def test_another_character_is_drawn_that_shares_fewer_than_half_of_the_traits(folder: Path, members: list[Member]):
    for member in with_flaw(members, "other character"):
        assert member.drawing is not None
        shared = [member.drawing.identity[name] == value for name, value in WHO.traits.items()]
        assert sum(shared) < len(shared) / 2
        assert np.array_equal(open_pixels(folder / member.path), clean(member))


def test_two_characters_stand_side_by_side(folder: Path, members: list[Member]):
    for member in with_flaw(members, "two characters"):
        pixels = open_pixels(folder / member.path)
        assert pixels.shape == (128, 256, 3)
        assert np.array_equal(pixels[:, :128], clean(member))
        assert difference(pixels[:, 128:], clean(member)) > 5


@pytest.mark.parametrize(("flaw", "words"), [("truncated", "cut short"), ("not a picture", "not a picture")])
def test_a_file_that_is_no_whole_picture_is_refused(folder: Path, members: list[Member], flaw: str, words: str):
    for member in with_flaw(members, flaw):
        with pytest.raises(PictureError, match=words):
            open_pixels(folder / member.path)
