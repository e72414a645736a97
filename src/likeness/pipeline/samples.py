"""The sampling step: what is drawn with which LoRA, and where it is kept."""

import hashlib
import json
from pathlib import Path

from likeness.diffusion.infotext import infotext
from likeness.errors import WorkspaceError
from likeness.events import Event, Report, silent
from likeness.images import save_png, sha256_of
from likeness.pipeline.bench import Bench
from likeness.pipeline.instruments import adapted, draw_pictures
from likeness.records import make_folder
from likeness.workspace import Run, Workspace

__all__ = ["best_lora", "draw_samples", "newest_lora", "sample_inputs"]

AT_ONCE = 8
"""Pictures that are drawn, and then kept, together: as many as a base draws in one go."""


def best_lora(workspace: Workspace, report: Report = silent) -> Path:
    """The LoRA that evaluation chose of the training that was finished last; before it has, the newest one.

    Raises:
        WorkspaceError: where there is none yet, or the record of the choice cannot be read.
    """
    newest = newest_lora(workspace, report)
    if workspace.choice_json.exists():
        chosen = workspace.root / _chosen_in(workspace.choice_json)
        run = Run(newest.parent)
        if chosen.is_file() and chosen in run.checkpoints[:-1]:  # the last one has the character's name too
            return chosen
    return newest


def _chosen_in(choice: Path) -> str:
    try:
        return json.loads(choice.read_bytes())["lora"]
    except (ValueError, KeyError, TypeError) as fault:
        raise WorkspaceError(f"{choice} cannot be read. Delete it, and evaluate again.") from fault


def newest_lora(workspace: Workspace, report: Report = silent) -> Path:
    """The LoRA of the training that was finished last; before there is one, the last checkpoint that was written.

    A person who stops a training wants to see what it has learnt so far. That it is not finished, or that a newer one
    is not, is told as a note.

    Raises:
        WorkspaceError: where there is none yet.
    """
    made, runs = workspace.made_by("train"), workspace.numbered_runs()
    finished = made[-1:] if made and made[-1].exists() else []
    found = [*(run.checkpoints[-1] for run in runs if run.checkpoints), *finished]
    if not found:
        raise WorkspaceError(f"{workspace.root} has no LoRA yet. Train one first: likeness train {workspace.root}")
    lora, latest = found[-1], runs[-1].root
    if not finished or lora.parent != latest:
        place = lora.relative_to(workspace.root).as_posix()
        note = f"run {latest.name} is not on record as finished; the newest LoRA is {place}"
        report(Event(stage="sample", done=0, total=0, note=note))
    return lora


def sample_inputs(bench: Bench) -> dict[str, str]:
    """Digests of all that sampling reads."""
    return _inputs(bench, best_lora(bench.workspace, bench.report))


def draw_samples(bench: Bench) -> list[Path]:
    """The pictures that `[sample]` asks for, with the newest LoRA; each few are kept before the next are drawn."""
    config, model, lora = bench.recipe.sample, bench.model, best_lora(bench.workspace)
    from likeness.diffusion.files.inspection import inspect_file

    lora_hash, folder = inspect_file(lora).auto_v3, _folder(bench, lora)
    prompts = config.prompts or (", ".join(bench.front),)
    shots = [
        (folder / f"{number:03d}-seed-{seed}.png", prompt, seed)
        for number, prompt in enumerate(prompts, start=1)
        for seed in range(config.seed, config.seed + config.count)
    ]
    make_folder(folder)
    with adapted(model, lora, weight=config.weight):
        for first in range(0, len(shots), AT_ONCE):
            paths, told, seeds = zip(*shots[first : first + AT_ONCE], strict=True)
            pictures = draw_pictures(model, told, config, seeds=seeds)
            for path, prompt, seed, pixels in zip(paths, told, seeds, pictures, strict=True):
                size = pixels.shape[1], pixels.shape[0]
                text = infotext(prompt, config, seed=seed, size=size, lora=lora.stem, lora_hash=lora_hash)
                save_png(path, pixels, {"parameters": text})
            bench.report(Event(stage="sample", done=first + len(paths), total=len(shots)))
    return [path for path, _, _ in shots]


def _inputs(bench: Bench, lora: Path) -> dict[str, str]:
    return {
        "lora": sha256_of(lora),
        "[sample]": bench.recipe.sample.digest,
        "front": ", ".join(bench.front),
        "base": bench.base_digest,
    }


def _folder(bench: Bench, lora: Path) -> Path:
    """Where the pictures go: another place for another LoRA, base or setting, so that none replaces an earlier one."""
    said = json.dumps(_inputs(bench, lora), sort_keys=True)
    # Eight digits tell apart what one person asks of one LoRA.
    digest = hashlib.sha256(said.encode()).hexdigest()[:8]
    return bench.workspace.samples / f"{lora.parent.name}-{lora.stem}-{digest}"
