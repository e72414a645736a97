"""Collecting: every file of a folder has a record, whatever the file is, and what a person decided stays."""

from collections.abc import Sequence
from pathlib import Path

import numpy
import pytest

from likeness.dataset.collect import collect
from likeness.errors import PictureError, WorkspaceError
from likeness.images import save_png, sha256_of
from likeness.records import Picture


def draw(path: Path, level: int = 0, size: tuple[int, int] = (6, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, numpy.full((size[1], size[0], 3), level, numpy.uint8))
    return path


def found(images: Path, previous: Sequence[Picture] = ()) -> list[Picture]:
    return collect(images, memory=images.with_suffix(".digests"), previous=previous)


def one(pictures: list[Picture], path: str) -> Picture:
    (only,) = [picture for picture in pictures if picture.path == path]
    return only


def test_every_picture_of_a_folder_and_the_folders_in_it_has_a_record(tmp_path: Path) -> None:
    draw(tmp_path / "b.png", 1)
    draw(tmp_path / "deep" / "a.PNG", 2)
    first, second = found(tmp_path)
    assert [first.path, second.path] == ["b.png", "deep/a.PNG"]
    assert (first.use, first.decided_by) == ("train", "curate")
    assert first.id == sha256_of(tmp_path / "b.png")


def test_notes_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    draw(tmp_path / ".thumbnails" / "a.png", 3)
    for name in ("a.txt", "a.caption", "dataset.json", ".DS_Store"):
        (tmp_path / name).write_text("x")
    assert [picture.path for picture in found(tmp_path)] == ["a.png"]


def test_a_second_file_with_the_same_bytes_is_rejected_and_names_the_first(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png")
    first, second = found(tmp_path)
    assert (first.use, second.use, second.reason) == ("train", "rejected", "the same file as a.png")
    assert second.fault == "exact duplicate"
    assert found(tmp_path, previous=[first, second]) == [first, second]
    (tmp_path / "a.png").unlink()
    assert [(left.path, left.use) for left in found(tmp_path, previous=[first, second])] == [("b.png", "train")]


def test_what_a_person_decided_stays_also_under_a_new_name(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 1)
    draw(tmp_path / "b.png", 2)
    collected = found(tmp_path)
    decision = {"use": "rejected", "reason": "not her", "decided_by": "person"}
    previous = [collected[0].model_copy(update=decision), collected[1]]
    (tmp_path / "a.png").rename(tmp_path / "c.png")
    kept = one(found(tmp_path, previous=previous), "c.png")
    assert (kept.use, kept.reason, kept.decided_by) == ("rejected", "not her", "person")


def test_a_picture_that_was_held_out_stays_so_until_its_bytes_change(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", 1)
    held = found(tmp_path)[0].model_copy(update={"use": "held-out", "reason": "sealed"})
    assert found(tmp_path, previous=[held])[0].use == "held-out"
    draw(tmp_path / "a.png", 9)
    (edited,) = found(tmp_path, previous=[held])
    assert edited.use == "train"
    assert edited.id != held.id


def test_what_an_earlier_curation_rejected_is_looked_at_again(tmp_path: Path) -> None:
    path = draw(tmp_path / "a.png")
    stale = Picture(
        id=sha256_of(path), path="a.png", width=1, height=1, use="rejected", reason="old", decided_by="curate"
    )
    assert found(tmp_path, previous=[stale])[0].use == "train"


def test_a_folder_without_pictures_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1girl")
    with pytest.raises(PictureError, match="holds no pictures"):
        found(tmp_path)
    with pytest.raises(WorkspaceError, match="not a folder"):
        found(tmp_path / "absent")


def test_nothing_in_the_folder_is_changed(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*")}
    found(tmp_path)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*")} == before


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises((PictureError, WorkspaceError), match=r"b\.png"):
        found(tmp_path)
