"""Alignment: one picture laid over a part of another, and what is left over there.

Shapes: P pairs, H W picture (a square), X pixels. A window is four shares: x, y, width, height.
"""

import numpy
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["laid"]

Floats = NDArray[numpy.float32]

_CORRELATION = 0.9  # of two pictures of one scene, as a whole
_MIDDLE = 32  # px, for laying one picture over another
_FIRST, _STEPS = 3, 12  # of alignment; after the last, windows move by less than a tenth of a thumbnail's pixel
_NEAR = 0.87  # correlation after the first steps, below which a pair is given up; copies have 0.92 at least by then
_WHOLE = numpy.array([[0, 0, 1, 1]], numpy.float32)  # the window of all of a picture


def laid(wholes_PHW3: Floats, parts_PHW3: Floats, windows_P4: Floats) -> tuple[Floats, Floats]:
    """The windows that lie best over the parts, and what is left over there; infinite where they soon prove unlike.

    Args:
        wholes_PHW3: of each pair, the picture that the other lies in; in [0, 255].
        parts_PHW3: the others.
        windows_P4: of the wholes, where to begin.

    Returns:
        Windows (P, 4); and what the two do not share at the worst place, in units of the part's contrast, (P).
    """
    found_P4 = _aligned(wholes_PHW3, parts_PHW3, windows_P4, _FIRST)
    left_P = numpy.full(len(parts_PHW3), numpy.inf, numpy.float32)
    near = numpy.flatnonzero(_correlation(wholes_PHW3, parts_PHW3, found_P4) > _NEAR)
    if len(near):
        wholes_PHW3, parts_PHW3 = wholes_PHW3[near], parts_PHW3[near]
        found_P4[near] = _aligned(wholes_PHW3, parts_PHW3, found_P4[near], _STEPS - _FIRST)
        left_P[near] = _left_over(wholes_PHW3, parts_PHW3, found_P4[near])
    return found_P4, left_P


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


def _correlation(wholes_PHW3: Floats, parts_PHW3: Floats, windows_P4: Floats) -> Floats:
    """Of what the windows show with the parts, in [-1, 1]; 0 for what has no contrast."""
    everything = numpy.broadcast_to(_WHOLE, windows_P4.shape)
    shown = _sampled(wholes_PHW3, windows_P4, _MIDDLE), _sampled(parts_PHW3, everything, _MIDDLE)
    one, other = (images_PHW3 - images_PHW3.mean((1, 2), keepdims=True) for images_PHW3 in shown)
    power_P = (one**2).sum((1, 2, 3)) * (other**2).sum((1, 2, 3))
    return (one * other).sum((1, 2, 3)) / numpy.sqrt(numpy.maximum(power_P, 1))


def _aligned(wholes_PHW3: Floats, parts_PHW3: Floats, windows_P4: Floats, steps: int) -> Floats:
    """The windows, moved and stretched until brightness differs least; gain and offset of brightness are let free.

    Source: Lucas and Kanade 1981, with the four numbers of a window and two of brightness as parameters.
    """
    windows_P4 = windows_P4.copy()
    light_PHW1 = wholes_PHW3.mean(-1, keepdims=True)
    everything = numpy.tile(_WHOLE, (len(parts_PHW3), 1))
    target_P = _sampled(parts_PHW3.mean(-1, keepdims=True), everything, _MIDDLE)[..., 0].reshape(len(parts_PHW3), -1)
    centres = (numpy.arange(_MIDDLE, dtype=numpy.float32) + 0.5) / _MIDDLE
    damping = numpy.eye(6, dtype=numpy.float32)
    for _ in range(steps):
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
