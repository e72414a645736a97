"""Withdrawals: the record of what was withdrawn, by which it does not come back, and others find their copies."""

import datetime
from pathlib import Path

from likeness.errors import PublishError
from likeness.records import Record, read_records, write_records

__all__ = ["RECORD", "Withdrawal", "note_withdrawal", "refuse_withdrawn"]

RECORD = "withdrawn.jsonl"


class Withdrawal(Record):
    """What was withdrawn: enough for others to find their copies, and not who it was.

    Attributes:
        place: of its page; "" for a release.
        date: the day.
        because: why, in words; "" where nobody said.
        tensors: sha256 of the tensors, of each version.
        files: sha256 of the files.
    """

    place: str = ""
    date: datetime.date
    because: str = ""
    tensors: tuple[str, ...]
    files: tuple[str, ...]


def note_withdrawal(path: Path, told: Withdrawal) -> None:
    """Puts a withdrawal on record; before anything goes, so that what was begun is known."""
    before = read_records(path, Withdrawal) if path.exists() else []
    write_records(path, [*before, told])


def refuse_withdrawn(path: Path, tensors: str, title: str) -> None:
    """Nothing, for a LoRA that was not withdrawn.

    Args:
        path: of the record.
        tensors: sha256 of the LoRA's tensors.
        title: of the LoRA, for the message.

    Raises:
        PublishError: for one that was.
    """
    for one in read_records(path, Withdrawal) if path.exists() else ():
        if tensors in one.tensors:
            raise PublishError(
                f"{title} was withdrawn on {one.date}, by its tensors, and does not come back. If that was a mistake, "
                f"remove its line from {path}."
            )
