"""Checking a catalog: what does not hold together, and what is odd."""

from collections.abc import Iterator
from pathlib import Path

from likeness.catalog.build import faults_in
from likeness.catalog.shelf import Shelf
from likeness.catalog.site import Site
from likeness.catalog.sketch import near_pairs
from likeness.catalog.tree import Fault

__all__ = ["check"]


def check(root: Path) -> tuple[list[Fault], list[Fault]]:
    """What keeps a catalog from being built, and what is odd: the same LoRA twice, triggers that two have, weights that
    are nearly those of another.

    Raises:
        PublishError: where it cannot be read.
    """
    site = Site(Shelf(root))
    odd = [*_doubles(site), *site.ties.clashes, *_near(site), *_same_names(site)]
    return faults_in(site, list(site.files())), odd


def _doubles(site: Site) -> Iterator[Fault]:
    for places in site.ties.doubles.values():
        for place in places[1:]:
            yield Fault(place, f"it is the same LoRA as {places[0]}, by its tensors: one of them will do.")


def _same_names(site: Site) -> Iterator[Fault]:
    """Files that A1111 takes for one, and that one address of downloads would be of both."""
    found: dict[str, list[str]] = {}
    for entry in site.entries.values():
        found.setdefault(entry.name.casefold(), []).append(entry.place)
    for name, places in found.items():
        for place in places[1:]:
            yield Fault(place, f"its file is called {name!r}, as that of {places[0]} is: tools take the two for one.")


def _near(site: Site) -> Iterator[Fault]:
    entries = [one for one in site.entries.values() if one.sketch]
    for first, second, likeness in near_pairs([one.sketch for one in entries]):
        one, other = entries[first], entries[second]
        if one.tensors != other.tensors:
            what = (
                f"its weights are nearly those of {one.place} (cosine {likeness:.3f}): another epoch, or an edit of it?"
            )
            yield Fault(other.place, what)
