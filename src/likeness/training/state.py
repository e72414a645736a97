"""The state of a run: all that it needs to go on as if it had never stopped, and the proof that nothing else changed.

A step's randomness depends on the seed and its number alone, so no generator is part of the state.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pydantic import ValidationError
from safetensors.torch import load_file, save

from likeness.diffusion.checkpoints import read_header
from likeness.errors import CheckpointError, ResumeError
from likeness.recipe import TrainConfig
from likeness.records import Checkpoint, Record, make_folder, write_atomically
from likeness.training.learner import Learner, Number

__all__ = ["Origin", "Saved", "load_state", "read_state", "save_state", "stop_requests"]


FREE = {"save_every", "save_dtype", "early_stop", "sample_every", "sample_prompts", "checkpointing", "microbatch"}
"""Fields of `[train]` that change nothing of what is learnt, so that a run may go on with others."""


class Origin(Record):
    """What a run was started from; it cannot go on from anything else, but for the fields that are `FREE`.

    Attributes:
        seed: of the recipe.
        base: the model's fingerprint.
        data: sha256 of the cache's index.
        name: the character's.
        trigger: the words that call the character.
        class_words: what the character is.
        train: the section of the recipe.
    """

    seed: int
    base: str
    data: str
    name: str
    trigger: str
    class_words: str
    train: TrainConfig


class Saved(Record):
    """Where a run stood, apart from its tensors.

    Attributes:
        origin: what it was started from.
        step: how many steps are done.
        seconds: that they took.
        checkpoints: written until then.
        numbers: what the optimizer and the scaler of losses keep beside tensors, by name.
        tensors: name of the file, in the same folder, that holds the rest.
        ended: why it ends here, before its last step; empty where it does not.
    """

    origin: Origin
    step: int
    seconds: float
    checkpoints: tuple[Checkpoint, ...]
    numbers: dict[str, Number]
    tensors: str
    ended: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        return bool(self.ended) or self.step >= self.origin.train.steps


def save_state(folder: Path, saved: Saved, learner: Learner) -> None:
    """`folder` holds this state, or the one before: never a mixture, whenever the process stops.

    The tensors go into a new file first; the rename of `state.json`, which names it, is the moment that counts.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    make_folder(folder)
    write_atomically(folder / saved.tensors, save(learner.tensors()))
    write_atomically(folder / "state.json", saved.model_dump_json(indent=1) + "\n")
    _sweep(folder, saved.tensors)


def read_state(folder: Path) -> Saved | None:
    """Where the run stood; None where nothing is saved.

    Raises:
        ResumeError: where the state is damaged.
    """
    path = folder / "state.json"
    if not path.exists():
        return None
    try:
        saved = Saved.model_validate_json(path.read_bytes())
        read_header(folder / saved.tensors)
    except (ValidationError, CheckpointError) as fault:
        raise ResumeError(
            f"The state in {folder} cannot be read: it is damaged, or of another version. Delete {folder} and repeat "
            "the command: a new run begins, and the checkpoints of this one stay."
        ) from fault
    return saved


def load_state(folder: Path, origin: Origin, learner: Learner) -> Saved | None:
    """Where the run stood, with `learner` as it was then; None where nothing is saved and `learner` is new.

    Raises:
        ResumeError: where the run was started from something else, with each difference; or the state is damaged.
    """
    saved = read_state(folder)
    if saved is None:
        return None
    if changes := _changes(saved.origin, origin):
        lines = "".join(f"\n  {change}" for change in changes)
        raise ResumeError(
            f"{folder.parent} cannot go on after step {saved.step}, because what it was started from has changed:"
            f"{lines}\nPut it back as it was; or, for a new run, delete {folder}: the checkpoints of this one stay."
        )
    learner.load(load_file(folder / saved.tensors), saved.numbers)
    _sweep(folder, saved.tensors)
    return saved


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come: the first is noted and asks for an end, a second one acts as it always does.

    In another thread than the main one, where a program gets no signals, nobody ever asks.
    """
    came = threading.Event()
    before = {}

    def note(number: int, frame: FrameType | None) -> None:
        came.set()
        for kind, action in before.items():
            signal.signal(kind, action)

    if threading.current_thread() is threading.main_thread():
        before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
        for kind in before:
            signal.signal(kind, note)
    try:
        yield came.is_set
    finally:
        for kind, action in before.items():
            signal.signal(kind, action)


def _changes(old: Origin, new: Origin) -> list[str]:
    """Each value that differs, as "field: old -> new"."""
    named = {"seed": "seed", "base": "the base (fingerprint)", "data": "the pictures or captions (index of the cache)"}
    named |= {field: f"character.{field}" for field in ("name", "trigger", "class_words")}
    learnt = [field for field in TrainConfig.model_fields if field not in FREE]
    pairs = [(words, getattr(old, field), getattr(new, field)) for field, words in named.items()]
    pairs += [(f"train.{field}", getattr(old.train, field), getattr(new.train, field)) for field in learnt]
    return [f"{name}: {_short(before)} -> {_short(after)}" for name, before, after in pairs if before != after]


def _short(value: object) -> str:
    """A value in words; of a digest, the front."""
    return f"{value[:12]}..." if isinstance(value, str) and len(value) == 64 else f"{value!r}"


def _sweep(folder: Path, kept: str) -> None:
    """Removes the tensors of states before, and what a killed process left half written."""
    for path in (*folder.glob("*.safetensors"), *folder.glob(".*.partial")):
        if path.name != kept:
            path.unlink(missing_ok=True)
