import errno
import os
from pathlib import Path

import pytest

from likeness import errors
from likeness.errors import Interrupted, LikenessError, MissingExtra, WorkspaceError


def test_a_missing_extra_says_what_needs_it_and_what_installs_it():
    assert str(MissingExtra("onnxruntime", "perception", why="by caption.tagger = 'wd14'")) == (
        "onnxruntime is needed by caption.tagger = 'wd14'. Install it with: pip install 'likeness[perception]'"
    )
    assert str(MissingExtra("torch", "train")) == "torch is needed. Install it with: pip install 'likeness[train]'"


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
