"""Captioning: what a person wrote beside a picture, or what an instrument saw in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from likeness.captions.files import Written, read_written, stands_in
from likeness.captions.seen import scene_seen, tagged_traits, traits_seen
from likeness.captions.sentences import sentence
from likeness.captions.tags import booru_tags, escaped, ordered, plain_tags, scene_words
from likeness.captions.traits import TraitPlan, plan_traits
from likeness.captions.words import kind_of
from likeness.errors import RecipeError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.images import cropped
from likeness.messages import listed
from likeness.perception import Reader
from likeness.recipe import CaptionConfig
from likeness.records import Caption, Picture, Reading

__all__ = ["Captioned", "TagsOf", "caption"]

READ_AT_ONCE = 8  # pictures; enough to keep a small network busy, and 8 of 24 megapixels are 600 MB

TagsOf = Callable[[Mapping[str, str]], Sequence[str]]
"""Tags, in the words of a base, for what was seen: field of the scene or name of a trait, to its value."""


@dataclass(frozen=True, slots=True)
class Captioned:
    """What the stage made.

    Attributes:
        captions: one for each picture that is not rejected.
        plan: what the captions say of the character, and what they leave to the trigger.
    """

    captions: list[Caption]
    plan: TraitPlan


@dataclass(frozen=True, slots=True)
class _Words:
    """A caption before it is put together: phrases, sentences or both, and which phrases are words for outfits."""

    tags: tuple[str, ...]
    prose: str = ""
    worn: tuple[str, ...] = ()


def caption(
    pictures: Sequence[Picture],
    config: CaptionConfig,
    *,
    images: Path,
    front: Sequence[str],
    reader: Reader | None = None,
    tags_of: TagsOf | None = None,
    report: Report = silent,
) -> Captioned:
    """A caption for each picture that is not rejected: `front`, then what its file says or what was seen in it.

    A person's caption file is only read (see `read_written`). Of what was seen the scene is said, so that it stays
    free; of the character, what the trait plan exposes.

    Args:
        pictures: records, those of rejected pictures too.
        config: of this stage.
        images: the folder that the records' paths start from.
        front: what every caption begins with; `front_tags` makes it.
        reader: looks at pictures that have no caption file and whose records hold no reading.
        tags_of: words for what was seen; by default `plain_tags`.
        report: told of each caption.

    Raises:
        WorkspaceError: for a caption file that is at fault, or where one is needed; such files are counted and the
            first are named.
        RecipeError: where a reader is needed and there is none, where one saw nothing that can be said, or where
            `config.plan` names what was never seen.
        PictureError: where a reader is to look at a picture that cannot be read, or whose crop leaves nothing of it.
    """
    wanted = [picture for picture in pictures if picture.use != "rejected"]
    is_read = config.source != "reader"
    written = read_written(wanted, pictures, images, trigger=front[0]) if is_read else {}
    unwritten = [picture for picture in wanted if picture.id not in written]
    if config.source == "files" and unwritten:
        raise WorkspaceError(
            f"caption.source = 'files', but {_named(unwritten)} no caption file. Write NAME.txt beside each NAME.png, "
            "or set caption.source = 'auto'."
        )
    readings = {picture.id: picture.reading for picture in wanted if picture.reading is not None}
    readings |= _read([picture for picture in unwritten if picture.id not in readings], reader, images)
    _check_sayable(unwritten, readings, config)
    learnt = [readings[picture.id] for picture in wanted if picture.use == "train" and picture.id in readings]
    plan = plan_traits(learnt, config, trigger=front[0])
    captions = []
    for done, picture in enumerate(wanted, start=1):
        if picture.id in written:
            words, author = _by_person(written[picture.id], front, config), "person"
        else:
            reading = readings[picture.id]
            words, author = _by_reading(reading, plan, config, tags_of or plain_tags), reading.instrument
            words = _with_sentence(_without(words, config, front), front, config)
        captions.append(_caption(picture, front, _without(words, config, front), config=config, author=author))
        report(Event(stage="caption", done=done, total=len(wanted)))
    return Captioned(captions, plan)


def _read(unread: Sequence[Picture], reader: Reader | None, images: Path) -> dict[str, Reading]:
    """What the reader sees in pictures of which nobody knows anything."""
    if unread and reader is None:
        raise RecipeError(
            f"{_named(unread)} no caption file, and there is no reader to look. Write NAME.txt beside each NAME.png."
        )
    readings: dict[str, Reading] = {}
    for start in range(0, len(unread), READ_AT_ONCE):
        some = unread[start : start + READ_AT_ONCE]
        assert reader is not None
        seen = reader.read([cropped(images / picture.path, picture.crop) for picture in some])
        readings |= {picture.id: reading for picture, reading in zip(some, seen, strict=True)}
    return readings


def _check_sayable(unwritten: Sequence[Picture], readings: Mapping[str, Reading], config: CaptionConfig) -> None:
    """A caption of nothing but the trigger would bind all of the picture to it, and is never written unasked."""
    mute = [picture for picture in unwritten if not _is_sayable(readings[picture.id], config)]
    if mute:
        raise RecipeError(
            f"{_named(mute)} no caption file, and {readings[mute[0].id].instrument!r} saw nothing there that can be "
            f"said with caption.min_confidence = {config.min_confidence:g}. Write NAME.txt beside each NAME.png, or "
            "set perception.reader to 'photo' or 'anime', which see views and traits (likeness models list)."
        )


def _is_sayable(reading: Reading, config: CaptionConfig) -> bool:
    return bool(
        scene_seen(reading, config.min_confidence)
        or traits_seen(reading, config, config.min_confidence)
        or booru_tags(reading.tags, threshold=config.tag_threshold)
    )


def _by_person(written: Written, front: Sequence[str], config: CaptionConfig) -> _Words:
    prose = " ".join(filter(None, [written.prose, ", ".join(config.add)])) if written.prose else ""
    if prose and not stands_in(prose, front[0]):
        prose = f"{', '.join(front)}, {prose}"
    return _Words((*config.add, *written.tags) if written.tags else () if prose else config.add, prose)


def _by_reading(reading: Reading, plan: TraitPlan, config: CaptionConfig, tags_of: TagsOf) -> _Words:
    """What a caption says of a reading: words for outfits, traits that stay free, then the scene."""
    scene, traits = scene_seen(reading, config.min_confidence), traits_seen(reading, config, config.min_confidence)
    worn = tuple(plan.triggers[told] for told in traits.items() if told in plan.triggers)
    tagged = tagged_traits(reading.tags, config.tag_threshold)
    free = {
        name: value
        for name, value in traits.items()
        if plan.decision_on(name) != "absorb" and (name, value) not in plan.triggers
    }
    named = {name: value for name, value in free.items() if name in reading.traits}
    if not reading.tags:
        return _Words((*worn, *config.add, *tags_of({**scene, **named})), worn=worn)
    said = booru_tags(reading.tags, threshold=config.tag_threshold)
    said = [tag for tag in said if tag not in tagged or free.get(tagged[tag]) == tag]
    kinds = {kind_of(tag) for tag in said}
    said += [*tags_of(named), *scene_words({name: value for name, value in scene.items() if name not in kinds})]
    return _Words((*worn, *config.add, *ordered(said, {**reading.tags})), worn=worn)


def _without(words: _Words, config: CaptionConfig, front: Sequence[str]) -> _Words:
    return replace(words, tags=tuple(tag for tag in words.tags if tag not in config.drop and tag not in front))


def _with_sentence(words: _Words, front: Sequence[str], config: CaptionConfig) -> _Words:
    if config.format == "tags":
        return words
    return replace(words, prose=sentence(front, words.tags, [word for word in words.worn if word in words.tags]))


def _caption(picture: Picture, front: Sequence[str], words: _Words, *, config: CaptionConfig, author: str) -> Caption:
    together = tuple(dict.fromkeys((*front, *words.tags)))  # a person may have written the trigger too
    text = ", ".join(map(escaped, together) if config.escape and author != "person" else together)
    prose = words.prose
    if prose and (config.format == "sentence" or not words.tags):
        text = prose
    elif config.format == "tags":
        prose = ""
    return Caption(picture=picture.id, tags=together, text=text, sentence=prose, written_by=author)


def _named(pictures: Sequence[Picture]) -> str:
    """ "3 pictures (a.png, b.png, c.png) have"."""
    paths = listed([picture.path for picture in pictures])
    return f"1 picture ({paths}) has" if len(pictures) == 1 else f"{len(pictures)} pictures ({paths}) have"
