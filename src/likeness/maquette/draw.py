"""Draws a maquette character: flat shapes on a sphere and a few limbs, turned by any yaw, from an `Identity` and a `Scene`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from likeness.maquette import bodies, heads
from likeness.maquette.canvas import Canvas, Colour
from likeness.maquette.world import Identity, Scene
from likeness.seeds import stream

__all__ = ["draw", "sheet"]

_FRAMES = {"face": 0.58, "upper body": 0.80, "full body": 1.20}  # height of the picture, in heads for the face and in figure units else
_SKIES: dict[str, tuple[Colour, Colour, Colour]] = {  # sky, ground, detail
    "white": ((248, 248, 250), (248, 248, 250), (248, 248, 250)),
    "meadow": ((170, 215, 250), (140, 205, 110), (255, 255, 255)),
    "beach": ((120, 200, 235), (245, 225, 165), (70, 150, 215)),
    "night": ((32, 36, 84), (58, 62, 104), (250, 240, 180)),
    "room": ((246, 205, 205), (190, 140, 105), (255, 240, 215)),
    "sunset": ((250, 165, 95), (150, 85, 110), (255, 220, 120)),
}


def draw(identity: Identity, scene: Scene, *, size: int = 64, supersampling: int = 4) -> np.ndarray:
    """The character in the scene: uint8, (size, size, 3), sRGB. The same arguments give the same pixels."""
    body = bodies.measure(identity)
    canvas = _frame(size * supersampling, scene, body)
    _draw_background(canvas)
    bodies.draw_tail(canvas, identity, body, behind=True)
    heads.draw_back_hair(canvas, identity, body)
    bodies.draw_arms(canvas, identity, body, behind=True)
    bodies.draw_body(canvas, identity, body)
    bodies.draw_arms(canvas, identity, body, behind=False)
    heads.draw_head(canvas, identity, body)
    bodies.draw_tail(canvas, identity, body, behind=False)
    return np.asarray(canvas.image.resize((size, size), Image.Resampling.BOX))


def _frame(size: int, scene: Scene, body: bodies.Body) -> Canvas:
    if scene.framing == "face":
        height = body.head / _FRAMES["face"]
        return Canvas(size, scene, height=height, top=body.height + 0.26 * height)
    if scene.framing == "upper body":
        return Canvas(size, scene, height=_FRAMES["upper body"], top=body.height + 0.17)
    return Canvas(size, scene, height=_FRAMES["full body"], top=_FRAMES["full body"] - 0.05)


def _draw_background(canvas: Canvas) -> None:
    name, size, pen = canvas.scene.background, canvas.size, canvas.pen
    sky, ground, detail = _SKIES[name]
    horizon = int(size * 0.72)
    pen.rectangle([0, 0, size, horizon], fill=sky)
    pen.rectangle([0, horizon, size, size], fill=ground)
    jitter = stream(int((canvas.scene.shift_x + 1) * 1e6), "background detail").uniform(-0.05, 0.05, 2) * size
    x, y = float(jitter[0]), float(jitter[1])

    def disc(cx: float, cy: float, radius: float, fill: Colour) -> None:
        cx, cy, radius = cx * size + x, cy * size + y, radius * size
        pen.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], fill=fill)

    if name == "meadow":
        for cx, cy, radius in ((0.14, 0.2, 0.07), (0.22, 0.18, 0.09), (0.31, 0.21, 0.06)):
            disc(cx, cy, radius, detail)
    elif name == "beach":
        pen.rectangle([0, int(size * 0.58), size, horizon], fill=detail)
    elif name == "night":
        disc(0.84, 0.18, 0.09, detail)
        disc(0.80, 0.16, 0.08, sky)
        for cx, cy in ((0.12, 0.12), (0.3, 0.28), (0.62, 0.08), (0.1, 0.45), (0.9, 0.5)):
            disc(cx, cy, 0.012, detail)
    elif name == "room":
        pen.rectangle([0.68 * size + x, 0.12 * size + y, 0.94 * size + x, 0.44 * size + y], fill=detail, outline=ground, width=size // 40)
    elif name == "sunset":
        disc(0.2, 0.66, 0.13, detail)
        pen.rectangle([0, horizon, size, size], fill=ground)


def sheet(rows: Sequence[Sequence[np.ndarray]], *, gap: int = 2) -> np.ndarray:
    """Pictures of one size in rows, on white, `gap` px apart: uint8, (H, W, 3)."""
    side = rows[0][0].shape[0] + gap
    page = np.full((len(rows) * side + gap, max(map(len, rows)) * side + gap, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            page[gap + i * side : (i + 1) * side, gap + j * side : (j + 1) * side] = picture
    return page
