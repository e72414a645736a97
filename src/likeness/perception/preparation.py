"""What is done to a picture before an encoder sees it: preprocessor_config.json, as transformers writes it.

With Pillow and numpy alone, as transformers' processors did before torchvision's: that one is not needed, and resizes a
little differently.

Shapes: B batch of one, C colours, H W picture, N patches, D numbers of a patch.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, FiniteFloat, PositiveFloat, ValidationError, model_validator

from likeness.errors import CheckpointError
from likeness.images import Pixels
from likeness.records import first_fault

__all__ = ["ByFrame", "ByPatches", "Feed", "Preparation", "Size", "read_preparation", "read_table"]

Feed = dict[str, NDArray[Any]]
"""What a network is called with for one picture, by the name of its argument."""

_Side = Annotated[int, Field(gt=0, le=4096)]  # px; no encoder sees more, and a slip shall not fill the memory
_Always = Literal[True]  # all of these encoders do it; a file that says otherwise is for another network


class Size(BaseModel, frozen=True):
    """Height and width, px, to which a picture is stretched; or its shorter edge, and it keeps its shape."""

    height: _Side | None = None
    width: _Side | None = None
    shortest_edge: _Side | None = None

    @model_validator(mode="after")
    def _is_told(self) -> Self:
        if not self.shortest_edge and not (self.height and self.width):
            raise ValueError("neither shortest_edge nor height and width")
        return self

    @property
    def least(self) -> tuple[int, int]:
        """Height and width that no picture falls short of."""
        return self.height or self.shortest_edge or 0, self.width or self.shortest_edge or 0

    def of(self, pixels: Pixels) -> tuple[int, int]:
        """What height and width become."""
        if not self.shortest_edge:
            return self.least
        rows, columns = pixels.shape[:2]
        short, long = self.shortest_edge, self.shortest_edge * max(rows, columns) // min(rows, columns)
        return (short, long) if rows <= columns else (long, short)


class Preparation(BaseModel, frozen=True):
    """How a picture's colours are changed: to [0, 1], less the mean, over the deviation."""

    do_resize: _Always = True
    do_rescale: _Always = True
    do_normalize: _Always = True
    resample: Image.Resampling
    rescale_factor: PositiveFloat = 1 / 255
    image_mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat]
    image_std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]

    @abstractmethod
    def feed(self, pixels: Pixels) -> Feed:
        """What the network is called with for one picture."""

    def _resized(self, pixels: Pixels, height: int, width: int) -> Pixels:
        return np.asarray(Image.fromarray(pixels).resize((width, height), self.resample))

    def _coloured(self, pixels: Pixels) -> NDArray[np.float32]:
        scaled_HWC = pixels.astype(np.float32) * np.float32(self.rescale_factor)
        return (scaled_HWC - np.array(self.image_mean, np.float32)) / np.array(self.image_std, np.float32)


class ByFrame(Preparation, frozen=True):
    """Resized, and cut to its middle where a crop is asked for: DINOv2, SigLIP, SSCD."""

    size: Size
    do_center_crop: bool | None = None
    crop_size: Size | None = None

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.do_center_crop:
            if not self.crop_size or self.crop_size.shortest_edge:
                raise ValueError("do_center_crop needs a crop_size of height and width")
            if self.crop_size.least[0] > self.size.least[0] or self.crop_size.least[1] > self.size.least[1]:
                raise ValueError("crop_size is larger than size")
        return self

    def feed(self, pixels: Pixels) -> Feed:
        """One picture, as pixel_values, BCHW."""
        seen_HWC = self._resized(pixels, *self.size.of(pixels))
        if self.do_center_crop and self.crop_size:
            rows, columns = self.crop_size.least
            top, left = (seen_HWC.shape[0] - rows) // 2, (seen_HWC.shape[1] - columns) // 2
            seen_HWC = seen_HWC[top : top + rows, left : left + columns]
        return {"pixel_values": np.ascontiguousarray(self._coloured(seen_HWC).transpose(2, 0, 1)[None])}


class ByPatches(Preparation, frozen=True):
    """As large as the number of patches allows, near its own shape: SigLIP 2 NaFlex.

    Source: transformers, `image_processing_siglip2.py`.
    """

    patch_size: Annotated[int, Field(gt=0, le=64)] = 16  # px, in all models that were published
    max_num_patches: Annotated[int, Field(gt=0, le=4096)] = 256  # what transformers takes where a file says nothing

    def feed(self, pixels: Pixels) -> Feed:
        """One picture's patches, as pixel_values, BND. There is no padding: it is alone."""
        side = self.patch_size
        rows, columns = self._grid(pixels)
        coloured_HWC = self._coloured(self._resized(pixels, rows * side, columns * side))
        patches_ND = coloured_HWC.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(rows * columns, -1)
        return {
            "pixel_values": patches_ND[None],
            "pixel_attention_mask": np.ones((1, rows * columns), np.int32),
            "spatial_shapes": np.array([[rows, columns]], np.int64),
        }

    def _grid(self, pixels: Pixels) -> tuple[int, int]:
        """Rows and columns of patches, by bisection of the scale."""

        def patches(scale: float) -> tuple[int, int]:
            rows, columns = (max(1, ceil(side * scale / self.patch_size)) for side in pixels.shape[:2])
            return rows, columns

        low, high = 1e-6, 100.0  # with transformers' bounds and stop, so that every picture gets the grid it gets there
        while high - low >= 1e-5:
            middle = (low + high) / 2
            rows, columns = patches(middle)
            low, high = (middle, high) if rows * columns <= self.max_num_patches else (low, middle)
        return patches(low)


AnyPreparation = TypeVar("AnyPreparation", bound=Preparation)


def read_preparation(folder: Path, kind: type[AnyPreparation]) -> AnyPreparation:
    """What preprocessor_config.json in an encoder's folder says.

    Raises:
        CheckpointError: where it is missing, or asks for what is not done here.
    """
    path = folder / "preprocessor_config.json"
    try:
        return kind.model_validate(read_table(path))
    except ValidationError as fault:
        raise CheckpointError(
            f"{path} is not for this kind of encoder: {first_fault(fault)}. Get it from where the weights are from."
        ) from fault


def read_table(path: Path) -> dict[str, Any]:
    """The table in a JSON file of an encoder's folder.

    Raises:
        CheckpointError: where it is missing, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as fault:
        raise CheckpointError(f"{path} cannot be read ({fault}). The folder is not whole; get it again.") from fault
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} holds no table. The folder is not whole; get it again.")
    return found
