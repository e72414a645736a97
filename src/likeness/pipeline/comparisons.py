"""Comparing what was evaluated: which folders and adapters are meant, and whether they may be compared."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from likeness.errors import EvaluationError
from likeness.evaluation.compare import Difference, Untold, compare, untold
from likeness.evaluation.elsewhere import candidate_name
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.scorecard import KINDS, LEAST_TOLD, Judged
from likeness.messages import listed
from likeness.pipeline.scores import Setup, Verdict, read_verdict
from likeness.recipe import EvaluateConfig, load_recipe
from likeness.records import read_records
from likeness.workspace import Workspace

__all__ = ["compare_evaluations"]

INSTRUMENTS = {"reader": "perception.reader", "encoder": "evaluate.encoder", "copies": "evaluate.copy_encoder"}
"""By what they are for, the setting that names them."""

ELSEWHERE = {"steps": " or evaluate.steps", "negative": " or evaluate.words"}
"""What else a setting of the sampler follows from."""


def compare_evaluations(first: str, second: str, *, margin: float | None = None) -> dict[str, Any]:
    """How the second differs from the first, and whether it is worse, as plain data.

    Args:
        first: a folder that was evaluated, and where that is not the chosen one the adapter's name, as in
            "mira=step-000400".
        second: likewise.
        margin: differences up to that are none; by default what the first one's recipe says.

    Raises:
        WorkspaceError: where a folder was not evaluated.
        RecipeError: where the recipe of one is not valid.
        EvaluationError: where they were measured in different ways or on different scales, or an adapter is not there.
    """
    (one, pictures, told), (other, others, told_other) = _opened(first), _opened(second)
    settings, settings_other = _settings_of(first), _settings_of(second)
    _refuse_unlike(one.measured, other.measured, settings, settings_other)
    width = settings.margin if margin is None else margin
    differences, gaps = compare(pictures, others, margin=width, seed=0), untold(pictures, others)
    undecided = _undecided(differences, gaps)
    return {
        "first": told,
        "second": told_other,
        "margin": width,
        "differences": [one.model_dump() for one in differences],
        "worse": [one.axis for one in differences if one.is_worse],
        "better": [one.axis for one in differences if one.is_better],
        "too_few_prompts": [one.axis for one in differences if not one.is_decidable],
        "is_decided": not undecided,
        "untold": [one.model_dump() for one in gaps],
        "told": " ".join(_sentences(told_other, differences, gaps, undecided, width)),
    }


def _sentences(
    second: str, differences: Sequence[Difference], gaps: Sequence[Untold], undecided: Sequence[str], margin: float
) -> Iterator[str]:
    worse, better, few = (
        listed(axes, len(axes))
        for axes in (
            [one.axis for one in differences if one.is_worse],
            [one.axis for one in differences if one.is_better],
            [one.axis for one in differences if not one.is_decidable],
        )
    )
    yield f"{second} is worse on {worse or 'no axis'}" + (f", better on {better}." if better else ".")
    yield f"Differences up to {margin:g}, and those that may be chance, do not count."
    if few:
        yield f"Too few prompts to say (see evaluate.count): {few}."
    yield from undecided
    if gaps:
        some = [
            f"{one.axis} {one.first} and {one.second} of {one.asked}" + ("" if one.is_compared else " (not compared)")
            for one in gaps
        ]
        yield f"Could not be told of so many pictures of the first and of the second: {listed(some, len(some))}."


def _undecided(differences: Sequence[Difference], gaps: Sequence[Untold]) -> list[str]:
    """Why nobody can say whether the second is as like, in sentences; nothing where somebody can."""
    reasons = []
    if not any(one.is_decidable and KINDS[one.axis] == "likeness" for one in differences):
        reasons.append("Whether any likeness is worse cannot be said at all.")
    lost = [
        one.axis
        for one in gaps
        if KINDS[one.axis] == "likeness" and not one.is_compared and one.first < LEAST_TOLD * one.asked < one.second
    ]
    if lost:
        axes = listed(lost, len(lost))
        reasons.append(f"Of most pictures of the second {axes} could not be told, as it could of the first.")
    return reasons


def _settings_of(words: str) -> EvaluateConfig:
    """Those of a folder's recipe; of a folder without one, as a LoRA's file leaves, the usual ones."""
    recipe = Workspace(_place_and_name(words)[0]).recipe
    return load_recipe(recipe).evaluate if recipe.exists() else EvaluateConfig()


def _place_and_name(words: str) -> tuple[str, str]:
    """The folder and the adapter's name, which may be empty; a folder whose own name has a "=" is one."""
    place, _, name = words.partition("=") if not Path(words).is_dir() else (words, "", "")
    return place, name


def _opened(words: str) -> tuple[Verdict, list[Judged], str]:
    """The verdict of an evaluation, the pictures of one of its adapters, each once, and what to call that."""
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
    if not names:
        raise EvaluationError(
            f"{place} holds pictures of the base alone, and so nothing to compare. Measure a LoRA there first: "
            "likeness evaluate FOLDER, or FILE, or --pictures with some that were drawn with it."
        )
    name = name or (candidate_name(Path(verdict.lora).stem) if verdict.lora else names[-1])
    if name not in names:
        raise EvaluationError(f"{place} has no {name!r} that was measured. Use one of {', '.join(names)}.")
    own = [one for one in pictures if one.who == name]
    if any(one.round == "full" for one in own):
        own = [one for one in own if one.round != "first"]  # those pictures are among the full set's
    return verdict, own, f"{workspace.root.name} {name}"


def _refuse_unlike(one: Setup, other: Setup, settings: EvaluateConfig, settings_other: EvaluateConfig) -> None:
    unlike = [*_unlike(one, other)]
    if settings.checklist != settings_other.checklist:
        unlike.append(f"evaluate.checklist: {settings.checklist or 'none'} and {settings_other.checklist or 'none'}")
    if unlike:
        lines = "\n  ".join(unlike)
        raise EvaluationError(
            f"The two were not measured alike, and such scores are never compared:\n  {lines}\n"
            "Set the same in both recipes and repeat for both: likeness evaluate FOLDER"
        )
    if one.held_out != other.held_out:
        raise EvaluationError(
            "The two were measured against different held-out pictures, and so on different scales: 1 is as alike as "
            "those are to each other. Measure both LoRAs against the same pictures, which neither was trained on, and "
            "compare the folders that this leaves: likeness evaluate FILE --references FOLDER"
        )


def _unlike(one: Setup, other: Setup) -> Iterator[str]:
    """What two measurements differ in: the setting that says it, and what it is in each."""
    for purpose, field in INSTRUMENTS.items():
        here, there = (some.instruments.get(purpose, "").rpartition(" ") for some in (one, other))
        if here != there:
            names = f"{here[0]} and {there[0]}" if here[0] != there[0] else f"{here[0]}, with other weights"
            yield f"{field}: {names}"
    for name in dict.fromkeys([*one.sampling, *other.sampling]):
        here, there = (some.sampling.get(name) for some in (one, other))
        if here != there:
            yield f"sample.{name}{ELSEWHERE.get(name, '')}: {here!r} and {there!r}"
    if one.base != other.base:
        yield "[base]: another base, or the same with other settings or on another device"
