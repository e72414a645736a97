"""Framing: in which shape a picture is trained on, and which part of it that shape holds.

All lengths are px. A picture is never dropped for its shape, and none is stretched.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from likeness.errors import PictureError
from likeness.records import Box, Picture

__all__ = ["Frame", "frame_of", "part_of", "shapes_of"]

RATIOS = (1 / 2, 2 / 3, 3 / 4)
"""Short side to long side of the shapes, beside the square: those in which people take and draw pictures. Few, so that
the pictures of a small set share them: a batch has one shape."""

WIDEST = 2.5  # where steps are coarse, what was to be 2 : 1 may come out as 4 : 1, which nobody draws


@dataclass(frozen=True, slots=True)
class Frame:
    """The shape that a picture is trained in, and the part of it that is kept.

    Attributes:
        width: of the shape, px.
        height: of the shape.
        source: width and height of what is trained on before it is resized: the picture, or its crop.
        window: left, top, right and bottom of what is kept of that; of the shape's proportions.
    """

    width: int
    height: int
    source: tuple[int, int]
    window: tuple[float, float, float, float]

    @property
    def sizes(self) -> tuple[int, int, int, int, int, int]:
        """What a base that is told of sizes is told: height and width of what is trained on, before it is resized; what
        the shape leaves out at its top and left, once it is; height and width of the shape.

        A crop counts as a picture of its own: its caption says what is in it, and a base that is told of another
        picture around it would learn that it belongs there.

        Source: Podell et al. 2023, https://arxiv.org/abs/2307.01952, section 2.2.
        """
        left, top = (round(edge / self._scale) for edge in self.window[:2])
        return self.source[1], self.source[0], top, left, self.height, self.width

    @property
    def mirrored(self) -> "Frame":
        """The same part of the mirror image."""
        left, top, right, bottom = self.window
        width = self.source[0]
        return Frame(self.width, self.height, self.source, (width - right, top, width - left, bottom))

    @property
    def _scale(self) -> float:
        return (self.window[3] - self.window[1]) / self.height


def shapes_of(side: int, step: int) -> list[tuple[int, int]]:
    """Width and height of the shapes that have at most the area of a square, the upright ones first.

    Args:
        side: of the square, px.
        step: that every side is a multiple of; the base's `side_step`.
    """
    found = {(side, side)}
    for ratio in RATIOS:
        width = max(step, round(side * math.sqrt(ratio) / step) * step)
        height = max(step, side * side // width // step * step)
        if height <= WIDEST * width:
            found |= {(width, height), (height, width)}
    return sorted(found, key=lambda shape: shape[0] / shape[1])


def part_of(picture: Picture) -> Box:
    """The part of a picture that is trained on before it is resized: its crop as far as the picture reaches, or all.

    Raises:
        PictureError: where the crop leaves nothing of it.
    """
    box = picture.crop or Box(left=0, top=0, right=picture.width, bottom=picture.height)
    part = Box(
        left=max(box.left, 0),
        top=max(box.top, 0),
        right=min(box.right, picture.width),
        bottom=min(box.bottom, picture.height),
    )
    if min(part.right - part.left, part.bottom - part.top) <= 0:
        raise PictureError(
            f"The crop of {picture.path}, from {box.left},{box.top} to {box.right},{box.bottom}, leaves nothing of the "
            f"picture, which is {picture.width} x {picture.height} px. Mend it in images.jsonl."
        )
    return part


def frame_of(picture: Picture, shapes: Sequence[tuple[int, int]]) -> Frame:
    """The frame of a picture in the one of `shapes` that loses least of it.

    What has to be left out is left out around the middle; but where that would cut into what the reading says is the
    subject, or its face, the frame moves as far as it must. Where both cannot be had, the face is kept.

    Raises:
        PictureError: where the picture's crop leaves nothing of it.
    """
    trained = part_of(picture)
    left, top, source = trained.left, trained.top, (trained.right - trained.left, trained.bottom - trained.top)
    ratio = source[0] / source[1]
    width, height = min(shapes, key=lambda shape: abs(math.log(ratio * shape[1] / shape[0])))
    scale = min(source[0] / width, source[1] / height)
    seen = picture.reading
    kept = [part for part in (seen.subject, seen.face) if part] if seen else []
    across = _start(source[0], width * scale, [(part.left - left, part.right - left) for part in kept])
    down = _start(source[1], height * scale, [(part.top - top, part.bottom - top) for part in kept])
    window = across, down, min(across + width * scale, source[0]), min(down + height * scale, source[1])
    return Frame(width, height, source, window)


def _start(length: int, window: float, kept: Iterable[tuple[float, float]]) -> float:
    """Where a window begins along one axis: in the middle, moved to hold each of `kept`, the last one above all."""
    start = (length - window) / 2
    for low, high in kept:
        ends = sorted((high - window, low))  # of a part that is larger than the window, the window lies inside it
        start = min(max(start, ends[0]), ends[1])
    return min(max(start, 0.0), length - window)
