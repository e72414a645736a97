"""Known: a character as its real pictures show it, which is all that pictures of it are measured against."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from likeness.errors import PictureError
from likeness.evaluation.calibration import Ruler, Scale, bin_of
from likeness.images import Pixels
from likeness.records import Reading

__all__ = ["PARTS", "Known", "Seen", "know"]

PARTS = ("face", "body", "clothing", "attributes")
STEADY = 0.7  # of the pictures that show a trait, from which on a value is the character's own; readers err in a tenth
NOTHING: Mapping[str, str] = MappingProxyType({})
NONE = ("none", "")
SOMETIMES = 0.3  # of the pictures: what is shown so often is there, and what shows nothing hides it
FEWEST = 3  # pictures that show a trait: of fewer, a slip of the reader would be the character's


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture, and what an instrument saw in it."""

    pixels: Pixels
    reading: Reading


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a character.

    Attributes:
        held_out: real pictures that nothing was trained on.
        training: those that were, or others that may stand for them.
        others: what the base draws for the class words, or real pictures of others.
        traits: its own, name to value.
        varying: traits that it has in several values, as what it wears: name to values, commonest first.
        parts: which part of it each trait belongs to.
        hidden: of traits that not every view shows, the views in which real pictures show nothing of it.
        ruler: its likeness as a whole; None where it cannot be told.
        no_ruler: why not.
        scales: of each part whose traits a reader names, by part.
    """

    held_out: Sequence[Seen]
    training: Sequence[Seen]
    others: Sequence[Reading]
    traits: Mapping[str, str]
    varying: Mapping[str, tuple[str, ...]]
    parts: Mapping[str, str]
    hidden: Mapping[str, frozenset[str | None]]
    ruler: Ruler | None
    no_ruler: str = ""
    scales: Mapping[str, Scale] = field(default_factory=dict)

    @property
    def open_names(self) -> tuple[str, ...]:
        """What a prompt leaves open that says nothing but the trigger: the scene, and the clothes that it has several
        of."""
        worn = (name for name in self.varying if self.parts[name] == "clothing")
        return "background", "view", "framing", "pose", *worn

    def names(self, part: str) -> list[str]:
        """The traits of a part that are its own."""
        return [name for name in (*self.traits, *self.varying) if self.parts[name] == part]

    def told(self, name: str, reading: Reading) -> str | None:
        """The value of a trait that a reading names; None also where nothing is seen in a view that hides it."""
        value = reading.traits.get(name)
        is_hidden = value in NONE and reading.view in self.hidden.get(name, ())
        return None if is_hidden else value

    def is_own(self, name: str, value: str, asked: Mapping[str, str]) -> bool:
        """Whether a value is the one that was asked for, or else one that the character has."""
        own = (self.traits[name],) if name in self.traits else self.varying[name]
        return value == asked[name] if name in asked else value in own

    def shows(self, part: str, asked: Mapping[str, str]) -> bool:
        """Whether real pictures of such a view and framing show any trait of a part; where there is none, it may."""
        like = [
            one.reading
            for one in (*self.held_out, *self.training)
            if _is_like(one.reading.view, asked.get("view")) and _is_like(one.reading.framing, asked.get("framing"))
        ]
        return not like or any(name in reading.traits for reading in like for name in self.names(part))

    def agreement(
        self, part: str, reading: Reading, asked: Mapping[str, str] = NOTHING, *, without: Collection[str] = ()
    ) -> float | None:
        """The share of a part's traits, of those that a reading names, that are the character's; None for none."""
        told = self.named(part, reading, without=without)
        return sum(self.is_own(*pair, asked) for pair in told.items()) / len(told) if told else None

    def named(self, part: str, reading: Reading, *, without: Collection[str] = ()) -> dict[str, str]:
        """The traits of a part that a reading names, with their values."""
        names = [name for name in self.names(part) if name not in without]
        return {name: value for name in names if (value := self.told(name, reading)) is not None}


def know(
    held_out: Sequence[Seen],
    training: Sequence[Seen],
    others: Sequence[Reading],
    *,
    part_of: Callable[[str], str],
    checklist: Mapping[str, str],
    knows_characters: bool,
) -> Known:
    """The character that real pictures show.

    Args:
        held_out: real pictures that nothing was trained on.
        training: other real pictures.
        others: of other characters, or of what the base draws for the class words: there likeness is 0.
        part_of: which of `PARTS` a trait belongs to.
        checklist: traits that a person names: they are the character's, whatever was read.
        knows_characters: whether the reader's embeddings tell characters apart.
    """
    real = [one.reading for one in (*held_out, *training)]
    counts: dict[str, Counter[str]] = {}
    for reading in real:
        for name, value in reading.traits.items():
            counts.setdefault(name, Counter())[value] += 1
    enough = {name: _seen_of(own) for name, own in counts.items() if own.total() >= FEWEST}
    traits = {name: own.most_common(1)[0][0] for name, own in enough.items() if _share(own) >= STEADY}
    traits |= checklist
    varying = {
        name: values
        for name, own in enough.items()
        if name not in traits
        and len(values := tuple(value for value, count in own.most_common() if count >= FEWEST)) > 1
    }
    hidden = {name: _hidden(name, real) for name, value in traits.items() if value not in NONE}
    parts = {name: part_of(name) for name in {**traits, **varying}}
    ruler, words = None, "this reader does not tell characters apart"
    if knows_characters:
        try:
            ruler, words = Ruler.of([one.reading for one in held_out], [one.reading for one in training], others), ""
        except PictureError as fault:
            words = str(fault)
    known = Known(held_out, training, others, traits, varying, parts, hidden, ruler, words)
    scales = {part: scale for part in PARTS if (scale := _scale(known, part))}
    return replace(known, scales=scales)


def _scale(known: Known, part: str) -> Scale | None:
    """Where a part's agreement is 1, as among real pictures, and 0, as for others; None where neither is told."""
    real, others = (
        [(reading.view, share) for reading in some if (share := known.agreement(part, reading)) is not None]
        for some in ([one.reading for one in (*known.held_out, *known.training)], known.others)
    )
    return Scale.of(real, others) if real and others else None


def _seen_of(counts: Counter[str]) -> Counter[str]:
    """How often each value was seen; without those that say that there is nothing, where there is something often: a
    mark on the left cheek is on no picture from the right."""
    something = Counter({value: count for value, count in counts.items() if value not in NONE})
    return something if something.total() >= SOMETIMES * counts.total() else counts


def _hidden(name: str, real: Sequence[Reading]) -> frozenset[str | None]:
    """The views in which more real pictures show nothing of a trait than something."""
    views: dict[str | None, Counter[bool]] = {}
    for reading in real:
        if name in reading.traits:
            views.setdefault(reading.view, Counter())[reading.traits[name] in NONE] += 1
    return frozenset(view for view, seen in views.items() if seen[True] > seen[False])


def _share(counts: Counter[str]) -> float:
    return counts.most_common(1)[0][1] / counts.total()


def _is_like(seen: str | None, asked: str | None) -> bool:
    return asked is None or bin_of(seen) == bin_of(asked)
