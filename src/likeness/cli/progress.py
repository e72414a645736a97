"""Readers of events: bars on a terminal, lines in a log, JSON for a program. All write to stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from likeness.errors import Interrupted
from likeness.events import Event, Report

__all__ = ["BarReport", "JsonReport", "LineReport", "reporting"]

SECONDS_BETWEEN_LINES = 10.0  # in a log: often enough to see that it lives, seldom enough to be read


@contextmanager
def reporting(as_json: bool) -> Iterator[Report]:
    """The report for whoever reads stderr: a program, a person at a terminal, or a log.

    Raises:
        Interrupted: for Ctrl-C between stages; training itself catches it and says how to go on.
    """
    try:
        if as_json:
            yield JsonReport(sys.stderr)
        elif sys.stderr.isatty():
            with BarReport() as bars:
                yield bars
        else:
            yield LineReport(sys.stderr)
    except KeyboardInterrupt as stop:
        raise Interrupted("Stopped. What was finished is kept; the same command goes on from there.") from stop


class JsonReport:
    """Writes each event as one object a line."""

    def __init__(self, to: TextIO) -> None:
        self.to = to

    def __call__(self, event: Event) -> None:
        """One line more."""
        print(event.model_dump_json(exclude_defaults=True), file=self.to, flush=True)


class LineReport:
    """Writes plain lines: the first and last event of each stage, what has a note, and one in ten seconds between.

    Args:
        clock: seconds, rising.
    """

    def __init__(self, to: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.to, self.clock = to, clock
        self.stage, self.told, self.line = "", 0.0, ""
        self.started, self.found = 0.0, 0  # when the stage's first event came, and how much was done by then

    def __call__(self, event: Event) -> None:
        """A line, if one is due."""
        now = self.clock()
        is_first = event.stage != self.stage
        if is_first:
            self.stage, self.started, self.found = event.stage, now, event.done
        is_last = event.done == event.total > 0
        if is_first or is_last or event.note or now - self.told >= SECONDS_BETWEEN_LINES:
            line = self._line(event, now - self.started)
            if line != self.line:  # a stage may end with looks whose number nobody knew before
                print(line, file=self.to, flush=True)
            self.told, self.line = now, line

    def _line(self, event: Event, seconds: float) -> str:
        count = f"{event.done}/{event.total}" if event.total else f"{event.done}" if event.done else ""
        parts = [count]
        done_since = event.done - self.found  # a resumed run begins with what was done before
        if done_since > 0 and seconds > 0 and event.done < event.total:
            parts.append(f"{_clock_time(seconds * (event.total - event.done) / done_since)} left")
        told = ", ".join(filter(None, [*parts, *_numbers(event), event.note]))
        return f"{event.stage}: {told or 0}"


class BarReport:
    """Draws a bar per stage on a terminal, with rate and time left; notes stay above the bars."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        rate = TextColumn("{task.fields[rate]}", style="progress.data.speed")
        numbers = TextColumn("{task.fields[numbers]}", style="dim")
        shown = ("[bold]{task.description:<8}", BarColumn(32), MofNCompleteColumn(), rate, TimeRemainingColumn(True))
        self.progress = Progress(*shown, numbers, console=Console(stderr=True))
        self.tasks = {}

    def __enter__(self) -> "BarReport":
        """The bars, shown."""
        self.progress.start()
        return self

    def __exit__(self, *fault: object) -> None:
        """The bars stay as they are; the cursor is below them."""
        self.progress.stop()

    def __call__(self, event: Event) -> None:
        """The stage's bar is as far as the event says."""
        total = event.total or None
        if event.stage not in self.tasks:
            self.tasks[event.stage] = self.progress.add_task(event.stage, total=total, rate="", numbers="")
        task = self.tasks[event.stage]
        self.progress.update(task, completed=event.done, total=total, numbers="  ".join(_numbers(event)))
        speed = self.progress.tasks[task].speed
        self.progress.update(task, rate=f"{speed:.1f}/s" if speed else "")
        if event.note:
            self.progress.console.print(f"{event.stage}: {event.note}", markup=False, highlight=False)


def _numbers(event: Event) -> list[str]:
    return [
        f"{name.removesuffix('_bytes')} {value / 1e6:.0f} MB"
        if name.endswith("_bytes")
        else f"{_words(name)} {value:.4g}"
        for name, value in event.numbers.items()
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
