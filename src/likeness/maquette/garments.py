"""Garments: what covers the torso, its pattern, and the details that tell one garment from another.

Lengths are in figure units or shares of the body's measures; they were chosen by eye so that traits differ at 64 px.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from likeness.maquette.bodies import CLOTH, SHIRT, Body, contrast
from likeness.maquette.canvas import Canvas, Colour, Point, shade
from likeness.maquette.world import Identity

__all__ = ["draw_garment"]

_HEM = {"dress": 0.42, "hoodie": 0.92, "coat": 0.45, "overalls": 0.95, "robe": 0.02}  # where it ends, in hip heights
_FLARE = {"dress": 1.9, "hoodie": 1.12, "coat": 1.35, "overalls": 1.0, "robe": 1.55}  # width there, in torso widths
_YOKE = {"dress": (-0.07, -0.12), "coat": (-0.12, -0.17), "overalls": (-0.10, -0.15)}  # under collar, cape and shirt
_LIGHT: Colour = (255, 250, 235)
_GOLD: Colour = (250, 214, 90)


def draw_garment(canvas: Canvas, identity: Identity, body: Body) -> None:
    """The garment with its pattern and details, over the legs and under the near arm."""
    outline = _silhouette(canvas, body, identity["garment"])
    canvas.polygon(outline, CLOTH[identity["garment_colour"]])
    if identity["pattern"] != "plain":
        _draw_pattern(canvas, outline, identity, body)
    _DETAILS[identity["garment"]](_Worn.by(identity, canvas, body))


def _silhouette(canvas: Canvas, body: Body, garment: str) -> list[Point]:
    breadth = body.breadth(canvas)
    top, waist = breadth * 0.86, breadth * 0.92
    hem, foot = breadth * _FLARE[garment], body.hip * _HEM[garment]
    right = [(top * 0.62, body.shoulder + 0.012), (top, body.shoulder - 0.03), (waist, body.hip * 1.3), (hem, foot)]
    return [*right, *((-x, y) for x, y in reversed(right))]


def _draw_pattern(canvas: Canvas, outline: Sequence[Point], identity: Identity, body: Body) -> None:
    """The pattern over the garment's box, pasted where the garment is."""
    inside, cover = Image.new("L", canvas.image.size), Image.new("L", canvas.image.size)
    ImageDraw.Draw(inside).polygon([canvas.pixel(*point) for point in outline], fill=255)
    bottom, half = min(y for _, y in outline), max(x for x, _ in outline)
    pen = ImageDraw.Draw(cover)
    if identity["pattern"] == "trimmed":
        high, low = _YOKE.get(identity["garment"], (0.02, -0.075))
        for top, foot in ((bottom + 0.055, bottom), (body.shoulder + high, body.shoulder + low)):
            pen.rectangle([*canvas.pixel(-half, top), *canvas.pixel(half, foot)], fill=255)
    else:
        _PATTERNS[identity["pattern"]](canvas, pen, bottom, body.shoulder, half)
    canvas.image.paste(contrast(identity), mask=Image.composite(cover, Image.new("L", cover.size), inside))


def _stripe(canvas: Canvas, pen: ImageDraw.ImageDraw, bottom: float, top: float, half: float) -> None:
    y = top - 0.075
    while y > bottom:
        pen.rectangle([*canvas.pixel(-half, y), *canvas.pixel(half, y - 0.044)], fill=255)
        y -= 0.105


def _dot(canvas: Canvas, pen: ImageDraw.ImageDraw, bottom: float, top: float, half: float) -> None:
    spacing, radius = 0.112, 0.03 * canvas.scale
    columns = int(half / spacing) + 1
    y, odd = top - 0.07, False
    while y > bottom:
        for column in range(-columns, columns + 1):
            cx, cy = canvas.pixel((column + 0.5 * odd) * spacing, y)
            pen.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], fill=255)
        y, odd = y - 0.085, not odd


_PATTERNS: dict[str, Callable[[Canvas, ImageDraw.ImageDraw, float, float, float], None]] = {
    "striped": _stripe,
    "dotted": _dot,
}


@dataclass(frozen=True, slots=True)
class _Worn:
    """What a detail is placed by.

    Attributes:
        colour: the garment's, by name.
        middle: x where the middle of the front, or of the back, shows.
        half: half of the torso's width, foreshortened as a detail on it is.
    """

    canvas: Canvas
    body: Body
    colour: str
    middle: float
    half: float

    @classmethod
    def by(cls, identity: Identity, canvas: Canvas, body: Body) -> _Worn:
        return cls(
            canvas,
            body,
            identity["garment_colour"],
            middle=-body.girth * 0.75 * canvas.sine * (1 if not canvas.is_back else -1),
            half=body.girth * max(abs(canvas.cosine), 0.35),  # from the side, details keep a third of their width
        )

    @property
    def cloth(self) -> Colour:
        return CLOTH[self.colour]

    @property
    def dark(self) -> Colour:
        return shade(self.cloth, 0.62)

    def at(self, share: float) -> float:
        """x of a point this share of the half width from the middle."""
        return self.middle + share * self.half

    def band(self, low: float, high: float, colour: Colour, reach: float) -> None:
        """A band around the torso; `reach` in torso widths."""
        side = self.body.breadth(self.canvas) * reach
        self.canvas.polygon([(-side, low), (side, low), (side, high), (-side, high)], colour, outline=0.006)


def _draw_dress(worn: _Worn) -> None:
    """A light round collar and a waist band."""
    hip = worn.body.hip
    worn.canvas.ellipse(0, worn.body.shoulder - 0.015, worn.body.girth * 0.9, 0.045, _LIGHT)
    worn.band(hip * 1.25, hip * 1.25 + 0.03, worn.dark, 0.95)


def _draw_hoodie(worn: _Worn) -> None:
    """A collar; in front two strings and a pocket, at the back the hood."""
    canvas, top, hip = worn.canvas, worn.body.shoulder, worn.body.hip
    canvas.ellipse(0, top + 0.005, worn.body.girth * 0.98, 0.05, shade(worn.cloth, 0.8))
    if canvas.is_back:
        canvas.polygon([(worn.at(-0.8), top), (worn.at(0.8), top), (worn.middle, top - 0.2)], shade(worn.cloth, 0.72))
        return
    for side in (-1, 1):
        canvas.stroke([(worn.at(side * 0.28), top - 0.01), (worn.at(side * 0.28), top - 0.12)], _LIGHT, 0.022)
    pocket = [(-0.55, 1.15), (0.55, 1.15), (0.4, 1.5), (-0.4, 1.5)]  # half widths, hip heights
    canvas.polygon([(worn.at(x), hip * y) for x, y in pocket], worn.dark, outline=0)


def _draw_coat(worn: _Worn) -> None:
    """A cape over the shoulders; in front lapels, an opening and three buttons; at the back a slit and a belt."""
    canvas, top, hip = worn.canvas, worn.body.shoulder, worn.body.hip
    foot = hip * _HEM["coat"] + 0.02
    wide = worn.body.breadth(canvas)
    cape = [(wide * 0.7, top + 0.01), (wide * 1.25, top - 0.12), (-wide * 1.25, top - 0.12), (-wide * 0.7, top + 0.01)]
    canvas.polygon(cape, worn.dark)
    if canvas.is_back:
        canvas.stroke([(worn.middle, hip * 1.2), (worn.middle, foot)], worn.dark, 0.024)
        worn.band(hip * 1.28, hip * 1.28 + 0.035, worn.dark, 0.97)
        return
    lapels = [(worn.at(-0.42), top + 0.01), (worn.at(0.42), top + 0.01), (worn.middle, top - 0.16)]
    canvas.polygon(lapels, _LIGHT)
    canvas.stroke([(worn.middle, top - 0.16), (worn.middle, foot)], worn.dark, 0.024)
    for share in (0.1, 0.45, 0.8):
        canvas.ellipse(worn.at(0.26), (top - 0.17) * (1 - share) + foot * share, 0.02, 0.02, _GOLD, outline=0)


def _draw_overalls(worn: _Worn) -> None:
    """A shirt and two straps, crossed at the back; in front with buttons."""
    canvas, top = worn.canvas, worn.body.shoulder
    side = worn.body.breadth(canvas) * 0.9
    shirt = [(-side, top - 0.10), (side, top - 0.10), (side * 0.72, top + 0.012), (-side * 0.72, top + 0.012)]
    canvas.polygon(shirt, SHIRT)
    for strap in (-1, 1):
        low = -strap if canvas.is_back else strap
        canvas.stroke([(worn.at(strap * 0.5), top), (worn.at(low * 0.5), top - 0.12)], worn.cloth, 0.04)
    if not canvas.is_back:
        for strap in (-1, 1):
            canvas.ellipse(worn.at(strap * 0.5), top - 0.11, 0.02, 0.02, _GOLD, outline=0)


def _draw_robe(worn: _Worn) -> None:
    """A sash; in front a neckline, at the back a knot."""
    canvas, top, hip = worn.canvas, worn.body.shoulder, worn.body.hip
    if not canvas.is_back:
        neckline = [(worn.at(-0.5), top + 0.012), (worn.at(0.5), top + 0.012), (worn.middle, top - 0.12)]
        canvas.polygon(neckline, _LIGHT)
    sash = _GOLD if worn.colour not in ("yellow", "orange") else (60, 60, 120)
    worn.band(hip * 1.3, hip * 1.3 + 0.085, sash, 1.02)
    if canvas.is_back:
        canvas.ellipse(worn.middle, hip * 1.3 + 0.045, worn.half * 0.55, 0.06, sash)


_DETAILS: dict[str, Callable[[_Worn], None]] = {
    "dress": _draw_dress,
    "hoodie": _draw_hoodie,
    "coat": _draw_coat,
    "overalls": _draw_overalls,
    "robe": _draw_robe,
}
