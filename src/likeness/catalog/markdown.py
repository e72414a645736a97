"""Markdown: as it is written into pages and cards, and as it is read: without HTML of anybody's own."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

__all__ = ["cell", "html_of", "table"]


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


@cache
def _reader() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table")
