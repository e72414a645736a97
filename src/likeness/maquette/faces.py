"""The face: eyes and brows, mouth, nose, marks and glasses. Lengths are shares of the head's radius, chosen by eye."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

from likeness.maquette.bodies import SKIN
from likeness.maquette.canvas import Colour, Point, shade
from likeness.maquette.globe import Globe
from likeness.maquette.world import Identity

__all__ = ["EYES", "draw_face"]

EYES: dict[str, Colour] = {
    "blue": (40, 104, 250),
    "green": (30, 168, 70),
    "red": (224, 30, 36),
    "gold": (250, 190, 20),
    "purple": (156, 60, 226),
    "black": (36, 32, 44),
}
_INK: Colour = (46, 36, 44)
_ROSE: Colour = (222, 48, 84)  # of a smile, so that it is told from a frown at any size
_WHITE: Colour = (255, 255, 255)
_FRAME: Colour = (24, 24, 30)  # of glasses
_TALL = {"round": 0.33, "narrow": 0.15, "droopy": 0.31}  # half of an eye's height
_BROWS = {"angry": (-0.2, 0.15), "sad": (0.17, -0.15), "surprised": (0.15, 0.15)}  # rise of the inner and outer end
_EYE_AZIMUTH, _MARK_AZIMUTH = 27, 37  # degrees
_THINNEST = 0.28  # a feature that would show less than this share of its width is left out
_FRECKLES = ((-47, -25), (-31, -27), (-39, -37), (31, -27), (39, -37), (47, -25))  # below the eyes, beside the mouth


def draw_face(globe: Globe, identity: Identity) -> None:
    """All of the face, in painter's order."""
    middle, squeeze = _middle(globe)
    if identity["nose"] == "muzzle":
        _draw_muzzle(globe, middle, squeeze)
    for side in (-1, 1):
        _draw_eye(globe, identity, side)
    _draw_mouth(globe, middle, squeeze)
    _draw_nose(globe, identity, middle, squeeze)
    if identity["mark"] == "freckles":
        _draw_freckles(globe, SKIN[identity["skin"]])
    elif identity["mark"] != "none":
        _draw_mark(globe, identity["mark"])
    if identity["accessory"] == "glasses":
        _draw_glasses(globe)


def _middle(globe: Globe) -> tuple[float, float]:
    """Where the face's middle line shows, and how much of a feature's width there.

    In profile it sits on the rim, half hidden.
    """
    sine = globe.canvas.sine
    return -globe.radius * (sine * 0.86 if abs(sine) > 0.3 else sine), max(globe.canvas.cosine, 0.5)


def _draw_muzzle(globe: Globe, middle: float, squeeze: float) -> None:
    r, y = globe.radius, globe.at(0, -33)[1]
    globe.canvas.ellipse(middle * 0.96, y, 0.47 * r * squeeze, 0.33 * r, (252, 244, 226), outline=0.012)


def _draw_nose(globe: Globe, identity: Identity, middle: float, squeeze: float) -> None:
    canvas, r, y = globe.canvas, globe.radius, globe.at(0, -17)[1]
    match identity["nose"]:
        case "dot":
            canvas.ellipse(middle, y, 0.085 * r, 0.07 * r, shade(SKIN[identity["skin"]], 0.6), outline=0)
        case "red":
            canvas.ellipse(middle * 1.06, y, 0.19 * r, 0.18 * r, (232, 40, 44), outline=0.006)
        case "muzzle":
            canvas.ellipse(middle * 1.04, y - 0.02 * r, 0.15 * r * max(squeeze, 0.8), 0.095 * r, _INK, outline=0)


@dataclass(frozen=True, slots=True)
class _Eye:
    """One eye's place: middle, and half of its width and height, figure units; side is -1 for the character's right."""

    x: float
    y: float
    width: float
    tall: float
    side: int

    def at(self, across: float, up: float) -> Point:
        """A point, in half widths and half heights from the middle."""
        return self.x + across * self.width, self.y + up * self.tall


def _draw_eye(globe: Globe, identity: Identity, side: int) -> None:
    canvas, r = globe.canvas, globe.radius
    squeeze = globe.squeeze(side * _EYE_AZIMUTH)
    if squeeze < _THINNEST:
        return
    x, y, _ = globe.at(side * _EYE_AZIMUTH, -1)
    eye = _Eye(x, y, 0.33 * r * (0.35 + 0.65 * squeeze), _TALL[identity["eye_shape"]] * r, side)
    canvas.ellipse(x, y, eye.width, eye.tall, _WHITE, outline=0)
    _draw_iris(globe, identity, eye)
    lash = 0.05 * r if identity.class_words == "1girl" else 0.036 * r
    if identity["eye_shape"] == "droopy":
        _draw_heavy_lid(globe, eye, SKIN[identity["skin"]], lash)
    else:
        angles = [radians(angle) for angle in range(15, 166, 15)]
        lid = [(x + eye.width * 1.05 * cos(angle), y + eye.tall * 1.02 * sin(angle)) for angle in angles]
        canvas.stroke(lid, _INK, lash)
    _draw_brow(globe, eye)


def _draw_iris(globe: Globe, identity: Identity, eye: _Eye) -> None:
    canvas, r, tall = globe.canvas, globe.radius, eye.tall
    x, y = eye.x - canvas.sine * 0.15 * eye.width, eye.y - 0.02 * r  # eyes look to where the head turns
    iris = min(eye.width * 0.82, 0.27 * r)
    canvas.ellipse(x, y, iris, tall * 0.86, EYES[identity["left_eye" if eye.side > 0 else "right_eye"]], outline=0)
    if identity["left_eye"] != "black" or identity["right_eye"] != "black":
        canvas.ellipse(x, y, iris * 0.32, tall * 0.32, _INK, outline=0)
    canvas.ellipse(x + iris * 0.4, eye.y + tall * 0.36, iris * 0.3, tall * 0.22, _WHITE, outline=0)


def _draw_heavy_lid(globe: Globe, eye: _Eye, skin: Colour, lash: float) -> None:
    """A lid that falls to the outside; the near eye of a profile falls to the back of the head."""
    outer = eye.side if globe.canvas.cosine > 0.2 else -(1 if eye.x > 0 else -1)
    left, right = (0.75, -0.2) if outer > 0 else (-0.2, 0.75)
    globe.canvas.polygon(
        [eye.at(-1.15, 1.15), eye.at(1.15, 1.15), eye.at(1.15, right), eye.at(-1.15, left)], skin, outline=0
    )
    globe.canvas.stroke([eye.at(-1.1, left), eye.at(1.1, right)], _INK, lash)


def _draw_brow(globe: Globe, eye: _Eye) -> None:
    if globe.canvas.scene.expression not in _BROWS:
        return
    r = globe.radius
    inner, outer = _BROWS[globe.canvas.scene.expression]
    half, y = eye.side * (eye.width * 0.95), eye.y + 0.37 * r
    globe.canvas.stroke([(eye.x - half, y + inner * r), (eye.x + half, y + outer * r)], _INK, 0.12 * r)


def _draw_mouth(globe: Globe, x: float, squeeze: float) -> None:
    canvas, r = globe.canvas, globe.radius
    y, half = globe.at(0, -35)[1] - 0.1 * r, 0.36 * r * squeeze
    match canvas.scene.expression:
        case "neutral":
            canvas.stroke([(x - half * 0.7, y), (x + half * 0.7, y)], _INK, 0.09 * r)
        case "smile":
            canvas.stroke(_curve(x, y, half, 0.38 * r), _ROSE, 0.14 * r)
        case "sad":
            canvas.stroke(_curve(x, y, half, -0.38 * r), _INK, 0.14 * r)
        case "angry":
            _draw_teeth(globe, x, y, half)
        case "laughing":
            angles = [radians(angle) for angle in range(180, 361, 15)]
            mouth = [(x + half * 1.15 * cos(angle), y + 0.12 * r + 0.44 * r * sin(angle)) for angle in angles]
            canvas.polygon(mouth, (176, 28, 44), outline=0.05 * r)
            canvas.ellipse(x, y - 0.2 * r, half * 0.6, 0.09 * r, (250, 130, 130), outline=0)
        case "surprised":
            canvas.ellipse(x, y - 0.03 * r, half * 0.62, 0.27 * r, (70, 10, 30), outline=0.05 * r)


def _curve(x: float, y: float, half: float, depth: float) -> list[Point]:
    """A parabola whose ends rise by half of `depth`."""
    return [(x + half * i / 6, y + depth * ((i / 6) ** 2 - 0.5)) for i in range(-6, 7)]


def _draw_teeth(globe: Globe, x: float, y: float, half: float) -> None:
    """Bared, in two rows."""
    canvas, r = globe.canvas, globe.radius
    low, high = y - 0.18 * r, y + 0.16 * r
    mouth = [(x - half, low), (x + half, low), (x + half, high), (x - half, high)]
    canvas.polygon(mouth, _WHITE, outline=0)
    for line in ([*mouth, mouth[0]], [(x - half, y), (x + half, y)]):
        canvas.stroke(line, _INK, 0.05 * r)


def _draw_freckles(globe: Globe, skin: Colour) -> None:
    brown = shade(skin, 0.6)
    for azimuth, elevation in _FRECKLES:
        x, y, z = globe.at(azimuth, elevation)
        if z > 0.25:
            globe.canvas.ellipse(x, y, 0.1 * globe.radius, 0.1 * globe.radius, brown, outline=0)


def _draw_mark(globe: Globe, mark: str) -> None:
    """A scar, diamond or star on one cheek."""
    canvas, r = globe.canvas, globe.radius
    where, shape = mark.split()
    azimuth = _MARK_AZIMUTH if where == "left" else -_MARK_AZIMUTH
    squeeze = globe.squeeze(azimuth)
    if squeeze < _THINNEST:
        return
    x, y, _ = globe.at(azimuth, -28)
    width = 0.29 * r * (0.3 + 0.7 * squeeze)
    if shape == "scar":
        canvas.stroke([(x - width * 0.75, y + 0.3 * r), (x + width * 0.65, y - 0.2 * r)], (170, 18, 34), 0.15 * r)
    elif shape == "diamond":
        corners = [(x - width * 0.95, y), (x, y + 0.33 * r), (x + width * 0.95, y), (x, y - 0.33 * r)]
        canvas.polygon(corners, (24, 206, 236), outline=0.006)
    else:
        canvas.polygon(_star(x, y, width, 0.29 * r), (255, 196, 0), outline=0.006)


def _star(x: float, y: float, width: float, tall: float) -> list[Point]:
    points = []
    for i in range(10):
        angle, reach = radians(90 + 36 * i), 1.15 if i % 2 == 0 else 0.52
        points.append((x + width * reach * cos(angle), y + tall * reach * sin(angle)))
    return points


def _draw_glasses(globe: Globe) -> None:
    canvas, line = globe.canvas, 0.085 * globe.radius
    lenses = []
    for side in (-1, 1):
        squeeze = globe.squeeze(side * _EYE_AZIMUTH)
        if squeeze < _THINNEST:
            continue
        x, y, _ = globe.at(side * _EYE_AZIMUTH, -2)
        width, tall = 0.37 * globe.radius * (0.35 + 0.65 * squeeze), 0.39 * globe.radius
        ring = [(x + width * cos(radians(a)), y + tall * sin(radians(a))) for a in range(0, 361, 20)]
        canvas.stroke(ring, _FRAME, line)
        lenses.append((x, width, y))
    if len(lenses) == 2:
        (x1, w1, y), (x2, w2, _) = sorted(lenses)
        canvas.stroke([(x1 + w1, y), (x2 - w2, y)], _FRAME, line)
    for side in (-1, 1):  # the temples run back to the ears
        front, ear = globe.at(side * 52, -3), globe.at(side * 92, 2)
        if front[2] > 0.1 and ear[2] > -0.1:
            canvas.stroke([front[:2], ear[:2]], _FRAME, line)
