"""Networks for drawings: each adapter feeds one kind of ONNX model what it was trained on, and reads what it answers.

Shapes: B batch, C colours, H W picture or canvas, N candidate boxes, T tags, E numbers of an embedding.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions  # pyright: ignore[reportAttributeAccessIssue]  # of a C module
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf
from PIL import Image

from likeness.errors import LikenessError
from likeness.images import Pixels
from likeness.perception.boxes import Found, area, overlap
from likeness.records import Box, Shown

__all__ = ["BoxFinder", "CharacterEncoder", "Tagger"]

GENERAL, RATING = "0", "9"  # categories of a tagger's words; 4 are names

Floats = NDArray[np.float32]

_GREY = 114  # what Ultralytics' YOLO pads with, in training and after
_CLIP_MEAN = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
_CLIP_DEVIATION = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)


def _session(path: Path) -> InferenceSession:
    """A model, ready to run on the CPU.

    Raises:
        LikenessError: for a file that is no ONNX model, or one that this onnxruntime cannot run.
    """
    options = SessionOptions()
    options.log_severity_level = 3  # errors alone: what it warns of is for whoever exported the model
    try:
        return InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as fault:
        raise LikenessError(f"{path} cannot be opened: {fault}. Delete it and fetch it again.") from fault


def _answer(session: InferenceSession, data: NDArray[np.floating]) -> Floats:
    """The model's first output for one batch."""
    (first,) = session.run(
        [session.get_outputs()[0].name], {session.get_inputs()[0].name: np.ascontiguousarray(data, np.float32)}
    )
    return np.asarray(first, np.float32)


def _side(session: InferenceSession, axis: int, otherwise: int) -> int:
    """The input's size along an axis, px, where the model fixes it."""
    told = session.get_inputs()[0].shape[axis]
    return told if isinstance(told, int) else otherwise


class BoxFinder:
    """Finds heads, faces or figures: a YOLOv8 export, boxes as centre and size over scores, in any number of classes.

    The picture keeps its shape: it is scaled to the model's square and padded with grey, as in YOLO's own training.

    Args:
        score: a box with less is dropped.
        most_shared: of two boxes that share more of their union, in [0, 1], the less sure one is dropped.

    Raises:
        LikenessError: for a file that is no such model.
    """

    def __init__(self, path: Path, *, score: float, most_shared: float) -> None:
        self.path, self.score, self.most_shared = path, score, most_shared
        self.session = _session(path)
        self.side = _side(self.session, 2, 640)  # 640: what these models were trained at

    def find(self, pixels: Pixels) -> list[Found]:
        """The parts found, surest first."""
        canvas_HWC, scale, left, top = self._canvas(pixels)
        data_BCHW = canvas_HWC.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
        rows = self._rows(_answer(self.session, data_BCHW))
        boxes_N4, scores_N = rows[:4].T, rows[4:].max(0)
        kept = scores_N >= self.score
        boxes_N4, scores_N = boxes_N4[kept], scores_N[kept]
        corners_N4 = np.hstack((boxes_N4[:, :2] - boxes_N4[:, 2:] / 2, boxes_N4[:, :2] + boxes_N4[:, 2:] / 2))
        corners_N4 = (corners_N4 - (left, top, left, top)) / scale
        height, width = pixels.shape[:2]
        corners_N4 = corners_N4.round().clip(0, (width, height, width, height)).astype(int)
        found: list[Found] = []
        for index in scores_N.argsort(kind="stable")[::-1]:
            box = Box(**dict(zip(("left", "top", "right", "bottom"), corners_N4[index].tolist(), strict=True)))
            if area(box) > 0 and all(overlap(box, other.box) <= self.most_shared for other in found):
                found.append(Found(box, round(float(scores_N[index]), 4)))
        return found

    def _canvas(self, pixels: Pixels) -> tuple[Pixels, float, int, int]:
        """The picture on the model's square, its scale, and where its corner lies."""
        height, width = pixels.shape[:2]
        scale = self.side / max(height, width)
        small = Image.fromarray(pixels).resize(
            (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR
        )
        left, top = (self.side - small.width) // 2, (self.side - small.height) // 2
        canvas_HWC = np.full((self.side, self.side, 3), _GREY, np.uint8)
        canvas_HWC[top : top + small.height, left : left + small.width] = np.asarray(small)
        return canvas_HWC, scale, left, top

    def _rows(self, answer: Floats) -> Floats:
        """Centre x, centre y, width, height, then a score per class: a row each, a column per candidate."""
        if answer.ndim != 3 or answer.shape[0] != 1 or not 5 <= answer.shape[1] < answer.shape[2]:
            raise LikenessError(
                f"{self.path} answers with the shape {answer.shape}, where 1 x (4 + classes) x candidates is needed: a "
                "YOLOv8 detector as `yolo export format=onnx` writes it."
            )
        return answer[0]


class Tagger:
    """A WD tagger, version 3: the probability of each of its words for a picture.

    Source: SmilingWolf's own demo, https://huggingface.co/spaces/SmilingWolf/wd-tagger, and imgutils' `wd14`: padded
    white to a square, bicubic, BGR, 0 to 255, height and width before colour.

    Raises:
        LikenessError: where the model or its list of words is damaged, or they do not belong together.
    """

    def __init__(self, path: Path, words: Path) -> None:
        self.session = _session(path)
        self.side = _side(self.session, 1, 448)
        self.names, self.categories = _words(words)
        told = self.session.get_outputs()[0].shape[-1]
        if isinstance(told, int) and told != len(self.names):
            raise LikenessError(
                f"{path} knows {told} tags and {words} names {len(self.names)}: they do not belong together. Delete "
                "both and fetch them again."
            )

    def tag(self, pixels: Pixels) -> tuple[dict[str, float], Shown | None]:
        """The probability of every general tag, by its name with spaces; and how much the picture shows, in its own
        word, where it has any.

        Names of characters are left out: in a caption, one would call up what the base knows of that character.
        """
        side = max(pixels.shape[:2])
        square = Image.new("RGB", (side, side), "white")
        square.paste(Image.fromarray(pixels), ((side - pixels.shape[1]) // 2, (side - pixels.shape[0]) // 2))
        rgb_HWC = np.asarray(square.resize((self.side, self.side), Image.Resampling.BICUBIC), np.float32)
        shares_T = _answer(self.session, rgb_HWC[None, :, :, ::-1])[0]
        told = list(zip(self.names, self.categories, shares_T.tolist(), strict=True))
        ratings = {name: share for name, category, share in told if category == RATING}
        tags = {name: share for name, category, share in told if category == GENERAL}
        worst = max(ratings, key=ratings.__getitem__, default=None)
        return tags, next((word for word in get_args(Shown) if word == worst), None)


def _words(path: Path) -> tuple[list[str], list[str]]:
    """The tagger's words in its order, and the category of each."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(row["name"], row["category"]) for row in csv.DictReader(file)]
    except (UnicodeDecodeError, csv.Error, KeyError) as fault:
        raise LikenessError(
            f"{path} is no list of tags with the columns name and category ({fault}). Delete it and fetch it again."
        ) from fault
    return [_spaced(name) for name, _ in rows], [category for _, category in rows]


def _spaced(name: str) -> str:
    """A tag as people write it: "long hair". A face made of signs keeps its underscore: "o_o", ">_<"."""
    return name.replace("_", " ") if re.search("[a-z]{2}", name) else name


class CharacterEncoder:
    """CCIP's features: two drawings of one character lie close.

    Source: imgutils, `metrics/ccip.py`, and its training code, `zoo/ccip/caformer.py`: stretched to 384 x 384,
    bilinear, RGB, CLIP's mean and deviation.

    Raises:
        LikenessError: for a file that is no such model.
    """

    def __init__(self, path: Path) -> None:
        self.session = _session(path)
        self.side = _side(self.session, 2, 384)

    def encode(self, pixels: Pixels) -> tuple[float, ...] | None:
        """An embedding of length 1, for a picture of one character; None where the network has nothing to say (zeros).

        The cosine of two is 1 less twice what imgutils calls their difference.
        """
        small = Image.fromarray(pixels).resize((self.side, self.side), Image.Resampling.BILINEAR)
        data_HWC = (np.asarray(small, np.float32) / np.float32(255) - _CLIP_MEAN) / _CLIP_DEVIATION
        features_E = _answer(self.session, data_HWC.transpose(2, 0, 1)[None])[0]
        length = float(np.linalg.norm(features_E))
        return tuple(round(float(x) / length, 5) for x in features_E) if length > 0 else None
