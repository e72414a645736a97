"""What each tool makes of a LoRA's file, as cards tell it."""

from pathlib import Path

from likeness.catalog.card import Client
from likeness.errors import MissingExtra
from likeness.events import Event, Report, silent
from likeness.pipeline.files import check_file

__all__ = ["clients_of"]


def clients_of(lora: Path, report: Report = silent) -> tuple[Client, ...]:
    """A verdict for each tool; none without torch, which is told.

    Raises:
        CheckpointError: for a file that is no LoRA.
    """
    try:
        found = check_file(lora)
    except MissingExtra as missing:
        report(Event(stage="publish", done=0, total=0, note=f"which tools take it is not told: {missing}"))
        return ()
    return tuple(
        Client(
            name=one["client"],
            works=one["takes_all"],
            matched=one["matched"],
            total=one["total"],
            why=one["refusal"] or one["unsupported"] or "; ".join(part["why"] for part in one["dropped"]),
            mend=one["mend"],
        )
        for one in found
    )
