"""What an evaluation leaves on disk: scores, the choice, each picture with what was told of it, and the page."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from likeness.errors import WorkspaceError
from likeness.evaluation.advice import Finding, findings_of
from likeness.evaluation.choose import Choice
from likeness.evaluation.evaluate import BASE, Evaluation
from likeness.evaluation.instruments import Instruments
from likeness.evaluation.report import CHARTS, ScorecardPage, charts_of, render_scorecard
from likeness.evaluation.scorecard import Judged, rules_of
from likeness.evaluation.sheets import Pictured, suspects_of
from likeness.images import Pixels, open_pixels
from likeness.pipeline.bench import Bench
from likeness.pipeline.painter import drawing_versions
from likeness.recipe import SampleConfig
from likeness.records import Record, make_folder, write_atomically, write_records
from likeness.workspace import Workspace

__all__ = ["Setup", "Verdict", "read_verdict", "setup_of", "write_evaluation", "write_page"]


MIRRORED = "Mirroring was on: set encode.mirror = false, and train again."
"""What to do about a mark on the wrong side where that is so."""


class Setup(Record):
    """What was measured with: scores are compared where all of it is the same.

    Attributes:
        instruments: by what they are for, name and sha256 of the weights.
        sampling: how pictures were drawn.
        base: digest of the base.
        versions: of what draws.
        held_out: digest of the real pictures that all is compared with; empty in files of before it was kept.
    """

    instruments: dict[str, str]
    sampling: dict[str, Any]
    base: str
    versions: dict[str, str]
    held_out: str = ""


class Verdict(Record):
    """The chosen adapter, as `choice.json` holds it.

    Attributes:
        lora: its file, relative to the workspace where it is in it; empty where each was refused.
        choice: which, why and how sure.
        findings: what is wrong, by adapter; of one that was drawn again on fresh prompts, by those.
        detectable: the smallest difference of identity that so many pictures show; None where none were planned.
        measured: what it was measured with.
        trained_on: the training pictures, in the order that pictures' `nearest` counts them; relative to the workspace
            where they are in it.
    """

    lora: str
    choice: Choice
    findings: dict[str, tuple[Finding, ...]]
    detectable: float | None
    measured: Setup
    trained_on: tuple[str, ...] = ()


def write_evaluation(
    bench: Bench,
    found: Evaluation,
    files: Mapping[str, Path],
    measured: Setup,
    *,
    pictures: Callable[[Judged], str] = lambda judged: "",
    trained_on: Sequence[str] = (),
    detectable: float | None = None,
) -> list[Path]:
    """Everything that came of it, in the workspace; the choice comes last, but for the page that shows it.

    Args:
        bench: with the workspace, and the limits in its recipe.
        found: what came of it.
        files: the adapters, by name.
        measured: with what.
        pictures: where each picture lies, relative to the workspace.
        trained_on: the training pictures, as `Verdict` holds them.
        detectable: see `Verdict`.
    """
    workspace = bench.workspace
    verdict = Verdict(
        lora=_place(found, files, workspace),
        choice=found.choice,
        findings=_findings(found, bench),
        detectable=detectable,
        measured=measured,
        trained_on=tuple(trained_on),
    )
    make_folder(workspace.evaluation)
    kept = [one.model_copy(update={"picture": pictures(one)}) for one in found.pictures]
    write_records(workspace.pictures_jsonl, kept)
    write_records(workspace.scores_jsonl, found.scores)
    write_atomically(workspace.choice_json, verdict.model_dump_json(indent=1) + "\n")
    page = _page(bench, found, verdict, kept, drawn_here=bool(files))
    return [workspace.pictures_jsonl, workspace.scores_jsonl, workspace.choice_json, *write_page(workspace, page)]


def _page(
    bench: Bench, found: Evaluation, verdict: Verdict, kept: Sequence[Judged], *, drawn_here: bool
) -> ScorecardPage:
    """What the page tells, with the pictures as they were drawn."""
    pixels = [one for drawn in found.drawn.values() for one in drawn.pixels]
    pictures = [Pictured(*pair) for pair in zip(kept, pixels, strict=True)]
    limits = {rule.axis: rule.limit for rule in rules_of(bench.recipe.evaluate) if rule.limit is not None}
    measured = verdict.measured
    return ScorecardPage(
        name=bench.recipe.character.name,
        lora=verdict.lora,
        choice=found.choice,
        findings=verdict.findings,
        detectable=verdict.detectable,
        scores=found.scores,
        pictures=pictures,
        real=found.known.held_out,
        trained_on=verdict.trained_on,
        originals=_originals(pictures, verdict.trained_on, bench.workspace),
        limits=limits,
        instruments=measured.instruments,
        sampling=measured.sampling if drawn_here else {},
        versions={"base": measured.base, **measured.versions},
    )


def _originals(pictures: Sequence[Pictured], trained_on: Sequence[str], workspace: Workspace) -> dict[int, Pixels]:
    """The training pictures that were copied, by their place; one that is no longer there is left out."""
    places = {one.judged.nearest for one in suspects_of(pictures)}
    there = {place: workspace.root / path for place, path in enumerate(trained_on) if place in places}
    return {place: open_pixels(file) for place, file in there.items() if file.is_file()}


def write_page(workspace: Workspace, page: ScorecardPage) -> list[Path]:
    """`report/scorecard.html`, and its charts in `report/plots`; charts of an earlier evaluation go.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    charts = charts_of(page)
    files = {name: workspace.plots / f"{name}.png" for name in CHARTS}
    make_folder(workspace.plots)
    write_atomically(workspace.scorecard_html, render_scorecard(page, charts))
    for name, file in files.items():
        if name in charts:
            write_atomically(file, charts[name])
        else:
            file.unlink(missing_ok=True)
    return [workspace.scorecard_html, *(files[name] for name in charts)]


def _findings(found: Evaluation, bench: Bench) -> dict[str, tuple[Finding, ...]]:
    """What is wrong with each adapter, by the last round that it was drawn in."""
    last = {one.who: one.round for one in found.scores if one.who != BASE}
    by_who = {
        who: findings_of([one for one in found.scores if one.who == who and one.round == round], bench.recipe.evaluate)
        for who, round in last.items()
        if round != "first"
    }
    mirrored = bench.recipe.encode.mirror
    return {
        who: tuple(
            one.model_copy(update={"advice": MIRRORED}) if mirrored and one.fault == "side" else one for one in findings
        )
        for who, findings in by_who.items()
    }


def _place(found: Evaluation, files: Mapping[str, Path], workspace: Workspace) -> str:
    """Where the chosen adapter lies: relative to the workspace where it is in it."""
    chosen = next((one.who for one in found.scores if one.step is not None and one.step == found.choice.step), None)
    if chosen is None:
        return ""
    file = files[chosen].absolute()
    return file.relative_to(workspace.root).as_posix() if file.is_relative_to(workspace.root) else str(file)


def read_verdict(workspace: Workspace) -> Verdict:
    """The choice of a workspace.

    Raises:
        WorkspaceError: where none was made yet, or the file cannot be read.
    """
    path = workspace.choice_json
    try:
        return Verdict.model_validate_json(path.read_bytes())
    except FileNotFoundError as fault:
        raise WorkspaceError(f"{path} is not there. Measure first: likeness evaluate {workspace.root}") from fault
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    except ValueError as fault:
        raise WorkspaceError(
            f"{path} cannot be read. Delete it and repeat: likeness evaluate {workspace.root}"
        ) from fault


def setup_of(
    bench: Bench, instruments: Instruments, *, sampling: SampleConfig, sha256: str, held_out: Sequence[Pixels]
) -> Setup:
    """What the instruments, the sampler and the real pictures are.

    Args:
        bench: with the base.
        instruments: that looked.
        sampling: as pictures were drawn.
        sha256: of the reader's weights.
        held_out: the real pictures that all was compared with.
    """
    named = {"encoder": instruments.encoder, "copies": instruments.copy_encoder}
    digest = hashlib.sha256()
    for pixels in held_out:
        digest.update(pixels.tobytes())
    return Setup(
        instruments={
            "reader": f"{bench.recipe.perception.reader} {sha256}",
            **{purpose: f"{encoder.name} {encoder.sha256}" for purpose, encoder in named.items()},
        },
        sampling=sampling.model_dump(mode="json", exclude={"prompts", "seed", "count"}),
        base=bench.base_digest,
        versions=drawing_versions(),
        held_out=digest.hexdigest(),
    )
