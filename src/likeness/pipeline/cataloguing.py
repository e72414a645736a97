"""Gathering LoRAs into a catalog: what a person names is a release, a workspace, a LoRA's file, or a folder of them."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from likeness.catalog.add import add_card, add_release
from likeness.catalog.card import Card, read_card
from likeness.catalog.fix import files_in
from likeness.catalog.foreign import card_of_file
from likeness.catalog.pictures import mark_of
from likeness.catalog.publish import CARD
from likeness.catalog.redaction import leaks_in
from likeness.catalog.shelf import Shelf
from likeness.diffusion.checkpoints import read_header
from likeness.errors import LikenessError, PublishError
from likeness.events import Event, Report, silent
from likeness.images import open_pixels, save_png, sha256_of
from likeness.pipeline.clients import clients_of
from likeness.pipeline.fixing import known_of
from likeness.recipe import Rating

__all__ = ["add_to_catalog"]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a person says of all that is added; see `add_to_catalog`."""

    content: Path
    there: Mapping[tuple[str, str], Path]
    section: str
    rating: Rating | None
    with_files: bool
    report: Report


def add_to_catalog(
    root: Path,
    sources: Sequence[Path],
    *,
    section: str = "",
    rating: Rating | None = None,
    with_files: bool = False,
    report: Report = silent,
) -> list[Path]:
    """The folders of the pages that were added or renewed in the catalog in `root`.

    Args:
        root: of the catalog; it is begun where it is not there.
        sources: releases, workspaces, LoRAs, or folders of any of them.
        section: that they go into; by default the one that their tags tell.
        rating: what pictures show of which no sidecar says.
        with_files: whether the LoRAs themselves lie beside their pages, to be downloaded.
        report: told of each.

    Raises:
        PublishError: where there is nothing to add, or a release that was named cannot be.
        CheckpointError: where a single file that was named is no LoRA. What is found in a folder and cannot be added is
            passed over, and told.
        WorkspaceError: where the catalog cannot be written.
    """
    releases = [release for source in sources for release in _releases(source)]
    files = list(_loose(sources, releases))
    if not releases and not files:
        named = ", ".join(map(str, sources))
        raise PublishError(f"{named}: there is nothing to add. Name a release, a workspace with one, or LoRAs.")
    wanted = _Wanted(root / "content", _there(root), section, rating, with_files, report)
    jobs: list[tuple[Path, Callable[[Path, _Wanted], Path]]] = [(release, _add_release) for release in releases]
    jobs += [(file, _add_file) for file in files]
    added: list[Path] = []
    for place, (path, add) in enumerate(jobs, start=1):
        note = ""
        try:
            added.append(add(path, wanted))
        except LikenessError as fault:
            if path in sources or len(jobs) == 1:
                raise
            note = f"passed over: {fault}"
        report(Event(stage="add", done=place, total=len(jobs), note=note))
    return added


def _tell_section(at: Path | None, wanted: _Wanted) -> None:
    """An entry stays where it is, whatever section is named now."""
    if at and wanted.section and at.relative_to(wanted.content).parts[0] != wanted.section:
        note = f"{at} is where it was, and not in {wanted.section}: move its folder to have it elsewhere"
        wanted.report(Event(stage="add", done=0, total=0, note=note))


def _there(root: Path) -> dict[tuple[str, str], Path]:
    """The folder of each entry's page, wherever it is, by the name of its file and its tensors' hash."""
    if not (root / "content").is_dir():
        return {}
    shelf = Shelf(root)
    tree, entries = shelf.read()
    return {(one.name, one.tensors): shelf.folder(tree.pages[place]) for place, one in entries.items()}


def _where(wanted: _Wanted, card: Card) -> Path | None:
    """The folder of a LoRA's page, or of that of an earlier version."""
    tensors = (card.file.tensors, *(one.tensors for one in card.previous))
    return next((wanted.there[card.name, one] for one in tensors if (card.name, one) in wanted.there), None)


def _releases(source: Path) -> Iterator[Path]:
    """The releases in a folder: itself, those of a workspace, or all below it but for earlier versions."""
    if (source / CARD).is_file():
        yield source
    elif source.is_dir():
        for card in sorted(source.rglob(CARD)):
            if "versions" not in card.relative_to(source).parts:
                yield card.parent


def _loose(sources: Sequence[Path], releases: Sequence[Path]) -> Iterator[Path]:
    """LoRAs that are no part of a release, nor checkpoints of a workspace's runs."""
    inside = {file for release in releases for file in release.rglob("*.safetensors")}
    for source in sources:
        for file in files_in([source]):
            above = [folder for folder in file.parents if source == folder or source in folder.parents]
            if file not in inside and not any((folder / "likeness.toml").exists() for folder in above):
                yield file


def _add_release(release: Path, wanted: _Wanted) -> Path:
    at = _where(wanted, read_card(release / CARD))
    _tell_section(at, wanted)
    return add_release(wanted.content, release, kind=wanted.section, with_file=wanted.with_files, at=at)


def _add_file(file: Path, wanted: _Wanted) -> Path:
    known = known_of(file)
    card = card_of_file(file, family=known.family, trainer=known.trainer, rating=wanted.rating)
    card = card.model_copy(update={"clients": clients_of(file, wanted.report)})
    if leaks := leaks_in({**read_header(file).metadata, "its sidecars": card.model_dump_json()}):
        told = "; ".join(f"{one.where}: {one.what}" for one in leaks[:3])
        note = f"{file.name} tells what may be nobody else's business ({told})"
        wanted.report(Event(stage="add", done=0, total=0, note=note))
    with tempfile.TemporaryDirectory() as folder:
        card, pictures = _plain_preview(file, card, Path(folder))
        own = file if wanted.with_files else None
        at = _where(wanted, card)
        _tell_section(at, wanted)
        return add_card(wanted.content, card, pictures, kind=wanted.section, file=own, at=at)


def _plain_preview(file: Path, card: Card, folder: Path) -> tuple[Card, dict[str, Path]]:
    """A card whose preview is its pixels alone, with the mark of a program where it had one: files tell more, as whose
    disk they lay on."""
    if card.preview is None:
        return card, {}
    picture = folder / f"{file.stem}.preview.png"
    own = file.with_name(card.preview.file)
    save_png(picture, open_pixels(own), xmp=mark_of(own))
    preview = card.preview.model_copy(update={"file": picture.name, "sha256": sha256_of(picture)})
    return card.model_copy(update={"preview": preview, "samples": (preview,)}), {picture.name: picture}
