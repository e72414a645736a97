"""Files of a cache."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from likeness.diffusion.checkpoints import read_header
from likeness.errors import CheckpointError, WorkspaceError

__all__ = ["tensors_of"]


def tensors_of(cache: Path, key: str) -> dict[str, Tensor]:
    """The tensors of one file.

    Raises:
        WorkspaceError: where it is missing or damaged.
    """
    path = cache / f"{key}.safetensors"
    if not path.is_file():
        raise WorkspaceError(f"{path} is missing. Encode again; only what is missing is made.")
    try:
        read_header(path)
    except CheckpointError as fault:
        raise WorkspaceError(f"{path} is damaged. Delete it and encode again; only what is missing is made.") from fault
    return load_file(path)
