"""Captioning: what a person wrote beside a picture, or what an instrument saw in it."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from likeness.captions.tags import SCENE, plain_tags, split_tags
from likeness.errors import RecipeError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.images import cropped
from likeness.perception import Reader
from likeness.recipe import CaptionConfig
from likeness.records import Caption, Picture, Reading

__all__ = ["TagsOf", "caption"]

SUFFIXES = (".txt", ".caption")
READ_AT_ONCE = 8  # pictures; enough to keep a small network busy, and 8 of 24 megapixels are 600 MB
NAMED = 3  # paths in a message; who has more to mend sees them by and by

TagsOf = Callable[[Mapping[str, str]], Sequence[str]]
"""Tags, in the words of a base, for what was seen: field of the scene or name of a trait, to its value."""


def caption(
    pictures: Sequence[Picture],
    config: CaptionConfig,
    *,
    images: Path,
    front: Sequence[str],
    reader: Reader | None = None,
    tags_of: TagsOf | None = None,
    report: Report = silent,
) -> list[Caption]:
    """A caption for each picture that is not rejected: `front`, then what its file says or what a reader sees.

    A caption file is `NAME.txt` or `NAME.caption` beside `NAME.png`; it is only read. A reader's scene is said, so that
    it stays free; what belongs to the character is not, so that the trigger takes it (but see `config`).

    Args:
        pictures: records, those of rejected pictures too.
        config: of this stage.
        images: the folder that the records' paths start from.
        front: what every caption begins with; `front_tags` makes it.
        reader: looks at pictures whose records hold no reading yet.
        tags_of: words for what was seen; by default `plain_tags`.
        report: told of each caption.

    Raises:
        WorkspaceError: for a caption file without its picture, two for one picture, one that is no text, or none where
            one is needed; all such files are counted and the first are named.
        RecipeError: where a reader is needed and there is none, or `config.say` names what no reading has.
        PictureError: where a reader is to look at a picture that cannot be read, or whose crop leaves nothing of it.
    """
    wanted = [picture for picture in pictures if picture.use != "rejected"]
    written = {} if config.source == "reader" else _written(wanted, pictures, images)
    unwritten = [picture for picture in wanted if picture.id not in written]
    if config.source == "files" and unwritten:
        raise WorkspaceError(
            f"caption.source = 'files', but {_named(unwritten)} no caption file. Write NAME.txt beside each NAME.png, "
            "or set caption.source = 'auto'."
        )
    readings = _readings(unwritten, reader, images)
    _check_said(config, readings)
    captions = []
    for done, picture in enumerate(wanted, start=1):
        if picture.id in written:
            tags, author = written[picture.id], "person"
        else:
            reading = readings[picture.id]
            tags, author = (tags_of or plain_tags)(_said(reading, config)), reading.instrument
        captions.append(_caption(picture, front, tags, config=config, author=author))
        report(Event(stage="caption", done=done, total=len(wanted)))
    return captions


def _caption(
    picture: Picture, front: Sequence[str], tags: Sequence[str], *, config: CaptionConfig, author: str
) -> Caption:
    rest = [tag for tag in (*config.add, *tags) if tag not in config.drop]
    together = tuple(dict.fromkeys((*front, *rest)))  # a person may have written the trigger too
    return Caption(picture=picture.id, tags=together, text=", ".join(together), written_by=author)


def _written(wanted: Sequence[Picture], pictures: Sequence[Picture], images: Path) -> dict[str, tuple[str, ...]]:
    """The tags of every caption file, by the id of its picture."""
    files: dict[str, list[Path]] = {}  # by the path that they share with their picture, without the suffix
    for path in sorted(images.rglob("*")):
        place = path.relative_to(images)
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in place.parts):
            files.setdefault(place.with_suffix("").as_posix(), []).append(path)
    stems = {PurePosixPath(picture.path).with_suffix("").as_posix() for picture in pictures}
    alone = [path.relative_to(images).as_posix() for stem in files if stem not in stems for path in files[stem]]
    if alone:
        raise WorkspaceError(
            f"{_listed(alone)} in {images}: a caption file without its picture. Give it the name of its picture, or "
            "move it elsewhere."
        )
    tags = {}
    for picture in wanted:
        present = files.get(PurePosixPath(picture.path).with_suffix("").as_posix(), [])
        if len(present) > 1:
            names = " and ".join(path.name for path in present)
            raise WorkspaceError(f"{picture.path} has two caption files, {names}. Keep one.")
        if present:
            tags[picture.id] = split_tags(_text(present[0]))
    return tags


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise WorkspaceError(f"{path} is not a text file in UTF-8. Save it as UTF-8, or remove it.") from fault
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault


def _readings(unwritten: Sequence[Picture], reader: Reader | None, images: Path) -> dict[str, Reading]:
    """What was seen in each picture: by its record, or by the reader now."""
    readings = {picture.id: picture.reading for picture in unwritten if picture.reading is not None}
    unread = [picture for picture in unwritten if picture.id not in readings]
    if unread and reader is None:
        raise RecipeError(
            f"{_named(unread)} no caption file, and there is no reader to look. Write NAME.txt beside each NAME.png."
        )
    for start in range(0, len(unread), READ_AT_ONCE):
        some = unread[start : start + READ_AT_ONCE]
        assert reader is not None
        seen = reader.read([cropped(images / picture.path, picture.crop) for picture in some])
        readings |= {picture.id: reading for picture, reading in zip(some, seen, strict=True)}
    return readings


def _said(reading: Reading, config: CaptionConfig) -> dict[str, str]:
    """What a caption says of a reading, by name: the scene, and the traits that stay free, if it is sure."""
    seen = {name: value for name in SCENE if (value := getattr(reading, name)) is not None}
    seen |= {name: value for name, value in reading.traits.items() if config.traits == "say" or name in config.say}
    return {name: value for name, value in seen.items() if reading.confidence.get(name, 1.0) >= config.min_confidence}


def _check_said(config: CaptionConfig, readings: Mapping[str, Reading]) -> None:
    known = {name for reading in readings.values() for name in reading.traits}
    for name in config.say if known else ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise RecipeError(
                f"caption.say: {name!r} was seen in no picture{f'; did you mean {close[0]!r}?' if close else '.'} "
                f"Use any of {', '.join(sorted(known))}."
            )


def _named(pictures: Sequence[Picture]) -> str:
    """ "3 pictures (a.png, b.png, c.png) have"."""
    listed = _listed([picture.path for picture in pictures])
    return f"1 picture ({listed}) has" if len(pictures) == 1 else f"{len(pictures)} pictures ({listed}) have"


def _listed(paths: Sequence[str]) -> str:
    more = len(paths) - NAMED
    return ", ".join(paths[:NAMED]) + (f" and {more} more" if more > 0 else "")
