"""Answers: the folder that a command is about, and what it hands back, to a person or to a program."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from likeness.recipe import Recipe
    from likeness.workspace import Workspace

__all__ = ["opened", "run_steps", "tell", "tell_plan"]

WIDTH_OF_A_LOG = 120  # columns, where there is no terminal to ask


def opened(folder: Path, settings: list[str] | None) -> tuple["Workspace", "Recipe"]:
    """The workspace in a folder, and its recipe with `settings` laid over it.

    Raises:
        RecipeError: for a recipe that is not there or not valid.
    """
    from likeness.recipe import load_recipe
    from likeness.workspace import Workspace

    workspace = Workspace(folder)
    return workspace, load_recipe(workspace.recipe, settings or ())


def run_steps(steps: tuple[str, ...] | None, folder: Path, settings: list[str] | None, as_json: bool) -> None:
    """Runs the steps in order, or all that this recipe has; tells which were fresh and what each made."""
    from likeness import pipeline
    from likeness.cli.progress import reporting
    from likeness.cli.tables import outcome_table

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        outcomes = pipeline.run(workspace, recipe, steps, report=report)
    steps_told = [outcome.model_dump() for outcome in outcomes]
    tell(as_json, {"workspace": str(workspace.root), "steps": steps_told}, outcome_table(workspace, outcomes))


def tell_plan(folder: Path, settings: list[str] | None, as_json: bool) -> None:
    """Measures what a training would take, and tells it."""
    from likeness.cli.plans import plan_table
    from likeness.cli.progress import reporting
    from likeness.pipeline.plans import plan_training

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        plan = plan_training(workspace, recipe, report=report)
    tell(as_json, plan.model_dump(), plan_table(plan))


def tell(as_json: bool, result: dict[str, Any], words: Any) -> None:
    """The result on stdout: as one line of JSON for a program, or as words or a table for a person."""
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
        return
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_OF_A_LOG
    Console(width=width).print(words, markup=False, highlight=False, crop=False, soft_wrap=isinstance(words, str))
