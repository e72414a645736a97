"""Scorecards as a program or a person wants them: one object, or tables."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from likeness.cli.invocation import typed
from likeness.cli.tables import add_row, figure, plain_table
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.scorecard import KINDS, Judged, Score
from likeness.messages import counted, listed
from likeness.pipeline.judging import judged_sha256
from likeness.pipeline.scores import read_verdict
from likeness.records import read_records
from likeness.workspace import Workspace

__all__ = ["answer_of", "comparison_table", "scorecard_table"]

SCALE = "Likeness: 1 is as alike as real pictures are to each other, 0 as what the base draws of its class."
FEW = "A few: looked at with the first prompts alone, and not among the best then. Fresh: on other prompts and noise."
ENOUGH = 3  # pictures, for an interval to say anything


def answer_of(workspace: Workspace) -> dict[str, Any]:
    """All that was found of the adapters that were measured last, as plain data; None stands for what was not asked."""
    verdict, sha256 = read_verdict(workspace), judged_sha256(workspace)
    return {
        "workspace": str(workspace.root),
        "page": str(workspace.scorecard_html),
        "charts": [str(path) for path in sorted(workspace.plots.glob("*.png"))],
        **verdict.model_dump(mode="json"),
        "pictures": [one.model_dump(mode="json") for one in read_records(workspace.pictures_jsonl, Judged)],
        "scores": [one.model_dump(mode="json") for one in read_records(workspace.scores_jsonl, Score)],
        "strength": _found_of(sha256, workspace.strength_json),
        "blocks": _found_of(sha256, workspace.blocks_json),
        "judging": _found_of(sha256, workspace.judging_json),
    }


def _found_of(sha256: str, file: Path) -> dict[str, Any] | None:
    """What a file says of what has this digest; None where there is none, or it is about another."""
    found = json.loads(file.read_bytes()) if file.exists() else {}
    return found if found.get("sha256") == sha256 else None


def scorecard_table(answer: dict[str, Any]) -> RenderableType:
    """The choice and its reason, every adapter by axis, what is wrong, and where the page is."""
    choice = answer["choice"]
    parts: list[RenderableType] = [Text(choice["reason"])]
    if answer["lora"]:
        parts.append(Text(f"LoRA: {answer['lora']}"))
    parts += [_axes(answer["scores"]), Text(SCALE)]
    if any(one["round"] == "first" for one in answer["scores"]):
        parts.append(Text(FEW))
    shown = {one["who"] for one in answer["scores"] if one["step"] is not None and one["step"] == choice["step"]}
    for who, findings in answer["findings"].items():
        if who in shown or not shown:
            parts += [Text(f"\n{who}:"), *_findings(findings, answer["workspace"])]
    return Group(*parts, Text(f"\nAll of it: {answer['page']}"))


def comparison_table(told: dict[str, Any]) -> RenderableType:
    """Both adapters by axis, the difference with its interval, and what that means."""
    table = plain_table("axis", told["first"], told["second"], "difference", "95%", "pictures", "")
    for one in told["differences"]:
        interval = one["difference"]
        word = "worse" if one["is_worse"] else "better" if one["is_better"] else ""
        word = word if one["is_decidable"] else "too few prompts to say"
        figures = (figure(one["first"], 3), figure(one["second"], 3), figure(interval["mean"], 3, sign="+"))
        ends = f"{figure(interval['low'], 3, sign='+')} to {figure(interval['high'], 3, sign='+')}"
        add_row(table, one["axis"], *figures, ends, str(interval["samples"]), word)
    harms = [one["axis"] for one in told["differences"] if KINDS[one["axis"]] == "harm"]
    less = [Text(f"Of {listed(harms, len(harms))} less is better.")] if harms else []
    return Group(table, *less, Text(told["told"]))


def _axes(scores: list[dict[str, Any]]) -> Table:
    """Who by axis; of the last round of each."""
    rounds = {one["who"]: one["round"] for one in scores if one["who"] != BASE}
    last = {(one["who"], one["axis"]): one for one in scores if one["round"] == rounds.get(one["who"], "full")}
    axes = [axis for axis in (*KINDS, "economy") if any(axis == own for _, own in last)]
    table = plain_table("axis", *(f"{who}{_note(round)}" for who, round in rounds.items()), BASE)
    for axis in axes:
        add_row(table, axis, *(_cell(last.get((who, axis))) for who in (*rounds, BASE)))
    return table


def _note(round: str) -> str:
    return {"first": " (a few)", "full": "", "fresh": " (fresh)"}[round]


def _cell(score: dict[str, Any] | None) -> str:
    if score is None:
        return ""
    if score["value"] is None:
        return "untold"
    value, untold = score["value"], sum(score["missing"].values())
    gaps = f", {untold} of {score['asked']} untold" if untold else ""
    if value["samples"] < ENOUGH:
        return f"{figure(value['mean'])} ({counted(value['samples'], 'picture', 'pictures')}{gaps})"
    return f"{figure(value['mean'])} ({figure(value['low'])} to {figure(value['high'])}{gaps})"


def _findings(findings: list[dict[str, Any]], folder: str) -> Iterator[Text]:
    """What was found and what to do; where several findings need the same, that is said once."""
    if not findings:
        yield Text("  nothing to change was found")
    for advice, some in groupby(findings, key=lambda one: one["advice"]):
        *others, last = some
        yield from (Text(f"  {one['found']}") for one in others)
        cure = advice.replace("likeness judge FOLDER", typed("judge", folder))
        yield Text(f"  {last['found']}\n    {cure}" if others else f"  {last['found']}. {cure}")
