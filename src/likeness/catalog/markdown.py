"""Markdown: as it is written into pages and cards, and as it is read: without HTML of anybody's own."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

__all__ = ["Heading", "cell", "html_of", "table", "with_headings"]


def cell(text: str) -> str:
    """A text that stays in its cell, and is taken for what it says."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("[", "\\[").replace("]", "\\]")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *([cell(text) for text in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@lru_cache(maxsize=30_000)  # summaries stand in a dozen lists each
def html_of(text: str, *, inline: bool = False) -> str:
    """Markdown as HTML. Tags in it are shown as they stand, and addresses that run a script are none.

    Args:
        text: CommonMark, with tables.
        inline: a line, without a paragraph around it.
    """
    return _reader().renderInline(text) if inline else _reader().render(text)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a text: its place in the page, and its words."""

    id: str
    words: str


def with_headings(text: str) -> tuple[str, list[Heading]]:
    """Markdown as HTML in which the headings of the second level can be linked to, and those headings."""
    reader, found = _reader(), list[Heading]()
    tokens = reader.parse(text)
    for opened, inner in pairwise(tokens):
        if opened.type == "heading_open" and opened.tag == "h2":
            words = "".join(one.content for one in inner.children or () if one.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w]+", "-", words.lower()).strip("-") or "part"
            number = sum(one.id.startswith(f"at-{slug}") for one in found)
            found.append(Heading(f"at-{slug}" + (f"-{number + 1}" if number else ""), words))
            opened.attrSet("id", found[-1].id)
    return reader.renderer.render(tokens, reader.options, {}), found


@cache
def _reader() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    reader.add_render_rule("image", _image)
    return reader


def _image(self: "RendererHTML", tokens: "Sequence[Token]", place: int, options: "OptionsDict", env: Any) -> str:
    """A picture that lies beside the page; of one elsewhere the words alone: a page asks nobody else for anything."""
    if re.match(r"(?i)[a-z][a-z0-9+.-]*:|//", str(tokens[place].attrs.get("src", ""))):
        return html.escape(tokens[place].content)
    return self.image(tokens, place, options, env)
