"""Adapter files by anyone: checked, converted, merged, made smaller. Names and paths in, plain facts out.

The words that a person types ("mira.safetensors=0.8") are read here, because every face types them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness.errors import CheckpointError, MissingExtra, RecipeError
from likeness.events import Report, silent
from likeness.pipeline.instruments import base_folder
from likeness.recipe import BaseConfig

if TYPE_CHECKING:
    from likeness.diffusion.files.conversion import LoraFile
    from likeness.diffusion.files.resizing import Kept

__all__ = ["check_file", "convert_file", "merge_files", "resize_file", "weighted"]


def check_file(file: Path) -> list[dict[str, Any]]:
    """What each tool makes of an adapter file; see `likeness.diffusion.files.compat.Verdict`.

    Raises:
        CheckpointError: for a file that is none.
        MissingExtra: where torch is not installed.
    """
    _need_torch()
    from likeness.diffusion.files.compat import compat_of

    found = compat_of(file)
    return [{**asdict(one), "takes_all": one.takes_all, "is_fault": one.is_fault} for one in found]


def convert_file(file: Path, out: Path, to: str) -> dict[str, Any]:
    """`out` is the file as another tool names its layers: "kohya", "diffusers", or "peft", which is a folder.

    Raises:
        RecipeError: for a tool that is not known.
        CheckpointError: for a file that cannot be read, or has a method that the tool does not compute.
        MissingExtra: where torch is not installed.
    """
    _need_torch()
    from likeness.diffusion.files.conversion import read_lora
    from likeness.diffusion.files.exports import WAYS

    if to not in WAYS:
        raise RecipeError(f"--to {to} is not known. Use one of {', '.join(WAYS)}.")
    lora = read_lora(file)
    _refuse_same(file, out)
    WAYS[to](lora, out)
    return {"file": str(out), "family": lora.family, "layers": len(lora.layers()), "left_out": list(lora.beside)}


def merge_files(
    out: Path,
    words: Sequence[str],
    *,
    base: Path | None = None,
    rank: int | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """`out` is a base with these files in it; or, without a base, one file that does what they do together.

    Args:
        out: a folder for a folder, a .safetensors file for all else.
        words: files, each with its weight where that is not 1: "mira.safetensors=0.8".
        base: that they are merged into; "maquette" is the embedded one.
        rank: of the one file, at most; by default the sum of all ranks, which is exact.
        report: told as the base is written.

    Raises:
        RecipeError: for words that are not a file and a number, and for a rank beside a base.
        CheckpointError: for a file that cannot be read or does not fit.
        MissingExtra: where torch is not installed.
    """
    _need_torch()
    from likeness.diffusion.files.conversion import read_lora

    if base and rank:
        raise RecipeError("--rank is of one file made of several; a base has none. Leave out --rank or --base.")
    files = [weighted(word) for word in words]
    loras = [(read_lora(path), weight) for path, weight in files]
    if base is None:
        return _together(out, loras, rank)
    from likeness.diffusion.files.merging import merge_into

    place = base_folder(BaseConfig()) if str(base) == "maquette" else base
    merged = merge_into(place, loras, out, report=report)
    return {"file": str(merged.path), "tensors": merged.tensors, "layers": merged.layers}


def _together(out: Path, loras: "Sequence[tuple[LoraFile, float]]", rank: int | None) -> dict[str, Any]:
    from likeness.diffusion.files.conversion import LoraFile
    from likeness.diffusion.files.lora_files import save_tensors, with_one_alpha
    from likeness.diffusion.files.resizing import combined, resized

    tensors, notes = combined(loras), dict(loras[0][0].metadata)
    titles = [lora.metadata.get("modelspec.title") or lora.metadata.get("ss_output_name", "") for lora, _ in loras]
    notes["modelspec.merged_from"] = ", ".join(title or "a LoRA" for title in titles)
    whole = LoraFile(tensors, notes, next((lora.family for lora, _ in loras if lora.family), ""))
    kept: dict[str, Kept] = {}
    if rank is not None:
        tensors, kept = resized(whole, rank=rank)
    save_tensors(out, with_one_alpha(tensors), notes=notes)
    return {"file": str(out), "layers": len(whole.layers()), **({"kept": _by_block(kept)} if kept else {})}


def resize_file(file: Path, out: Path, *, rank: int | None = None, keep: float = 1.0) -> dict[str, Any]:
    """`out` is the file at a smaller rank, and how much of each block is left.

    Args:
        file: of any method that needs no base.
        out: the new file.
        rank: at most.
        keep: the share of each layer's change that is to be kept, in (0, 1].

    Raises:
        RecipeError: where neither rank nor share is given, or one is out of range.
        CheckpointError: for a file that cannot be read, or whose change depends on a base.
        MissingExtra: where torch is not installed.
    """
    if rank is None and keep >= 1:
        raise RecipeError("Say how small: --rank 8, or --keep 0.95 for whatever rank keeps that share of each layer.")
    if not 0 < keep <= 1 or (rank is not None and rank < 1):
        raise RecipeError(f"--rank is at least 1 and --keep in (0, 1]; seen are {rank} and {keep:g}.")
    _need_torch()
    from likeness.diffusion.files.conversion import read_lora
    from likeness.diffusion.files.lora_files import save_tensors, with_one_alpha
    from likeness.diffusion.files.resizing import resized

    _refuse_same(file, out)
    lora = read_lora(file)
    tensors, kept = resized(lora, rank=rank, keep=keep)
    save_tensors(out, with_one_alpha(tensors), notes=lora.metadata)
    return {"file": str(out), "layers": len(kept), "kept": _by_block(kept)}


def _by_block(kept: "Mapping[str, Kept]") -> list[dict[str, Any]]:
    """What is left of each block: its ranks, and the smallest and mean share of its layers."""
    from likeness.diffusion.files.inspection import block_of

    blocks: dict[str, list[Kept]] = {}
    for layer, one in kept.items():
        blocks.setdefault(block_of(layer), []).append(one)
    return [
        {
            "block": block,
            "layers": len(ones),
            "ranks": sorted({one.rank for one in ones}),
            "energy": sum(one.energy for one in ones) / len(ones),
            "least": min(one.energy for one in ones),
        }
        for block, ones in sorted(blocks.items())
    ]


def weighted(word: str) -> tuple[Path, float]:
    """A file and its weight, as typed: "mira.safetensors", or "mira.safetensors=0.8". A file with such a name wins.

    Raises:
        RecipeError: for a weight that is no number.
    """
    name, _, number = word.rpartition("=")
    if not name or Path(word).exists():
        return Path(word), 1.0
    try:
        return Path(name), float(number)
    except ValueError as fault:
        raise RecipeError(f"{word!r}: {number!r} is no weight. Write a file and a number, as in {name}=0.8.") from fault


def _refuse_same(file: Path, out: Path) -> None:
    if out.exists() and file.exists() and out.samefile(file):
        raise CheckpointError(f"{out} is the file itself, and is not written over. Name another.")


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "torch", "train", why="to work with adapter files") from missing
