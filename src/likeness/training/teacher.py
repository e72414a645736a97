"""The teacher: what a batch is asked and what it should answer. Shapes: B batch, D h w latent, T timesteps."""

from dataclasses import dataclass

import torch
from torch import Tensor

from likeness.diffusion.adapter import Adapter
from likeness.diffusion.family import Conditioning, DiffusionModel
from likeness.recipe import TrainConfig
from likeness.training.batches import Batch, DataSet
from likeness.training.objective import denoising_loss

__all__ = ["Teacher"]


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

    def losses(self, batch: Batch, *, kept: int) -> tuple[Tensor, Tensor]:
        """The loss of each example, weighted and plain, shape (B,) each.

        In the last `kept` places stand the batch's first pictures again, with the same noise but without the trigger:
        there, what the base itself answers is to stay.
        """
        schedule, t_B, told_B, sizes_B6 = self.model.schedule, batch.t_B, batch.told_B, batch.sizes_B6
        noisy_BDhw = schedule.add_noise(batch.clean_BDhw, batch.added_BDhw, t_B)
        target_BDhw = schedule.target(batch.clean_BDhw, batch.noise_BDhw, t_B)
        if kept:
            same_BDhw, same_B, bare_B = noisy_BDhw[:kept], t_B[:kept], batch.bare_B[:kept]
            own_BDhw = self._own_answer(same_BDhw, same_B, bare_B, sizes_B6[:kept])
            noisy_BDhw, t_B = torch.cat([noisy_BDhw[:-kept], same_BDhw]), torch.cat([t_B[:-kept], same_B])
            target_BDhw = torch.cat([target_BDhw[:-kept], own_BDhw.to(target_BDhw.dtype)])
            told_B = torch.cat([told_B[:-kept], bare_B])
            sizes_B6 = torch.cat([sizes_B6[:-kept], sizes_B6[:kept]])
        output_BDhw = self.model.predict(noisy_BDhw, t_B, self._told(told_B), sizes_B6)
        huber_c = self.config.huber_c if self.config.loss == "huber" else None
        weight_B = self.weight_T[t_B]
        plain_B = denoising_loss(output_BDhw, target_BDhw, torch.ones_like(weight_B), huber_c=huber_c)
        return weight_B * plain_B, plain_B

    @torch.no_grad()
    def _own_answer(self, noisy_BDhw: Tensor, t_B: Tensor, told_B: Tensor, sizes_B6: Tensor) -> Tensor:
        self.adapter.weight = 0.0
        answer_BDhw = self.model.predict(noisy_BDhw, t_B, self.data.conditioning[told_B], sizes_B6)
        self.adapter.weight = 1.0
        return answer_BDhw

    def _told(self, told_B: Tensor) -> Conditioning:
        """What the denoiser is told: as it was encoded, or anew by text encoders that learn."""
        if not any(self.config.text_encoder_rates):
            return self.data.conditioning[told_B]
        prompts = [self.data.prompts[row] for row in told_B.tolist()]
        return self.model.encode_prompts(prompts, chunks=self.data.chunks)
