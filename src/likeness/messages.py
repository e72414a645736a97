"""Messages: how what many things have in common is told in one line, and their number."""

from collections.abc import Sequence

__all__ = ["counted", "listed"]


def counted(number: int, one: str, many: str) -> str:
    """A number with the words that go with it: "1 picture is" and "2 pictures are"; none takes those of many."""
    return f"{number} {one if number == 1 else many}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names and how many more there are, for a message: "a.png, b.png, c.png and 2 more".

    Args:
        most: names that are told; who has more to mend sees the others by and by.
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
