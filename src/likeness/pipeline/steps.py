"""The steps: what each reads, as digests by name, and what it does."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from likeness import __version__
from likeness.captions.caption import TagsOf, caption
from likeness.captions.tags import front_tags
from likeness.dataset.collect import collect
from likeness.errors import ResumeError, WorkspaceError
from likeness.events import Event, EventLog, Report
from likeness.images import Pixels, save_png, sha256_of
from likeness.maquette.world import scene_tags, trait_tags
from likeness.pipeline.instruments import adapted, base_folder, draw_pictures, open_base, open_reader
from likeness.recipe import Recipe, SampleConfig
from likeness.records import Caption, Picture, make_folder, read_records, write_atomically, write_records
from likeness.workspace import Run, Workspace

if TYPE_CHECKING:
    from likeness.diffusion.family import DiffusionModel
    from likeness.diffusion.lora_files import LoraMetadata

__all__ = ["STEPS", "Bench", "Step", "newest_checkpoint"]


A1111_SAMPLERS: Mapping[str, str] = {
    "dpm++": "DPM++ 2M",
    "dpm++-karras": "DPM++ 2M Karras",
    "ddim": "DDIM",
    "euler": "Euler",
    "euler-a": "Euler a",
}
"""Samplers by the name that A1111 gives them in a picture's metadata."""

TAGS_OF: Mapping[str, TagsOf] = {"maquette": lambda seen: [*trait_tags(seen), *scene_tags(seen)]}
"""The words for what a reader saw, by the reader's name; one without an entry speaks plainly."""


def newest_checkpoint(workspace: Workspace) -> Path:
    """The last adapter file of the newest run that has one.

    Raises:
        WorkspaceError: where there is none yet.
    """
    found = sorted(workspace.runs.glob("[0-9]*/step-*.safetensors"))
    if not found:
        raise WorkspaceError(f"{workspace.root} has no LoRA yet. Train one first: likeness train {workspace.root}")
    return found[-1]


class Bench:
    """What the steps of one command work on and with; the base is opened when it is first needed.

    Attributes:
        workspace: where all is read and written.
        recipe: as it is for this command.
        report: told of all that the steps tell.
    """

    def __init__(self, workspace: Workspace, recipe: Recipe, report: Report) -> None:
        self.workspace, self.recipe, self.report = workspace, recipe, report

    @cached_property
    def model(self) -> "DiffusionModel":
        """The base."""
        return open_base(self.recipe.base)

    @property
    def front(self) -> tuple[str, ...]:
        """What every caption begins with."""
        return front_tags(self.recipe.character.trigger, self.recipe.character.class_words)

    def digest(self, path: Path) -> str:
        """Of a file's bytes; of one that is not there, a word."""
        return sha256_of(path) if path.exists() else "missing"

    @cached_property
    def base_digest(self) -> str:
        """Of the base's files by name, size and time: enough to see a change without loading gigabytes."""
        root = base_folder(self.recipe.base)
        parts = sorted(root.rglob("*")) if root.is_dir() else [root]
        told = [f"{part} {part.stat().st_size} {part.stat().st_mtime_ns}" for part in parts if part.is_file()]
        settings = self.recipe.base
        return hashlib.sha256("\n".join([settings.device, settings.dtype, *told]).encode()).hexdigest()


def _collect_inputs(bench: Bench) -> dict[str, str]:
    """All files with their times; a folder in which nothing was touched needs no second look."""
    images = bench.workspace.images
    found = [(path, path.lstat()) for path in sorted(images.rglob("*"))]  # a link may lead nowhere
    told = [f"{path} {facts.st_size} {facts.st_mtime_ns}" for path, facts in found]
    return {"images": hashlib.sha256("\n".join(told).encode()).hexdigest()}


def _collect(bench: Bench) -> list[Path]:
    path = bench.workspace.images_jsonl
    previous = read_records(path, Picture) if path.exists() else []
    write_records(path, collect(bench.workspace.images, previous=previous, report=bench.report))
    return [path]


def _caption_inputs(bench: Bench) -> dict[str, str]:
    recipe, workspace = bench.recipe, bench.workspace
    return {
        **_collect_inputs(bench),  # caption files lie among the pictures
        "images.jsonl": bench.digest(workspace.images_jsonl),
        "[caption]": recipe.caption.digest,
        "[perception]": recipe.perception.digest,
        "front": ", ".join(bench.front),
    }


def _caption(bench: Bench) -> list[Path]:
    recipe, workspace = bench.recipe, bench.workspace
    captions = caption(
        read_records(workspace.images_jsonl, Picture),
        recipe.caption,
        images=workspace.images,
        front=bench.front,
        reader=None if recipe.caption.source == "files" else open_reader(recipe.perception),
        tags_of=TAGS_OF.get(recipe.perception.reader),
        report=bench.report,
    )
    write_records(workspace.captions_jsonl, captions)
    return [workspace.captions_jsonl]


def _encode_inputs(bench: Bench) -> dict[str, str]:
    workspace = bench.workspace
    return {
        "images.jsonl": bench.digest(workspace.images_jsonl),
        "captions.jsonl": bench.digest(workspace.captions_jsonl),
        "[encode]": bench.recipe.encode.digest,
        "front": ", ".join(bench.front),
        "base": bench.base_digest,
    }


def _encode(bench: Bench) -> list[Path]:
    recipe, workspace, model = bench.recipe, bench.workspace, bench.model
    from likeness.cache.encode import encode

    encode(
        read_records(workspace.images_jsonl, Picture),
        read_records(workspace.captions_jsonl, Caption),
        recipe.encode,
        model=model,
        images=workspace.images,
        front=bench.front,
        to=workspace.cache,
        report=bench.report,
    )
    return [workspace.cache / "index.json"]


def _train_inputs(bench: Bench) -> dict[str, str]:
    recipe = bench.recipe
    return {
        "cache": bench.digest(bench.workspace.cache / "index.json"),
        "[train]": recipe.train.digest,
        "[character]": recipe.character.digest,
        "seed": str(recipe.seed),
        "base": bench.base_digest,
    }


def _train(bench: Bench) -> list[Path]:
    """Goes on with the newest run where that was interrupted; else starts one."""
    recipe, workspace, model = bench.recipe, bench.workspace, bench.model
    from likeness.training.train import train

    started = _unfinished_run(workspace) or workspace.new_run()
    if not started.recipe.exists():
        write_atomically(started.recipe, recipe.to_toml())
    log = EventLog(started.events)

    def report(event: Event) -> None:
        log(event)
        bench.report(event)

    try:
        checkpoints = train(
            workspace.cache,
            recipe.train,
            model=model,
            to=started.root,
            seed=recipe.seed,
            metadata=_metadata(bench),
            strip=lambda step: _draw_strip(bench, started, step),
            report=report,
        )
    except ResumeError as fault:
        raise ResumeError(f"{fault} For a new run, delete {started.state}; its checkpoints stay.") from fault
    return [started.checkpoint(checkpoint.step) for checkpoint in checkpoints]


def _unfinished_run(workspace: Workspace) -> Run | None:
    """The newest run, if its saved state has steps to go; one whose state cannot be read is left to `train` to tell."""
    latest = workspace.latest_run()
    state = latest.state / "state.json" if latest else None
    if latest is None or state is None or not state.exists():
        return None
    try:
        saved = json.loads(state.read_bytes())
        return latest if saved["step"] < saved["origin"]["train"]["steps"] else None
    except (ValueError, KeyError, TypeError):
        return latest


def _metadata(bench: Bench) -> "LoraMetadata":
    from likeness.diffusion.lora_files import LoraMetadata

    recipe, model = bench.recipe, bench.model
    captions = read_records(bench.workspace.captions_jsonl, Caption)
    tags = Counter(tag for caption in captions for tag in caption.tags)
    side = recipe.encode.size or model.native_size[0]
    return LoraMetadata(
        title=recipe.character.name,
        base_name=Path(recipe.base.path).name,
        base_version=model.base_version,
        base_sha256=model.fingerprint,
        architecture=model.architecture,
        prediction=model.schedule.prediction,
        resolution=(side, side),
        trigger=recipe.character.trigger,
        tags=tuple(filter(None, (recipe.character.class_words,))),
        implementation_version=__version__,
        tag_frequency={recipe.character.name: dict(tags.most_common())},
    )


def _draw_strip(bench: Bench, run: Run, step: int) -> None:
    """The prompts of `train.sample_prompts` with the adapter as it is now, side by side: the same noise each time."""
    config = bench.recipe.sample
    prompts = bench.recipe.train.sample_prompts or (", ".join(bench.front),)
    pictures = draw_pictures(bench.model, prompts, config, seeds=[config.seed] * len(prompts))
    make_folder(run.samples)
    strip = numpy.concatenate(pictures, axis=1)
    save_png(run.samples / f"step-{step:06d}.png", strip, {"prompts": "\n".join(prompts)})


def _sample_inputs(bench: Bench) -> dict[str, str]:
    return {
        "lora": sha256_of(newest_checkpoint(bench.workspace)),
        "[sample]": bench.recipe.sample.digest,
        "front": ", ".join(bench.front),
        "base": bench.base_digest,
    }


def _sample(bench: Bench) -> list[Path]:
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


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the pipeline.

    Attributes:
        inputs: digests by name of all that it reads.
        act: does it, and answers with what it made.
    """

    inputs: Callable[[Bench], dict[str, str]]
    act: Callable[[Bench], list[Path]]


STEPS: Mapping[str, Step] = {
    "collect": Step(_collect_inputs, _collect),
    "caption": Step(_caption_inputs, _caption),
    "encode": Step(_encode_inputs, _encode),
    "train": Step(_train_inputs, _train),
    "sample": Step(_sample_inputs, _sample),
}
"""All steps by name, in the order in which they run."""
