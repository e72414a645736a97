"""The photo reader: faces in photos of people, by YuNet and SFace through OpenCV.

No yaw, framing or score of it was calibrated on photos: each number comes with where it is from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from likeness.errors import LikenessError
from likeness.images import Pixels
from likeness.perception.boxes import overlap
from likeness.perception.head_pose import framing_of, view_of, yaw_of
from likeness.perception.models import MODELS, PROFILES, Model, checked, digest, models_folder
from likeness.records import Box, Reading

__all__ = ["PhotoReader"]

Floats = NDArray[np.float32]

_CANVAS = 640  # px; the input of the 2023mar export is fixed to this
_LOOKS = (640, 256)  # longest side of the picture on the canvas, px: YuNet finds faces of 10 to 300 px, so a close-up
# that fills the picture is seen only when made small; 256 leaves a face that fills it well below 300
_SCORE = 0.7  # OpenCV's own sample asks 0.9; less, for turned heads
_SHARED = 0.3  # of two boxes' union, above which they are one face; OpenCV's default
_COMPARABLE = 0.4  # of the main face's height: a smaller face stands 2.5 times as far away, in the background
_ALIGNED = 224  # px; a larger face is shrunk before it is warped to 112, which would alias
_EXPRESSIONS = ("angry", "disgusted", "afraid", "smile", "neutral", "sad", "surprised")
"""What the expression model's outputs mean, in its order: angry, disgust, fearful, happy, neutral, sad, surprised."""
_SURE = 0.5  # of an expression: more likely than all others together
_BODY = (1.5, 0.5, 7.5)
"""How far a standing adult reaches beyond the face: to each side in its widths, above and below in its heights. Such a
body is about 7.5 heads tall and, with arms held a little off, 2.5 heads wide; the face's box is a little less than a
head, so that the estimate is generous."""


class PhotoReader:
    """Reads photos in which a face shows, and abstains on all else: it never says "back", only finds no face.

    Attributes:
        same_character: two embeddings with a greater cosine show one person; OpenCV's documentation of SFace.

    Args:
        models: the models folder; None for `models_folder()`.
        registry: what each model must be.

    Raises:
        MissingModel: where a model is missing, or not what it must be.
        LikenessError: where OpenCV cannot open one.
    """

    same_character = 0.363

    def __init__(self, models: Path | None = None, *, registry: Mapping[str, Model] = MODELS) -> None:
        folder = models or models_folder()
        optional = [name for name in ("photo-expression",) if registry[name].path(folder).is_file()]
        found = checked([*PROFILES["photo"], *optional], folder, why="perception.reader = 'photo'", among=registry)
        self.sha256 = digest(found)
        paths = {name: str(path) for name, (path, _) in found.items()}
        with _opening(folder):
            self.detector = cv2.FaceDetectorYN.create(paths["yunet"], "", (_CANVAS, _CANVAS), _SCORE, _SHARED)
            self.recognizer = cv2.FaceRecognizerSF.create(paths["sface"], "")
            self.expressions = cv2.dnn.readNet(paths["photo-expression"]) if optional else None

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        """One reading per picture, in order."""
        return [self._reading(picture) for picture in pictures]

    def _reading(self, pixels: Pixels) -> Reading:
        faces = self._faces(pixels)
        if not faces:
            return Reading(instrument="photo", instrument_sha256=self.sha256)
        main = max(faces, key=lambda face: face[2] * face[3])
        score, points = float(main[14]), main[4:14].reshape(5, 2)
        aligned = self._aligned(pixels, main)
        people = [face for face in faces if face[3] >= _COMPARABLE * main[3]]
        yaw = yaw_of(points)
        told: dict[str, tuple[str, float] | None] = {
            "view": view_of(yaw) if yaw is not None else None,
            "framing": framing_of(float(main[1]), float(main[3]), pixels.shape[0]),
            "expression": self._expression(aligned),
        }
        sure = {name: score * word[1] for name, word in told.items() if word}
        sure |= {"face": score, "people": min(float(face[14]) for face in people)}
        return Reading(
            view=_word(told["view"]),
            framing=_word(told["framing"]),
            expression=_word(told["expression"]),
            yaw=round(yaw, 1) if yaw is not None else None,
            people=len(people),
            subject=_subject(main, pixels),
            face=_box(main, pixels),
            confidence={name: round(share, 4) for name, share in sure.items()},
            embedding=self._embedding(aligned),
            instrument="photo",
            instrument_sha256=self.sha256,
        )

    def _faces(self, pixels: Pixels) -> list[Floats]:
        """Every face once: x, y, width, height, five points (x, y), score; in px of the picture, surest first.

        The points are the person's right eye, left eye, nose, right and left corner of the mouth.
        """
        found = [face for side in _LOOKS for face in self._look(pixels, side)]
        faces: list[Floats] = []
        boxes: list[Box] = []
        for face in sorted(found, key=lambda face: -face[14]):
            box = _box(face, pixels)
            if box and all(overlap(box, other) <= _SHARED for other in boxes):
                faces.append(face)
                boxes.append(box)
        return faces

    def _look(self, pixels: Pixels, side: int) -> Iterator[Floats]:
        """The faces in a picture scaled to `side` px, on a black canvas: OpenCV pads black, right and below."""
        scale = side / max(pixels.shape[:2])
        small = _scaled(pixels, scale)
        canvas = np.zeros((_CANVAS, _CANVAS, 3), np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small[..., ::-1]  # OpenCV thinks in BGR
        _, faces = self.detector.detect(canvas)
        for face in () if faces is None else faces:
            yield np.append(face[:14] / scale, face[14]).astype(np.float32)

    def _aligned(self, pixels: Pixels, face: Floats) -> Pixels:
        """The face upright, 112 x 112, BGR, as SFace and the expression model want it."""
        scale = min(1.0, _ALIGNED / max(1.0, float(face[3])))
        bgr = np.ascontiguousarray(_scaled(pixels, scale)[..., ::-1])
        return np.asarray(self.recognizer.alignCrop(bgr, (face * scale)[None].astype(np.float32)), np.uint8)

    def _embedding(self, aligned: Pixels) -> tuple[float, ...] | None:
        features = np.asarray(self.recognizer.feature(aligned), np.float32).ravel()
        length = float(np.linalg.norm(features))
        return tuple(round(float(x) / length, 5) for x in features) if length > 0 else None

    def _expression(self, aligned: Pixels) -> tuple[str, float] | None:
        if self.expressions is None:
            return None
        rgb_HWC = aligned[..., ::-1].astype(np.float32) / 127.5 - 1
        self.expressions.setInput(np.ascontiguousarray(rgb_HWC.transpose(2, 0, 1)[None]))
        shares = _shares(np.asarray(self.expressions.forward(), np.float64).ravel())
        best = int(shares.argmax())
        return (_EXPRESSIONS[best], float(shares[best])) if shares[best] >= _SURE else None


@contextmanager
def _opening(folder: Path) -> Iterator[None]:
    """OpenCV without its warnings of what is no fault, and its errors in words."""
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        yield
    except cv2.error as fault:
        raise LikenessError(
            f"OpenCV {cv2.__version__} cannot open a model of perception.reader = 'photo' in {folder}: {fault.err}. "
            "Delete it and fetch it again, or install opencv-python-headless 4.10 or newer."
        ) from fault
    finally:
        cv2.utils.logging.setLogLevel(before)


def _scaled(pixels: Pixels, scale: float) -> Pixels:
    if scale == 1:
        return pixels
    size = tuple(max(1, round(length * scale)) for length in reversed(pixels.shape[:2]))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=method), np.uint8)


def _shares(answer: NDArray[Any]) -> NDArray[Any]:
    """Probabilities. Whether the model ends in a softmax is not documented, so one that adds up to 1 is left alone."""
    if answer.min() >= 0 and math.isclose(answer.sum(), 1, abs_tol=1e-3):
        return answer
    odds = np.exp(answer - answer.max())
    return odds / odds.sum()


def _word(told: tuple[str, float] | None) -> str | None:
    return told[0] if told else None


def _box(rectangle: Floats, pixels: Pixels) -> Box | None:
    """What of a rectangle (left, top, width, height) lies in the picture, in whole px; None where nothing does."""
    left, top, wide, tall = map(float, rectangle[:4])
    right, bottom = min(pixels.shape[1], round(left + wide)), min(pixels.shape[0], round(top + tall))
    corner = max(0, round(left)), max(0, round(top))
    is_inside = right > corner[0] and bottom > corner[1]
    return Box(left=corner[0], top=corner[1], right=right, bottom=bottom) if is_inside else None


def _subject(face: Floats, pixels: Pixels) -> Box | None:
    """Where the body would be if the person stood upright: an estimate from the face alone."""
    left, top, wide, tall = map(float, face[:4])
    beside, above, below = _BODY
    body = (left - beside * wide, top - above * tall, (1 + 2 * beside) * wide, (above + 1 + below) * tall)
    return _box(np.array(body, np.float32), pixels)
