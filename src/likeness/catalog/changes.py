"""What has changed in a catalog since its site was last built, and in which parts of the site that can show."""

import json
import sqlite3

from likeness.catalog.lists import tag_url
from likeness.catalog.shortcodes import related_of
from likeness.catalog.site import Site
from likeness.catalog.ties import COMMON

__all__ = ["Changes"]


class Changes:
    """What has changed since the last build.

    Args:
        site: as it is now.
        before: what the site was made from then: the stamp of each file, as in `site.stamps`, and the ties of the entry
            that it is the page of, as JSON; "[]" where it is none.
    """

    def __init__(self, site: Site, before: dict[str, tuple[str, str]]) -> None:
        self.site, self._before = site, before
        self._places = {page.file: page.place for page in site.tree.pages.values()}
        self._changed = [file for file, stamp in site.stamps.items() if before.get(file, ("",))[0] != stamp]
        self._gone = before.keys() - site.stamps.keys()

    @property
    def is_all(self) -> bool:
        """Whether there is no build that is relied on: there was none, or it was broken off."""
        return "" not in self._before

    @classmethod
    def since(cls, store: sqlite3.Connection, site: Site) -> "Changes":
        """Since the build that is remembered, if that came to its end."""
        rows = store.execute("SELECT file, stamp, ties FROM built")
        before = {file: (stamp, ties) for file, stamp, ties in rows}
        return cls(site, before if "" in before else {})

    def parts(self) -> set[str] | None:
        """Addresses of the parts of the site that have to be looked at; None where that is all of them.

        An entry shows on its own page, in the lists of its tags and of the sections above it, on the home page, and on
        the pages of entries that share a tie with it. A change of anything else, as a section's title, can show
        anywhere.
        """
        ties = set[str]()
        for file in (*self._changed, *self._gone):
            found = [json.loads(self._before[file][1])] if file in self._before else []
            found += [self.site.ties.of.get(self._places.get(file, ""), [])] if file in self.site.stamps else []
            if not all(found):  # it is, or was, no entry
                return None
            ties.update(*found)
        return self._around(ties) if ties else set()

    def _around(self, ties: set[str]) -> set[str]:
        """The parts around entries with these ties, which have changed."""
        pages = self.site.tree.pages
        most = COMMON + len(self._changed)  # what more have now was too common before, too
        parts, places = {"", pages["/"].url}, set[str]()
        for tie in ties:
            kind, _, value = tie.partition(" ")
            if kind == "tag":
                parts.add(tag_url(value))
            while kind == "in" and value:
                places.add(value)
                value = value.rpartition("/")[0]
            holders = self.site.ties.holders.get(tie, ())
            if kind in ("trigger", "tensors") or len(holders) <= most:
                places.update(holders)
        places |= {page.place for page in pages.values() if related_of(page)}
        return parts | {pages[place].url for place in places if place in pages}

    def begin(self, store: sqlite3.Connection) -> None:
        """Remembers that a build is on its way: until it is noted, no build is relied on."""
        store.execute("DELETE FROM built WHERE file = ''")
        if self.is_all:
            store.execute("DELETE FROM built")
            store.execute("DELETE FROM made")

    def note(self, store: sqlite3.Connection) -> None:
        """Remembers that the site is built as it is now."""
        changed = dict.fromkeys((*self._changed, ""))
        ties = {file: self.site.ties.of.get(self._places.get(file, ""), []) for file in changed}
        rows = [(file, self.site.stamps[file], json.dumps(own)) for file, own in ties.items()]
        store.executemany("DELETE FROM built WHERE file = ?", [(file,) for file in self._gone])
        store.executemany("INSERT OR REPLACE INTO built VALUES (?, ?, ?)", rows)
