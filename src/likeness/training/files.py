"""Files of a cache."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from likeness.diffusion.checkpoints import read_header
from likeness.errors import WorkspaceError

__all__ = ["tensors_of"]


def tensors_of(cache: Path, key: str) -> dict[str, Tensor]:
    """The tensors of one file.

    Raises:
        WorkspaceError: where it is missing.
    """
    path = cache / f"{key}.safetensors"
    if not path.is_file():
        raise WorkspaceError(f"{path} is missing. Encode again; only what is missing is made.")
    read_header(path)
    return load_file(path)
