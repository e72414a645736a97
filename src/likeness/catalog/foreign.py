"""Files of others: what a LoRA's own notes and the sidecars beside it say, as the card that we would have written.

Nothing of it is trusted: what is not of the form that its tool writes is passed over, and named as a fault.
"""

import datetime
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from likeness.catalog.bases import base_of
from likeness.catalog.card import BaseFacts, Card, Made, Rights, Sample, Subject
from likeness.catalog.publish import file_facts
from likeness.catalog.sidecars import NSFW_LEVELS
from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.files.headers import family_noted
from likeness.embedded import embedded_notes
from likeness.errors import CheckpointError, PictureError
from likeness.images import open_pixels, sha256_of
from likeness.recipe import Rating
from likeness.records import first_fault

__all__ = ["PREVIEWS", "Beside", "card_of_file", "read_beside", "table_in"]

PREVIEWS = tuple(f"{infix}.{ending}" for infix in (".preview", "") for ending in ("png", "jpg", "jpeg", "webp"))
"""What follows a LoRA's name in that of its picture; the surest first."""

UNNAMED = re.compile(r"^(LoRA|Checkpoint|TextualInversion)@[\d.]+$")
"""What sd-scripts calls a file that nobody gave a title, with the time."""

LONGEST = 8_000_000  # bytes of a sidecar; Civitai's longest have some hundred kB

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Beside:
    """The sidecars of a LoRA; an empty table where there is none.

    Attributes:
        a1111: `NAME.json`.
        managed: `NAME.metadata.json`, of LoRA Manager.
        civitai: `NAME.civitai.info`.
        preview: the picture, if there is one.
        faults: by name of the file, why it could not be read.
    """

    a1111: Table = field(default_factory=dict)
    managed: Table = field(default_factory=dict)
    civitai: Table = field(default_factory=dict)
    preview: Path | None = None
    faults: Mapping[str, str] = field(default_factory=dict)


def read_beside(file: Path) -> Beside:
    """What lies beside a LoRA's file."""
    faults: dict[str, str] = {}

    def table(ending: str) -> Table:
        path = file.with_name(f"{file.stem}{ending}")
        if not path.is_file():
            return {}
        try:
            if path.stat().st_size > LONGEST:
                raise ValueError(f"it has more than {LONGEST // 1_000_000} MB")
            found = json.loads(path.read_bytes())
            if not isinstance(found, dict):
                raise ValueError("it is not a table")
        except (OSError, ValueError, RecursionError) as fault:
            faults[path.name] = str(fault)
            return {}
        return found

    previews = (file.with_name(file.stem + ending) for ending in PREVIEWS)
    told = {"a1111": table(".json"), "managed": table(".metadata.json"), "civitai": table(".civitai.info")}
    return Beside(**told, preview=next((path for path in previews if path.is_file()), None), faults=faults)


def card_of_file(file: Path, *, family: str = "", trainer: str = "", rating: Rating | None = None) -> Card:
    """What is known of a file that somebody made.

    Args:
        file: a LoRA.
        family: of its base, where its tensors were asked; else its notes tell.
        trainer: that wrote it, where that is known.
        rating: what its preview shows, where no sidecar says.

    Raises:
        CheckpointError: where the file cannot be read.
    """
    told = _Told(read_header(file).metadata, read_beside(file))
    try:
        return _card(file, told, family=family, trainer=trainer, rating=rating)
    except ValidationError as fault:
        raise CheckpointError(f"{file} has no name, or notes, that a card can hold: {first_fault(fault)}.") from fault


def _card(file: Path, told: "_Told", *, family: str, trainer: str, rating: Rating | None) -> Card:
    notes, beside = told.notes, told.beside
    preview = _preview(file, beside.preview) if beside.preview else None
    return Card(
        name=file.stem,
        title=told.title or file.stem,
        version=told.of(beside.civitai, "name")[:20] or "1",
        published=min(told.day or _changed(file), datetime.datetime.now(datetime.UTC).date()),
        summary=_first_line(told.description),
        description=told.description,
        tags=told.tags,
        file=file_facts(file),
        subject=Subject(kind=told.kind, trigger=told.trigger),
        base=_base(file, told, family),
        rights=Rights(licence=told.licence),
        rating=told.rating or rating,
        negative=told.of(beside.a1111, "negative text"),
        told_weight=told.weight,
        made=_made(notes, trainer),
        preview=preview,
        samples=(preview,) if preview else (),
        parents=tuple(filter(None, notes.get("modelspec.merged_from", "").split(", "))),
        disclosure="",
    )


def _changed(file: Path) -> datetime.date:
    return datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC).date()


class _Told:
    """What notes and sidecars say of one thing, the surest first: what a person wrote, then what a site tells, then
    what a trainer noted."""

    def __init__(self, notes: Mapping[str, str], beside: Beside) -> None:
        self.notes, self.beside = notes, beside
        self.site = beside.civitai or table_in(beside.managed, "civitai")
        self.model = table_in(self.site, "model")

    @staticmethod
    def of(table: Table, key: str) -> str:
        """A text in a table; "" where there is none."""
        value = table.get(key)
        text = value.strip() if isinstance(value, str) else ""
        return text.encode("utf-8", "replace").decode()  # half a letter cannot be written anywhere

    @property
    def title(self) -> str:
        """For people."""
        return (
            self.of(self.beside.managed, "model_name")
            or self.of(self.model, "name")
            or UNNAMED.sub("", self.notes.get("modelspec.title", ""))
        )

    @property
    def description(self) -> str:
        """Markdown, or what was meant as such; without HTML."""
        found = (
            self.of(self.beside.managed, "modelDescription")
            or self.of(self.beside.a1111, "description")
            or self.of(self.site, "description")
            or self.of(self.model, "description")
            or self.notes.get("modelspec.description", "")
        )
        return _without_tags(found)

    @property
    def trigger(self) -> str:
        """What calls it up."""
        words = self.site.get("trainedWords")
        trained = [word.strip() for word in words if isinstance(word, str)] if isinstance(words, list) else []
        return (
            self.of(self.beside.a1111, "activation text")
            or next(filter(None, trained), "")
            or self.notes.get("modelspec.trigger_phrase", "")
            or _class_tokens(self.notes)
        )

    @property
    def tags(self) -> tuple[str, ...]:
        """Words that it is to be found under."""
        for table in (self.beside.managed, self.model):
            if isinstance(found := table.get("tags"), list) and found:
                return tuple(dict.fromkeys(str(tag).strip() for tag in found if str(tag).strip()))
        return tuple(filter(None, (tag.strip() for tag in self.notes.get("modelspec.tags", "").split(","))))

    @property
    def base(self) -> Iterator[str]:
        """How its base is called."""
        yield self.of(self.beside.managed, "base_model")
        yield self.of(self.site, "baseModel")
        yield self.notes.get("ss_sd_model_name", "")
        yield self.notes.get("modelspec.architecture", "")

    @property
    def weight(self) -> float | None:
        """At which its maker says that it is used best."""
        tips = _try(lambda: json.loads(self.of(self.beside.managed, "usage_tips") or "{}"))
        told = tips.get("strength") if isinstance(tips, dict) else None
        for value in (told, self.beside.a1111.get("preferred weight")):
            if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 4:
                return float(value)
        return None

    @property
    def rating(self) -> Rating | None:
        """The most that its preview shows, by LoRA Manager's or Civitai's number."""
        level = self.beside.managed.get("preview_nsfw_level")
        if not isinstance(level, int) or level < 1:
            images = self.site.get("images")
            levels = [table_in({"": one}, "").get("nsfwLevel") for one in images] if isinstance(images, list) else []
            level = max((one for one in levels if isinstance(one, int)), default=0)
        return next((rating for rating, number in [*NSFW_LEVELS.items()][::-1] if level >= number), None)

    @property
    def kind(self) -> Any:
        """Who is drawn: of a real person, sites say so; all else is unknown."""
        return "real-person" if self.model.get("poi") is True else "unknown"

    @property
    def licence(self) -> str:
        """As its maker wrote it."""
        return self.notes.get("modelspec.license", "")[:200]

    @property
    def day(self) -> datetime.date | None:
        """On which it was made, or put out."""
        for text in (self.of(self.site, "publishedAt"), self.notes.get("modelspec.date", "")):
            if found := _try(lambda text=text: datetime.date.fromisoformat(text[:10])):
                return found
        seconds = self.notes.get("ss_training_finished_at", "")
        return _try(lambda: datetime.datetime.fromtimestamp(float(seconds), datetime.UTC).date())


def _try(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (ValueError, OverflowError, OSError, RecursionError):
        return None


def table_in(table: Table, key: str) -> Table:
    """A table in a table; an empty one where there is none."""
    found = table.get(key)
    return found if isinstance(found, dict) else {}


def _class_tokens(notes: Mapping[str, str]) -> str:
    """The trigger as kohya-ss notes it with its data."""
    found = _try(lambda: json.loads(notes.get("ss_datasets", "[]")))
    for place in (0, "subsets", 0, "class_tokens"):
        try:
            found = found[place]  # pyright: ignore[reportOptionalSubscript]
        except (LookupError, TypeError):
            return ""
    return found if isinstance(found, str) else ""


def _base(file: Path, told: _Told, family: str) -> BaseFacts:
    notes = told.notes
    family = family or family_noted(notes)
    names = [*filter(None, told.base)]
    known = base_of(family, names)
    named = next((name for name in names[:1] if name not in ("Unknown", "Other") and known.name == "Other"), "")
    side = notes.get("modelspec.resolution", "").partition("x")[0]
    return BaseFacts(
        name=named or known.name,
        family=family or known.family,
        file=Path(notes.get("ss_sd_model_name", "").replace("\\", "/")).name,
        sha256=notes.get("ss_new_sd_model_hash", ""),
        hub=known.hub,
        licence=known.licence,
        prediction="v" if notes.get("modelspec.prediction_type", "").startswith("v") else "epsilon",
        side=int(side) if side.isdecimal() and len(side) < 6 else None,
    )


def _made(notes: Mapping[str, str], trainer: str) -> Made | None:
    if not trainer and "ss_network_dim" not in notes:
        return None
    steps, rank, seed = (_try(lambda key=key: int(notes[key])) if key in notes else None for key in NUMBERS)
    alpha = _try(lambda: float(notes.get("ss_network_alpha", "")))
    return Made(tool=trainer or notes.get("ss_network_module", ""), step=steps, rank=rank, alpha=alpha, seed=seed)


NUMBERS = ("ss_steps", "ss_network_dim", "ss_seed")


def _preview(file: Path, picture: Path) -> Sample | None:
    """The picture beside a LoRA, where it is one."""
    try:
        height, width = open_pixels(picture).shape[:2]
        text = embedded_notes(picture).texts.get("parameters", "")
    except (PictureError, OSError):
        return None
    prompt = text.partition("\nNegative prompt:")[0].partition("\nSteps:")[0].strip()
    return Sample(
        file=picture.name,
        prompt=prompt,
        width=width,
        height=height,
        alt=f"Preview of {file.stem}",
        sha256=sha256_of(picture),
    )


def _first_line(text: str) -> str:
    """What a list shows of a description."""
    line = next((line for line in text.splitlines() if line.strip()), "").strip()
    return line if len(line) <= 300 else line[:297].rsplit(" ", 1)[0] + " ..."


def _without_tags(text: str) -> str:
    """Descriptions of sites are HTML: their words alone."""
    if "<" not in text:
        return text
    broken = re.sub(r"(?i)<(?:br|/p|/li|/h\d|/div)\b[^>]*>", "\n", text)
    plain = re.sub(r"<[^>]*>", "", unescape(re.sub(r"<[^>]*>", "", broken)))  # what was escaped may be tags, too
    return re.sub(r"\n{3,}", "\n\n", plain).strip()
