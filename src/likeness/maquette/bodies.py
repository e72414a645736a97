"""A figure's measures, and what is drawn of its body beside head and garment: legs, arms and tail.

Lengths are in figure units unless a name says otherwise; they were chosen by eye so that traits differ at 64 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

from likeness.maquette.canvas import EDGE_SHADE, Canvas, Colour, Point, shade
from likeness.maquette.world import Identity

__all__ = ["CLOTH", "SHIRT", "SKIN", "Body", "contrast", "draw_arms", "draw_legs", "draw_tail", "measure"]

SKIN: dict[str, Colour] = {
    "fair": (255, 224, 200),
    "tan": (222, 166, 116),
    "dark": (146, 96, 68),
    "blue": (140, 186, 236),
}
CLOTH: dict[str, Colour] = {
    "red": (206, 44, 52),
    "blue": (46, 88, 206),
    "green": (44, 148, 78),
    "yellow": (244, 204, 52),
    "purple": (132, 70, 188),
    "black": (48, 46, 58),
    "white": (240, 240, 244),
    "orange": (244, 130, 34),
}
SHIRT: Colour = (250, 246, 232)
"""Of the shirt under overalls."""

_DARK: Colour = (52, 50, 66)  # shoes, and the trousers under a hoodie
_HEIGHT = {"short": 0.84, "medium": 0.93, "tall": 1.02}
_RATIO = {"big": 0.58, "medium": 0.49, "small": 0.41}  # head to height
_BUILD = {"slim": 0.085, "average": 0.125, "stout": 0.175}  # half of the torso's width
_TAILS: dict[str, Colour] = {"cat": (70, 64, 74), "fox": (232, 126, 44), "dragon": (70, 150, 90)}
_FOX_TIP: Colour = (250, 244, 230)
_DRAGON_SPIKE: Colour = (240, 220, 120)

_Arm = tuple[tuple[float, float, float], tuple[float, float, float]]
# Elbow and hand from the shoulder: out, up, forward. Of an arm that hangs, for a medium head; of a raised one, in head
# radii, so that it passes any head, seen from any side.
_REST: _Arm = ((0.05, -0.13, 0.0), (0.045, -0.27, 0.02))
_WAVING: _Arm = ((0.70, 0.0, 0.60), (1.25, 0.70, 1.35))
_RAISED: _Arm = ((0.80, 0.60, 0.60), (1.30, 1.75, 1.20))
_ON_HIP: _Arm = ((0.17, -0.11, -0.17), (0.03, -0.21, 0.03))
_POINTING: _Arm = ((0.12, -0.01, 0.12), (0.25, 0.07, 0.26))
_POSES: dict[str, tuple[_Arm, _Arm]] = {  # the character's right arm, then its left
    "standing": (_REST, _REST),
    "waving": (_WAVING, _REST),
    "arms up": (_RAISED, _RAISED),
    "hands on hips": (_ON_HIP, _ON_HIP),
    "pointing": (_REST, _POINTING),
}


@dataclass(frozen=True, slots=True)
class Body:
    """A figure's measures, in figure units.

    Attributes:
        height: from the feet to the top of the head.
        head: of the head alone.
        girth: half of the torso's width, seen from the front.
        shoulder: y of the shoulders.
        hip: y of the hips.
    """

    height: float
    head: float
    girth: float
    shoulder: float
    hip: float

    @property
    def radius(self) -> float:
        """Of the head, a sphere."""
        return self.head / 2

    def breadth(self, canvas: Canvas) -> float:
        """Half of the torso's width as the camera sees it: a torso is less deep than wide."""
        return self.girth * (abs(canvas.cosine) + 0.72 * abs(canvas.sine))


def measure(identity: Identity) -> Body:
    """The measures that an identity's head ratio, height and build give."""
    height = _HEIGHT[identity["height"]]
    head = height * _RATIO[identity["head_ratio"]]
    shoulder = height - head * 0.97  # the head sinks a little between the shoulders
    return Body(height, head, _BUILD[identity["build"]], shoulder, shoulder * 0.42)


def contrast(identity: Identity) -> Colour:
    """What a garment's pattern is drawn in: dark on light cloth, light on any other."""
    return (40, 54, 110) if identity["garment_colour"] in ("white", "yellow") else (250, 250, 240)


def draw_legs(canvas: Canvas, identity: Identity, body: Body) -> None:
    """Both legs and shoes, the far one first; trousers where the garment has them."""
    trousers = {"hoodie": _DARK, "overalls": CLOTH[identity["garment_colour"]], "coat": (96, 92, 110)}
    colour = trousers.get(identity["garment"], SKIN[identity["skin"]])
    width = body.girth * 0.72
    toe = canvas.turn(0, 0, 0.05)[0]
    legs = sorted((canvas.turn(side * body.girth * 0.48, 0, 0) for side in (-1, 1)), key=lambda leg: leg[2])
    for x, _, z in legs:
        is_near = z > -0.01 or abs(canvas.cosine) > 0.5
        canvas.limb([(x, body.hip), (x, 0.05)], colour if is_near else shade(colour, 0.85), width)
        canvas.ellipse(x + toe * 0.8, 0.022, width * 0.62, 0.03, _DARK)


def draw_arms(canvas: Canvas, identity: Identity, body: Body, *, behind: bool) -> None:
    """The arms on the far side of the torso (behind) or on the near side, posed as the scene says."""
    overalls = identity["garment"] == "overalls"
    sleeve = SHIRT if overalls else shade(CLOTH[identity["garment_colour"]], 0.86)
    for side, arm in zip((-1, 1), _POSES[canvas.scene.pose], strict=True):
        shoulder, elbow, hand = (canvas.turn(*joint) for joint in _joints(body, side, arm))
        if (shoulder[2] + hand[2] < -0.02) is not behind:
            continue
        canvas.limb([shoulder[:2], elbow[:2], hand[:2]], sleeve, 0.058)
        if identity["pattern"] == "trimmed":
            cuff = (hand[0] + 0.3 * (elbow[0] - hand[0]), hand[1] + 0.3 * (elbow[1] - hand[1]))
            canvas.stroke([hand[:2], cuff], contrast(identity), 0.07)
        canvas.ellipse(hand[0], hand[1], 0.038, 0.038, SKIN[identity["skin"]])


def _joints(body: Body, side: int, arm: _Arm) -> list[tuple[float, float, float]]:
    """Shoulder, elbow and hand of the character's right (-1) or left (1) arm, before the turn."""
    length = body.shoulder / 0.48  # 0.48: the shoulders of a figure with a medium head
    joints = [(side * body.girth * 0.86, body.shoulder - 0.045, 0.0)]
    for out, up, forward in arm:
        if arm in (_WAVING, _RAISED):
            out, up, forward = out * body.radius, up * body.radius, forward * body.radius
        elif up < 0:
            up *= length
        joints.append((side * (body.girth * 0.86 + out), body.shoulder - 0.045 + up, forward))
    return joints


def draw_tail(canvas: Canvas, identity: Identity, body: Body, *, behind: bool) -> None:
    """The tail, which starts at the back of the hips and swings out to the character's left."""
    kind = identity["tail"]
    is_behind = canvas.turn(0, 0, -1)[2] < 0
    if kind == "none" or is_behind is not behind:
        return
    line = _tail_line(canvas, body, kind)
    if kind == "cat":
        canvas.limb(line, _TAILS[kind], 0.065)
        return
    _draw_thick_tail(canvas, kind, line)
    if kind == "dragon":
        for x, y in line[2::3]:
            canvas.polygon([(x - 0.03, y + 0.03), (x + 0.03, y + 0.03), (x, y + 0.085)], _DRAGON_SPIKE, outline=0)


def _tail_line(canvas: Canvas, body: Body, kind: str) -> list[Point]:
    """13 turned points along the tail's middle, from its root; a cat's sways."""
    steps = 12
    reach, rise = body.girth + 0.25, 0.34
    line = []
    for step in range(steps + 1):
        share = step / steps
        out = sin(share * pi / 2) * reach + (0.05 * sin(share * 2 * pi) if kind == "cat" else 0.0)
        up = rise * (1 - cos(share * pi / 2)) * 1.15
        x, y, _ = canvas.turn(out * 0.86, body.hip * 1.1 + up, -body.girth * 0.6 - out * 0.95)
        line.append((x, y))
    return line


def _draw_thick_tail(canvas: Canvas, kind: str, line: Sequence[Point]) -> None:
    """A chain of discs: first all of their edges, then all of their fills."""
    fill, last = _TAILS[kind], len(line) - 1
    radii = [_bulge(kind, step / last) for step in range(len(line))]
    for (x, y), radius in zip(line, radii, strict=True):
        canvas.ellipse(x, y, radius + 0.011, radius + 0.011, shade(fill, EDGE_SHADE), outline=0)
    for step, ((x, y), radius) in enumerate(zip(line, radii, strict=True)):
        colour = _FOX_TIP if kind == "fox" and step >= last - 3 else fill
        canvas.ellipse(x, y, radius, radius, colour, outline=0)


def _bulge(kind: str, share: float) -> float:
    """Radius of the tail at a share of its length: a fox's swells, a dragon's tapers."""
    return 0.035 + 0.06 * sin(share * pi * 0.8) if kind == "fox" else 0.075 * (1 - share) + 0.012
