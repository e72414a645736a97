"""The logbook of a run: what is written down between steps, and when."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from likeness.diffusion.files.lora_files import save_lora
from likeness.diffusion.files.metadata import LoraMetadata
from likeness.errors import Diverged, Interrupted
from likeness.events import Event, Report
from likeness.messages import listed
from likeness.records import Checkpoint, write_records
from likeness.training.learner import Learner
from likeness.training.optimizers import rate_at
from likeness.training.state import Origin, Saved, load_state, save_state
from likeness.workspace import Run

__all__ = ["Logbook", "Looks"]

EVENTS = 100  # of a run: enough for a curve, and few enough that waiting for the device costs nothing
MOST_STEPS_UNTOLD = 50  # so that a long run, too, is heard of every minute or so
STATE_SECONDS = 60.0  # between saved states: what a crash can cost; saving takes some hundredths of a second


@dataclass(frozen=True, slots=True)
class Looks:
    """What is looked at while a run goes on.

    Attributes:
        strip: draws samples with the base, which has the adapter beside it; called with the number of steps done.
        watch: says why training ends with a checkpoint, or nothing; called with its step once its file is there, with
            nothing beside the base, and not after the last.
    """

    strip: Callable[[int], None] | None = None
    watch: Callable[[int], str] | None = None


class Logbook:
    """What is written down between steps, and when: events, checkpoints, strips, the state.

    Args:
        run: the run's folder.
        origin: what it is started from.
        learner: what is trained; its `sums` are this page's: loss and gradient since they were last told, loss since
            the last checkpoint, and how many steps had a finite loss.
        metadata: what every file says about itself.
        looks: what is looked at on the way.
        report: told of what is done.

    Attributes:
        step: how many steps are done.
        checkpoints: so far, of this run's earlier parts too.
        ended: why the run ends before its last step; empty where it goes on.
    """

    def __init__(
        self,
        run: Run,
        origin: Origin,
        *,
        learner: Learner,
        metadata: LoraMetadata,
        looks: Looks,
        report: Report,
    ) -> None:
        self.run, self.origin, self.config, self.learner = run, origin, origin.train, learner
        self.metadata, self.looks, self.report = metadata, looks, report
        self.step, self.checkpoints, self._seconds, self.ended = 0, list[Checkpoint](), 0.0, ""
        self._told_every = min(max(1, self.config.steps // EVENTS), MOST_STEPS_UNTOLD)

    def open(self) -> None:
        """The run stands where it was left, or at its beginning; the clock runs.

        Raises:
            ResumeError: where it was started from something else.
        """
        for partial in self.run.root.glob(".*.partial"):  # what a killed process left
            partial.unlink(missing_ok=True)
        saved = load_state(self.run.state, self.origin, self.learner)
        if saved:
            self.step, self.checkpoints, self._seconds = saved.step, list(saved.checkpoints), saved.seconds
            self.ended = saved.ended
        note = f"going on after step {self.step}" if saved else ""
        self.report(Event(stage="train", done=self.step, total=self.config.steps, note=note))
        self._first, self._started = self.step, time.perf_counter()
        self._saved_at = self._started

    def say(self, words: str) -> None:
        """Tells what happened, beside all numbers."""
        self.report(Event(stage="train", done=self.step, total=self.config.steps, note=words))

    def note(self, loss: Tensor, norm: Tensor) -> None:
        """One step more is done. Its numbers stay on the device until they are told, so that nothing waits for it."""
        # In float16 a gradient may be infinite: the scaler leaves that step out, and tries a smaller scale.
        is_finite = torch.isfinite(loss if self.learner.scaler.is_enabled() else loss + norm).float()
        self.learner.sums.add_(torch.stack([loss, norm.nan_to_num(posinf=0.0), loss, is_finite]))
        self.step += 1

    def do_what_is_due(self, *, stopping: bool) -> None:
        """Tells, draws and saves what this step is due for; ends the run where that was asked for.

        Raises:
            Diverged: where a step since the last look was not finite; nothing of it is saved.
            Interrupted: where `stopping`, when all is saved.
        """
        step, config = self.step, self.config
        is_last = step == config.steps
        saves = is_last or _is_due(step, config.save_every)
        keeps = saves or stopping or time.perf_counter() - self._saved_at > STATE_SECONDS
        tells = is_last or _is_due(step, self._told_every)
        if not (tells or keeps or _is_due(step, config.sample_every)):
            return
        sums = self._finite_sums()
        if tells:
            self._tell(*sums[:2])
        if saves:
            self._save_checkpoint(sums[2])
            if self.looks.watch and not is_last:
                self.ended = self._watched(self.looks.watch)
        if keeps:
            self._save_state()
        if self.looks.strip and _is_due(step, config.sample_every):
            with self.learner.at_rest():
                self.looks.strip(step)
        if stopping and not (is_last or self.ended):
            raise Interrupted(
                f"Stopped after step {step} of {config.steps}; all of it is saved in {self.run.root}. "
                "Repeat the command to go on from there."
            )

    def _watched(self, watch: Callable[[int], str]) -> str:
        """Why the run ends here, or nothing. The adapter is silent meanwhile: what watches opens its file."""
        adapter = self.learner.adapter
        weight, adapter.weight = adapter.weight, 0.0
        try:
            ended = watch(self.step)
        finally:
            adapter.weight = weight
        if ended:
            self.say(f"ends after step {self.step}: {ended}")
        return ended

    def close(self) -> None:
        """The last adapter of the run has the character's name too; one that is there already stays. And it is told
        which pictures were hard to learn."""
        path = self.run.lora(self.metadata.title)
        if not path.exists():
            self._save_lora(path)
        if self.run.pictures.exists():
            return
        losses = self.learner.ledger.report()
        write_records(self.run.pictures, losses)
        if odd := [f"{one.path} ({one.relative:.1f} times)" for one in losses if one.is_odd]:
            words = f"harder to learn than the others: {listed(odd)}; look whether picture and caption are right"
            self.say(words)

    def _finite_sums(self) -> list[float]:
        """What was measured and not yet told, once it is known to be finite; this waits for the device."""
        *sums, finite = self.learner.sums.tolist()
        ledger = self.learner.ledger
        if finite == self.step:
            for step, path, times in ledger.spikes():
                self.say(f"step {step}: the loss of {path} is {times:.0f} times that of others at its noise level")
            ledger.forget_recent()
            return sums
        first = ledger.first_infinite()
        picture = f" It began with {first[1]}." if first else ""
        last = self.checkpoints[-1].path if self.checkpoints else "none: none was due yet"
        raise Diverged(
            f"The loss, or its gradient, is not a finite number from step {finite + 1:.0f} on.{picture} The last good "
            f"checkpoint is {last}. Lower train.learning_rate (now {self.config.learning_rate:g}), delete "
            f"{self.run.state} and repeat the command: a new run begins."
        )

    def _tell(self, loss: float, norm: float) -> None:
        count = self.step % self._told_every or self._told_every
        passed = time.perf_counter() - self._started
        numbers = {
            "loss": loss / count,
            "gradient": norm / count,
            "learning_rate": rate_at(self.step - 1, self.config),
            "steps_per_second": (self.step - self._first) / passed,
            "memory_bytes": _memory(self.learner.sums.device),
        }
        self.report(Event(stage="train", done=self.step, total=self.config.steps, numbers=numbers))
        self.learner.sums[:2] = 0

    def _save_checkpoint(self, loss: float) -> None:
        before = self.checkpoints[-1].step if self.checkpoints else 0
        path = self.run.checkpoint(self.step)
        self._save_lora(path)
        place = "/".join(path.parts[-3:])  # runs/0001/step-000250.safetensors
        self.checkpoints.append(
            Checkpoint(path=place, step=self.step, loss=loss / (self.step - before), seconds=self._seconds_so_far())
        )
        self.learner.sums[2] = 0

    def _save_lora(self, path: Path) -> None:
        metadata = replace(self.metadata, training={**self.metadata.training, "steps": self.step})
        with self.learner.at_rest():
            save_lora(path, self.learner.adapter, metadata=metadata, dtype=getattr(torch, self.config.save_dtype))

    def _save_state(self) -> None:
        tensors = f"{self.step:06d}.safetensors"
        saved = Saved(
            origin=self.origin,
            step=self.step,
            seconds=self._seconds_so_far(),
            checkpoints=tuple(self.checkpoints),
            numbers=self.learner.numbers(),
            tensors=tensors,
            ended=self.ended,
        )
        save_state(self.run.state, saved, self.learner)
        self._saved_at = time.perf_counter()

    def _seconds_so_far(self) -> float:
        return self._seconds + time.perf_counter() - self._started


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _memory(device: torch.device) -> int:
    """The most memory that this process has held so far, bytes: the device's, or the computer's for the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
