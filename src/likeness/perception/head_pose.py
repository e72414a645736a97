"""Where a photographed head looks, and how much of the body is in the picture, from one face's box and five points."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["framing_of", "view_of", "yaw_of"]

_NOSE = 0.6
"""How far the tip of the nose stands out before the eyes, in distances between the eyes' centres. In MediaPipe's
canonical face it is 3.7 before the lids and 4.0 before the corners of eyes 6.3 apart. A nose longer or shorter by a
quarter moves a yaw of 45 degrees by 6 to 8."""

_FRONT, _PROFILE = 20.0, 55.0  # degrees of yaw. From about 55 on, the far eye is hidden behind the nose
_BLUR = 10.0  # degrees from a bin's edge within which a view is less sure
_LYING = 0.5  # cosine of the roll, 60 degrees: a head that lies over more has no left and right in the picture

_CLOSE, _WHOLE = 1.3, 5.5
"""Heights of a face below the chin that end a close-up (the shoulders' line lies at about 0.8) and begin a full body. A
standing adult has about 7.5, a seated one 5."""


def yaw_of(points: NDArray[np.float32]) -> float | None:
    """The yaw in degrees, in [-90, 90]; positive towards the picture's left. None where the head lies on its side.

    With eyes e apart and the nose 0.6 e before their middle, a head turned by t and seen from afar shows the eyes
    e cos t apart and the nose 0.6 e sin t off their middle, both measured across the face: t = atan2(nose offset, 0.6
    times eye distance). Across is at right angles to the line from the eyes' to the mouth's middle, so that neither
    roll matters, nor in which order eyes are told that lie one before the other.

    It is blind to a face that is not average or not far away, and to turns beyond 90 degrees; nodding hardly moves it.

    Args:
        points: right eye, left eye, nose, right and left corner of the mouth: shape (5, 2), x and y in px.
    """
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    down_x, down_y = (mouth - eyes).astype(float)
    length = math.hypot(down_x, down_y)
    if length == 0 or down_y / length < _LYING:
        return None
    across = np.array((down_y, -down_x)) / length
    offset = float((points[2] - eyes) @ across)
    apart = abs(float((points[1] - points[0]) @ across))
    return -math.degrees(math.atan2(offset, _NOSE * apart))


def view_of(yaw: float) -> tuple[str, float]:
    """The view of a yaw, and how sure it is: from 0.5 at the edge of a bin to 1 ten degrees inside."""
    turned, side = abs(yaw), "left" if yaw > 0 else "right"
    inside = min(abs(turned - _FRONT), abs(turned - _PROFILE)) / _BLUR
    word = "front" if turned < _FRONT else f"three-quarter {side}" if turned < _PROFILE else f"profile {side}"
    return word, 0.5 + min(1.0, inside) / 2


def framing_of(top: float, tall: float, height: int) -> tuple[str, float]:
    """How much of a person is in the picture, by what room it has below the chin; and how sure that is.

    It cannot see whether a body is there, behind a table say.

    Args:
        top: of the face, px.
        tall: the face, px.
        height: of the picture, px.
    """
    below = max(0.0, height - top - tall) / max(1.0, tall)
    word = "face" if below < _CLOSE else "upper body" if below < _WHOLE else "full body"
    inside = min(abs(below - _CLOSE) / 0.5, abs(below - _WHOLE))  # half a face, and one: shoulders vary less than legs
    return word, 0.5 + min(1.0, inside) / 2
