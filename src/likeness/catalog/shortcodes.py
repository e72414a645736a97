"""Shortcodes: the two that pages of a catalog have, as the theme of the founding page shows them.

`{{< section details >}}` lists what is right below the section that it stands in, each with its summary;
`{{< related-posts related="a | b" >}}` leads to pages by their paths, in the order in which they are written.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from likeness.catalog.pages import Page
from likeness.catalog.tree import Fault, Tree

__all__ = ["Listed", "Part", "escaped", "faults_of", "front_related", "harmless", "parts_of", "related_of"]

SHORTCODE = re.compile(r"\{\{(?:<|%)\s*(?P<name>[\w-]+)(?P<given>[^}]*?)\s*(?:>|%)\}\}")
GIVEN = re.compile(r'(?:(\w+)=)?(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`|([^\s"`]+))')
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Listed:
    """Pages that a shortcode lists.

    Attributes:
        kind: "section" or "related".
        pages: in order.
        has_details: whether their summaries are shown.
    """

    kind: str
    pages: tuple[Page, ...]
    has_details: bool = True


Part = str | Listed
"""A piece of a page: markdown, or a list of pages."""


def parts_of(page: Page, tree: Tree) -> list[Part]:
    """The pieces of a page in order. What leads nowhere is left out here, and is a fault."""
    parts: list[Part] = []
    text, end = COMMENT.sub("", page.body), 0
    for match in SHORTCODE.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        named, loose = _given(match["given"])
        if match["name"] == "section":
            section = page if page.is_section else tree.pages[tree.parent_place(page)]
            parts.append(Listed("section", tuple(tree.listed(section)), "details" in loose))
        elif match["name"] == "related-posts":
            found = (tree.find(path) for path in _paths(named.get("related", "")))
            parts.append(Listed("related", tuple(one for one in found if one)))
    return [part for part in [*parts, text[end:]] if not isinstance(part, str) or part.strip()]


def front_related(page: Page) -> list[str]:
    """The paths that a page's front matter says are related."""
    told = page.told("related") or ()
    return _paths(told) if isinstance(told, str) else [str(path) for path in told]


def related_of(page: Page) -> list[str]:
    """The paths that a page says are related: of its front matter, and of its shortcodes."""
    if "{{" not in page.body and "related" not in page.front:
        return []  # as of most pages, of which there may be many
    paths = front_related(page)
    for match in _shortcodes(page):
        if match["name"] == "related-posts":
            paths += _paths(_given(match["given"])[0].get("related", ""))
    return paths


def faults_of(page: Page, tree: Tree) -> Iterator[Fault]:
    """Related paths that lead nowhere, and shortcodes that are not known."""
    for path in related_of(page):
        if tree.find(path) is None:
            yield Fault(page.place, f"related {path!r} is no page of this catalog. Mend the path, or leave it out.")
    for match in _shortcodes(page):
        if match["name"] not in ("section", "related-posts"):
            yield Fault(page.place, f"{match[0]!r} is no shortcode that is known here: section, related-posts.")


def _shortcodes(page: Page) -> "Iterable[re.Match[str]]":
    return SHORTCODE.finditer(COMMENT.sub("", page.body)) if "{{" in page.body else ()


def _paths(text: str) -> list[str]:
    return [path.strip() for path in text.split("|") if path.strip()]


def _given(text: str) -> tuple[dict[str, str], list[str]]:
    """What stands in a shortcode: by name, and without one."""
    named, loose = dict[str, str](), list[str]()
    for name, quoted, raw, word in GIVEN.findall(text):
        value = quoted or raw or word
        if name:
            named[name] = value
        else:
            loose.append(value)
    return named, loose


def harmless(text: str) -> str:
    """Markdown in which Hugo finds neither shortcodes nor HTML, of which it warns."""
    return escaped(text.replace("<", "&lt;"))


def escaped(text: str) -> str:
    """A text in which Hugo finds no shortcode: prompts may hold such braces."""
    return text.replace("{{<", "{{&lt;").replace("{{%", "{{&#37;")
