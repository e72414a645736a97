"""Redaction: what must not get out with a release: places on somebody's disk, e-mail addresses, a person's name."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Leak", "leaks_in"]

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")  # from where a word begins: in one go
TOPS = (
    "home|Users|root|mnt|media|workspace|workspaces|work|content|tmp|var|opt|data|srv|Volumes|kaggle|scratch|storage|"
    "notebooks|app|usr|etc|private|projects?|gdrive|teamspace|nfs|nas|lustre|gpfs|beegfs|ceph|cluster|run|disks?|ssd|hdd|"
    "nvme|autodl-tmp"
)
PLACES = (
    re.compile(r"(?i)file://[^\s\"',;<>]+"),
    re.compile(rf"(?<![\w.:/])/(?:{TOPS})\d*/[^\s\"',;<>]+"),
    re.compile(r"(?<!\w)[A-Za-z]:\\{1,2}[^\s\"',;<>]+"),
    re.compile(r"(?<!\w)[A-Za-z]:/(?!/)[^\s\"',;<>]+"),
    re.compile(r"(?<![\w\\])\\{2,4}[A-Za-z0-9_.-]+\\{1,2}[^\s\"',;<>]+"),
    re.compile(r"(?<![\w/])~/[^\s\"',;<>]+"),
)
"""Paths from the root of a disk: of Unix, of Windows, of a Windows share, and of a home folder."""


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that must not get out.

    Attributes:
        where: which text it stands in.
        what: what it is: "a path", "an e-mail address", "a person's name".
        text: the words themselves, shortened.
    """

    where: str
    what: str
    text: str


def leaks_in(texts: Mapping[str, str], names: Iterable[str] = ()) -> list[Leak]:
    """What must not get out of these texts, at most one of a kind in each.

    Args:
        texts: by where they stand.
        names: full names of people who are not to be named. One of a single word is no full name, since a character
            may have it, unless its script writes names without spaces.
    """
    full = [name for name in names if len(name.split()) > 1 or _is_unspaced(name)]
    found: list[Leak] = []
    for where, written in texts.items():
        text = _unescaped(written)
        if match := next((match for place in PLACES if (match := place.search(text))), None):
            found.append(Leak(where, "a path", match[0][:80]))
        if match := EMAIL.search(text):
            found.append(Leak(where, "an e-mail address", match[0][:80]))
        found += [Leak(where, "a person's name", name) for name in full if _says(text, name)]
    return found


def _says(text: str, name: str) -> bool:
    """Whether a name stands in a text, also with other signs or none between its words, as in a file's name."""
    parts = [re.escape(part) for part in _plain(name).split()]
    told = (parts, [parts[-1], *parts[:-1]])  # "Doe, Ann" too
    orders = "|".join(r"[\W_]*".join(order) for order in told)
    around = ("", "") if _is_unspaced(name) else (r"(?<![^\W_])", r"(?![^\W_])")
    return re.search(rf"{around[0]}(?:{orders}){around[1]}", _plain(text)) is not None


def _is_unspaced(name: str) -> bool:
    """Whether it is of a script that has no capitals, as Chinese: such names are written in one."""
    return len(name) > 1 and any(letter.isalpha() and letter.lower() == letter.upper() for letter in name)


def _plain(text: str) -> str:
    """A text in which letters that look alike are alike, however they were put together."""
    return unicodedata.normalize("NFKC", text).casefold()


def _unescaped(text: str) -> str:
    """A text with JSON's escapes as the letters that they are: trainers write tables of tags so."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
