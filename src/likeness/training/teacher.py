"""The teacher: what a batch is asked and what it should answer. Shapes: B batch, D h w latent, T timesteps."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from likeness.diffusion.adapter import Adapter
from likeness.diffusion.family import Conditioning, DiffusionModel
from likeness.recipe import TrainConfig
from likeness.training.batches import Batch
from likeness.training.data import DataSet
from likeness.training.objective import denoising_loss

__all__ = ["Examples", "Teacher"]


@dataclass(frozen=True, slots=True)
class Examples:
    """What is asked, and what should be answered.

    Attributes:
        noisy_BDhw: what the denoiser is shown.
        t_B: timesteps.
        told_B: rows of the data set's conditioning.
        sizes_B6: of the pictures.
        target_BDhw: what it should answer; in the last `own` places, what the base itself answers instead.
        own: how many those are.
        map_B1hw: how much each place counts; None: all alike.
    """

    noisy_BDhw: Tensor
    t_B: Tensor
    told_B: Tensor
    sizes_B6: Tensor
    target_BDhw: Tensor
    own: int
    map_B1hw: Tensor | None

    def __len__(self) -> int:
        return len(self.t_B)

    def parts(self, size: int) -> list[Self]:
        """The same examples in order, `size` at a time and the rest."""
        tensors = (self.noisy_BDhw, self.t_B, self.told_B, self.sizes_B6, self.target_BDhw)
        starts, first_own = range(0, len(self), size), len(self) - self.own
        owns = [max(0, min(start + size, len(self)) - max(start, first_own)) for start in starts]
        maps = [None] * len(owns) if self.map_B1hw is None else self.map_B1hw.split(size)
        split = (tensor.split(size) for tensor in tensors)
        return [type(self)(*part) for part in zip(*split, owns, maps, strict=True)]


@dataclass(frozen=True, slots=True)
class Teacher:
    """What the adapter learns from.

    Attributes:
        model: the base.
        adapter: beside its layers.
        data: what there is to learn.
        config: of training.
        weight_T: the loss weight of every timestep, on the model's device: looked up, so that no step waits for it.
    """

    model: DiffusionModel
    adapter: Adapter
    data: DataSet
    config: TrainConfig
    weight_T: Tensor

    def examples(self, batch: Batch, *, kept: int) -> Examples:
        """What a batch is asked.

        In the last `kept` places stand the batch's first pictures again, with the same noise but without the trigger:
        there, what the base itself answers is to stay.
        """
        schedule, t_B, told_B, sizes_B6 = self.model.schedule, batch.t_B, batch.told_B, batch.sizes_B6
        noisy_BDhw = schedule.add_noise(batch.clean_BDhw, batch.added_BDhw, t_B)
        target_BDhw = schedule.target(batch.clean_BDhw, batch.noise_BDhw, t_B)
        map_B1hw = batch.map_B1hw
        if kept:
            if map_B1hw is not None:  # what the base answers is to stay everywhere
                map_B1hw = torch.cat([map_B1hw[:-kept], torch.ones_like(map_B1hw[:kept])])
            noisy_BDhw = torch.cat([noisy_BDhw[:-kept], noisy_BDhw[:kept]])
            t_B, sizes_B6 = torch.cat([t_B[:-kept], t_B[:kept]]), torch.cat([sizes_B6[:-kept], sizes_B6[:kept]])
            told_B = torch.cat([told_B[:-kept], batch.bare_B[:kept]])
        return Examples(noisy_BDhw, t_B, told_B, sizes_B6, target_BDhw, kept, map_B1hw)

    def losses(self, asked: Examples) -> tuple[Tensor, Tensor]:
        """The loss of each example, weighted and plain, shape (B,) each."""
        target_BDhw = asked.target_BDhw
        if asked.own:
            own_BDhw = self._own_answer(asked).to(target_BDhw.dtype)
            target_BDhw = torch.cat([target_BDhw[: -asked.own], own_BDhw])
        output_BDhw = self.model.predict(asked.noisy_BDhw, asked.t_B, self._told(asked.told_B), asked.sizes_B6)
        huber_c = self.config.huber_c if self.config.loss == "huber" else None
        weight_B = self.weight_T[asked.t_B]
        plain_B = denoising_loss(
            output_BDhw, target_BDhw, torch.ones_like(weight_B), map_B1hw=asked.map_B1hw, huber_c=huber_c
        )
        return weight_B * plain_B, plain_B

    @torch.no_grad()
    def _own_answer(self, asked: Examples) -> Tensor:
        """What the base itself answers in the last places."""
        last = slice(-asked.own, None)
        told = self.data.texts.conditioning[asked.told_B[last]]
        self.adapter.weight = 0.0
        try:  # where memory runs out here, the step is repeated, with the adapter
            return self.model.predict(asked.noisy_BDhw[last], asked.t_B[last], told, asked.sizes_B6[last])
        finally:
            self.adapter.weight = 1.0

    def _told(self, told_B: Tensor) -> Conditioning:
        """What the denoiser is told: as it was encoded, or anew by text encoders that learn."""
        if not any(self.config.text_encoder_rates):
            return self.data.texts.conditioning[told_B]
        prompts = [self.data.texts.prompts[row] for row in told_B.tolist()]
        return self.model.encode_prompts(prompts, chunks=self.data.texts.chunks)
