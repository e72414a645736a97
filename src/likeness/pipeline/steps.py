"""The steps: what each reads, as digests by name, and what it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from likeness.errors import WorkspaceError
from likeness.pipeline.bench import Bench
from likeness.pipeline.class_pictures import DRAWN, class_digest, draw_class_pictures
from likeness.pipeline.curation import curate_pictures, curation_inputs, pool_digest
from likeness.pipeline.runs import train_inputs, train_lora
from likeness.pipeline.samples import draw_samples, sample_inputs
from likeness.recipe import Recipe
from likeness.records import Caption, Picture, read_records
from likeness.workspace import Workspace

__all__ = ["STEPS", "Step", "all_steps", "check_held_out"]


def _caption_inputs(bench: Bench) -> dict[str, str]:
    recipe, workspace = bench.recipe, bench.workspace
    return {
        "images": pool_digest(workspace.images),  # caption files lie among the pictures
        "images.jsonl": bench.digest(workspace.images_jsonl),
        "[caption]": recipe.caption.digest,
        "[perception]": recipe.perception.digest,
        "front": ", ".join(bench.front),
    }


def _caption(bench: Bench) -> list[Path]:
    from likeness.pipeline.captions import write_captions  # a tenth of a second, which `curate` and `show` do without

    return write_captions(bench)


def _encode_inputs(bench: Bench) -> dict[str, str]:
    workspace = bench.workspace
    return {
        "images.jsonl": bench.digest(workspace.images_jsonl),
        "captions.jsonl": bench.digest(workspace.captions_jsonl),
        "masks": pool_digest(workspace.masks),
        "class": pool_digest(workspace.class_pictures, without=DRAWN),
        "class is drawn with": class_digest(bench) if bench.recipe.encode.class_pictures else "",
        "[encode]": bench.recipe.encode.digest,
        "front": ", ".join(bench.front),
        "base": bench.base_digest,
    }


def _encode(bench: Bench) -> list[Path]:
    recipe, workspace, model = bench.recipe, bench.workspace, bench.model
    from likeness.cache.encode import cached_files, encode

    captions, pictures = read_records(workspace.captions_jsonl, Caption), read_records(workspace.images_jsonl, Picture)
    learnt = {picture.id for picture in pictures if picture.use == "train"}
    draw_class_pictures(bench, [caption for caption in captions if caption.picture in learnt])
    encode(
        pictures,
        captions,
        recipe.encode,
        model=model,
        images=workspace.images,
        front=bench.front,
        to=workspace.cache,
        report=bench.report,
    )
    return cached_files(workspace.cache)


def _evaluation_inputs(bench: Bench) -> dict[str, str]:
    from likeness.pipeline.evaluation import evaluation_inputs  # torch comes with it

    return evaluation_inputs(bench)


def _evaluate(bench: Bench) -> list[Path]:
    from likeness.pipeline.evaluation import evaluate_run

    return evaluate_run(bench)


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
    "curate": Step(curation_inputs, curate_pictures),
    "caption": Step(_caption_inputs, _caption),
    "encode": Step(_encode_inputs, _encode),
    "train": Step(train_inputs, train_lora),
    "evaluate": Step(_evaluation_inputs, _evaluate),
    "sample": Step(sample_inputs, draw_samples),
}
"""All steps by name, in the order in which they run."""


def all_steps(recipe: Recipe) -> tuple[str, ...]:
    """The steps from pictures to samples; without evaluation where it could tell nothing, since neither reader nor
    encoder knows characters apart."""
    can_tell = recipe.perception.reader != "plain" or recipe.evaluate.encoder != "plain"
    return tuple(step for step in STEPS if step != "evaluate" or can_tell)


def check_held_out(workspace: Workspace) -> None:
    """Raises where there is nothing to measure a LoRA against.

    Raises:
        WorkspaceError: where no picture was held out.
    """
    if not any(one.use == "held-out" for one in read_records(workspace.images_jsonl, Picture)):
        raise WorkspaceError(
            f"{workspace.root} has no held-out pictures, and a score against those that were learnt from says nothing. "
            "Add pictures and curate again; or name a folder of others: likeness evaluate FILE --references FOLDER"
        )
