"""The card: all that a release says of its LoRA, as `likeness.json` beside it holds it.

Everything else in a release is made from the card and the LoRA's file, and a catalog shows what it says.
"""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from likeness.catalog.scores import AxisScore, Evaluated, Strength
from likeness.errors import PublishError, WorkspaceError
from likeness.recipe import Address, Inside, Rating
from likeness.records import Record, first_fault

__all__ = [
    "Agreed",
    "BaseFacts",
    "Card",
    "Client",
    "FileFacts",
    "Made",
    "Rights",
    "Sample",
    "Source",
    "Subject",
    "TrainedOn",
    "Used",
    "Version",
    "read_card",
]

FORMAT = 1
PictureFile = Annotated[Inside, Field(pattern=r"(?i)\.(png|jpe?g|webp|avif|gif)$")]
LoraFile = Annotated[Inside, Field(pattern=r"^[^/]+\.safetensors$")]
DISCLOSURE = "Pictures that this LoRA draws are AI-generated; those in this release are marked so in their files."


class FileFacts(Record):
    """The LoRA's file. Its own hashes change with its notes; that of the tensors does not.

    Attributes:
        name: of the file.
        size: bytes.
        sha256: of the whole file.
        tensors: sha256 of what is behind the header.
        auto_v1: 8 digits: old A1111.
        crc32: 8 digits.
        sketch: some of its weights, by which files are found that are nearly the same.
    """

    name: LoraFile
    size: int
    sha256: str
    tensors: str
    auto_v1: str
    crc32: str
    sketch: str = ""

    @property
    def auto_v2(self) -> str:
        """The short hash by which Civitai knows the file: 10 digits of its sha256."""
        return self.sha256[:10]

    @property
    def auto_v3(self) -> str:
        """The short hash by which A1111 and Civitai know the LoRA, whatever its notes: 12 digits of the tensors'."""
        return self.tensors[:12]


class Agreed(Record):
    """What a real person agreed to; their name and the paper stay where they are.

    Attributes:
        basis: on which they agreed.
        scope: to what.
        date: the day.
        expires: the last day on which it holds.
        evidence_sha256: of the paper.
    """

    basis: str
    scope: str
    date: datetime.date
    expires: datetime.date | None = None
    evidence_sha256: str


class Subject(Record):
    """Who is drawn.

    Attributes:
        kind: "original", "fictional", "real-person", or "unknown".
        trigger: the word that calls it up; "" where none is known.
        class_words: what it is, in the base's words.
        adult: of a real person, that they are one; None for who is invented.
        consent: a real person's.
    """

    kind: Literal["original", "fictional", "real-person", "unknown"]
    trigger: str = ""
    class_words: str = ""
    adult: bool | None = None
    consent: Agreed | None = None


class BaseFacts(Record):
    """The base that it was trained on, and is used with.

    Attributes:
        name: as tools call it: "SDXL 1.0".
        family: "sd15", "sd2", "sdxl", or "".
        file: name of the very file or folder.
        sha256: of its weights; "" where nobody told.
        hub: where it is on the Hugging Face hub.
        licence: id of its licence; "" where that is not known.
        prediction: "epsilon" or "v".
        clip_skip: layer of the text encoder that is read, from the end.
        side: px that pictures are best drawn at.
    """

    name: str
    family: str = ""
    file: str = ""
    sha256: str = ""
    hub: str = ""
    licence: str = ""
    prediction: Literal["epsilon", "v"] = "epsilon"
    clip_skip: int = 1
    side: int | None = None


class Rights(Record):
    """Under which terms it is given on.

    Attributes:
        licence: id; "" where nobody told.
        title: of the licence, for people.
        link: where its text stands.
        on_hub: whether the Hugging Face hub knows it by its id.
        asks: what it asks of who gives the LoRA on.
        owner: who made it.
    """

    licence: str = ""
    title: str = ""
    link: Address = ""
    on_hub: bool = True
    asks: tuple[str, ...] = ()
    owner: str = ""


class Source(Record):
    """Where some of the pictures came from, and under which terms; "" where nobody said."""

    source: str
    rights: str
    pictures: int


class Used(Record):
    """A picture that it was trained on, or measured by: never shown, but known again by its hash."""

    sha256: str
    use: Literal["train", "held-out"]
    source: str = ""
    rights: str = ""
    made_by: str = ""


class TrainedOn(Record):
    """The pictures.

    Attributes:
        train: how many it learnt from.
        held_out: how many it was measured by.
        generated: of both, how many a program drew, as their files say.
        sources: where they came from.
        pictures: each.
    """

    train: int
    held_out: int
    generated: int
    sources: tuple[Source, ...]
    pictures: tuple[Used, ...]


class Made(Record):
    """How it was trained.

    Attributes:
        tool: and its version.
        run: the number of the training run.
        step: of the chosen checkpoint.
        steps: of the whole run.
        method: of the adapter: "lora", "dora".
        rank: of most layers.
        alpha: likewise.
        seed: where all randomness began.
        seconds: of training until then.
        recipe: as run, without consent and places.
    """

    tool: str
    run: str = ""
    step: int | None = None
    steps: int | None = None
    method: str = ""
    rank: int | None = None
    alpha: float | None = None
    seed: int | None = None
    seconds: float | None = None
    recipe: dict[str, Any] = {}


class Client(Record):
    """What a tool makes of the file.

    Attributes:
        name: of the tool.
        works: whether the whole file acts there.
        matched: tensors that it takes.
        total: tensors.
        why: what is lost, in words.
        mend: what to do.
    """

    name: str
    works: bool
    matched: int
    total: int
    why: str = ""
    mend: str = ""


class Sample(Record):
    """A picture that shows what it draws.

    Attributes:
        file: relative to the release.
        prompt: as it was drawn.
        negative: likewise.
        seed: of its noise; None where nobody said.
        weight: of the LoRA; likewise.
        width: px.
        height: px.
        alt: what is to be seen, in words.
        sha256: of the file.
        row: pictures of one row have one prompt and noise, and differ in the weight; "" of those that stand alone.
    """

    file: PictureFile
    prompt: str
    negative: str = ""
    seed: int | None = None
    weight: float | None = None
    width: int
    height: int
    alt: str
    sha256: str
    row: str = ""


class Version(Record):
    """An earlier release of the same character."""

    version: str
    tensors: str
    sha256: str = ""
    published: datetime.date


class Card(Record):
    """What a release says of its LoRA.

    Attributes:
        name: of the file, without its ending; the release's folder has it too.
        title: for people.
        version: of the release.
        published: the day on which this version was first made.
        summary: one or two sentences, markdown.
        description: more of it, markdown.
        tags: words that it is to be found under.
        aliases: other names, and old addresses of its page.
        rating: the most that its pictures show; None where nobody said.
        negative: what is not to be drawn, as it was measured with.
        told_weight: at which its maker says that it is used best; of ours that is `strength`.
        contact: where somebody asks for it to be taken down.
        parents: titles of LoRAs that it was merged or resized from.
        previous: earlier versions, the latest first.
        disclosure: what has to be said of pictures.
    """

    format: Literal[1] = FORMAT
    name: Inside
    title: str
    version: str = "1"
    published: datetime.date
    summary: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    file: FileFacts
    subject: Subject
    base: BaseFacts
    rights: Rights
    rating: Rating | None = None
    negative: str = ""
    told_weight: float | None = None
    trained_on: TrainedOn | None = None
    made: Made | None = None
    evaluated: Evaluated | None = None
    strength: Strength | None = None
    clients: tuple[Client, ...] = ()
    preview: Sample | None = None
    samples: tuple[Sample, ...] = ()
    contact: Address = ""
    parents: tuple[str, ...] = ()
    previous: tuple[Version, ...] = ()
    disclosure: str = Field(default=DISCLOSURE)

    @property
    def weight(self) -> float:
        """To use it at: as measured, or as its maker says, or else 1."""
        return self.strength.recommended if self.strength else 1.0 if self.told_weight is None else self.told_weight

    @property
    def is_weighed(self) -> bool:
        """Whether its weight was measured, or said by its maker."""
        return self.strength is not None or self.told_weight is not None

    @property
    def pictures(self) -> tuple[Sample, ...]:
        """All of them: samples, and the preview."""
        return (*self.samples, self.preview) if self.preview else self.samples

    def score(self, axis: str) -> AxisScore | None:
        """What an axis says; None where it was not measured."""
        scores: Mapping[str, AxisScore] = {one.axis: one for one in self.evaluated.scores} if self.evaluated else {}
        return scores.get(axis)


def read_card(path: Path) -> Card:
    """The card in a `likeness.json`.

    Raises:
        WorkspaceError: where it is not there.
        PublishError: where it is not a card; the field is named.
    """
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    except ValidationError as fault:
        raise PublishError(f"{path} is not the card of a release: {first_fault(fault)}. Publish it again.") from fault
