"""Links: from one page of a site to another, so that they hold on a disk as well as on any host."""

import re
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from urllib.parse import quote, unquote

__all__ = ["LEAST", "MOST", "chunks", "file_of", "from_disk", "link", "list_url"]

FROM_ROOT = re.compile(r'(?P<name>href|src)="/(?!/)(?P<path>[^"?]*)"')

PLAIN = re.compile(r"[\w./~@+-]+", re.ASCII)
"""Paths in which nothing has to be quoted, which is told ten times as fast."""

LEAST, MOST, SPREAD = 12, 24, 8
"""Items of a list page, at least and at most, and of how many one begins a page where there are enough already."""


def link(start: str, to: str, *, index: str = "index.html") -> str:
    """The way from a page to another page or file, relative.

    Args:
        start: address of the page that the link is on, relative to the site: "characters/mira/".
        to: of the other: "styles/", or "styles/ink/images/01.png".
        index: what a folder's page is called; "" where a server finds it.
    """
    path = to + index if to.endswith("/") or not to else to
    if here := start.split("/")[:-1]:
        there, shared = path.split("/"), 0
        while shared < min(len(here), len(there) - 1) and here[shared] == there[shared]:
            shared += 1
        path = "../" * (len(here) - shared) + "/".join(there[shared:])
    return path if PLAIN.fullmatch(path) else quote(path or "./", safe="/~@+")


def from_disk(html: str, here: str) -> str:
    """A page whose addresses from the site's root, as people write them, lead there from a disk as well.

    Args:
        html: of the page.
        here: its address.
    """

    def relative(match: "re.Match[str]") -> str:
        path, hash, anchor = match["path"].partition("#")
        is_page = path and not path.endswith("/") and "." not in path.rpartition("/")[2]
        return f'{match["name"]}="{link(here, unquote(path) + "/" * bool(is_page))}{hash}{anchor}"'

    return FROM_ROOT.sub(relative, html)


def file_of(url: str) -> str:
    """The file that an address means, relative to the site."""
    return url if url.endswith(".html") else f"{url}index.html"


def chunks(names: Sequence[str]) -> list[tuple[str, slice]]:
    """A list in pages: of each its name, and which items are on it.

    Where a page ends hangs on the items there and on nothing before them, so that one more item changes the page that
    it is on, and hardly any other, and pages keep their addresses. A page has 12 to 24 items: with small pictures less
    than 200 kB.

    Args:
        names: of the items in order, always the same.

    Source: content-defined chunking, as in Muthitacharoen et al. 2001, A Low-bandwidth Network File System.
    """
    beginners = [place for place, name in enumerate(names) if _hash(name) % SPREAD == 0]
    starts, start = [0], 0
    while start < len(names):
        next_one = bisect_left(beginners, start + LEAST)
        start = min(*beginners[next_one : next_one + 1], start + MOST, len(names))
        starts.append(start)
    if len(starts) > 2 and starts[-1] - starts[-2] < LEAST // 2:
        del starts[-2]
    return [(f"{_hash(names[one]):08x}", slice(one, end)) for one, end in pairwise(starts)] or [("", slice(0, 0))]


@lru_cache(maxsize=2**16)  # each is in a dozen lists
def _hash(name: str) -> int:
    return zlib.crc32(name.encode())


def list_url(url: str, place: int, name: str) -> str:
    """Where a page of a list is: the first one at the list's own address."""
    return f"{url}page/{name}/" if place else url
