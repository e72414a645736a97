"""Templates: what makes the pages of a site of what is known of them."""

import hashlib
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from likeness.catalog.details import gauge_of
from likeness.catalog.links import link
from likeness.catalog.markdown import html_of

__all__ = ["own_digest", "templates"]


@cache
def templates() -> Environment:
    """The templates of pages, with what they call."""
    pages = Environment(
        loader=PackageLoader("likeness.catalog"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.globals["gauge"] = gauge_of
    pages.filters.update(
        address=lambda path: link("", path),
        short=lambda value: f"{round(value, 2) + 0.0:.2f}",  # no -0.00
        markdown=lambda text: Markup(html_of(text)),
        line=lambda text: Markup(html_of(text, inline=True)),
    )
    return pages


@cache
def own_digest() -> str:
    """Of what makes pages: another one makes others."""
    home = resources.files("likeness.catalog")
    folders = (home, home / "templates", home / "static")
    files = [one for folder in folders for one in folder.iterdir() if one.is_file()]
    return hashlib.sha256(b"".join(one.read_bytes() for one in sorted(files, key=str))).hexdigest()
