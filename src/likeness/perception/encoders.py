"""Encoders: for measuring. A picture becomes a row of numbers; the product of two rows says how alike pictures are.

Only local files are read, and never a pickle. Each encoder carries the sha256 of its weights: what two encoders say, or
one before and after a change of its weights, is never compared.

Shapes: X pictures, E numbers of an embedding, H W C picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from likeness.errors import CheckpointError
from likeness.images import Pixels, fit
from likeness.perception.copy_encoder import CopyEncoder
from likeness.perception.folder_encoder import PICKLES, FolderEncoder
from likeness.perception.rows import EachAlone

__all__ = ["Encoder", "PlainEncoder", "load_encoder"]

Floats = NDArray[np.float32]

_CELLS, _CELL = 24, 4  # of the plain encoder: cells along a side, and px along a cell's


class Encoder(Protocol):
    """What turns pictures into rows that can be compared."""

    @property
    def name(self) -> str:
        """What kind it is: "plain", "dinov2", "siglip" or "sscd"."""
        ...

    @property
    def sha256(self) -> str:
        """Of the file of its weights. Scores are compared only where it is equal."""
        ...

    def encode(self, pictures: Sequence[Pixels]) -> Floats:
        """A row of length 1 per picture, in order, shape (X, E); the product of two is how alike they are.

        Each picture is encoded by itself, so that its row does not depend on the others.
        """
        ...


def load_encoder(path: str | Path) -> Encoder:
    """The encoder that lies at a path, on the CPU and in float32.

    Args:
        path: a folder as transformers saves it, of DINOv2, SigLIP or SigLIP 2; an .onnx file of a copy descriptor
            (SSCD); or "plain".

    Raises:
        CheckpointError: where there is no encoder, or one that is refused: a pickle, not whole, of another kind.
        MissingExtra: where a library that it needs is not installed.
    """
    if str(path) == "plain":
        return PlainEncoder()
    path = Path(path).expanduser()
    if path.suffix.lower() in PICKLES:
        raise CheckpointError(
            f"{path} is a pickle or TorchScript, which can run code when it is opened, and is refused. Export it to "
            "ONNX where you trust it, and name the .onnx file."
        )
    if not path.exists():
        raise CheckpointError(f"There is no encoder at {path}. Check the path; nothing is downloaded.")
    if path.is_dir():
        return FolderEncoder(path)
    if path.suffix.lower() == ".onnx":
        return CopyEncoder(path)
    raise CheckpointError(
        f"{path} is no encoder. Name a folder as transformers saves it (config.json, model.safetensors, "
        "preprocessor_config.json), an .onnx file, or 'plain'."
    )


class PlainEncoder(EachAlone):
    """A coarse copy of the picture, less its mean colour. It finds copies, tells no characters apart, needs no weights.

    It sees the centred square as 24 x 24 means of areas. The product of two rows is a correlation, in [-1, 1]. Flat
    pictures are all alike, and have nothing to do with others: there the product is 0.
    """

    name = "plain"
    sha256 = hashlib.sha256(b"likeness plain 1: centred square, 24 x 24 means of areas, less mean colour").hexdigest()
    """Of the method and its version, as there are no weights."""

    width = _CELLS * _CELLS * 3

    def row(self, pixels: Pixels) -> NDArray[np.floating]:
        """The row of one picture, length 1."""
        square_HWC = fit(pixels, _CELLS * _CELL, _CELLS * _CELL).astype(np.float64) / 255
        means_HWC = square_HWC.reshape(_CELLS, _CELL, _CELLS, _CELL, 3).mean((1, 3))
        row_E = (means_HWC - means_HWC.mean((0, 1))).ravel()
        if np.linalg.norm(row_E) < 1e-9:  # a flat picture, of which rounding alone is left
            row_E = np.ones_like(row_E)  # at right angles to every row without a mean
        return row_E / np.linalg.norm(row_E)
