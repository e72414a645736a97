"""Messages: how what many things have in common is told in one line."""

from collections.abc import Sequence

__all__ = ["listed"]


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names and how many more there are, for a message: "a.png, b.png, c.png and 2 more".

    Args:
        most: names that are told; who has more to mend sees the others by and by.
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
