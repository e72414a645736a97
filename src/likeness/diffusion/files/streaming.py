"""A weights file written while another is read: one tensor in memory at a time, and nothing there until it is whole."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from likeness.diffusion.checkpoints import Header
from likeness.diffusion.files.headers import front_of, places_of
from likeness.errors import WorkspaceError

__all__ = ["copied_base", "write_streaming"]

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".msgpack", ".h5", ".onnx")
"""What a base is not copied with: weights in other forms, which would be those from before."""


def write_streaming(
    target: Path, header: Header, tensor_of: Callable[[str], Tensor], *, notes: Mapping[str, str]
) -> None:
    """`target` holds the tensors of a header in its order and precision, each as `tensor_of` gives it.

    Args:
        target: a new file.
        header: of the file that is written anew.
        tensor_of: a tensor by its name, of the shape and dtype that the header says.
        notes: the file's metadata.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    try:
        with target.open("xb") as file:
            file.write(front_of(notes, places_of(header)))
            for name, place in sorted(header.tensors.items(), key=lambda item: (item[1].start, item[1].end)):
                data = tensor_of(name).detach().contiguous().reshape(-1).view(torch.uint8)
                assert len(data) == place.end - place.start, f"{name} has changed its size"
                file.write(data.numpy().tobytes())
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        raise WorkspaceError.of(target, fault) from fault


@contextmanager
def copied_base(base: Path, to: Path, files: Sequence[Path]) -> Iterator[dict[Path, Path]]:
    """`to` is there, whole, once the block has written each of `files` at the path that it is given for it; if that
    fails there is nothing. All else in a folder is copied, but for weights in other forms.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    partial = to.with_name(f".{to.name}.{secrets.token_hex(4)}.partial")
    try:
        try:
            if base.is_dir():
                written = {path.relative_to(base).as_posix() for path in files}
                _copy_rest(base, partial, written)
                yield {path: partial / path.relative_to(base) for path in files}
            else:
                to.parent.mkdir(parents=True, exist_ok=True)
                yield {base: partial}
            partial.rename(to)
        finally:
            if partial.is_dir():
                shutil.rmtree(partial)
            partial.unlink(missing_ok=True)
    except OSError as fault:
        raise WorkspaceError.of(to, fault) from fault


def _copy_rest(base: Path, partial: Path, written: set[str]) -> None:
    partial.mkdir(parents=True)
    for path in sorted(base.rglob("*")):
        place = path.relative_to(base)
        if path.is_dir():
            (partial / place).mkdir(parents=True, exist_ok=True)
        elif place.as_posix() not in written and path.suffix.lower() not in PICKLES:
            (partial / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, partial / place)
