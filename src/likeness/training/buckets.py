"""Buckets: pictures that a batch can be made of, since they have one shape; and whose turn it is.

Which bucket a batch is of depends on its number alone, and each picture is seen as often as others of its view,
whatever its shape: nothing is dropped for being alone in a bucket.

Shapes: P pictures, M pictures and mirror images, D h w latent, N places in a deck.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from likeness.seeds import seed_of

__all__ = ["Bucket", "Turn", "planned", "repeats_of"]

MOST_REPEATS = 3  # one picture of a rare view, seen more often than that, is learnt by heart


@dataclass(frozen=True, slots=True)
class Bucket:
    """Pictures of one shape, of the character or of its class, on the device.

    Attributes:
        mean_MDhw: of the posterior of each picture's latents, float32; then of the mirror images.
        std_MDhw: its standard deviation.
        sizes_M6: what a base that is told of sizes is told of each: original, cut off, target, height first.
        mask_M1hw: how much each place counts, in [0, 1]; None where all does.
        twin_P: the row of each picture's mirror image, its own where there is none.
        pictures_P: which pictures these are, as the data set numbers them.
        deck_N: the rows of a round, some more than once.
        is_class: whether they are of the class.
    """

    mean_MDhw: Tensor
    std_MDhw: Tensor
    sizes_M6: Tensor
    mask_M1hw: Tensor | None
    twin_P: Tensor
    pictures_P: Tensor
    deck_N: Tensor
    is_class: bool

    @property
    def is_mirrored(self) -> bool:
        """Whether there are mirror images."""
        return len(self.mean_MDhw) > len(self.pictures_P)

    def dealt(self, count: int, *, seed: int, number: int) -> Tensor:
        """The rows of batch `number` of this bucket, `count` of them: the deck in turn, shuffled anew each round."""
        size, device = len(self.deck_N), self.deck_N.device
        first = number * count
        rounds = range(first // size, (first + count - 1) // size + 1)
        orders = []
        for each in rounds:
            generator = torch.Generator(device).manual_seed(seed_of(seed, "round", each))
            orders.append(torch.randperm(size, generator=generator, device=device))
        start = first - rounds.start * size
        return self.deck_N[torch.cat(orders)[start : start + count]]


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is.

    Attributes:
        bucket: its place among the buckets.
        number: how many batches it has had before.
    """

    bucket: int
    number: int


def planned(buckets: Sequence[Bucket], batches: int, *, class_share: float) -> list[Turn]:
    """The turn of each batch of a run: of two plans, the longer begins as the shorter.

    A bucket has as large a share of the batches as of the pictures, at any time to within one batch.

    Args:
        class_share: of the batches, which those of the class have, where there are any.
    """
    sizes = [len(bucket.deck_N) for bucket in buckets]
    total: Counter[bool] = Counter()
    for bucket, size in zip(buckets, sizes, strict=True):
        total[bucket.is_class] += size
    part = {True: class_share, False: 1 - class_share} if total[True] else {True: 0.0, False: 1.0}
    shares = [
        part[bucket.is_class] * size / total[bucket.is_class] for bucket, size in zip(buckets, sizes, strict=True)
    ]
    had, turns = [0] * len(buckets), []
    for number in range(batches):
        lacks = [(number + 1) * share - count for share, count in zip(shares, had, strict=True)]
        place = lacks.index(max(lacks))
        turns.append(Turn(place, had[place]))
        had[place] += 1
    return turns


def repeats_of(views: Sequence[str | None]) -> list[int]:
    """How often a round shows each picture, so that all views are seen about as often; at most three times.

    Args:
        views: of the pictures; None where nobody knows.
    """
    counts = Counter(view for view in views if view)
    most = max(counts.values(), default=1)
    return [min(MOST_REPEATS, max(1, round(most / counts[view]))) if view else 1 for view in views]
