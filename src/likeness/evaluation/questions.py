"""Questions: what a person is asked of pictures, what they answer, and the key that knows who drew what."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Literal

from likeness.records import Record

__all__ = ["Answers", "Item", "Key", "Pair", "Preferred", "Said", "Side", "Tick"]

Said = Literal["yes", "no", "cannot tell"]
"""Whether a picture shows a trait as it should be."""

Preferred = Literal["left", "right", "no difference"]
"""Which picture is more like the character."""


class Item(Record):
    """A trait that a person looks at.

    Attributes:
        name: of the trait, as the reader says it.
        wanted: the value that it should have.
    """

    name: str
    wanted: str


class Side(Record):
    """One of the two drawn pictures of a pair.

    Attributes:
        who: drew it.
        picture: where it lies, relative to the workspace.
        values: what each axis says of it.
    """

    who: str
    picture: str
    values: dict[str, float]


class Pair(Record):
    """Two pictures of one prompt and one noise, and a real one between them.

    Attributes:
        id: of the question.
        left: the picture on the left.
        right: that on the right.
        real: where the real picture lies, relative to the workspace.
        repeats: id of the pair that this is once more, with sides swapped; empty for a new one.
    """

    id: str
    left: Side
    right: Side
    real: str
    repeats: str = ""


class Tick(Record):
    """A picture of which a person says whether a trait is right.

    Attributes:
        id: of the question.
        item: the trait.
        who: drew it; empty for a real picture of the character.
        picture: where it lies, relative to the workspace.
        seen: what the reader says.
    """

    id: str
    item: Item
    who: str
    picture: str
    seen: Said = "cannot tell"


class Key(Record):
    """Who drew what of a page's pictures; a person reads it when all is answered.

    Attributes:
        page: digest of all that the page asks and shows: answers of another page are told by it.
        first: one adapter.
        second: the other one; the ticks are of its pictures.
        chosen: the one that the evaluation chose; empty where it refused each.
        sha256: of the file of that one, or where there is none of the record of all pictures.
        pairs: in the order in which they are asked.
        ticks: likewise, after the pairs; those of an item beside each other.
    """

    page: str = ""
    first: str
    second: str
    chosen: str = ""
    sha256: str = ""
    pairs: tuple[Pair, ...]
    ticks: tuple[Tick, ...]

    @property
    def pictures(self) -> list[str]:
        """Where each picture that the page shows lies, in the order of their first appearance."""
        shown = [place for one in self.pairs for place in (one.left.picture, one.real, one.right.picture)]
        return list(dict.fromkeys([*shown, *(one.picture for one in self.ticks)]))

    def sealed(self, addresses: Mapping[str, str]) -> "Key":
        """The same, with the digest of the page that shows these pictures.

        Args:
            addresses: of each picture, as the page has it.
        """
        told = [self.model_dump_json(exclude={"page"}), *(addresses[place] for place in self.pictures)]
        return self.model_copy(update={"page": sha256("\n".join(told).encode()).hexdigest()[:16]})


class Answers(Record):
    """What a person said, as the page saves it.

    Attributes:
        page: digest of the page.
        pairs: by question, which side is more like the character.
        ticks: by question, whether the trait is right.
    """

    page: str
    pairs: dict[str, Preferred]
    ticks: dict[str, Said]
