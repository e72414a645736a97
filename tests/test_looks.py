"""Looks: each picture is decoded once, and what was seen of it is remembered until something changes."""

from collections.abc import Sequence
from pathlib import Path

import numpy
import pytest
from PIL import Image

from likeness.dataset.looks import THUMBNAIL, Looks, look_at
from likeness.images import Pixels, save_png, sha256_of
from likeness.perception.plain import PlainReader
from likeness.records import Box, Reading


class Counting(PlainReader):
    """The plain reader, remembering how many pictures it was shown at once."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[int] = []

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        self.shown.append(len(pictures))
        return super().read(pictures)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = []
    for number in range(4):
        path = tmp_path / f"{number}.png"
        save_png(path, numpy.random.default_rng(number).integers(0, 256, (40 + number, 60, 3), numpy.uint8))
        paths.append(path)
    (tmp_path / "broken.png").write_bytes(paths[0].read_bytes()[:200])
    (tmp_path / "words.jpg").write_text("404")
    return {sha256_of(path): path for path in (*paths, tmp_path / "broken.png", tmp_path / "words.jpg")}


def looked(files: dict[str, Path], reader: PlainReader, memory: Path, *, key: str = "plain", side: int = 32) -> Looks:
    return look_at(files, reader=reader, key=key, side=side, memory=memory)


def test_a_look_has_size_measures_reading_thumbnail_and_preview(files: dict[str, Path], tmp_path: Path):
    found = looked(files, Counting(), tmp_path / "memory")
    id = sha256_of(tmp_path / "2.png")
    look = found.looks[id]
    assert (look.width, look.height, look.fault) == (60, 42, "")
    assert look.reading is not None
    assert look.reading.instrument == "plain"
    assert {"blur", "noise", "jpeg", "detail", "letters"} <= look.measures.keys()
    assert look.measures["jpeg"] == 100
    assert found.thumbnails[id].shape == (THUMBNAIL, THUMBNAIL, 3)
    assert found.previews[id].startswith(b"\xff\xd8"), "a JPEG"


def test_what_cannot_be_read_has_its_fault_and_nothing_else(files: dict[str, Path], tmp_path: Path):
    found = looked(files, Counting(), tmp_path / "memory")
    broken, words = (found.looks[sha256_of(tmp_path / name)] for name in ("broken.png", "words.jpg"))
    assert (broken.fault, words.fault) == ("truncated", "not a picture")
    assert "damaged or cut short" in broken.words
    assert str(tmp_path) not in broken.words
    assert broken.id not in found.thumbnails
    assert broken.measures == {}


def test_a_second_time_nothing_is_decoded_and_all_is_the_same(files: dict[str, Path], tmp_path: Path):
    first = looked(files, Counting(), tmp_path / "memory")
    reader = Counting()
    again = looked(files, reader, tmp_path / "memory")
    assert reader.shown == []
    assert again.looks == first.looks
    assert again.previews == first.previews
    assert all((again.thumbnails[id] == first.thumbnails[id]).all() for id in first.thumbnails)


@pytest.mark.parametrize("changes", [{"key": "another"}, {"side": 64}])
def test_another_reader_or_size_forgets_all(files: dict[str, Path], tmp_path: Path, changes: dict[str, object]):
    looked(files, Counting(), tmp_path / "memory")
    reader = Counting()
    looked(files, reader, tmp_path / "memory", **changes)  # pyright: ignore[reportArgumentType]
    assert sum(reader.shown) == 4


@pytest.mark.parametrize("damage", [b"", b"no such thing", None])
def test_a_broken_memory_is_forgotten(files: dict[str, Path], tmp_path: Path, damage: bytes | None):
    memory = tmp_path / "memory"
    first = looked(files, Counting(), memory)
    memory.write_bytes(memory.read_bytes()[:-10] if damage is None else damage)
    reader = Counting()
    assert looked(files, reader, memory).looks == first.looks
    assert sum(reader.shown) == 4


def test_a_picture_that_is_gone_is_forgotten(files: dict[str, Path], tmp_path: Path):
    looked(files, Counting(), tmp_path / "memory")
    fewer = dict(list(files.items())[:2])
    assert looked(fewer, Counting(), tmp_path / "memory").looks.keys() == fewer.keys()
    reader = Counting()
    looked(files, reader, tmp_path / "memory")
    assert sum(reader.shown) == 2


def enlarged(path: Path, to: Path) -> dict[str, Path]:
    """A larger copy of a picture, by its id."""
    with Image.open(path) as picture:
        picture.resize((120, 84), Image.Resampling.LANCZOS).save(to)
    return {sha256_of(to): to}


def copies(found: Looks) -> set[frozenset[str]]:
    """Which two pictures are copies of each other."""
    return {frozenset((match.whole, match.part)) for match in found.matches if match.is_copy}


def test_a_copy_of_a_known_picture_is_found_as_a_fresh_memory_finds_it(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert looked(files, Counting(), tmp_path / "memory").matches == []
    copy = enlarged(tmp_path / "2.png", tmp_path / "copy.png")
    grown = looked({**files, **copy}, Counting(), tmp_path / "memory")
    assert copies(grown) == {frozenset((sha256_of(tmp_path / "2.png"), *copy))}
    assert grown.matches == looked({**files, **copy}, Counting(), tmp_path / "fresh").matches
    monkeypatch.setattr("likeness.dataset.looks.find_matches", lambda shown, known: [])
    again = looked({**files, **copy}, Counting(), tmp_path / "memory")
    assert again.matches == grown.matches, "remembered, and not sought again"


def test_a_match_goes_with_its_picture(files: dict[str, Path], tmp_path: Path):
    copy = enlarged(tmp_path / "2.png", tmp_path / "copy.png")
    assert looked({**files, **copy}, Counting(), tmp_path / "memory").matches
    assert looked(files, Counting(), tmp_path / "memory").matches == []
    assert copies(looked({**files, **copy}, Counting(), tmp_path / "memory")), "who comes back is compared again"


def test_the_instrument_s_box_is_the_subject_where_it_has_one(files: dict[str, Path], tmp_path: Path):
    class Pointing(Counting):
        def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
            box = Box(left=5, top=5, right=25, bottom=30)
            return [one.model_copy(update={"subject": box}) for one in super().read(pictures)]

    found = looked(files, Pointing(), tmp_path / "memory")
    assert found.looks[sha256_of(tmp_path / "0.png")].measures["subject"] == 25
