"""Withdrawing: an entry goes with all that is of it; a page that says so stays, and a record that others can read."""

import datetime
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from likeness.catalog.card import Card, read_card
from likeness.catalog.pages import read_page
from likeness.catalog.publish import CARD as RELEASED
from likeness.catalog.shelf import CARD
from likeness.catalog.tree import GONE
from likeness.errors import PublishError, WorkspaceError
from likeness.records import Record, read_records, write_atomically, write_records

__all__ = ["RECORD", "Withdrawal", "checklist", "withdraw_entry", "withdraw_release"]

RECORD = "withdrawn.jsonl"
TITLE = "Withdrawn"


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


def withdraw_entry(root: Path, place: str, because: str = "") -> Withdrawal:
    """Removes an entry of a catalog: page, card, pictures and files. Its address and its aliases lead to a page that
    says that it was withdrawn; the site is to be built anew.

    Args:
        root: of the catalog.
        place: of the entry's page, "/characters/sdxl-1.0/mira".
        because: why, for the record and the page.

    Raises:
        PublishError: where there is no such entry.
        WorkspaceError: where the catalog cannot be written.
    """
    content = root / "content"
    folder = content / place.strip("/")
    if ".." in folder.parts or not (folder / CARD).exists():
        raise PublishError(f"{place!r} is no entry of {root}. Name one by its place, as in /characters/sdxl-1.0/mira.")
    card, page = read_card(folder / CARD), read_page(content, folder / "index.md")
    told = _record(card, because, place=page.place)
    _note(root / RECORD, told)
    front: dict[str, object] = {"title": TITLE, GONE: True, "date": told.date, "bookHidden": True}
    if page.aliases:
        front["aliases"] = [*page.aliases]
    text = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    _emptied(folder, keep="index.md")
    write_atomically(folder / "index.md", f"---\n{text}---\n\n{_words(told)}\n")
    return told


def withdraw_release(folder: Path, because: str = "") -> Withdrawal:
    """Removes a release with all its versions; the record of it is in the folder above.

    Raises:
        PublishError: where it is none.
        WorkspaceError: where it cannot be removed.
    """
    if not (folder / RELEASED).exists():
        raise PublishError(f"{folder} is no release. Name a folder that `likeness publish` made.")
    told = _record(read_card(folder / RELEASED), because)
    _note(folder.parent / RECORD, told)
    try:
        shutil.rmtree(folder)
    except OSError as fault:
        raise WorkspaceError.of(folder, fault) from fault
    return told


def checklist(told: Withdrawal) -> Sequence[str]:
    """What is left to a person: copies elsewhere."""
    return (
        "On the Hugging Face hub: delete the repository, and ask for its cache of pictures to be purged.",
        f"On Civitai: delete the model; find copies by AutoV3 {', '.join(one[:12] for one in told.tensors)}.",
        f"Whoever gathers your catalog reads {RECORD}: upload it with the site.",
        "A request by law has to be met within 48 hours in some places: note when it came, and when this was done.",
    )


def _record(card: Card, because: str, place: str = "") -> Withdrawal:
    return Withdrawal(
        place=place,
        date=datetime.datetime.now(datetime.UTC).date(),
        because=because,
        tensors=tuple(dict.fromkeys((card.file.tensors, *(one.tensors for one in card.previous)))),
        files=(card.file.sha256,),
    )


def _note(path: Path, told: Withdrawal) -> None:
    """Before anything goes, so that what was begun is known."""
    before = read_records(path, Withdrawal) if path.exists() else []
    write_records(path, [*before, told])


def _words(told: Withdrawal) -> str:
    why = f" {told.because.strip().rstrip('.')}." if told.because.strip() else ""
    return f"What was here was withdrawn on {told.date.isoformat()}.{why} Please delete copies of it."


def _emptied(folder: Path, keep: str) -> None:
    try:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != keep:
                path.unlink()
    except OSError as fault:
        raise WorkspaceError.of(folder, fault) from fault
