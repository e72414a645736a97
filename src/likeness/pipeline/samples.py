"""The sampling step: what is drawn with which LoRA, and where it is kept."""

from collections.abc import Mapping
from pathlib import Path

from likeness.errors import WorkspaceError
from likeness.images import Pixels, save_png, sha256_of
from likeness.pipeline.bench import Bench
from likeness.pipeline.instruments import adapted, draw_pictures
from likeness.recipe import SampleConfig
from likeness.records import make_folder
from likeness.workspace import Workspace

__all__ = ["draw_samples", "newest_checkpoint", "sample_inputs"]

A1111_SAMPLERS: Mapping[str, str] = {
    "dpm++": "DPM++ 2M",
    "dpm++-karras": "DPM++ 2M Karras",
    "ddim": "DDIM",
    "euler": "Euler",
    "euler-a": "Euler a",
}
"""Samplers by the name that A1111 gives them in a picture's metadata."""


def newest_checkpoint(workspace: Workspace) -> Path:
    """The last adapter file of the newest run that has one.

    Raises:
        WorkspaceError: where there is none yet.
    """
    found = sorted(workspace.runs.glob("[0-9]*/step-*.safetensors"))
    if not found:
        raise WorkspaceError(f"{workspace.root} has no LoRA yet. Train one first: likeness train {workspace.root}")
    return found[-1]


def sample_inputs(bench: Bench) -> dict[str, str]:
    """Digests of all that sampling reads."""
    return {
        "lora": sha256_of(newest_checkpoint(bench.workspace)),
        "[sample]": bench.recipe.sample.digest,
        "front": ", ".join(bench.front),
        "base": bench.base_digest,
    }


def draw_samples(bench: Bench) -> list[Path]:
    """The pictures that `[sample]` asks for, with the newest LoRA."""
    config, checkpoint = bench.recipe.sample, newest_checkpoint(bench.workspace)
    prompts = config.prompts or (", ".join(bench.front),)
    turns = [(number, config.seed + turn) for number in range(len(prompts)) for turn in range(config.count)]
    told, seeds = [prompts[number] for number, _ in turns], [seed for _, seed in turns]
    with adapted(bench.model, checkpoint, weight=config.weight):
        pictures = draw_pictures(bench.model, told, config, seeds=seeds, report=bench.report)
    folder = bench.workspace.samples / f"{checkpoint.parent.name}-{checkpoint.stem}"
    make_folder(folder)
    paths = [folder / f"{number + 1:03d}-seed-{seed}.png" for number, seed in turns]
    for path, prompt, seed, pixels in zip(paths, told, seeds, pictures, strict=True):
        save_png(path, pixels, {"parameters": _parameters(prompt, config, seed, pixels)})
    return paths


def _parameters(prompt: str, config: SampleConfig, seed: int, pixels: Pixels) -> str:
    """How a picture was made, in the words that A1111 writes and that galleries read."""
    sampler = A1111_SAMPLERS[config.sampler]
    negative = f"Negative prompt: {config.negative}\n" if config.negative else ""
    size = f"{pixels.shape[1]}x{pixels.shape[0]}"
    return (
        f"{prompt}\n{negative}Steps: {config.steps}, Sampler: {sampler}, CFG scale: {config.guidance:g}, "
        f"Seed: {seed}, Size: {size}"
    )
