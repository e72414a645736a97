"""The maquette's own reader: a small network that knows every trait and scene of the drawn world."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files
from statistics import fmean

import numpy as np
from onnxruntime import InferenceSession, SessionOptions  # pyright: ignore[reportAttributeAccessIssue]  # of a C module

from likeness.images import Pixels, fit
from likeness.maquette.world import TRAITS, Identity, Scene, visible_axes, visible_traits, with_view
from likeness.records import Reading

__all__ = ["MaquetteReader"]

_BATCH = 64  # pictures; enough for full speed, little memory
_WIDE = 1.6  # longer side to shorter, from which on a second character may stand beside the first
_CERTAIN = 0.9  # mean confidence of a tile that holds a whole character; a tile that cuts one in two has 0.8


class MaquetteReader:
    """Reads maquette drawings, and pictures that the embedded Stable Diffusion made.

    Its words are those of `likeness.maquette.world`. It abstains on what a picture cannot show: no face from behind, no
    body or pose in a close-up. It never tells the yaw.
    """

    same_character = 0.5
    """Likeness from which on two pictures show one character: of eight pools, those of one had 0.80 and more to the
    middle of theirs, strangers 0.25 and less."""

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
        """One reading per picture of any size; what lies outside its centred square is not looked at."""
        readings: list[Reading] = []
        for start in range(0, len(pictures), _BATCH):
            some_BHWC = np.stack([fit(picture, self.size, self.size) for picture in pictures[start : start + _BATCH]])
            batch_BCHW = np.ascontiguousarray(some_BHWC.transpose(0, 3, 1, 2), np.float32) / 255
            logits_BN, embeddings_BE = self.session.run(None, {"pictures": batch_BCHW})
            rows = zip(np.asarray(logits_BN), np.asarray(embeddings_BE), strict=True)
            readings += [self._reading(logits_N, embedding_E) for logits_N, embedding_E in rows]
        return [self._with_people(*pair) for pair in zip(readings, pictures, strict=True)]

    def _with_people(self, reading: Reading, picture: Pixels) -> Reading:
        """The reading, with how many characters there are: of a wide or tall picture, each square tile is looked at."""
        tiles = _tiles(picture)
        people = sum(fmean(tile.confidence.values()) >= _CERTAIN for tile in self.read(tiles)) if tiles else 1
        return reading.model_copy(update={"people": max(people, 1)})

    def _reading(self, logits_N: np.ndarray, embedding_E: np.ndarray) -> Reading:
        seen = {axis: (word, share) for axis, word, share in self._likeliest(logits_N)}
        words = {axis: word for axis, (word, _) in seen.items()}
        scene = with_view(Scene(framing=words["framing"]), words["view"])
        shown = {*visible_axes(scene), *visible_traits(Identity(words), scene)}
        return Reading(
            view=words["view"],
            framing=words["framing"],
            expression=words["expression"] if "expression" in shown else None,
            pose=words["pose"] if "pose" in shown else None,
            background=words["background"],
            traits={axis: word for axis, word in words.items() if axis in shown and axis in TRAITS},
            confidence={axis: round(share, 4) for axis, (_, share) in seen.items() if axis in shown},
            embedding=tuple(round(float(x), 5) for x in embedding_E),
            instrument="maquette",
            instrument_sha256=self.sha256,
        )

    def _likeliest(self, logits_N: np.ndarray) -> Iterator[tuple[str, str, float]]:
        """Each axis, its likeliest value, and the softmax share of that value."""
        start = 0
        for axis, values in self.axes.items():
            odds = np.exp(logits_N[start : start + len(values)] - logits_N[start : start + len(values)].max())
            best = int(odds.argmax())
            yield axis, values[best], float(odds[best] / odds.sum())
            start += len(values)


def _tiles(picture: Pixels) -> list[Pixels]:
    """A wide or tall picture cut into squares side by side; nothing for one that is nearly square."""
    height, width = picture.shape[:2]
    side, length = min(height, width), max(height, width)
    if length < _WIDE * side:
        return []
    count = round(length / side)
    starts = np.linspace(0, length - side, count).round().astype(int)
    return [picture[:, at : at + side] if width > height else picture[at : at + side] for at in starts]
