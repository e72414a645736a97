"""LoRAs and pictures by anyone: measured against a folder of real pictures, without a workspace of their own."""

import os
from collections.abc import Sequence
from pathlib import Path

from likeness.diffusion.checkpoints import read_header
from likeness.errors import CheckpointError, EvaluationError
from likeness.evaluation.elsewhere import candidate_name, measure_pictures, shots_by_lora
from likeness.evaluation.foreign import Generation, pictures_under, read_generations
from likeness.evaluation.instruments import Real
from likeness.evaluation.shots import Shot, Subject
from likeness.events import Event, Report, silent
from likeness.images import Pixels, open_pixels, sha256_of
from likeness.messages import listed
from likeness.pipeline.bench import Bench
from likeness.pipeline.evaluation import instruments_for, language_of, measure_files, sampling_of
from likeness.pipeline.instruments import adapted
from likeness.pipeline.scores import setup_of, write_evaluation
from likeness.recipe import Recipe, write_recipe
from likeness.records import Picture, make_folder, write_atomically, write_records
from likeness.workspace import Workspace

__all__ = ["evaluate_file", "evaluate_pictures", "trigger_in"]

FEWEST = 9  # real pictures: 4 to compare with, 5 that tell how alike real pictures are


def trigger_in(lora: Path) -> str:
    """What calls the character, as a LoRA's own metadata says: the trigger and, in a file of ours, the class words
    behind it. Empty where it does not say. Others' tags are what a LoRA is found under, and no words for prompts.

    Raises:
        CheckpointError: for a file that is no safetensors file.
    """
    told = read_header(lora).metadata
    is_ours = told.get("modelspec.implementation_version", "").startswith("likeness/")
    words = (told.get("modelspec.trigger_phrase", ""), told.get("modelspec.tags", "") if is_ours else "")
    return ", ".join(filter(None, words))


def evaluate_file(
    lora: Path, recipe: Recipe, *, references: Path, training: Path | None, to: Path, report: Report = silent
) -> Workspace:
    """A folder with the scores of one LoRA by any trainer.

    Args:
        lora: the file.
        recipe: with the base, the reader, and trigger and class words in `[character]`.
        references: real pictures of the character that it was not trained on.
        training: those that it was trained on, where they are here: copies of them are looked for.
        to: the folder to make.

    Raises:
        CheckpointError: for a file that is no LoRA for this base.
        EvaluationError: for too few real pictures.
    """
    if not lora.is_file():
        raise CheckpointError(f"{lora} is not there. Name a .safetensors file, or a workspace.")
    bench = Bench(Workspace(to), recipe, report)
    named = bench.recipe.character
    subject = Subject(named.trigger, named.class_words, {})
    learnt = pictures_under(training) if training else []
    real = _real_in(references, learnt)
    _refuse_unfit(lora, bench)
    with Workspace.create(to).lock("likeness evaluate"):
        measure_files(
            bench, {candidate_name(lora.stem): lora}, subject, real, trained_on=_places(learnt, bench.workspace)
        )
        _make_judgeable(bench.workspace, recipe, references)
    return bench.workspace


def _refuse_unfit(lora: Path, bench: Bench) -> None:
    """Opens the LoRA beside the base before anything is drawn: the base alone may draw for an hour."""
    model = bench.model
    try:
        with adapted(model, lora):
            return
    except CheckpointError as fault:
        base = bench.recipe.base.path
        raise CheckpointError(f"{lora} does not go with base.path = {base!r} (--base). {fault}") from fault


def evaluate_pictures(
    folder: Path, recipe: Recipe, *, references: Path, training: Path | None, to: Path, report: Report = silent
) -> Workspace:
    """A folder with the scores of pictures that were drawn elsewhere, by the LoRAs that their files name.

    Pictures of which no prompt is known are passed over, with a note for each reason.

    Raises:
        PictureError: where the folder is missing.
        EvaluationError: where no picture says how it was made, or there are too few real ones.
    """
    generations, passed_over = read_generations(folder)
    for why in dict.fromkeys(passed_over.values()):
        names = listed([path for path, reason in passed_over.items() if reason == why])
        report(Event(stage="evaluate", done=0, total=0, note=f"passed over: {names}: {why}"))
    if not generations:
        raise EvaluationError(
            f"No picture of {folder} says how it was made. Keep the metadata that your program writes, or put each "
            "prompt into a .txt file of the same name beside the picture."
        )
    learnt = pictures_under(training) if training else []
    real = _real_in(references, learnt)
    bench = Bench(Workspace.create(to), recipe, report)
    instruments = instruments_for(bench, {})
    asked = shots_by_lora(generations, language_of(bench.recipe), trigger=bench.recipe.character.trigger)
    pictures = {who: _opened(folder, some) for who, some in asked.items()}
    with bench.workspace.lock("likeness evaluate"):
        seed = bench.recipe.evaluate.seed
        found = measure_pictures(pictures, real, bench.recipe.evaluate, instruments=instruments, seed=seed)
        measured = setup_of(
            bench,
            instruments,
            sampling=sampling_of(bench.recipe),
            sha256=found.pictures[0].instrument_sha256,
            held_out=real.held_out,
        )
        files = {
            who: iter(_places([folder / one.path for _, one in some], bench.workspace)) for who, some in asked.items()
        }
        kept = {
            "pictures": lambda judged: next(files[judged.who]),
            "trained_on": _places(learnt, bench.workspace),
        }
        write_evaluation(bench, found, {}, measured, **kept)
        _make_judgeable(bench.workspace, recipe, references)
    return bench.workspace


def _make_judgeable(workspace: Workspace, recipe: Recipe, references: Path) -> None:
    """`likeness judge` finds what it needs: the recipe, and copies of the real pictures as held-out ones."""
    held_out = []
    for path in pictures_under(references):
        place, (rows, columns) = path.relative_to(references), open_pixels(path).shape[:2]
        copy = workspace.images / place
        make_folder(copy.parent)
        write_atomically(copy, path.read_bytes())
        told = {"id": sha256_of(copy), "path": place.as_posix(), "width": columns, "height": rows}
        held_out.append(Picture(**told, use="held-out", decided_by="person"))
    write_records(workspace.images_jsonl, held_out)
    workspace.recipe.unlink(missing_ok=True)  # of an earlier evaluation
    write_recipe(workspace.recipe, recipe)


def _real_in(references: Path, training: Sequence[Path]) -> Real:
    """The real pictures of a folder, by turns those that all is compared with and those that tell how alike real
    pictures are.

    Raises:
        EvaluationError: where there are too few.
    """
    pixels = [open_pixels(path) for path in pictures_under(references)]
    if len(pixels) < FEWEST:
        raise EvaluationError(
            f"{references} holds {len(pixels)} pictures; at least {FEWEST} real pictures of the character are needed, "
            "which the LoRA was not trained on."
        )
    return Real(held_out=pixels[::2], others=pixels[1::2], trained_on=[open_pixels(path) for path in training])


def _places(pictures: Sequence[Path], workspace: Workspace) -> list[str]:
    """Where pictures lie that no workspace holds, relative to one; on another drive than it, as they are."""
    root = workspace.root.resolve()
    found = [path.parent.resolve() / path.name for path in pictures]
    return [Path(os.path.relpath(path, root) if path.drive == root.drive else path).as_posix() for path in found]


def _opened(folder: Path, some: Sequence[tuple[Shot, Generation]]) -> list[tuple[Shot, Pixels]]:
    return [(shot, open_pixels(folder / one.path)) for shot, one in some]
