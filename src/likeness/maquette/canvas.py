"""A supersampled picture and the camera in front of it: what the drawing code draws with.

Coordinates are in figure units: x to the picture's right, y up, z towards the viewer. The figure stands on y = 0 and is
about one unit high.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin

from PIL import Image, ImageDraw

from likeness.maquette.world import Scene

__all__ = ["EDGE", "EDGE_SHADE", "Canvas", "Colour", "Point", "shade"]

Colour = tuple[int, int, int]
"""Red, green, blue, each in [0, 255]."""

Point = tuple[float, float]
"""x and y of a point that the camera has turned, in figure units."""

EDGE = 0.012
"""Width of an edge, figure units: about two thirds of a pixel at 64 px."""

EDGE_SHADE = 0.74
"""An edge's colour, as a share of the fill's: a darker one would be most of what a small autoencoder has to learn."""

_LIMB_EDGE = 0.022  # figure units, both sides together: a limb is thin, so its edge is drawn a little thinner than EDGE


class Canvas:
    """A supersampled picture with the camera's projection: turns by the scene's yaw, shifts, and scales to pixels.

    Args:
        size: side in supersampled px.
        height: figure units that the picture shows.
        top: the figure's y at the picture's upper edge.
    """

    def __init__(self, size: int, scene: Scene, *, height: float, top: float) -> None:
        self.size = size
        self.image = Image.new("RGB", (size, size))
        self.pen = ImageDraw.Draw(self.image)
        self.scene = scene
        self.scale = size / height * scene.zoom
        self.middle = top - height / 2
        self.cosine, self.sine = cos(radians(scene.yaw)), sin(radians(scene.yaw))

    @property
    def is_back(self) -> bool:
        """Whether the figure shows its back: turned by more than about 107 degrees."""
        return self.cosine < -0.3

    def turn(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """The point after the character has turned by the scene's yaw."""
        return x * self.cosine - z * self.sine, y, x * self.sine + z * self.cosine

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Where an already turned point falls on the picture, in supersampled px."""
        return (
            self.size * (0.5 + self.scene.shift_x) + x * self.scale,
            self.size * (0.5 + self.scene.shift_y) - (y - self.middle) * self.scale,
        )

    def polygon(self, points: Sequence[Point], fill: Colour, *, outline: float = EDGE) -> None:
        """Fill a polygon of turned points, with a darker edge of `outline` figure units."""
        pixels = [self.pixel(*point) for point in points]
        self.pen.polygon(pixels, fill=fill)
        if outline:
            closed = [*pixels, pixels[0], pixels[1]]  # one more than closed: the last corner is rounded too
            self.pen.line(closed, fill=shade(fill, EDGE_SHADE), width=self.width(outline), joint="curve")

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour, *, outline: float = EDGE) -> None:
        """Fill an axis-aligned ellipse around a turned point; radii in figure units."""
        (left, top), (right, bottom) = self.pixel(x - rx, y + ry), self.pixel(x + rx, y - ry)
        if right - left < 1 or bottom - top < 1:
            return
        edge = {"outline": shade(fill, EDGE_SHADE), "width": self.width(outline)} if outline else {}
        self.pen.ellipse([left, top, right, bottom], fill=fill, **edge)

    def stroke(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """A line of `width` figure units with round ends through turned points."""
        pixels = [self.pixel(*point) for point in points]
        self.pen.line(pixels, fill=fill, width=self.width(width), joint="curve")
        radius = width * self.scale / 2
        for x, y in (pixels[0], pixels[-1]):
            self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)

    def limb(self, points: Sequence[Point], fill: Colour, width: float) -> None:
        """A stroke with a darker edge."""
        self.stroke(points, shade(fill, EDGE_SHADE), width + _LIMB_EDGE)
        self.stroke(points, fill, width)

    def width(self, units: float) -> int:
        """Figure units as a line width in supersampled px, at least 1."""
        return max(1, round(units * self.scale))


def shade(colour: Colour, share: float) -> Colour:
    """The colour darkened towards black; a share of 1 leaves it as it is."""
    red, green, blue = colour
    return int(red * share), int(green * share), int(blue * share)
