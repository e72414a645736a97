"""Adding to a catalog: releases, and LoRAs that others made, each as a page with its card and pictures."""

import datetime
import io
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from PIL import Image

from likeness.catalog.card import Card, read_card
from likeness.catalog.pages import SECTION, named_address, with_front
from likeness.catalog.pictures import mark_of
from likeness.catalog.publish import CARD as RELEASED
from likeness.catalog.shelf import CARD, THUMB
from likeness.catalog.withdrawals import RECORD, refuse_withdrawn
from likeness.errors import PictureError, PublishError, WorkspaceError
from likeness.images import fit, open_pixels
from likeness.records import link_or_copy, make_folder, write_atomically

__all__ = ["KINDS", "add_card", "add_release", "kind_of"]

SIDE = 240  # px of the small picture in lists: cards are about as wide
QUALITY = 70  # of WebP: some 5 kB
KINDS: Mapping[str, tuple[int, str]] = {
    "characters": (1, "Character LoRAs: one character, held in face, body, clothes and marks, free in pose and view."),
    "concepts": (2, "Concept LoRAs: things, poses and scenes that a base does not draw by itself."),
    "styles": (3, "Style LoRAs: how pictures are drawn, whatever they show."),
}
"""The sections of a catalog, with weight and summary."""


def kind_of(card: Card) -> str:
    """The section that a card belongs in, by its tags: a style, a concept, or else a character."""
    tags = {tag.casefold() for tag in card.tags}
    if tags & {"style", "styles", "artstyle"}:
        return "styles"
    return "concepts" if tags & {"concept", "concepts"} else "characters"


def add_release(
    content: Path, release: Path, *, kind: str = "", with_file: bool = False, at: Path | None = None
) -> Path:
    """The folder of the page of a release, with its pictures; a page that is there keeps what a person wrote on it.

    Args:
        content: the catalog's pages.
        release: a folder that `publish` made.
        kind: of `KINDS`; by default the one that its tags tell.
        with_file: whether the LoRA itself lies beside the page, to be downloaded.
        at: as for `add_card`.

    Raises:
        PublishError: where it is no release, or was withdrawn.
        WorkspaceError: where the catalog cannot be written.
    """
    card = read_card(release / RELEASED)
    pictures = {one.file: release / one.file for one in card.pictures}
    return add_card(content, card, pictures, kind=kind, file=release / card.file.name if with_file else None, at=at)


def add_card(
    content: Path,
    card: Card,
    pictures: Mapping[str, Path],
    *,
    kind: str = "",
    file: Path | None = None,
    at: Path | None = None,
) -> Path:
    """The folder of the page of a LoRA.

    Args:
        content: the catalog's pages.
        card: of it.
        pictures: where those lie that it names.
        kind: of `KINDS`, or another section of one's own.
        file: the LoRA itself, where it is to lie beside the page.
        at: the folder of its page, where it has one; by default one is looked for under its kind, base and title.

    Raises:
        PublishError: for what was withdrawn, a real person whose consent is over, and a picture that is no file.
        WorkspaceError: where the catalog cannot be written.
    """
    refuse_withdrawn(content.parent / RECORD, card.file.tensors, card.title)
    _refuse_ended(card)
    base = _one_name(card.base.name) or "other"
    section = content / (kind or kind_of(card)) / base
    if not section.resolve().is_relative_to(content.resolve()):
        raise PublishError(f"--section {kind} leads out of the catalog. Name a section, as in characters.")
    if kind and kind not in KINDS and not section.parent.exists() and (meant := get_close_matches(kind, KINDS, n=1)):
        raise PublishError(f"--section {kind}: there is no such section yet. Did you mean {meant[0]}?")
    folder = at or _place(section, card)
    if at is None:
        _begin(content, section, card.base.name or "Other")
    make_folder(folder)
    before = read_card(folder / CARD) if (folder / CARD).exists() else None
    for name, path in pictures.items():
        make_folder((folder / name).parent)
        _copy(path, folder / name)
    if before:
        _sweep(folder, before, card)
    if file:
        _copy(file, folder / card.file.name)
    if card.preview and card.preview.file in pictures:
        _thumb(pictures[card.preview.file], folder / THUMB)
    page = folder / "index.md"
    if not page.exists():
        write_atomically(page, _page(card))
    write_atomically(folder / CARD, card.model_dump_json() + "\n")
    return folder


def _refuse_ended(card: Card) -> None:
    agreed = card.subject.consent
    if agreed and agreed.expires and agreed.expires < datetime.datetime.now(datetime.UTC).date():
        raise PublishError(
            f"{card.title}: the consent to it ended on {agreed.expires}, and it is not shown. Ask again and publish it "
            "anew, or withdraw it: likeness withdraw"
        )


def _place(section: Path, card: Card) -> Path:
    """Where its page is: that of the same LoRA, or of an earlier version of it; else a new one, under a free name."""
    name = _one_name(card.title) or "lora"
    earlier = {card.file.tensors, *(one.tensors for one in card.previous)}
    for number in range(1, 10_000):
        folder = section / (name if number == 1 else f"{name}-{number}")
        if not (folder / CARD).exists():
            if not folder.exists() or not any(folder.iterdir()):
                return folder
            continue
        there = read_card(folder / CARD)
        if there.file.tensors in earlier and there.name == card.name:
            return folder
    raise PublishError(f"{section} has 10,000 entries of the name {name!r}. Give this one another title.")


def _one_name(text: str) -> str:
    """A name as one folder has it: what strangers wrote does not lead into others."""
    return named_address(text).replace("/", "-").strip("-.")


def _page(card: Card) -> str:
    front: dict[str, object] = {"title": card.title, "date": card.published}
    if aliases := [one for one in card.aliases if "/" in one]:
        front["aliases"] = aliases
    return with_front(front)


def _begin(content: Path, section: Path, base: str) -> None:
    """Pages of the sections that lead to an entry, where they are not there yet."""
    kind = section.parent.name
    weight, summary = KINDS.get(kind, (9, ""))
    pages = {
        content: {"title": "Home"},
        section.parent: {"title": kind.capitalize(), "weight": weight, "summary": summary, "bookCollapseSection": True},
        section: {"title": base, "summary": f"{kind.capitalize()} for {base}.", "bookToC": False},
    }
    for folder, front in pages.items():
        file = folder / SECTION
        if not file.exists():
            make_folder(folder)
            told = {key: value for key, value in front.items() if value != ""}
            write_atomically(file, with_front(told, "\n{{< section details >}}\n"))


def _copy(source: Path, to: Path) -> None:
    """A file that takes no room twice where the disk allows it; one that is there already stays.

    Links to elsewhere are not followed: a release that somebody made could publish any file of this disk by one.
    """
    if source.is_symlink() or not source.is_file():
        raise PublishError(f"{source} is not a file. Publish the release anew, or leave it out.")
    try:
        if to.exists() and (to.samefile(source) or to.read_bytes() == source.read_bytes()):
            return
    except OSError as fault:
        raise WorkspaceError.of(to, fault) from fault
    link_or_copy(source, to)


def _sweep(folder: Path, before: Card, card: Card) -> None:
    """Removes what the card that lay there before named and this one does not: a person's own pictures stay."""
    kept = {one.file for one in card.pictures}
    gone = {one.file for one in before.pictures} - kept
    if before.file.sha256 != card.file.sha256:  # an old LoRA is not to be downloaded under a new hash
        gone.add(before.file.name)
    for name in gone:
        (folder / name).unlink(missing_ok=True)


def _thumb(picture: Path, to: Path) -> None:
    """The small picture of lists; none where the picture cannot be read."""
    try:
        pixels = open_pixels(picture)
    except PictureError:
        return
    side = min(SIDE, max(pixels.shape[:2]))
    file = io.BytesIO()
    Image.fromarray(fit(pixels, side, side)).save(file, "WEBP", quality=QUALITY, xmp=mark_of(picture).encode())
    write_atomically(to, file.getvalue())
