"""Curating: of all that a person has of a character, the pictures that together show it, and some to measure it by.

The order: a person's decisions; what cannot be learnt from; who is somebody else; copies, of which the best stays; what
is held out; what is chosen of the rest. Each picture's record says what became of it, and why.
"""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from likeness.dataset.choice import choose_pictures
from likeness.dataset.collect import LABELLED, collect
from likeness.dataset.copies import Copies, find_copies
from likeness.dataset.labels import Label, labelled
from likeness.dataset.looks import Look, Looks, look_at
from likeness.dataset.origins import Origin, origins
from likeness.dataset.screening import screen, strangers
from likeness.errors import RecipeError
from likeness.events import Event, Report, silent
from likeness.messages import counted
from likeness.perception import Reader
from likeness.recipe import CurateConfig
from likeness.records import Lack, Picture

__all__ = ["FEW", "Beforehand", "Curation", "curate"]

FEW = 20
"""Usable pictures below which a character LoRA learns its pictures instead of its character."""


@dataclass(frozen=True, slots=True)
class Beforehand:
    """What is known of pictures before anybody looks.

    Attributes:
        previous: records of an earlier curation; what was held out stays so, and what a person decided.
        labels: what a person says of pictures, by path.
        noted: what was noted of where pictures came from.
        sealed: ids of pictures that were held out at any time.
        lacks: what was measured to be weak in a LoRA that learnt from them.
    """

    previous: Sequence[Picture] = ()
    labels: Mapping[str, Label] = field(default_factory=dict)
    noted: Sequence[Origin] = ()
    sealed: frozenset[str] = frozenset()
    lacks: Sequence[Lack] = ()


@dataclass(frozen=True, slots=True)
class Curation:
    """What became of a pool.

    Attributes:
        pictures: a record for each file, by path.
        looks: what was seen of each.
        copies: which pictures are copies of which.
        notes: what a person should know besides, a sentence each.
        too_few: what it costs to go on, where fewer than `FEW` pictures are usable; else empty.
        lacks: as they were told beforehand.
    """

    pictures: list[Picture]
    looks: Looks
    copies: Copies
    notes: tuple[str, ...] = ()
    too_few: str = ""
    lacks: Sequence[Lack] = ()


def curate(
    images: Path,
    config: CurateConfig,
    *,
    reader: Reader,
    key: str,
    side: int,
    memory: Path,
    beforehand: Beforehand = Beforehand(),
    report: Report = silent,
) -> Curation:
    """A record for every picture file of a pool: to train on, held out or rejected, each with its reason.

    The same pool, config and reader give the same records, but for pictures that were held out before: they stay.

    Args:
        images: the folder of originals; they are only read.
        config: of this stage.
        reader: looks at pictures.
        key: what the reader is and how it is set, for the memory.
        side: px of the square that is trained on.
        memory: a folder to keep looks and digests in; it may be deleted at any time.
        beforehand: what is known already.
        report: told of each picture that is looked at, and what was found.

    Raises:
        PictureError: where there is no picture at all.
        RecipeError: where a reference is not a picture of the pool.
        WorkspaceError: where the folder is missing, or the memory cannot be written.
    """
    records = collect(images, memory=memory / "digests.json", previous=beforehand.previous, sealed=beforehand.sealed)
    files = {record.id: images / record.path for record in reversed(records)}
    looks = look_at(files, reader=reader, key=key, side=side, memory=memory / "looks.safetensors", report=report)
    known = origins(images, beforehand.noted, ids={record.path: record.id for record in records})
    pictures = _each_once([_seen(record, looks.looks[record.id], beforehand, known) for record in records])
    if config.choose == "all":
        return _told(_by_hand(pictures, looks), report)
    pictures, notes = _screened(pictures, looks, config, reader=reader, side=side)
    banned = [one for one in pictures if one.use == "rejected" and one.decided_by == "person"]
    copies = find_copies([*_usable(pictures), *banned], looks)
    pictures = copies.marked(pictures)
    usable = _usable(pictures)
    pictures, held_note = choose_pictures(pictures, config)
    price = _price(len(usable))
    return _told(Curation(pictures, looks, copies, (*notes, *held_note), price, beforehand.lacks), report)


def _told(curation: Curation, report: Report) -> Curation:
    """The same, when its counts and notes were reported."""
    total, uses = len(curation.pictures), Counter(one.use for one in curation.pictures)
    counts = f"{uses['train']} to train on, {uses['held-out']} held out, {uses['rejected']} rejected"
    for words in (counts, *curation.notes):
        report(Event(stage="curate", done=total, total=total, note=words))
    return curation


def _seen(record: Picture, look: Look, beforehand: Beforehand, known: Mapping[str, Origin]) -> Picture:
    """The record with what was seen, what a person says of it, and where it came from."""
    told = {"width": look.width, "height": look.height, "made_by": look.made_by, "scores": _scores(look)}
    told["reading"] = look.reading
    if origin := known.get(record.path):
        said = {"source": origin.source, "rights": origin.rights, "repeats": origin.repeats}
        told |= {name: value for name, value in said.items() if value}
    if label := beforehand.labels.get(record.path):
        told["reading"] = labelled(look.reading, label)
        if label.use:
            told |= {"use": label.use, "decided_by": "person", "reason": LABELLED, "fault": ""}
            told["fault"] = "person" if label.use == "rejected" else ""
    picture = record.model_copy(update=told)
    return picture.rejected(look.fault, look.words) if look.fault else picture  # nobody can learn from such a file


def _each_once(pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures; of files with the same bytes, the others go where a person decided about one."""
    decided = {one.id: one.path for one in pictures if one.decided_by == "person"}
    return [
        one
        if decided.get(one.id, one.path) == one.path or one.use == "rejected" or one.decided_by == "person"
        else one.rejected("exact duplicate", f"the same file as {decided[one.id]}, about which you decided")
        for one in pictures
    ]


def _scores(look: Look) -> dict[str, float]:
    """How good a picture is in each respect, 1 being as good as can be."""
    if look.fault:
        return {}
    found = look.measures
    return {
        "sharpness": round(max(0.0, 1 - found["blur"]), 3),
        "compression": round(found["jpeg"] / 100, 3),
        "light": round(min(1.0, 2 * found["light"], 2 * (1 - found["shade"])), 3),
        "contrast": round(min(1.0, found["contrast"] / 0.15), 3),  # 0.15: a picture of usual contrast
    }


def _by_hand(pictures: Sequence[Picture], looks: Looks) -> Curation:
    """A set that was chosen by hand: all of it, but no copy of what a person holds out."""
    unsealed = sum(one.use == "held-out" and one.decided_by != "person" for one in pictures)
    notes = (f"{unsealed} pictures that were held out are trained on now: curate.choose = 'all'.",) if unsealed else ()
    taken = [_as_it_is(one) for one in pictures]
    held = {one.id for one in taken if one.use == "held-out"}
    found = find_copies(_usable(taken), looks) if held else Copies()
    copies = Copies({id: copy for id, copy in found.of.items() if copy.kept in held}, found.scenes)
    return Curation(copies.marked(taken), looks, copies, notes)


def _as_it_is(picture: Picture) -> Picture:
    """For a set that was chosen by hand: all of it, but what cannot be read and what is there twice."""
    if picture.use == "rejected" or picture.decided_by == "person":
        return picture
    return picture.model_copy(update={"use": "train", "reason": "curate.choose = 'all'"})


def _usable(pictures: Sequence[Picture]) -> list[Picture]:
    return [one for one in pictures if one.use != "rejected"]


def _screened(
    pictures: Sequence[Picture], looks: Looks, config: CurateConfig, *, reader: Reader, side: int
) -> tuple[list[Picture], list[str]]:
    """The pictures, those rejected that are not good enough or show somebody else, and notes; a person's decision
    stays."""
    seen = {one.id: looks.looks[one.id].model_copy(update={"reading": one.reading}) for one in pictures}
    faults = {id: found for id, look in seen.items() if not look.fault and (found := screen(look, config.screen, side))}
    notes: list[str] = []
    if config.screen.stranger:
        good = [one for one in _usable(pictures) if one.id not in faults or one.decided_by == "person"]
        others, notes = _others(good, config, reader)
        faults = others | faults
    return [_rejected(one, faults) for one in pictures], notes


def _rejected(picture: Picture, faults: Mapping[str, tuple[str, str]]) -> Picture:
    if picture.use == "rejected" or picture.decided_by == "person" or picture.id not in faults:
        return picture
    return picture.rejected(*faults[picture.id])


def _others(
    good: Sequence[Picture], config: CurateConfig, reader: Reader
) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Who is somebody else, by id, with the reason; and a note where nobody can tell."""
    _check_references(config.references, [one.path for one in good])
    if reader.same_character is None:
        told = " and has no use for curate.references" if config.references else ""
        name = next((f" {one.reading.instrument!r}" for one in good if one.reading), "")
        return {}, [f"The reader{name} does not know characters apart{told}: look yourself for somebody else."]
    known = {one.id: one.reading.embedding for one in good if one.reading and one.reading.embedding}
    references = [one.id for one in good if one.path in config.references]
    found = strangers(known, same=reader.same_character, references=references)
    if found is None:
        return {}, [
            "No character is on half of the pictures, so nobody can tell who is meant. Name a few pictures that surely "
            "show the character in curate.references."
        ]
    same = reader.same_character
    return {
        id: ("other character", f"likeness {value:.2f} to the character, who begins at {same:.2f}")
        for id, value in found.items()
    }, []


def _check_references(references: Sequence[str], known: Sequence[str]) -> None:
    for path in references:
        if path not in known:
            close = difflib.get_close_matches(path, known, n=1)
            raise RecipeError(
                f"curate.references: {path!r} is no good picture of this pool"
                f"{f'; did you mean {close[0]!r}?' if close else '.'} Name pictures by their path in images/."
            )


def _price(usable: int) -> str:
    """What it costs to go on with so few; empty where they are enough."""
    if usable >= FEW:
        return ""
    return (
        f"Only {counted(usable, 'picture is', 'pictures are')} usable, and {FEW} are wanted. With fewer, a LoRA "
        "learns its pictures by heart: poses and backgrounds come back, and views that are missing stay unlike."
    )
