"""The demo: a raw pool of a character that nobody has seen is curated and learnt; base and LoRA are measured."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from likeness.catalog.add import add_release
from likeness.catalog.build import build
from likeness.demo.page import proof_grid, proof_page
from likeness.demo.result import DemoResult, Shown
from likeness.demo.subject import Asked, demo_recipe, fill_pool, what_is_asked
from likeness.errors import PublishError, WorkspaceError
from likeness.evaluation.pages import render_page
from likeness.evaluation.proof import compare_others, compare_with_base
from likeness.events import Event, Report, silent
from likeness.images import save_png
from likeness.maquette.world import Identity, character
from likeness.pipeline import (
    Outcome,
    adapted,
    best_lora,
    curation_summary,
    draw_pictures,
    open_base,
    open_reader,
    run_locked,
)
from likeness.pipeline.publishing import publish_locked
from likeness.pipeline.scores import read_verdict
from likeness.recipe import Recipe, load_recipe, write_recipe
from likeness.records import write_atomically
from likeness.workspace import Workspace

__all__ = ["DemoResult", "demo"]


def demo(folder: Path, number: int, *, settings: Sequence[str] = (), report: Report = silent) -> DemoResult:
    """Draws a raw pool of character `number`, curates and learns it, and measures what was learnt; all of it is in
    `folder` afterwards.

    A second time in the same folder, what is finished and unchanged is not done again.

    Args:
        folder: a new folder, or one in which the demo of this number ran before.
        number: of the character: any number is another one, of which the embedded base has never seen all.
        settings: `section.field=value`, laid over the demo's recipe.
        report: told of each step.

    Raises:
        WorkspaceError: where the folder holds another workspace, is in use, or cannot be written.
        LikenessError: what the pipeline raises.
    """
    started = time.monotonic()
    who, workspace = character(number), Workspace.create(folder)
    with workspace.lock("likeness demo"):
        recipe, seen = _recipe(workspace, number, who, settings), fill_pool(workspace, number, who)
        outcomes = run_locked(workspace, recipe, ("curate", "caption", "encode", "train", "evaluate"), report=report)
        sampling = time.monotonic()
        shown = _sample(workspace, recipe, what_is_asked(number, who, recipe, seen), report)
        seconds = _seconds(outcomes, sample=time.monotonic() - sampling)
        result = _presented(workspace, recipe, shown, seconds)
        total = round(time.monotonic() - started, 1)
        result = replace(result, seconds={**seconds, "total": total})
        write_atomically(workspace.root / "proof.json", json.dumps(result.summary(), indent=2) + "\n")
        return result


def _recipe(workspace: Workspace, number: int, who: Identity, settings: Sequence[str]) -> Recipe:
    """The demo's recipe, written where there is none yet."""
    recipe = demo_recipe(number, who)
    if not workspace.recipe.exists():
        write_recipe(workspace.recipe, recipe)
    elif load_recipe(workspace.recipe) != recipe:
        raise WorkspaceError(
            f"{workspace.root} holds another character, or another version's demo. Choose another "
            f"folder: likeness demo FOLDER --seed {number}"
        )
    return load_recipe(workspace.recipe, settings)


def _sample(workspace: Workspace, recipe: Recipe, asked: Asked, report: Report) -> Shown:
    """Base and LoRA on the same prompts and seeds."""
    model, reader = open_base(recipe.base), open_reader(recipe.perception)

    def half(done: int) -> Report:
        return lambda event: report(Event(stage="sample", done=done + event.done, total=2 * len(asked.prompts)))

    base = draw_pictures(model, asked.prompts, recipe.sample, seeds=asked.seeds, report=half(0))
    with adapted(model, best_lora(workspace), weight=recipe.sample.weight):
        lora = draw_pictures(model, asked.prompts, recipe.sample, seeds=asked.seeds, report=half(len(asked.prompts)))
    return Shown(asked, base, lora, list(reader.read(base)), list(reader.read(lora)))


def _presented(workspace: Workspace, recipe: Recipe, shown: Shown, seconds: Mapping[str, float]) -> DemoResult:
    """The result, with page and grid in the workspace."""
    own = len(shown.asked.own)
    grid = proof_grid(shown)
    result = DemoResult(
        workspace=workspace.root,
        name=recipe.character.name,
        lora=best_lora(workspace),
        page=workspace.root / "proof.html",
        grid=workspace.root / "grid.png",
        scorecard=workspace.scorecard_html,
        chosen=read_verdict(workspace).choice.reason,
        catalog=_catalogued(workspace, recipe),
        seconds=seconds,
        curation=curation_summary(workspace),
        comparison=compare_with_base(shown.asked.own, base=shown.base_readings[:own], lora=shown.lora_readings[:own]),
        others=compare_others(shown.asked.others, base=shown.base_readings[own:], lora=shown.lora_readings[own:]),
    )
    save_png(result.grid, grid)
    write_atomically(result.page, render_page(proof_page(result, recipe, grid, shown)))
    return result


def _catalogued(workspace: Workspace, recipe: Recipe) -> str:
    """The home page of a small catalog with the release in it; or why it was not published, as of a LoRA that no limit
    lets through."""
    try:
        release = publish_locked(workspace, recipe).folder
    except PublishError as refused:
        return f"none: {refused}"
    root = workspace.root / "catalog"
    add_release(root / "content", release, with_file=True)
    return str(build(root).home)


def _seconds(outcomes: Sequence[Outcome], *, sample: float) -> dict[str, float]:
    took = {outcome.step: outcome.seconds for outcome in outcomes}
    encode = took["caption"] + took["encode"]
    parts = {"curate": took["curate"], "encode": encode, "train": took["train"], "evaluate": took["evaluate"]}
    return {part: round(seconds, 1) for part, seconds in {**parts, "sample": sample}.items()}
