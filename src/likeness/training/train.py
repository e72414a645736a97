"""Training: one loop, from encoded pictures to adapter files. Shapes: B batch, D h w latent, T timesteps."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.lora import Adapter, BlockSet, attach, select
from likeness.diffusion.metadata import LoraMetadata
from likeness.errors import RecipeError
from likeness.events import Report, silent
from likeness.recipe import TrainConfig
from likeness.records import Checkpoint
from likeness.training.batches import Batch, DataSet, draw, load_data
from likeness.training.logbook import Logbook
from likeness.training.objective import denoising_loss, min_snr_weight
from likeness.training.optimizers import Average, adamw, rate_at
from likeness.training.state import Learner, Origin, stop_requests
from likeness.workspace import Run

__all__ = ["train"]


def train(
    cache: Path,
    config: TrainConfig,
    *,
    model: DiffusionModel,
    to: Path,
    seed: int,
    metadata: LoraMetadata,
    strip: Callable[[int], None] | None = None,
    report: Report = silent,
) -> list[Checkpoint]:
    """The checkpoints of a run, oldest first; the last is of the last step. The base is left as it was.

    The last one lies in the run's folder under the character's name too.

    A run that has a saved state in `to` goes on from there, and ends with the very bytes of one that never stopped (on
    the same machine with the same libraries).

    Args:
        cache: the folder that `encode` made.
        config: of this stage.
        model: the base, with no adapter beside it.
        to: the run's folder, `runs/0001` of a workspace.
        seed: of the recipe.
        metadata: what every file says about itself, the character's name as its title; how it was trained is added.
        strip: draws samples with `model`, which has the adapter beside it; called with the number of steps done.
        report: told the loss and more, about a hundred times.

    Raises:
        RecipeError: for a block, prediction or precision that this base cannot be trained in.
        WorkspaceError: where the cache is not whole, or `to` cannot be written.
        ResumeError: where the run was started from something else.
        Diverged: where the loss is no longer finite; the last good checkpoint is named.
        Interrupted: on SIGINT or SIGTERM, when the state is saved.
    """
    data = load_data(cache, model, others=config.preserve_prompts)
    weight_T, mixed = _weights(config, model), _is_mixed(config, model)
    adapter = _attached(config, model, seed)
    parameters = list(adapter.parameters())
    average = Average(parameters, config.ema_decay) if config.ema_decay else None
    learner = Learner(adapter, adamw(parameters, config), average, torch.zeros(4, device=model.device))
    origin = Origin(
        seed=seed,
        base=model.fingerprint,
        data=data.digest,
        name=metadata.title,
        trigger=metadata.trigger,
        class_words=", ".join(metadata.tags),
        train=config,
    )
    told = replace(metadata, training={**metadata.training, **_settings(origin, data)})
    book = Logbook(Run(to), origin, learner=learner, metadata=told, strip=strip, report=report)
    try:
        with stop_requests() as stopped:
            book.open()
            for step in range(book.step, config.steps):
                batch = draw(data, model.schedule, config.batch, seed=seed, step=step)
                with torch.autocast(model.device.type, torch.bfloat16, enabled=mixed):
                    loss = _loss(model, adapter, data, batch, weight_T=weight_T, kept=_kept(config, step))
                learner.optimizer.zero_grad()
                loss.backward()
                norm = clip_grad_norm_(parameters, config.clip_norm or math.inf)
                learner.optimizer.param_groups[0]["lr"] = rate_at(step, config)
                learner.optimizer.step()
                if average:
                    average.update(step)
                book.note(loss.detach(), norm)
                book.do_what_is_due(stopping=stopped())
            book.close()
    finally:
        adapter.detach()
    return book.checkpoints


def _loss(
    model: DiffusionModel, adapter: Adapter, data: DataSet, batch: Batch, *, weight_T: Tensor, kept: int
) -> Tensor:
    """The loss of a batch. In its last `kept` places stand its first pictures again, with the same noise but without
    the trigger: there, what the base itself answers is to stay.
    """
    schedule, t_B, told_B = model.schedule, batch.t_B, batch.told_B
    noisy_BDhw = schedule.add_noise(batch.clean_BDhw, batch.noise_BDhw, t_B)
    target_BDhw = schedule.target(batch.clean_BDhw, batch.noise_BDhw, t_B)
    if kept:
        same_BDhw, same_B, bare_B = noisy_BDhw[:kept], t_B[:kept], batch.bare_B[:kept]
        with torch.no_grad():
            adapter.weight = 0.0
            own_BDhw = model.predict(same_BDhw, same_B, data.conditioning[bare_B])
            adapter.weight = 1.0
        noisy_BDhw, t_B = torch.cat([noisy_BDhw[:-kept], same_BDhw]), torch.cat([t_B[:-kept], same_B])
        target_BDhw = torch.cat([target_BDhw[:-kept], own_BDhw.to(target_BDhw.dtype)])
        told_B = torch.cat([told_B[:-kept], bare_B])
    output_BDhw = model.predict(noisy_BDhw, t_B, data.conditioning[told_B])
    return denoising_loss(output_BDhw, target_BDhw, weight_T[t_B])


def _kept(config: TrainConfig, step: int) -> int:
    """How many places of a step's batch preserve the base: `config.preserve` of all, over any run of steps."""
    share = config.batch * config.preserve
    return math.floor((step + 1) * share) - math.floor(step * share)


def _attached(config: TrainConfig, model: DiffusionModel, seed: int) -> Adapter:
    """A new adapter on what the recipe names."""
    targets, trained = model.adapter_targets(), {id(module) for module in model.denoiser.modules()}
    sets = [
        BlockSet(pattern, some.rank, some.alpha)
        for some in config.adapter_sets()
        for pattern in ((some.blocks,) if isinstance(some.blocks, str) else some.blocks)
    ]
    for block_set in sets:
        for name in select(targets, block_set.blocks):
            if id(targets[name]) not in trained:
                raise RecipeError(
                    f"train.blocks = {block_set.blocks!r} names {name}, which is not in the denoiser: its answers are "
                    "encoded once, before training, so it cannot learn. Use names that begin with lora_unet_."
                )
    return attach(targets, sets, seed=seed)


def _weights(config: TrainConfig, model: DiffusionModel) -> Tensor:
    """The loss weight of every timestep, float32, on the model's device: looked up, so that no step waits for it."""
    schedule, asked = model.schedule, config.prediction
    if asked not in ("auto", schedule.prediction):
        raise RecipeError(
            f"train.prediction = {asked!r}, but this base predicts {schedule.prediction!r} by its own configuration. "
            "Leave it at 'auto'; or, if that is wrong, mend prediction_type in the base's scheduler_config.json."
        )
    if config.min_snr_gamma == 0:
        return torch.ones(len(schedule), device=model.device)
    try:
        return min_snr_weight(schedule, torch.arange(len(schedule), device=model.device), config.min_snr_gamma)
    except ValueError as fault:
        raise RecipeError(
            f"train.min_snr_gamma = {config.min_snr_gamma:g} cannot be: this base predicts epsilon, and its last step "
            "is pure noise, where the weight has no bound. Set it to 0."
        ) from fault


def _is_mixed(config: TrainConfig, model: DiffusionModel) -> bool:
    """Whether a float32 base computes in bfloat16; refuses what cannot be trained in."""
    base = str(model.dtype).removeprefix("torch.")
    if base == "float16":
        raise RecipeError(
            "base.dtype = 'float16' cannot be trained in: gradients underflow. Set 'bfloat16' or 'float32'."
        )
    if config.dtype == "float32" and base != "float32":
        raise RecipeError(f"train.dtype = 'float32', but the base is in {base}. Set base.dtype = 'float32' too.")
    return config.dtype == "bfloat16" and base == "float32"


def _settings(origin: Origin, data: DataSet) -> dict[str, Any]:
    """How it was trained, under the names that kohya-ss gives it in a file's metadata."""
    config = origin.train
    return {
        "max_train_steps": config.steps,
        "learning_rate": config.learning_rate,
        "lr_scheduler": config.schedule,
        "lr_warmup_steps": round(config.steps * config.warmup),
        "optimizer": f"torch.optim.AdamW(weight_decay={config.weight_decay},betas={config.betas})",
        "total_batch_size": config.batch,
        "num_train_images": len(data),
        "caption_dropout_rate": data.caption_dropout,
        "min_snr_gamma": config.min_snr_gamma,
        "max_grad_norm": config.clip_norm,
        "seed": origin.seed,
    }
