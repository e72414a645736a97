"""The bench: the one place that turns names of the recipe into objects, and that knows which step needs what."""

import time
from collections.abc import Sequence

from likeness.events import Event, Report, silent
from likeness.pipeline.bench import Bench
from likeness.pipeline.curation import curation_summary, note_origin
from likeness.pipeline.instruments import adapted, base_folder, draw_pictures, open_base, open_reader, quick_dtype
from likeness.pipeline.samples import best_lora, newest_lora
from likeness.pipeline.settings import settings_of
from likeness.pipeline.steps import STEPS, all_steps, check_held_out
from likeness.recipe import Recipe, check_may_train
from likeness.records import Record
from likeness.workspace import Workspace

__all__ = [
    "STEPS",
    "Outcome",
    "adapted",
    "all_steps",
    "base_folder",
    "best_lora",
    "check_held_out",
    "curation_summary",
    "draw_pictures",
    "newest_lora",
    "note_origin",
    "open_base",
    "open_reader",
    "quick_dtype",
    "run",
    "run_locked",
    "run_on",
    "settings_of",
]


class Outcome(Record):
    """What became of a step.

    Attributes:
        step: its name.
        is_fresh: it was skipped, because nothing that it reads has changed and all that it made is there.
        seconds: it took.
        made: what it left, now or when it was last finished: paths in the workspace, with forward slashes.
    """

    step: str
    is_fresh: bool
    seconds: float
    made: tuple[str, ...]


def run(
    workspace: Workspace, recipe: Recipe, steps: Sequence[str] | None = None, *, report: Report = silent
) -> list[Outcome]:
    """What became of each of `steps`; those whose inputs have not changed since they last finished are skipped.

    No other command can use the workspace meanwhile. An interrupted training run is gone on with.

    Args:
        steps: names in `STEPS`; they run in that order. None: all that this recipe has.

    Raises:
        ConsentError: where training is asked for and a real person's consent is not on record; before any step.
        WorkspaceError: where the workspace is in use, or cannot be written.
        LikenessError: what the steps themselves raise.
    """
    chosen = all_steps(recipe) if steps is None else steps
    with workspace.lock(f"likeness, at {chosen[-1]}"):
        return run_locked(workspace, recipe, chosen, report=report)


def run_locked(
    workspace: Workspace, recipe: Recipe, steps: Sequence[str] = tuple(STEPS), *, report: Report = silent
) -> list[Outcome]:
    """As `run`, for one who has locked the workspace, and keeps it for more than the steps."""
    return run_on(Bench(workspace, recipe, report), steps)


def run_on(bench: Bench, steps: Sequence[str]) -> list[Outcome]:
    """As `run_locked`, for one who goes on with the bench, and the base that may be open on it."""
    assert set(steps) <= STEPS.keys(), f"steps are {tuple(STEPS)}"
    if "train" in steps:
        check_may_train(bench.recipe.character)
    return [_outcome(bench, step) for step in STEPS if step in steps]


def _outcome(bench: Bench, step: str) -> Outcome:
    workspace, started = bench.workspace, time.monotonic()
    inputs = STEPS[step].inputs(bench)
    is_fresh = workspace.is_fresh(step, inputs)
    if is_fresh:
        bench.report(Event(stage=step, done=1, total=1, note="nothing has changed"))
    else:
        if step != "train":  # of a step that stops halfway nothing is fresh; the last LoRA stays on record
            workspace.forget(step)
        workspace.mark_done(step, inputs, STEPS[step].act(bench))
    made = tuple(path.relative_to(workspace.root).as_posix() for path in workspace.made_by(step))
    return Outcome(step=step, is_fresh=is_fresh, seconds=round(time.monotonic() - started, 3), made=made)
