"""The head as a globe: where features sit on it, and where they show.

A feature sits at an azimuth (degrees, positive towards the character's left) and an elevation (degrees above the ears).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, radians, sin

from likeness.maquette.bodies import Body
from likeness.maquette.canvas import Canvas, Point

__all__ = ["Globe", "arc"]


class Globe:
    """Projects azimuth and elevation on a character's head to turned points."""

    def __init__(self, canvas: Canvas, body: Body) -> None:
        self.canvas, self.radius, self.y = canvas, body.radius, body.height - body.radius

    def at(self, azimuth: float, elevation: float, scale: float = 1.0) -> tuple[float, float, float]:
        """Turned x, y and depth in [-1, 1], positive towards the viewer; `scale` is the distance from the middle."""
        a, e = radians(azimuth), radians(elevation)
        x, y, z = self.canvas.turn(sin(a) * cos(e), sin(e), cos(a) * cos(e))
        return x * self.radius * scale, self.y + y * self.radius * scale, z

    def squeeze(self, azimuth: float) -> float:
        """The share of its width that a feature at this azimuth shows; negative where it faces away."""
        return cos(radians(azimuth - self.canvas.scene.yaw))

    def patch(self, outline: Sequence[tuple[float, float]]) -> list[Point]:
        """A closed curve of (azimuth, elevation) as turned points, with what faces away pushed to the rim."""
        points = []
        for azimuth, elevation in outline:
            x, y, z = self.at(azimuth, elevation)
            if z < 0:
                dx, dy = x, y - self.y
                reach = max((dx * dx + dy * dy) ** 0.5, 1e-6)  # the pole opposite to the viewer has no direction
                x, y = dx / reach * self.radius, self.y + dy / reach * self.radius
            points.append((x, y))
        return points

    def far_to_near(self) -> list[int]:
        """The character's sides, right (-1) and left (1), the one further from the viewer first."""
        return sorted((-1, 1), key=lambda side: self.at(side * 90, 0)[2])


def arc(start: float, end: float, elevation: float, bow: float = 0.0, steps: int = 12) -> list[tuple[float, float]]:
    """Azimuths and elevations from `start` to `end`, bowed upwards by `bow` degrees in the middle."""
    return [(start + (end - start) * i / steps, elevation + bow * sin(pi * i / steps)) for i in range(steps + 1)]
