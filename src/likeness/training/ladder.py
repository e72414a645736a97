"""The ladder: what a run does when memory runs out, a rung at a time, and without learning anything else."""

import gc
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from likeness.errors import OutOfMemory
from likeness.recipe import TrainConfig

__all__ = ["Ladder", "is_out_of_memory"]

T = TypeVar("T")

REFUSALS = ("can't allocate memory", "not enough memory")  # of torch's allocator for the CPU, on Linux and on Windows


class Ladder:
    """How a step is computed so that it fits into memory. Every rung computes the same gradient in another way:

    1. blocks of the denoiser forget what happened inside them, and find it out again for backward: gradient
       checkpointing, the same bits in about a third more time;
    2. a batch is computed in parts of half as many pictures, then of a quarter, down to one: the same pictures, noise
       and timesteps to every step of the optimizer, and the mean over all of them. Sums are rounded in another order.

    Attributes:
        is_checkpointed: whether the first rung is taken.
        microbatch: how many pictures are computed at once.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._tried: list[str] = []
        self.is_checkpointed = config.checkpointing == "blocks"
        self.microbatch = min(config.microbatch or config.batch, config.batch)

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
            say(f"out of memory; from here on, {self._climb(told)}")

    def _climb(self, told: str) -> str:
        """The rung that is taken now, in words."""
        if not self.is_checkpointed and self._config.checkpointing == "auto":
            self.is_checkpointed = True
            rung = "blocks are computed anew for backward (gradient checkpointing: the same result, in more time)"
        elif self.microbatch > 1:
            self.microbatch = math.ceil(self.microbatch / 2)
            rung = (
                f"{self.microbatch} of the {self._config.batch} pictures of a batch are computed at once (a step of "
                "the optimizer is of the same pictures as before)"
            )
        else:
            raise OutOfMemory(self._last_words(told))
        self._tried.append(rung.partition(" (")[0])
        return rung

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
        """How high it was climbed, as a file can hold it."""
        return {"is_checkpointed": int(self.is_checkpointed), "microbatch": self.microbatch}

    def load(self, numbers: Mapping[str, float]) -> None:
        """A run that goes on is computed as it was, so that it ends with the same bytes; or in even smaller parts."""
        self.is_checkpointed |= bool(numbers["is_checkpointed"]) and self._config.checkpointing == "auto"
        self.microbatch = min(self.microbatch, int(numbers["microbatch"]))


def is_out_of_memory(fault: RuntimeError) -> bool:
    """Whether torch had no memory left, on whatever device."""
    return isinstance(fault, torch.OutOfMemoryError) or any(words in str(fault) for words in REFUSALS)
