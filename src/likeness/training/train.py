"""Training: one loop, from encoded pictures to adapter files. Shapes: B batch, D h w latent, T timesteps."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from likeness.diffusion.adapter import Adapter, attach
from likeness.diffusion.blocks import BlockSet, assigned, select
from likeness.diffusion.checkpointing import Checkpointing
from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.files.metadata import LoraMetadata
from likeness.diffusion.lora import Dropout
from likeness.diffusion.prediction import Verdict
from likeness.errors import RecipeError
from likeness.events import Report, silent
from likeness.recipe import TrainConfig
from likeness.records import Checkpoint
from likeness.training.buckets import planned
from likeness.training.data import DataSet, load_data
from likeness.training.ladder import Ladder
from likeness.training.learner import Learner
from likeness.training.ledger import Ledger
from likeness.training.lesson import Lesson
from likeness.training.logbook import MOST_STEPS_UNTOLD, Logbook, Looks
from likeness.training.noise import Noising
from likeness.training.objective import loss_weights
from likeness.training.optimizers import Average, groups_of, new_optimizer, schedule_of, set_rates
from likeness.training.state import Origin, stop_requests
from likeness.training.teacher import Teacher
from likeness.training.verdict import checked_prediction
from likeness.workspace import Run

__all__ = ["prepared", "stepped", "train"]

NOTHING = Looks()


def train(
    cache: Path,
    config: TrainConfig,
    *,
    model: DiffusionModel,
    to: Path,
    seed: int,
    metadata: LoraMetadata,
    looks: Looks = NOTHING,
    report: Report = silent,
) -> list[Checkpoint]:
    """The checkpoints of a run, oldest first; the last is of the last step, or of the one that it was
    ended with. The base is left as it was.

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
        looks: what is looked at on the way; it may end the run before its last step.
        report: told the loss and more, about a hundred times.

    Raises:
        RecipeError: for a block, prediction or precision that this base cannot be trained in.
        WorkspaceError: where the cache is not whole, or `to` cannot be written.
        ResumeError: where the run was started from something else.
        Diverged: where the loss is no longer finite; the last good checkpoint is named.
        OutOfMemory: where a step does not fit into memory however it is computed.
        Interrupted: on SIGINT or SIGTERM, when the state is saved.
    """
    lesson, verdict = prepared(cache, config, model=model, seed=seed)
    learner, data = lesson.learner, lesson.teacher.data
    origin = Origin(
        seed=seed,
        base=model.fingerprint,
        data=data.digest,
        name=metadata.title,
        trigger=metadata.trigger,
        class_words=", ".join(metadata.tags),
        train=config,
    )
    told = replace(metadata, training={**metadata.training, **_settings(origin, data, verdict)})
    book = Logbook(Run(to), origin, learner=learner, metadata=told, looks=looks, report=report)
    try:
        with stop_requests() as stopped:
            book.open()
            for step in range(book.step, config.steps):
                if book.ended:
                    break
                loss = learner.ladder.climbing(partial(lesson.gradient, step), book.say)
                book.note(loss, stepped(learner, config, step))
                book.do_what_is_due(stopping=stopped())
            book.close()
    finally:
        learner.adapter.detach()
    return book.checkpoints


def prepared(cache: Path, config: TrainConfig, *, model: DiffusionModel, seed: int) -> tuple[Lesson, Verdict]:
    """What the steps of a run are computed with, at its beginning, and what the base was seen to predict.

    There is an adapter beside `model` now: detach it in the end.

    Raises:
        RecipeError: for a block, prediction or precision that this base cannot be trained in.
        WorkspaceError: where the cache is not whole.
    """
    data = load_data(cache, model, others=config.preserve_prompts, is_balanced=config.balance == "views")
    noising, weight_T = Noising.of(model.schedule, config), loss_weights(model.schedule, config)
    verdict, precision = checked_prediction(model, data), _precision(config, model)
    learner = _new_learner(config, model, data, seed)
    learner.adapter.train()
    teacher = Teacher(model, learner.adapter, data, config, weight_T.to(model.device))
    cuts = Checkpointing.of(model.denoiser, learner.adapter)
    turns = planned(data.buckets, config.steps * config.accumulate, class_share=config.class_share)
    return Lesson(teacher, learner, noising, cuts, precision, seed, turns), verdict


def _new_learner(config: TrainConfig, model: DiffusionModel, data: DataSet, seed: int) -> Learner:
    adapter, ratios = _attached(config, model, seed)
    average = Average(list(adapter.parameters()), config.ema_decay) if config.ema_decay else None
    optimizer = new_optimizer(groups_of(adapter, ratios, config), config)
    if wake := getattr(optimizer, "train", None):  # schedule-free has a state to learn in, and one to be used in
        wake()
    return Learner(
        adapter,
        optimizer,
        average,
        scaler=torch.amp.GradScaler(model.device.type, enabled=config.dtype == "float16"),
        ledger=Ledger(
            data.paths,
            len(model.schedule),
            recent=MOST_STEPS_UNTOLD * config.accumulate,
            device=model.device,
            own=len(data),
        ),
        ladder=Ladder(config),
        sums=torch.zeros(4, device=model.device),
    )


def stepped(learner: Learner, config: TrainConfig, step: int) -> Tensor:
    """The length of the gradient, when the optimizer has taken its step, counted from 0."""
    learner.scaler.unscale_(learner.optimizer)
    parameters = [parameter for group in learner.optimizer.param_groups for parameter in group["params"]]
    norm = clip_grad_norm_(parameters, config.clip_norm or math.inf)
    set_rates(learner.optimizer, step, config)
    learner.scaler.step(learner.optimizer)
    learner.scaler.update()
    if learner.average:
        learner.average.update(step)
    return norm


def _attached(config: TrainConfig, model: DiffusionModel, seed: int) -> tuple[Adapter, dict[str, float]]:
    """A new adapter on what the recipe names, and the rate of each of its layers as a share of the recipe's."""
    targets, denoiser = model.adapter_targets(), {id(module) for module in model.denoiser.modules()}
    sets = [
        BlockSet(pattern, some.rank, some.alpha, some.learning_rate or None)
        for some in config.adapter_sets()
        for pattern in ((some.blocks,) if isinstance(some.blocks, str) else some.blocks)
    ]
    for some in sets:
        for name in select(targets, some.blocks):
            if id(targets[name]) not in denoiser:
                raise RecipeError(
                    f"train.blocks = {some.blocks!r} names {name}, which is not in the denoiser. Text encoders learn "
                    "where train.text_encoder_rates says so; use names that begin with lora_unet_."
                )
    sets += _text_sets(config, model, targets)
    adapter = attach(
        targets,
        sets,
        seed=seed,
        variant=config.variant,
        init=config.init,
        dropout=Dropout(config.dropout, config.rank_dropout, config.layer_dropout),
    )
    said = assigned(targets, sets)
    return adapter, {name: (some.rate or config.learning_rate) / config.learning_rate for name, some in said.items()}


def _text_sets(config: TrainConfig, model: DiffusionModel, targets: Mapping[str, nn.Module]) -> list[BlockSet]:
    """The layers of each text encoder that learns."""
    rates = config.text_encoder_rates
    if len(rates) > len(model.text_encoders):
        raise RecipeError(
            f"train.text_encoder_rates has {len(rates)} rates, and this base has {len(model.text_encoders)} text "
            "encoder(s). Give one for each."
        )
    sets = []
    for encoder, rate in zip(model.text_encoders, rates, strict=False):
        inside = {id(module) for module in encoder.modules()}
        names = [name for name, module in targets.items() if id(module) in inside] if rate else []
        sets += [BlockSet(name, config.rank, config.alpha, rate) for name in names]
    return sets


def _precision(config: TrainConfig, model: DiffusionModel) -> torch.dtype | None:
    """What a float32 base computes in instead; None where it computes as it is. Refuses what cannot be trained in."""
    base = str(model.dtype).removeprefix("torch.")
    if base == "float16" and config.dtype != "float16":
        raise RecipeError(
            "base.dtype = 'float16' cannot be trained in: gradients underflow. Set 'bfloat16' or 'float32'; or "
            "train.dtype = 'float16' too, which scales losses against that."
        )
    if config.dtype == "float32" and base != "float32":
        raise RecipeError(f"train.dtype = 'float32', but the base is in {base}. Set base.dtype = 'float32' too.")
    if config.dtype == "float16" and base == "bfloat16":
        raise RecipeError("train.dtype = 'float16', but the base is in bfloat16, which needs none of it. Set 'auto'.")
    return getattr(torch, config.dtype) if config.dtype in ("bfloat16", "float16") and base == "float32" else None


def _settings(origin: Origin, data: DataSet, verdict: Verdict) -> dict[str, Any]:
    """How it was trained, under the names that kohya-ss gives it in a file's metadata."""
    config = origin.train
    return {
        "max_train_steps": config.steps,
        "learning_rate": config.learning_rate,
        "lr_scheduler": schedule_of(config),
        "unet_lr": config.learning_rate,
        "text_encoder_lr": list(config.text_encoder_rates),
        "lr_warmup_steps": round(config.steps * config.warmup),
        "optimizer": f"{config.optimizer}(weight_decay={config.weight_decay},betas={config.betas})",
        "gradient_accumulation_steps": config.accumulate,
        "total_batch_size": config.batch,
        "num_train_images": len(data),
        "num_reg_images": len(data.paths) - len(data),
        "enable_bucket": len(data.buckets) > 1,
        "caption_dropout_rate": data.caption_dropout,
        "min_snr_gamma": config.min_snr_gamma if config.weighting == "min-snr" else None,
        "debiased_estimation": config.weighting == "debiased",
        "noise_offset": config.noise_offset or None,
        "multires_noise_iterations": config.multires_noise or None,
        "ip_noise_gamma": config.input_perturbation or None,
        "loss_type": "l2" if config.loss == "mse" else "huber",
        "zero_terminal_snr": verdict.zero_terminal,
        "v_parameterization": verdict.prediction == "v",
        "likeness_probe": {"seen": verdict.seen, "epsilon": verdict.epsilon_error, "v": verdict.v_error},
        "max_grad_norm": config.clip_norm,
        "seed": origin.seed,
    }
