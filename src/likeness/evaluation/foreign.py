"""Foreign pictures: how pictures that were drawn elsewhere were made, as their own files say. No pixel is looked at."""

import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import Field

from likeness.embedded import embedded_notes
from likeness.errors import PictureError
from likeness.evaluation.facts import (
    MAX_TEXT,
    Facts,
    a1111_facts,
    infotext_facts,
    invoke_facts,
    is_infotext,
    novel_facts,
    without_loras,
)
from likeness.evaluation.graphs import graph_facts
from likeness.images import SUFFIXES
from likeness.records import Record

__all__ = ["Generation", "pictures_under", "read_generations"]

NOTHING = "says nothing of how it was made"
MAX_SEED = 2**64  # ComfyUI's are below it, and others' lower


class Generation(Record):
    """How a picture was made, as its file says.

    Attributes:
        path: relative to the folder, with forward slashes.
        prompt: what was asked for, without the words that load LoRAs.
        negative: what was not.
        seed: of the noise; None where it is not told.
        steps: of the sampler.
        sampler: its name, as the program calls it.
        guidance: the scale of classifier-free guidance.
        model: name or hash of the base; empty where it is not told.
        loras: name to weight on the denoiser; of one that was loaded twice the sum.
        told_by: whose form of note it is: "A1111", "ComfyUI", "InvokeAI", "NovelAI", or "file" for a bare prompt in a
            text file beside the picture.
    """

    path: str
    prompt: str
    negative: str = ""
    seed: int | None = Field(default=None, ge=0)
    steps: int | None = Field(default=None, ge=0)
    sampler: str = ""
    guidance: float | None = None
    model: str = ""
    loras: dict[str, float] = {}
    told_by: str


def read_generations(folder: Path) -> tuple[list[Generation], dict[str, str]]:
    """How each picture in a folder, and in those in it, was made; and by path, why others were passed over.

    A picture whose own file tells of no prompt is asked for by `NAME.txt` beside it, which holds the prompt, or what
    A1111 writes there. Hidden files and folders are left out. Both are in order of their paths.

    Raises:
        PictureError: where the folder is missing, or none.
    """
    found, passed_over = [], {}
    for path in pictures_under(folder):
        name = path.relative_to(folder).as_posix()
        try:
            found.append(_generation(path, name))
        except PictureError as fault:
            passed_over[_written(name)] = str(fault)
        except OSError as fault:
            passed_over[_written(name)] = f"cannot be read: {fault.strerror or fault}"
    return found, passed_over


def pictures_under(folder: Path) -> list[Path]:
    """The pictures in a folder and in those in it, in order of their paths. Hidden files and folders are left out.

    Raises:
        PictureError: where the folder is missing, or none.
    """
    if not folder.is_dir():
        raise PictureError(f"{folder} is {'no folder' if folder.exists() else 'missing'}. Name a folder of pictures.")
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    pictures = [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()]
    return sorted(pictures, key=lambda path: path.relative_to(folder).as_posix())


def _generation(path: Path, name: str) -> Generation:
    if _written(name) != name:
        raise PictureError("its name is not in Unicode; rename it")
    told_by, facts = _told(path)
    loras: dict[str, float] = {}
    for lora, weight in facts.loras:
        total = _real(loras.get(_written(lora), 0.0) + (_real(weight) or 0.0))
        if _written(lora) and _real(weight) is not None and total is not None:
            loras[_written(lora)] = total
    return Generation(
        path=name,
        prompt=without_loras(_written(facts.prompt)),
        negative=_written(facts.negative).strip(),
        seed=_whole(facts.seed),
        steps=_whole(facts.steps),
        sampler=_written(facts.sampler),
        guidance=_real(facts.guidance),
        model=_written(facts.model),
        loras=loras,
        told_by=told_by,
    )


def _told(path: Path) -> tuple[str, Facts]:
    """What a picture's file, or else the text beside it, tells, and in whose form."""
    texts, reasons = embedded_notes(path).texts, []
    for program, read in _PROGRAMS.items():
        try:
            if facts := read(texts):
                return program, facts
        except PictureError as fault:
            reasons.append(str(fault))
    if beside := _text_beside(path):
        return "A1111" if is_infotext(beside) else "file", infotext_facts(beside)
    raise PictureError(next(iter(reasons), NOTHING))


def _text_beside(path: Path) -> str:
    """What `NAME.txt` beside a picture holds; empty where there is none."""
    text = path.with_suffix(".txt")
    if not text.is_file():
        return ""
    with text.open("rb") as file:
        data = file.read(MAX_TEXT + 1)
    if len(data) > MAX_TEXT:
        raise PictureError(f"{text.name} beside it is longer than {MAX_TEXT} bytes")
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as fault:
        raise PictureError(f"{text.name} beside it is not in UTF-8") from fault


def _comfy(texts: Mapping[str, str]) -> Facts | None:
    """PNG texts; in WebP and JPEG the same behind a word, in a tag that is for a camera's model."""
    for text in (texts.get("prompt", ""), texts.get("Model", "").removeprefix("prompt:")):
        if text.startswith("{"):
            return graph_facts(text)
    if "workflow" in texts:
        raise PictureError("holds ComfyUI's workflow, but not the graph that was run")
    return None


_PROGRAMS: Mapping[str, Callable[[Mapping[str, str]], Facts | None]] = {
    "InvokeAI": invoke_facts,
    "NovelAI": novel_facts,
    "A1111": a1111_facts,  # before ComfyUI, whose pictures may have both: here all links are resolved
    "ComfyUI": _comfy,
}  # program -> what the texts say in its form; None where they are not its own


def _written(value: object) -> str:
    """A text, of which all can be written to a file; empty for anything else."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def _whole(value: object) -> int | None:
    """A count or seed; None for what is none, as -1, which means a random one."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        value = int(value)
    return value if type(value) is int and 0 <= value < MAX_SEED else None


def _real(value: object) -> float | None:
    """A finite number; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
