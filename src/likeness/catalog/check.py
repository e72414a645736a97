"""Checking a catalog: what does not hold together, and what is odd."""

from collections.abc import Iterator
from pathlib import Path

from likeness.catalog.build import faults_in
from likeness.catalog.shelf import Shelf
from likeness.catalog.similar import clashes
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
    return faults_in(site), [*_doubles(site), *clashes(site.entries.values()), *_near(site)]


def _doubles(site: Site) -> Iterator[Fault]:
    for places in site.doubles.values():
        for place in places[1:]:
            yield Fault(place, f"it is the same LoRA as {places[0]}, by its tensors: one of them will do.")


def _near(site: Site) -> Iterator[Fault]:
    entries = [one for one in site.entries.values() if one.sketch]
    for first, second, likeness in near_pairs([one.sketch for one in entries]):
        one, other = entries[first], entries[second]
        if one.tensors != other.tensors:
            what = (
                f"its weights are nearly those of {one.place} (cosine {likeness:.3f}): another epoch, or an edit of it?"
            )
            yield Fault(other.place, what)
