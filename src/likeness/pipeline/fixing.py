"""Fixing files that others made: their tensors are asked here, their notes and sidecars are mended in the catalog."""

from collections.abc import Sequence
from pathlib import Path

from likeness.catalog.fix import Change, Known, files_in, fix
from likeness.diffusion.checkpoints import read_header
from likeness.errors import CheckpointError, MissingExtra
from likeness.events import Event, Report, silent

__all__ = ["fix_files", "known_of"]


def fix_files(paths: Sequence[Path], *, write: bool = True, report: Report = silent) -> list[Change]:
    """What was mended in some LoRAs' files, and in those of some folders; see `likeness.catalog.fix.fix`.

    Raises:
        CheckpointError: where there is none, or one that was named is no LoRA; others are passed over, and told.
        WorkspaceError: where a folder cannot be written.
    """
    files = files_in(paths)
    if not files:
        raise CheckpointError(f"{', '.join(map(str, paths))}: there is no .safetensors file. Name a LoRA, or a folder.")
    known, broken = dict[Path, Known](), list[Change]()
    for place, file in enumerate(files, start=1):
        note = ""
        try:
            known[file] = known_of(file, report)
        except CheckpointError as fault:
            if file in paths:
                raise
            note = f"passed over: {fault}"
            broken += [Change(file=str(file), what=f"left as it is: {fault}")] if not _is_readable(file) else []
        report(Event(stage="fix", done=place, total=len(files), note=note))
    return [*fix(known, write=write), *broken]


def _is_readable(file: Path) -> bool:
    """Whether it is a safetensors file at all: what is no LoRA is none of ours, and what is broken is wrong."""
    try:
        read_header(file)
    except CheckpointError:
        return False
    return True


def known_of(file: Path, report: Report = silent) -> Known:
    """What a file's tensors say of it; nothing without torch, which is told.

    Raises:
        CheckpointError: for what is no LoRA.
    """
    try:
        from likeness.diffusion.files.inspection import keys_in, kind_of
        from likeness.diffusion.files.lineage import family_of_layers, layers_of, trainer_of
    except ModuleNotFoundError as missing:
        told = MissingExtra(missing.name or "torch", "train", why="to tell bases by tensors")
        report(Event(stage="fix", done=0, total=0, note=f"bases are told by notes alone: {told}"))
        return Known()
    header = read_header(file)
    keys = keys_in(header)
    if not keys:
        raise CheckpointError(f"{file} is no LoRA ({kind_of(header)}), and is left as it is. Name a LoRA.")
    family = family_of_layers(layers_of(keys), header.metadata)
    return Known(family=family, trainer=trainer_of(header.tensors, header.metadata))
