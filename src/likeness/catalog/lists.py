"""Lists of a site: what is in a section, and what a tag is given to, in pages, each with cards."""

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from likeness.catalog.links import chunks, link, list_url
from likeness.catalog.markdown import Heading, html_of, with_headings
from likeness.catalog.pages import Page, named_address
from likeness.catalog.shortcodes import Listed, parts_of

if TYPE_CHECKING:
    from likeness.catalog.site import Output, Site

__all__ = ["ORDERS", "cards_of", "contents_of", "section_outputs", "tag_link", "tag_outputs", "tag_url"]

NEWEST = 8
"""Entries that the home page shows: what is new is what people come back for."""

TAGS = 40
"""Tags that a section offers, the most frequent: more are found by searching."""

SCORES = """Scores are of one scale where the same base was measured with the same instruments and prompts; elsewhere
they are a hint."""

ORDERS = {
    "likeness": lambda one: (one.likeness is None, -(one.likeness or (0.0,))[0], one.title.casefold(), one.place),
    "date": lambda one: (-datetime.date.fromisoformat(one.published).toordinal(), one.place),
    "title": lambda one: (one.title.casefold(), one.place),
}
"""How a list can be ordered, beside the section's own order: the most alike first, the newest first, by title."""


def section_outputs(site: "Site", section: Page) -> "Iterator[Output]":
    """A section's pages: what is right below it in its own order, and all entries below it in others."""
    children, entries = site.tree.listed(section), site.below(section)
    counts = Counter(chain.from_iterable(entry.tags for entry in entries))
    tags = nsmallest(TAGS, counts.items(), key=lambda told: (-told[1], told[0]))
    has_views = len(entries) > 1 and section.place != "/"
    yield from _List(site, section, section.url, tags=tags, has_views=has_views).outputs(children)
    digest = site.digest(section, site.marks_of(children))
    yield site.json(section.url, digest, lambda: _told(site, section, children))
    for order, key in ORDERS.items() if has_views else ():
        pages = [site.tree.pages[one.place] for one in sorted(entries, key=key)]
        url = f"{section.url}by-{order}/"
        yield from _List(site, section, url, order=order, tags=tags, has_views=True).outputs(pages)


def tag_outputs(site: "Site", url: str, tags: Sequence[str]) -> "Iterator[Output]":
    """The list of a tag, at an address, which tags that are written alike share; and the same as JSON."""
    tag, pages = min(tags), [site.tree.pages[one.place] for one in site.tagged(tags)]
    section = Page(file="", place="/tags/", url=url, is_section=True, front={}, body="", title=f"Tag: {tag}")
    yield from _List(site, section, url).outputs(pages)

    def told() -> dict[str, Any]:
        return {"tag": tag, "entries": [(site.entries[one.place].title, one.url) for one in pages]}

    yield site.json(url, site.digest(tag, site.marks_of(pages)), told)


class _List:
    """A list, in pages.

    Args:
        site: that it is of.
        section: whose list it is; what is written there stands on the first page of its own order.
        url: of its first page.
        order: of `ORDERS`, or "" for the section's own.
        tags: that it offers, each with how many have it.
        has_views: whether it can be had in other orders.
    """

    def __init__(
        self,
        site: "Site",
        section: Page,
        url: str,
        *,
        order: str = "",
        tags: Sequence[tuple[str, int]] = (),
        has_views: bool = False,
    ) -> None:
        self.site, self.section, self.url, self.order = site, section, url, order
        self.tags, self.has_views = tags, has_views
        self.parts = parts_of(section, site.tree)
        places = (part for part in self.parts if isinstance(part, Listed) and part.kind == "section")
        self.meant = next(places, Listed("section", ()))

    def outputs(self, pages: Sequence[Page]) -> "Iterator[Output]":
        """Its pages."""
        cut, marks = chunks([page.place for page in pages]), [self.site.marks[page.place] for page in pages]
        urls = [list_url(self.url, place, name) for place, (name, _) in enumerate(cut)]
        related = [
            self.site.marks_of(part.pages) for part in self.parts if isinstance(part, Listed) and part.kind == "related"
        ]
        above = (self.section.name, self.site.around(self.section), self.order, self.meant.has_details)
        newest = self.site.marks_of(self._newest())
        frame = (above, self.section, self.tags, self.has_views, related, newest)
        for place, (_, shown) in enumerate(cut):
            here, newer, older = urls[place], urls[place - 1] if place else "", (*urls, "")[place + 1]
            # what stands around a list stands on its first page: one more entry is not to write the others anew
            digest = self.site.digest(above if place else frame, " ".join(marks[shown]), newer, older)
            make = partial(self._page, here, pages[shown], {"newer": newer, "older": older})
            yield self.site.output(here, digest, make)

    def _page(self, here: str, some: Sequence[Page], ways: Mapping[str, str]) -> bytes:
        site, section, is_first = self.site, self.section, here == self.url
        is_own = is_first and not self.order
        linked = {name: link(here, to) if to else "" for name, to in ways.items()}
        title = section.name if section.place != "/" else site.settings.title
        has_heading = is_own and any(
            isinstance(part, str) and part.lstrip().startswith("# ") for part in self.parts[:1]
        )
        lineage, body = site.lineage(section, here), list(self._body(here, some, linked, is_own=is_own))
        return site.render(
            "section.html",
            here,
            title=f"{title}, by {self.order}" if self.order else title,
            summary=section.summary if is_own else "",
            lineage=lineage if is_own else [*lineage, {"name": title, "href": link(here, section.url)}],
            lead=self._lead(is_first=is_first),
            json_address=link(here, section.url + "index.json"),
            has_heading=has_heading,
            body=body,
            contents=contents_of(section, body),
            views=self._views(here) if self.has_views and is_first else [],
            filters=[("Tags", [tag_link(here, tag, count) for tag, count in self.tags])] if is_first else [],
        )

    def _lead(self, *, is_first: bool) -> Markup:
        """What stands above the first page of the home, and of a list by scores."""
        is_home = not self.order and self.section.place == "/"
        text = self.site.settings.description if is_home else SCORES if self.order == "likeness" else ""
        return Markup(html_of(text)) if is_first else Markup()

    def _body(
        self, here: str, some: Sequence[Page], linked: Mapping[str, str], *, is_own: bool
    ) -> Iterator[dict[str, Any]]:
        """The pieces of the page: what is written there on its first page, and the list on each; where no place is
        named for it, at the end."""
        for part in self.parts if self.meant in self.parts else [*self.parts, self.meant]:
            if part is self.meant:
                cards = cards_of(self.site, here, some, has_details=self.meant.has_details)
                yield {"kind": "section", "cards": cards, **linked}
            elif is_own and isinstance(part, str):
                html, headings = with_headings(part)
                yield {"html": Markup(html), "headings": headings}
            elif is_own and isinstance(part, Listed) and part.kind == "related":
                yield {"kind": "related", "cards": cards_of(self.site, here, part.pages)}
        if is_own and self.section.place == "/":
            yield {"kind": "newest", "cards": cards_of(self.site, here, self._newest())}

    def _newest(self) -> list[Page]:
        """What the home shows beneath its list."""
        newest = self.site.newest(self.section, NEWEST) if self.section.place == "/" else []
        return [self.site.tree.pages[one.place] for one in newest]

    def _views(self, here: str) -> list[dict[str, Any]]:
        views = {"": "as arranged", **{name: f"by {name}" for name in ORDERS}}
        places = {name: f"{self.section.url}by-{name}/" if name else self.section.url for name in views}
        return [
            {"name": words, "href": link(here, places[name]), "here": name == self.order}
            for name, words in views.items()
        ]


def _told(site: "Site", section: Page, children: Sequence[Page]) -> dict[str, Any]:
    """A section as JSON."""
    facts = [
        {"title": one.name, "url": one.url, "summary": one.summary, "entry": entry._asdict() if entry else None}
        for one in children
        for entry in [site.entries.get(one.place)]
    ]
    return {"title": section.name, "summary": section.summary, "children": facts}


def contents_of(page: Page, body: Sequence[Mapping[str, Any]]) -> list[Heading]:
    """The table of contents of a page; none where it has but two headings, or says `bookToC: false`."""
    found = [heading for part in body for heading in part.get("headings", ())]
    return found if len(found) > 2 and page.told("booktoc", True) else []


def cards_of(site: "Site", here: str, pages: Sequence[Page], *, has_details: bool = True) -> list[dict[str, Any]]:
    """Pages as cards of a list.

    Args:
        site: that they are of.
        here: address of the page that shows them.
        pages: in order.
        has_details: whether their summaries are shown.
    """
    return [_card(site, here, page, has_details=has_details) for page in pages]


def _card(site: "Site", here: str, page: Page, *, has_details: bool) -> dict[str, Any]:
    entry, hidden = site.entries.get(page.place), site.hidden(page.place)
    image = "" if hidden else str(page.told("image") or (entry.thumb if entry else ""))
    picture = page.url + image if image and page.is_bundle and ":" not in image else ""
    if page.is_section and not picture:  # that of its newest entry
        picture = next((site.picture(one) for one in site.newest(page)), "")
    return {
        "name": page.name,
        "href": link(here, page.url),
        "image": link(here, picture) if picture else "",
        "alt": str(page.told("imagealt") or (entry.alt or page.name if entry else "")),
        "hidden": hidden if entry and entry.thumb else "",
        "is_entry": entry is not None,
        "facts": site.facts(page, has_details=has_details),
    }


@lru_cache(maxsize=2**14)  # asked for by each entry that has it
def tag_url(tag: str) -> str:
    """Where the list of a tag is."""
    return f"tags/{named_address(tag).replace('/', '-').strip('.') or 'other'}/"


def tag_link(here: str, tag: str, count: int | None = None) -> dict[str, Any]:
    """A tag, as a page leads to it."""
    return {"name": tag, "href": link(here, tag_url(tag)), "count": count, "here": here.startswith(tag_url(tag))}
