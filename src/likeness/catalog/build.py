"""Building: the site of a catalog, written to disk; only what has changed is written again."""

import datetime
import gc
import posixpath
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from likeness.catalog.changes import Changes
from likeness.catalog.shelf import Shelf
from likeness.catalog.shortcodes import faults_of
from likeness.catalog.site import Beside, Output, Site
from likeness.catalog.tree import Fault
from likeness.errors import PublishError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.records import link_or_copy, make_folder

__all__ = ["SITE", "Built", "build", "faults_in", "remove"]

SITE = "site"
MARK = "search.js"
"""A file by which a site is known to be one."""

TWICE = "two pages of the site would be this file: a page or an alias has the address of a list. Give it another one."


@dataclass(frozen=True, slots=True)
class Built:
    """What came of building.

    Attributes:
        home: the page to open.
        pages: files that are made.
        written: of those, how many were written this time.
        removed: files of before that are gone.
        warnings: what is odd, and hinders nothing.
    """

    home: Path
    pages: int
    written: int
    removed: int
    warnings: tuple[Fault, ...]


def build(root: Path, *, report: Report = silent) -> Built:
    """The site of the catalog in `root`, in `root/site`.

    Raises:
        PublishError: where pages do not hold together, with all faults; nothing is written.
        WorkspaceError: where it cannot be written.
    """
    with _uncollected() as settle:
        site = Site(Shelf(root))
        with closing(site.shelf.open()) as store:
            plan = _plan(site, store)
            if faults := faults_in(site, [file for _, file in plan.files], lambda name: _is_kept(store, plan, name)):
                lines = [f"  {fault.place}: {fault.what}" for fault in faults[:20]]
                more = [f"  and {len(faults) - 20} more"] if len(faults) > 20 else []
                raise PublishError(f"{root} is not built:\n" + "\n".join([*lines, *more]))
            settle()
            try:
                return _written(site, plan, store, report)
            except OSError as fault:
                raise WorkspaceError.of(root / SITE, fault) from fault


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a build comes to.

    Attributes:
        changes: since the last one.
        parts: of the site that something which has changed can show in, or that are gone.
        before: the files of those parts in the last build, each with its digest.
        files: of them now, each with its part.
    """

    changes: Changes
    parts: AbstractSet[str]
    before: Mapping[str, str]
    files: list[tuple[str, Output | Beside]]


def _plan(site: Site, store: sqlite3.Connection) -> _Plan:
    """What has to be looked at, and what it comes to; nothing is written."""
    is_there = (site.shelf.root / SITE / MARK).exists()
    changes, whole = Changes.since(store, site) if is_there else Changes(site, {}), list(site.parts())
    stirred = changes.parts()
    now, then = {part for part, _ in whole}, {part for (part,) in store.execute("SELECT DISTINCT part FROM made")}
    parts = now | then if stirred is None else stirred | (now ^ then)
    rows = (store.execute("SELECT file, digest FROM made WHERE part = ?", (part,)) for part in parts)
    before = {} if changes.is_all else dict(chain.from_iterable(rows))
    return _Plan(changes, parts, before, [(part, file) for part, make in whole if part in parts for file in make()])


def _is_kept(store: sqlite3.Connection, plan: _Plan, name: str) -> bool:
    """Whether a file of a part that is not looked at has this name, in lower case."""
    return any(part not in plan.parts for (part,) in store.execute("SELECT part FROM made WHERE folded = ?", (name,)))


def _written(site: Site, plan: _Plan, store: sqlite3.Connection, report: Report) -> Built:
    """Removes what is no longer of the site, and writes what has changed since the last time."""
    to, content = site.shelf.root / SITE, site.shelf.content
    with store:
        plan.changes.begin(store)
    if plan.changes.is_all:
        _clear(to)
    gone = plan.before.keys() - {one.file for _, one in plan.files}
    remove(to, gone)
    changed = [(part, one) for part, one in plan.files if plan.before.get(one.file) != one.digest]
    for folder in {posixpath.dirname(one.file) for _, one in changed}:
        make_folder(to / folder)
    for done, (_, one) in enumerate(changed):
        if isinstance(one, Output):
            _write(to / one.file, one.make())
        else:
            link_or_copy(content / one.source, to / one.file)
        if done % 500 == 0:
            report(Event(stage="build", done=done, total=len(changed)))
    with store:
        store.executemany("DELETE FROM made WHERE file = ?", [(file,) for file in gone])
        rows = [(one.file, one.digest, part, one.file.casefold()) for part, one in changed]
        store.executemany("INSERT OR REPLACE INTO made VALUES (?, ?, ?, ?)", rows)
        plan.changes.note(store)
    (pages,) = store.execute("SELECT count(*) FROM made").fetchone()
    report(Event(stage="build", done=len(changed), total=len(changed)))
    return Built(to / "index.html", pages, len(changed), len(gone), tuple(site.ties.clashes))


def faults_in(
    site: Site, files: Sequence[Output | Beside], is_kept: Callable[[str], bool] = lambda _: False
) -> list[Fault]:
    """What does not hold together: addresses, related paths, shortcodes, two files of one name.

    Args:
        site: the whole.
        files: of it.
        is_kept: whether another file of it, which is not among those, has this name in lower case.
    """
    pages = site.tree.pages.values()
    found = [*site.tree.faults(), *(fault for page in pages for fault in faults_of(page, site.tree)), *_ended(site)]
    if not found:
        made = Counter(one.file.casefold() for one in files if isinstance(one, Output))
        beside = Counter(one.file for one in files if isinstance(one, Beside))  # whose capitals are a person's own
        twice = [file for file, count in made.items() if count > 1 or is_kept(file)]
        found = [Fault(f"/{file}", TWICE) for file in (*twice, *(file for file, count in beside.items() if count > 1))]
        names = made.keys() | {file.casefold() for file in beside}
        for file, page in site.tree.redirects.items():
            above = (one.as_posix() for one in Path(file.casefold()).parents)
            if met := next((one for one in above if one in names or is_kept(one)), None):
                found.append(Fault(page.place, f"an alias of it is below /{met}, which is a file. Leave it out."))
    return found


def _ended(site: Site) -> Iterator[Fault]:
    """Entries of real people whose consent is over."""
    today = datetime.datetime.now(datetime.UTC).date()
    for entry in site.entries.values():
        if entry.until and datetime.date.fromisoformat(entry.until) < today:
            yield Fault(entry.place, f"the consent to it ended on {entry.until}. Withdraw it: likeness withdraw")


@contextmanager
def _uncollected() -> Iterator[Callable[[], None]]:
    """Python looks for no garbage; once what is yielded was called, it does among what is made after that. Of some
    hundred thousand objects that are all kept it would find none, again and again, in a third of the time."""
    was_on = gc.isenabled()
    is_ours = gc.get_freeze_count() == 0  # who froze objects before wants them to stay so

    def settle() -> None:
        if is_ours:
            gc.freeze()
        if was_on:
            gc.enable()

    gc.disable()
    try:
        yield settle
    finally:
        if is_ours:
            gc.unfreeze()
        if was_on:
            gc.enable()


def _write(path: Path, data: bytes) -> None:
    """A file that can be made again: it needs no rename, which costs ten times as much."""
    path.unlink(missing_ok=True)  # it may be another file's, too
    path.write_bytes(data)


def remove(to: Path, files: Iterable[str]) -> None:
    """Removes files of a site, and folders that are empty then."""
    for file in files:
        (to / file).unlink(missing_ok=True)
        for above in list(Path(file).parents)[:-1]:
            if (to / above).is_dir() and not any((to / above).iterdir()):
                (to / above).rmdir()


def _clear(to: Path) -> None:
    """A site that is empty but for its mark. What is no site of ours stays."""
    aside = to.with_name(f".{SITE}.gone")
    shutil.rmtree(aside, ignore_errors=True)  # where this was broken off
    if (to / MARK).exists():
        to.rename(aside)
        shutil.rmtree(aside)
    make_folder(to)
    (to / MARK).touch()
