"""Origins: where each picture came from, under which rights, and how often a pass is to show it. Nothing is decoded."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from pydantic import Field

from likeness.errors import WorkspaceError
from likeness.images import SUFFIXES
from likeness.records import Record, Sha256

__all__ = ["Origin", "files_in", "origins", "repeats_in", "said_beside", "said_in"]

SOURCE_KEYS = ("source", "source_url", "post_url", "page_url", "webpage_url", "url", "file_url")
RIGHTS_KEYS = ("rights", "licence", "license")
AUTHOR_KEYS = ("author", "artist", "artists", "creator", "photographer", "tag_string_artist")
"""What people and downloaders (gallery-dl, boorus) call these facts; the first that says something is taken.

`copyright` is not among them: boorus name the work there that a character comes from.
"""

MAX_SIDECAR = 1_000_000  # bytes; what a downloader notes of one picture has some 10,000
MAX_WORDS = 500  # letters of a source or licence; an address has 100, and it is read in tables
MAX_REPEATS = 500  # more is no repeat but a year or a number: "2024_summer"


class Origin(Record):
    """Where a picture came from.

    Attributes:
        path: relative to `images/`, with forward slashes.
        sha256: of the file's bytes; None where nobody has looked.
        source: where it came from, in words or as an address; empty where nobody said.
        rights: the licence or permission it is used under; empty where nobody said.
        repeats: how often a pass shows it.
    """

    path: str
    sha256: Sha256 | None = None
    source: str = ""
    rights: str = ""
    repeats: int = Field(default=1, ge=1)


def origins(
    images: Path, recorded: Sequence[Origin] = (), *, ids: Mapping[str, str] | None = None
) -> dict[str, Origin]:
    """Where every picture of a folder came from, by path, also where all that is known is that it is there.

    For each fact, the first that says something: the JSON beside the picture, as the most particular; `recorded`; for
    repeats, the nearest folder that is named `N_name`, as kohya's are.

    Args:
        images: the folder of originals.
        recorded: what was noted when pictures were added.
        ids: sha256 by path, where known. A record then follows a file that was renamed, and is no longer believed of
            one whose bytes have changed.

    Raises:
        WorkspaceError: for a JSON file beside a picture that is none.
    """
    at = {origin.path: origin for origin in recorded}
    of: dict[str, Origin] = {origin.sha256: origin for origin in recorded if origin.sha256}
    found = {}
    for folder, names in files_in(images):
        present = frozenset(names)
        place = "" if folder == images else folder.relative_to(images).as_posix() + "/"
        repeats = repeats_in(place)
        for name in names:
            if PurePath(name).suffix.lower() in SUFFIXES:
                path = place + name
                id = ids.get(path) if ids else None
                said = said_beside(folder, name, present)
                found[path] = _merged(path, id, said, _known(at.get(path), of, id), repeats)
    return dict(sorted(found.items()))


def _known(here: Origin | None, of: Mapping[str, Origin], id: str | None) -> Origin | None:
    """The record of this file: by its path, unless that is of other bytes; else by its bytes."""
    if here and not (id and here.sha256 and here.sha256 != id):
        return here
    elsewhere = of.get(id) if id else None  # it was renamed: the folder that it is in now says how often it is shown
    return Origin(path=elsewhere.path, source=elsewhere.source, rights=elsewhere.rights) if elsewhere else None


def _merged(path: str, id: str | None, said: tuple[str, str], known: Origin | None, repeats: int) -> Origin:
    source, rights = said
    if known is None:
        return Origin(path=path, sha256=id, source=source, rights=rights, repeats=repeats)
    return Origin(
        path=path,
        sha256=id or known.sha256,
        source=source or known.source,
        rights=rights or known.rights,
        repeats=known.repeats if "repeats" in known.model_fields_set else repeats,
    )


def files_in(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder in a folder, itself too, with the names of its files, by name; hidden ones are left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(place), sorted(name for name in names if not name.startswith("."))


def repeats_in(path: str) -> int:
    """How often kohya's trainer would show "10_mira 1girl/a.png": 10 times; by the nearest such folder."""
    for name in reversed(path.split("/")[:-1]):
        if (match := re.match(r"([1-9]\d{0,3})_.", name)) and int(match[1]) <= MAX_REPEATS:
            return int(match[1])
    return 1


def said_beside(folder: Path, name: str, present: frozenset[str]) -> tuple[str, str]:
    """The source and rights that `NAME.json` or `NAME.png.json` beside `NAME.png` tells; empty where nothing is said.

    Args:
        folder: where the picture lies.
        name: of its file.
        present: the names of all files there.

    Raises:
        WorkspaceError: for such a file that is no JSON object.
    """
    beside = [note for note in (f"{PurePath(name).stem}.json", f"{name}.json") if note in present]
    said = [said_in(folder / note) for note in beside]
    return next((source for source, _ in said if source), ""), next((rights for _, rights in said if rights), "")


def said_in(path: Path) -> tuple[str, str]:
    """The source and rights that a JSON file tells of its picture; empty where it says nothing of them.

    Raises:
        WorkspaceError: where it cannot be read, or is no JSON.
    """
    try:
        if path.stat().st_size > MAX_SIDECAR:
            raise WorkspaceError(f"{path} has more than {MAX_SIDECAR // 1000} kB: too much for notes on one picture.")
        facts = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as fault:
        raise WorkspaceError(f"{path} is beside a picture, but no JSON: {fault}. Mend or remove it.") from fault
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    if not isinstance(facts, dict):
        return "", ""  # a caption in a form of its own, say
    author, source = (_first(facts, keys) for keys in (AUTHOR_KEYS, SOURCE_KEYS))
    return ", ".join(filter(None, (author, source))), _first(facts, RIGHTS_KEYS)


def _first(facts: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((words for key in keys if (words := _words(facts.get(key)))), "")


def _words(value: Any) -> str:
    """Text on one line; of a list its texts, of an object its name. A number says nothing: sites number licences."""
    if isinstance(value, str):
        return " ".join("".join(letter if letter.isprintable() else " " for letter in value).split())[:MAX_WORDS]
    if isinstance(value, list):
        return ", ".join(filter(None, (_words(part) for part in value if isinstance(part, str))))[:MAX_WORDS]
    return _words(value["name"]) if isinstance(value, dict) and isinstance(value.get("name"), str) else ""
