"""What a run would take, as records: its shapes, the rungs of its ladder, its time and its disk."""

from likeness.records import Record

__all__ = ["Measured", "Plan", "Shape"]


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


class Shape(Record):
    """A bucket of pictures, as its step was measured.

    Attributes:
        width: px.
        height: px.
        pictures: in it.
        is_class: whether they are of the character's class.
        batches: of the run, that are of it.
        seconds: of a step of such batches, on the first rung that fits.
    """

    width: int
    height: int
    pictures: int
    is_class: bool
    batches: int
    seconds: float


class Plan(Record):
    """What a run would take.

    Attributes:
        device: that it would be on, "cpu" or "cuda:0".
        device_bytes: what that has in all; 0 where it is not asked: on a CPU.
        dtype: of the base.
        shapes: that pictures are trained in.
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
        checkpoints: files that are saved: the last one under the character's name too.
        checkpoint_bytes: of each.
        state_bytes: of the state, of which there is one.
    """

    device: str
    device_bytes: int
    dtype: str
    shapes: tuple[Shape, ...]
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
