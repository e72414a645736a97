"""The site: every file that a catalog comes to, each with what it hangs on, and made when it is asked for."""

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from heapq import nsmallest
from importlib import resources
from typing import Any, NamedTuple

from markupsafe import Markup

from likeness.catalog.card import Card
from likeness.catalog.entries import Entry
from likeness.catalog.leaves import entry_outputs, gone_output, plain_outputs
from likeness.catalog.links import file_of, from_disk, link
from likeness.catalog.lists import ORDERS, section_outputs, tag_outputs, tag_url
from likeness.catalog.markdown import html_of
from likeness.catalog.pages import Page
from likeness.catalog.rendering import own_digest, templates
from likeness.catalog.shelf import BESIDE, LORA, Shelf
from likeness.catalog.ties import Ties
from likeness.catalog.tree import GONE
from likeness.catalog.withdrawals import RECORD
from likeness.recipe import RATINGS

__all__ = ["Beside", "Output", "Part", "Site"]

NEWEST = 30
"""Entries of the feed."""

CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Signs that no XML may hold."""


@dataclass(frozen=True, slots=True)
class Output:
    """A file of the site.

    Attributes:
        file: relative to the site.
        digest: of all that it hangs on.
        make: its bytes.
    """

    file: str
    digest: str
    make: Callable[[], bytes]


class Beside(NamedTuple):
    """A file that lies beside a page, and goes into the site as it is.

    Attributes:
        file: relative to the site.
        source: relative to the content.
        digest: another one tells that it has changed.
    """

    file: str
    source: str
    digest: str


Part = tuple[str, Callable[[], "Iterator[Output | Beside]"]]
"""A part of a site: its address, which is where most of its files are, and what makes them."""


class Site:
    """The site of a catalog.

    Args:
        shelf: the catalog.
        is_served: whether a server answers for it, which searches; else it has to work from a disk.

    Attributes:
        tree: of its pages.
        entries: LoRAs, by place.
        ties: what ties them to each other.
    """

    def __init__(self, shelf: Shelf, *, is_served: bool = False) -> None:
        self.shelf, self.settings, self.is_served = shelf, shelf.settings, is_served
        self.tree, self.entries = shelf.read()
        self.ties = Ties(self.entries)
        self._around: dict[str, list[tuple[str, str]]] = {}
        self._card: tuple[str, Card] | None = None
        self._facts: dict[tuple[str, bool], Markup] = {}
        self._menus: dict[tuple[str, str, bool], Markup] = {}
        self._newest: dict[tuple[str, int], list[Entry]] = {}
        told = [self.settings.model_dump_json(), str(is_served), own_digest(), self._menu("")]
        self._everywhere = hashlib.sha256("\n".join(told).encode()).hexdigest()

    # -- what is known of pages ----------------------------------------------------------------------------------------

    @cached_property
    def in_menu(self) -> list[tuple[Page, list[Page]]]:
        """What the menu shows: the pages right below the home, each with the sections right below it. Of equal weight
        by title, and not the latest first as in lists: a menu that turns with a new entry would be every page anew."""

        def shown(above: Page) -> list[Page]:
            inside = sorted(self.tree.listed(above), key=lambda one: (one.weight == 0, one.weight, one.name.casefold()))
            return [one for one in inside if not one.told("bookhidden")]

        return [(one, [inner for inner in shown(one) if inner.is_section]) for one in shown(self.tree.pages["/"])]

    @cached_property
    def clashing(self) -> dict[str, str]:
        """What is said of an entry whose trigger another has, too."""
        return {fault.place: fault.what for fault in self.ties.clashes}

    @cached_property
    def by_date(self) -> list[Entry]:
        """All entries, the newest first."""
        return sorted(self.entries.values(), key=ORDERS["date"])

    @cached_property
    def _ages(self) -> dict[str, int]:
        """How many entries are newer, by place."""
        return {one.place: age for age, one in enumerate(self.by_date)}

    @cached_property
    def tags(self) -> dict[str, list[str]]:
        """All tags, by the address of their list: those that have one address are one."""
        found: dict[str, list[str]] = {}
        for tie in self.ties.holders:
            kind, _, tag = tie.partition(" ")
            if kind == "tag":
                found.setdefault(tag_url(tag), []).append(tag)
        return found

    def tagged(self, tags: Iterable[str]) -> list[Entry]:
        """The entries that have one of these tags, the newest first: the order of the tree turns with each section that
        gets a new entry."""
        places = {place for tag in tags for place in self.ties.holders[f"tag {tag}"]}
        return [self.entries[place] for place in sorted(places, key=self._ages.__getitem__)]

    @cached_property
    def _by_folder(self) -> dict[str, list[Entry]]:
        """The entries below each folder; below "/" are all."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries.values():
            above = entry.place
            while above != "/":
                above = above.rpartition("/")[0] or "/"
                found.setdefault(above, []).append(entry)
        return found

    def below(self, section: Page) -> list[Entry]:
        """The entries below a section."""
        return self._by_folder.get(section.place, [])

    def newest(self, section: Page, most: int = 1) -> list[Entry]:
        """The newest entries below a section whose pictures may be shown."""
        if (section.place, most) not in self._newest:
            pictured = (one for one in self.below(section) if one.thumb and not self.hidden(one.place))
            self._newest[section.place, most] = nsmallest(most, pictured, key=lambda one: self._ages[one.place])
        return self._newest[section.place, most]

    def picture(self, entry: Entry) -> str:
        """Where the small picture of an entry is."""
        return self._url(entry) + entry.thumb

    def count(self, page: Page) -> int | None:
        """How many entries are below a section; None for what is none."""
        return len(self.below(page)) if page.is_section else None

    @cached_property
    def marks(self) -> dict[str, str]:
        """What tells all that a list shows of a page, by place: another one makes another list."""

        def of_section(page: Page) -> str:
            told = (page.name, page.url, page.summary, page.told("imagealt"), self.count(page))
            return repr((*told, [self.picture(one) for one in self.newest(page)]))

        return {
            place: of_section(page) if page.is_section else self.shelf.seen[page.file]
            for place, page in self.tree.pages.items()
        }

    def marks_of(self, pages: Iterable[Page]) -> str:
        """Those of several pages, in order."""
        return " ".join([self.marks[one.place] for one in pages])

    def facts(self, page: Page, *, has_details: bool) -> Markup:
        """What all lists say alike of a page: base, trigger and likeness of an entry, its summary where that is asked
        for. It is on a dozen of them, and made once."""
        if (page.place, has_details) not in self._facts:
            entry = self.entries.get(page.place)
            summary = (page.summary or (entry.summary if entry else "")) if has_details else ""
            macros: Any = templates().get_template("parts.html").module
            self._facts[page.place, has_details] = macros.facts(entry, self.count(page), summary)
        return self._facts[page.place, has_details]

    def card(self, page: Page) -> Card:
        """The whole card of an entry; the last one is kept, since a page and its JSON are made in turn."""
        if self._card is None or self._card[0] != page.place:
            card = self.shelf.card(page)
            assert card, "an entry has one"
            self._card = page.place, card
            return card
        return self._card[1]

    def around(self, page: Page) -> list[tuple[str, str]]:
        """Names and addresses of the sections above a page."""
        if page.place not in self.tree.pages or page.place == "/":
            return []
        above = self.tree.parent_place(page)
        if above not in self._around:
            one = self.tree.pages[above]
            self._around[above] = [*self.around(one), (one.name, one.url)]
        return self._around[above]

    def lineage(self, page: Page, here: str) -> list[dict[str, str]]:
        """The way to a page, as links."""
        return [{"name": name, "href": link(here, url)} for name, url in self.around(page)]

    def hidden(self, place: str) -> str:
        """Why pictures of an entry are not shown; "" where they are."""
        entry = self.entries.get(place)
        if entry is None:
            return ""
        if entry.rating not in RATINGS:
            return "nobody has said what they show"
        if entry.kind == "real-person" and entry.rating in ("R", "X"):
            return "no such picture of a real person is shown, whoever agrees"
        is_above = RATINGS.index(entry.rating) > RATINGS.index(self.settings.allowed)
        return f"they are rated {entry.rating}" if is_above else ""

    # -- files ---------------------------------------------------------------------------------------------------------

    @cached_property
    def stamps(self) -> dict[str, str]:
        """What tells whether anything has changed that the site is made from: by the file of each page, and of all else
        by ""."""
        files = {page.file for page in self.tree.pages.values()}
        told = {file: stamp for file, stamp in self.shelf.seen.items() if file in files}
        return told | {"": self.digest(self.withdrawn)}

    @cached_property
    def withdrawn(self) -> bytes | None:
        """The record of what was withdrawn; None where there is none."""
        record = self.shelf.root / RECORD
        return record.read_bytes() if record.exists() else None

    def parts(self) -> Iterator[Part]:
        """The whole site: each page with what lies beside it, the list of each tag, and with the home what is of all
        pages."""
        for page in self.tree.pages.values():
            yield page.url, partial(self._of_page, page)
        for url, tags in self.tags.items():
            yield url, partial(tag_outputs, self, url, tags)
        yield "", self._of_all

    def files(self) -> Iterator[Output | Beside]:
        """Every file of the site."""
        for _, make in self.parts():
            yield from make()

    def _of_page(self, page: Page) -> Iterator[Output | Beside]:
        if page.told(GONE):
            yield gone_output(self, page)
            return
        if page.is_section:
            yield from section_outputs(self, page)
        elif page.place in self.entries:
            yield from entry_outputs(self, page)
        else:
            yield from plain_outputs(self, page)
        if page.is_bundle:
            yield from self._beside(page)

    def _of_all(self) -> Iterator[Output]:
        yield from self._redirects()
        yield self.output(
            "search/", self.digest(), lambda: self.render("search.html", "search/", title="Search", is_served=False)
        )
        newest = self.by_date[:NEWEST]
        yield Output("feed.xml", self.digest(newest, [*map(self._url, newest)]), lambda: self._feed(newest))
        rows = self._index_rows()
        yield Output("search.js", self.digest(rows), lambda: b"window.likenessIndex = " + _json(rows) + b";\n")
        if (told := self.withdrawn) is not None:
            yield Output(RECORD, hashlib.sha256(told).hexdigest(), lambda: told)
        for name in ("style.css", "site.js"):
            text = (resources.files("likeness.catalog") / "static" / name).read_bytes()
            yield Output(name, hashlib.sha256(text).hexdigest(), lambda text=text: text)

    def _beside(self, page: Page) -> Iterator[Beside]:
        """What lies beside a page. Pictures that are not to be shown stay out."""
        shown, folder = LORA if self.hidden(page.place) else BESIDE, posixpath.dirname(page.file)
        for name, stamp in self.shelf.beside(page):
            if name.lower().endswith(shown):
                yield Beside(page.url + name, posixpath.join(folder, name), stamp)

    def output(self, url: str, digest: str, make: Callable[[], bytes]) -> Output:
        """A page at an address."""
        return Output(file_of(url), digest, make)

    def json(self, url: str, digest: str, told: Callable[[], Any]) -> Output:
        """The same page as JSON, beside it."""
        return Output(f"{url}index.json", digest, lambda: _json(told()))

    def digest(self, *hangs_on: Any) -> str:
        """Of all that a file hangs on, and of what all files do."""
        return hashlib.sha256(f"{self._everywhere} {hangs_on!r}".encode()).hexdigest()

    def render(self, template: str, here: str, **told: Any) -> bytes:
        """A page of the site, at an address."""
        common = {
            "site": self.settings,
            "contact": self.settings.contact,
            "root": link(here, "", index=""),
            "home": link(here, ""),
            "search": "/search" if self.is_served else link(here, "search/"),
            "query": "",
            "summary": "",
            "lineage": (),
            "json_address": "",
            "menu": self._menu(here),
        }
        page = templates().get_template(template).render({**common, **told})
        return (page if self.is_served else from_disk(page, here)).encode()

    def _menu(self, here: str) -> Markup:
        """The menu of a page: what is below a section stands beside it, or behind a toggle where that is collapsed."""
        addresses = [one.url for top, inner in self.in_menu for one in (top, *inner)]
        section = max((url for url in addresses if here.startswith(url)), key=len, default="")
        key = (link(here, "", index=""), section, here == section)
        if key not in self._menus:
            told = {"root": key[0], "here": here, "sections": self.in_menu}
            self._menus[key] = Markup(templates().get_template("menu.html").render(told))
        return self._menus[key]

    def _redirects(self) -> Iterator[Output]:
        for file, page in self.tree.redirects.items():
            told = {"to": link(file.removesuffix("index.html"), page.url), "name": page.name}
            make = templates().get_template("redirect.html").render
            yield Output(file, self.digest(told), lambda told=told, make=make: make(told).encode())

    def _feed(self, newest: Sequence[Entry]) -> bytes:
        entries = [
            one._asdict()
            | {"href": self._address + link("", self._url(one), index=""), "summary": html_of(one.summary)}
            for one in newest
        ]
        updated = max((one.published for one in newest), default="1970-01-01")
        told = {"site": self.settings, "address": self._address, "entries": entries, "updated": f"{updated}T00:00:00Z"}
        return CONTROLS.sub("", templates().get_template("feed.xml").render(told)).encode()

    @property
    def _address(self) -> str:
        """Where the site stands on the web, with a slash behind it; "" where nobody said."""
        return f"{self.settings.address.rstrip('/')}/" if self.settings.address else ""

    def _url(self, entry: Entry) -> str:
        return self.tree.pages[entry.place].url

    def _index_rows(self) -> list[tuple[str, str, str]]:
        """Title, address and words of each entry, in the order of their places."""
        return [
            (
                one.title,
                link("", self._url(one)),
                " ".join((one.trigger, one.base, one.tensors[:12], *one.tags, *one.aliases)),
            )
            for one in self.entries.values()
        ]


def _json(told: Any) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=str).encode()
