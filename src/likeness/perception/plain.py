"""The plain reader: no model, only arithmetic. It finds the subject and describes how a picture looks; it knows nobody.

Shapes: H W picture, B border pixels, D numbers of the descriptor.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from likeness.images import Pixels
from likeness.records import Box, Reading

__all__ = ["PlainReader", "descriptor", "luminance", "subject_box"]

Floats = NDArray[np.float32]

_SMALL = 64  # px; where a subject stands can be told at this size, and a descriptor needs no more
_BORDER = 2  # px of the small picture that count as its border
_SAMPLES = 96  # of the border's pixels; more find the same background
_TAIL = 0.02  # share of what stands out that may lie outside the box on each side: a stray cloud, a watermark
_LEAST, _MOST = 0.04, 0.96  # of the picture; a box beyond these says that nothing stands out
_HUES, _CELLS, _ANGLES, _WAVES = 12, 4, 8, 8
_WEIGHTS = {"colour": 1.0, "gradient": 0.7, "waves": 0.5}
"""Of the descriptor's parts. Colours tell characters apart best, low frequencies mostly tell framings apart."""


class PlainReader:
    """Sees where the subject is and how the picture looks, on any kind of picture, and abstains on all else.

    Its embedding groups pictures that look alike. It does not tell two characters apart (`same_character` is None):
    a background weighs in it as much as a face.
    """

    same_character = None

    def __init__(self) -> None:
        self.sha256 = sha256(Path(__file__).read_bytes()).hexdigest()

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        """One reading per picture, in order."""
        return [self._reading(picture) for picture in pictures]

    def _reading(self, pixels: Pixels) -> Reading:
        box = subject_box(pixels)
        return Reading(
            subject=box,
            embedding=tuple(round(float(x), 5) for x in descriptor(pixels, box)),
            instrument="plain",
            instrument_sha256=self.sha256,
        )


def luminance(pixels: Pixels) -> Floats:
    """Brightness of each pixel, in [0, 1], shape (H, W): Rec. 601 luma of the sRGB values, as JPEG has it."""
    return (pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255).astype(np.float32)


def subject_box(pixels: Pixels) -> Box:
    """The part of a picture that stands out from what its upper and side borders show, px; all of it where none does.

    A character is often cut off below, so the lower border does not count as background.
    """
    height, width = pixels.shape[:2]
    small_HW3 = _shrunk(pixels).astype(np.float32) / 255
    rows, columns = small_HW3.shape[:2]
    edges = small_HW3[:_BORDER], small_HW3[: 2 * rows // 3, :_BORDER], small_HW3[: 2 * rows // 3, -_BORDER:]
    border_B3 = np.concatenate([edge.reshape(-1, 3) for edge in edges])
    border_B3 = border_B3[:: max(len(border_B3) // _SAMPLES, 1)]
    # Not as a matrix product: the threads of BLAS stay busy for a while after each, in the way of other pictures.
    squares_HWB = sum((small_HW3[..., channel, None] - border_B3[:, channel]) ** 2 for channel in range(3))
    nearest_HW = np.sqrt(np.min(squares_HWB, axis=-1))
    # 0.08: less is a gradient in the background. The subject is seldom in a corner: what is there weighs a fifth.
    mass_HW = np.maximum(nearest_HW - 0.08, 0) * _bump(rows)[:, None] * _bump(columns)[None]
    left, right = _spread(mass_HW.sum(0))
    top, bottom = _spread(mass_HW.sum(1))
    share = (right - left) * (bottom - top)
    if not _LEAST <= share <= _MOST:
        return Box(left=0, top=0, right=width, bottom=height)
    return Box(left=int(left * width), top=int(top * height), right=round(right * width), bottom=round(bottom * height))


def _shrunk(pixels: Pixels) -> Pixels:
    """The whole picture, its longer side `_SMALL` px."""
    height, width = pixels.shape[:2]
    scale = _SMALL / max(height, width)
    size = max(round(width * scale), 4), max(round(height * scale), 4)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def _bump(count: int) -> Floats:
    """Weights along one axis: 1 in the middle, a little under a half at either end."""
    away = (np.arange(count, dtype=np.float32) + 0.5) / count - 0.5
    return np.exp(-(away**2) / (2 * 0.4**2))


def _spread(mass: Floats) -> tuple[float, float]:
    """Where a mass along one axis begins and ends, as shares of the axis, without its tails."""
    total = mass.cumsum()
    if total[-1] <= 0:
        return 0.0, 1.0
    first, last = np.searchsorted(total, [_TAIL * total[-1], (1 - _TAIL) * total[-1]])
    return float(first / len(mass)), float((last + 1) / len(mass))


def descriptor(pixels: Pixels, box: Box) -> Floats:
    """What the subject in `box` looks like, as a vector of length 1: colours, gradients by place, low frequencies.

    Two pictures whose descriptors have a large product look alike.

    Source: histograms of oriented gradients as Dalal and Triggs 2005, https://doi.org/10.1109/CVPR.2005.177.
    """
    seen = Image.fromarray(pixels[box.top : box.bottom, box.left : box.right])
    small_HW3 = np.asarray(seen.resize((_SMALL, _SMALL), Image.Resampling.BOX, reducing_gap=2.0))
    light_HW = luminance(small_HW3)
    parts = {"colour": _colours(small_HW3), "gradient": _gradients(light_HW), "waves": _waves(light_HW)}
    whole_D = np.concatenate([_WEIGHTS[name] * _unit(part) for name, part in parts.items()])
    return _unit(whole_D)


def _unit(vector: Floats) -> Floats:
    return (vector / max(float(np.linalg.norm(vector)), 1e-6)).astype(np.float32)


def _colours(small_HW3: Pixels) -> Floats:
    """Shares of hues by saturation, and of greys by brightness; square roots, so that small areas count too."""
    hue, saturation, value = np.asarray(Image.fromarray(small_HW3).convert("HSV")).reshape(-1, 3).T.astype(int)
    is_grey = (saturation < 40) | (value < 40)
    coloured = hue[~is_grey] * _HUES // 256 * 2 + (saturation[~is_grey] > 140)
    counts = np.concatenate(
        [np.bincount(coloured, minlength=2 * _HUES), np.bincount(value[is_grey] * 5 // 256, minlength=5)]
    )
    return np.sqrt(counts / hue.size).astype(np.float32)


def _gradients(light_HW: Floats) -> Floats:
    """Edge strength by direction in each cell of a grid of 4 by 4."""
    down_HW, along_HW = np.gradient(light_HW)
    strength_HW = np.hypot(down_HW, along_HW)
    angle_HW = (np.arctan2(down_HW, along_HW) % np.pi * _ANGLES / np.pi).astype(int) % _ANGLES
    cell = np.arange(_SMALL) * _CELLS // _SMALL
    place_HW = (cell[:, None] * _CELLS + cell[None]) * _ANGLES + angle_HW
    return np.sqrt(np.bincount(place_HW.ravel(), strength_HW.ravel(), _CELLS**2 * _ANGLES)).astype(np.float32)


def _waves(light_HW: Floats) -> Floats:
    """The lowest frequencies of the brightness, without its mean."""
    coarse_HW = light_HW.reshape(16, _SMALL // 16, 16, _SMALL // 16).mean((1, 3))
    return np.asarray(dctn(coarse_HW, norm="ortho"))[:_WAVES, :_WAVES].ravel()[1:].astype(np.float32)
