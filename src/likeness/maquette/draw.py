"""Draws a maquette character: flat shapes on a globe and a few limbs, turned by any yaw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageFilter

from likeness.images import Pixels
from likeness.maquette.bodies import Body, draw_arms, draw_legs, draw_tail, measure
from likeness.maquette.canvas import Canvas, Colour
from likeness.maquette.garments import draw_garment
from likeness.maquette.globe import Globe
from likeness.maquette.hair import draw_back_hair
from likeness.maquette.heads import draw_head
from likeness.maquette.world import Identity, Scene
from likeness.seeds import stream

__all__ = ["draw", "sheet"]

# After the box filter, an eighth of each pixel goes to its neighbours: an autoencoder keeps no sharper edges.
_SOFTER = ImageFilter.Kernel((3, 3), (1, 6, 1, 6, 36, 6, 1, 6, 1), 64)
_FACE = 0.58  # heads per picture height, in a close-up
_UPPER_BODY, _FULL_BODY = 0.92, 1.20  # height of the picture, figure units; the tallest figure with horns fits in
_HORIZON = 0.72  # share of the picture's height
_SKIES: dict[str, tuple[Colour, Colour, Colour]] = {  # sky, ground, detail
    "white": ((248, 248, 250), (248, 248, 250), (248, 248, 250)),
    "meadow": ((170, 215, 250), (140, 205, 110), (255, 255, 255)),
    "beach": ((120, 200, 235), (245, 225, 165), (70, 150, 215)),
    "night": ((32, 36, 84), (58, 62, 104), (250, 240, 180)),
    "room": ((246, 205, 205), (190, 140, 105), (255, 240, 215)),
    "sunset": ((250, 165, 95), (150, 85, 110), (255, 220, 120)),
}
_CLOUDS = ((0.14, 0.2, 0.07), (0.22, 0.18, 0.09), (0.31, 0.21, 0.06))  # x, y, radius: shares of the picture's side
_STARS = ((0.12, 0.12), (0.3, 0.28), (0.62, 0.08), (0.1, 0.45), (0.9, 0.5))


def draw(identity: Identity, scene: Scene, *, size: int = 64, supersampling: int = 4) -> Pixels:
    """The character in the scene: (size, size, 3). The same arguments give the same pixels.

    Args:
        size: side, px.
        supersampling: how many times larger it is drawn before it is averaged down; 1 has hard edges.
    """
    body = measure(identity)
    canvas = _framed(size * supersampling, scene, body)
    _draw_background(canvas)
    draw_tail(canvas, identity, body, behind=True)
    draw_back_hair(Globe(canvas, body), identity)
    draw_arms(canvas, identity, body, behind=True)
    draw_legs(canvas, identity, body)
    draw_garment(canvas, identity, body)
    draw_arms(canvas, identity, body, behind=False)
    draw_head(canvas, identity, body)
    draw_tail(canvas, identity, body, behind=False)
    return np.asarray(canvas.image.resize((size, size), Image.Resampling.BOX).filter(_SOFTER))


def _framed(size: int, scene: Scene, body: Body) -> Canvas:
    """An empty canvas whose frame is laid around the figure as the scene says."""
    if scene.framing == "face":
        height = body.head / _FACE
        return Canvas(size, scene, height=height, top=body.height + 0.26 * height)
    if scene.framing == "upper body":
        return Canvas(size, scene, height=_UPPER_BODY, top=body.height + 0.17)
    return Canvas(size, scene, height=_FULL_BODY, top=_FULL_BODY - 0.05)


def _draw_background(canvas: Canvas) -> None:
    name, size = canvas.scene.background, canvas.size
    sky, ground, detail = _SKIES[name]
    horizon = int(size * _HORIZON)
    canvas.pen.rectangle([0, 0, size, horizon], fill=sky)
    canvas.pen.rectangle([0, horizon, size, size], fill=ground)
    # A scene has no number of its own, so its shift seeds where the details lie.
    x, y = stream(int((canvas.scene.shift_x + 1) * 1e6), "background detail").uniform(-0.05, 0.05, 2) * size
    if name in _DETAILS:
        _DETAILS[name](canvas, detail, float(x), float(y))


def _draw_clouds(canvas: Canvas, white: Colour, x: float, y: float) -> None:
    for cx, cy, radius in _CLOUDS:
        _draw_disc(canvas, (cx * canvas.size + x, cy * canvas.size + y), radius, white)


def _draw_sea(canvas: Canvas, blue: Colour, x: float, y: float) -> None:
    size = canvas.size
    canvas.pen.rectangle([0, int(size * 0.58), size, int(size * _HORIZON)], fill=blue)


def _draw_moon_and_stars(canvas: Canvas, light: Colour, x: float, y: float) -> None:
    size, sky = canvas.size, _SKIES["night"][0]
    _draw_disc(canvas, (0.84 * size + x, 0.18 * size + y), 0.09, light)
    _draw_disc(canvas, (0.80 * size + x, 0.16 * size + y), 0.08, sky)  # what the crescent lacks
    for cx, cy in _STARS:
        _draw_disc(canvas, (cx * size + x, cy * size + y), 0.012, light)


def _draw_window(canvas: Canvas, light: Colour, x: float, y: float) -> None:
    size, frame = canvas.size, _SKIES["room"][1]
    box = [0.68 * size + x, 0.12 * size + y, 0.94 * size + x, 0.44 * size + y]
    canvas.pen.rectangle(box, fill=light, outline=frame, width=size // 40)


def _draw_low_sun(canvas: Canvas, light: Colour, x: float, y: float) -> None:
    size, ground = canvas.size, _SKIES["sunset"][1]
    _draw_disc(canvas, (0.2 * size + x, 0.66 * size + y), 0.13, light)
    canvas.pen.rectangle([0, int(size * _HORIZON), size, size], fill=ground)


_DETAILS: dict[str, Callable[[Canvas, Colour, float, float], None]] = {  # x and y: a shift in supersampled px
    "meadow": _draw_clouds,
    "beach": _draw_sea,
    "night": _draw_moon_and_stars,
    "room": _draw_window,
    "sunset": _draw_low_sun,
}


def _draw_disc(canvas: Canvas, middle: tuple[float, float], radius: float, fill: Colour) -> None:
    """A disc around `middle` (supersampled px); `radius` is a share of the picture's side."""
    (cx, cy), r = middle, radius * canvas.size
    canvas.pen.ellipse([cx - r, cy - r, cx + r, cy + r], fill=fill)


def sheet(rows: Sequence[Sequence[Pixels]], *, gap: int = 2) -> Pixels:
    """Pictures of one size in rows, on white, `gap` px apart."""
    side = rows[0][0].shape[0] + gap
    page = np.full((len(rows) * side + gap, max(map(len, rows)) * side + gap, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            page[gap + i * side : (i + 1) * side, gap + j * side : (j + 1) * side] = picture
    return page
