"""Pages: markdown files with front matter in a folder of content, read as Hugo reads them.

Source: gohugo.io's documentation of front matter, page bundles and URLs; what it leaves open was tried with Hugo 0.168,
which a test compares with.
"""

import datetime
import posixpath
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from likeness.errors import PublishError

__all__ = [
    "BUNDLE",
    "SECTION",
    "Page",
    "named_address",
    "read_page",
    "sort_key",
    "split_front",
    "with_front",
    "written_front",
]

SECTION = "_index.md"
BUNDLE = "index.md"
DATES = ("date", "publishdate", "pubdate", "published", "lastmod", "modified")
"""Front matter that tells a page's date, the first that is there."""

KEPT = ".#+~-@_/"
"""Signs that an address keeps, beside letters and digits."""

UNDATED = datetime.datetime.min


class Page(NamedTuple):
    """A page, or a section, as its file says.

    Attributes:
        file: relative to the content folder.
        place: its path in the tree, "/characters/mira"; "/" is the home.
        url: where it is, relative to the site: "characters/mira/"; "" is the home.
        is_section: whether others are below it.
        front: its front matter, with names in lower case; what is under `params` too, where the top level has none.
        body: markdown behind it.
        title: "" where it has none.
        link_title: in menus and lists; the title where nothing else is said.
        weight: before the others, the lower; 0 is last.
        date: of the page; `UNDATED` where nobody said.
        aliases: addresses that lead here, as they are written.
    """

    file: str
    place: str
    url: str
    is_section: bool
    front: Mapping[str, Any]
    body: str
    title: str = ""
    link_title: str = ""
    weight: int = 0
    date: datetime.datetime = UNDATED
    aliases: tuple[str, ...] = ()

    @property
    def is_bundle(self) -> bool:
        """Whether it has a folder of its own, with what belongs to it."""
        return posixpath.basename(self.file) == BUNDLE

    @property
    def name(self) -> str:
        """What it is called where it has no title: its file's or folder's name, in words."""
        if self.link_title or self.title:
            return self.link_title or self.title
        stem = Path(self.file).parent.name if Path(self.file).name in (SECTION, BUNDLE) else Path(self.file).stem
        words = re.sub(r"[-_]+", " ", stem).strip()
        return words[:1].upper() + words[1:] or "Home"

    @property
    def summary(self) -> str:
        """Markdown of the front matter; "" where there is none."""
        return str(self.front.get("summary") or "")

    @property
    def json_address(self) -> str:
        """Where the same is as JSON, from the page on; "" for one that is a file of its own and not a folder's."""
        return "" if self.url.endswith(".html") else "index.json"

    def told(self, key: str, usual: Any = None) -> Any:
        """What the front matter says."""
        return self.front.get(key, usual)

    def is_shown(self, now: datetime.datetime) -> bool:
        """Whether it is built at a time: it is no draft, not of the future, and not over."""
        starts = _date(self.front.get("publishdate")) or self.date
        ends = _date(self.front.get("expirydate"))
        return not self.front.get("draft") and starts <= now and (ends is None or ends > now)


def read_page(content: Path, file: Path) -> Page:
    """The page in a markdown file below `content`.

    Raises:
        PublishError: where its front matter cannot be read; the file is named.
    """
    relative = file.relative_to(content)
    try:
        front, body = split_front(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as fault:
        words = " ".join(str(fault).split())
        raise PublishError(f"{file}: its front matter cannot be read: {words}. Mend it there.") from fault
    if isinstance(params := front.get("params"), dict):
        front = {str(key).lower(): value for key, value in params.items()} | front
    is_section, is_bundle = file.name == SECTION, file.name == BUNDLE
    parts = relative.parts[:-1] if is_section or is_bundle else (*relative.parts[:-1], file.stem)
    place = "/" + "/".join(part.lower().replace(" ", "-") for part in parts)
    title = str(front.get("title") or "")
    return Page(
        file=relative.as_posix(),
        place=place,
        url=_url(place, front, is_section=is_section),
        is_section=is_section,
        front=front,
        body=body,
        title=title,
        link_title=str(front.get("linktitle") or title),
        weight=_weight(front, file),
        date=_first_date(front, file),
        aliases=_aliases(front, file),
    )


def split_front(text: str) -> tuple[dict[str, Any], str]:
    """As `written_front`, with names in lower case, as Hugo takes them.

    Raises:
        ValueError: where it is no table, or does not end.
        yaml.YAMLError: where it is no YAML.
    """
    table, body = written_front(text)
    return {key.lower(): value for key, value in table.items()}, body


def written_front(text: str) -> tuple[dict[str, Any], str]:
    """The front matter of a text and the rest: YAML between `---`, TOML between `+++`."""
    for fence, read in (("---", _yaml), ("+++", tomllib.loads)):
        if text.lstrip("\ufeff").startswith(fence):
            mark = re.escape(fence)
            match = re.match(rf"\ufeff?{mark}[ \t]*\n(.*?)^{mark}[ \t]*(?:\n|\Z)", text, re.S | re.M)
            if match is None:
                raise ValueError(f"it does not end with {fence}")
            table = read(match[1]) or {}
            if not isinstance(table, dict):
                raise ValueError("it is no table")
            return {str(key): value for key, value in table.items()}, text[match.end() :]
    return {}, text


def with_front(front: Mapping[str, Any], body: str = "") -> str:
    """A text with this front matter, as YAML between `---`."""
    return f"---\n{yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True, width=10_000)}---\n{body}"


def _yaml(text: str) -> Any:
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _weight(front: Mapping[str, Any], file: Path) -> int:
    value = front.get("weight") or 0
    try:
        return int(value)
    except (TypeError, ValueError) as fault:
        raise PublishError(f"{file}: weight = {value!r} is no whole number.") from fault


def _aliases(front: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    value = front.get("aliases") or ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise PublishError(f"{file}: aliases = {value!r} is no list of addresses.")
    return tuple(value)


def _first_date(front: Mapping[str, Any], file: Path) -> datetime.datetime:
    """The page's date; `UNDATED` where it has none. All dates are looked at: one that is none would hide a page."""
    for key in (*DATES, "expirydate"):
        if front.get(key) and _date(front[key]) is None:
            raise PublishError(
                f"{file}: {key} = {front[key]!r} is no date. Write it as 2026-12-01, or 2026-12-01T18:00."
            )
    return next((found for key in DATES if (found := _date(front.get(key)))), UNDATED)


def _date(value: Any) -> datetime.datetime | None:
    """A date of front matter, in UTC and without a zone."""
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).replace(tzinfo=None) if value.tzinfo else value
    return datetime.datetime.combine(value, datetime.time.min) if isinstance(value, datetime.date) else None


def _url(place: str, front: Mapping[str, Any], *, is_section: bool) -> str:
    """Where a page is: as it says itself, or by its place, without the signs that addresses do not keep."""
    if told := front.get("url"):
        path = str(told).strip().lstrip("/")
        return path if path.endswith((".html", "/")) or not path else path + "/"
    if (slug := front.get("slug")) and not is_section:
        place = f"{place.rpartition('/')[0]}/{named_address(str(slug))}"
    path = named_address(place).lstrip("/")
    return path + "/" if path else ""


def named_address(text: str) -> str:
    """A name as an address has it: in lower case, spaces as hyphens, other signs left out."""
    lower = text.strip().lower().replace(" ", "-")
    return "".join(letter for letter in lower if letter in KEPT or unicodedata.category(letter)[0] in "LNM")


def sort_key(page: Page) -> tuple[Any, ...]:
    """In which order the pages of a section stand: by weight, 0 last; the latest first; by title; by place."""
    instant = (page.date - UNDATED).total_seconds()
    return (page.weight == 0, page.weight, -instant, _collated(page.link_title), page.place)


def _collated(text: str) -> tuple[Any, ...]:
    """A title as dictionaries order it: signs before digits before letters, accents and capitals only among equals."""
    parted = unicodedata.normalize("NFKD", text)
    plain = parted if parted.isascii() else (letter for letter in parted if not unicodedata.combining(letter))
    return ([*map(_rank, plain)], parted.casefold(), text.swapcase())


@lru_cache(maxsize=2**10)
def _rank(letter: str) -> tuple[int, str]:
    return (2 if letter.isalpha() else 1 if letter.isdigit() else 0, letter.casefold())
