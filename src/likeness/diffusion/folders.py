"""The folder of a base as diffusers writes it: each part found, checked before it is opened, and loaded whole."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel
from transformers.utils import logging

from likeness.diffusion.checkpoints import read_header
from likeness.errors import CheckpointError

__all__ = ["load_part", "present", "read_table", "vocabulary_files", "weights_file"]

PICKLES = (".bin", ".ckpt", ".pt")


def weights_file(folder: Path, stem: str) -> Path:
    """The safetensors file of a part, sound by its header; in half precision where that is the only one.

    Raises:
        CheckpointError: where there is none, or only a pickle.
    """
    for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
        if (folder / name).is_file():
            read_header(folder / name)
            return folder / name
    if found := sorted(path for suffix in PICKLES for path in folder.glob(f"*{suffix}")):
        raise CheckpointError(
            f"{found[0]} is a pickle, which can run any code when it is opened, and is refused. Get {stem}.safetensors "
            "of the same weights."
        )
    raise CheckpointError(f"{folder / stem}.safetensors is missing. The base's folder is not whole; get it again.")


def vocabulary_files(folder: Path) -> list[Path]:
    """The tokenizer's files: CLIP's own two, or the one that newer versions of transformers write instead.

    Raises:
        CheckpointError: where one is missing.
    """
    whole = folder / "tokenizer.json"
    return [whole] if whole.is_file() else [present(folder / name) for name in ("vocab.json", "merges.txt")]


def load_part(kind: Any, folder: Path, weights: Path, dtype: torch.dtype) -> Any:
    """One part of the base, whole, from its own folder and nowhere else.

    Args:
        kind: its class, of diffusers or transformers.
        folder: where its config.json lies.
        weights: its `weights_file`.
        dtype: what its weights are converted to.

    Raises:
        CheckpointError: where the configuration is missing, or the weights are not all that it asks for.
    """
    present(folder / "config.json")
    options: dict[str, Any] = {"dtype" if issubclass(kind, PreTrainedModel) else "torch_dtype": dtype}
    options["variant"] = "fp16" if ".fp16." in weights.name else None
    try:
        with _no_bar():
            part, told = cast("Any", kind).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
            )
    except (OSError, ValueError, RuntimeError) as fault:
        raise CheckpointError(f"{folder} cannot be loaded as {kind.__name__}: {fault}") from fault
    if missing := sorted(told["missing_keys"]):  # else the libraries draw them at random and go on
        raise CheckpointError(f"{weights} lacks {len(missing)} tensor(s) that its config.json asks for: {missing[0]}.")
    return part


@contextmanager
def _no_bar() -> Iterator[None]:
    """Without the progress bar that transformers draws on stderr, even into a log."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def present(path: Path) -> Path:
    """The same path, once a file is known to be there.

    Raises:
        CheckpointError: where there is none.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing. The base's folder is not whole; get it again.")
    return path


def read_table(path: Path) -> dict[str, Any]:
    """What a configuration file says.

    Raises:
        CheckpointError: where it is missing, or no JSON object.
    """
    try:
        read = json.loads(present(path).read_text(encoding="utf-8"))
    except ValueError as fault:
        raise CheckpointError(f"{path} is not readable as JSON: {fault}.") from fault
    if not isinstance(read, dict):
        raise CheckpointError(f"{path} is not a table.")
    return read
