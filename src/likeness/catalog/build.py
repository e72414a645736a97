"""Building: the site of a catalog, written to disk; only what has changed is written again."""

import datetime
import gc
import posixpath
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from likeness.catalog.changes import Changes
from likeness.catalog.shelf import Shelf
from likeness.catalog.shortcodes import faults_of
from likeness.catalog.site import Beside, Output, Site
from likeness.catalog.tree import Fault
from likeness.errors import PublishError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.records import link_or_copy, make_folder

__all__ = ["SITE", "Built", "build", "faults_in"]

SITE = "site"
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

            def is_taken(folded: str) -> bool:
                rows = store.execute("SELECT part FROM made WHERE folded = ?", (folded,))
                return any(part not in plan.parts for (part,) in rows)

            outputs = (one for _, one in plan.files if isinstance(one, Output))
            if faults := faults_in(site, outputs, is_taken):
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
        before: the files of those parts in the last one, each with its digest and its part.
        files: of them now, each with its part.
    """

    changes: Changes
    parts: AbstractSet[str]
    before: Mapping[str, tuple[str, str]]
    files: list[tuple[str, Output | Beside]]


def _plan(site: Site, store: sqlite3.Connection) -> _Plan:
    if not (site.shelf.root / SITE / "index.html").exists():
        store.executescript("DELETE FROM built; DELETE FROM made;")
    changes, whole = Changes.since(store, site), list(site.parts())
    now, then = {part for part, _ in whole}, {part for (part,) in store.execute("SELECT DISTINCT part FROM made")}
    stirred = changes.parts()
    broken_off = {part for (part,) in store.execute("SELECT DISTINCT part FROM made WHERE digest = ''")}
    parts = now | then if stirred is None else stirred | broken_off | (then - now)
    before = dict[str, tuple[str, str]]()
    for part in parts:
        rows = store.execute("SELECT file, digest FROM made WHERE part = ?", (part,))
        before |= {file: (digest, part) for file, digest in rows}
    return _Plan(changes, parts, before, [(part, file) for part, make in whole if part in parts for file in make()])


def _written(site: Site, plan: _Plan, store: sqlite3.Connection, report: Report) -> Built:
    """Writes what has changed since the last time, and removes what is no longer of the site."""
    to, content = site.shelf.root / SITE, site.shelf.content
    is_known = store.execute("SELECT 1 FROM made").fetchone()
    if not is_known and (to / "search.js").exists():  # nobody remembers what of it is no longer wanted
        shutil.rmtree(to)
    changed = [(part, one) for part, one in plan.files if plan.before.get(one.file) != (one.digest, part)]
    with store:  # whoever breaks off from here leaves files of which it is not known what they show
        _remember(store, ((one.file, "", part) for part, one in changed))
    for folder in {posixpath.dirname(one.file) for _, one in changed}:
        make_folder(to / folder)
    for done, (_, one) in enumerate(changed):
        if isinstance(one, Output):
            _write(to / one.file, one.make())
        else:
            link_or_copy(content / one.source, to / one.file)
        if done % 500 == 0:
            report(Event(stage="build", done=done, total=len(changed)))
    gone = plan.before.keys() - {one.file for _, one in plan.files}
    removed = _removed(to, gone)
    with store:
        store.executemany("DELETE FROM made WHERE file = ?", [(file,) for file in gone])
        _remember(store, ((one.file, one.digest, part) for part, one in changed))
        plan.changes.note(store)
    (pages,) = store.execute("SELECT count(*) FROM made").fetchone()
    report(Event(stage="build", done=len(changed), total=len(changed)))
    return Built(to / "index.html", pages, len(changed), removed, tuple(site.ties.clashes))


def _remember(store: sqlite3.Connection, made: Iterable[tuple[str, str, str]]) -> None:
    """Files with their digests and parts."""
    rows = ((file, digest, part, file.casefold()) for file, digest, part in made)
    store.executemany("INSERT OR REPLACE INTO made VALUES (?, ?, ?, ?)", rows)


def faults_in(site: Site, outputs: Iterable[Output], is_taken: Callable[[str], bool] = lambda _: False) -> list[Fault]:
    """What does not hold together: addresses, related paths, shortcodes, two files of one name.

    Args:
        site: the whole.
        outputs: its files.
        is_taken: whether another file of it, which is not among those, has this name in lower case.
    """
    pages = site.tree.pages.values()
    found = [*site.tree.faults(), *(fault for page in pages for fault in faults_of(page, site.tree)), *_ended(site)]
    if not found:
        counts = Counter(output.file.casefold() for output in outputs)
        found = [Fault(f"/{file}", TWICE) for file, count in counts.items() if count > 1 or is_taken(file)]
        for file, page in site.tree.redirects.items():
            above = (one.as_posix() for one in Path(file.casefold()).parents)
            if met := next((one for one in above if one in counts or is_taken(one)), None):
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


def _removed(to: Path, files: set[str]) -> int:
    """Removes what is no longer of the site, and folders that are empty then."""
    for file in files:
        (to / file).unlink(missing_ok=True)
        for above in list(Path(file).parents)[:-1]:
            if (to / above).is_dir() and not any((to / above).iterdir()):
                (to / above).rmdir()
    return len(files)
