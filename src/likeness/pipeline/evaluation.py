"""The evaluation step: which adapters, measured against which pictures, asked for what, and where it is written."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from likeness.errors import WorkspaceError
from likeness.evaluation.evaluate import Candidate, evaluate
from likeness.evaluation.instruments import Instruments, Real
from likeness.evaluation.languages import LANGUAGES, Language
from likeness.evaluation.scorecard import Judged
from likeness.evaluation.shots import Shot, Subject, plan_shots
from likeness.events import Event
from likeness.perception.encoders import PlainEncoder, load_encoder
from likeness.pipeline.bench import Bench
from likeness.pipeline.instruments import open_reader
from likeness.pipeline.painter import Painter
from likeness.pipeline.scores import setup_of, write_evaluation
from likeness.pipeline.subjects import part_of, real_pictures, subject_of, traits_of
from likeness.recipe import Recipe, SampleConfig
from likeness.records import Picture, read_records
from likeness.statistics import detectable_difference
from likeness.workspace import Run, Workspace

__all__ = [
    "candidates_of",
    "evaluate_run",
    "evaluation_inputs",
    "instruments_for",
    "language_of",
    "measure_files",
    "measuring_inputs",
    "plan_of",
    "sampling_of",
    "steps_of",
]

FAMILIES = {
    "maquette": "maquette",
    "noob": "noobai",
    "pony": "pony",
    "illustrious": "illustrious",
    "ilxl": "illustrious",
}
"""What a base's name holds, and how such bases are spoken to; of a name that holds two, the first."""


def evaluation_inputs(bench: Bench) -> dict[str, str]:
    """Digests of all that evaluation reads."""
    files = candidates_of(bench.workspace).values()
    return {**{file.name: bench.digest(file) for file in files}, **measuring_inputs(bench), "base": bench.base_digest}


def measuring_inputs(bench: Bench) -> dict[str, str]:
    """Digests of what adapters of a workspace are measured with and against."""
    recipe, workspace = bench.recipe, bench.workspace
    return {
        "images.jsonl": bench.digest(workspace.images_jsonl),
        "captions.jsonl": bench.digest(workspace.captions_jsonl),
        "plan.json": bench.digest(workspace.plan_json),
        "encoder": _encoder_digest(bench, recipe.evaluate.encoder, "encoder"),
        "copy encoder": _encoder_digest(bench, recipe.evaluate.copy_encoder, "copy-encoder"),
        "[evaluate]": recipe.evaluate.digest,
        "[sample]": sampling_of(recipe).digest,
        "[perception]": recipe.perception.digest,
        "[caption]": recipe.caption.digest,
        "front": ", ".join(bench.front),
    }


def _encoder_digest(bench: Bench, place: str, name: str) -> str:
    """Of an encoder's files, without loading it; of one that is not there, a word."""
    path = Path(place).expanduser()
    return PlainEncoder.sha256 if place == "plain" else bench.held(path, name) if path.exists() else "missing"


def evaluate_run(bench: Bench) -> list[Path]:
    """Scores, choice, pictures and page of the run that was trained last; nothing where no picture was held out, which
    is told as a note: a pool may be too small for that."""
    workspace = bench.workspace
    pictures = read_records(workspace.images_jsonl, Picture)
    if not any(one.use == "held-out" for one in pictures):
        bench.report(Event(stage="evaluate", done=0, total=0, note="no picture was held out: nothing is measured"))
        return []
    subject = subject_of(workspace, bench.recipe)
    learnt = [one.path for one in pictures if one.use == "train"]
    trained_on = [f"images/{path}" for path in learnt]
    return measure_files(bench, candidates_of(workspace), subject, real_pictures(workspace), trained_on=trained_on)


def measure_files(
    bench: Bench, files: Mapping[str, Path], subject: Subject, real: Real, *, trained_on: Sequence[str] = ()
) -> list[Path]:
    """Scores, choice, pictures and page of some adapters; the smallest difference that so many pictures show is told
    before any is drawn.

    Args:
        bench: with the base and the recipe.
        files: the adapters by name, the earliest first.
        subject: who is asked for.
        real: what they are measured against.
        trained_on: where the pictures of `real.trained_on` lie, as for `write_evaluation`.
    """
    config = bench.recipe.evaluate
    detectable = detectable_difference(config.count, config.seeds)
    note = f"{config.count} x {config.seeds} pictures show differences of {detectable:.3f} and more"
    bench.report(Event(stage="evaluate", done=0, total=0, note=note))
    instruments = instruments_for(bench, files)
    found = evaluate(
        [Candidate(name, place) for name, place in steps_of(files).items()],
        plan_of(bench.recipe, subject),
        real,
        config,
        instruments=instruments,
        seed=config.seed,
        report=bench.report,
    )
    measured = setup_of(
        bench,
        instruments,
        sampling=sampling_of(bench.recipe),
        sha256=found.pictures[0].instrument_sha256,
        held_out=real.held_out,
    )
    painter = instruments.draw
    assert isinstance(painter, Painter)

    def place_of(one: Judged) -> str:
        (file,) = painter.files(one.who, [one.shot])
        return file.relative_to(bench.workspace.root).as_posix()

    return write_evaluation(
        bench,
        found,
        files,
        measured,
        pictures=place_of,
        trained_on=trained_on,
        detectable=detectable,
    )


def candidates_of(workspace: Workspace) -> dict[str, Path]:
    """The checkpoints of the run that was trained last, by name, from the earliest.

    Raises:
        WorkspaceError: where none was trained yet.
    """
    made = [path for path in workspace.made_by("train") if path.exists()]
    run = (
        Run(made[-1].parent)
        if made
        else next((run for run in reversed(workspace.numbered_runs()) if run.checkpoints), None)
    )
    files = {path.stem: path for path in run.checkpoints} if run else {}
    if not files:
        if workspace.choice_json.exists() and not workspace.captions_jsonl.exists():
            raise WorkspaceError(
                f"{workspace.root} holds the scores of a LoRA's file, or of pictures, and nothing to draw with. "
                "Measure the file anew: likeness evaluate FILE --references FOLDER"
            )
        raise WorkspaceError(
            f"{workspace.root} has no LoRA to measure yet. Train one first: likeness train {workspace.root}"
        )
    return files


def steps_of(files: Mapping[str, Path]) -> dict[str, int]:
    """The step of each checkpoint, as its name tells; for files of other names their places."""
    told = {name: re.fullmatch(r"step-(\d+)", name) for name in files}
    return {name: int(match[1]) if match else place for place, (name, match) in enumerate(told.items(), start=1)}


def plan_of(recipe: Recipe, subject: Subject) -> Callable[[int], list[Shot]]:
    """The shots of a seed, for this character and base."""
    return lambda seed: plan_shots(subject, language_of(recipe), recipe.evaluate, seed=seed)


def language_of(recipe: Recipe) -> Language:
    """How the base is spoken to: as `evaluate.words` says, or as suits the base by its name, or else by the reader."""
    words, base = recipe.evaluate.words, Path(recipe.base.path).stem.lower()
    if words == "auto":
        by_reader = {"maquette": "maquette", "anime": "booru"}.get(recipe.perception.reader, "prose")
        words = next((family for part, family in FAMILIES.items() if part in base), by_reader)
    return LANGUAGES[words]


def sampling_of(recipe: Recipe) -> SampleConfig:
    """How an evaluation's pictures are drawn: as `[sample]` says, against what the base's words are against."""
    sample, steps = recipe.sample, recipe.evaluate.steps or recipe.sample.steps
    negative = sample.negative or language_of(recipe).negative
    return sample.model_copy(update={"negative": negative, "steps": steps, "prompts": (), "seed": 0, "count": 1})


def instruments_for(bench: Bench, files: Mapping[str, Path]) -> Instruments:
    """What draws with some adapters, and what looks at the pictures."""
    recipe = bench.recipe
    sample = sampling_of(recipe)
    return Instruments(
        draw=Painter(
            lambda: bench.model, sample, files, base=bench.base_digest, to=bench.workspace.evaluation / "pictures"
        ),
        reader=open_reader(recipe.perception),
        traits_of=lambda reading: traits_of(reading, recipe),
        part_of=part_of,
        encoder=load_encoder(recipe.evaluate.encoder),
        copy_encoder=load_encoder(recipe.evaluate.copy_encoder),
    )
