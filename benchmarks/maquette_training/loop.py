"""One training loop for all of the maquette's parts: bfloat16 where it helps, EMA, saved state that resumes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn

from maquette_training.muon import Muon

MOMENTS = ("momentum", "exp_avg", "exp_avg_sq")  # what the optimizers remember of each parameter
__all__ = ["average_gradients", "load_average", "steps_done", "train_part"]


def rate_at(done: float, *, warm: float = 0.01, decay: float = 0.25) -> float:
    """Share of the peak rate after a share `done` of the steps: warm-up, plateau, straight decay to nothing."""
    return min(1.0, done / warm, (1 - done) / decay)


def train_part(  # noqa: PLR0913 - a script's own loop
    model: nn.Module,
    loss_of: Callable[[], Tensor],
    folder: Path,
    *,
    steps: int,
    peak: float,
    average: float = 0.999,
    report: Callable[[int], str] = lambda step: "",
    every: int = 500,
    share_gradients: Callable[[list[Tensor]], None] = lambda parameters: None,
    leads: bool = True,
) -> None:
    """Run `steps` of Muon and AdamW on `loss_of()`; leave the averaged weights in the model.

    State goes to `folder` every `every` steps through a rename, and is taken up from there. A finished part returns.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    averaged = {name: p.detach().clone() for name, p in parameters.items()}
    optimizers = _optimizers(parameters, peak)
    first = _resume(folder, model, averaged, optimizers)
    started, total, count = time.monotonic(), 0.0, 0
    for step in range(first, steps):
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = group["peak"] * rate_at((step + 1) / steps)
        loss = loss_of()
        loss.backward()
        share_gradients(list(parameters.values()))
        nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            share = min(average, (step + 1) / (step + 10))
            for name, p in parameters.items():
                averaged[name].lerp_(p, 1 - share)
        total, count = total + float(loss.detach()), count + 1
        if leads and ((step + 1) % every == 0 or step + 1 == steps):
            _save(folder, step + 1, model, averaged, optimizers)
            pace = (step + 1 - first) / (time.monotonic() - started)
            said = f"{folder.name} {step + 1}/{steps} loss {total / count:.4f} {pace:.2f} steps/s {report(step + 1)}"
            print(said, flush=True)
            total, count = 0.0, 0
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(averaged[name])


def _optimizers(parameters: dict[str, nn.Parameter], peak: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices and filters inside; AdamW, at half its rate, for the first and last layers, and vectors."""
    outer = ("conv_in", "conv_out", "trunk.0.", "heads", "embed")
    inner = [n for n, p in parameters.items() if p.ndim >= 2 and not n.startswith(outer) and "embedding" not in n]
    rest = [p for n, p in parameters.items() if n not in set(inner)]
    return [
        Muon([{"params": [parameters[n] for n in inner], "peak": peak}], lr=peak),
        torch.optim.AdamW([{"params": rest, "peak": peak / 2}], lr=peak, weight_decay=0.01, betas=(0.9, 0.99)),
    ]


def average_gradients(parameters: list[Tensor], shards: int) -> None:
    """Replace each process's gradients by the mean over all processes."""
    flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    distributed.all_reduce(flat)
    flat /= shards
    start = 0
    for p in parameters:
        if p.grad is not None:
            p.grad.copy_(flat[start : start + p.numel()].view_as(p))
            start += p.numel()


def _save(folder: Path, step: int, model: nn.Module, averaged: dict, optimizers: list[torch.optim.Optimizer]) -> None:
    state = {f"weight.{n}": p for n, p in model.state_dict().items()} | {f"average.{n}": p for n, p in averaged.items()}
    for name, p in model.named_parameters():
        state |= {f"{key}.{name}": moment for key, moment in _moments(p, optimizers).items()}
    temporary = folder / "state.partial"
    tensors = {name: tensor.detach().contiguous() for name, tensor in state.items()}
    save_file(tensors, temporary, metadata={"step": str(step)})
    temporary.replace(folder / "state.safetensors")


def _moments(p: nn.Parameter, optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    kept = {key: value for optimizer in optimizers if p in optimizer.state for key, value in optimizer.state[p].items()}
    return {key: kept[key] for key in MOMENTS if key in kept}


def steps_done(folder: Path) -> int:
    """How many steps the state in `folder` has behind it; a part's own randomness starts anew from there."""
    path = folder / "state.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        return int((file.metadata() or {})["step"])


def _resume(folder: Path, model: nn.Module, averaged: dict, optimizers: list[torch.optim.Optimizer]) -> int:
    path = folder / "state.safetensors"
    if not path.exists():
        return 0
    step, state = steps_done(folder), load_file(path)
    own = {name.removeprefix("weight."): tensor for name, tensor in state.items() if name.startswith("weight.")}
    model.load_state_dict(own, strict=False)
    names = {p: name for name, p in model.named_parameters()}
    for name, average in averaged.items():
        average.copy_(state[f"average.{name}"])
    for optimizer in optimizers:
        for p in (p for group in optimizer.param_groups for p in group["params"]):
            keys = [key for key in MOMENTS if f"{key}.{names[p]}" in state]
            optimizer.state[p] |= {key: state[f"{key}.{names[p]}"].to(p.device) for key in keys}
            if "exp_avg" in keys:
                optimizer.state[p]["step"] = torch.tensor(float(step))
    return step


def load_average(model: nn.Module, folder: Path) -> None:
    """The model has the averaged weights of the state in `folder`, finished or not."""
    state = load_file(folder / "state.safetensors")
    for part in ("weight.", "average."):
        model.load_state_dict({n.removeprefix(part): t for n, t in state.items() if n.startswith(part)}, strict=False)
