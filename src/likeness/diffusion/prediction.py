"""The probe: two forward passes that tell whether a base answers as its schedule says.

A base that predicts the velocity and is trained for the noise, or the other way round, learns to draw noise without any
error. What a file says of itself may be wrong, and most say nothing; its answers do not lie.

Shapes: B batch, D h w latent.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from likeness.diffusion.family import Conditioning, DiffusionModel, Prediction
from likeness.errors import CheckpointError
from likeness.seeds import seed_of

__all__ = ["Verdict", "probe", "refuse_mismatch"]

TIMESTEPS = (300, 900)
"""Where noise and velocity are told apart: at 300 both have their share in what is shown; at 900 the velocity is nearly
the picture, and the noise nearly all that is shown."""

EXPLAINS = 0.8
"""An error below which an answer explains a target at all. To answer nothing has an error of 1."""

CLEARER = 0.8
"""How much smaller the one error must be than the other, as a factor. Perfect answers are apart by much more: 0 and 0.8
at least."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the base's own answers say.

    Attributes:
        prediction: what the schedule says that the base predicts.
        zero_terminal: whether the schedule ends in pure noise. That is as the base or the recipe says: no answer shows
            it.
        seen: what explains the base's answers; None where neither does, as of an untrained base.
        epsilon_error: mean squared error of the answers against the noise, as a share of its variance.
        v_error: the same against the velocity.
    """

    prediction: Prediction
    zero_terminal: bool
    seen: Prediction | None
    epsilon_error: float
    v_error: float

    @property
    def words(self) -> str:
        """The verdict in a sentence without its full stop."""
        figures = f"its error is {self.epsilon_error:.2f} against the noise and {self.v_error:.2f} against the velocity"
        if self.seen is None:
            return f"whether the base predicts epsilon or v cannot be told from its answers: {figures}"
        return f"the base predicts {self.seen} by its own answers: {figures}"


@torch.no_grad()
def probe(
    model: DiffusionModel, latents_BDhw: Tensor, conditioning: Conditioning, sizes_B6: Tensor | None = None
) -> Verdict:
    """What a base predicts, by its answers at two timesteps to noise that is always the same.

    Args:
        model: the base, with no adapter beside it.
        latents_BDhw: scaled latents of real pictures; 8 are enough.
        conditioning: their captions, a row for each.
        sizes_B6: their sizes, for the families that are told of them.
    """
    schedule, count = model.schedule, len(latents_BDhw)
    latents_BDhw = latents_BDhw.to(model.device, torch.float32)
    errors = []
    for step in TIMESTEPS:
        t_B = torch.full((count,), min(step, len(schedule) - 1), device=model.device)
        generator = torch.Generator().manual_seed(seed_of(0, "probe", step))
        noise_BDhw = torch.randn(latents_BDhw.shape, generator=generator).to(model.device)
        noisy_BDhw = schedule.add_noise(latents_BDhw, noise_BDhw, t_B)
        answer_BDhw = model.predict(noisy_BDhw, t_B, conditioning, sizes_B6).float()
        abar_B111 = (schedule.snr(t_B) / (1 + schedule.snr(t_B))).view(-1, 1, 1, 1)
        velocity_BDhw = abar_B111.sqrt() * noise_BDhw - (1 - abar_B111).sqrt() * latents_BDhw
        errors.append([_error(answer_BDhw, target) for target in (noise_BDhw, velocity_BDhw)])
    epsilon_error, v_error = (sum(some) / len(TIMESTEPS) for some in zip(*errors, strict=True))
    is_zero = schedule.snr(torch.tensor([len(schedule) - 1], device=model.device)).item() == 0
    return Verdict(schedule.prediction, is_zero, _seen(epsilon_error, v_error), epsilon_error, v_error)


def _error(answer_BDhw: Tensor, target_BDhw: Tensor) -> float:
    return ((answer_BDhw - target_BDhw).square().mean() / target_BDhw.var()).item()


def _seen(epsilon_error: float, v_error: float) -> Prediction | None:
    smaller, larger = sorted((epsilon_error, v_error))
    if not (smaller < EXPLAINS and smaller < CLEARER * larger):
        return None
    return "epsilon" if epsilon_error < v_error else "v"


def refuse_mismatch(verdict: Verdict) -> None:
    """Nothing, where a base answers as its schedule says, or where its answers tell nothing.

    Raises:
        CheckpointError: where they say otherwise, with both figures and what to do.
    """
    if verdict.seen in (None, verdict.prediction):
        return
    raise CheckpointError(
        f"The base is taken to predict {verdict.prediction}, but {verdict.words}. A LoRA trained that way would draw "
        f"noise. Set base.prediction = '{verdict.seen}'; or, where the base's own scheduler_config.json or metadata "
        "say otherwise, mend them there."
    )
