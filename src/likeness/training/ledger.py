"""The ledger: which pictures are learnt badly, and which one a run stumbled over.

A loss says more of its noise level than of its picture, so each is compared with others of the same level.

Shapes: P pictures, L noise levels, N batches, B batch.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from likeness.records import PictureLoss

__all__ = ["Ledger"]

LEVELS = 10  # of all timesteps; within a tenth of them losses differ by a factor of two at most
SPIKE = 8.0  # times the mean of its noise level; of 1,200 losses of a demo's training the highest is 3.5
FEWEST = 50  # losses of a level before anything stands out from it
ODD = 1.5  # times the loss of the others, on average, from which on a picture is worth a look
SEEN = 10  # times that a picture was drawn before its average says anything


class Ledger:
    """The losses of each picture by noise level, on the device, and the last ones one by one.

    Args:
        paths: of the pictures.
        steps: timesteps of the base.
        recent: batches whose losses are kept one by one; as many as there are between two looks at them.
        device: where losses are.
        own: how many of the pictures, the first ones, are compared; None: all. Those of the class are easier.

    Attributes:
        sums_2PL: of the losses, and how many they are.
    """

    def __init__(
        self, paths: Sequence[str], steps: int, *, recent: int, device: torch.device, own: int | None = None
    ) -> None:
        self.paths, self._steps, self._recent = list(paths), steps, recent
        self._own = len(paths) if own is None else own
        self.sums_2PL = torch.zeros(2, len(paths), LEVELS, device=device)
        self._sum_and_count = torch.arange(2, device=device)[:, None]
        self._last: list[tuple[int, Tensor, Tensor, Tensor]] = []

    def note(self, step: int, pictures_B: Tensor, t_B: Tensor, losses_B: Tensor) -> None:
        """Enters the unweighted losses of a batch; nothing waits for the device."""
        levels_B = t_B * LEVELS // self._steps
        entered = torch.stack([losses_B, torch.ones_like(losses_B)])
        places = (self._sum_and_count, pictures_B[None], levels_B[None])
        compared_2B = entered.nan_to_num(posinf=0.0, neginf=0.0) * (pictures_B < self._own)
        self.sums_2PL.index_put_(places, compared_2B, accumulate=True)
        self._last.append((step, pictures_B, levels_B, losses_B))
        del self._last[: -self._recent]

    def forget_recent(self) -> None:
        """The last losses have been looked at."""
        self._last.clear()

    def first_infinite(self) -> tuple[int, str] | None:
        """The step, counted from 1, and path of the first of the last losses that is no finite number."""
        for step, pictures_B, _, losses_B in self._last:
            for picture, loss in zip(pictures_B.tolist(), losses_B.tolist(), strict=True):
                if not math.isfinite(loss):
                    return step, self.paths[picture]
        return None

    def spikes(self) -> list[tuple[int, str, float]]:
        """Step, path and size of those of the last losses that are far above others of their noise level; the size in
        times the level's mean."""
        if not self._last:
            return []
        means_L, is_known_L = self._means()
        found = []
        for step, pictures_B, levels_B, losses_B in self._last:
            ratio_B = torch.where(is_known_L[levels_B], losses_B / means_L[levels_B], 1.0)
            for picture, ratio in zip(pictures_B.tolist(), ratio_B.tolist(), strict=True):
                if ratio > SPIKE:
                    found.append((step, self.paths[picture], ratio))
        return found

    def report(self) -> list[PictureLoss]:
        """How hard each picture is to learn, against the others at the same noise levels; the hardest first."""
        means_L, _ = self._means()
        sums_PL, counts_PL = self.sums_2PL
        expected_P = (counts_PL * means_L).sum(1)
        relative_P = torch.where(expected_P > 0, sums_PL.sum(1) / expected_P.clamp(min=1e-12), 1.0).tolist()
        times_P = counts_PL.sum(1).tolist()
        rows = [
            PictureLoss(path=path, relative=round(value, 4), times=round(times), is_odd=times >= SEEN and value > ODD)
            for path, value, times in zip(self.paths[: self._own], relative_P, times_P, strict=False)
        ]
        return sorted(rows, key=lambda row: (-row.relative, row.path))

    def _means(self) -> tuple[Tensor, Tensor]:
        """The mean loss of each noise level, and whether it is of enough losses to compare with."""
        sums_L, counts_L = self.sums_2PL.sum(1)
        return sums_L / counts_L.clamp(min=1), counts_L >= FEWEST
