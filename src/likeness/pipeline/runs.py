"""The training step: which run it is, what its files say, and the strips that it draws on the way."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from likeness import __version__
from likeness.dataset.seal import read_seal
from likeness.events import Event, EventLog
from likeness.images import save_png
from likeness.pipeline.bench import Bench
from likeness.pipeline.instruments import draw_pictures
from likeness.recipe import TrainConfig
from likeness.records import Caption, make_folder, read_records, write_atomically
from likeness.workspace import Run

if TYPE_CHECKING:
    from likeness.diffusion.files.metadata import LoraMetadata

__all__ = ["train_inputs", "train_lora"]

LEFT_OUT = ("sample_every", "sample_prompts", "checkpointing", "microbatch")
"""Fields of `[train]` that change nothing of what comes out."""


def train_inputs(bench: Bench) -> dict[str, str]:
    """Digests of all that training reads, and that its files say. Strips, which are looked at on the way, and how a
    step is made to fit into memory are left out."""
    recipe, usual = bench.recipe, TrainConfig()
    watched = dict[str, str]()
    if recipe.train.early_stop:
        from likeness.pipeline.evaluation import measuring_inputs  # torch comes with it

        watched = measuring_inputs(bench)
    return {
        **watched,
        "cache": bench.digest(bench.workspace.cache / "index.json"),
        "[train]": recipe.train.model_copy(update={name: getattr(usual, name) for name in LEFT_OUT}).digest,
        "name": recipe.character.name,
        "front": ", ".join(bench.front),
        "seed": str(recipe.seed),
        "base": bench.base_digest,
    }


def train_lora(bench: Bench) -> list[Path]:
    """The adapter files of the newest run where that was interrupted, which is gone on with; else of a new one.

    The last is the one that has the character's name.
    """
    recipe, workspace, model = bench.recipe, bench.workspace, bench.model
    from likeness.pipeline.watching import watch_of
    from likeness.training.data import refuse_held_out
    from likeness.training.logbook import Looks
    from likeness.training.train import train

    refuse_held_out(workspace.cache, read_seal(workspace.held_out_json))
    watch = watch_of(bench) if recipe.train.early_stop else None
    started = _begun_run(bench) or workspace.new_run()
    if not started.recipe.exists():
        write_atomically(started.recipe, recipe.to_toml())
    log = EventLog(started.events)

    def report(event: Event) -> None:
        log(event)
        bench.report(event)

    checkpoints = train(
        workspace.cache,
        recipe.train,
        model=model,
        to=started.root,
        seed=recipe.seed,
        metadata=_metadata(bench),
        looks=Looks(
            strip=partial(_draw_strip, bench, started),
            watch=partial(watch, started) if watch else None,
        ),
        report=report,
    )
    named = started.lora(recipe.character.name)
    return [*(started.checkpoint(checkpoint.step) for checkpoint in checkpoints), named]


def _begun_run(bench: Bench) -> Run | None:
    """The newest run, if it has steps to go; or if it was this very training, to its end, and nobody wrote that down.

    Raises:
        ResumeError: where its state is damaged.
    """
    from likeness.training.state import Origin, read_state

    recipe, workspace = bench.recipe, bench.workspace
    latest = workspace.latest_run()
    saved = read_state(latest.state) if latest else None
    if saved is None or not saved.is_finished:
        return latest if saved else None
    origin = Origin(
        seed=recipe.seed,
        base=bench.model.fingerprint,
        data=bench.digest(workspace.cache / "index.json"),
        **recipe.character.model_dump(include={"name", "trigger", "class_words"}),
        train=recipe.train,
    )
    is_whole = all((workspace.root / checkpoint.path).exists() for checkpoint in saved.checkpoints)
    return latest if is_whole and saved.origin == origin else None


def _metadata(bench: Bench) -> "LoraMetadata":
    from likeness.diffusion.files.metadata import LoraMetadata

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
