"""The head: a globe with hair and face, ears, horns and what is worn on it. Lengths are shares of its radius."""

from __future__ import annotations

from math import cos, radians, sin

from likeness.maquette.bodies import SKIN, Body
from likeness.maquette.canvas import Canvas, Colour, shade
from likeness.maquette.faces import draw_face
from likeness.maquette.globe import Globe, arc
from likeness.maquette.hair import HAIR, OPENING, draw_front_hair
from likeness.maquette.world import Identity

__all__ = ["draw_head"]

_GOLD: Colour = (255, 206, 40)
_BLACK: Colour = (30, 30, 40)
_INNER_EAR: Colour = (250, 168, 178)


def draw_head(canvas: Canvas, identity: Identity, body: Body) -> None:
    """The head from neck to horns, in painter's order."""
    globe = Globe(canvas, body)
    if not canvas.is_back:
        _draw_neck(globe, identity)
    if identity["accessory"] == "scarf":
        _draw_scarf(globe)
    if identity["ears"] in ("human", "elf"):  # under the hair
        _draw_low_ears(globe, identity)
    canvas.ellipse(0, globe.y, globe.radius, globe.radius, HAIR[identity["hair_colour"]])
    if not canvas.is_back:
        top = 26 if identity["hair_style"] != "bun" else 34  # hair in a bun leaves more of the forehead free
        opening = [*arc(OPENING, -OPENING, top, 12), *arc(-OPENING, OPENING, -62, -30)]
        canvas.polygon(globe.patch(opening), SKIN[identity["skin"]])
        draw_face(globe, identity)
    draw_front_hair(globe, identity)
    if identity["ears"] not in ("human", "elf"):
        _draw_high_ears(globe, identity)
    _draw_horns(globe, identity["horns"])
    _draw_headgear(globe, identity["accessory"])


def _draw_neck(globe: Globe, identity: Identity) -> None:
    r, low, high = globe.radius, globe.y - 1.12 * globe.radius, globe.y - 0.8 * globe.radius
    neck = [(-0.24 * r, low), (0.24 * r, low), (0.24 * r, high), (-0.24 * r, high)]
    globe.canvas.polygon(neck, shade(SKIN[identity["skin"]], 0.86), outline=0)


def _draw_scarf(globe: Globe) -> None:
    canvas, r, y = globe.canvas, globe.radius, globe.y - 1.05 * globe.radius
    tip = globe.at(28, -80)[0] + canvas.turn(0.35 * r, 0, 0.3 * r)[0]
    if canvas.cosine > -0.3:
        low = y - 0.75 * r
        end = [(tip - 0.17 * r, y), (tip + 0.17 * r, y), (tip + 0.2 * r, low), (tip - 0.15 * r, low)]
        canvas.polygon(end, (224, 52, 48))
    canvas.ellipse(0, y, 0.66 * r, 0.2 * r, (238, 64, 56))
    canvas.stroke([(-0.5 * r, y - 0.03 * r), (0.5 * r, y - 0.03 * r)], (255, 232, 214), 0.07 * r)


def _draw_low_ears(globe: Globe, identity: Identity) -> None:
    """Human and elf ears, at the sides of the head; hair hides a human's from behind, and either's in profile."""
    canvas, r, skin = globe.canvas, globe.radius, SKIN[identity["skin"]]
    for side in globe.far_to_near():
        x, y, z = globe.at(side * 88, -6, 0.98)
        if z < -0.55:
            continue
        out = x / r
        if identity["ears"] == "elf":
            reach = out if abs(out) > 0.4 else 0.5 * canvas.sine  # from the side, the tip points backwards
            tip, lobe = (x + 0.95 * r * reach, y + 0.36 * r), (x + 0.1 * r * reach, y - 0.22 * r)
            canvas.polygon([(x, y + 0.17 * r), tip, lobe], skin)
        elif canvas.cosine > -0.3:
            canvas.ellipse(x, y, 0.15 * r * (1.1 - 0.3 * abs(out)), 0.2 * r, skin, outline=0.008)


def _draw_high_ears(globe: Globe, identity: Identity) -> None:
    """Cat, rabbit and bear ears, on top of the head."""
    canvas, r, hair = globe.canvas, globe.radius, HAIR[identity["hair_colour"]]
    inner = _INNER_EAR if canvas.cosine > -0.3 else shade(hair, 0.8)
    width = r * (0.66 + 0.34 * abs(canvas.cosine))
    for side in globe.far_to_near():
        x, y, _ = globe.at(side * 90, {"cat": 46, "rabbit": 66, "bear": 44}[identity["ears"]], 0.98)
        match identity["ears"]:
            case "cat":
                lean, low = 0.16 * r * (x / r), y - 0.14 * r
                canvas.polygon([(x - 0.34 * width, low), (x + 0.34 * width, low), (x + lean, y + 0.78 * r)], hair)
                low, tip = y - 0.02 * r, (x + lean * 0.8, y + 0.5 * r)
                canvas.polygon([(x - 0.17 * width, low), (x + 0.17 * width, low), tip], inner, outline=0)
            case "rabbit":
                canvas.ellipse(x + 0.1 * x, y + 0.5 * r, 0.2 * width, 0.66 * r, hair)
                canvas.ellipse(x + 0.1 * x, y + 0.5 * r, 0.095 * width, 0.46 * r, inner, outline=0)
            case "bear":
                canvas.ellipse(x, y + 0.1 * r, 0.4 * width, 0.38 * r, hair)
                canvas.ellipse(x, y + 0.1 * r, 0.22 * width, 0.21 * r, inner, outline=0)


def _draw_horns(globe: Globe, horns: str) -> None:
    canvas, r = globe.canvas, globe.radius
    match horns:
        case "devil":
            for side in (-1, 1):
                x, y, _ = globe.at(side * 78, 60, 1.0)
                x *= 0.9
                tip = x + 0.16 * r * side * (1 if canvas.cosine > 0 else -1) * abs(canvas.cosine)
                root = [(x - 0.14 * r, y - 0.04 * r), (x + 0.14 * r, y - 0.04 * r)]
                canvas.polygon([*root, (tip, y + 0.62 * r)], (122, 18, 44))
        case "unicorn":
            x, y, _ = globe.at(0, 52, 1.0)
            root = [(x - 0.13 * r, y - 0.02 * r), (x + 0.13 * r, y - 0.02 * r)]
            canvas.polygon([*root, (x * 1.25, y + 0.85 * r)], (255, 236, 170))
            for half, low, high in ((0.07, 0.2, 0.28), (0.05, 0.42, 0.5)):
                ring = [(x - half * r, y + low * r), (x + half * r, y + high * r)]
                canvas.stroke(ring, (214, 160, 60), 0.05 * r)
        case "ram":
            for side in globe.far_to_near():
                x, y, z = globe.at(side * 86, 22, 1.04)
                if z < -0.6:
                    continue
                canvas.ellipse(x, y, 0.38 * r, 0.38 * r, (214, 188, 150))
                canvas.ellipse(x + 0.02 * r, y - 0.02 * r, 0.17 * r, 0.17 * r, (150, 116, 84), outline=0)


def _draw_headgear(globe: Globe, accessory: str) -> None:
    if accessory == "crown":
        _draw_crown(globe)
    elif accessory == "headphones":
        _draw_headphones(globe)


def _draw_crown(globe: Globe) -> None:
    canvas, r, half = globe.canvas, globe.radius, 0.5 * globe.radius
    y = globe.y + 0.78 * r
    points = [(-half, y), (half, y), (half * 1.12, y + 0.48 * r), (half * 0.5, y + 0.22 * r), (0, y + 0.56 * r)]
    canvas.polygon([*points, (-half * 0.5, y + 0.22 * r), (-half * 1.12, y + 0.48 * r)], _GOLD)
    canvas.ellipse(-r * 0.3 * canvas.sine, y + 0.14 * r, 0.09 * r, 0.09 * r, (222, 30, 66), outline=0)


def _draw_headphones(globe: Globe) -> None:
    canvas, r = globe.canvas, globe.radius
    flat = max(abs(canvas.cosine), 0.12)  # from the side the band is narrow, but it is there
    band = [(1.08 * r * flat * cos(radians(a)), globe.y + 1.1 * r * sin(radians(a))) for a in range(0, 181, 10)]
    canvas.stroke(band, _BLACK, 0.12 * r)
    for side in globe.far_to_near():
        x, y, z = globe.at(side * 90, 0, 1.04)
        if z > -0.6:
            canvas.ellipse(x, y, 0.2 * r + 0.12 * r * max(z, 0), 0.3 * r, _BLACK)
            canvas.ellipse(x, y, 0.1 * r + 0.12 * r * max(z, 0), 0.18 * r, (0, 214, 214), outline=0)
