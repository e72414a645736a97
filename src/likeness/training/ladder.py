"""The ladder: what a run does when memory runs out, a rung at a time, and without learning anything else."""

import gc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from likeness.errors import OutOfMemory
from likeness.recipe import TrainConfig

__all__ = ["Ladder", "Rung", "is_out_of_memory", "rungs_of"]

T = TypeVar("T")

REFUSALS = ("can't allocate memory", "not enough memory")  # of torch's allocator for the CPU, on Linux and on Windows


@dataclass(frozen=True, slots=True)
class Rung:
    """A way of computing a step. All of them compute the same gradient.

    Attributes:
        is_checkpointed: blocks of the denoiser forget what happened inside them, and find it out again for backward:
            gradient checkpointing, the same bits in about a third more time.
        microbatch: how many pictures of a batch are computed at once. A step of the optimizer is of the same pictures,
            noise and timesteps whatever that is, and of the mean over all of them; sums are rounded in another order.
    """

    is_checkpointed: bool
    microbatch: int

    @classmethod
    def of(cls, config: TrainConfig) -> "Rung":
        """As the recipe sets it."""
        return cls(config.checkpointing == "blocks", min(config.microbatch or config.batch, config.batch))

    def above(self, config: TrainConfig) -> "Rung | None":
        """The next one, which takes less memory; None at the end."""
        if not self.is_checkpointed and config.checkpointing == "auto":
            return Rung(True, self.microbatch)
        return Rung(self.is_checkpointed, math.ceil(self.microbatch / 2)) if self.microbatch > 1 else None


def rungs_of(config: TrainConfig) -> list[Rung]:
    """Every rung, from what the recipe sets upward."""
    rungs = [Rung.of(config)]
    while rung := rungs[-1].above(config):
        rungs.append(rung)
    return rungs


class Ladder:
    """Where a run stands on its ladder.

    Attributes:
        rung: how steps are computed now.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.rung = Rung.of(config)
        self._config = config
        self._tried: list[str] = []

    def climbing(self, attempt: Callable[[], T], say: Callable[[str], None]) -> T:
        """What `attempt` answers, tried again one rung higher each time that memory runs out.

        Args:
            attempt: may be repeated after it was cut off anywhere.
            say: told of each rung.

        Raises:
            OutOfMemory: where there is no rung left.
        """
        while True:
            try:
                return attempt()
            except RuntimeError as fault:
                if not is_out_of_memory(fault):
                    raise
                told = str(fault).partition("\n")[0].rstrip(".")
            # Only here: the fault's traceback held all that the attempt had made.
            gc.collect()
            torch.cuda.empty_cache()
            higher = self.rung.above(self._config)
            if higher is None:
                raise OutOfMemory(self._last_words(told))
            say(f"out of memory; from here on {self._step_to(higher)}")

    def _step_to(self, higher: Rung) -> str:
        """What is done from now on, in words."""
        if higher.is_checkpointed != self.rung.is_checkpointed:
            done, why = "blocks are computed anew for backward", "gradient checkpointing: the same result, in more time"
        else:
            done = f"{higher.microbatch} of the {self._config.batch} pictures of a batch are computed at once"
            why = "a step of the optimizer is of the same pictures as before"
        self.rung = higher
        self._tried.append(done)
        return f"{done} ({why})"

    def _last_words(self, told: str) -> str:
        config = self._config
        tried = f" Tried: {'; '.join(self._tried)}." if self._tried else ""
        advice = [
            (config.checkpointing == "none", "train.checkpointing = 'auto'"),
            (any(config.text_encoder_rates), "train.text_encoder_rates = [] (text encoders stay as they are)"),
            (True, "base.quantise = 'int8' (a byte for each weight of the base's linear layers)"),
            (True, "base.dtype = 'bfloat16' (half of float32)"),
            (config.blocks != "upper", "train.blocks = 'upper' (no backward below)"),
            (config.optimizer == "adamw", "train.optimizer = 'adamw8bit' (a quarter of adamw's memory)"),
            (True, "encode.size, smaller pictures"),
        ]
        return (
            f"Memory ran out, one picture at a time: {told}.{tried} What is left to set by hand, in this order: "
            f"{'; '.join(words for is_left, words in advice if is_left)}. Or close what else uses this device. "
            "`likeness train --plan` measures a step without training."
        )

    def numbers(self) -> dict[str, int]:
        """The rung, as a file can hold it."""
        return {"is_checkpointed": int(self.rung.is_checkpointed), "microbatch": self.rung.microbatch}

    def load(self, numbers: Mapping[str, float]) -> None:
        """A run that goes on is computed as it was, so that it ends with the same bytes; or in even smaller parts."""
        was_checkpointed = bool(numbers["is_checkpointed"]) and self._config.checkpointing == "auto"
        microbatch = min(self.rung.microbatch, int(numbers["microbatch"]))
        self.rung = Rung(self.rung.is_checkpointed or was_checkpointed, microbatch)


def is_out_of_memory(fault: RuntimeError) -> bool:
    """Whether torch had no memory left, on whatever device."""
    return isinstance(fault, torch.OutOfMemoryError) or any(words in str(fault) for words in REFUSALS)
