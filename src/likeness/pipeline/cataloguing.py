"""Gathering LoRAs into a catalog: what a person names is a release, a workspace, a LoRA's file, or a folder of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from likeness.catalog.add import add_card, add_release
from likeness.catalog.fix import files_in
from likeness.catalog.foreign import card_of_file
from likeness.catalog.publish import CARD
from likeness.errors import CheckpointError, PublishError
from likeness.events import Event, Report, silent
from likeness.pipeline.fixing import known_of
from likeness.recipe import Rating

__all__ = ["add_to_catalog"]


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
        PublishError: where there is nothing to add.
        CheckpointError: where a single file that was named is no LoRA; in a folder such files are passed over and told.
        WorkspaceError: where the catalog cannot be written.
    """
    releases = [release for source in sources for release in _releases(source)]
    inside = {file for release in releases for file in release.rglob("*.safetensors")}
    files = [file for file in files_in(_loose(sources)) if file not in inside and "runs" not in file.parts]
    if not releases and not files:
        named = ", ".join(map(str, sources))
        raise PublishError(f"{named}: there is nothing to add. Name a release, a workspace with one, or LoRAs.")
    content, added = root / "content", list[Path]()
    total = len(releases) + len(files)
    for release in releases:
        added.append(add_release(content, release, kind=section, with_file=with_files))
        report(Event(stage="add", done=len(added), total=total))
    for file in files:
        try:
            added.append(_add_file(content, file, section=section, rating=rating, with_file=with_files))
        except CheckpointError as fault:
            if file in sources:
                raise
            report(Event(stage="add", done=len(added), total=total, note=f"passed over: {fault}"))
        report(Event(stage="add", done=len(added), total=total))
    return added


def _releases(source: Path) -> Iterator[Path]:
    """The releases in a folder: itself, those of a workspace, or all below it but for earlier versions."""
    if (source / CARD).is_file():
        yield source
    elif source.is_dir():
        for card in sorted(source.rglob(CARD)):
            if "versions" not in card.relative_to(source).parts:
                yield card.parent


def _loose(sources: Sequence[Path]) -> list[Path]:
    """What may hold LoRAs beside releases: a workspace's own runs are none."""
    return [source for source in sources if not (source / "likeness.toml").exists() and not (source / CARD).exists()]


def _add_file(content: Path, file: Path, *, section: str, rating: Rating | None, with_file: bool) -> Path:
    known = known_of(file)
    card = card_of_file(file, family=known.family, trainer=known.trainer, rating=rating)
    pictures = {card.preview.file: file.with_name(card.preview.file)} if card.preview else {}
    return add_card(content, card, pictures, kind=section, file=file if with_file else None)
