"""Masks: how much each place of a picture counts, from a file that a person drew or from what the reader saw.

Shapes: H W picture, h w latent.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy
from PIL import Image

from likeness.cache.framing import Frame, part_of
from likeness.errors import PictureError
from likeness.images import open_pixels, sha256_of
from likeness.records import Picture

__all__ = ["Mask", "mask_file", "mask_of"]

Source = Literal["files", "subject", "face"]


@dataclass(frozen=True, slots=True)
class Mask:
    """What counts in a picture.

    Attributes:
        said: all that decides it, for the name of its file in the cache.
        pixels_HW: 0 to 255, of what is trained on (the picture, or its crop) before it is resized.
        is_drawn: whether a person drew it.
    """

    said: str
    pixels_HW: numpy.ndarray
    is_drawn: bool

    def within(self, frame: Frame, pixels_per_latent: int) -> numpy.ndarray:
        """The share of each latent's place that counts, float32, (h, w), in [0, 1]."""
        size = frame.width // pixels_per_latent, frame.height // pixels_per_latent
        small = Image.fromarray(self.pixels_HW).resize(size, Image.Resampling.BOX, box=frame.window)
        return numpy.asarray(small, numpy.float32) / 255


def mask_file(folder: Path, picture: Picture) -> Path:
    """Where a person's mask of a picture lies: `masks/front.png` for `images/front.jpg`."""
    return (folder / picture.path).with_suffix(".png")


def mask_of(picture: Picture, source: Source, folder: Path) -> Mask | None:
    """The mask of a picture; None where nobody drew one or the reader did not see it, so that all of it counts.

    Args:
        picture: with its reading.
        source: whether it is a file, or a box that the reader saw.
        folder: of the files. White counts, black and what is transparent do not, grey does in part.

    Raises:
        PictureError: for a mask that is not as large as its picture, or a crop that leaves nothing of it.
    """
    if source == "files":
        path = mask_file(folder, picture)
        if not path.is_file():
            return None
        whole = open_pixels(path, ground="black").max(axis=2)
        if whole.shape != (picture.height, picture.width):
            raise PictureError(
                f"The mask {path} is {whole.shape[1]} x {whole.shape[0]} px, and its picture {picture.path} is "
                f"{picture.width} x {picture.height} px. Draw it over the picture, in the same size."
            )
        said = sha256_of(path)
    else:
        box = getattr(picture.reading, source, None)
        if box is None:
            return None
        whole = numpy.zeros((picture.height, picture.width), numpy.uint8)
        whole[max(box.top, 0) : max(box.bottom, 0), max(box.left, 0) : max(box.right, 0)] = 255
        said = box.model_dump_json()
    part = part_of(picture)
    return Mask(said, whole[part.top : part.bottom, part.left : part.right], is_drawn=source == "files")
