"""The plan of a run: what it would take, measured on its own cache and base, before it is begun."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.quantised import bytes_saved
from likeness.errors import MissingExtra, OutOfMemory
from likeness.events import Event, Report, silent
from likeness.recipe import TrainConfig
from likeness.records import Record
from likeness.training.ladder import Rung, is_out_of_memory, rungs_of
from likeness.training.lesson import Lesson
from likeness.training.meter import peak_of
from likeness.training.optimizers import new_optimizer
from likeness.training.train import prepared, stepped

__all__ = ["Measured", "Plan", "plan"]

CURE = "Set base.quantise = 'int8', base.dtype = 'bfloat16' or a smaller encode.size."


class Measured(Record):
    """A rung of the ladder, as it was measured.

    Attributes:
        is_checkpointed: with gradient checkpointing.
        microbatch: pictures that are computed at once.
        fits: whether memory was enough.
        memory_bytes: at most, while a step was taken: all of a card's, or by how much the process grew; 0 where it does
            not fit.
        seconds: of one step, when another had been taken before; 0 where it does not fit.
    """

    is_checkpointed: bool
    microbatch: int
    fits: bool
    memory_bytes: int
    seconds: float


class Plan(Record):
    """What a run would take.

    Attributes:
        device: that it would be on, "cpu" or "cuda:0".
        device_bytes: what that has in all; 0 where it is not asked: on a CPU.
        dtype: of the base.
        pixels: width and height of what is trained on, px.
        pictures: in the cache.
        batch: pictures to a batch.
        accumulate: batches to a step.
        steps: in all.
        layers: that are trained.
        parameters: numbers in them.
        scales: how many layers act with each alpha / rank, by that number in words.
        blocks: of each part of the denoiser, how many blocks are computed anew under gradient checkpointing, and how
            many there are.
        rungs: the ladder, from what the recipe sets upward; every one is measured.
        seconds: for all steps, on the first rung that fits.
        denoiser_bytes: of its weights.
        moments_bytes: of what the optimizer keeps.
        adamw8bit_bytes: of what adamw8bit would keep instead; 0 where that was not measured.
        quantised_bytes: by how much `base.quantise` makes the weights smaller; 0 where it is set.
        checkpoints: that are saved.
        checkpoint_bytes: of each.
        state_bytes: of the state, of which there is one.
    """

    device: str
    device_bytes: int
    dtype: str
    pixels: tuple[int, int]
    pictures: int
    batch: int
    accumulate: int
    steps: int
    layers: int
    parameters: int
    scales: dict[str, int]
    blocks: dict[str, tuple[int, int]]
    rungs: tuple[Measured, ...]
    seconds: float
    denoiser_bytes: int
    moments_bytes: int
    adamw8bit_bytes: int
    quantised_bytes: int
    checkpoints: int
    checkpoint_bytes: int
    state_bytes: int


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
    model, data, adapter = lesson.teacher.model, lesson.teacher.data, lesson.learner.adapter
    # The highest rung comes first: a process that has grown once does not shrink for certain.
    rungs, found = rungs_of(config), list[Measured]()
    for number, rung in enumerate(reversed(rungs), start=1):
        found.append(_measured(lesson, rung))
        report(Event(stage="plan", done=number, total=len(rungs), numbers={"seconds": found[-1].seconds}))
    fitting = [one for one in reversed(found) if one.fits]
    if not fitting:
        raise OutOfMemory(f"Not one picture at a time fits into the memory of {model.device}. {CURE}")
    high, wide = (side * model.pixels_per_latent for side in data.mean_PDhw.shape[-2:])  # of each bucket, one day
    tensors = adapter.state_dict().values()
    return Plan(
        device=str(model.device),
        device_bytes=torch.cuda.get_device_properties(model.device).total_memory if model.device.type == "cuda" else 0,
        dtype=str(model.dtype).removeprefix("torch."),
        pixels=(wide, high),
        pictures=len(data),
        batch=config.batch,
        accumulate=config.accumulate,
        steps=config.steps,
        layers=len(adapter.layers),
        parameters=sum(parameter.numel() for parameter in adapter.parameters()),
        scales=dict(Counter(f"{layer.scale:g}" for layer in adapter.layers.values())),
        blocks=_cut(lesson),
        rungs=tuple(reversed(found)),
        seconds=fitting[0].seconds * config.steps,
        denoiser_bytes=_bytes(model.denoiser.state_dict().values()),
        moments_bytes=_moments(lesson.learner.optimizer),
        adamw8bit_bytes=_moments_in_8_bits(lesson, config),
        quantised_bytes=bytes_saved(model.denoiser),
        checkpoints=math.ceil(config.steps / config.save_every) if config.save_every else 1,
        checkpoint_bytes=sum(t.numel() for t in tensors) * getattr(torch, config.save_dtype).itemsize,
        state_bytes=_bytes(lesson.learner.tensors().values()),
    )


def _measured(lesson: Lesson, rung: Rung) -> Measured:
    """A rung, by two of its steps: the first warms up, the second is timed."""
    lesson.learner.ladder.rung = rung
    device, seconds = lesson.teacher.model.device, list[float]()

    def act() -> None:
        for _ in range(2):
            started = time.perf_counter()
            lesson.gradient(0)
            stepped(lesson.learner, lesson.teacher.config, 0)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds.append(time.perf_counter() - started)

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
        lesson.gradient(0)
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
