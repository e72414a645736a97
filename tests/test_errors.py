import errno
import os
import shlex
import sys
from pathlib import Path

import pytest

from likeness import errors
from likeness.errors import Interrupted, LikenessError, MissingExtra, WorkspaceError


def test_a_missing_extra_says_what_needs_it_and_what_installs_it():
    missing = MissingExtra("onnxruntime", "perception", why="by caption.tagger = 'wd14'")
    assert str(missing) == f"onnxruntime is needed by caption.tagger = 'wd14'. Install it with: {missing.cure}"
    assert str(MissingExtra("torch", "train")).startswith("torch is needed. Install it with: ")


def test_an_extra_is_installed_for_this_python_from_this_checkout():
    checkout = Path(errors.__file__).parents[2]
    pip = [sys.executable, "-m", "pip", "install"]
    assert shlex.split(MissingExtra("torch", "train").cure) == [*pip, "-e", f"{checkout}[train]"]


def test_an_extra_of_an_installed_package_goes_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "python3.11" / "likeness" / "errors.py"))
    assert shlex.split(MissingExtra("torch", "train").cure)[1:] == ["-m", "pip", "install", "likeness[train]"]


@pytest.mark.parametrize("name", errors.__all__)
def test_every_expected_error_is_caught_as_one(name: str):
    kind = getattr(errors, name)
    assert issubclass(kind, LikenessError)
    assert kind.exit_status == (130 if kind is Interrupted else 2)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "read-only"),
        (errno.EPERM, "read-only"),
        (errno.ENOENT, "does not exist"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_what_the_system_says_is_told_in_words_with_the_path(number: int, words: str):
    message = str(WorkspaceError.of(Path("mira/images.jsonl"), OSError(number, os.strerror(number))))
    assert words in message
    assert "mira/images.jsonl" in message


@pytest.mark.parametrize("number", [errno.ENOTDIR, errno.EEXIST])
def test_a_file_where_a_folder_is_needed_is_named(tmp_path: Path, number: int):
    (tmp_path / "mira").write_text("no folder")
    message = str(WorkspaceError.of(tmp_path / "mira" / "images", OSError(number, os.strerror(number))))
    assert message.startswith(f"{tmp_path / 'mira'} is a file, where a folder is needed.")
