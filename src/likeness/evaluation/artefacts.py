"""Artefacts: pictures that are blank, burnt, noisy or all the same, by measures of their pixels alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from likeness.images import Pixels, fit
from likeness.statistics import Floats

__all__ = ["Usual", "measures"]

SIDE = 128  # px, at which pictures are measured, so that sizes do not matter
ROOM = 0.5  # of the usual range, on each side of it, that is still usual: sixty pictures do not show all that there are
SAME = 0.5  # levels of 255, the mean difference below which pictures of two prompts are one picture
FAINT = 0.05  # of full scale: contrast below which there is nothing that noise could be a share of
MEASURES = ("contrast", "saturation", "noise", "clipped")


def measures(pictures: Sequence[Pixels]) -> Floats:
    """Contrast, saturation, noise and clipped share of each picture, shape (X, 4), each 0 or more.

    Contrast is the standard deviation of luma; noise the median difference of neighbours as a share of it, which grain
    and mush raise and edges do not; clipped the share of pixels at 0 or 255 in any channel.
    """
    return numpy.array([_measured(fit(picture, SIDE, SIDE)) for picture in pictures]).reshape(len(pictures), 4)


@dataclass(frozen=True, slots=True)
class Usual:
    """What measures of pictures that are in order reach.

    Attributes:
        low_M: lowest of each measure, with some room.
        high_M: highest.
    """

    low_M: Floats
    high_M: Floats

    @classmethod
    def of(cls, pictures: Sequence[Pixels]) -> "Usual":
        """The ranges of at least one picture: real ones, and those of the base itself, which has its own ways."""
        found_XM = measures(pictures)
        low_M, high_M = found_XM.min(0), found_XM.max(0)
        room_M = ROOM * (high_M - low_M) + 0.02  # two hundredths of full scale are nothing that is seen
        faintest = numpy.quantile(found_XM[:, 0], 0.05)  # one that failed says nothing of what is in order
        blank = min(FAINT, faintest / 2)  # however widely contrasts range
        return cls(numpy.maximum(low_M - room_M, [blank, 0, 0, 0]), high_M + room_M)

    def faults(self, pictures: Sequence[Pixels]) -> list[str]:
        """What is wrong with each picture, in words; empty for one that is in order."""
        words = [self._fault(found_M) for found_M in measures(pictures)]
        return [word or ("all the same" if same else "") for word, same in zip(words, _same(pictures), strict=True)]

    def _fault(self, found_M: Floats) -> str:
        faults = []
        for name, value, low, high in zip(MEASURES, found_M, self.low_M, self.high_M, strict=True):
            if value < low and name == "contrast":
                faults.append("blank")
            elif value > high:
                faults.append({"contrast": "burnt", "saturation": "burnt", "noise": "noise", "clipped": "burnt"}[name])
        return ", ".join(dict.fromkeys(faults))


def _measured(pixels: Pixels) -> tuple[float, float, float, float]:
    scaled_HWC = pixels.astype(float) / 255
    luma_HW = scaled_HWC @ numpy.array([0.299, 0.587, 0.114])
    saturation = float((scaled_HWC.max(-1) - scaled_HWC.min(-1)).mean())
    beside_HW = numpy.abs(numpy.diff(luma_HW, axis=1))[:-1] + numpy.abs(numpy.diff(luma_HW, axis=0))[:, :-1]
    clipped = float(((pixels == 0) | (pixels == 255)).any(-1).mean())
    contrast = float(luma_HW.std())
    return contrast, saturation, float(numpy.median(beside_HW)) / max(contrast, FAINT), clipped


def _same(pictures: Sequence[Pixels]) -> list[bool]:
    """Whether most of the others are the same picture."""
    small_XN = numpy.array([fit(picture, 16, 16).astype(float).ravel() for picture in pictures])
    if len(small_XN) < 3:
        return [False] * len(pictures)
    alike_X = [(numpy.abs(small_XN - row_N).mean(-1) < SAME).sum() for row_N in small_XN]  # all at once is gigabytes
    return [bool(alike > len(pictures) / 2) for alike in alike_X]
