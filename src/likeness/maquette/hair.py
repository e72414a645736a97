"""Hair: behind the head, over the forehead, and a dyed streak. Lengths are shares of the head's radius."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, radians, sin

from likeness.maquette.canvas import Colour, Point, shade
from likeness.maquette.globe import Globe, arc
from likeness.maquette.world import Identity

__all__ = ["HAIR", "OPENING", "draw_back_hair", "draw_front_hair"]

HAIR: dict[str, Colour] = {
    "black": (44, 42, 56),
    "brown": (122, 72, 38),
    "blonde": (248, 214, 92),
    "red": (200, 46, 40),
    "blue": (58, 100, 224),
    "green": (64, 164, 76),
    "pink": (248, 130, 182),
    "white": (238, 240, 246),
    "purple": (138, 82, 196),
    "teal": (24, 178, 172),
}
OPENING = 74
"""Degrees of azimuth, to each side, that the hair leaves open for the face."""

_STREAKS: dict[str, Colour] = {"white": (252, 252, 255), "pink": (255, 92, 168)}
_TIE: Colour = (250, 246, 240)
_WIDE = OPENING + 3  # the fringe overlaps the opening's edge
_FRINGES: dict[str, list[tuple[float, float]]] = {  # its lower edge, azimuth and elevation; a bun has no fringe
    "bob": arc(-_WIDE, _WIDE, 17, 4),
    "long": [(-_WIDE, -6), (-48, 8), (-30, 20), (-8, 33), (0, 38), (8, 33), (30, 20), (48, 8), (_WIDE, -6)],
    "twintails": [(-_WIDE, 8), (-40, 20), (-20, 25), (0, 14), (20, 25), (40, 20), (_WIDE, 8)],
    "spiky": [(-_WIDE, 6), (-50, 26), (-36, 9), (-24, 27), (-6, 8), (6, 27), (26, 8), (36, 27), (50, 9), (_WIDE, 6)],
    "curly": [(-_WIDE, 6), (-50, 16), (-34, 12), (-18, 20), (0, 14), (18, 20), (34, 12), (50, 16), (_WIDE, 6)],
}


def draw_back_hair(globe: Globe, identity: Identity) -> None:
    """The hair behind the head and, for long styles, behind the shoulders."""
    drift = globe.canvas.sine * 0.22 * globe.radius  # hair hangs at the back of the head
    _BACKS[identity["hair_style"]](globe, HAIR[identity["hair_colour"]], drift)


def draw_front_hair(globe: Globe, identity: Identity) -> None:
    """The fringe, the streak, and the tails on the near side."""
    fill = HAIR[identity["hair_colour"]]
    fringe = _FRINGES.get(identity["hair_style"])
    if fringe and not globe.canvas.is_back:
        globe.canvas.polygon(globe.patch([*arc(_WIDE, -_WIDE, 30, 16), *fringe]), fill, outline=0.009)
    _draw_streak(globe, identity["streak"])
    if identity["hair_style"] == "twintails":
        _draw_twintails(globe, fill, behind=False)


def _draw_streak(globe: Globe, streak: str) -> None:
    if streak == "none":
        return
    if globe.canvas.is_back:
        globe.canvas.polygon(globe.patch([(168, 78), (168, -50), (146, -46), (146, 70)]), _STREAKS[streak], outline=0)
    elif abs(globe.canvas.sine) < 0.9:  # else no more than a line of it would show
        globe.canvas.polygon(globe.patch([(-12, 72), (-11, 19), (12, 16), (14, 68)]), _STREAKS[streak], outline=0)


def _back_bob(globe: Globe, fill: Colour, drift: float) -> None:
    globe.canvas.polygon(_drop(drift * 0.8, globe.y, 1.12 * globe.radius, 0.95 * globe.radius), shade(fill, 0.82))


def _back_long(globe: Globe, fill: Colour, drift: float) -> None:
    globe.canvas.polygon(_drop(drift, globe.y, 1.14 * globe.radius, 2.05 * globe.radius), shade(fill, 0.82))


def _drop(x: float, y: float, half: float, fall: float) -> list[Point]:
    """A rounded cap over the head that falls straight to `fall` below its middle."""
    cap = [(x + half * cos(radians(angle)), y + half * sin(radians(angle))) for angle in range(0, 181, 12)]
    left = [(x - half * 1.02, y - fall * 0.9), (x - half * 0.7, y - fall)]
    right = [(x + half * 0.7, y - fall), (x + half * 1.02, y - fall * 0.9)]
    return [*cap, *left, *right]


def _back_spiky(globe: Globe, fill: Colour, drift: float) -> None:
    points = []
    for i in range(23):
        angle, reach = radians(-62 + 304 * i / 22), (1.42 if i % 2 else 1.02) * globe.radius
        points.append((drift * 0.7 + cos(angle) * reach, globe.y + sin(angle) * reach))
    globe.canvas.polygon(points, fill)


def _back_curly(globe: Globe, fill: Colour, drift: float) -> None:
    r = globe.radius
    for i in range(11):
        angle = radians(-52 + 284 * i / 10)
        globe.canvas.ellipse(drift + cos(angle) * 0.98 * r, globe.y + sin(angle) * 0.98 * r, 0.34 * r, 0.34 * r, fill)


def _back_bun(globe: Globe, fill: Colour, drift: float) -> None:
    x, y, _ = globe.at(180, 62, 1.22)
    globe.canvas.ellipse(x, y, 0.44 * globe.radius, 0.42 * globe.radius, fill)


def _back_twintails(globe: Globe, fill: Colour, drift: float) -> None:
    _draw_twintails(globe, shade(fill, 0.82), behind=True)


_BACKS: dict[str, Callable[[Globe, Colour, float], None]] = {
    "bob": _back_bob,
    "long": _back_long,
    "twintails": _back_twintails,
    "spiky": _back_spiky,
    "bun": _back_bun,
    "curly": _back_curly,
}


def _draw_twintails(globe: Globe, fill: Colour, *, behind: bool) -> None:
    canvas, r = globe.canvas, globe.radius
    for side in (-1, 1):
        x, y, z = globe.at(side * 100, 22, 1.02)
        if (z < 0.25) is not behind:
            continue
        swing = 0.42 * r * (x / r if abs(x) > 0.2 * r else 0.3 * side)
        root = [(x - 0.2 * r, y + 0.1 * r), (x + 0.2 * r, y + 0.1 * r)]
        fall = [
            (x + swing + 0.34 * r, y - 1.0 * r),
            (x + swing * 1.2, y - 1.75 * r),
            (x + swing - 0.34 * r, y - 1.0 * r),
        ]
        canvas.polygon([*root, *fall], fill)
        canvas.ellipse(x, y + 0.04 * r, 0.16 * r, 0.13 * r, _TIE)
