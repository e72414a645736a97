"""Withdrawing: an entry goes with all that is of it; a page that says so stays, and a record that others can read."""

import datetime
import shutil
from collections.abc import Sequence
from pathlib import Path

from likeness.catalog.build import SITE, build, remove
from likeness.catalog.card import Card, read_card
from likeness.catalog.pages import Page, read_page, with_front
from likeness.catalog.publish import CARD as RELEASED
from likeness.catalog.shelf import CARD, Shelf
from likeness.catalog.shortcodes import harmless
from likeness.catalog.tree import GONE
from likeness.catalog.withdrawals import RECORD, Withdrawal, note_withdrawal
from likeness.errors import PublishError, WorkspaceError
from likeness.records import write_atomically

__all__ = ["checklist", "others_of", "rebuild", "withdraw_entry", "withdraw_release"]

TITLE = "Withdrawn"
KEPT = ("url", "slug", "aliases")
"""What the front matter keeps: the page stays at its address, and old ones lead there."""


def withdraw_entry(root: Path, place: str, because: str = "") -> Withdrawal:
    """Removes an entry of a catalog: page, card, pictures and files, also from the site that was built; `rebuild` takes
    it from lists. Its address and its aliases lead then to a page that says that it was withdrawn.

    Args:
        root: of the catalog.
        place: of the entry's page, "/characters/sdxl-1.0/mira".
        because: why, for the record and the page.

    Raises:
        PublishError: where there is no such entry.
        WorkspaceError: where the catalog cannot be written.
    """
    folder = _folder(root, place)
    card, page = read_card(folder / CARD), read_page(root / "content", folder / "index.md")
    built = (root / SITE / page.url).resolve()
    if not built.is_relative_to((root / SITE).resolve()) or not page.url:
        raise PublishError(
            f"{folder / 'index.md'}: url = {page.front.get('url')!r} leads out of the site. Mend it first."
        )
    told = _record(card, because, place=page.place)
    note_withdrawal(root / RECORD, told)
    front = {"title": TITLE, GONE: True, "date": told.date, "bookHidden": True, "bookSearchExclude": True}
    front |= {key: page.front[key] for key in KEPT if page.front.get(key)}
    remove(root / SITE, Shelf(root).made_of(page))
    _emptied(folder, keep="index.md")
    write_atomically(folder / "index.md", with_front(front, f"\n{_words(told)}\n"))
    return told


def rebuild(root: Path) -> None:
    """The site without what was withdrawn.

    Raises:
        PublishError: where something else keeps it from being built. The site is gone then: its lists, its feed and its
            search would still tell of what was withdrawn.
    """
    try:
        build(root)
    except PublishError as fault:
        shutil.rmtree(root / SITE, ignore_errors=True)
        Shelf(root).forget()
        raise PublishError(f"{root / SITE} is removed, since it would still tell of it, and {fault}") from fault


def _folder(root: Path, place: str) -> Path:
    """Where an entry lies: as its place says, or as its folder is written."""
    named = Path(place.strip("/"))
    if ".." not in named.parts and (root / "content" / named / CARD).exists():
        return root / "content" / named
    found: Page | None = Shelf(root).read()[0].find(place)
    if found is None or not (root / "content" / found.file).with_name(CARD).exists():
        raise PublishError(f"{place!r} is no entry of {root}. Name one by its place, as in /characters/sdxl-1.0/mira.")
    return (root / "content" / found.file).parent


def withdraw_release(folder: Path, because: str = "") -> Withdrawal:
    """Removes a release with all its versions; the record of it is in the folder above.

    Raises:
        PublishError: where it is none.
        WorkspaceError: where it cannot be removed.
    """
    if not (folder / RELEASED).exists():
        raise PublishError(
            f"{folder} is no release. Name a folder that `likeness publish` made, as in mira/release/mira."
        )
    card = read_card(folder / RELEASED)
    earlier = [read_card(path) for path in sorted(folder.glob(f"versions/*/{RELEASED}"))]
    told = _record(card, because)
    files = dict.fromkeys((*told.files, *(one.file.sha256 for one in earlier)))
    told = told.model_copy(update={"files": tuple(files)})
    note_withdrawal(folder.parent / RECORD, told)
    try:
        shutil.rmtree(folder)
    except OSError as fault:
        raise WorkspaceError.of(folder, fault) from fault
    return told


def others_of(root: Path, told: Withdrawal) -> list[str]:
    """Places of other entries of a catalog that are the same LoRA, by its tensors: they are not withdrawn with it."""
    return [place for place, one in Shelf(root).read()[1].items() if one.tensors in told.tensors]


def checklist(told: Withdrawal, others: Sequence[str] = ()) -> Sequence[str]:
    """What is left to a person: copies elsewhere.

    Args:
        told: what was withdrawn.
        others: places in the same catalog where it is still.
    """
    here = [f"The same LoRA is still at {', '.join(others)}: withdraw it there, too."] if others else []
    return (
        *here,
        "On the Hugging Face hub: delete the repository, and ask for its cache of pictures to be purged.",
        f"On Civitai: delete the model; find copies by AutoV3 {', '.join(one[:12] for one in told.tensors)}.",
        f"Whoever gathers your catalog reads {RECORD}: upload it with the site.",
        "Where it was exported to Hugo, or added to another catalog: export again, withdraw there.",
        "A request by law has to be met within 48 hours in some places: note when it came, and when this was done.",
    )


def _record(card: Card, because: str, place: str = "") -> Withdrawal:
    return Withdrawal(
        place=place,
        date=datetime.datetime.now(datetime.UTC).date(),
        because=because,
        tensors=tuple(dict.fromkeys((card.file.tensors, *(one.tensors for one in card.previous)))),
        files=(card.file.sha256, *(one.sha256 for one in card.previous if one.sha256)),
    )


def _words(told: Withdrawal) -> str:
    why = f" {harmless(told.because.strip().rstrip('.'))}." if told.because.strip() else ""
    return f"What was here was withdrawn on {told.date.isoformat()}.{why} Please delete copies of it."


def _emptied(folder: Path, keep: str) -> None:
    try:
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != keep:
                path.unlink()
    except OSError as fault:
        raise WorkspaceError.of(folder, fault) from fault
