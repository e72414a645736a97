"""Publishing: a chosen LoRA becomes a folder that every tool shows rightly, with all that is known of it beside it."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from likeness.catalog.card import Card, FileFacts, Sample, Version, read_card
from likeness.catalog.credentials import Sign, signing
from likeness.catalog.gates import refuse_leaks, refuse_name, refuse_unready
from likeness.catalog.notes import notes_of, thumbnail_of
from likeness.catalog.pictures import Shown, files_of, pictured
from likeness.catalog.readme import model_card
from likeness.catalog.sidecars import a1111_json, civitai_info, metadata_json, written
from likeness.catalog.sketch import sketch_of
from likeness.catalog.withdrawals import RECORD, refuse_withdrawn
from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.files.headers import hashes_of, write_with_notes
from likeness.embedded import embedded_notes
from likeness.errors import PublishError, WorkspaceError
from likeness.recipe import CharacterConfig, PublishConfig
from likeness.records import make_folder, write_atomically

__all__ = ["CARD", "file_facts", "publish", "renewed", "sidecars_of", "write_texts"]

CARD = "likeness.json"


def publish(
    card: Card,
    lora: Path,
    shown: Sequence[Shown],
    *,
    character: CharacterConfig,
    config: PublishConfig,
    to: Path,
) -> Card:
    """The release of a LoRA, in a folder of its name: its file with complete notes, previews, sidecars, model card, and
    `likeness.json`. A second time nothing changes but what is said otherwise; another LoRA is another version, and the
    one before goes into `versions/`.

    Args:
        card: what is to be said; hashes, pictures, versions and the day are filled in here.
        lora: the file that was chosen.
        shown: pictures, the preview first.
        character: who is drawn.
        config: under which terms, and where it goes.
        to: the folder that releases lie in.

    Raises:
        ConsentError: where a real person has not agreed to it, or nobody knows who is drawn.
        PublishError: where something else keeps it from being published; all reasons are told.
        CheckpointError: where the file cannot be read, or its notes are too long.
        WorkspaceError: where the folder cannot be written.
    """
    refuse_name(card.name)
    tensors = hashes_of(lora).tensors
    refuse_withdrawn(to / RECORD, tensors, card.title)
    refuse_unready(card, character, config)
    folder, before = to / card.name, _before(to / card.name)
    card = _numbered(card, before, tensors, config)
    card, pictures = _with_pictures(card, shown, tensors[:12])
    if sign := signing(config):
        card, pictures = _signed(card, pictures, sign, folder)
    notes = notes_of(card, read_header(lora).metadata, thumbnail_of(shown[0].pixels) if shown else "")
    told = {f"{card.name}.safetensors, {key}": text for key, text in notes.items()}
    refuse_leaks(told | _texts(card, 0.0, civitai=True), character, config)

    file, staged = folder / f"{card.name}.safetensors", to / f".{card.name}.safetensors.staged"
    make_folder(folder / "images")
    try:
        if before and before.file.tensors != tensors:
            write_with_notes(lora, notes, staged)  # all that may still be refused comes before anything is moved
            _set_aside(folder, before)
            staged.replace(file)
        else:
            write_with_notes(lora, notes, file)
    finally:
        staged.unlink(missing_ok=True)
    for name, data in pictures.items():
        _write(folder / name, data)
    card = card.model_copy(update={"file": file_facts(file)})
    write_texts(folder, card, civitai=config.civitai_info)
    _sweep(folder, {folder / name for name in pictures})
    return card


def file_facts(file: Path) -> FileFacts:
    """What is said of a file.

    Raises:
        CheckpointError: for a file that cannot be read.
    """
    hashes = hashes_of(file)
    return FileFacts(
        name=file.name,
        size=hashes.size,
        sha256=hashes.sha256,
        tensors=hashes.tensors,
        auto_v1=hashes.auto_v1,
        crc32=hashes.crc32,
        sketch=sketch_of(file),
    )


def sidecars_of(card: Card, modified: float, *, civitai: bool = False) -> dict[str, str]:
    """The sidecars of a release, by the name of their file.

    Args:
        card: of the release.
        modified: time of the LoRA's file, seconds.
        civitai: whether tools that read Civitai's own are served too.
    """
    told = {f"{card.name}.json": a1111_json(card), f"{card.name}.metadata.json": metadata_json(card, modified)}
    if civitai:
        told[f"{card.name}.civitai.info"] = civitai_info(card)
    return {name: written(table) for name, table in told.items()}


def write_texts(folder: Path, card: Card, *, civitai: bool = False) -> list[str]:
    """Writes a release's sidecars, model card and card; those that have changed are named."""
    texts = _texts(card, (folder / card.file.name).stat().st_mtime, civitai=civitai)
    changed = [name for name, text in texts.items() if _write(folder / name, text.encode())]
    if not civitai:
        (folder / f"{card.name}.civitai.info").unlink(missing_ok=True)
    return changed


def renewed(folder: Path, card: Card) -> list[str]:
    """A release whose card was edited: the file's notes are written anew, its tensors stay, and so do its pictures; all
    that tells the file's hash is renewed. What has changed is named.

    Raises:
        CheckpointError: where the file cannot be read.
        WorkspaceError: where the folder cannot be written.
    """
    file = folder / card.file.name
    kept = read_header(file).metadata
    notes = notes_of(card, kept, kept.get("modelspec.thumbnail", ""))
    changed = [file.name] if write_with_notes(file, notes, file) else []
    civitai = (folder / f"{card.name}.civitai.info").exists()
    return changed + write_texts(folder, card.model_copy(update={"file": file_facts(file)}), civitai=civitai)


def _before(folder: Path) -> Card | None:
    """The release that is there already."""
    return read_card(folder / CARD) if (folder / CARD).exists() else None


def _numbered(card: Card, before: Card | None, tensors: str, config: PublishConfig) -> Card:
    """The card with its version, its day, and the versions before it."""
    if before is None:
        return card.model_copy(update={"version": config.version or "1"})
    taken = [one.version for one in before.previous]
    if before.file.tensors == tensors and config.version not in taken:
        kept = {"published": before.published, "previous": before.previous}
        return card.model_copy(update={**kept, "version": config.version or before.version})
    if config.version and config.version in (before.version, *taken):
        raise PublishError(
            f"publish.version = {config.version!r}: that version is published, and was another LoRA. Set another one, "
            "or none, for the next number."
        )
    gone = Version(
        version=before.version,
        tensors=before.file.tensors,
        sha256=before.file.sha256,
        published=before.published,
    )
    update = {"version": config.version or _next(before.version), "previous": (gone, *before.previous)}
    return card.model_copy(update=update)


def _next(version: str) -> str:
    """The version after this one: its last number is one more; one without a number gets a second part."""
    head, _, last = version.rpartition(".")
    return f"{head}{'.' if head else ''}{int(last) + 1}" if last.isdecimal() else f"{version}.2"


def _with_pictures(card: Card, shown: Sequence[Shown], lora_hash: str) -> tuple[Card, dict[str, bytes]]:
    """The card with its pictures, and their files. The preview is the first one, under the name that all tools know."""
    told = [
        pictured(one, file, lora=card.name, lora_hash=lora_hash)
        for one, file in zip(shown, files_of(shown), strict=True)
    ]
    pictures = {sample.file: data for sample, data in told}
    samples = tuple(sample for sample, _ in told)
    if not told:
        return card, {}
    preview = samples[0].model_copy(update={"file": f"{card.name}.preview.png"})
    pictures[preview.file] = told[0][1]
    return card.model_copy(update={"preview": preview, "samples": samples}), pictures


def _signed(card: Card, pictures: dict[str, bytes], sign: Sign, folder: Path) -> tuple[Card, dict[str, bytes]]:
    """The pictures with content credentials. One that was signed before stays: each signature is another."""
    signed = {file: _kept(folder / file, data) or sign(data) for file, data in pictures.items()}

    def renewed(one: Sample) -> Sample:
        return one.model_copy(update={"sha256": hashlib.sha256(signed[one.file]).hexdigest()})

    preview = renewed(card.preview) if card.preview else None
    return card.model_copy(update={"preview": preview, "samples": tuple(map(renewed, card.samples))}), signed


def _kept(path: Path, data: bytes) -> bytes:
    """A file that is this picture, signed; nothing where it is another, or not signed."""
    if not path.is_file() or not (before := embedded_notes(path)).credentials:
        return b""
    with Image.open(path) as there, Image.open(io.BytesIO(data)) as new:
        is_same = there.tobytes() == new.tobytes() and before.texts.get("parameters") == new.info.get("parameters")
    return path.read_bytes() if is_same else b""


def _texts(card: Card, modified: float, *, civitai: bool) -> dict[str, str]:
    """All that is said beside the file, as for `sidecars_of`."""
    sidecars = sidecars_of(card, modified, civitai=civitai)
    return {**sidecars, "README.md": model_card(card), CARD: card.model_dump_json(indent=1) + "\n"}


def _set_aside(folder: Path, before: Card) -> None:
    """Moves a release into `versions/`, its file under a name of its own: tools that search below a folder would take
    two of one name for one."""
    name = f"{before.name}-v{before.version}"
    aside = folder / "versions" / before.version
    if aside.exists():
        raise PublishError(f"{aside} is there already. Move it elsewhere, and publish again.")
    kept = (*(one.file for one in before.pictures), before.file.name)
    lost = [file for file in kept if not (folder / file).is_file()]
    if lost:
        raise PublishError(
            f"{folder} lacks {', '.join(lost)} of version {before.version}, which is to be kept. Put back what is "
            "missing, or move the folder elsewhere, and publish again."
        )
    make_folder(aside / "images")
    try:
        for sample in before.samples:
            (folder / sample.file).replace(aside / sample.file)
        if before.preview:
            (folder / before.preview.file).replace(aside / f"{name}.preview.png")
        (folder / before.file.name).replace(aside / f"{name}.safetensors")
        for sidecar in (f"{before.name}.json", f"{before.name}.metadata.json", f"{before.name}.civitai.info"):
            (folder / sidecar).unlink(missing_ok=True)
    except OSError as fault:
        raise WorkspaceError.of(folder, fault) from fault
    file = before.file.model_copy(update={"name": f"{name}.safetensors"})
    preview = before.preview.model_copy(update={"file": f"{name}.preview.png"}) if before.preview else None
    renewed(aside, before.model_copy(update={"name": name, "file": file, "preview": preview, "previous": ()}))


def _write(path: Path, data: bytes) -> bool:
    """Writes what is not there already; whether it was not."""
    if path.exists() and path.read_bytes() == data:
        return False
    write_atomically(path, data)
    return True


def _sweep(folder: Path, pictures: set[Path]) -> None:
    """Removes pictures of an earlier release that this one does not show."""
    for path in (folder / "images").iterdir():
        if path not in pictures and path.suffix == ".png":
            path.unlink()
