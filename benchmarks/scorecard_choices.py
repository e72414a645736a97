"""Of the benchmark of the scorecard, what needs runs of several checkpoints: choices, ranks, and what intervals cover.

`scorecard_quality.py` runs it and prints its tables. A checkpoint's true identity is the share of drawn traits on 64
pictures of scenes that no evaluation asks for, the same scenes and noise for all checkpoints.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy
from planted import subject
from scipy.stats import rankdata

from likeness.evaluation.axes import AXES
from likeness.evaluation.scorecard import score
from likeness.maquette.world import KINDS
from likeness.seeds import seed_of
from likeness.training.state import read_state

if TYPE_CHECKING:
    from scorecard_quality import Bench

__all__ = ["PICTURES", "Bar", "choices", "choices_table", "coverage", "coverage_table", "ranks", "ranks_table"]

RUNS = ("control", "again")
STEPS = tuple(range(40, 321, 40))  # checkpoints of a run that a user would have
VARIED = (20, 40, 60, 100, 160, 320)  # checkpoints of varied quality
MISNAMED = (20, 40, 60, 100, 160)  # checkpoints that differ in clothing, which base words alone bring in all others
PICTURES = 64  # that tell a checkpoint's truth
REPEATS = 40  # of each character
COVERED = ("identity", "face", "body", "clothing", "attributes", "freedom")
LOSS, RIGHT = 0.02, 0.9  # of identity, by which a choice may be behind the best; and how often it has to be so near
COVERS = (0.92, 0.98)
RANKED = 0.9

Bar = tuple[str, str, bool]


def _files(bench: "Bench", number: int, arm: str, steps: Sequence[int]) -> dict[str, Path]:
    run = bench.planted / str(number) / arm / "runs" / "0001"
    found = {f"step-{step:06d}": run / f"step-{step:06d}.safetensors" for step in steps}
    return {name: path for name, path in found.items() if path.exists()}


def choices(bench: "Bench", number: int) -> dict[str, Any] | None:
    """For each run of a character: which checkpoint is chosen, and the truth and the loss of each; None where one is
    not there."""
    found = {}
    if not all(_files(bench, number, arm, STEPS[-1:]) for arm in RUNS):
        return None
    for arm in RUNS:
        files = _files(bench, number, arm, STEPS)
        chosen = bench.evaluated(number, files, arm).choice
        state = read_state(bench.planted / str(number) / arm / "runs" / "0001" / "state")
        assert state
        told = [(one.step, one.loss) for one in state.checkpoints]
        found[arm] = {
            "chosen": chosen.step,
            "reason": chosen.reason,
            "truth": {str(_step(name)): bench.truth(subject(number), path, PICTURES) for name, path in files.items()},
            "loss": {str(step): _loss_until(told, step) for step in STEPS},
        }
    return found


def _step(name: str) -> int:
    return int(name.removeprefix("step-"))


def _loss_until(told: Sequence[tuple[int, float]], step: int) -> float:
    """The mean loss over the 40 steps before a checkpoint, however often the run saved."""
    return fmean(loss for at, loss in told if step - STEPS[0] < at <= step)


def ranks(bench: "Bench", number: int, arm: str = "control", steps: Sequence[int] = VARIED) -> list[dict[str, Any]]:
    """For checkpoints of varied quality: what evaluation says, and the truth."""
    files = _files(bench, number, arm, steps)
    scores = bench.evaluated(number, files, arm, finalists=len(files)).scores
    return [
        {
            "step": _step(name),
            "scores": {one.axis: one.value.mean for one in scores if one.who == name and one.value},
            "truth": bench.truth(subject(number), path, PICTURES),
        }
        for name, path in files.items()
    ]


def dressed(bench: "Bench", number: int) -> list[dict[str, Any]] | None:
    """The same for checkpoints that learn to wear another outfit than is asked for; None where they are not there."""
    return ranks(bench, number, "misnamed", MISNAMED) if _files(bench, number, "misnamed", MISNAMED[-1:]) else None


def coverage(bench: "Bench", number: int) -> dict[str, list[list[float]]]:
    """Intervals of the finished LoRA's scores, each from 24 pictures of fresh prompts: mean, low, high."""
    files = _files(bench, number, "control", STEPS[-1:])
    (name,) = files
    instruments, measure = bench.instruments(number, files), bench.measure(number)
    found: dict[str, list[list[float]]] = {axis: [] for axis in COVERED}
    for repeat in range(REPEATS):
        own = [shot for shot in bench.plan(number, seed_of(number, "coverage", repeat)) if shot.kind == "own"]
        drawn = instruments.look(own, instruments.draw(name, own))
        marks = {axis: AXES[axis](drawn, measure) for axis in COVERED}
        for one in score(name, STEPS[-1], "full", drawn, marks, measure, seed=repeat):
            if one.value:
                found[one.axis].append([one.value.mean, one.value.low, one.value.high])
    return found


# -- tables ------------------------------------------------------------------------------------------------------------


def choices_table(found: Mapping[int, Mapping[str, Any]]) -> Iterator[Bar]:
    """How far behind the best checkpoint of its run each rule's choice is, in true identity."""
    runs = [run for card in found.values() for run in card.get("choices", {}).values()]
    if not runs:
        return
    print(
        "\n| rule | runs | within 0.02 of the best | behind on average | at most | refused |\n|---|---|---|---|---|---|"
    )
    for rule in ("chosen", "last", "lowest loss"):
        behind = [gap for run in runs if (gap := _behind(run, rule)) is not None]
        near = sum(gap <= LOSS for gap in behind)
        print(
            f"| {rule} | {len(runs)} | {near} of {len(behind)} "
            f"| {fmean(behind or [1]):.3f} | {max(behind, default=1):.3f} | {len(runs) - len(behind)} |"
        )
        if rule == "chosen":
            yield (
                "the chosen checkpoint is within 0.02 of the best",
                f"{near} of {len(runs)}",
                near >= RIGHT * len(runs),
            )


def _behind(run: Mapping[str, Any], rule: str) -> float | None:
    truth = {int(step): told["identity"] for step, told in run["truth"].items()}
    losses = {int(step): loss for step, loss in run["loss"].items()}
    step = {"chosen": run["chosen"], "last": max(truth), "lowest loss": min(losses, key=losses.__getitem__)}[rule]
    return None if step is None else max(truth.values()) - truth[step]


def ranks_table(found: Mapping[int, Mapping[str, Any]]) -> Iterator[Bar]:
    """Rank correlation of each axis with the truth, on each character's own scale.

    The checkpoints of a training hardly differ in clothing, which a base's own words bring in: what it ranks there is
    chance, so that its bar is over those that learnt another outfit than is asked for, too. How near pictures are to
    the drawings that were asked for is told beside the bars: no reader takes part in it.
    """
    varied, dressed = ([*_anchored(found, part)] for part in ("ranks", "dressed"))
    if len(varied) < 3:
        return
    print("\n| axis | truth | LoRAs | rank correlation |\n|---|---|---|---|")
    rows = [(axis, axis, varied, "") for axis in ("identity", *KINDS)]
    rows.insert(1, ("identity", "nearness", varied, ""))
    rows += [("clothing", "clothing", [*varied, *dressed], ", those that misname outfits too")] if dressed else []
    beside = {("identity", "nearness", ""), *([("clothing", "clothing", "")] if dressed else [])}
    for axis, truth, told, also in rows:
        pairs = numpy.array([(one["scores"][axis], one["truth"][truth]) for one in told if axis in one["scores"]])
        rank = float(numpy.corrcoef(rankdata(pairs[:, 0]), rankdata(pairs[:, 1]))[0, 1])  # Spearman's
        print(f"| {axis}{also} | {truth} | {len(pairs)} | {rank:.3f} |")
        if (axis, truth, also) not in beside:
            yield f"{axis}{also} ranks as the truth does", f"{rank:.3f} over {len(pairs)}", rank >= RANKED


def _anchored(found: Mapping[int, Mapping[str, Any]], part: str) -> Iterator[Mapping[str, Any]]:
    """Scores and truths, the truths on the scale of the scores, which have a 0 and a 1 of each character's own."""
    for card in found.values():
        anchors = card.get("anchors", {})
        for one in card.get(part, []):
            truth = {
                kind: (share - anchors[kind][0]) / (anchors[kind][1] - anchors[kind][0]) if kind in anchors else share
                for kind, share in one["truth"].items()
            }
            yield {**one, "truth": truth}


def coverage_table(found: Mapping[int, Mapping[str, Any]]) -> Iterator[Bar]:
    """How often an interval holds the truth: the mean of all other repeats of the same LoRA."""
    cards = [card["coverage"] for card in found.values() if "coverage" in card]
    if not cards:
        return
    print("\n| axis | repeats | covered |\n|---|---|---|")
    for axis in COVERED:
        held = [is_held for card in cards for is_held in _held(numpy.array(card[axis]))]
        share = fmean(held)
        print(f"| {axis} | {len(held)} | {share:.1%} |")
        yield f"95% intervals of {axis} hold the truth", f"{share:.1%} of {len(held)}", COVERS[0] <= share <= COVERS[1]


def _held(rows_R3: numpy.ndarray) -> list[bool]:
    others_R = (rows_R3[:, 0].sum() - rows_R3[:, 0]) / (len(rows_R3) - 1)
    return [bool(low <= truth <= high) for truth, (_, low, high) in zip(others_R, rows_R3, strict=True)]
