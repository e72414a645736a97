"""What ties entries to each other: similar ones to look at next, the same LoRA twice, and triggers that two have."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property

from likeness.catalog.entries import Entry
from likeness.catalog.tree import Fault

__all__ = ["COMMON", "Ties", "ties_of"]

MOST = 4
"""Similar entries that a page leads to."""

COMMON = 200
"""Entries that share a tie, above which it makes none similar: half a catalog has it."""

SEEN = 1000
"""Entries of a usual catalog, by which it is told how rare a tie is: the number of this one would stir all of them."""

ALIKE = ("tag ", "in ")
"""Ties by which entries are similar."""


def ties_of(entry: Entry) -> list[str]:
    """What ties an entry to others, each its kind and its value: tags, the folder that it is in, its trigger and base,
    its tensors. The pages of two entries tell nothing of each other where the two share none, and nobody named one."""
    tags = [f"tag {tag}" for tag in entry.tags]
    trigger = [f"trigger {entry.trigger.casefold()}\n{entry.base}"] if entry.trigger else []
    return [*tags, f"in {entry.place.rpartition('/')[0]}", *trigger, f"tensors {entry.tensors}"]


class Ties:
    """What ties the entries of a catalog to each other.

    Args:
        entries: by place.

    Attributes:
        of: the ties of each entry, by place.
        holders: places of the entries that have a tie, by tie.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self.of = {place: ties_of(entry) for place, entry in entries.items()}
        holders: dict[str, list[str]] = defaultdict(list)
        for place, ties in self.of.items():
            for tie in ties:
                holders[tie].append(place)
        self.holders: Mapping[str, list[str]] = dict(holders)

    def similar(self, place: str) -> list[str]:
        """Places of the entries that share most with one, the most alike first: rare ties count more than frequent
        ones, and the same base a little. Of equals, the first by place."""
        scores: dict[str, float] = defaultdict(float)
        for tie in self.of[place]:
            if tie.startswith(ALIKE) and len(some := self.holders[tie]) <= COMMON:
                worth = math.log(1 + SEEN / len(some))
                for other in some:
                    scores[other] += worth
        scores.pop(place, None)
        base = self._entries[place].base
        return sorted(scores, key=lambda one: (-scores[one] - 0.1 * (self._entries[one].base == base), one))[:MOST]

    @cached_property
    def doubles(self) -> dict[str, list[str]]:
        """Places of entries that are one LoRA under several notes, by the hash of its tensors; only where they are
        several."""
        return {tie.partition(" ")[2]: places for tie, places in self._shared("tensors ")}

    @cached_property
    def clashes(self) -> list[Fault]:
        """Entries whose trigger another LoRA of their base has, too: both would come when one is called."""
        return [*self._clashes()]

    def _clashes(self) -> Iterator[Fault]:
        for _, places in self._shared("trigger "):
            for entry in (some := [self._entries[place] for place in places]):
                if other := next((one for one in some if one.tensors != entry.tensors), None):
                    trigger = repr(entry.trigger.casefold())
                    yield Fault(
                        entry.place, f"its trigger {trigger} is that of {other.place}, too: together, both come."
                    )

    def _shared(self, kind: str) -> Iterator[tuple[str, list[str]]]:
        """Ties of a kind that several have, with those."""
        for tie, places in self.holders.items():
            if len(places) > 1 and tie.startswith(kind):
                yield tie, places
