"""Copies: pictures of a pool that are one picture, rescaled, compressed again, mirrored, cropped or shifted in colour.

One picture is a copy of another if it can be laid over a part of it so that next to nothing is left over anywhere. The
last word matters: two drawings of one scene that differ in a smile are two pictures.

Shapes: N pictures, W windows, P pairs, H W thumbnail (64 x 64). A window is four shares: x, y, width, height.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import product

import numpy
from numpy.typing import NDArray

from likeness.dataset.alignment import laid

__all__ = ["ALIKE", "COPY", "Match", "find_matches"]

Floats = NDArray[numpy.float32]

COPY = 0.45
"""Most that copies leave over, at the worst place, in units of the picture's contrast. Over 464 altered photographs and
117 altered drawings copies left 0.41 at most, but for a few crops; two different pictures left 0.66 at least."""

ALIKE = 1.0
"""Most that two pictures of one scene leave over, drawn or photographed twice."""

_CANDIDATE = 0.9  # correlation at 8 px from which on a pair is looked at closely; copies have 0.917 at least
_COARSE = 8  # px, for finding candidates
_AT_ONCE = 256  # pairs; 25 MB


@dataclass(frozen=True, slots=True)
class Match:
    """Two pictures that show the same.

    Attributes:
        whole: id of the picture that the other lies in.
        part: id of the other.
        is_mirrored: the part is a mirror image.
        window: what of the whole the part covers: left, top, width and height as shares. Left and top are in
            [-0.03, 0.3], width and height in [0.7, 1.06]: it may reach a little over the edges.
        left_over: what the two do not share, at the worst place, in units of the contrast: at most `COPY` for copies,
            at most `ALIKE` for pictures of one scene.
    """

    whole: str
    part: str
    is_mirrored: bool
    window: tuple[float, float, float, float]
    left_over: float

    @property
    def is_copy(self) -> bool:
        """Whether the two are one picture."""
        return self.left_over <= COPY

    @property
    def is_crop(self) -> bool:
        """Whether the part lacks more than 3% of a side."""
        return min(self.window[2:]) < 0.97


def find_matches(thumbnails: Mapping[str, NDArray[numpy.uint8]], *, known: Collection[str] = ()) -> list[Match]:
    """Every two pictures that are copies of each other or show one scene, each pair once.

    Either picture of a pair is tried as the whole, the other as its part and as its mirror image; what leaves least
    over is told.

    Args:
        thumbnails: by id, (64, 64, 3): the whole picture squeezed into a square.
        known: ids of those that were compared with each other before; pairs of two such are left out.
    """
    ids = sorted(thumbnails, key=lambda id: id not in known)
    compared = sum(id in known for id in ids)
    if len(ids) < 2 or compared == len(ids):
        return []
    images_NHW3 = numpy.stack([thumbnails[id] for id in ids]).astype(numpy.float32)
    cut_WND = _cut(images_NHW3, _WINDOWS)
    best: dict[tuple[int, int], Match] = {}
    for is_mirrored in (False, True):
        parts_NHW3 = images_NHW3[:, :, ::-1] if is_mirrored else images_NHW3
        wholes, others, windows_P4 = _candidates(
            cut_WND, _mirrored(cut_WND[0]) if is_mirrored else cut_WND[0], compared
        )
        for start in range(0, len(wholes), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            whole_PHW3, part_PHW3 = images_NHW3[wholes[some]], parts_NHW3[others[some]]
            found_P4, left_P = laid(whole_PHW3, part_PHW3, windows_P4[some])
            for whole, part, window, left in zip(wholes[some], others[some], found_P4, left_P, strict=True):
                pair = (min(whole, part), max(whole, part))
                if left <= ALIKE and (pair not in best or left < best[pair].left_over):
                    x, y, width, height = map(float, window)
                    best[pair] = Match(ids[whole], ids[part], is_mirrored, (x, y, width, height), float(left))
    return [best[pair] for pair in sorted(best)]


def _all_windows() -> Floats:
    """The whole, and crops of a tenth and a fifth from any side or two: near enough for alignment to find the rest."""
    windows = [(0.0, 0.0, 1.0, 1.0)]
    for share in (0.9, 0.8):
        rest = 1 - share
        windows += [(x * rest, y * rest, share, share) for x, y in product((0, 0.5, 1), repeat=2)]
    windows += [(x * 0.1, 0, 0.9, 1) for x in (0, 0.5, 1)] + [(0, y * 0.1, 1, 0.9) for y in (0, 0.5, 1)]
    return numpy.array(windows, numpy.float32)


_WINDOWS = _all_windows()


def _cut(images_NHW3: Floats, windows_W4: Floats) -> Floats:
    """Each window of each picture at 8 px, as a vector of length 1 without its mean colour: (W, N, 192).

    A product of two such vectors is the correlation of what they show.
    """
    size = images_NHW3.shape[1]
    (across_U, which_x_W), (down_V, which_y_W) = (_spans(windows_W4[:, axis::2], size) for axis in (0, 1))
    images_N3HW = numpy.ascontiguousarray(images_NHW3.transpose(0, 3, 1, 2))
    cells_N3YX = down_V.reshape(-1, size) @ (images_N3HW @ across_U.reshape(-1, size).T)
    cells_N3VYUX = cells_N3YX.reshape(len(images_NHW3), 3, len(down_V), _COARSE, len(across_U), _COARSE)
    vectors_WND = numpy.empty((len(windows_W4), len(images_NHW3), 3 * _COARSE**2), numpy.float32)
    for vectors_ND, x, y in zip(vectors_WND, which_x_W, which_y_W, strict=True):
        seen_N3YX = cells_N3VYUX[:, :, y, :, x]
        vectors_ND[:] = (seen_N3YX - seen_N3YX.mean((2, 3), keepdims=True)).reshape(vectors_ND.shape)
        vectors_ND /= numpy.maximum(numpy.linalg.norm(vectors_ND, axis=1, keepdims=True), 1e-3)
    return vectors_WND


def _mirrored(vectors_ND: Floats) -> Floats:
    """What `_cut` makes of the mirror images of whole pictures."""
    return vectors_ND.reshape(-1, 3, _COARSE, _COARSE)[..., ::-1].reshape(vectors_ND.shape)


def _spans(spans_W2: Floats, size: int) -> tuple[Floats, NDArray[numpy.int64]]:
    """Of windows along one axis: weights of its pixels in each of 8 cells of each different span, (U, 8, size), and
    which of these is each window's."""
    different_U2, which_W = numpy.unique(spans_W2, axis=0, return_inverse=True)
    edges = different_U2[:, :1] + different_U2[:, 1:] * numpy.arange(_COARSE + 1) / _COARSE
    low, high = edges[:, :-1, None] * size, edges[:, 1:, None] * size
    pixel = numpy.arange(size)
    overlap = numpy.clip(numpy.minimum(high, pixel + 1) - numpy.maximum(low, pixel), 0, None)
    return (overlap / overlap.sum(-1, keepdims=True)).astype(numpy.float32), which_W


def _candidates(
    cut_WND: Floats, parts_ND: Floats, known: int
) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64], Floats]:
    """Pairs of which the second looks like some window of the first, and that window.

    Two pictures may be a pair both ways: which of them is the whole shows only when one is laid over the other. Two of
    the first `known` are none.
    """
    best_NN = numpy.full((cut_WND.shape[1], len(parts_ND)), -1, numpy.float32)
    which_NN = numpy.zeros(best_NN.shape, numpy.int8)
    for some, others in ((slice(None), slice(known, None)), (slice(known, None), slice(known))):
        for window, cut_ND in enumerate(cut_WND):
            likeness_NN = cut_ND[some] @ parts_ND[others].T
            better = likeness_NN > best_NN[some, others]
            best_NN[some, others][better], which_NN[some, others][better] = likeness_NN[better], window
    numpy.fill_diagonal(best_NN, -1)
    wholes, parts = numpy.nonzero(best_NN > _CANDIDATE)
    return wholes, parts, _WINDOWS[which_NN[wholes, parts]]
