"""Comparing what was evaluated: which folders and adapters are meant, and whether they may be compared."""

from pathlib import Path
from typing import Any

from likeness.errors import EvaluationError
from likeness.evaluation.compare import compare
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.scorecard import Judged
from likeness.messages import listed
from likeness.pipeline.scores import Verdict, read_verdict
from likeness.recipe import EvaluateConfig
from likeness.records import read_records
from likeness.workspace import Workspace

__all__ = ["compare_evaluations"]


def compare_evaluations(first: str, second: str, *, margin: float | None = None) -> dict[str, Any]:
    """How the second differs from the first, and whether it is worse, as plain data.

    Args:
        first: a folder that was evaluated, and where that is not the chosen one the adapter's name, as in
            "mira=step-000400".
        second: likewise.
        margin: differences up to that are none; by default that of the recipe's default.

    Raises:
        WorkspaceError: where a folder was not evaluated.
        EvaluationError: where they were measured in different ways, or an adapter is not there.
    """
    (one, pictures, told), (other, others, told_other) = _opened(first), _opened(second)
    _refuse_unlike(one, other)
    width = EvaluateConfig().margin if margin is None else margin
    differences = compare(pictures, others, margin=width, seed=0)
    worse = [one.axis for one in differences if one.is_worse]
    better = [one.axis for one in differences if one.is_better]
    words = [f"{told_other} is worse on {listed(worse)}"] if worse else [f"{told_other} is worse on no axis"]
    words += [f"better on {listed(better)}"] if better else []
    return {
        "first": told,
        "second": told_other,
        "margin": width,
        "differences": [one.model_dump() for one in differences],
        "worse": worse,
        "better": better,
        "told": f"{', '.join(words)}, by more than {width:g}.",
    }


def _opened(words: str) -> tuple[Verdict, list[Judged], str]:
    """The verdict of an evaluation, the pictures of one of its adapters, and what to call that."""
    place, _, name = words.partition("=") if not Path(words).is_dir() else (words, "", "")
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
