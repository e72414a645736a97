import errno
import math
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from likeness.errors import WorkspaceError
from likeness.events import Event, EventLog, read_events

FIRST = Event(stage="train", done=1, total=10, numbers={"loss": 0.25})
SECOND = Event(stage="train", done=2, total=10, note="saved step-000002.safetensors")


def test_a_log_gives_back_what_was_reported_in_order(tmp_path: Path):
    log = EventLog(tmp_path / "events.jsonl")
    log(FIRST)
    log(SECOND)
    assert read_events(log.path) == [FIRST, SECOND]


def test_an_event_is_on_disk_before_the_report_returns(tmp_path: Path):
    log = EventLog(tmp_path / "events.jsonl")
    log(FIRST)
    assert log.path.read_bytes().count(b"\n") == 1


def test_a_second_log_goes_on_where_the_first_ended(tmp_path: Path):
    EventLog(tmp_path / "events.jsonl")(FIRST)
    EventLog(tmp_path / "events.jsonl")(SECOND)
    assert read_events(tmp_path / "events.jsonl") == [FIRST, SECOND]


def test_a_line_that_a_killed_process_left_unfinished_is_dropped(tmp_path: Path):
    log = EventLog(tmp_path / "events.jsonl")
    log(FIRST)
    with log.path.open("ab") as file:
        file.write(b'{"stage": "tr')
    assert read_events(log.path) == [FIRST]
    EventLog(log.path)(SECOND)
    assert read_events(log.path) == [FIRST, SECOND]


def test_a_loss_that_is_no_number_any_more_can_still_be_read(tmp_path: Path):
    log = EventLog(tmp_path / "events.jsonl")
    log(Event(stage="train", done=3, total=10, numbers={"loss": math.nan, "rate": math.inf}))
    (event,) = read_events(log.path)
    assert math.isnan(event.numbers["loss"])
    assert event.numbers["rate"] == math.inf


def test_a_full_disk_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = EventLog(tmp_path / "events.jsonl")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        log(FIRST)


def test_an_event_cannot_be_changed_or_carry_what_nobody_reads():
    with pytest.raises(ValidationError):
        FIRST.done = 3  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValidationError):
        Event(stage="train", done=1, total=2, colour="red")  # pyright: ignore[reportCallIssue]
