"""Copies: pictures that are nearer to a training picture than any new picture of the character would be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from likeness.evaluation.known import Seen
from likeness.images import Pixels
from likeness.perception.encoders import Encoder
from likeness.records import Box, Reading
from likeness.statistics import Floats

__all__ = ["Copies", "Likest"]

CUT = 0.8  # of a picture's sides: how much of it a crop keeps; smaller ones are other pictures
NEARER = 0.25  # of what is left from there to being the same: a new picture may be as near as the nearest real one
TWIN = 0.1  # of how far training pictures usually are from the nearest other: what is nearer is the same picture
NEVER = 0.99  # quantile of what real pictures reach among themselves, above which a picture is suspect
MIDDLE = (0.15, 0.2, 1.0, 0.8)  # top, left, bottom, right: where the subject is taken to be when nobody saw it


@dataclass(frozen=True, slots=True)
class Likest:
    """The training picture that a picture is most like.

    Attributes:
        place: of that picture.
        likeness: to it, its mirror image or a part of it, in [-1, 1].
        excess: how much nearer that is than the nearest held-out picture.
        is_copy: whether both are more than real pictures reach.
        is_background_copy: whether what is around the subject is, and the subject is not.
    """

    place: int
    likeness: float
    excess: float
    is_copy: bool
    is_background_copy: bool


class Copies:
    """Finds copies of training pictures, mirrored and cropped ones too.

    How near is too near, the real pictures tell: how like training pictures are to each other, and held-out pictures to
    them. A copy is nearer than that, and nearer than to any held-out picture. What is around a subject is often the
    same, so that a copy of it has to be nearer to a training picture by more than held-out ones are, too.

    Args:
        training: what was trained on, at least two pictures.
        held_out: what was not, at least two.
        encoder: what tells copies.

    Source: Somepalli et al. 2023, https://arxiv.org/abs/2212.03860, for the comparison; the thresholds are ours.
    """

    def __init__(self, training: Sequence[Seen], held_out: Sequence[Seen], encoder: Encoder) -> None:
        self.whole = _Nearness(training, held_out, encoder, is_background=False)
        self.around = _Nearness(training, held_out, encoder, is_background=True)

    def find(self, pictures: Sequence[Seen]) -> list[Likest]:
        """The likest training picture of each."""
        if not pictures:
            return []
        whole, around = self.whole.compare(pictures), self.around.compare(pictures)
        return [
            Likest(place, likeness, excess, is_copy, is_background_copy=is_same_place and not is_copy)
            for (place, likeness, excess, is_copy), (*_, is_same_place) in zip(whole, around, strict=True)
        ]


class _Nearness:
    def __init__(
        self, training: Sequence[Seen], held_out: Sequence[Seen], encoder: Encoder, *, is_background: bool
    ) -> None:
        self.encoder, self.is_background = encoder, is_background
        self.training_VTE = numpy.stack([self._rows(some) for some in _variants(training)])
        self.held_out_NE = self._rows(held_out)
        likeness_TT = (self.training_VTE @ self.training_VTE[0].T).max(0)
        numpy.fill_diagonal(likeness_TT, -numpy.inf)
        held_NN = self.held_out_NE @ self.held_out_NE.T
        numpy.fill_diagonal(held_NN, -numpy.inf)
        nearest_N = self._to_training(self.held_out_NE).max(1)
        among_T = likeness_TT.max(1) if is_background else _without_twins(likeness_TT.max(1))
        usual = float(numpy.quantile(numpy.concatenate([among_T, nearest_N]), NEVER))
        self.most = usual + NEARER * (1 - usual)
        self.least_excess = float(numpy.quantile(nearest_N - held_NN.max(1), NEVER)) if is_background else 0.0

    def compare(self, pictures: Sequence[Seen]) -> list[tuple[int, float, float, bool]]:
        rows_XE = self._rows(pictures)
        likeness_XT, held_XN = self._to_training(rows_XE), rows_XE @ self.held_out_NE.T
        found = []
        for to_training_T, to_held_out_N in zip(likeness_XT, held_XN, strict=True):
            place = int(to_training_T.argmax())
            likeness = float(to_training_T[place])
            excess = likeness - float(to_held_out_N.max())
            found.append((place, likeness, excess, likeness > self.most and excess > self.least_excess))
        return found

    def _to_training(self, rows_XE: Floats) -> Floats:
        """The likeness to each training picture, its mirror image or a part of it, whichever is most, shape (X, T)."""
        return (rows_XE @ self.training_VTE.transpose(0, 2, 1)).max(0)

    def _rows(self, pictures: Sequence[Seen]) -> Floats:
        pixels = [_without_subject(one) if self.is_background else one.pixels for one in pictures]
        return numpy.asarray(self.encoder.encode(pixels), dtype=float)


def _without_twins(nearest_T: Floats) -> Floats:
    """How like training pictures are to the nearest other one, but for those that are there twice, mirrored perhaps:
    what is as like as that is a copy. Not so for backgrounds, of which several pictures may well show the same."""
    apart_T = 1 - nearest_T
    return nearest_T[apart_T >= TWIN * numpy.median(apart_T)]


def _variants(pictures: Sequence[Seen]) -> list[list[Seen]]:
    """The pictures, their mirror images, and five parts of each: corners and middle."""
    mirrored = [Seen(one.pixels[:, ::-1], _boxless(one)) for one in pictures]
    parts = [
        [_part(one, down, right) for one in pictures] for down, right in ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))
    ]
    return [list(pictures), mirrored, *parts]


def _boxless(one: Seen) -> Reading:
    """The reading without the place of the subject, which is another in a mirror image or a part."""
    return one.reading.model_copy(update={"subject": None})


def _part(one: Seen, down: float, right: float) -> Seen:
    height, width = one.pixels.shape[:2]
    tall, wide = round(CUT * height), round(CUT * width)
    top, left = round(down * (height - tall)), round(right * (width - wide))
    return Seen(one.pixels[top : top + tall, left : left + wide], _boxless(one))


def _without_subject(one: Seen) -> Pixels:
    """The picture with the subject painted over in the mean colour of what is around it."""
    height, width = one.pixels.shape[:2]
    box = one.reading.subject or Box(
        top=round(MIDDLE[0] * height),
        left=round(MIDDLE[1] * width),
        bottom=round(MIDDLE[2] * height),
        right=round(MIDDLE[3] * width),
    )
    inside = numpy.zeros((height, width), bool)
    inside[box.top : box.bottom, box.left : box.right] = True
    if inside.all():
        return numpy.full_like(one.pixels, 128)
    painted = one.pixels.copy()
    painted[inside] = one.pixels[~inside].mean(0).round().astype(numpy.uint8)
    return painted
