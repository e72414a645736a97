"""Names: which pictures of a pool a person means by what was typed."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from likeness.errors import WorkspaceError
from likeness.messages import listed

__all__ = ["pictures_meant"]


def pictures_meant(name: str, known: Sequence[str], images: Path) -> list[str]:
    """The pictures that a person means, at least one: what fits first of a path in `images/`, also written from here,
    a pattern, and the last part of one path alone.

    Args:
        name: as it was typed. One with a folder in it never stands for a picture of another folder.
        known: paths in `images/`.
        images: the folder of originals.

    Raises:
        WorkspaceError: where it is none of these, or the last part of several paths.
    """
    here = Path(name).absolute()
    place = here.relative_to(images).as_posix() if images in here.parents else name
    if found := [place] if place in known else [path for path in known if fnmatchcase(path, place)]:
        return found
    namesakes = [path for path in known if path.rpartition("/")[2] == name.rpartition("/")[2]]
    if namesakes and "/" not in name:
        if len(namesakes) > 1:
            raise WorkspaceError(f"{name!r} could be any of {listed(namesakes)}. Write the path from {images} on.")
        return namesakes
    close = namesakes or difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else "."
    raise WorkspaceError(f"There is no picture {name!r} in {images}{meant} A star stands for anything: 'raw/*.png'.")
