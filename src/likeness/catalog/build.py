"""Building: the site of a catalog, written to disk; only what has changed is written again."""

import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from likeness.catalog.shelf import Shelf
from likeness.catalog.shortcodes import faults_of
from likeness.catalog.site import Output, Site
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
    site = Site(shelf)
    outputs = list(site.outputs())
    if faults := faults_in(site, outputs):
        lines = [f"  {fault.place}: {fault.what}" for fault in faults[:20]]
        more = [f"  and {len(faults) - 20} more"] if len(faults) > 20 else []
        raise PublishError(f"{root} is not built:\n" + "\n".join([*lines, *more]))
    to = root / SITE
    try:
        with closing(shelf.open()) as store:
            made = dict(store.execute("SELECT file, digest FROM made")) if (to / "index.html").exists() else {}
            if not made and (to / "search.js").exists():  # nobody remembers what of it is no longer wanted
                shutil.rmtree(to)
            wanted, written = dict[str, str](), 0
            for output in outputs:
                wanted[output.file] = output.digest
                if made.get(output.file) != output.digest:
                    _write(to / output.file, output.make())
                    written += 1
                    if written % 500 == 0:
                        report(Event(stage="build", done=written, total=0))
            for file, source, stamp in site.resources():
                wanted[file] = stamp
                if made.get(file) != stamp:
                    make_folder((to / file).parent)
                    link_or_copy(shelf.content / source, to / file)
                    written += 1
            removed = _removed(to, made.keys() - wanted.keys())
            with store:
                store.executemany("DELETE FROM made WHERE file = ?", [(file,) for file in made.keys() - wanted.keys()])
                changed = [pair for pair in wanted.items() if made.get(pair[0]) != pair[1]]
                store.executemany("INSERT OR REPLACE INTO made VALUES (?, ?)", changed)
            if removed:  # what was withdrawn is not to be found in parts of the file that are no longer used
                store.execute("VACUUM")
    except OSError as fault:
        raise WorkspaceError.of(to, fault) from fault
    report(Event(stage="build", done=len(wanted), total=len(wanted)))
    return Built(to / "index.html", len(wanted), written, removed, tuple(site.clashes))


def faults_in(site: Site, outputs: Sequence[Output]) -> list[Fault]:
    """What does not hold together: addresses, related paths, shortcodes, two files of one name.

    Args:
        site: the whole.
        outputs: its files.
    """
    pages = site.tree.pages.values()
    found = [*site.tree.faults(), *(fault for page in pages for fault in faults_of(page, site.tree))]
    if not found:
        counts = Counter(output.file.casefold() for output in outputs)
        found = [Fault(f"/{file}", TWICE) for file, count in counts.items() if count > 1]
    return found


def _write(path: Path, data: bytes) -> None:
    """A file that can be made again: it needs no rename, which costs ten times as much."""
    path.parent.mkdir(parents=True, exist_ok=True)
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
