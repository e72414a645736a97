"""Pictures from a base, with or without an adapter. Shapes: B batch, D h w latent, C H W picture."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import diffusers
import torch
from torch import Tensor

from likeness.diffusion.family import Conditioning, DiffusionModel
from likeness.errors import RecipeError
from likeness.events import Event, Report, silent
from likeness.images import Pixels

__all__ = ["sample", "samplers"]

samplers: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "dpm++": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "dpm++-karras": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
}
"""The scheduler of diffusers that each sampler is, and what is set on it beside the base's own configuration."""

DECODED_AT_ONCE = 1 << 20  # px; a decoder needs about 3 kB per pixel in float32


@torch.no_grad()
def sample(  # noqa: PLR0913 - what a person sets when they ask for pictures
    model: DiffusionModel,
    prompts: Sequence[str],
    *,
    seeds: Sequence[int],
    steps: int,
    guidance: float,
    width: int,
    height: int,
    negative: str = "",
    sampler: str = "ddim",
    guidance_rescale: float = 0.0,
    batch: int = 8,
    report: Report = silent,
) -> list[Pixels]:
    """A picture per prompt. Its noise is drawn from its own seed, and its prompt is not padded to its neighbours', so
    that it is the same in any batch (but for the last bit or two of float arithmetic).

    Args:
        model: the base, with whatever adapter stands beside its layers.
        prompts: one per picture.
        seeds: one per picture.
        steps: of the sampler.
        guidance: how far to go from what `negative` describes; at 1 or less the base follows the prompt alone, and
            works half as much.
        width: px, a multiple of the base's pixels per latent.
        height: px, likewise.
        negative: what to go away from.
        sampler: a name in `samplers`.
        guidance_rescale: how much of the contrast that guidance adds is taken back, in [0, 1].
        batch: pictures made at once; memory grows with it.

    Raises:
        RecipeError: for a sampler that is not known, or a size or number of steps that cannot be.

    Sources: Ho and Salimans 2022, https://arxiv.org/abs/2207.12598, for guidance; Lin et al. 2023,
    https://arxiv.org/abs/2305.08891, section 3.4, for taking its contrast back.
    """
    assert len(prompts) == len(seeds), "a seed per prompt"
    _check(model, sampler, steps, (width, height))
    shape = (1, model.latent_channels, height // model.pixels_per_latent, width // model.pixels_per_latent)
    pictures: dict[int, Pixels] = {}
    for rows, chunks in _batches(model, prompts, negative, batch):
        generators = [torch.Generator().manual_seed(seeds[row]) for row in rows]
        noise_BDhw = torch.cat([torch.randn(shape, generator=generator) for generator in generators])
        told = model.encode_prompts([negative, *(prompts[row] for row in rows)], chunks=chunks)
        scheduler = _scheduler(model, sampler, steps)
        latents_BDhw = _denoise(
            model, scheduler, told, noise_BDhw, guidance=guidance, rescale=guidance_rescale, generators=generators
        )
        pictures.update(zip(rows, _pictures(model, latents_BDhw), strict=True))
        report(Event(stage="sample", done=len(pictures), total=len(prompts)))
    return [pictures[row] for row in range(len(prompts))]


def _check(model: DiffusionModel, sampler: str, steps: int, size: tuple[int, int]) -> None:
    if sampler not in samplers:
        raise RecipeError(f"sample.sampler = {sampler!r} is not known. Use one of {', '.join(samplers)}.")
    if not 1 <= steps <= len(model.schedule):
        raise RecipeError(f"sample.steps = {steps} cannot be: this base has steps from 1 to {len(model.schedule)}.")
    for name, side in zip(("width", "height"), size, strict=True):
        if side < 1 or side % model.pixels_per_latent:
            raise RecipeError(f"sample.{name} = {side} cannot be: use a multiple of {model.pixels_per_latent} px.")


def _batches(
    model: DiffusionModel, prompts: Sequence[str], negative: str, batch: int
) -> Iterator[tuple[list[int], int]]:
    """Rows that are made together, and the windows of text that each of them takes."""
    least = model.count_chunks(negative)
    chunks = [max(least, model.count_chunks(prompt)) for prompt in prompts]
    for count in sorted(set(chunks)):
        alike = [row for row, own in enumerate(chunks) if own == count]
        for first in range(0, len(alike), batch):
            yield alike[first : first + batch], count


def _scheduler(model: DiffusionModel, sampler: str, steps: int) -> Any:
    """The sampler's scheduler as the base's own configuration says, prediction and zero-terminal noise included."""
    name, own = samplers[sampler]
    kind = getattr(diffusers, name)
    known = inspect.signature(kind).parameters
    config = {key: value for key, value in model.schedule.config.items() if key in known}
    if config.get("rescale_betas_zero_snr"):
        config["timestep_spacing"] = "trailing"  # else the step of pure noise is never visited
    scheduler = kind(**config, **own)
    scheduler.set_timesteps(steps, device=model.device)
    return scheduler


def _denoise(
    model: DiffusionModel,
    scheduler: Any,
    told: Conditioning,
    noise_BDhw: Tensor,
    *,
    guidance: float,
    rescale: float,
    generators: list[torch.Generator],
) -> Tensor:
    """Scaled latents, float32. `told` has the negative prompt in its first row, then a row per picture."""
    count, guided = len(noise_BDhw), guidance > 1
    height, width = (side * model.pixels_per_latent for side in noise_BDhw.shape[-2:])
    sizes_16 = torch.tensor([[height, width, 0, 0, height, width]], device=model.device)
    conditioning = Conditioning.cat([told[[0] * count], told[1:]]) if guided else told[1:]
    takes_noise = "generator" in inspect.signature(scheduler.step).parameters
    options = {"generator": generators} if takes_noise else {}
    latents_BDhw = noise_BDhw.to(model.device) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        shown_BDhw = scheduler.scale_model_input(latents_BDhw, t)
        if guided:
            shown_BDhw = torch.cat([shown_BDhw, shown_BDhw])
        rows = len(shown_BDhw)
        answer_BDhw = model.predict(shown_BDhw, t.expand(rows), conditioning, sizes_16.expand(rows, 6)).float()
        if guided:
            answer_BDhw = _guided(*answer_BDhw.chunk(2), guidance, rescale)
        latents_BDhw = scheduler.step(answer_BDhw, t, latents_BDhw, **options).prev_sample
    return latents_BDhw


def _guided(without_BDhw: Tensor, with_BDhw: Tensor, strength: float, rescale: float) -> Tensor:
    """The answer with the prompt, driven away from the one without it."""
    answer_BDhw = without_BDhw + strength * (with_BDhw - without_BDhw)
    if not rescale:
        return answer_BDhw
    of_each = {"dim": (1, 2, 3), "keepdim": True}
    calmed_BDhw = answer_BDhw * (with_BDhw.std(**of_each) / answer_BDhw.std(**of_each))
    return rescale * calmed_BDhw + (1 - rescale) * answer_BDhw


def _pictures(model: DiffusionModel, latents_BDhw: Tensor) -> list[Pixels]:
    side = model.pixels_per_latent
    at_once = max(1, DECODED_AT_ONCE // (latents_BDhw[0, 0].numel() * side * side))
    pixels = [model.decode_latents(some_BDhw) for some_BDhw in latents_BDhw.split(at_once)]
    levels_BHWC = (torch.cat(pixels) / 2 + 0.5).clamp(0, 1).mul(255).round().permute(0, 2, 3, 1)
    return list(levels_BHWC.to("cpu", torch.uint8).contiguous().numpy())
