"""Events: how a stage tells what it does. Progress bars, logs and the page of a run are readers of them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from likeness.errors import WorkspaceError

__all__ = ["Event", "EventLog", "Report", "read_events", "silent"]


class Event(BaseModel):
    """One thing that a stage reports.

    Attributes:
        stage: who reports, as in "encode" or "train".
        done: parts finished so far, in [0, total].
        total: parts in all; 0 where that is not known.
        note: one line in words; empty where the numbers say all.
        numbers: measurements by name, as in {"loss": 0.12}; a loss that is no longer finite is kept as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    stage: str
    done: int
    total: int
    note: str = ""
    numbers: Mapping[str, float] = {}


Report = Callable[[Event], None]
"""What a stage calls with each event."""


def silent(event: Event) -> None:
    """The report of a caller that does not listen."""


class EventLog:
    """A report that appends each event to a file, as one line of JSON that is on disk before the call returns.

    A last line that a killed process left unfinished is dropped, so that every line can be read.

    Raises:
        WorkspaceError: where the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.exists():
                written = path.read_bytes()
                os.truncate(path, written.rfind(b"\n") + 1)
        except OSError as fault:
            raise WorkspaceError.of(path, fault) from fault

    def __call__(self, event: Event) -> None:
        """The log has one line more."""
        line = event.model_dump_json().encode() + b"\n"
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(line)
        except OSError as fault:
            raise WorkspaceError.of(self.path, fault) from fault


def read_events(path: Path) -> list[Event]:
    """The events of a log, oldest first; a last line that is still being written is left out."""
    finished, _, _ = path.read_bytes().rpartition(b"\n")
    return [Event.model_validate_json(line) for line in finished.splitlines()]
