"""Building: the site of a catalog, written to disk; only what has changed is written again."""

import datetime
import gc
import posixpath
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    shelf = Shelf(root)
    with _uncollected() as settle:
        site = Site(shelf)
        outputs = list(site.outputs())
        if faults := faults_in(site, outputs):
            lines = [f"  {fault.place}: {fault.what}" for fault in faults[:20]]
            more = [f"  and {len(faults) - 20} more"] if len(faults) > 20 else []
            raise PublishError(f"{root} is not built:\n" + "\n".join([*lines, *more]))
        beside = [*site.resources()]
        settle()
        try:
            return _written(site, outputs, beside, report)
        except OSError as fault:
            raise WorkspaceError.of(root / SITE, fault) from fault


def _written(site: Site, outputs: Sequence[Output], beside: Sequence[Beside], report: Report) -> Built:
    """Writes what has changed since the last time, and removes what is no longer of the site."""
    to, content = site.shelf.root / SITE, site.shelf.content
    with closing(site.shelf.open()) as store:
        made = dict(store.execute("SELECT file, digest FROM made")) if (to / "index.html").exists() else {}
        if not made and (to / "search.js").exists():  # nobody remembers what of it is no longer wanted
            shutil.rmtree(to)
        wanted = {one.file: one.digest for one in outputs} | {one.file: one.stamp for one in beside}
        changed = {file: digest for file, digest in wanted.items() if made.get(file) != digest}
        for folder in {posixpath.dirname(file) for file in changed}:
            make_folder(to / folder)
        drawn = [one for one in outputs if one.file in changed]
        for done, output in enumerate(drawn):
            _write(to / output.file, output.make())
            if done % 500 == 0:
                report(Event(stage="build", done=done, total=len(drawn)))
        for one in beside:
            if one.file in changed:
                link_or_copy(content / one.source, to / one.file)
        gone = made.keys() - wanted.keys()
        removed = _removed(to, gone)
        with store:
            store.executemany("DELETE FROM made WHERE file = ?", [(file,) for file in gone])
            store.executemany("INSERT OR REPLACE INTO made VALUES (?, ?)", changed.items())
    report(Event(stage="build", done=len(drawn), total=len(drawn)))
    return Built(to / "index.html", len(wanted), len(changed), removed, tuple(site.clashes))


def faults_in(site: Site, outputs: Sequence[Output]) -> list[Fault]:
    """What does not hold together: addresses, related paths, shortcodes, two files of one name.

    Args:
        site: the whole.
        outputs: its files.
    """
    pages = site.tree.pages.values()
    found = [*site.tree.faults(), *(fault for page in pages for fault in faults_of(page, site.tree)), *_ended(site)]
    if not found:
        counts = Counter(output.file.casefold() for output in outputs)
        found = [Fault(f"/{file}", TWICE) for file, count in counts.items() if count > 1]
        for file, page in site.tree.redirects.items():
            if above := next((one for one in Path(file.casefold()).parents if one.as_posix() in counts), None):
                found.append(Fault(page.place, f"an alias of it is below /{above}, which is a file. Leave it out."))
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
