"""The head: a sphere with hair, face, ears, horns and what is worn on it.

A feature sits at an azimuth (degrees, positive towards the character's left) and an elevation (degrees above the ears).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi, radians, sin

from likeness.maquette.bodies import SKIN, Body
from likeness.maquette.canvas import Canvas, Colour, shade
from likeness.maquette.world import Identity

__all__ = ["draw_back_hair", "draw_head"]

HAIR: dict[str, Colour] = {
    "black": (44, 42, 56), "brown": (122, 72, 38), "blonde": (248, 214, 92), "red": (200, 46, 40), "blue": (58, 100, 224),
    "green": (64, 164, 76), "pink": (248, 130, 182), "white": (238, 240, 246), "purple": (138, 82, 196), "teal": (24, 178, 172),
}  # fmt: skip
EYES: dict[str, Colour] = {
    "blue": (40, 104, 250), "green": (30, 168, 70), "red": (224, 30, 36), "gold": (250, 190, 20), "purple": (156, 60, 226), "black": (36, 32, 44),
}  # fmt: skip
_STREAKS: dict[str, Colour] = {"white": (252, 252, 255), "pink": (255, 92, 168)}
_INK: Colour = (46, 36, 44)
_OPENING = 74  # degrees of azimuth that the hair leaves open for the face
Point = tuple[float, float]


class _Globe:
    """Projects azimuth and elevation on a character's head to turned points."""

    def __init__(self, canvas: Canvas, body: Body) -> None:
        self.canvas, self.radius, self.y = canvas, body.radius, body.height - body.radius

    def at(self, azimuth: float, elevation: float, scale: float = 1.0) -> tuple[float, float, float]:
        """Turned x, y and depth in [-1, 1] (positive faces the viewer); `scale` is in radii."""
        a, e = radians(azimuth), radians(elevation)
        x, y, z = self.canvas.turn(sin(a) * cos(e), sin(e), cos(a) * cos(e))
        return x * self.radius * scale, self.y + y * self.radius * scale, z

    def patch(self, outline: Sequence[tuple[float, float]]) -> list[Point]:
        """A closed curve of (azimuth, elevation) as turned points, with what faces away pushed to the rim."""
        points = []
        for azimuth, elevation in outline:
            x, y, z = self.at(azimuth, elevation)
            if z < 0:
                dx, dy = x, y - self.y
                reach = max((dx * dx + dy * dy) ** 0.5, 1e-6)
                x, y = dx / reach * self.radius, self.y + dy / reach * self.radius
            points.append((x, y))
        return points


def _arc(start: float, end: float, elevation: float, bow: float = 0.0, steps: int = 12) -> list[tuple[float, float]]:
    return [
        (start + (end - start) * i / steps, elevation + bow * sin(pi * i / steps))
        for i in range(steps + 1)
    ]  # fmt: skip


def draw_back_hair(canvas: Canvas, identity: Identity, body: Body) -> None:
    """The hair behind the head and, for long styles, behind the shoulders."""
    globe, fill = _Globe(canvas, body), HAIR[identity["hair_colour"]]
    r, y = globe.radius, globe.y
    dark = shade(fill, 0.82)
    drift = canvas.sine * 0.22 * r  # hair hangs at the back of the head
    match identity["hair_style"]:
        case "bob":
            canvas.polygon(_drop(drift * 0.8, y, 1.12 * r, 0.95 * r), dark)
        case "long":
            canvas.polygon(_drop(drift, y, 1.14 * r, 2.05 * r), dark)
        case "spiky":
            points = []
            for i in range(23):
                angle, reach = radians(-62 + 304 * i / 22), (1.42 if i % 2 else 1.02) * r
                points.append((drift * 0.7 + cos(angle) * reach, y + sin(angle) * reach))
            canvas.polygon(points, fill)
        case "curly":
            for i in range(11):
                angle = radians(-52 + 284 * i / 10)
                canvas.ellipse(drift + cos(angle) * 0.98 * r, y + sin(angle) * 0.98 * r, 0.34 * r, 0.34 * r, fill)
        case "bun":
            x, top, _ = globe.at(180, 62, 1.22)
            canvas.ellipse(x, top, 0.44 * r, 0.42 * r, fill)
        case "twintails":
            _draw_twintails(globe, dark, behind=True)


def _drop(x: float, y: float, half: float, fall: float) -> list[Point]:
    """A rounded cap over the head that falls straight to `fall` below its middle."""
    cap = [(x + half * cos(radians(angle)), y + half * sin(radians(angle))) for angle in range(0, 181, 12)]
    return [*cap, (x - half * 1.02, y - fall * 0.9), (x - half * 0.7, y - fall), (x + half * 0.7, y - fall), (x + half * 1.02, y - fall * 0.9)]


def _draw_twintails(globe: _Globe, fill: Colour, *, behind: bool) -> None:
    canvas, r = globe.canvas, globe.radius
    for side in (-1, 1):
        x, y, z = globe.at(side * 100, 22, 1.02)
        if (z < 0.25) is not behind:
            continue
        swing = 0.42 * r * (x / r if abs(x) > 0.2 * r else 0.3 * side)
        canvas.polygon([(x - 0.2 * r, y + 0.1 * r), (x + 0.2 * r, y + 0.1 * r), (x + swing + 0.34 * r, y - 1.0 * r),
                        (x + swing * 1.2, y - 1.75 * r), (x + swing - 0.34 * r, y - 1.0 * r)], fill)  # fmt: skip
        canvas.ellipse(x, y + 0.04 * r, 0.16 * r, 0.13 * r, (250, 246, 240))


def draw_head(canvas: Canvas, identity: Identity, body: Body) -> None:
    """The head from neck to horns, in painter's order."""
    globe = _Globe(canvas, body)
    r, fill, skin = globe.radius, HAIR[identity["hair_colour"]], SKIN[identity["skin"]]
    back = canvas.cosine < -0.3
    if not back:
        canvas.polygon([(-0.24 * r, globe.y - 1.12 * r), (0.24 * r, globe.y - 1.12 * r), (0.24 * r, globe.y - 0.8 * r),
                        (-0.24 * r, globe.y - 0.8 * r)], shade(skin, 0.86), outline=0)  # fmt: skip
    if identity["accessory"] == "scarf":
        _draw_scarf(globe)
    _draw_ears(globe, identity, behind=True)
    canvas.ellipse(0, globe.y, r, r, fill)
    if not back:
        opening = [*_arc(_OPENING, -_OPENING, 26 if identity["hair_style"] != "bun" else 34, 12), *_arc(-_OPENING, _OPENING, -62, -30)]
        canvas.polygon(globe.patch(opening), skin)
        _draw_face(globe, identity)
    _draw_fringe(globe, identity, fill)
    _draw_streak(globe, identity)
    if identity["hair_style"] == "twintails":
        _draw_twintails(globe, fill, behind=False)
    _draw_ears(globe, identity, behind=False)
    _draw_horns(globe, identity)
    _draw_headgear(globe, identity)


def _draw_fringe(globe: _Globe, identity: Identity, fill: Colour) -> None:
    if globe.canvas.cosine < -0.3 or identity["hair_style"] == "bun":
        return
    wide = _OPENING + 3
    top = _arc(wide, -wide, 30, 16)
    match identity["hair_style"]:
        case "bob":
            low = _arc(-wide, wide, 17, 4)
        case "long":  # parted in the middle
            low = [(-wide, -6), (-48, 8), (-30, 20), (-8, 33), (0, 38), (8, 33), (30, 20), (48, 8), (wide, -6)]
        case "twintails":
            low = [(-wide, 8), (-40, 20), (-20, 25), (0, 14), (20, 25), (40, 20), (wide, 8)]
        case "spiky":
            low = [(-wide, 6), (-50, 26), (-36, 9), (-24, 27), (-6, 8), (6, 27), (26, 8), (36, 27), (50, 9), (wide, 6)]
        case _:  # curly
            low = [(-wide, 6), (-50, 16), (-34, 12), (-18, 20), (0, 14), (18, 20), (34, 12), (50, 16), (wide, 6)]
    globe.canvas.polygon(globe.patch([*top, *low]), fill, outline=0.009)


def _draw_streak(globe: _Globe, identity: Identity) -> None:
    colour = _STREAKS.get(identity["streak"])
    if colour is None:
        return
    if globe.canvas.cosine < -0.3:
        globe.canvas.polygon(globe.patch([(168, 78), (168, -50), (146, -46), (146, 70)]), colour, outline=0)
    elif abs(globe.canvas.sine) < 0.9:
        globe.canvas.polygon(globe.patch([(6, 74), (9, 19), (29, 16), (34, 62)]), colour, outline=0)


def _draw_face(globe: _Globe, identity: Identity) -> None:
    canvas, r = globe.canvas, globe.radius
    middle, squeeze = _middle(globe)
    low = globe.at(0, -33)[1]
    if identity["nose"] == "muzzle":
        canvas.ellipse(middle * 0.96, low + 0.04 * r, 0.40 * r * squeeze, 0.27 * r, (252, 244, 226), outline=0.006)
    _draw_marks(globe, identity["mark"], beneath=True)
    for side in (-1, 1):
        _draw_eye(globe, identity, side)
    _draw_mouth(globe, middle, squeeze, low - 0.06 * r)
    nose_y = globe.at(0, -17)[1]
    match identity["nose"]:
        case "dot":
            canvas.ellipse(middle, nose_y, 0.045 * r, 0.035 * r, shade(SKIN[identity["skin"]], 0.6), outline=0)
        case "red":
            canvas.ellipse(middle * 1.06, nose_y, 0.155 * r, 0.15 * r, (232, 40, 44), outline=0.006)
        case "muzzle":
            canvas.ellipse(middle * 1.04, nose_y - 0.02 * r, 0.13 * r * max(squeeze, 0.8), 0.085 * r, _INK, outline=0)
    _draw_marks(globe, identity["mark"], beneath=False)
    if identity["accessory"] == "glasses":
        _draw_glasses(globe)


def _middle(globe: _Globe) -> tuple[float, float]:
    """Where the face's middle line shows, and how much of a feature's width: in profile it sits on the rim, half hidden."""
    sine = globe.canvas.sine
    return -globe.radius * (sine * 0.86 if abs(sine) > 0.3 else sine), max(globe.canvas.cosine, 0.5)


def _draw_eye(globe: _Globe, identity: Identity, side: int) -> None:
    canvas, r = globe.canvas, globe.radius
    x, y, z = globe.at(side * 27, -4)
    width = max(0.0, cos(radians(side * 27 - canvas.scene.yaw)))
    if width < 0.28:
        return
    width = 0.28 * r * (0.35 + 0.65 * width)
    tall = {"round": 0.29, "narrow": 0.15, "droopy": 0.27}[identity["eye_shape"]] * r
    colour = EYES[identity["left_eye" if side > 0 else "right_eye"]]
    canvas.ellipse(x, y, width, tall, (255, 255, 255), outline=0)
    look = -canvas.sine * 0.15 * width
    iris = min(width * 0.8, 0.225 * r)
    canvas.ellipse(x + look, y - 0.02 * r, iris, tall * 0.86, colour, outline=0)
    if identity["left_eye"] != "black" or identity["right_eye"] != "black":
        canvas.ellipse(x + look, y - 0.02 * r, iris * 0.38, tall * 0.38, _INK, outline=0)
    canvas.ellipse(x + look + iris * 0.4, y + tall * 0.36, iris * 0.3, tall * 0.22, (255, 255, 255), outline=0)
    lash = 0.05 * r if identity.class_words == "1girl" else 0.036 * r
    if identity["eye_shape"] == "droopy":  # a heavy lid that falls to the outside
        skin = SKIN[identity["skin"]]
        outer = side if canvas.cosine > 0.2 else (1 if x > 0 else -1) * -1
        canvas.polygon([(x - width * 1.15, y + tall * 1.15), (x + width * 1.15, y + tall * 1.15),
                        (x + width * 1.15, y + tall * (0.05 if outer > 0 else 0.62)),
                        (x - width * 1.15, y + tall * (0.62 if outer > 0 else 0.05))], skin, outline=0)  # fmt: skip
        canvas.stroke([(x - width * 1.1, y + tall * (0.62 if outer > 0 else 0.05)), (x + width * 1.1, y + tall * (0.05 if outer > 0 else 0.62))], _INK, lash)
    else:
        top = [(x + width * 1.05 * cos(radians(angle)), y + tall * 1.02 * sin(radians(angle))) for angle in range(15, 166, 15)]
        canvas.stroke(top, _INK, lash)
    _draw_brow(globe, x, y + 0.34 * r, width, side)


def _draw_brow(globe: _Globe, x: float, y: float, width: float, side: int) -> None:
    r = globe.radius
    inner, outer = {"angry": (-0.13, 0.09), "sad": (0.11, -0.09), "surprised": (0.12, 0.12)}.get(globe.canvas.scene.expression, (0.0, 0.0))
    if globe.canvas.scene.expression in ("neutral", "smile", "laughing"):
        return
    half = width * 0.95
    globe.canvas.stroke([(x - side * half, y + inner * r), (x + side * half, y + outer * r)], _INK, 0.062 * r)


def _draw_mouth(globe: _Globe, x: float, squeeze: float, y: float) -> None:
    canvas, r = globe.canvas, globe.radius
    half = 0.24 * r * squeeze

    def curve(depth: float, width: float = half) -> list[Point]:
        return [(x + width * i / 6, y + depth * r * ((i / 6) ** 2 - 0.5)) for i in range(-6, 7)]

    match canvas.scene.expression:
        case "neutral":
            canvas.stroke([(x - half * 0.7, y), (x + half * 0.7, y)], _INK, 0.05 * r)
        case "smile":
            canvas.stroke(curve(0.24), _INK, 0.06 * r)
        case "sad":
            canvas.stroke(curve(-0.22), _INK, 0.06 * r)
        case "angry":  # bared teeth
            canvas.polygon([(x - half, y - 0.09 * r), (x + half, y - 0.09 * r), (x + half, y + 0.08 * r), (x - half, y + 0.08 * r)],
                           (255, 255, 255), outline=0)  # fmt: skip
            for line in ([(x - half, y - 0.09 * r), (x + half, y - 0.09 * r), (x + half, y + 0.08 * r), (x - half, y + 0.08 * r), (x - half, y - 0.09 * r)],
                         [(x - half, y), (x + half, y)]):  # fmt: skip
                canvas.stroke(line, _INK, 0.036 * r)
        case "laughing":
            low = [(x + half * 1.15 * cos(radians(angle)), y + 0.08 * r + 0.36 * r * sin(radians(angle))) for angle in range(180, 361, 15)]
            canvas.polygon(low, (176, 28, 44), outline=0.05 * r)
            canvas.ellipse(x, y - 0.17 * r, half * 0.6, 0.08 * r, (250, 130, 130), outline=0)
        case "surprised":
            canvas.ellipse(x, y - 0.03 * r, half * 0.62, 0.19 * r, (120, 20, 34), outline=0.05 * r)


def _draw_marks(globe: _Globe, mark: str, *, beneath: bool) -> None:
    canvas, r = globe.canvas, globe.radius
    if mark == "none" or (mark != "freckles") is beneath:
        return
    if mark == "freckles":
        for azimuth, elevation in ((-40, -22), (-30, -30), (-22, -21), (22, -21), (30, -30), (40, -22), (-34, -14), (34, -14)):
            x, y, z = globe.at(azimuth, elevation)
            if z > 0.25:
                canvas.ellipse(x, y, 0.048 * r, 0.048 * r, (150, 74, 40), outline=0)
        return
    side = 1 if mark.startswith("left") else -1
    x, y, z = globe.at(side * 37, -27)
    squeeze = cos(radians(side * 37 - canvas.scene.yaw))
    if squeeze < 0.28:
        return
    width = 0.2 * r * (0.3 + 0.7 * squeeze)
    if mark.endswith("scar"):
        canvas.stroke([(x - width * 0.75, y + 0.3 * r), (x + width * 0.65, y - 0.2 * r)], (170, 18, 34), 0.085 * r)
    elif mark.endswith("diamond"):
        canvas.polygon([(x - width * 0.95, y), (x, y + 0.25 * r), (x + width * 0.95, y), (x, y - 0.25 * r)], (24, 206, 236), outline=0.006)
    else:
        points = []
        for i in range(10):
            angle, reach = radians(90 + 36 * i), 1.15 if i % 2 == 0 else 0.52
            points.append((x + width * reach * cos(angle), y + 0.2 * r * reach * sin(angle)))
        canvas.polygon(points, (255, 196, 0), outline=0.006)


def _draw_glasses(globe: _Globe) -> None:
    canvas, r = globe.canvas, globe.radius
    spots = []
    for side in (-1, 1):
        x, y, _ = globe.at(side * 27, -5)
        squeeze = cos(radians(side * 27 - canvas.scene.yaw))
        if squeeze < 0.28:
            continue
        width = 0.34 * r * (0.35 + 0.65 * squeeze)
        ring = [(x + width * cos(radians(a)), y + 0.35 * r * sin(radians(a))) for a in range(0, 361, 20)]
        canvas.stroke(ring, (24, 24, 30), 0.062 * r)
        spots.append((x, width, y))
    if len(spots) == 2:
        (x1, w1, y), (x2, w2, _) = sorted(spots)
        canvas.stroke([(x1 + w1, y), (x2 - w2, y)], (24, 24, 30), 0.062 * r)
    for side in (-1, 1):  # the temples run back to the ears
        front, ear = globe.at(side * 52, -3), globe.at(side * 92, 2)
        if front[2] > 0.1 and ear[2] > -0.1:
            canvas.stroke([front[:2], ear[:2]], (24, 24, 30), 0.062 * r)


def _draw_scarf(globe: _Globe) -> None:
    canvas, r = globe.canvas, globe.radius
    y = globe.y - 1.05 * r
    tip = globe.at(28, -80)[0] + canvas.turn(0.35 * r, 0, 0.3 * r)[0]
    if canvas.cosine > -0.3:
        canvas.polygon([(tip - 0.17 * r, y), (tip + 0.17 * r, y), (tip + 0.2 * r, y - 0.75 * r), (tip - 0.15 * r, y - 0.75 * r)], (224, 52, 48))
    canvas.ellipse(0, y, 0.66 * r, 0.2 * r, (238, 64, 56))
    canvas.stroke([(-0.5 * r, y - 0.03 * r), (0.5 * r, y - 0.03 * r)], (255, 232, 214), 0.07 * r)


def _draw_ears(globe: _Globe, identity: Identity, *, behind: bool) -> None:
    canvas, r = globe.canvas, globe.radius
    hair, skin = HAIR[identity["hair_colour"]], SKIN[identity["skin"]]
    front = canvas.cosine > -0.3
    inner: Colour = (250, 168, 178) if front else shade(hair, 0.8)
    kind = identity["ears"]
    if (kind in ("cat", "rabbit", "bear")) is behind:
        return
    for side in sorted((-1, 1), key=lambda s: globe.at(s * 90, 0)[2]):
        if kind in ("human", "elf"):
            x, y, z = globe.at(side * 88, -6, 0.98)
            if z < -0.55 or (kind == "human" and not front):
                continue
            out = x / r
            if kind == "human":
                canvas.ellipse(x, y, 0.15 * r * (1.1 - 0.3 * abs(out)), 0.2 * r, skin, outline=0.008)
            else:
                reach = out if abs(out) > 0.4 else 0.5 * canvas.sine  # from the side, the tip points backwards
                canvas.polygon([(x, y + 0.17 * r), (x + 0.85 * r * reach, y + 0.34 * r), (x + 0.1 * r * reach, y - 0.22 * r)], skin)
            continue
        x, y, _ = globe.at(side * 90, {"cat": 46, "rabbit": 66, "bear": 44}[kind], 0.98)
        width = r * (0.66 + 0.34 * abs(canvas.cosine))
        if kind == "cat":
            lean = 0.16 * r * (x / r)
            canvas.polygon([(x - 0.34 * width, y - 0.14 * r), (x + 0.34 * width, y - 0.14 * r), (x + lean, y + 0.58 * r)], hair)
            canvas.polygon([(x - 0.17 * width, y - 0.02 * r), (x + 0.17 * width, y - 0.02 * r), (x + lean * 0.8, y + 0.36 * r)], inner, outline=0)
        elif kind == "rabbit":
            canvas.ellipse(x + 0.1 * x, y + 0.5 * r, 0.2 * width, 0.66 * r, hair)
            canvas.ellipse(x + 0.1 * x, y + 0.5 * r, 0.095 * width, 0.46 * r, inner, outline=0)
        else:
            canvas.ellipse(x, y + 0.12 * r, 0.34 * width, 0.34 * r, hair)
            canvas.ellipse(x, y + 0.12 * r, 0.18 * width, 0.18 * r, inner, outline=0)


def _draw_horns(globe: _Globe, identity: Identity) -> None:
    canvas, r = globe.canvas, globe.radius
    match identity["horns"]:
        case "devil":
            for side in (-1, 1):
                x, y, _ = globe.at(side * 78, 60, 1.0)
                x *= 0.9
                tip = x + 0.16 * r * side * (1 if canvas.cosine > 0 else -1) * abs(canvas.cosine)
                canvas.polygon([(x - 0.14 * r, y - 0.04 * r), (x + 0.14 * r, y - 0.04 * r), (tip, y + 0.5 * r)], (122, 18, 44))
        case "unicorn":
            x, y, _ = globe.at(0, 52, 1.0)
            canvas.polygon([(x - 0.13 * r, y - 0.02 * r), (x + 0.13 * r, y - 0.02 * r), (x * 1.25, y + 0.85 * r)], (255, 236, 170))
            canvas.stroke([(x - 0.07 * r, y + 0.2 * r), (x + 0.07 * r, y + 0.28 * r)], (214, 160, 60), 0.05 * r)
            canvas.stroke([(x - 0.05 * r, y + 0.42 * r), (x + 0.05 * r, y + 0.5 * r)], (214, 160, 60), 0.05 * r)
        case "ram":
            for side in sorted((-1, 1), key=lambda s: globe.at(s * 90, 0)[2]):
                x, y, z = globe.at(side * 86, 22, 1.04)
                if z < -0.6:
                    continue
                canvas.ellipse(x, y, 0.34 * r, 0.34 * r, (214, 188, 150))
                canvas.ellipse(x + 0.02 * r, y - 0.02 * r, 0.15 * r, 0.15 * r, (150, 116, 84), outline=0)


def _draw_headgear(globe: _Globe, identity: Identity) -> None:
    canvas, r = globe.canvas, globe.radius
    if identity["accessory"] == "crown":
        y = globe.y + 0.78 * r
        half = 0.5 * r
        points = [(-half, y), (half, y), (half * 1.12, y + 0.48 * r), (half * 0.5, y + 0.22 * r), (0, y + 0.56 * r),
                  (-half * 0.5, y + 0.22 * r), (-half * 1.12, y + 0.48 * r)]  # fmt: skip
        canvas.polygon(points, (255, 206, 40))
        canvas.ellipse(-globe.radius * 0.3 * canvas.sine, y + 0.14 * r, 0.09 * r, 0.09 * r, (222, 30, 66), outline=0)
    elif identity["accessory"] == "headphones":
        flat = max(abs(canvas.cosine), 0.12)
        band = [(1.08 * r * flat * cos(radians(a)), globe.y + 1.1 * r * sin(radians(a))) for a in range(0, 181, 10)]
        canvas.stroke(band, (30, 30, 40), 0.12 * r)
        for side in sorted((-1, 1), key=lambda s: globe.at(s * 90, 0)[2]):
            x, y, z = globe.at(side * 90, 0, 1.04)
            if z > -0.6:
                canvas.ellipse(x, y, 0.2 * r + 0.12 * r * max(z, 0), 0.3 * r, (30, 30, 40))
                canvas.ellipse(x, y, 0.1 * r + 0.12 * r * max(z, 0), 0.18 * r, (0, 214, 214), outline=0)
