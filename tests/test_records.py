import errno
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from likeness.errors import WorkspaceError
from likeness.records import Box, Caption, Checkpoint, Picture, Reading, read_records, write_atomically, write_records

READING = Reading(
    view="profile-left",
    yaw=-80.5,
    traits={"hair_colour": "blue"},
    confidence={"view": 0.9, "hair_colour": 0.8},
    embedding=(0.6, -0.8),
    instrument="maquette",
    instrument_sha256="0" * 64,
)
PICTURE = Picture(
    id="a" * 64,
    path="a/née.png",
    width=64,
    height=96,
    reading=READING,
    crop=Box(left=0, top=0, right=64, bottom=64),
    use="train",
    reason="sharp",
    decided_by="screening",
)
CAPTION = Caption(picture="a" * 64, tags=("smile", "full body"), text="smile, full body", written_by="person")


def fails_with(number: int) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("record", [PICTURE, CAPTION, Checkpoint(path="runs/0001/a", step=3, loss=0.1, seconds=2.5)])
def test_a_record_comes_back_as_it_was_written(tmp_path: Path, record: Any):
    write_records(tmp_path / "records.jsonl", [record, record])
    assert read_records(tmp_path / "records.jsonl", type(record)) == [record, record]
    assert (tmp_path / "records.jsonl").read_bytes().count(b"\n") == 2


def test_line_separators_inside_a_text_do_not_split_a_record(tmp_path: Path):
    caption = CAPTION.model_copy(update={"text": "a\u2028b\x85c\rd\ne"})
    write_records(tmp_path / "captions.jsonl", [caption])
    assert read_records(tmp_path / "captions.jsonl", Caption) == [caption]


def test_no_records_is_an_empty_file_that_reads_as_none(tmp_path: Path):
    write_records(tmp_path / "records.jsonl", [])
    assert read_records(tmp_path / "records.jsonl", Picture) == []


def test_a_record_cannot_be_changed_and_has_no_unknown_fields():
    with pytest.raises(ValidationError):
        PICTURE.use = "held-out"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValidationError, match="colour"):
        Box.model_validate({"left": 0, "top": 0, "right": 1, "bottom": 1, "colour": "red"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "abc"}, "id"),
        ({"use": "test"}, "use"),
        ({"width": -1}, "width"),
        ({"reading": {"yaw": 1}}, "instrument"),
    ],
)
def test_a_picture_that_makes_no_sense_is_refused(change: dict[str, Any], words: str):
    with pytest.raises(ValidationError, match=words):
        Picture.model_validate(PICTURE.model_dump() | change)


def test_a_broken_line_is_named_with_its_number_and_what_to_do(tmp_path: Path):
    path = tmp_path / "captions.jsonl"
    path.write_text(CAPTION.model_dump_json() + "\n" + '{"picture": "x"}\n')
    with pytest.raises(
        WorkspaceError, match=r"captions\.jsonl, line 2 is not a valid Caption: picture: .*delete the file"
    ):
        read_records(path, Caption)
    path.write_text('{"picture": \n')
    with pytest.raises(WorkspaceError, match="line 1"):
        read_records(path, Caption)


def test_a_missing_file_and_one_that_is_no_text_are_told_in_words(tmp_path: Path):
    with pytest.raises(WorkspaceError, match="does not exist"):
        read_records(tmp_path / "images.jsonl", Picture)
    (tmp_path / "images.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WorkspaceError, match="not a text file"):
        read_records(tmp_path / "images.jsonl", Picture)


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open"])
@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "read-only")])
def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, number: int, words: str
):
    write_records(tmp_path / "captions.jsonl", [CAPTION])
    with monkeypatch.context() as patched:
        patched.setattr(broken, fails_with(number))
        with pytest.raises(WorkspaceError, match=words):
            write_records(tmp_path / "captions.jsonl", [CAPTION, CAPTION])
    assert read_records(tmp_path / "captions.jsonl", Caption) == [CAPTION]
    assert [path.name for path in tmp_path.iterdir()] == ["captions.jsonl"]


def test_a_stop_in_the_middle_of_a_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_atomically(tmp_path / "a.txt", "old")

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_written_file_has_the_permissions_of_any_new_file(tmp_path: Path):
    (tmp_path / "usual").touch()
    write_atomically(tmp_path / "ours", b"\x00\xff")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert (tmp_path / "ours").read_bytes() == b"\x00\xff"


def test_a_record_that_fails_to_be_made_leaves_the_file_alone(tmp_path: Path):
    write_records(tmp_path / "captions.jsonl", [CAPTION])

    def captions() -> Any:
        yield CAPTION
        raise ValueError("the stage failed here")

    with pytest.raises(ValueError, match="failed here"):
        write_records(tmp_path / "captions.jsonl", captions())
    assert read_records(tmp_path / "captions.jsonl", Caption) == [CAPTION]
