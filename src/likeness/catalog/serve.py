"""Serving: the same pages from memory, and a search that filters and orders, on this machine alone."""

import logging
import mimetypes
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from likeness.catalog.entries import Entry
from likeness.catalog.lists import ORDERS, cards_of
from likeness.catalog.shelf import Shelf
from likeness.catalog.site import Beside, Output, Site
from likeness.errors import PublishError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

__all__ = ["Files", "Found", "app_of", "found_in", "serve"]

AT_ONCE = 24
LONGEST = 2000  # letters of an address
FRESH = 5.0  # seconds for which what was read is taken as it is
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Found:
    """What a search found.

    Args:
        entries: all that match, in order.
        asked: what was searched for: q, base, tag, order, page.
    """

    def __init__(self, entries: Sequence[Entry], asked: Mapping[str, str]) -> None:
        self.entries, self.asked = entries, asked
        told = asked.get("page", "1")
        page = int(told) if told.isdecimal() and len(told) < 6 else 1
        self.page = min(max(1, page), max(1, -(-len(entries) // AT_ONCE)))

    @property
    def shown(self) -> Sequence[Entry]:
        """Those of this page."""
        return self.entries[(self.page - 1) * AT_ONCE : self.page * AT_ONCE]

    def way(self, step: int) -> str:
        """The address of the page before or behind this one; "" where there is none."""
        page = self.page + step
        if page < 1 or (page - 1) * AT_ONCE >= len(self.entries):
            return ""
        return "/search?" + urlencode({**{k: v for k, v in self.asked.items() if v}, "page": page})


def found_in(site: Site, asked: Mapping[str, str]) -> Found:
    """The entries that have all the words, this base and this tag, and are that much alike and that new; those first
    that say the words in their title. What is no number is passed over."""
    entries = list(site.entries.values())
    if words := asked.get("q", "").replace("\0", " ").split():
        with closing(site.shelf.open()) as store:
            match = " ".join('"' + word.replace('"', '""') + '"*' for word in words)
            ranked = "SELECT place FROM words WHERE words MATCH ? ORDER BY bm25(words, 0, 10, 5, 3, 1)"
            places = [place for (place,) in store.execute(ranked, (match,))]
        entries = [site.entries[place] for place in places if place in site.entries]
    if base := asked.get("base", ""):
        entries = [one for one in entries if one.base == base]
    if tag := asked.get("tag", "").strip().casefold():
        entries = [one for one in entries if tag in one.tags]
    if (least := _number(asked.get("least", ""))) is not None:
        entries = [one for one in entries if one.likeness and one.likeness[0] >= least]
    if since := asked.get("since", "").strip():
        entries = [one for one in entries if one.published >= since]
    if (order := asked.get("order", "")) in ORDERS:
        entries = sorted(entries, key=ORDERS[order])
    return Found(entries, asked)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class Files:
    """The files of a site. A part is planned when something in it is first asked for, since all of them take seconds.

    Args:
        site: whose they are.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self._parts: dict[str, list[Callable[[], Iterator[Output | Beside]]]] = {}
        for address, make in site.parts():
            self._parts.setdefault(address, []).append(make)
        self._planned: dict[str, dict[str, Output | Beside]] = {}

    def find(self, file: str) -> Output | Beside | None:
        """A file of the site; None where there is no such one."""
        if len(file) > LONGEST:
            return None
        address = file
        while not (found := self._part(address).get(file)) and address:
            above = address.rstrip("/").rpartition("/")[0]
            address = above and f"{above}/"
        return found

    def _part(self, address: str) -> Mapping[str, Output | Beside]:
        if address in self._parts and address not in self._planned:
            self._planned[address] = {one.file: one for make in self._parts[address] for one in make()}
        return self._planned.get(address, {})


class _Desk:
    """The site as it is now: looked at again when that was last done some seconds ago.

    Args:
        root: of the catalog.

    Raises:
        PublishError: where it cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files, self._looked_at = self._read(), time.monotonic()

    def files(self) -> Files:
        """The files of the site."""
        if time.monotonic() - self._looked_at > FRESH:
            try:
                if Shelf(self.root).walk() != self._files.site.shelf.seen:
                    self._files = self._read()
            except PublishError as fault:  # somebody is in the middle of writing a page: the site of before stays
                logging.getLogger("uvicorn.error").warning("%s", fault)
            self._looked_at = time.monotonic()
        return self._files

    def _read(self) -> Files:
        return Files(Site(Shelf(self.root), is_served=True))


def app_of(root: Path, *, hosts: Sequence[str] = ("127.0.0.1", "localhost")) -> "Starlette":
    """The application that serves the catalog in `root`.

    Args:
        root: of the catalog.
        hosts: under which names it may be asked: a page elsewhere is not to read it by a name of its own; "*": any.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
    from starlette.routing import Route

    desk = _Desk(root)

    def search(request: "Request") -> Response:
        site = desk.files().site
        found = found_in(site, dict(request.query_params))
        if request.url.path.endswith(".json"):
            return JSONResponse({"total": len(found.entries), "entries": _rows(site, found)}, headers=HEADERS)
        return Response(_search_page(site, found), media_type="text/html", headers=HEADERS)

    def page(request: "Request") -> Response:
        path = request.path_params["path"]
        files = desk.files()
        found = files.find(f"{path}index.html" if path.endswith("/") or not path else path)
        if isinstance(found, Beside):
            return FileResponse(files.site.shelf.content / found.source, headers=HEADERS)
        if found:
            media, digest = mimetypes.guess_type(found.file)[0] or "text/html", f'"{found.digest[:32]}"'
            if request.headers.get("if-none-match") == digest:
                return Response(status_code=304, headers=HEADERS)
            return Response(found.make(), media_type=media, headers={**HEADERS, "ETag": digest})
        if files.find(f"{path}/index.html"):
            return RedirectResponse(f"/{path}/")
        return Response("There is no such page.", status_code=404, media_type="text/plain", headers=HEADERS)

    routes = [
        Route("/search", search),
        Route("/search/", search),
        Route("/search.json", search),
        Route("/{path:path}", page),
    ]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[*hosts])])


def _rows(site: Site, found: Found) -> list[dict[str, str]]:
    return [{"title": one.title, "url": site.tree.pages[one.place].url, "base": one.base} for one in found.shown]


def _search_page(site: Site, found: Found) -> bytes:
    pages = [site.tree.pages[one.place] for one in found.shown]
    asked: dict[str, Any] = {name: found.asked.get(name, "") for name in ("base", "tag", "least", "since", "order")}
    return site.render(
        "search.html",
        "",
        title="Search",
        query=found.asked.get("q", ""),
        is_served=True,
        bases=sorted({one.base for one in site.entries.values()}),
        orders=["best match", *ORDERS],
        total=len(found.entries),
        cards=cards_of(site, "", pages),
        pages={"newer": found.way(-1), "older": found.way(1)},
        **asked,
    )


def serve(root: Path, *, host: str, port: int, told: Callable[[str], None]) -> None:
    """Serves the catalog until it is stopped.

    Args:
        root: of the catalog.
        host: address to listen at; 0.0.0.0 is every one of this machine.
        port: 0 takes a free one.
        told: gets the address of the home page, once it listens.

    Raises:
        PublishError: where the catalog cannot be read.
        MissingExtra: where starlette or uvicorn is not installed.
    """
    import uvicorn

    is_open = host in ("0.0.0.0", "::")  # to whoever can reach this machine, by whichever of its names
    app = app_of(root, hosts=("*",) if is_open else ("127.0.0.1", "localhost", host))
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as fault:
        raise PublishError(
            f"--host {host} --port {port} cannot be listened at: {fault.strerror or fault}. Use another port; 0 takes "
            "a free one."
        ) from fault
    with listener:
        name = socket.gethostname() if is_open else f"[{host}]" if ":" in host else host
        told(f"http://{name}:{listener.getsockname()[1]}/")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
