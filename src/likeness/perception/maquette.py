"""The maquette's own reader: a small network that knows every trait and scene of the drawn world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from likeness.images import Pixels, fit
from likeness.maquette.world import SCENE_AXES, TRAITS
from likeness.records import Reading

__all__ = ["MaquetteReader"]

_FIELDS = ("view", "framing", "expression", "pose", "background")


class MaquetteReader:
    """Reads maquette drawings, and pictures that the embedded Stable Diffusion made.

    It abstains on what a picture cannot show: no expression or face from behind, no pose or body in a close-up.
    """

    def __init__(self) -> None:
        folder = files("likeness.maquette") / "reader"
        weights = (folder / "reader.onnx").read_bytes()
        layout = json.loads((folder / "reader.json").read_text())
        self.size: int = layout["size"]
        self.axes: dict[str, list[str]] = layout["axes"]
        self.sha256 = sha256(weights).hexdigest()
        options = SessionOptions()
        options.intra_op_num_threads = 1  # the network is too small for more to help
        self.session = InferenceSession(weights, options, providers=["CPUExecutionProvider"])

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        """One reading per picture of any size; pictures are cropped to a square and scaled to 64 px first."""
        readings: list[Reading] = []
        for start in range(0, len(pictures), 64):
            some = np.stack([fit(picture, self.size, self.size) for picture in pictures[start : start + 64]])
            batch = np.ascontiguousarray(some.transpose(0, 3, 1, 2), np.float32) / 255
            logits, embeddings = self.session.run(None, {"pictures": batch})
            readings += [self._reading(*row) for row in zip(np.asarray(logits), np.asarray(embeddings), strict=True)]
        return readings

    def _reading(self, logits: np.ndarray, embedding: np.ndarray) -> Reading:
        words, confidence, start = {}, {}, 0
        for axis, values in self.axes.items():
            shares = np.exp(logits[start : start + len(values)] - logits[start : start + len(values)].max())
            shares /= shares.sum()
            words[axis], confidence[axis] = values[int(shares.argmax())], round(float(shares.max()), 4)
            start += len(values)
        hidden = _hidden(words["view"], words["framing"])
        shown = {axis: word for axis, word in words.items() if axis not in hidden}
        return Reading(
            **{field: shown.get(field) for field in _FIELDS},
            traits={axis: word for axis, word in shown.items() if axis in TRAITS},
            confidence={axis: value for axis, value in confidence.items() if axis in shown},
            embedding=tuple(round(float(x), 5) for x in embedding), instrument="maquette", instrument_sha256=self.sha256,
        )  # fmt: skip


def _hidden(view: str, framing: str) -> set[str]:
    """Axes that a picture of this view and framing cannot show."""
    hidden: set[str] = set()
    if view == "back":
        hidden |= {"expression", "eye_shape", "left_eye", "right_eye", "mark", "nose", "skin"}
    if view == "profile left":
        hidden |= {"right_eye"}
    if view == "profile right":
        hidden |= {"left_eye"}
    if framing == "face":
        hidden |= {"pose", "head_ratio", "height", "build", "garment", "pattern", "tail"}
    if framing == "upper body":
        hidden |= {"height"}
    return hidden & {*SCENE_AXES, *TRAITS}
