"""The shelf: a catalog on disk, its settings and its pages; what was read before is remembered, and not read again.

`catalog.toml` and `content/` are what a person writes and `catalog add` fills; `.shelf.sqlite` may be deleted.
"""

import hashlib
import json
import os
import posixpath
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from likeness.catalog.card import Card, read_card
from likeness.catalog.entries import Entry, entry_of
from likeness.catalog.pages import BUNDLE, Page, read_page
from likeness.catalog.settings import CatalogConfig, read_settings
from likeness.catalog.tree import Tree
from likeness.errors import PublishError

__all__ = ["CARD", "THUMB", "Shelf"]

CARD = "card.json"
MEMORY = ".shelf.sqlite"
LORA = ".safetensors"
THUMB = "thumb.webp"
BESIDE = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", LORA)
"""What of a page's folder goes into the site: pictures, and the LoRA where it is to be downloaded."""

FORMAT = 5  # of what is remembered
WORDS = "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(place UNINDEXED, title, called, tags, about)"
SCHEMA = f"""
PRAGMA secure_delete = ON;
PRAGMA synchronous = OFF; -- it is only a memory
CREATE TABLE IF NOT EXISTS seen (file TEXT PRIMARY KEY, stamp TEXT, page TEXT, entry TEXT);
CREATE TABLE IF NOT EXISTS built (file TEXT PRIMARY KEY, stamp TEXT, ties TEXT);
CREATE TABLE IF NOT EXISTS made (file TEXT PRIMARY KEY, digest TEXT, part TEXT, folded TEXT);
CREATE INDEX IF NOT EXISTS parts ON made (part);
CREATE INDEX IF NOT EXISTS names ON made (folded);
{WORDS};
PRAGMA user_version = {FORMAT};
"""


class Shelf:
    """A catalog on disk.

    Args:
        root: its folder.

    Attributes:
        seen: the stamp of each page's file, and all that lies beside it, when it was read; filled by `read`.

    Raises:
        RecipeError: where its settings are not valid.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.content = root, root / "content"
        self.settings: CatalogConfig = read_settings(root)
        self.seen: dict[str, str] = {}

    def read(self) -> tuple[Tree, dict[str, Entry]]:
        """The tree of all pages, and the entries among them, by place; only what has changed is read.

        Raises:
            PublishError: where there are no pages, or one cannot be read.
        """
        self.seen = self.walk()
        with closing(self.open()) as store, store:
            known = {row[0]: row for row in store.execute("SELECT file, stamp, page, entry FROM seen")}
            gone = known.keys() - self.seen.keys()
            new = [file for file, stamp in self.seen.items() if file not in known or known[file][1] != stamp]
            fresh = {file: (file, self.seen[file], *told) for file, told in zip(new, self._all(new), strict=True)}
            now = known | fresh
            pages = [_page(told) for told in _loaded(now[file][2] for file in self.seen)]
            found = zip(pages, _loaded(now[file][3] for file in self.seen), strict=True)
            entries = {page.file: _entry(page, told) for page, told in found if told}  # also what is not shown yet
            store.executemany("DELETE FROM seen WHERE file = ?", [(file,) for file in gone])
            store.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", fresh.values())
            if gone or any(file in known for file in new):  # to delete rows would leave their words in the table
                store.execute("DROP TABLE words")
                store.execute(WORDS)
                _note_words(store, entries.values())
            elif new:
                added = {*new}
                _note_words(store, (entry for file, entry in entries.items() if file in added))
        tree = Tree(pages)
        return tree, {page.place: entries[page.file] for page in tree.pages.values() if page.file in entries}

    def walk(self) -> dict[str, str]:
        """Each page's file with its stamp: another one tells that it, or something beside it, has changed.

        Raises:
            PublishError: where there are no pages.
        """
        if not self.content.is_dir():
            raise PublishError(f"{self.content} is not there: there are no pages. Begin with: likeness catalog add")
        return dict(sorted(_walked(self.content)))

    def open(self) -> sqlite3.Connection:
        """The memory, made where it is not there or of another version. What was withdrawn is not to be found in parts
        of the file that are no longer used."""
        path = self.root / MEMORY
        store = sqlite3.connect(path)
        try:
            (version,) = store.execute("PRAGMA user_version").fetchone()
            if version not in (0, FORMAT):
                raise sqlite3.DatabaseError
            store.executescript(SCHEMA)
        except sqlite3.OperationalError:  # another process is at it
            store.close()
            raise
        except sqlite3.DatabaseError:  # broken, or of another version: it is only a memory
            store.close()
            path.unlink(missing_ok=True)
            store = sqlite3.connect(path)
            store.executescript(SCHEMA)
        return store

    def forget(self) -> None:
        """Removes the memory."""
        (self.root / MEMORY).unlink(missing_ok=True)

    def made_of(self, page: Page) -> list[str]:
        """The files that the site has of a page, as was remembered when it was built."""
        with closing(self.open()) as store:
            return [file for (file,) in store.execute("SELECT file FROM made WHERE part = ?", (page.url,))]

    def card(self, page: Page) -> Card | None:
        """The whole card of a page; None where it has none."""
        path = self.folder(page) / CARD
        return read_card(path) if page.is_bundle and path.exists() else None

    def beside(self, page: Page) -> list[tuple[str, str]]:
        """What of a page's own folder goes into the site, by the name from there, each with its stamp."""
        folder = posixpath.dirname(page.file)
        if not (self.content / folder).is_dir():  # it went while the site of before is still served
            return []
        return sorted((name, _stamp(folder, [(name, one)])) for name, one in _files(os.scandir(self.content / folder)))

    def folder(self, page: Page) -> Path:
        """Where a page's own files lie."""
        return (self.content / page.file).parent

    def _all(self, files: Sequence[str]) -> list[tuple[str, str]]:
        """What these files say.

        Raises:
            PublishError: where some cannot be read, with each of them.
        """
        found, faults = list[tuple[str, str]](), list[str]()
        for file in files:
            try:
                found.append(self._read(file))
            except PublishError as fault:
                faults.append(str(fault))
        if faults:
            raise PublishError("\n".join(faults))
        return found

    def _read(self, file: str) -> tuple[str, str]:
        """A page and its entry, as they are remembered."""
        page = read_page(self.content, self.content / file)
        card = self.card(page)
        told = json.dumps(page, default=str)
        if card is None:
            return told, "null"
        has_thumb = (self.folder(page) / THUMB).exists()
        thumb = THUMB if has_thumb else card.preview.file if card.preview else ""
        return told, json.dumps(entry_of(page, card, thumb))


def _walked(content: Path) -> Iterator[tuple[str, str]]:
    """Each page's file, relative to the content, with its stamp. Markdown beside the index of a bundle is no page of
    its own."""
    folders = [""]
    while folders:
        folder = folders.pop()
        inside = [*os.scandir(f"{content}/{folder}")]
        if any(one.name == BUNDLE for one in inside):
            yield f"{folder}{BUNDLE}", _stamp(folder, _files(inside))
            continue
        for one in inside:
            if one.is_dir() and not one.name.startswith("."):
                folders.append(f"{folder}{one.name}/")
            elif one.name.endswith(".md"):
                yield f"{folder}{one.name}", _stamp(folder, [(one.name, one)])


def _files(inside: "Iterable[os.DirEntry[str]]", above: str = "") -> "Iterator[tuple[str, os.DirEntry[str]]]":
    """What a site has of a folder and of those in it, by their names from there. Links to folders that lie in the
    folder itself are followed, and none below, which could lead round."""
    for one in inside:
        if one.name.lower().endswith(BESIDE) or one.name in (BUNDLE, CARD):
            if one.is_file():
                yield f"{above}{one.name}", one
        elif one.is_dir(follow_symlinks=not above):
            yield from _files(os.scandir(one.path), f"{above}{one.name}/")


def _stamp(folder: str, files: "Iterable[tuple[str, os.DirEntry[str]]]") -> str:
    """Tells whether any of these files has changed, or lies elsewhere."""
    told = sorted([f"{name} {(stat := one.stat()).st_mtime_ns} {stat.st_size}" for name, one in files])
    return hashlib.blake2b("\n".join([folder, *told]).encode(), digest_size=8).hexdigest()


def _loaded(texts: Iterable[str]) -> list[Any]:
    """What JSON texts say; thousands are read in one go, which takes a quarter of the time."""
    return json.loads(f"[{','.join(texts)}]")


def _page(told: Sequence[Any]) -> Page:
    *others, date, aliases = told
    return Page._make((*others, datetime.fromisoformat(date), tuple(aliases)))


def _entry(page: Page, told: Sequence[Any]) -> Entry:
    _, *others, tags, aliases, likeness = told
    # its place is the very string of its page: it is looked up by the hundred thousand
    return Entry._make((page.place, *others, tuple(tags), tuple(aliases), likeness and tuple(likeness)))


def _note_words(store: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """What searches look through."""
    rows = (
        (
            one.place,
            one.title,
            " ".join((one.trigger, one.tensors[:12], *one.aliases)),
            " ".join((*one.tags, one.base)),
            one.summary,
        )
        for one in entries
    )
    store.executemany("INSERT INTO words VALUES (?, ?, ?, ?, ?)", rows)
