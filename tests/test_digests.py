"""Digests: right whatever happened to a file, and a file that nobody touched is not read again."""

import os
from pathlib import Path

import pytest

from likeness.dataset import digests
from likeness.dataset.digests import digests_of
from likeness.errors import WorkspaceError
from likeness.images import sha256_of


def files(folder: Path, *names: str) -> list[Path]:
    found = [folder / name for name in names]
    for path in found:
        path.write_bytes(path.name.encode())
    return found


@pytest.fixture
def an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    later = digests.time.time_ns() + 3600 * 10**9
    monkeypatch.setattr(digests.time, "time_ns", lambda: later)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read."""
    names: list[str] = []

    def noted(path: Path) -> str:
        names.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(digests, "sha256_of", noted)
    return names


@pytest.mark.usefixtures("an_hour_later")
def test_what_nobody_touched_is_not_read_again(tmp_path: Path, read: list[str]) -> None:
    images, memory = files(tmp_path, "a.png", "b.png"), tmp_path / "cache" / "digests.json"
    assert digests_of(images, root=tmp_path, memory=memory) == [sha256_of(path) for path in images]
    images += files(tmp_path, "c.png")
    read.clear()
    assert digests_of(images, root=tmp_path, memory=memory) == [sha256_of(path) for path in images]
    assert read == ["c.png"]


@pytest.mark.usefixtures("an_hour_later")
def test_a_file_of_the_same_size_and_time_is_read_again_if_anything_changed_it(tmp_path: Path) -> None:
    (image,), memory = files(tmp_path, "a.png"), tmp_path / "digests.json"
    (before,) = digests_of([image], root=tmp_path, memory=memory)
    times = image.stat().st_atime_ns, image.stat().st_mtime_ns
    image.write_bytes(b"b.png")
    os.utime(image, ns=times)
    (after,) = digests_of([image], root=tmp_path, memory=memory)
    assert after == sha256_of(image) != before


def test_a_file_that_is_just_being_written_is_read_again(tmp_path: Path, read: list[str]) -> None:
    images, memory = files(tmp_path, "a.png"), tmp_path / "digests.json"
    digests_of(images, root=tmp_path, memory=memory)
    digests_of(images, root=tmp_path, memory=memory)
    assert read == ["a.png", "a.png"]


@pytest.mark.parametrize("broken", ["", "{", '{"a.png": 3}', "[]"])
def test_a_broken_memory_is_forgotten(tmp_path: Path, broken: str) -> None:
    images, memory = files(tmp_path, "a.png"), tmp_path / "digests.json"
    memory.write_text(broken)
    assert digests_of(images, root=tmp_path, memory=memory) == [sha256_of(images[0])]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"gone\.png"):
        digests_of([tmp_path / "gone.png"], root=tmp_path, memory=tmp_path / "digests.json")
