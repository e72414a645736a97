"""Fixing: the notes and sidecars of files that others made, so that every tool shows them; each change is told.

What a person wrote into a sidecar stays. Tensors stay, byte for byte.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likeness.catalog.card import Card
from likeness.catalog.foreign import Beside, card_of_file, read_beside, table_in
from likeness.catalog.notes import family_notes
from likeness.catalog.sidecars import VERSIONS, a1111_json, metadata_json, written
from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.files.headers import (
    LONGEST_HEADER,
    family_noted,
    front_of,
    hashes_of,
    places_of,
    write_with_notes,
)
from likeness.records import HASH_OF_NOTHING, Record, write_atomically

__all__ = ["REQUIRED", "Change", "Known", "files_in", "fix"]

MOST_TAGS = 100  # of each folder, where the table of tags is too long for a header
REQUIRED = ("file_name", "model_name", "file_path", "size", "modified", "sha256", "base_model", "preview_url")
"""What LoRA Manager drops a LoRA without."""

LONG_NOTES = ("ssmd_cover_images", "ss_datasets", "ss_bucket_info", "modelspec.thumbnail")
"""Notes that nothing hangs on, the longest of other tools first."""


class Change(Record):
    """Something that was mended, or would be.

    Attributes:
        file: that was written.
        what: was wrong, and what it is now.
    """

    file: str
    what: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a file beside its notes.

    Attributes:
        family: of its base, by its tensors; "" where they do not tell.
        trainer: that wrote it.
    """

    family: str = ""
    trainer: str = ""


def fix(files: Mapping[Path, Known], *, write: bool = True) -> list[Change]:
    """What was mended in some LoRAs' files and beside them.

    Args:
        files: each with what its tensors say.
        write: whether it is mended; else it is told what would be.

    Raises:
        CheckpointError: for what is no safetensors file; files before it are mended already.
        WorkspaceError: where a folder cannot be written.
    """
    names = Counter(file.stem.casefold() for file in files)
    aliases = {file: read_header(file).metadata.get("ss_output_name", "").casefold() for file in files}
    counts = Counter(filter(None, aliases.values()))
    changes: list[Change] = []
    for file, known in files.items():
        is_clash = counts[aliases[file]] > 1
        changes += [*_mended_file(file, known, is_clash=is_clash, write=write)]
        changes += [*_mended_sidecars(file, known, write=write)]
        if names[file.stem.casefold()] > 1:
            what = "another file has this name, too: A1111 takes the two for one. Rename one of them by hand"
            changes.append(Change(file=str(file), what=what))
    return changes


def _mended_file(file: Path, known: Known, *, is_clash: bool, write: bool) -> Iterator[Change]:
    header = read_header(file)
    notes, told = dict(header.metadata), list[str]()
    family = known.family or family_noted(notes)
    for mend in (_name, _base, _tags, _length):
        notes, words = mend(notes, file=file, family=family, is_clash=is_clash)
        told += words
    digest = hashes_of(file, header.data).tensors
    if notes.get("sshs_model_hash") != digest or notes.get("modelspec.hash_sha256") != f"0x{digest}":
        told.append(f"the hash of its tensors was {_was(notes, digest)}; it is {digest[:12]} (AutoV3)")
    if told and write:
        write_with_notes(file, notes, file)
    yield from (Change(file=str(file), what=words) for words in told)


def _was(notes: Mapping[str, str], digest: str) -> str:
    found = [notes.get("sshs_model_hash", ""), notes.get("modelspec.hash_sha256", "").removeprefix("0x")]
    if any(one.startswith(HASH_OF_NOTHING) for one in found):
        return "that of nothing at all"
    return "wrong" if any(one and one != digest for one in found) else "missing"


Mended = tuple[dict[str, str], list[str]]


def _name(notes: dict[str, str], *, file: Path, is_clash: bool, **_: Any) -> Mended:
    """A1111 calls a LoRA by its alias, and drops one that two files have."""
    alias = notes.get("ss_output_name", "")
    if alias == file.stem:
        return notes, []
    why = " which another file has, too" if is_clash else ""
    told = f"ss_output_name was {alias!r}{why}" if alias else "ss_output_name was missing"
    return {**notes, "ss_output_name": file.stem}, [f"{told}; it is {file.stem!r}"]


def _base(notes: dict[str, str], *, family: str, **_: Any) -> Mended:
    """Without it, A1111 takes any file with notes for one of Stable Diffusion 1.x."""
    if not family:
        return notes, []
    wanted = family_notes(family, is_v=notes.get("modelspec.prediction_type", "").startswith("v"))
    version, architecture = notes.get("ss_base_model_version", ""), notes.get("modelspec.architecture", "")
    told, mended = [], {"modelspec.sai_model_spec": notes.get("modelspec.sai_model_spec", "1.0.1")}
    if family_noted({"ss_base_model_version": version}) != family:
        mended |= {key: value for key, value in wanted.items() if key.startswith("ss_")}
        told.append(_was_of("ss_base_model_version", version, wanted))
    if family_noted({"modelspec.architecture": architecture}) != family or not architecture.endswith("/lora"):
        mended |= {key: value for key, value in wanted.items() if key.startswith("modelspec.")}
        told.append(_was_of("modelspec.architecture", architecture, wanted))
    return {**notes, **mended} if told else notes, told


def _was_of(key: str, before: str, wanted: Mapping[str, str]) -> str:
    return f"{key} was {repr(before) if before else 'missing'}; it is {wanted[key]!r}"


def _tags(notes: dict[str, str], **_: Any) -> Mended:
    """A1111 shows no LoRA whose table of tags is of another form."""
    if "ss_tag_frequency" not in notes:
        return notes, []
    try:
        found = json.loads(notes["ss_tag_frequency"])
        if isinstance(found, dict) and all(isinstance(one, dict) for one in found.values()):
            return notes, []
    except ValueError:
        pass
    kept = {key: value for key, value in notes.items() if key != "ss_tag_frequency"}
    return kept, ["ss_tag_frequency was no table of tables, and is gone"]


def _length(notes: dict[str, str], *, file: Path, **_: Any) -> Mended:
    """ComfyUI shows no notes of a header above 1 MiB."""
    places, told = places_of(read_header(file)), list[str]()

    def is_long() -> bool:
        return len(front_of(notes, places)) > LONGEST_HEADER - 1000  # the hashes are still to come

    if is_long() and "ss_tag_frequency" in notes:
        table = json.loads(notes["ss_tag_frequency"])
        few = {folder: _most(counts) for folder, counts in table.items()}
        notes = {**notes, "ss_tag_frequency": json.dumps(few)}
        told.append(f"the header was above 1 MiB: of the tags, the {MOST_TAGS} most frequent are kept")
    for key in (*LONG_NOTES, *sorted(notes, key=lambda key: -len(notes[key]))):
        if is_long() and key in notes:
            notes = {name: value for name, value in notes.items() if name != key}
            told.append(f"the header was above 1 MiB: {key} is gone")
    return notes, told


def _most(counts: Mapping[str, Any]) -> dict[str, Any]:
    number = {tag: count for tag, count in counts.items() if isinstance(count, int)}
    return dict(Counter(number).most_common(MOST_TAGS))


def _mended_sidecars(file: Path, known: Known, *, write: bool) -> Iterator[Change]:
    beside = read_beside(file)
    card = card_of_file(file, family=known.family, trainer=known.trainer)
    tables = {
        f"{file.stem}.metadata.json": (beside.managed, _managed(file, card, beside)),
        f"{file.stem}.json": (beside.a1111, _a1111(card, beside)),
        f"{file.stem}.civitai.info": (beside.civitai, _civitai(card, beside)),
    }
    for name, (before, after) in tables.items():
        path = file.with_name(name)
        if name in beside.faults:
            broken = _free(path.with_name(f"{name}.broken"))
            if write:
                path.replace(broken)
            yield Change(file=str(path), what=f"it could not be read ({beside.faults[name]}); kept as {broken.name}")
        if after == before or not after:
            continue
        if write:
            write_atomically(path, written(after))
        yield Change(file=str(path), what=_difference(before, after))


def _free(path: Path) -> Path:
    """This path, or the first like it where there is nothing yet."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in range(2, 10_000))
    return path if not path.exists() else next(one for one in numbered if not one.exists())


def _managed(file: Path, card: Card, beside: Beside) -> dict[str, Any]:
    """LoRA Manager's, whole: what a person wrote stays; what tells of the file is told anew."""
    told = metadata_json(card, file.stat().st_mtime)
    facts = {name: told[name] for name in ("file_name", "size", "sha256", "autov3")}
    if isinstance(before := beside.managed.get("modified"), int | float):
        told["modified"] = before  # it sorts by it, as the day on which a LoRA came
    empty = ("", None, {}, [], "Unknown")  # what LoRA Manager itself writes of a file that nobody told it about
    kept = {key: value for key, value in beside.managed.items() if value not in empty}
    site = {
        **beside.civitai,
        **{key: value for key, value in table_in(beside.managed, "civitai").items() if value not in empty},
    }
    kept["civitai"] = told["civitai"] | {key: value for key, value in site.items() if value not in empty}
    told["from_civitai"] = bool(site.get("id"))
    wanted = {key: told[key] for key in (*REQUIRED, "autov3", "civitai", "tags", "from_civitai") if key in told}
    missing = {key: value for key, value in wanted.items() if key not in kept}
    if not beside.managed:
        told["notes"] = beside.a1111.get("notes", "")
        missing |= {
            key: told[key] for key in ("notes", "modelDescription", "usage_tips") if told[key] not in ("", "{}")
        }
    return {**beside.managed, **kept, **missing, **facts, **({"modified": told["modified"]} if beside.managed else {})}


def _a1111(card: Card, beside: Beside) -> dict[str, Any]:
    told = a1111_json(card)
    if not card.subject.trigger and not beside.a1111:
        return {}  # it would say nothing that the file does not
    kept = dict(beside.a1111)
    if version := VERSIONS.get(card.base.family):  # told by its tensors, or its notes: a wrong one hides it
        kept["sd version"] = version
    return {**{key: value for key, value in told.items() if key not in kept and key != "notes"}, **kept}


def _civitai(card: Card, beside: Beside) -> dict[str, Any]:
    """Civitai's own, where it is there: LoRA Manager reads it only where a file is marked as the one that is meant."""
    files = beside.civitai.get("files")
    if not isinstance(files, list) or not files or any(isinstance(f, dict) and f.get("primary") is True for f in files):
        return dict(beside.civitai)
    meant = next((place for place, f in enumerate(files) if _is_file(f, card)), 0)
    marked = [{**f, "primary": True} if place == meant else f for place, f in enumerate(files) if isinstance(f, dict)]
    return {**beside.civitai, "files": marked}


def _is_file(told: Any, card: Card) -> bool:
    hashes = told.get("hashes") if isinstance(told, dict) else None
    return isinstance(hashes, dict) and str(hashes.get("AutoV3", "")).lower() == card.file.auto_v3


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if not before:
        return "it was missing, and is written"
    changed = [key for key in after if after[key] != before.get(key)]
    return f"{', '.join(changed)} {'is' if len(changed) == 1 else 'are'} mended"


def files_in(files: Sequence[Path]) -> list[Path]:
    """The LoRA files among some paths, folders being searched."""
    found = [path for file in files for path in (sorted(file.rglob("*.safetensors")) if file.is_dir() else [file])]
    return [path for path in dict.fromkeys(found) if not path.name.startswith(".")]
