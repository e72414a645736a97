"""What is similar: pages to look at next where nobody named any, the same LoRA twice, and triggers that two have."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from likeness.catalog.entries import Entry
from likeness.catalog.tree import Fault

__all__ = ["Kin", "clashes", "kin_of", "same_tensors"]

MOST = 4
"""Similar entries that a page leads to."""

COMMON = 200
"""Entries that share a word, above which it tells nothing: half a catalog has it."""

SEEN = 1000
"""Entries of a usual catalog, by which it is told how rare a word is: the number of this one would stir all of them."""


@dataclass(frozen=True, slots=True)
class Kin:
    """What an entry is similar to.

    Attributes:
        words: that it is known by.
        places: of the entries that share most with it, the most alike first.
    """

    words: tuple[str, ...]
    places: tuple[str, ...]


def kin_of(entries: Mapping[str, Entry], before: Mapping[str, Kin]) -> dict[str, Kin]:
    """What each entry is similar to: those that share most words with it, rare ones counting more than frequent ones,
    and the same base a little. Of equals, the first by place.

    Args:
        entries: by place.
        before: what was found last time; what nothing has changed near is taken from there.
    """
    words = {place: _words(entry) for place, entry in entries.items()}
    holders: dict[str, list[str]] = defaultdict(list)
    for place, own in words.items():
        for word in own:
            holders[word].append(place)
    told = {place: one.words for place, one in before.items()}
    changed = {place for place in words.keys() | told.keys() if words.get(place) != told.get(place)}
    stirred = {word for place in changed for word in (*words.get(place, ()), *told.get(place, ()))}
    anew = changed | {place for word in stirred for place in holders.get(word, ()) if len(holders[word]) <= COMMON + 1}
    return {
        place: Kin(own, tuple(_nearest(place, own, holders, entries))) if place in anew else before[place]
        for place, own in words.items()
    }


def _nearest(
    place: str, own: Iterable[str], holders: Mapping[str, list[str]], entries: Mapping[str, Entry]
) -> list[str]:
    scores: dict[str, float] = defaultdict(float)
    for word in own:
        if len(some := holders[word]) <= COMMON:
            worth = math.log(1 + SEEN / len(some))
            for other in some:
                scores[other] += worth
    scores.pop(place, None)
    base = entries[place].base
    return sorted(scores, key=lambda one: (-scores[one] - 0.1 * (entries[one].base == base), one))[:MOST]


def _words(entry: Entry) -> tuple[str, ...]:
    return tuple(sorted({tag.casefold() for tag in entry.tags} | {f"in {entry.place.rsplit('/', 1)[0]}"}))


def same_tensors(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Places of entries that are one LoRA under several notes, by its tensors' hash; only those that are several."""
    found: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        found[entry.tensors].append(entry.place)
    return {tensors: places for tensors, places in found.items() if len(places) > 1}


def clashes(entries: Iterable[Entry]) -> Iterator[Fault]:
    """Triggers that two LoRAs of one base have, which would both come when one is called."""
    found: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.trigger:
            found[entry.base, entry.trigger.casefold()].append(entry)
    for (_, trigger), some in found.items():
        for entry in some:
            if other := next((one for one in some if one.tensors != entry.tensors), None):
                yield Fault(entry.place, f"its trigger {trigger!r} is that of {other.place}, too: together, both come.")
