"""Captions: a person's words as they are; of a reading the scene, and not what belongs to the character."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest

from likeness.captions.caption import caption
from likeness.captions.files import read_written, stands_in
from likeness.errors import PictureError, RecipeError, WorkspaceError
from likeness.images import Pixels, save_png, sha256_of
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


def recorded(images: Path) -> list[Picture]:
    """A record per picture, for training."""
    return [
        Picture(id=sha256_of(path), path=path.name, width=6, height=4, use="train", decided_by="test")
        for path in sorted(images.glob("*.png"))
    ]


def captioned(images: Path, pictures: Sequence[Picture] | None = None, **options: Any) -> list[Caption]:
    given = {"reader": Eye(), "front": FRONT, "images": images} | options
    config = CaptionConfig(**{name: given.pop(name) for name in list(given) if name in CaptionConfig.model_fields})
    return caption(recorded(images) if pictures is None else pictures, config, **given).captions


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
    assert first.tags == ("mira", "1girl", "front view", "close-up", "smile")
    assert first.written_by == "eye"


def test_a_trait_is_said_where_the_recipe_exposes_it(images: Path) -> None:
    traits = {"hair_colour": "blue", "garment": "dress"}
    first, _ = captioned(images, reader=Eye(traits=traits), plan={"hair_colour": "expose"})
    assert first.tags[2:] == ("blue hair", "front view", "close-up", "smile")


def test_an_outfit_that_the_recipe_names_is_called_by_its_word(images: Path) -> None:
    first, _ = captioned(images, reader=Eye(traits={"garment": "dress"}), plan={"dress": "miragown"})
    assert first.tags[:4] == ("mira", "1girl", "miragown", "front view")


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
    first, second = captioned(images, add=["drawing"], drop=["sketch", "front view", "mira"])
    assert first.tags == ("mira", "1girl", "drawing", "smile")
    assert second.tags == ("mira", "1girl", "drawing", "close-up", "smile")


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
    (images / "b.txt").write_text("smile")
    first, second = recorded(images)
    assert len(captioned(images, [first, second.model_copy(update={"use": "rejected"})])) == 1


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
    first, second = recorded(images)
    known = first.model_copy(update={"reading": Eye(view="back").reading})
    cropped = second.model_copy(update={"crop": Box(left=1, top=0, right=4, bottom=2)})
    eye = Eye()
    captions = captioned(images, [known, cropped], reader=eye)
    assert eye.shown == [(2, 3, 3)]
    assert captions[0].tags[2] == "from behind"


def test_a_crop_over_the_edge_of_a_picture_is_read_as_far_as_the_picture_goes(images: Path) -> None:
    first, second = recorded(images)
    over, beside = Box(left=-2, top=1, right=3, bottom=9), Box(left=6, top=0, right=9, bottom=4)
    eye = Eye()
    captioned(images, [first.model_copy(update={"crop": over}), second], reader=eye)
    assert eye.shown == [(3, 3, 3), (4, 6, 3)]
    with pytest.raises(PictureError, match=r"leaves nothing of the picture"):
        captioned(images, [first, second.model_copy(update={"crop": beside})])


def test_a_picture_of_which_nothing_can_be_said_is_an_error_and_no_caption_of_the_trigger(images: Path) -> None:
    blind = Eye(view=None, framing=None, expression=None, traits={}, embedding=(1.0, 0.0))
    with pytest.raises(RecipeError, match=r"2 pictures \(a\.png, b\.png\) have no caption file, and 'eye' saw nothing"):
        captioned(images, reader=blind)
    (images / "b.txt").write_text("smile")
    with pytest.raises(RecipeError, match=r"1 picture \(a\.png\)"):
        captioned(images, reader=blind)


def test_records_with_readings_need_no_reader(images: Path) -> None:
    read = [picture.model_copy(update={"reading": Eye().reading}) for picture in recorded(images)]
    assert captioned(images, read, reader=None)[1].written_by == "eye"


def test_held_out_pictures_have_captions_and_no_say_in_the_plan(images: Path) -> None:
    first, second = recorded(images)
    odd = second.model_copy(update={"use": "held-out", "reading": Eye(traits={"ears": "cat"}).reading})
    known = first.model_copy(update={"reading": Eye().reading})
    made = caption([known, odd], CaptionConfig(), images=images, front=FRONT)
    assert len(made.captions) == 2
    assert [trait.name for trait in made.plan.traits] == ["hair_colour"]


# -- a person's files ----------------------------------------------------------------------------------------------


def test_sentences_of_a_person_are_kept_whole(images: Path) -> None:
    (images / "a.txt").write_text("A photo of mira, standing in a field.")
    (images / "b.txt").write_text("She sits by the window, and smiles.")
    first, second = captioned(images)
    assert (first.text, first.sentence, first.tags) == (first.text, first.text, FRONT)
    assert first.text == "A photo of mira, standing in a field."
    assert second.text == "mira, 1girl, She sits by the window, and smiles."


def test_the_placeholder_of_another_tool_becomes_the_trigger_in_memory(images: Path) -> None:
    (images / "a.txt").write_text("[trigger], smile")
    (images / "b.txt").write_text("A drawing of [trigger] at the sea.")
    first, second = captioned(images)
    assert first.tags == ("mira", "1girl", "smile")
    assert second.text == "A drawing of mira at the sea."
    assert (images / "a.txt").read_text() == "[trigger], smile"


def test_a_json_file_holds_a_caption_or_tags_and_is_passed_over_where_it_holds_neither(images: Path) -> None:
    (images / "a.json").write_text('{"tags": ["smile", "red hat"], "caption": "She smiles under her red hat."}')
    (images / "b.json").write_text('{"source": "my sketchbook"}')
    (images / "c.json").write_text("[]")
    first, second = captioned(images, format="both")
    assert first.text == "mira, 1girl, smile, red hat"
    assert first.sentence == "mira, 1girl, She smiles under her red hat."
    assert second.written_by == "eye"
    assert captioned(images)[0].sentence == ""


@pytest.mark.parametrize(
    ("text", "said"), [("{", "is not JSON"), ('{"tags": 3}', "text or a list of texts"), ('{"caption": 1}', "be text")]
)
def test_a_json_file_that_cannot_be_read_is_an_error_in_words(images: Path, text: str, said: str) -> None:
    (images / "a.json").write_text(text)
    with pytest.raises(WorkspaceError, match=said):
        captioned(images)


def test_a_text_and_a_json_caption_for_one_picture_are_two_files(images: Path) -> None:
    (images / "a.txt").write_text("smile")
    (images / "a.json").write_text('{"caption": "smile"}')
    with pytest.raises(WorkspaceError, match=r"two caption files, a\.json and a\.txt"):
        captioned(images)


def test_whether_the_trigger_stands_in_a_file_is_known(images: Path) -> None:
    (images / "a.txt").write_text("smile")
    (images / "b.txt").write_text("[trigger], smile")
    pictures = recorded(images)
    written = read_written(pictures, pictures, images, trigger="mira")
    assert [written[picture.id].has_trigger for picture in pictures] == [False, True]


# -- formats -------------------------------------------------------------------------------------------------------


def test_a_sentence_says_what_the_tags_say(images: Path) -> None:
    told = "mira, a girl, is shown from the front, in a close-up, smiling."
    plain, sentence, both = (captioned(images, format=name)[0] for name in ("tags", "sentence", "both"))
    assert (plain.text, plain.sentence) == ("mira, 1girl, front view, close-up, smile", "")
    assert (sentence.text, sentence.sentence) == (told, told)
    assert (both.text, both.sentence) == (plain.text, told)


def test_a_persons_tags_stay_tags_in_every_format(images: Path) -> None:
    (images / "a.txt").write_text("smile")
    assert captioned(images, format="sentence")[0].text == "mira, 1girl, smile"
    assert captioned(images, format="both")[0].sentence == ""


def test_a_dropped_tag_is_not_in_the_sentence_either(images: Path) -> None:
    assert "smiling" not in captioned(images, format="sentence", drop=["smile"])[0].text


def test_parentheses_are_escaped_in_the_text_and_not_in_what_is_trained_on(images: Path) -> None:
    first, _ = captioned(images, escape=True, add=["mira (series)"])
    assert "mira \\(series\\)" in first.text
    assert "mira (series)" in first.tags
    assert "mira (series)" in captioned(images, add=["mira (series)"])[0].text


# -- a tagger's readings -------------------------------------------------------------------------------------------

TAGGED = {"1girl": 0.99, "solo": 0.9, "blue_hair": 0.95, "red dress": 0.8, "smile": 0.7, "sitting": 0.2, "tree": 0.5}


def tagged(**changes: float) -> Eye:
    tags = {tag.replace("__", " "): share for tag, share in {**TAGGED, **changes}.items()}
    return Eye(view="back", framing=None, expression=None, traits={}, tags=tags)


def test_a_taggers_tags_are_said_in_order_without_the_character(images: Path) -> None:
    assert captioned(images, reader=tagged())[0].tags == ("mira", "1girl", "solo", "smile", "from behind", "tree")


def test_a_threshold_says_which_tags_count(images: Path) -> None:
    assert "sitting" in captioned(images, reader=tagged(), tag_threshold=0.15)[0].tags


def test_an_exposed_trait_of_a_tagger_is_said_in_its_own_words(images: Path) -> None:
    first, _ = captioned(images, reader=tagged(), plan={"hair_colour": "expose", "outfit": "expose"})
    assert first.tags[:5] == ("mira", "1girl", "solo", "blue hair", "red dress")


def test_a_word_for_a_taggers_outfit_stands_in_for_its_tag(images: Path) -> None:
    first, _ = captioned(images, reader=tagged(), plan={"red dress": "miragown"})
    assert first.tags[2] == "miragown"
    assert "red dress" not in first.tags
    both = captioned(images, reader=tagged(), plan={"red dress": "miragown"}, format="both")[0]
    assert "wearing miragown" in both.sentence


def test_a_trigger_within_another_word_is_not_there():
    assert stands_in("mira, an admiral", "mira")
    assert not stands_in("an admiral stands there", "mira")
    assert stands_in("a photo of mira.", "mira")
