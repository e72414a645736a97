"""Records: what the stages say to each other, as lines of JSON in the workspace."""

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from likeness.errors import WorkspaceError

__all__ = [
    "HASH_OF_NOTHING",
    "Box",
    "Caption",
    "Checkpoint",
    "Lack",
    "Picture",
    "PictureLoss",
    "Reading",
    "Record",
    "Shown",
    "first_fault",
    "link_or_copy",
    "make_folder",
    "read_records",
    "write_atomically",
    "write_records",
]

Shown = Literal["general", "sensitive", "questionable", "explicit"]
"""How much a picture shows, in the words of booru sites, from the mildest."""

HASH_OF_NOTHING = "e3b0c44298fc"
"""What the sha256 of an empty file begins with."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Record(BaseModel):
    """One line of a record file: frozen, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Box(Record):
    """A rectangle in a picture, px; right and bottom are the first column and row outside."""

    left: int
    top: int
    right: int
    bottom: int


class Reading(Record):
    """What an instrument saw in a picture. A field on which it abstains is None, or absent from `traits`.

    Attributes:
        view: "front", "three-quarter left", "profile right", "back" and so on; left and right are the picture's.
        yaw: degrees, in [-180, 180]; 0 faces the viewer, positive turns towards the picture's left edge.
        framing: "face", "upper body" or "full body".
        people: how many characters are in the picture.
        subject: the part of the picture that the character takes up, px.
        face: the part that its face or head takes up, px.
        traits: what belongs to the character, name to value in words: "hair_colour" to "blue".
        tags: a tagger's words for what is in the picture, each with its probability: "school uniform" to 0.93.
        confidence: in [0, 1], by field or trait name.
        rating: how much it shows, in the words of booru sites.
        embedding: identity, of length 1; two pictures of one character lie close.
        instrument: who read, by name.
        instrument_sha256: of the weights that read, so that a stale reading can be told.
    """

    view: str | None = None
    yaw: float | None = None
    framing: str | None = None
    expression: str | None = None
    pose: str | None = None
    background: str | None = None
    people: int | None = Field(default=None, ge=0)
    subject: Box | None = None
    face: Box | None = None
    traits: dict[str, str] = {}
    tags: dict[str, float] = {}
    confidence: dict[str, float] = {}
    rating: Shown | None = None
    embedding: tuple[float, ...] | None = None
    instrument: str
    instrument_sha256: Sha256


class Picture(Record):
    """One source picture, and what became of it.

    Attributes:
        id: sha256 of the file's bytes.
        path: relative to `images/`, with forward slashes.
        width: px, as displayed (after EXIF rotation); 0 where the picture cannot be read.
        height: px, likewise.
        source: where it came from, in words or as an address; empty where nobody said.
        rights: the licence or permission it is used under; empty where nobody said.
        made_by: the program that drew it, where the file's own metadata says that one did: it is AI-generated.
        repeats: how often a pass of another trainer is to show it, as the folder said that it came from; 1 where none
            did. It is exported; our own training shows each once.
        scores: how good it is in each respect, in [0, 1] by name: "sharpness", "light".
        crop: the part to train on, px; None for all of it.
        group: pictures of one group are copies of one scene, or nearly: never some trained on and some held out. The
            path of one of them; empty for a picture that is alone.
        use: what it is used for; a held-out picture is never trained on.
        fault: what it was rejected for, in a word or two: "blur". Empty for a picture in use.
        reason: why, in words.
        decided_by: "person", or the name of the rule or instrument; what a person decided stays.
    """

    id: Sha256
    path: str
    width: int = Field(ge=0)
    height: int = Field(ge=0)
    source: str = ""
    rights: str = ""
    made_by: str = ""
    repeats: int = Field(default=1, ge=1)
    reading: Reading | None = None
    scores: dict[str, float] = {}
    crop: Box | None = None
    group: str = ""
    use: Literal["train", "held-out", "rejected"]
    fault: str = ""
    reason: str = ""
    decided_by: str

    def rejected(self, fault: str, reason: str) -> "Picture":
        """The same picture, rejected by a rule and not by a person."""
        return self.model_copy(update={"use": "rejected", "fault": fault, "reason": reason, "decided_by": "curate"})


class Caption(Record):
    """What is said about a picture in training.

    Attributes:
        picture: the picture's id.
        tags: in the order in which they are to be read.
        text: the caption as a person reads it.
        sentence: the same as sentences, which training sees too; equal to `text` where it sees nothing else.
        written_by: "person", or the name of the instrument.
    """

    picture: Sha256
    tags: tuple[str, ...]
    text: str
    sentence: str = ""
    written_by: str


class Checkpoint(Record):
    """An adapter file that a training run wrote.

    Attributes:
        path: relative to the workspace, with forward slashes.
        step: how many steps it has been trained for.
        loss: mean over the steps since the checkpoint before.
        seconds: of training until then, over all parts of an interrupted run.
    """

    path: str
    step: int = Field(ge=0)
    loss: float
    seconds: float = Field(ge=0)


class Lack(Record):
    """Pictures that would help: what was measured of a LoRA, for the shopping list of curation.

    Attributes:
        axis: "view", "framing" or "expression".
        value: of it.
        count: pictures.
        because: what was measured, in words.
    """

    axis: Literal["view", "framing", "expression"]
    value: str
    count: int = Field(ge=1)
    because: str


class PictureLoss(Record):
    """How hard a picture was to learn.

    Attributes:
        path: relative to `images/`.
        relative: its loss, as a share of the others' at the same noise levels; 1 is like all others.
        times: that it was drawn.
        is_odd: whether that is worth a look: a wrong caption, somebody else, a picture that nothing can be learnt from.
    """

    path: str
    relative: float = Field(ge=0)
    times: int = Field(ge=0)
    is_odd: bool


AnyRecord = TypeVar("AnyRecord", bound=Record)


def write_atomically(path: Path, data: bytes | str) -> None:
    """`path` holds `data`, or what it held before: never a part, whenever the process or the machine stops.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        try:
            with partial.open("xb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault


def _sync_folder(folder: Path) -> None:
    """Puts a rename on disk: without it, the old name may come back after a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """The folder is there, with those above it.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise WorkspaceError.of(folder, fault) from fault


def link_or_copy(source: Path, to: Path) -> None:
    """`to` is the file `source`, in place of any that was there; it takes no room twice where the disk allows it.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    try:
        to.unlink(missing_ok=True)
        try:
            os.link(source, to)
        except OSError:
            shutil.copyfile(source, to)
    except OSError as fault:
        raise WorkspaceError.of(to, fault) from fault


def first_fault(fault: ValidationError) -> str:
    """The first thing that keeps a record from being valid: its field, where it is one field's, and why."""
    first = fault.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg']}" if field else first["msg"]


def read_records(path: Path, type: type[AnyRecord]) -> list[AnyRecord]:
    """The records of a JSONL file, in order.

    Raises:
        WorkspaceError: where the file is missing, or a line is not such a record; the line is named.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as fault:
        raise WorkspaceError(
            f"{path} is not a text file in UTF-8. Delete it and repeat the command that wrote it."
        ) from fault
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    return [_record(path, number, line, type) for number, line in enumerate(lines, start=1) if line.strip()]


def _record(path: Path, number: int, line: str, type: type[AnyRecord]) -> AnyRecord:
    try:
        return type.model_validate_json(line)
    except ValidationError as fault:
        raise WorkspaceError(
            f"{path}, line {number} is not a valid {type.__name__}: {first_fault(fault)}. "
            "Mend the line, or delete the file and repeat the command that wrote it."
        ) from fault


def write_records(path: Path, records: Iterable[Record]) -> None:
    """`path` holds one line of JSON per record; the whole file is replaced at once.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder; the file that was there stays.
    """
    write_atomically(path, "".join(record.model_dump_json() + "\n" for record in records))
