"""The plan of a training, measured on the real cache and base."""

from typing import TYPE_CHECKING

from likeness.dataset.seal import read_seal
from likeness.events import Report, silent
from likeness.pipeline import run_on
from likeness.pipeline.bench import Bench
from likeness.recipe import Recipe, check_may_train
from likeness.workspace import Workspace

if TYPE_CHECKING:
    from likeness.training.estimate import Plan

__all__ = ["plan_training"]


def plan_training(workspace: Workspace, recipe: Recipe, *, report: Report = silent) -> "Plan":
    """What `train` would take. What is new is encoded first; no run is begun, and none is touched.

    Raises:
        LikenessError: what `train` would raise before its first step.
        OutOfMemory: where a step does not fit however it is computed.
    """
    check_may_train(recipe.character)
    with workspace.lock("likeness, at train --plan"):
        bench = Bench(workspace, recipe, report)  # its recipe is the one that is trained: presets are in it
        run_on(bench, ("curate", "caption", "encode"))
        from likeness.training.data import refuse_held_out
        from likeness.training.plan import plan

        refuse_held_out(workspace.cache, read_seal(workspace.held_out_json))
        return plan(workspace.cache, bench.recipe.train, model=bench.model, seed=bench.recipe.seed, report=report)
