"""Captions: a person's words as they are; of a reading the scene, and not what belongs to the character."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest

from likeness.captions.caption import caption
from likeness.captions.tags import front_tags, plain_tags, split_tags
from likeness.dataset.collect import collect
from likeness.errors import PictureError, RecipeError, WorkspaceError
from likeness.images import Pixels, save_png
from likeness.recipe import CaptionConfig
from likeness.records import Box, Caption, Picture, Reading

FRONT = ("mira", "1girl")


class Eye:
    """A reader that sees the same in every picture, and remembers what it was shown."""

    def __init__(self, **seen: Any) -> None:
        fields = {"view": "front", "framing": "face", "expression": "smile", "traits": {"hair_colour": "blue"}} | seen
        self.reading = Reading(instrument="eye", instrument_sha256="0" * 64, **fields)
        self.shown: list[tuple[int, ...]] = []

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        self.shown += [pixels.shape for pixels in pictures]
        return [self.reading] * len(pictures)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name, level in (("a", 1), ("b", 2)):
        save_png(tmp_path / f"{name}.png", numpy.full((4, 6, 3), level, numpy.uint8))
    return tmp_path


def captioned(images: Path, pictures: Sequence[Picture] | None = None, **options: Any) -> list[Caption]:
    given = {"reader": Eye(), "front": FRONT, "images": images} | options
    config = CaptionConfig(**{name: given.pop(name) for name in list(given) if name in CaptionConfig.model_fields})
    return caption(collect(images) if pictures is None else pictures, config, **given)


def test_a_persons_file_is_read_and_never_written(images: Path) -> None:
    (images / "a.txt").write_text("sitting,  looking   back\n smile, ", encoding="utf-8-sig")
    (images / "b.caption").write_text("standing")
    before = {path: path.stat().st_mtime_ns for path in images.iterdir()}
    first, second = captioned(images, reader=None)
    assert first.text == "mira, 1girl, sitting, looking back, smile"
    assert (first.tags[2], first.written_by) == ("sitting", "person")
    assert second.tags == ("mira", "1girl", "standing")
    assert {path: path.stat().st_mtime_ns for path in images.iterdir()} == before


def test_a_caption_file_may_end_in_capitals(images: Path) -> None:
    (images / "a.TXT").write_text("sitting")
    assert captioned(images)[0].tags == ("mira", "1girl", "sitting")


def test_a_trigger_that_the_person_wrote_too_is_said_once(images: Path) -> None:
    (images / "a.txt").write_text("smile, mira, 1girl")
    assert captioned(images)[0].tags == ("mira", "1girl", "smile")


def test_of_a_reading_the_scene_is_said_and_the_traits_are_not(images: Path) -> None:
    first, _ = captioned(images)
    assert first.tags == ("mira", "1girl", "front", "face", "smile")
    assert first.written_by == "eye"


def test_traits_are_said_where_the_recipe_says_so(images: Path) -> None:
    traits = {"hair_colour": "blue", "garment": "dress"}
    assert captioned(images, reader=Eye(traits=traits), say=["garment"])[0].tags[-1] == "dress garment"
    assert captioned(images, reader=Eye(traits=traits), traits="say")[0].tags[-2:] == (
        "blue hair colour",
        "dress garment",
    )


def test_a_trait_to_be_said_that_no_reading_has_is_an_error_with_a_proposal(images: Path) -> None:
    with pytest.raises(RecipeError, match="'hair_color' was seen in no picture; did you mean 'hair_colour'"):
        captioned(images, say=["hair_color"])


def test_what_the_reader_is_unsure_of_goes_unsaid(images: Path) -> None:
    unsure = Eye(confidence={"expression": 0.4, "view": 0.6})
    assert "smile" not in captioned(images, reader=unsure)[0].tags
    assert "smile" in captioned(images, reader=unsure, min_confidence=0.3)[0].tags


def test_a_base_has_its_own_words(images: Path) -> None:
    def words(seen: Mapping[str, str]) -> list[str]:
        return ["close-up"] if seen["framing"] == "face" else []

    assert captioned(images, tags_of=words)[0].tags == ("mira", "1girl", "close-up")


def test_tags_are_added_and_dropped_whoever_wrote_them_but_the_trigger_stays(images: Path) -> None:
    (images / "a.txt").write_text("smile, sketch")
    first, second = captioned(images, add=["drawing"], drop=["sketch", "front", "mira"])
    assert first.tags == ("mira", "1girl", "drawing", "smile")
    assert second.tags == ("mira", "1girl", "drawing", "face", "smile")


def test_a_file_wins_over_a_reading_unless_the_recipe_says_otherwise(images: Path) -> None:
    (images / "a.txt").write_text("from a file")
    assert captioned(images)[0].written_by == "person"
    assert captioned(images, source="reader")[0].written_by == "eye"


def test_pictures_without_a_caption_file_are_named_where_one_is_asked_for(images: Path) -> None:
    (images / "a.txt").write_text("smile")
    with pytest.raises(WorkspaceError, match=r"1 picture \(b\.png\) has no caption file"):
        captioned(images, source="files")
    with pytest.raises(RecipeError, match=r"1 picture \(b\.png\) has no caption file, and there is no reader"):
        captioned(images, reader=None)


def test_a_caption_file_without_its_picture_is_an_error_that_names_it(images: Path) -> None:
    (images / "old name.txt").write_text("smile")
    with pytest.raises(WorkspaceError, match=r"old name\.txt .*without its picture"):
        captioned(images)


def test_the_caption_of_a_rejected_picture_is_neither_an_error_nor_used(images: Path) -> None:
    (images / "a.txt").write_text("smile")
    (images / "b.png").write_bytes(b"broken")
    (images / "b.txt").write_text("smile")
    assert len(captioned(images)) == 1


def test_two_caption_files_for_one_picture_are_an_error(images: Path) -> None:
    (images / "a.txt").write_text("smile")
    (images / "a.caption").write_text("frown")
    with pytest.raises(WorkspaceError, match="two caption files"):
        captioned(images)


def test_a_caption_file_that_is_no_text_is_an_error_in_words(images: Path) -> None:
    (images / "a.txt").write_bytes(b"\xff\xfe\x00smile")
    with pytest.raises(WorkspaceError, match=r"a\.txt is not a text file in UTF-8"):
        captioned(images)


def test_a_reading_on_record_is_used_and_a_crop_is_what_the_reader_sees(images: Path) -> None:
    first, second = collect(images)
    known = first.model_copy(update={"reading": Eye(view="back").reading})
    cropped = second.model_copy(update={"crop": Box(left=1, top=0, right=4, bottom=2)})
    eye = Eye()
    captions = captioned(images, [known, cropped], reader=eye)
    assert eye.shown == [(2, 3, 3)]
    assert captions[0].tags[2] == "back"


def test_a_crop_over_the_edge_of_a_picture_is_read_as_far_as_the_picture_goes(images: Path) -> None:
    first, second = collect(images)
    over, beside = Box(left=-2, top=1, right=3, bottom=9), Box(left=6, top=0, right=9, bottom=4)
    eye = Eye()
    captioned(images, [first.model_copy(update={"crop": over}), second], reader=eye)
    assert eye.shown == [(3, 3, 3), (4, 6, 3)]
    with pytest.raises(PictureError, match=r"leaves nothing of the picture"):
        captioned(images, [first, second.model_copy(update={"crop": beside})])


def test_tags_are_split_at_commas_and_lines_and_said_once() -> None:
    assert split_tags("a  b, c\nd,,a b") == ("a b", "c", "d")
    assert front_tags("mira", "1girl, fox") == ("mira", "1girl", "fox")
    assert front_tags("mira") == ("mira",)
    assert plain_tags({"hair_colour": "blue", "view": "back"}) == ["back", "blue hair colour"]
