"""The tree of pages: sections with their children in order, addresses that lead elsewhere, and pages by path."""

import datetime
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from likeness.catalog.links import file_of
from likeness.catalog.pages import SECTION, UNDATED, Page, sort_key

__all__ = ["GONE", "RESERVED", "Fault", "Tree", "alias_target"]

REDIRECT = "(redirect)"
"""What titles of pages begin with that lists pass over."""

GONE = "withdrawn"
"""What the front matter says of a page that stands where an entry was."""

RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(1, 10))}
"""Names that no file can have on Windows."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a catalog that does not hold together.

    Attributes:
        place: the page.
        what: is wrong, and what to do.
    """

    place: str
    what: str


class Tree:
    """All pages that are built, by place.

    Args:
        pages: read from files; sections that are only implied are added.
    """

    def __init__(self, pages: Iterable[Page]) -> None:
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        found = {page.place: page for page in pages if page.is_shown(now)}
        tops = {"/" + place.split("/")[1] for place in found if place.count("/") > 1}
        for place in {
            "/",
            *tops,
        } - found.keys():  # the home and top folders are sections, whether they have a page or not
            found[place] = Page(
                f"{place.strip('/')}/{SECTION}".lstrip("/"),
                place,
                place.strip("/") + "/" * (place != "/"),
                True,
                {},
                "",
            )
        self.pages = _dated(found)
        self._ordered: dict[str, list[Page]] = {}

    def children(self, section: Page) -> list[Page]:
        """The pages and sections right below a section, in order."""
        if section.place not in self._ordered:
            self._ordered[section.place] = sorted(self._children.get(section.place, ()), key=sort_key)
        return self._ordered[section.place]

    @cached_property
    def _children(self) -> dict[str, list[Page]]:
        below: dict[str, list[Page]] = {}
        for page in self.pages.values():
            if page.place != "/":
                below.setdefault(self.parent_place(page), []).append(page)
        return below

    def parent_place(self, page: Page) -> str:
        """The section that a page is in: the nearest folder above it that is one."""
        place = page.place.rpartition("/")[0]
        while place and not (place in self.pages and self.pages[place].is_section):
            place = place.rpartition("/")[0]
        return place or "/"

    def listed(self, section: Page) -> list[Page]:
        """The children that a list shows: those that only lead elsewhere, or are withdrawn, are passed over."""
        return [page for page in self.children(section) if not (page.title.startswith(REDIRECT) or page.told(GONE))]

    def find(self, path: str) -> Page | None:
        """The page that a path of a related list means: its place in the tree or its address, spaces as hyphens."""
        cleaned = "/" + path.strip().strip("/").lower()
        for place in (cleaned.replace(" ", "-"), cleaned):
            if found := self.pages.get(place) or self._by_url.get(place.lstrip("/") + "/"):
                return found
        return None

    @cached_property
    def _by_url(self) -> dict[str, Page]:
        return {page.url.lower(): page for page in self.pages.values()}

    @cached_property
    def redirects(self) -> dict[str, Page]:
        """Files that lead elsewhere, by where they are in the site, each with its page. Faults are left out."""
        return {
            file: page for page in self.pages.values() for alias in page.aliases if (file := alias_target(page, alias))
        }

    def faults(self) -> list[Fault]:
        """What is wrong with addresses: two pages at one, aliases that meet each other or a page, or lead nowhere."""
        found = [*self._same_addresses()]
        named = [page for page in self.pages.values() if page.aliases]
        files = {file_of(page.url).casefold(): page for page in self.pages.values()} if named else {}
        taken: dict[str, Page] = {}
        for page in named:
            for alias in dict.fromkeys(page.aliases):
                found += self._of_alias(page, alias, files, taken)
        return found

    def _same_addresses(self) -> Iterator[Fault]:
        seen: dict[str, Page] = {}
        for page in self.pages.values():
            if (".." in page.url and ".." in page.url.split("/")) or "\\" in page.url:
                yield Fault(page.place, f"its address {page.url} leads above the site. Write another url or slug.")
            if page.url.endswith(".html") and (page.is_bundle or page.is_section):
                what = "lists" if page.is_section else "pictures"
                yield Fault(
                    page.place, f"its address {page.url} is a file, and its {what} need a folder. Write a / behind."
                )
            if (other := seen.setdefault(page.url.casefold(), page)) is not page:
                yield Fault(
                    page.place, f"{other.place} has the same address, {page.url}. Give one of them another url."
                )

    def _of_alias(self, page: Page, alias: str, files: Mapping[str, Page], taken: dict[str, Page]) -> Iterator[Fault]:
        file = alias_target(page, alias)
        if file is None:
            yield Fault(page.place, f"alias {alias!r} leads above the site, or to its home. Write another one.")
            return
        if other := files.get(file.casefold()):
            whose = "this page's own address" if other is page else f"the address of {other.place}"
            yield Fault(page.place, f"alias {alias!r} is {whose}. Leave it out.")
        elif (other := taken.setdefault(file.casefold(), page)) is not page:
            yield Fault(page.place, f"alias {alias!r} is one of {other.place} too. Leave it out of one of them.")
        if any(part.split(".")[0].lower() in RESERVED or set(part) & set('<>:"|?*') for part in file.split("/")):
            yield Fault(page.place, f"alias {alias!r} is no name that a file can have on Windows. Write another one.")


def alias_target(page: Page, alias: str) -> str | None:
    """The file that leads from an alias to a page, relative to the site; None where it would be outside, or the home.

    An alias that begins with a slash is from the site's root, and any other from the folder above the page's own.

    Source: Hugo's `hugolib/alias.go`.
    """
    text = alias.strip().replace("\\", "/")
    start = "/" if text.startswith("/") else "/" + posixpath.dirname(page.url.rstrip("/"))
    depth = 0
    for part in [*start.split("/"), *text.split("/")]:
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            return None
    path = posixpath.normpath(posixpath.join(start, text.lstrip("/") if text.startswith("/") else text)).lstrip("/")
    return None if path in ("", ".") else path if path.endswith(".html") else f"{path}/index.html"


def _dated(pages: Mapping[str, Page]) -> dict[str, Page]:
    """Pages in the order of their places; sections that tell no date have the latest of what is below them."""
    latest: dict[str, datetime.datetime] = {}  # of each folder
    for page in pages.values():
        above = page.place.rpartition("/")[0]
        latest[above] = max(latest.get(above, UNDATED), page.date)
    for folder, date in [*latest.items()]:
        while folder:
            folder = folder.rpartition("/")[0]
            latest[folder] = max(latest.get(folder, UNDATED), date)
    return {
        place: page._replace(date=latest.get(place.rstrip("/"), UNDATED))
        if page.is_section and page.date == UNDATED
        else page
        for place, page in sorted(pages.items())
    }
