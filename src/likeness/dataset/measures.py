"""Measures: what can be told of a picture's quality from its pixels, each as one number. Thresholds are elsewhere.

All look at the subject, or at the picture, as it is trained at: a blur that vanishes when a picture is shrunk is none.
Shapes: H W picture, N marks.
"""

from collections.abc import Iterator
from typing import cast

import numpy
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from likeness.images import Pixels
from likeness.records import Box

__all__ = ["bars", "block_steps", "blur", "detail", "longest_line", "measure", "noise"]

Floats = NDArray[numpy.float32]
Names = NDArray[numpy.int32]
Slices = list[tuple[slice, slice]]

LANCZOS = Image.Resampling.LANCZOS
READ_AT = 256  # px, longer side: letters down to 3% of a picture have 8 px there, and fur has become smooth
THICK = 0.3  # of a letter's height: bold type has strokes of a fifth to a quarter, dots and the gaps between them more
SHORT = 5  # marks in a line that nobody takes for text, so that how thick they are need not be known
DETAIL_AT = 256  # px, side of the middle part that tells real detail from enlargement


def measure(pixels: Pixels, box: Box, *, side: int) -> dict[str, float]:
    """All measures of a picture, by name.

    Args:
        pixels: the whole picture.
        box: where its subject is.
        side: px that a picture is trained at.

    Returns:
        "subject": longer side of the subject, px. "blur", "noise", "blocks", "letters", "detail": see the functions.
        "light", "shade": brightness that 95% of the subject stays below and above, in [0, 1]. "contrast": deviation of
        its brightness. "bars": the share of the picture that bars on opposite sides take up, 0 where there are none.
    """
    light = Image.fromarray(pixels).convert("L")
    subject = light.crop((box.left, box.top, box.right, box.bottom))
    subject_HW = _floats(_at_most(subject, side))
    shade, light_end = numpy.quantile(subject_HW, [0.05, 0.95])
    return {
        "subject": float(max(subject.size)),
        "blur": blur(subject_HW),
        "noise": noise(_floats(_at_most(light, side))),
        "blocks": block_steps(numpy.asarray(light)),
        "light": float(light_end),
        "shade": float(shade),
        "contrast": float(subject_HW.std()),
        "bars": bars(pixels),
        "letters": float(longest_line(_floats(_sized(light, READ_AT, Image.Resampling.BICUBIC)))),
        "detail": detail(light),
    }


def _floats(light: Image.Image) -> Floats:
    """Brightness in [0, 1], shape (H, W)."""
    return (numpy.asarray(light, numpy.float32) / 255).astype(numpy.float32)


def _at_most(light: Image.Image, side: int) -> Image.Image:
    """The picture, shrunk so that its longer side is at most `side` px."""
    return _sized(light, side, Image.Resampling.HAMMING) if max(light.size) > side else light


def _sized(light: Image.Image, side: int, resample: Image.Resampling) -> Image.Image:
    """The picture with a longer side of `side` px. Letters are read from bicubic ones: Lanczos rings around strokes."""
    scale = side / max(light.size)
    size = max(round(light.width * scale), 1), max(round(light.height * scale), 1)
    return light.resize(size, resample, reducing_gap=3.0)  # 3: as good as none, says Pillow, and twice as fast


def blur(light_HW: Floats) -> float:
    """How little a picture changes when it is blurred, 0 sharp to 1 smooth; the blurrier of its two directions.

    Source: Crete et al. 2007, https://doi.org/10.1117/12.702790: a window of 9 to 11 px at their sizes; a narrower one
    for small pictures, which it would otherwise flatten whole.
    """
    window = 2 * round((4 + max(light_HW.shape) / 85) / 2) + 1  # 5 at 64 px, 11 at 512
    kept = []
    for axis in (0, 1):
        steps = numpy.abs(numpy.diff(light_HW, axis=axis))
        blurred = numpy.abs(numpy.diff(ndimage.uniform_filter1d(light_HW, window, axis=axis), axis=axis))
        lost = numpy.maximum(0, steps - blurred).sum()
        kept.append(1 - lost / steps.sum() if steps.sum() > 1e-6 else 1.0)
    return float(max(kept))


def noise(light_HW: Floats) -> float:
    """Deviation of the noise where the picture is smoothest, as a share of full brightness.

    Texture looks like noise everywhere else, so of all blocks of 16 px the fifth that is smoothest is taken.

    Source: the second-difference mask of Immerkær 1996, https://doi.org/10.1006/cviu.1996.0060.
    """
    second = numpy.diff(numpy.diff(light_HW, 2, axis=0), 2, axis=1)
    rows, columns = (length // 16 * 16 for length in second.shape)
    if not rows or not columns:
        return 0.0
    blocks = second[:rows, :columns].reshape(rows // 16, 16, columns // 16, 16)
    return float(numpy.quantile(numpy.sqrt((blocks**2).mean((1, 3))), 0.2) / 6)


def block_steps(light_HW: NDArray[numpy.uint8]) -> float:
    """Mean step across the borders of JPEG's 8 px blocks, against the mean step inside them; 1 where there are none."""
    levels_HW = light_HW.astype(numpy.int16)
    step = max(1, min(light_HW.shape) // 256)  # 256 lines tell as much as all
    ratios = []
    for axis in (0, 1):
        # Drawn edges may lie on any line, and are larger than what quantisation leaves: 25 levels at most count.
        lines = levels_HW[:, ::step] if axis == 0 else levels_HW[::step]
        steps = numpy.minimum(numpy.abs(numpy.diff(lines, axis=axis)), 25).mean(axis=1 - axis)
        at_border = numpy.arange(len(steps)) % 8 == 7
        if at_border.any() and steps[~at_border].sum() > 0:
            ratios.append(float(steps[at_border].mean() / steps[~at_border].mean()))
    return min(ratios, default=1.0)


def detail(light: Image.Image) -> float:
    """How much detail a copy of a picture holds: of two copies, the one with more was not enlarged from the other.

    It is the longer side, px, times what is lost of the middle part when that is shrunk to 0.8 and enlarged again.

    Args:
        light: the picture's brightness, mode L.
    """
    left, top = max(0, (light.width - DETAIL_AT) // 2), max(0, (light.height - DETAIL_AT) // 2)
    middle = light.crop((left, top, min(left + DETAIL_AT, light.width), min(top + DETAIL_AT, light.height)))
    small = middle.resize((max(1, round(middle.width * 0.8)), max(1, round(middle.height * 0.8))), LANCZOS)
    before, after = (numpy.asarray(image, numpy.float32) for image in (middle, small.resize(middle.size, LANCZOS)))
    lost = numpy.sqrt(((before - after) ** 2).mean())
    steps = numpy.abs(numpy.diff(before, axis=1)).mean() if before.shape[1] > 1 else 0
    return float(max(light.size) * lost / (steps + 0.5))  # half a level: what rounding alone leaves


def bars(pixels: Pixels) -> float:
    """The share of a picture that bars of one colour on opposite sides take up; 0 where a side has none.

    A bar ends in one straight edge across the picture. That tells it from a plain background.
    """
    pair = {
        "rows": (_bar(pixels), _bar(pixels[::-1])),
        "columns": (_bar(pixels.swapaxes(0, 1)), _bar(pixels.swapaxes(0, 1)[::-1])),
    }
    return max((sum(both) for both in pair.values() if min(both) >= 0.03), default=0.0)  # below 3% it is a frame


def _bar(pixels: Pixels) -> float:
    """Share of the rows that a bar at the top takes up; 0 where there is none."""
    rows, colour = len(pixels), pixels[0].mean(0)
    most = int(0.4 * rows)
    count = next((row for row in range(most) if not _is_plain(pixels[row], colour)), most)
    if not 0 < count < most:
        return 0.0
    behind_W = numpy.abs(pixels[count : count + 2] - colour).max((0, 2))
    return count / rows if (behind_W > 12).mean() >= 0.6 else 0.0


def _is_plain(row_W3: Pixels, colour: NDArray[numpy.float64]) -> bool:
    """Whether a row is of one colour, but for what JPEG does to it: 8 levels, and more in 2% of it."""
    return bool(((numpy.abs(row_W3 - colour) > 8).any(1)).mean() <= 0.02)


def longest_line(light_HW: Floats) -> int:
    """How many marks like letters stand in one line at most: strokes thinner than their height, of like height, on a
    common top or foot, with narrow gaps. Handwriting whose letters touch is not seen, and rows of dots are no line."""
    longest = 0
    for is_thin_HW in _thin(light_HW):
        names_HW, _ = cast(tuple[Names, int], ndimage.label(is_thin_HW))
        longest = max(longest, _longest(_marks(names_HW), names_HW, longest))
    return longest


def _thin(light_HW: Floats) -> Iterator[NDArray[numpy.bool_]]:
    """What is thin, lighter or darker than what is around, strong or faint."""
    stroke = max(3, round(0.035 * max(light_HW.shape)))  # what is wider is no stroke
    for sign in (1, -1):
        thin_HW = sign * light_HW - ndimage.grey_opening(sign * light_HW, (stroke, stroke))
        yield from (thin_HW > least for least in (0.25, 0.12))


def _marks(names_HW: Names) -> NDArray[numpy.int64]:
    """Left, top, right, bottom and name of each mark of a letter's size and shape, from left to right."""
    side = max(names_HW.shape)
    found = enumerate(cast(Slices, ndimage.find_objects(names_HW)), start=1)
    marks = [(x.start, y.start, x.stop, y.stop, name) for name, (y, x) in found]
    marks_N5 = numpy.array(sorted(marks), numpy.int64).reshape(-1, 5)
    widths, heights = marks_N5[:, 2] - marks_N5[:, 0], marks_N5[:, 3] - marks_N5[:, 1]
    return marks_N5[(0.03 * side <= heights) & (heights <= 0.16 * side) & (widths <= 1.6 * heights + 1)]


def _longest(marks_N5: NDArray[numpy.int64], names_HW: Names, longest: int) -> int:
    """The longest line among these marks, if it is longer than one that is known."""
    tops, feet = marks_N5[:, 1], marks_N5[:, 3]
    heights = feet - tops
    slack = numpy.maximum(1.5, 0.22 * heights)[:, None]
    is_level = (numpy.abs(feet[None] - feet[:, None]) <= slack) | (numpy.abs(tops[None] - tops[:, None]) <= slack)
    is_like = is_level & (heights[None] > 0.55 * heights[:, None]) & (heights[None] < 1.5 * heights[:, None])
    for height, row in sorted(zip(heights, is_like, strict=True), key=lambda pair: -pair[1].sum()):
        if row.sum() <= longest:
            break
        for run_N5 in _runs(marks_N5[row], height):
            if len(run_N5) > longest and _is_script(run_N5, names_HW):
                longest = len(run_N5)
    return longest


def _runs(line_N5: NDArray[numpy.int64], height: float) -> Iterator[NDArray[numpy.int64]]:
    """A line cut where a gap is as wide as a letter is high."""
    ends = numpy.maximum.accumulate(line_N5[:, 2])
    cuts = numpy.flatnonzero(line_N5[1:, 0] - ends[:-1] > 1.1 * height) + 1
    yield from numpy.split(line_N5, cuts)


def _is_script(run_N5: NDArray[numpy.int64], names_HW: Names) -> bool:
    """Whether marks are strokes: dots, and the gaps between them, are thicker for their height."""
    if len(run_N5) < SHORT:
        return True
    thick = []
    for left, top, right, bottom, name in run_N5:
        is_mark_HW = numpy.pad(names_HW[top:bottom, left:right] == name, 1)  # others may lie in its box: an inner part
        thick.append(2 * cast(Floats, ndimage.distance_transform_edt(is_mark_HW)).max() / (bottom - top))
    return bool(numpy.median(thick) < THICK)
