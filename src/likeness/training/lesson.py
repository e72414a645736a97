"""The lesson: what one step shows the adapter, and the gradient that comes of it. Shapes: B batch, D h w latent."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from likeness.diffusion.checkpointing import Checkpointing
from likeness.recipe import TrainConfig
from likeness.seeds import seed_of
from likeness.training.batches import Batch, draw
from likeness.training.buckets import Turn
from likeness.training.learner import Learner
from likeness.training.noise import Noising
from likeness.training.teacher import Teacher

__all__ = ["Lesson"]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the steps of a run are computed with.

    Attributes:
        teacher: what is asked, and what should be answered.
        learner: what is to learn.
        noising: how noise is made.
        checkpointing: where the denoiser may be cut.
        precision: that is computed in instead of the base's own; None: in that.
        seed: of the recipe.
        turns: which bucket each batch of the run is of.
    """

    teacher: Teacher
    learner: Learner
    noising: Noising
    checkpointing: Checkpointing
    precision: torch.dtype | None
    seed: int
    turns: Sequence[Turn]

    def gradient(self, step: int) -> Tensor:
        """The loss of a step, counted from 0, float32; the adapter's parameters have its gradient afterwards.

        What comes out depends on the adapter and the step's number alone. Where memory runs out on the way, nothing has
        changed but gradients, which the next call begins anew.
        """
        config, rung = self.teacher.config, self.learner.ladder.rung
        if config.drops_out():
            torch.manual_seed(seed_of(self.seed, "dropout", step))
        self.learner.optimizer.zero_grad()
        loss, seen = torch.zeros((), device=self.teacher.model.device), []
        with self.checkpointing.on() if rung.is_checkpointed else nullcontext():
            for number in range(step * config.accumulate, (step + 1) * config.accumulate):
                turn = self.turns[number]
                batch = draw(self.teacher.data, self.noising, config.batch, seed=self.seed, number=number, turn=turn)
                kept = 0 if batch.is_class else _kept(config, number)
                part, plain_B = self._passed(batch, kept)
                loss += part
                count = len(plain_B) - kept  # what is preserved is of no picture
                seen.append((batch.pictures_B[:count], batch.t_B[:count], plain_B[:count]))
        for pictures_B, t_B, plain_B in seen:
            self.learner.ledger.note(step + 1, pictures_B, t_B, plain_B)
        return loss

    def _passed(self, batch: Batch, kept: int) -> tuple[Tensor, Tensor]:
        """The share of a batch in the step's loss, and the plain loss of each example, when backward has passed. It is
        computed in parts of as many examples as fit; however many that are, the gradient is of the mean over all."""
        config, plain = self.teacher.config, []
        loss, device = torch.zeros((), device=self.teacher.model.device), self.teacher.model.device.type
        examples = self.teacher.examples(batch, kept=kept)
        for part in examples.parts(self.learner.ladder.rung.microbatch):
            with torch.autocast(device, self.precision, enabled=self.precision is not None):
                losses_B, plain_B = self.teacher.losses(part)
            share = losses_B.mean() * (len(part) / len(examples)) / config.accumulate
            self.learner.scaler.scale(share).backward()
            loss += share.detach()
            plain.append(plain_B.detach())
        return loss, torch.cat(plain)


def _kept(config: TrainConfig, number: int) -> int:
    """How many places of a batch preserve the base: `config.preserve` of all, over any run of batches."""
    share = config.batch * config.preserve
    return math.floor((number + 1) * share) - math.floor(number * share)
