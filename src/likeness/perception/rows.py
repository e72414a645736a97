"""Rows: what all encoders make of pictures, one after the other.

Shapes: X pictures, E numbers of an embedding.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likeness.errors import CheckpointError
from likeness.images import Pixels

__all__ = ["EachAlone", "unit"]

Floats = NDArray[np.float32]


class EachAlone(ABC):
    """Encodes one picture after the other."""

    width: int  # E; 0 where it is not known before the first picture

    def encode(self, pictures: Sequence[Pixels]) -> Floats:
        """A row of length 1 per picture, in order, shape (X, E)."""
        rows = [self.row(picture) for picture in pictures]
        return np.stack(rows).astype(np.float32) if rows else np.empty((0, self.width), np.float32)

    @abstractmethod
    def row(self, pixels: Pixels) -> NDArray[np.floating]:
        """The row of one picture, length 1."""


def unit(row_E: Floats, source: Path) -> NDArray[np.floating]:
    """A row at length 1.

    Raises:
        CheckpointError: where it has no length, or none that is finite.
    """
    length = float(np.linalg.norm(row_E.astype(np.float64)))
    if not 0 < length < np.inf:
        raise CheckpointError(f"{source} answers a picture with a row of length {length}. Its weights are broken.")
    return row_E / length
