"""The plan of a run: what it would take, measured on its own cache and base, before it is begun."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.quantised import bytes_saved
from likeness.errors import MissingExtra, OutOfMemory
from likeness.events import Event, Report, silent
from likeness.recipe import TrainConfig
from likeness.training.buckets import Turn
from likeness.training.estimate import Measured, Plan, Shape
from likeness.training.ladder import Rung, is_out_of_memory, rungs_of
from likeness.training.lesson import Lesson
from likeness.training.meter import peak_of
from likeness.training.optimizers import new_optimizer
from likeness.training.train import prepared, stepped

__all__ = ["plan"]

CURE = "Set base.quantise = 'int8', base.dtype = 'bfloat16' or a smaller encode.size."


def plan(cache: Path, config: TrainConfig, *, model: DiffusionModel, seed: int, report: Report = silent) -> Plan:
    """What training would take: some steps are taken on every rung of the ladder, and nothing is written.

    Args:
        cache: the folder that `encode` made.
        config: of training.
        model: the base, with no adapter beside it; it is left as it was.
        seed: of the recipe.
        report: told of each rung.

    Raises:
        OutOfMemory: where no rung fits.
        LikenessError: what training itself would raise before its first step.
    """
    lesson, _ = prepared(cache, config, model=model, seed=seed)
    try:
        return _planned(lesson, config, report)
    finally:
        lesson.learner.adapter.detach()


def _planned(lesson: Lesson, config: TrainConfig, report: Report) -> Plan:
    model, adapter = lesson.teacher.model, lesson.learner.adapter
    largest = max(range(len(lesson.teacher.data.buckets)), key=partial(_area, lesson))
    # The highest rung comes first: a process that has grown once does not shrink for certain.
    rungs, found = rungs_of(config), list[Measured]()
    for number, rung in enumerate(reversed(rungs), start=1):
        found.append(_measured(_of_bucket(lesson, largest), rung))
        report(Event(stage="plan", done=number, total=len(rungs), numbers={"seconds": found[-1].seconds}))
    fitting = [one for one in reversed(found) if one.fits]
    if not fitting:
        raise OutOfMemory(f"Not one picture at a time fits into the memory of {model.device}. {CURE}")
    lesson.learner.ladder.rung = Rung(fitting[0].is_checkpointed, fitting[0].microbatch)
    shapes = [
        _shape(lesson, place, fitting[0] if place == largest else None)
        for place, _ in enumerate(lesson.teacher.data.buckets)
    ]
    tensors = adapter.state_dict().values()
    return Plan(
        device=str(model.device),
        device_bytes=torch.cuda.get_device_properties(model.device).total_memory if model.device.type == "cuda" else 0,
        dtype=str(model.dtype).removeprefix("torch."),
        shapes=tuple(shapes),
        batch=config.batch,
        accumulate=config.accumulate,
        steps=config.steps,
        layers=len(adapter.layers),
        parameters=sum(parameter.numel() for parameter in adapter.parameters()),
        scales=dict(Counter(f"{layer.scale:g}" for layer in adapter.layers.values())),
        blocks=_cut(lesson),
        rungs=tuple(reversed(found)),
        seconds=sum(shape.batches * shape.seconds for shape in shapes) / config.accumulate,
        denoiser_bytes=_bytes(model.denoiser.state_dict().values()),
        moments_bytes=_moments(lesson.learner.optimizer),
        adamw8bit_bytes=_moments_in_8_bits(lesson, config),
        quantised_bytes=bytes_saved(model.denoiser),
        checkpoints=(math.ceil(config.steps / config.save_every) if config.save_every else 1) + 1,
        checkpoint_bytes=sum(t.numel() for t in tensors) * getattr(torch, config.save_dtype).itemsize,
        state_bytes=_bytes(lesson.learner.tensors().values()),
    )


def _of_bucket(lesson: Lesson, place: int) -> Lesson:
    """The lesson as if all batches were of one bucket."""
    return replace(lesson, turns=[Turn(place, number) for number in range(lesson.teacher.config.accumulate)])


def _area(lesson: Lesson, place: int) -> int:
    return lesson.teacher.data.buckets[place].mean_MDhw[0, 0].numel()


def _shape(lesson: Lesson, place: int, known: Measured | None) -> Shape:
    """A bucket, timed on the rung that the ladder is at, unless its time is known."""
    bucket = lesson.teacher.data.buckets[place]
    height, width = (side * lesson.teacher.model.pixels_per_latent for side in bucket.mean_MDhw.shape[-2:])
    return Shape(
        width=width,
        height=height,
        pictures=len(bucket.pictures_P),
        is_class=bucket.is_class,
        batches=sum(turn.bucket == place for turn in lesson.turns),
        seconds=known.seconds if known else _two_steps(_of_bucket(lesson, place)),
    )


def _two_steps(lesson: Lesson) -> float:
    """The seconds of a step, when another one has warmed up."""
    device, seconds = lesson.teacher.model.device, 0.0
    for _ in range(2):
        started = time.perf_counter()
        lesson.gradient(0)
        stepped(lesson.learner, lesson.teacher.config, 0)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - started
    return seconds


def _measured(lesson: Lesson, rung: Rung) -> Measured:
    """A rung, by two of its steps: the first warms up, the second is timed."""
    lesson.learner.ladder.rung = rung
    device, seconds = lesson.teacher.model.device, list[float]()

    def act() -> None:
        seconds.append(_two_steps(lesson))

    said = {"is_checkpointed": rung.is_checkpointed, "microbatch": rung.microbatch}
    try:
        return Measured(**said, fits=True, memory_bytes=peak_of(act, device), seconds=seconds[-1])
    except RuntimeError as fault:
        if not is_out_of_memory(fault):
            raise
    return Measured(**said, fits=False, memory_bytes=0, seconds=0)


def _cut(lesson: Lesson) -> dict[str, tuple[int, int]]:
    """Of each part of the denoiser: how many blocks gradient checkpointing computes anew, and how many there are."""
    lesson.learner.ladder.rung = Rung(False, 1)
    with lesson.checkpointing.on() as cut:
        _of_bucket(lesson, 0).gradient(0)
    parts = [_part(name) for name in lesson.checkpointing.blocks]
    anew = Counter(map(_part, cut))
    return {part: (anew[part], count) for part, count in sorted(Counter(parts).items())}


def _part(block: str) -> str:
    """ "up_blocks.1" of "up_blocks.1.attentions.0.transformer_blocks.0"."""
    words = block.split(".")
    return words[0] if words[0] == "mid_block" else ".".join(words[:2])


def _moments_in_8_bits(lesson: Lesson, config: TrainConfig) -> int:
    """What adamw8bit would keep; 0 where it is not adamw that it would replace, or is not installed."""
    if config.optimizer != "adamw":
        return 0
    groups = [(group["params"], group["ratio"]) for group in lesson.learner.optimizer.param_groups]
    try:
        smaller = new_optimizer(groups, config.model_copy(update={"optimizer": "adamw8bit"}))
    except MissingExtra:
        return 0
    smaller.step()  # the parameters have a gradient, and are thrown away
    return _moments(smaller)


def _moments(optimizer: torch.optim.Optimizer) -> int:
    return _bytes(value for kept in optimizer.state.values() for value in _tensors(kept))


def _tensors(kept: Mapping[str, object]) -> list[Tensor]:
    return [value for value in kept.values() if isinstance(value, Tensor)]


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
