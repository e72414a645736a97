"""The workspace: one folder per character, where every stage finds what it reads and leaves what it makes."""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from likeness.errors import WorkspaceError
from likeness.records import Record, make_folder, write_atomically

__all__ = ["Done", "Run", "Workspace"]


class Done(Record):
    """What a step read and made when it was last finished.

    Attributes:
        inputs: digest of everything it read, by name: "captions.jsonl", "[train]".
        outputs: paths of what it made, relative to the workspace; one that is gone makes the step stale.
        sizes: bytes, of the outputs in the cache, and of the records of pictures: another size is damage there, or a
            hand's edit that the step has to see.
    """

    inputs: dict[str, str]
    outputs: tuple[str, ...] = ()
    sizes: dict[str, int] = {}


class Run:
    """One training run's folder: `runs/0001` and so on."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def recipe(self) -> Path:
        """The recipe as run."""
        return self.root / "recipe.toml"

    @property
    def events(self) -> Path:
        """What training reported, a line of JSON per event."""
        return self.root / "events.jsonl"

    @property
    def state(self) -> Path:
        """The folder from which an interrupted run goes on."""
        return self.root / "state"

    @property
    def samples(self) -> Path:
        """The folder of sample strips."""
        return self.root / "samples"

    @property
    def pictures(self) -> Path:
        """How hard each picture was to learn, a record per picture, the hardest first."""
        return self.root / "pictures.jsonl"

    @property
    def checkpoints(self) -> list[Path]:
        """The adapter files written so far, by step."""
        return _numbered(self.root, r"step-(\d{6,})\.safetensors")

    def checkpoint(self, step: int) -> Path:
        """Where the adapter goes after `step` steps."""
        return self.root / f"step-{step:06d}.safetensors"

    def lora(self, name: str) -> Path:
        """Where the adapter of a finished run goes, named for its character.

        A hyphen becomes an underscore too, so that no name looks like a checkpoint's. 48 letters of four bytes, with
        what a file is called while it is written, fit into the 255 bytes that a name may have.
        """
        safe = re.sub(r"\W+", "_", name)[:48]
        return self.root / f"{safe}.safetensors"


class Workspace:
    """The folder of one character. Nothing is read or made until it is asked for.

    Attributes:
        root: absolute, so that it holds wherever the process goes.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser().absolute()

    @classmethod
    def create(cls, root: Path | str) -> Self:
        """A workspace with its folder and an `images` folder to fill; what is there already stays.

        Raises:
            WorkspaceError: where the folder cannot be made.
        """
        workspace = cls(root)
        make_folder(workspace.images)
        return workspace

    @property
    def recipe(self) -> Path:
        """`likeness.toml`, the only file that a person must write."""
        return self.root / "likeness.toml"

    @property
    def images(self) -> Path:
        """The originals: never changed, never deleted."""
        return self.root / "images"

    @property
    def masks(self) -> Path:
        """What counts in each picture, where a person drew it: `masks/front.png` for `images/front.jpg`."""
        return self.root / "masks"

    @property
    def class_pictures(self) -> Path:
        """Pictures of the character's class."""
        return self.root / "class"

    @property
    def images_jsonl(self) -> Path:
        """A `Picture` record per original."""
        return self.root / "images.jsonl"

    @property
    def labels_csv(self) -> Path:
        """What a person says of pictures."""
        return self.root / "labels.csv"

    @property
    def sources_jsonl(self) -> Path:
        """Where added pictures came from, an `Origin` each."""
        return self.root / "sources.jsonl"

    @property
    def held_out_json(self) -> Path:
        """The ids of the pictures that are never trained on."""
        return self.root / "held-out.json"

    @property
    def curation_html(self) -> Path:
        """The page that shows what became of each picture."""
        return self.root / "report" / "curation.html"

    @property
    def captions_jsonl(self) -> Path:
        """A `Caption` record per picture in use."""
        return self.root / "captions.jsonl"

    @property
    def plan_json(self) -> Path:
        """What captions say of the character, and what they leave to the trigger."""
        return self.root / "plan.json"

    @property
    def trigger_png(self) -> Path:
        """What the base draws for the trigger, before it is taught."""
        return self.root / "trigger.png"

    @property
    def cache(self) -> Path:
        """Latents and text embeddings; may be deleted at any time."""
        return self.root / "cache"

    @property
    def runs(self) -> Path:
        """A folder per training run."""
        return self.root / "runs"

    @property
    def samples(self) -> Path:
        """What `likeness sample` drew."""
        return self.root / "samples"

    @property
    def evaluation(self) -> Path:
        """What was drawn to measure adapters, and what was told of each picture."""
        return self.root / "evaluation"

    @property
    def pictures_jsonl(self) -> Path:
        """A `Judged` per picture that was drawn to measure adapters."""
        return self.evaluation / "pictures.jsonl"

    @property
    def scores_jsonl(self) -> Path:
        """A `Score` per checkpoint, axis and round."""
        return self.root / "scores.jsonl"

    @property
    def choice_json(self) -> Path:
        """The chosen checkpoint, and the reason."""
        return self.root / "choice.json"

    @property
    def strength_json(self) -> Path:
        """At which weight the chosen LoRA is used best."""
        return self.root / "strength.json"

    @property
    def blocks_json(self) -> Path:
        """What each block of the chosen LoRA is for."""
        return self.root / "blocks.json"

    @property
    def scorecard_html(self) -> Path:
        """The page that shows how good each checkpoint is."""
        return self.root / "report" / "scorecard.html"

    @property
    def plots(self) -> Path:
        """The folder of charts, as PNG files."""
        return self.root / "report" / "plots"

    @property
    def judging(self) -> Path:
        """What a person was asked of drawn pictures, and what they said."""
        return self.root / "judging"

    @property
    def key_json(self) -> Path:
        """Who drew what on the page that asks a person."""
        return self.judging / "key.json"

    @property
    def answers_json(self) -> Path:
        """What a person said, as the page saved it."""
        return self.judging / "answers.json"

    @property
    def judging_json(self) -> Path:
        """What a person's answers say of adapters, and of the instruments."""
        return self.root / "judging.json"

    @property
    def judging_html(self) -> Path:
        """The page that asks a person, blind."""
        return self.root / "report" / "judging.html"

    @property
    def done_json(self) -> Path:
        """For each step, digests of what it read."""
        return self.root / "done.json"

    @contextmanager
    def lock(self, command: str) -> Iterator[None]:
        """The workspace is this process's alone, until the block ends or the process dies, however it dies.

        The system holds the lock, not the file's being there: what a killed process leaves behind locks nothing.

        Args:
            command: what is running, for the message that a second command gets.

        Raises:
            WorkspaceError: where another process has it, with that process's id and command.
        """
        path = self.root / ".lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as fault:
            raise WorkspaceError.of(path, fault) from fault
        try:
            _take(handle, path, f"{os.getpid()} {command}")
            try:
                yield
            finally:  # closing alone would leave it with a child that has the file open still
                fcntl.flock(handle, fcntl.LOCK_UN)
        finally:
            os.close(handle)

    def new_run(self) -> Run:
        """The next run, with its folder made: one more than the highest number there is.

        Raises:
            WorkspaceError: where the folder cannot be made.
        """
        latest = self.latest_run()
        run = Run(self.runs / f"{int(latest.root.name) + 1 if latest else 1:04d}")
        make_folder(run.root)
        return run

    def numbered_runs(self) -> list[Run]:
        """All runs, by number; what else lies among them, as in `0001-backup`, is none."""
        return [Run(folder) for folder in _numbered(self.runs, r"(\d{4,})")]

    def latest_run(self) -> Run | None:
        """The run with the highest number; None before the first."""
        return next(reversed(self.numbered_runs()), None)

    def is_fresh(self, step: str, inputs: Mapping[str, str]) -> bool:
        """Whether `step` was finished with just these inputs, and all that it made then is still there and whole."""
        done = self._done().get(step)
        if done is None or done.inputs != dict(inputs):
            return False
        are_there = all((self.root / place).exists() for place in done.outputs)
        return are_there and all((self.root / place).stat().st_size == size for place, size in done.sizes.items())

    def made_by(self, step: str) -> list[Path]:
        """What `step` made when it was last finished, in its own order; nothing where it never was."""
        done = self._done().get(step)
        return [self.root / place for place in done.outputs] if done else []

    def mark_done(self, step: str, inputs: Mapping[str, str], outputs: Iterable[Path] = ()) -> None:
        """Remembers that `step` was finished, for `is_fresh`.

        Args:
            step: its name, as in "encode".
            inputs: digest of everything it read, by name.
            outputs: files that it made, in this workspace.
        """
        made = {path.absolute().relative_to(self.root).as_posix(): path for path in outputs}
        ours = {self.images_jsonl, self.held_out_json}
        sizes = {
            place: path.stat().st_size
            for place, path in made.items()
            if self.cache in path.absolute().parents or path.absolute() in ours
        }
        self._write_done(self._done() | {step: Done(inputs=dict(inputs), outputs=tuple(made), sizes=sizes)})

    def forget(self, step: str) -> None:
        """`step` counts as never finished: what is about to be made anew is not fresh until it is."""
        finished = self._done()
        if finished.pop(step, None):
            self._write_done(finished)

    def _write_done(self, finished: Mapping[str, Done]) -> None:
        lines = {name: done.model_dump() for name, done in sorted(finished.items())}
        write_atomically(self.done_json, json.dumps(lines, indent=2) + "\n")

    def _done(self) -> dict[str, Done]:
        try:
            return {name: Done.model_validate(done) for name, done in json.loads(self.done_json.read_bytes()).items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError) as fault:
            raise WorkspaceError(
                f"{self.done_json} cannot be read. Delete it: the steps are then run again, and nothing is lost."
            ) from fault


def _numbered(folder: Path, pattern: str) -> list[Path]:
    """What lies in a folder under names of just this pattern, by the number in them."""
    named = ((re.fullmatch(pattern, path.name, re.ASCII), path) for path in folder.glob("*"))
    return [path for _, path in sorted((int(match[1]), path) for match, path in named if match)]


def _take(handle: int, path: Path, holder: str) -> None:
    """Locks an open lock file and writes down who has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as busy:
        pid, _, command = os.pread(handle, 4096, 0).decode(errors="replace").partition(" ")
        raise WorkspaceError(
            f"{path.parent} is in use: `{command or 'another command'}` (process {pid or 'unknown'}) is at work there. "
            "Wait until it has finished, or stop it."
        ) from busy
    except OSError as fault:  # a network drive that knows no locks, say
        raise WorkspaceError.of(path, fault) from fault
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, holder.encode(), 0)
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
