"""Expected errors: each is one message that says what was wrong, what is allowed and what to do.

A face prints the message and exits with `exit_status`. Anything that is not a `LikenessError` is a bug and keeps its
traceback.
"""

import errno
import shlex
import sys
from pathlib import Path

__all__ = [
    "CheckpointError",
    "ConsentError",
    "Diverged",
    "EvaluationError",
    "Interrupted",
    "LikenessError",
    "MissingExtra",
    "OutOfMemory",
    "PictureError",
    "PublishError",
    "RecipeError",
    "ResumeError",
    "TooFewPictures",
    "WorkspaceError",
]


class LikenessError(Exception):
    """An error that a person can mend; its text is all that they need."""

    exit_status = 2


class RecipeError(LikenessError):
    """A recipe, or a `--set` value, that is not valid; all faults are in the one message."""


class ConsentError(RecipeError):
    """Training a real person's likeness without their recorded consent."""


class PictureError(LikenessError):
    """A picture that cannot be read, or must not be.

    Args:
        message: all that a person needs.
        fault: the same in a word or two, for lists: "truncated", "not a picture", "too large".
    """

    def __init__(self, message: str, fault: str = "unreadable") -> None:
        super().__init__(message)
        self.fault = fault


class TooFewPictures(PictureError):
    """Fewer usable pictures than a character is learnt from; what is there was curated all the same."""


class CheckpointError(LikenessError):
    """A weights file that is refused: a pickle, cut short, hostile, or of another kind than was asked for."""


class Diverged(LikenessError):
    """Training whose loss is no longer a finite number."""


class EvaluationError(LikenessError):
    """Adapters or pictures that cannot be measured, or not against each other."""


class OutOfMemory(LikenessError):
    """Training that does not fit into the device's memory, whatever was tried."""


class PublishError(LikenessError):
    """What may not be published as it is, or a catalog that does not hold together; what to do is said."""


class ResumeError(LikenessError):
    """A run that cannot be continued, because what it was started from has changed."""


class MissingExtra(LikenessError):
    """A library of an optional extra that is not installed.

    Args:
        module: the library that was not found.
        extra: the extra that installs it.
        why: what needs it, as in "by perception.reader = 'maquette'".

    Attributes:
        cure: the command that installs the extra.
    """

    def __init__(self, module: str, extra: str, why: str = "") -> None:
        needed = f"{module} is needed {why}" if why else f"{module} is needed"
        self.cure = _installing(extra)
        super().__init__(f"{needed}. Install it with: {self.cure}")


def _installing(extra: str) -> str:
    """The command that installs an extra for this very Python, from the checkout that this file lies in, if it does."""
    checkout = Path(__file__).parents[2]
    is_checkout = (checkout / "pyproject.toml").exists()
    what = ["-e", f"{checkout}[{extra}]"] if is_checkout else [f"likeness[{extra}]"]
    return shlex.join([sys.executable, "-m", "pip", "install", *what])


class Interrupted(LikenessError):
    """A person or the system asked to stop; the work so far is saved and the message says how to go on."""

    exit_status = 130  # 128 + SIGINT, as shells report it


class WorkspaceError(LikenessError):
    """A folder or file of a workspace that cannot be used: missing, locked, read-only, or on a full disk."""

    @classmethod
    def of(cls, path: Path, fault: OSError) -> "WorkspaceError":
        """The words for what the system said about `path`."""
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            return cls(
                f"{path} cannot be written: the disk is full. What was there before is unchanged. "
                "Free some space and repeat the command."
            )
        if fault.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return cls(
                f"{path} cannot be used: the folder or file is read-only, or belongs to someone else. "
                "Change its permissions, or use another folder."
            )
        if fault.errno in (errno.ENOTDIR, errno.EEXIST):
            file = next((above for above in (path, *path.parents) if above.is_file()), path)
            return cls(f"{file} is a file, where a folder is needed. Name another folder, or move the file elsewhere.")
        if fault.errno == errno.ENOENT:
            return cls(f"{path} does not exist. Check the path, or start a workspace with: likeness init FOLDER")
        return cls(f"{path} cannot be used: {fault.strerror or fault}.")
