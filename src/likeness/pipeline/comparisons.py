"""Comparing what was evaluated: which folders and adapters are meant, and whether they may be compared."""

from pathlib import Path
from typing import Any

from likeness.errors import EvaluationError
from likeness.evaluation.compare import compare
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.scorecard import Judged
from likeness.messages import listed
from likeness.pipeline.scores import Verdict, read_verdict
from likeness.recipe import EvaluateConfig, load_recipe
from likeness.records import read_records
from likeness.workspace import Workspace

__all__ = ["compare_evaluations"]


def compare_evaluations(first: str, second: str, *, margin: float | None = None) -> dict[str, Any]:
    """How the second differs from the first, and whether it is worse, as plain data.

    Args:
        first: a folder that was evaluated, and where that is not the chosen one the adapter's name, as in
            "mira=step-000400".
        second: likewise.
        margin: differences up to that are none; by default what the first one's recipe says.

    Raises:
        WorkspaceError: where a folder was not evaluated.
        RecipeError: where the recipe of the first is not valid.
        EvaluationError: where they were measured in different ways, or an adapter is not there.
    """
    (one, pictures, told), (other, others, told_other) = _opened(first), _opened(second)
    _refuse_unlike(one, other)
    width = _margin_of(first) if margin is None else margin
    differences = compare(pictures, others, margin=width, seed=0)
    worse = [one.axis for one in differences if one.is_worse]
    better = [one.axis for one in differences if one.is_better]
    words = f"{told_other} is worse on {listed(worse, len(worse)) or 'no axis'}"
    words += f", better on {listed(better, len(better))}" if better else ""
    words += f". Differences up to {width:g}, and those that may be chance, do not count."
    is_same = one.measured.held_out == other.measured.held_out
    words += "" if is_same else " The held-out pictures that they were measured against differ: that makes some, too."
    return {
        "first": told,
        "second": told_other,
        "margin": width,
        "differences": [one.model_dump() for one in differences],
        "worse": worse,
        "better": better,
        "same_held_out": is_same,
        "told": words,
    }


def _margin_of(words: str) -> float:
    """The margin of a folder's recipe; of a folder without one, as a LoRA's file leaves, the usual one."""
    recipe = Workspace(_place_and_name(words)[0]).recipe
    return (load_recipe(recipe).evaluate if recipe.exists() else EvaluateConfig()).margin


def _place_and_name(words: str) -> tuple[str, str]:
    """The folder and the adapter's name, which may be empty; a folder whose own name has a "=" is one."""
    place, _, name = words.partition("=") if not Path(words).is_dir() else (words, "", "")
    return place, name


def _opened(words: str) -> tuple[Verdict, list[Judged], str]:
    """The verdict of an evaluation, the pictures of one of its adapters, and what to call that."""
    place, name = _place_and_name(words)
    if Path(place).is_file():
        raise EvaluationError(
            f"{place} is a file. Measure it first, then name the folder with its scores: "
            f"likeness evaluate {place} --references FOLDER"
        )
    workspace = Workspace(place)
    verdict = read_verdict(workspace)
    pictures = read_records(workspace.pictures_jsonl, Judged)
    names = list(dict.fromkeys(one.who for one in pictures if one.who != BASE))
    name = name or (Path(verdict.lora).stem if verdict.lora else names[-1])
    if name not in names:
        raise EvaluationError(f"{place} has no {name!r} that was measured. Use one of {', '.join(names)}.")
    return verdict, [one for one in pictures if one.who == name], f"{workspace.root.name} {name}"


def _refuse_unlike(one: Verdict, other: Verdict) -> None:
    here, there = one.measured.model_dump(), other.measured.model_dump()
    unlike = [name for name in ("instruments", "sampling", "base") if here[name] != there[name]]
    if unlike:
        raise EvaluationError(
            f"The two were not measured alike: {listed(unlike)} differ. Evaluate both with the same settings."
        )
