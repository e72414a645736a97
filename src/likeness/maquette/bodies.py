"""Everything below the head: torso and garment, legs, arms and tail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

from PIL import Image, ImageDraw

from likeness.maquette.canvas import EDGE_SHADE, Canvas, Colour, shade
from likeness.maquette.world import Identity

__all__ = ["CLOTH", "SKIN", "Body", "draw_arms", "draw_body", "draw_tail", "measure"]

SKIN: dict[str, Colour] = {"fair": (255, 224, 200), "tan": (222, 166, 116), "dark": (128, 82, 58), "blue": (140, 186, 236)}
CLOTH: dict[str, Colour] = {
    "red": (206, 44, 52), "blue": (46, 88, 206), "green": (44, 148, 78), "yellow": (244, 204, 52),
    "purple": (132, 70, 188), "black": (48, 46, 58), "white": (240, 240, 244), "orange": (244, 130, 34),
}  # fmt: skip
_RATIO = {"big": 0.50, "medium": 0.41, "small": 0.33}  # head to body
_HEIGHT = {"short": 0.80, "medium": 0.91, "tall": 1.02}
_BUILD = {"slim": 0.085, "average": 0.125, "stout": 0.175}  # half of the torso's width
_HEM = {"dress": 0.42, "hoodie": 0.92, "coat": 0.45, "overalls": 0.95, "robe": 0.02}  # where the garment ends, in leg lengths
_FLARE = {"dress": 1.9, "hoodie": 1.12, "coat": 1.35, "overalls": 1.0, "robe": 1.55}  # width at the hem, in torso widths
_DARK: Colour = (52, 50, 66)
_TAILS: dict[str, Colour] = {"cat": (70, 64, 74), "fox": (232, 126, 44), "dragon": (70, 150, 90)}


@dataclass(frozen=True, slots=True)
class Body:
    """A figure's measures in figure units: total height, head height, half torso width, and the heights of shoulders and hips."""

    height: float
    head: float
    girth: float
    shoulder: float
    hip: float

    @property
    def radius(self) -> float:
        """Of the head, a sphere."""
        return self.head / 2


def measure(identity: Identity) -> Body:
    """The measures that an identity's head ratio, height and build give."""
    height = _HEIGHT[identity["height"]]
    head = height * _RATIO[identity["head_ratio"]]
    shoulder = height - head * 0.97
    return Body(height, head, _BUILD[identity["build"]], shoulder, shoulder * 0.42)


def _contrast(identity: Identity) -> Colour:
    return (40, 54, 110) if identity["garment_colour"] in ("white", "yellow") else (250, 250, 240)


def draw_body(canvas: Canvas, identity: Identity, body: Body) -> None:
    """Legs, garment with its pattern, and the details that tell one garment from another."""
    cloth, skin = CLOTH[identity["garment_colour"]], SKIN[identity["skin"]]
    garment = identity["garment"]
    _draw_legs(canvas, body, garment, cloth, skin)
    outline = _silhouette(canvas, body, garment)
    canvas.polygon(outline, cloth)
    _draw_pattern(canvas, outline, identity, body)
    _draw_details(canvas, identity, body)


def _silhouette(canvas: Canvas, body: Body, garment: str) -> list[tuple[float, float]]:
    turned = abs(canvas.cosine) + 0.72 * abs(canvas.sine)  # a torso is less deep than wide
    top, waist = body.girth * turned * 0.86, body.girth * turned * 0.92
    hem, foot = body.girth * turned * _FLARE[garment], body.hip * _HEM[garment]
    right = [(top * 0.62, body.shoulder + 0.012), (top, body.shoulder - 0.03), (waist, body.hip * 1.3), (hem, foot)]
    return [*right, *((-x, y) for x, y in reversed(right))]


def _draw_legs(canvas: Canvas, body: Body, garment: str, cloth: Colour, skin: Colour) -> None:
    trousers = {"hoodie": _DARK, "overalls": cloth, "coat": (96, 92, 110)}.get(garment, skin)
    width = body.girth * 0.72
    legs = sorted((canvas.turn(side * body.girth * 0.48, 0, 0) for side in (-1, 1)), key=lambda leg: leg[2])
    for x, _, z in legs:
        colour = trousers if z > -0.01 or abs(canvas.cosine) > 0.5 else shade(trousers, 0.85)
        canvas.limb([(x, body.hip), (x, 0.05)], colour, width)
        toe = canvas.turn(0, 0, 0.05)[0]
        canvas.ellipse(x + toe * 0.8, 0.022, width * 0.62, 0.03, _DARK)


def _draw_pattern(canvas: Canvas, outline: Sequence[tuple[float, float]], identity: Identity, body: Body) -> None:
    pattern, contrast = identity["pattern"], _contrast(identity)
    if pattern == "plain":
        return
    cover = Image.new("L", canvas.image.size)
    pen = ImageDraw.Draw(cover)
    bottom, top, half = min(y for _, y in outline), body.shoulder, max(x for x, _ in outline)
    if pattern == "trimmed":
        xy = [canvas.pixel(-half, bottom + 0.055), canvas.pixel(half, bottom)]
        pen.rectangle([*xy[0], *xy[1]], fill=255)
        xy = [canvas.pixel(-half, top + 0.02), canvas.pixel(half, top - 0.035)]
        pen.rectangle([*xy[0], *xy[1]], fill=255)
    elif pattern == "striped":
        y = top - 0.075
        while y > bottom:
            xy = [canvas.pixel(-half, y), canvas.pixel(half, y - 0.044)]
            pen.rectangle([*xy[0], *xy[1]], fill=255)
            y -= 0.105
    else:
        spacing, radius, y, odd = 0.112, 0.03 * canvas.scale, top - 0.07, False
        while y > bottom:
            columns = int(half / spacing) + 1
            for column in range(-columns, columns + 1):
                cx, cy = canvas.pixel((column + 0.5 * odd) * spacing, y)
                pen.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], fill=255)
            y, odd = y - 0.085, not odd
    inside = Image.new("L", canvas.image.size)
    ImageDraw.Draw(inside).polygon([canvas.pixel(*point) for point in outline], fill=255)
    canvas.image.paste(contrast, mask=Image.composite(cover, Image.new("L", cover.size), inside))


def _draw_details(canvas: Canvas, identity: Identity, body: Body) -> None:
    """Front: strings and pocket, lapels and buttons, bib, sash, waist band. Back: hood, slit, crossed straps, knot."""
    cloth = CLOTH[identity["garment_colour"]]
    dark, light = shade(cloth, 0.62), (255, 250, 235)
    back = canvas.cosine < -0.3
    x = -body.girth * 0.75 * canvas.sine * (1 if not back else -1)  # where the middle of the front (or back) shows
    squeeze = max(abs(canvas.cosine), 0.35)
    top, hip, half = body.shoulder, body.hip, body.girth * squeeze

    def band(low: float, high: float, colour: Colour, reach: float = 1.0) -> None:
        side = body.girth * (abs(canvas.cosine) + 0.72 * abs(canvas.sine)) * reach
        canvas.polygon([(-side, low), (side, low), (side, high), (-side, high)], colour, outline=0.006)

    match identity["garment"]:
        case "hoodie":
            canvas.ellipse(0, top + 0.005, body.girth * 0.98, 0.05, shade(cloth, 0.8))
            if back:
                canvas.polygon([(x - half * 0.8, top), (x + half * 0.8, top), (x, top - 0.2)], shade(cloth, 0.72))
            else:
                for side in (-1, 1):
                    canvas.stroke([(x + side * half * 0.28, top - 0.01), (x + side * half * 0.28, top - 0.12)], light, 0.022)
                canvas.polygon([(x - half * 0.55, hip * 1.15), (x + half * 0.55, hip * 1.15), (x + half * 0.4, hip * 1.5),
                                (x - half * 0.4, hip * 1.5)], dark, outline=0)  # fmt: skip
        case "coat":
            foot = hip * _HEM["coat"]
            if back:
                canvas.stroke([(x, hip * 1.2), (x, foot + 0.02)], dark, 0.024)
                band(hip * 1.28, hip * 1.28 + 0.035, dark, 0.97)
            else:
                canvas.polygon([(x - half * 0.42, top + 0.01), (x + half * 0.42, top + 0.01), (x, top - 0.16)], light)
                canvas.stroke([(x, top - 0.16), (x, foot + 0.02)], dark, 0.024)
                for share in (0.1, 0.45, 0.8):
                    y = (top - 0.17) * (1 - share) + (foot + 0.02) * share
                    canvas.ellipse(x + half * 0.26, y, 0.02, 0.02, (250, 214, 90), outline=0)
        case "overalls":
            shirt = (250, 246, 232)
            side = body.girth * (abs(canvas.cosine) + 0.72 * abs(canvas.sine)) * 0.9
            canvas.polygon([(-side, top - 0.10), (side, top - 0.10), (side * 0.72, top + 0.012), (-side * 0.72, top + 0.012)], shirt)
            for strap in (-1, 1):
                low = -strap if back else strap
                canvas.stroke([(x + strap * half * 0.5, top), (x + low * half * 0.5, top - 0.12)], cloth, 0.04)
            if not back:
                for strap in (-1, 1):
                    canvas.ellipse(x + strap * half * 0.5, top - 0.11, 0.02, 0.02, (250, 214, 90), outline=0)
        case "robe":
            if not back:
                canvas.polygon([(x - half * 0.5, top + 0.012), (x + half * 0.5, top + 0.012), (x, top - 0.12)], light)
            sash = (250, 214, 90) if identity["garment_colour"] not in ("yellow", "orange") else (60, 60, 120)
            band(hip * 1.3, hip * 1.3 + 0.085, sash, 1.02)
            if back:
                canvas.ellipse(x, hip * 1.3 + 0.045, half * 0.55, 0.06, sash)
        case "dress":
            band(hip * 1.25, hip * 1.25 + 0.03, dark, 0.95)


_REST = ((0.05, -0.13, 0.0), (0.045, -0.27, 0.02))  # elbow and hand from the shoulder: out, up, forward; arm lengths of a unit figure
_RAISED = ((0.12, 0.07, 0.03), (0.17, 0.24, 0.03))
_ON_HIP = ((0.15, -0.11, -0.06), (0.03, -0.21, 0.03))
_POINTING = ((0.10, -0.02, 0.10), (0.20, 0.0, 0.20))
_POSES = {  # the character's right arm, then its left
    "standing": (_REST, _REST), "waving": (_RAISED, _REST), "arms up": (_RAISED, _RAISED),
    "hands on hips": (_ON_HIP, _ON_HIP), "pointing": (_REST, _POINTING),
}  # fmt: skip


def draw_arms(canvas: Canvas, identity: Identity, body: Body, *, behind: bool) -> None:
    """The arms on the far side of the torso (behind) or on the near side, posed as the scene says."""
    cloth, skin = CLOTH[identity["garment_colour"]], SKIN[identity["skin"]]
    sleeve = (250, 246, 232) if identity["garment"] == "overalls" else shade(cloth, 0.86)
    length = body.shoulder / 0.53  # the arms of a figure with a medium head are as given
    for side, (elbow, hand) in zip((-1, 1), _POSES[canvas.scene.pose], strict=True):
        joints = [(side * body.girth * 0.86, body.shoulder - 0.045, 0.0)]
        for out, up, forward in (elbow, hand):
            stretch = length if up < 0 else 1.0  # a raised hand passes the head at any head size
            joints.append((side * (body.girth * 0.86 + out), body.shoulder - 0.045 + up * stretch, forward))
        turned = [canvas.turn(*joint) for joint in joints]
        depth = turned[0][2] + turned[2][2]
        if (depth < -0.02) is not behind:
            continue
        canvas.limb([(x, y) for x, y, _ in turned], sleeve, 0.058)
        if identity["pattern"] == "trimmed":
            (ex, ey, _), (hx, hy, _) = turned[1:]
            canvas.stroke([(hx, hy), (hx + 0.3 * (ex - hx), hy + 0.3 * (ey - hy))], _contrast(identity), 0.07)
        canvas.ellipse(turned[2][0], turned[2][1], 0.038, 0.038, skin)


def draw_tail(canvas: Canvas, identity: Identity, body: Body, *, behind: bool) -> None:
    """The tail, which starts at the back of the hips and swings out to the character's left."""
    kind = identity["tail"]
    root = canvas.turn(0, 0, -1)[2]
    if kind == "none" or (root < 0) is not behind:
        return
    steps = 12
    reach, rise = body.girth + 0.17, 0.30
    middle = []
    for step in range(steps + 1):
        share = step / steps
        out = sin(share * pi / 2) * reach + (0.05 * sin(share * 2 * pi) if kind == "cat" else 0.0)
        x, y, _ = canvas.turn(out * 0.86, body.hip * 1.1 + rise * (1 - cos(share * pi / 2)) * 1.15, -body.girth * 0.6 - out * 0.62)
        middle.append((x, y))
    fill = _TAILS[kind]
    if kind == "cat":
        canvas.limb(middle, fill, 0.052)
        return
    for step, (x, y) in enumerate(middle):  # a chain of discs: an edge first, then the fill
        canvas.ellipse(x, y, _bulge(kind, step / steps) + 0.011, _bulge(kind, step / steps) + 0.011, shade(fill, EDGE_SHADE), outline=0)
    for step, (x, y) in enumerate(middle):
        colour = (250, 244, 230) if kind == "fox" and step >= steps - 3 else fill
        canvas.ellipse(x, y, _bulge(kind, step / steps), _bulge(kind, step / steps), colour, outline=0)
    if kind == "dragon":
        for x, y in middle[2::3]:
            canvas.polygon([(x - 0.03, y + 0.03), (x + 0.03, y + 0.03), (x, y + 0.085)], (240, 220, 120), outline=0)


def _bulge(kind: str, share: float) -> float:
    """Radius of the tail at a share of its length: a fox's swells, a dragon's tapers."""
    return 0.035 + 0.06 * sin(share * pi * 0.8) if kind == "fox" else 0.075 * (1 - share) + 0.012
