"""Early stopping: the checkpoints of a run are looked at while it goes on, as `[evaluate]` says."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from likeness.errors import RecipeError
from likeness.pipeline.bench import Bench
from likeness.pipeline.evaluation import instruments_for, plan_of, steps_of
from likeness.pipeline.subjects import real_pictures, subject_of
from likeness.workspace import Run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["watch_of"]


def watch_of(bench: Bench) -> Callable[[Run, int], str]:
    """What looks at the checkpoints of a run up to a step, and says why it ends there, or nothing.

    Pictures are kept where `evaluate` finds them, which draws them no second time.

    Raises:
        RecipeError: where no picture was held out, or nothing here tells characters apart.
    """
    from likeness.evaluation.evaluate import Candidate
    from likeness.evaluation.watch import Watch

    recipe, workspace = bench.recipe, bench.workspace
    files: dict[str, Path] = {}
    instruments, real = instruments_for(bench, files), real_pictures(workspace)
    if not real.held_out:
        raise RecipeError(
            f"train.early_stop = {recipe.train.early_stop}, but no picture was held out to look at checkpoints with. "
            "Add pictures, or set train.early_stop = 0."
        )
    if not instruments.knows_characters:
        raise RecipeError(
            f"train.early_stop = {recipe.train.early_stop}, but perception.reader = {recipe.perception.reader!r} tells "
            "no characters apart. Name another reader, or a DINOv2 or SigLIP as evaluate.encoder; or set "
            "train.early_stop = 0."
        )
    watch = Watch(
        plan_of(recipe, subject_of(workspace, recipe)),
        real,
        recipe.evaluate,
        instruments=instruments,
        seed=recipe.evaluate.seed,
        patience=recipe.train.early_stop,
    )

    def spent(run: Run, step: int) -> str:
        found = {path.stem: path for path in run.checkpoints}
        steps = {name: number for name, number in steps_of(found).items() if number <= step}
        files.update({name: found[name] for name in steps})
        return watch.spent([Candidate(name, number) for name, number in steps.items()])

    return spent
