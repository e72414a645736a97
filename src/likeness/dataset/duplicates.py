"""Copies: pictures of a pool that are one picture, rescaled, compressed again, mirrored, cropped or shifted in colour.

One picture is a copy of another if it can be laid over a part of it so that next to nothing is left over anywhere. The
last word matters: two drawings of one scene that differ in a smile are two pictures.

Shapes: N pictures, W windows, P pairs, H W thumbnail (64 x 64). A window is four shares: x, y, width, height.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["ALIKE", "COPY", "Match", "find_matches"]

Floats = NDArray[numpy.float32]

COPY = 0.45
"""Most that copies leave over, at the worst place, in units of the picture's contrast. Over 464 altered photographs and
117 altered drawings copies left 0.41 at most, but for a few crops; two different pictures left 0.66 at least."""

ALIKE = 1.0
"""Most that two pictures of one scene leave over, drawn or photographed twice."""

_CANDIDATE = 0.85  # correlation at 16 px from which on a pair is looked at closely; copies have 0.89 at least
_CORRELATION = 0.9  # of two pictures of one scene, as a whole
_COARSE, _MIDDLE = 16, 32  # px: for finding candidates, and for laying one picture over another
_STEPS = 12  # of alignment; by then windows move by less than a tenth of a thumbnail's pixel
_AT_ONCE = 256  # pairs; 25 MB


@dataclass(frozen=True, slots=True)
class Match:
    """Two pictures that show the same.

    Attributes:
        whole: index of the picture that the other lies in.
        part: index of the other.
        is_mirrored: the part is a mirror image.
        window: what of the whole the part covers: left, top, width and height as shares.
        left_over: what the two do not share, at the worst place, in units of the contrast: at most `COPY` for copies,
            at most `ALIKE` for pictures of one scene.
    """

    whole: int
    part: int
    is_mirrored: bool
    window: tuple[float, float, float, float]
    left_over: float

    @property
    def is_copy(self) -> bool:
        """Whether the two are one picture."""
        return self.left_over <= COPY

    @property
    def is_crop(self) -> bool:
        """Whether the part lacks more than 3% of a side."""
        return min(self.window[2:]) < 0.97


def find_matches(thumbnails: Sequence[NDArray[numpy.uint8]]) -> list[Match]:
    """Every two pictures that are copies of each other or show one scene, each pair once.

    Args:
        thumbnails: (64, 64, 3), the whole picture squeezed into a square.
    """
    if len(thumbnails) < 2:
        return []
    images_NHW3 = numpy.stack(thumbnails).astype(numpy.float32)
    cut_NWD = _flattened(_at(images_NHW3, _WINDOWS))
    best: dict[tuple[int, int], Match] = {}
    for is_mirrored in (False, True):
        parts_NHW3 = images_NHW3[:, :, ::-1] if is_mirrored else images_NHW3
        wholes, others, windows_P4 = _candidates(cut_NWD, _flattened(_at(parts_NHW3, _WINDOWS[:1]))[:, 0])
        for start in range(0, len(wholes), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            whole_PHW3, part_PHW3 = images_NHW3[wholes[some]], parts_NHW3[others[some]]
            found_P4 = _aligned(whole_PHW3, part_PHW3, windows_P4[some])
            left_P = _left_over(whole_PHW3, part_PHW3, found_P4)
            for whole, part, window, left in zip(wholes[some], others[some], found_P4, left_P, strict=True):
                pair = (min(whole, part), max(whole, part))
                if left <= ALIKE and (pair not in best or left < best[pair].left_over):
                    x, y, width, height = map(float, window)
                    best[pair] = Match(int(whole), int(part), is_mirrored, (x, y, width, height), float(left))
    return [best[pair] for pair in sorted(best)]


def _all_windows() -> Floats:
    """The whole, and crops of a tenth and a fifth from any side or two: near enough for alignment to find the rest."""
    windows = [(0.0, 0.0, 1.0, 1.0)]
    for share in (0.9, 0.8):
        rest = 1 - share
        windows += [(x * rest, y * rest, share, share) for x, y in product((0, 0.5, 1), repeat=2)]
    windows += [(x * 0.1, 0, 0.9, 1) for x in (0, 0.5, 1)] + [(0, y * 0.1, 1, 0.9) for y in (0, 0.5, 1)]
    return numpy.array(windows, numpy.float32)


_WINDOWS = _all_windows()


def _at(images_NHW3: Floats, windows_W4: Floats) -> Floats:
    """Each window of each image, shrunk to 16 px by area: (N, W, 16, 16, 3)."""
    size = images_NHW3.shape[1]
    across, down = (_shrinking(windows_W4[:, axis], windows_W4[:, axis + 2], size) for axis in (0, 1))
    return numpy.stack(
        [numpy.einsum("yh,nhwc,xw->nyxc", d, images_NHW3, a, optimize=True) for d, a in zip(down, across, strict=True)],
        axis=1,
    )


def _shrinking(starts_W: Floats, lengths_W: Floats, size: int) -> Floats:
    """Weights of the pixels of one axis in each of 16 cells of each window: (W, 16, size)."""
    edges = starts_W[:, None] + lengths_W[:, None] * numpy.arange(_COARSE + 1) / _COARSE
    low, high = edges[:, :-1, None] * size, edges[:, 1:, None] * size
    pixel = numpy.arange(size)
    overlap = numpy.clip(numpy.minimum(high, pixel + 1) - numpy.maximum(low, pixel), 0, None)
    return (overlap / overlap.sum(-1, keepdims=True)).astype(numpy.float32)


def _flattened(cut_NW: Floats) -> Floats:
    """Pictures as vectors of length 1 without their mean colour, so that a product of two is their correlation."""
    centred = cut_NW - cut_NW.mean((2, 3), keepdims=True)
    vectors = centred.reshape(*cut_NW.shape[:2], -1)
    lengths = numpy.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / numpy.maximum(lengths, 1e-3)).astype(numpy.float32)


def _candidates(cut_NWD: Floats, parts_ND: Floats) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64], Floats]:
    """Pairs of which the second looks like some window of the first, and that window."""
    best_NN = numpy.full((len(cut_NWD), len(parts_ND)), -1, numpy.float32)
    which_NN = numpy.zeros(best_NN.shape, numpy.int64)
    for window in range(cut_NWD.shape[1]):
        likeness_NN = cut_NWD[:, window] @ parts_ND.T
        better = likeness_NN > best_NN
        best_NN[better], which_NN[better] = likeness_NN[better], window
    numpy.fill_diagonal(best_NN, -1)
    wholes, parts = numpy.nonzero(best_NN > _CANDIDATE)
    return wholes, parts, _WINDOWS[which_NN[wholes, parts]]


def _sampled(images_PHW3: Floats, windows_P4: Floats, size: int) -> Floats:
    """The window of each image as `size` by `size` px, bilinear."""
    length = images_PHW3.shape[1]
    centres = (numpy.arange(size, dtype=numpy.float32) + 0.5) / size

    def places(axis: int) -> tuple[NDArray[numpy.int64], Floats]:
        at = (windows_P4[:, axis, None] + windows_P4[:, axis + 2, None] * centres) * length - 0.5
        at = at.clip(0, length - 1.001)
        return at.astype(numpy.int64), at % 1

    (x, right), (y, below) = places(0), places(1)
    pair, right, below = numpy.arange(len(images_PHW3))[:, None, None], right[:, None, :, None], below[:, :, None, None]

    def pixels(down: int, along: int) -> Floats:
        return images_PHW3[pair, y[:, :, None] + down, x[:, None, :] + along]

    upper = pixels(0, 0) * (1 - right) + pixels(0, 1) * right
    lower = pixels(1, 0) * (1 - right) + pixels(1, 1) * right
    return (upper * (1 - below) + lower * below).astype(numpy.float32)


def _aligned(wholes_PHW3: Floats, parts_PHW3: Floats, windows_P4: Floats) -> Floats:
    """The windows, moved and stretched until brightness differs least; gain and offset of brightness are let free.

    Source: Lucas and Kanade 1981, with the four numbers of a window and two of brightness as parameters.
    """
    windows_P4 = windows_P4.copy()
    light_PHW1 = wholes_PHW3.mean(-1, keepdims=True)
    everything = numpy.tile(_WINDOWS[:1], (len(parts_PHW3), 1))
    target_P = _sampled(parts_PHW3.mean(-1, keepdims=True), everything, _MIDDLE)[..., 0].reshape(len(parts_PHW3), -1)
    centres = (numpy.arange(_MIDDLE, dtype=numpy.float32) + 0.5) / _MIDDLE
    damping = numpy.eye(6, dtype=numpy.float32)
    for _ in range(_STEPS):
        seen_PHW = _sampled(light_PHW1, windows_P4, _MIDDLE)[..., 0]
        down_PHW, along_PHW = (slope * _MIDDLE for slope in numpy.gradient(seen_PHW, axis=(1, 2)))
        along_PHW = along_PHW / windows_P4[:, 2, None, None]
        down_PHW = down_PHW / windows_P4[:, 3, None, None]
        slopes = (along_PHW, down_PHW, along_PHW * centres, down_PHW * centres[:, None], seen_PHW)
        slopes_PX6 = numpy.stack([*slopes, numpy.ones_like(seen_PHW)], -1).reshape(len(seen_PHW), -1, 6)
        away_PX1 = (target_P - seen_PHW.reshape(len(seen_PHW), -1))[..., None]
        turned = slopes_PX6.swapaxes(1, 2)
        moves_P6 = numpy.linalg.solve(turned @ slopes_PX6 + damping, turned @ away_PX1)[..., 0]
        windows_P4 += moves_P6[:, :4].clip(-0.05, 0.05)
        windows_P4[:, :2] = windows_P4[:, :2].clip(-0.03, 0.3)
        windows_P4[:, 2:] = windows_P4[:, 2:].clip(0.7, 1.06)
    return windows_P4


def _left_over(wholes_PHW3: Floats, parts_PHW3: Floats, windows_P4: Floats) -> Floats:
    """What is left at the worst place when the window is laid over the part, in units of the part's contrast.

    Each colour has a gain of its own. The worst place is eight pixels of a picture that was smoothed by one pixel: what
    a resampling leaves along edges is less than what a changed mouth leaves. Infinite where the whole does not fit.
    """
    size = parts_PHW3.shape[1]
    smooth = (0, 1, 1, 0)
    laid_PHW3 = ndimage.gaussian_filter(_sampled(wholes_PHW3, windows_P4, size), smooth)
    part_PHW3 = ndimage.gaussian_filter(parts_PHW3, smooth)
    laid_PHW3 = laid_PHW3 - laid_PHW3.mean((1, 2), keepdims=True)
    part_PHW3 = part_PHW3 - part_PHW3.mean((1, 2), keepdims=True)
    power_P = (part_PHW3**2).mean((1, 2, 3))
    gain = (laid_PHW3 * part_PHW3).sum((1, 2), keepdims=True)
    rest_PHW3 = part_PHW3 - gain / numpy.maximum((laid_PHW3**2).sum((1, 2), keepdims=True), 1e-3) * laid_PHW3
    inner_PX = numpy.abs(rest_PHW3).mean(-1)[:, 2:-2, 2:-2].reshape(len(rest_PHW3), -1)
    worst_P = numpy.partition(inner_PX, -8, axis=1)[:, -8:].mean(1) / numpy.sqrt(numpy.maximum(power_P, 1))
    fits = 1 - (rest_PHW3**2).mean((1, 2, 3)) / numpy.maximum(power_P, 1) > _CORRELATION
    return numpy.where(fits, worst_P, numpy.inf).astype(numpy.float32)
