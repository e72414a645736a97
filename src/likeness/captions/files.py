"""Caption files: what a person wrote beside a picture. They are only read."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from likeness.captions.tags import is_prose, split_tags
from likeness.errors import WorkspaceError
from likeness.messages import listed
from likeness.records import Picture

__all__ = ["PLACEHOLDER", "Written", "read_written", "stands_in"]

TEXTS, TABLE = (".txt", ".caption"), ".json"
PLACEHOLDER = "[trigger]"
"""Where a caption has it, the trigger goes; as in ai-toolkit."""


@dataclass(frozen=True, slots=True)
class Written:
    """A person's caption.

    Attributes:
        file: its name.
        tags: the phrases of a caption of tags; none where it is sentences.
        prose: the sentences; empty where it is tags.
        has_trigger: whether the trigger, or `PLACEHOLDER`, stands in it.
    """

    file: str
    tags: tuple[str, ...]
    prose: str
    has_trigger: bool


def read_written(
    wanted: Sequence[Picture], pictures: Iterable[Picture], images: Path, *, trigger: str
) -> dict[str, Written]:
    """The caption file of each picture that has one, by the picture's id.

    A caption file is `NAME.txt`, `NAME.caption` or `NAME.json` beside `NAME.png`. A JSON file holds `caption`, `tags`
    or both; one that holds neither is about something else and is passed over.

    Args:
        wanted: the pictures whose captions are needed.
        pictures: all of the folder, those of rejected pictures too.
        images: the folder that the records' paths start from.
        trigger: stands in for `PLACEHOLDER`.

    Raises:
        WorkspaceError: for a caption file without its picture, two for one picture, or one that cannot be read.
    """
    files = _caption_files(images)
    stems = {_stem(picture) for picture in pictures}
    texts = [(stem, path) for stem, paths in files.items() for path in paths if path.suffix.lower() in TEXTS]
    alone = [path.relative_to(images).as_posix() for stem, path in texts if stem not in stems]
    if alone:
        raise WorkspaceError(
            f"{listed(alone)} in {images}: a caption file without its picture. Give it the name of its picture, or "
            "move it elsewhere."
        )
    written = {}
    for picture in wanted:
        known = [(path, said) for path in files.get(_stem(picture), []) if (said := _said(path)) is not None]
        if len(known) > 1:
            names = " and ".join(path.name for path, _ in known)
            raise WorkspaceError(f"{picture.path} has two caption files, {names}. Keep one.")
        for path, (tags, text) in known:
            written[picture.id] = _written(path.name, tags, text, trigger)
    return written


def _stem(picture: Picture) -> str:
    return PurePosixPath(picture.path).with_suffix("").as_posix()


def _caption_files(images: Path) -> dict[str, list[Path]]:
    """What may be a caption, by the path that it shares with its picture, without the suffix."""
    files: dict[str, list[Path]] = {}
    for path in sorted(images.rglob("*")):
        place = path.relative_to(images)
        is_ours = path.suffix.lower() in (*TEXTS, TABLE)
        if is_ours and path.is_file() and not any(part.startswith(".") for part in place.parts):
            files.setdefault(place.with_suffix("").as_posix(), []).append(path)
    return files


def _said(path: Path) -> tuple[tuple[str, ...], str] | None:
    """The tags and the text of a caption file; None for a JSON file that is no caption."""
    text = _text(path)
    if path.suffix.lower() != TABLE:
        return (), text
    try:
        table = json.loads(text)
    except ValueError as fault:
        raise WorkspaceError(f"{path} is not JSON: {fault}. Mend it, or move it elsewhere.") from fault
    if not isinstance(table, dict) or not {"caption", "tags"} & table.keys():
        return None
    told, tags = table.get("caption", ""), table.get("tags", "")
    if not isinstance(told, str) or not _is_tags(tags):
        raise WorkspaceError(f'{path}: "caption" is to be text, and "tags" text or a list of texts. Mend the file.')
    return split_tags(tags if isinstance(tags, str) else ",".join(tags)), told


def _is_tags(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(tag, str) for tag in value))


def stands_in(text: str, word: str) -> bool:
    """Whether a word stands in a text by itself: "mira" does not in "an admiral"."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _written(file: str, tags: Sequence[str], text: str, trigger: str) -> Written:
    has_trigger = any(PLACEHOLDER in part or stands_in(part, trigger) for part in (text, *tags))
    called, text = [tag.replace(PLACEHOLDER, trigger) for tag in tags], text.replace(PLACEHOLDER, trigger)
    prose = " ".join(text.split()) if is_prose(text) or (tags and text.strip()) else ""
    return Written(file, tuple(called) if prose else (*called, *split_tags(text)), prose, has_trigger)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise WorkspaceError(f"{path} is not a text file in UTF-8. Save it as UTF-8, or remove it.") from fault
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
