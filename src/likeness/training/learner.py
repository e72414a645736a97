"""The learner: all that changes from step to step, as tensors and numbers that a file can hold."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from likeness.diffusion.adapter import Adapter
from likeness.diffusion.files.conversion import by_layer
from likeness.training.ladder import Ladder
from likeness.training.ledger import Ledger
from likeness.training.optimizers import Average

__all__ = ["Learner", "Number"]

Number = float | int | bool


@dataclass(frozen=True, slots=True)
class Learner:
    """What changes from step to step.

    Attributes:
        adapter: what is trained.
        optimizer: its moments.
        average: the running average of the adapter, where there is one.
        scaler: of losses, where they are computed in float16.
        ledger: of losses by picture.
        ladder: how a step is made to fit into memory.
        sums: what is measured and not yet told, on the device.
    """

    adapter: Adapter
    optimizer: torch.optim.Optimizer
    average: Average | None
    scaler: torch.amp.GradScaler
    ledger: Ledger
    ladder: Ladder
    sums: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of it that is a tensor, by name, on the CPU, as it is now."""
        named = {f"adapter.{name}": tensor for name, tensor in self.adapter.state_dict().items()}
        named |= {name: value for name, value in self._moments().items() if isinstance(value, Tensor)}
        averages = self.average.tensors if self.average else []
        named |= {f"average.{index}": tensor for index, tensor in enumerate(averages)}
        named |= {"sums": self.sums, "ledger": self.ledger.sums_2PL}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in named.items()}

    def numbers(self) -> dict[str, Number]:
        """All of it that is a number, by name: what an optimizer found out, how far a scaler has come."""
        told = self.optimizer.state_dict()
        named = {f"group.{index}.{name}": value for index, group in enumerate(told["param_groups"])
                 for name, value in group.items()}  # fmt: skip
        named |= self._moments()
        named |= {f"scaler.{name}": value for name, value in self.scaler.state_dict().items()}
        named |= {f"ladder.{name}": value for name, value in self.ladder.numbers().items()}
        return {name: value for name, value in named.items() if _is_kept(value)}

    def _moments(self) -> dict[str, Any]:
        """What the optimizer keeps of each parameter; bitsandbytes folds some of it into a table of its own."""
        named: dict[str, Any] = {}
        for index, moments in self.optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                for inner, part in value.items() if isinstance(value, dict) else ((name, value),):
                    named[f"optimizer.{index}.{inner}"] = part
        return named

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Number]) -> None:
        """It is as it was when `tensors` and `numbers` were taken."""
        of = by_layer({**tensors, **numbers})
        self.adapter.load(of["adapter"])
        moments = {int(index): kept for index, kept in by_layer(of.get("optimizer", {})).items()}
        groups = self.optimizer.state_dict()["param_groups"]
        for index, fields in by_layer(of.get("group", {})).items():
            groups[int(index)].update(fields)
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        for index, average in enumerate(self.average.tensors if self.average else []):
            average.copy_(of["average"][str(index)])
        if of.get("scaler"):
            self.scaler.load_state_dict(of["scaler"])
        if of.get("ladder"):  # not in states of before there was one
            self.ladder.load(of["ladder"])
        self.ledger.sums_2PL.copy_(tensors["ledger"])
        self.sums.copy_(tensors["sums"])

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """The adapter as it is to be used: nothing left out, and with its running average in its place.

        Afterwards it is to the bit as before.
        """
        free: Any = self.optimizer if hasattr(self.optimizer, "eval") else None
        parameters = list(self.adapter.parameters())
        kept = [parameter.detach().clone() for parameter in parameters] if free else []
        is_learning = self.adapter.training
        self.adapter.eval()
        if free:
            free.eval()
        if self.average:
            self.average.swap()
        try:
            yield
        finally:
            if self.average:
                self.average.swap()
            if free:
                free.train()
                for parameter, before in zip(parameters, kept, strict=True):
                    parameter.data.copy_(before)
            self.adapter.train(is_learning)


def _is_kept(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
