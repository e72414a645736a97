"""The command line. Each command calls what a program would call; results go to stdout, talk goes to stderr.

What a command needs is imported when it runs, so that `likeness --help` answers at once.
"""

import gc
import json
import logging
import sys
from pathlib import Path

import typer

from likeness.cli import catalog, evaluation, files, judging, models, probing, publishing, recipes
from likeness.cli.answers import opened, run_steps, tell, tell_plan
from likeness.cli.options import (
    AsJson,
    DemoFolder,
    File,
    Folder,
    Licence,
    NewFolder,
    NoDraw,
    PlanOnly,
    Seed,
    Settings,
    Source,
    Sources,
    ToFolder,
    Why,
    Words,
)
from likeness.errors import LikenessError

__all__ = [
    "add",
    "app",
    "audit",
    "caption",
    "curate",
    "demo",
    "doctor",
    "encode",
    "export_dataset",
    "init",
    "inspect",
    "label",
    "main",
    "run",
    "sample",
    "show",
    "train",
    "trigger",
]

app = typer.Typer(
    name="likeness",
    help="Pictures of one character in, a LoRA that keeps its likeness out, with numbers to prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models.app)
app.add_typer(evaluation.app)
app.add_typer(judging.app)
app.add_typer(probing.app)
app.add_typer(publishing.app)
app.add_typer(catalog.app)
app.add_typer(files.app)
app.add_typer(recipes.app)

HERE = Path()


@app.command()
def init(folder: NewFolder, settings: Settings = None, as_json: AsJson = False) -> None:
    """Start a character: its folder, and a recipe to fill in."""
    from likeness.cli.beginnings import begin
    from likeness.cli.invocation import typed

    workspace = begin(folder, settings or ())
    tell(
        as_json,
        {"workspace": str(workspace.root), "recipe": str(workspace.recipe), "images": str(workspace.images)},
        f"Put all the pictures that you have of the character into {workspace.images}, with captions beside them where "
        f"there are some (01.png and 01.txt).\nLook through {workspace.recipe}. Then: {typed('curate', folder)}",
    )


@app.command()
def curate(
    folder: Folder = HERE, why: Why = "", source: Source = "", licence: Licence = "", settings: Settings = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Choose the pictures to train on from all that is in images/, hold some out, and say why."""
    from likeness.cli.curation import answered
    from likeness.cli.progress import reporting

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        told, table, fault = answered(workspace, recipe, why, said=(source, licence), report=report)
    tell(as_json, told, table)
    if fault:
        raise fault


@app.command()
def add(
    folder: NewFolder, sources: Sources, source: Source = "", licence: Licence = "", as_json: AsJson = False
) -> None:
    """Bring in pictures from folders and zip files."""
    from likeness.cli.pictures import add_pictures, intake_facts, intake_table
    from likeness.cli.progress import reporting
    from likeness.workspace import Workspace

    workspace = Workspace(folder)
    with reporting(as_json) as report:
        intake = add_pictures(workspace, sources, (source, licence), report)
    tell(as_json, intake_facts(workspace, intake), intake_table(intake))


@app.command()
def label(folder: NewFolder, words: Words = None, as_json: AsJson = False) -> None:
    """Say what a picture shows; lock it or ban it."""
    from likeness.cli.pictures import label_pictures, label_table
    from likeness.workspace import Workspace

    labels = label_pictures(Workspace(folder), words or ())
    tell(as_json, {"labels": [one.model_dump(exclude_defaults=True) for one in labels.values()]}, label_table(labels))


@app.command()
def caption(folder: Folder = HERE, settings: Settings = None, as_json: AsJson = False) -> None:
    """Caption the pictures, and show the trait plan: what the trigger takes, and what stays free."""
    from likeness import pipeline
    from likeness.cli.captions import plan_table
    from likeness.cli.progress import reporting
    from likeness.pipeline.captions import audit_captions, read_plan

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        pipeline.run(workspace, recipe, ("curate", "caption"), report=report)
    plan, findings = read_plan(workspace), audit_captions(workspace, recipe)
    told = {"plan": plan.model_dump(), "findings": [finding.model_dump() for finding in findings]}
    tell(as_json, {"workspace": str(workspace.root), **told}, plan_table(plan))


@app.command()
def audit(folder: Folder = HERE, settings: Settings = None, as_json: AsJson = False) -> None:
    """What the captions would bake in, contradict or leave out, and what to do about it. It stops nobody."""
    from likeness.cli.captions import findings_table
    from likeness.pipeline.captions import audit_captions

    workspace, recipe = opened(folder, settings)
    findings = audit_captions(workspace, recipe)
    tell(as_json, {"findings": [finding.model_dump() for finding in findings]}, findings_table(findings))


@app.command()
def export_dataset(folder: NewFolder, to: ToFolder, settings: Settings = None, as_json: AsJson = False) -> None:
    """Write a folder that kohya's trainers read."""
    from likeness.cli import pictures
    from likeness.cli.progress import reporting

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        told = pictures.export_dataset(workspace, recipe, to, report)
    tell(as_json, told, pictures.exported_words(told))


@app.command()
def trigger(folder: Folder = HERE, settings: Settings = None, no_draw: NoDraw = False, as_json: AsJson = False) -> None:
    """Check the trigger with the base: is it a word that it does not know? Propose others."""
    from likeness.cli.captions import trigger_table
    from likeness.cli.progress import reporting
    from likeness.pipeline.trigger import inspect_trigger

    workspace, recipe = opened(folder, settings)
    with reporting(as_json) as report:
        found = inspect_trigger(workspace, recipe, draw=not no_draw, report=report)
    tell(as_json, found.model_dump(), trigger_table(found))


@app.command()
def encode(folder: Folder = HERE, settings: Settings = None, as_json: AsJson = False) -> None:
    """Curate and caption the pictures, and encode both for training."""
    run_steps(("curate", "caption", "encode"), folder, settings, as_json)


@app.command()
def train(folder: Folder = HERE, plan: PlanOnly = False, settings: Settings = None, as_json: AsJson = False) -> None:
    """Train the LoRA, or go on with an interrupted run. What is new is encoded first."""
    if plan:
        tell_plan(folder, settings, as_json)
        return
    run_steps(("curate", "caption", "encode", "train"), folder, settings, as_json)


@app.command()
def sample(folder: Folder = HERE, settings: Settings = None, as_json: AsJson = False) -> None:
    """Draw pictures with the newest LoRA."""
    run_steps(("sample",), folder, settings, as_json)


@app.command()
def run(folder: Folder = HERE, settings: Settings = None, as_json: AsJson = False) -> None:
    """All of it: curate, caption, encode, train, evaluate, sample. What is done and unchanged is skipped."""
    run_steps(None, folder, settings, as_json)


@app.command()
def show(folder: Folder = HERE, settings: Settings = None, as_json: AsJson = False) -> None:
    """What is in a character's folder, and what to do next."""
    from likeness.cli.tables import state_table
    from likeness.cli.views import state_of

    state = state_of(*opened(folder, settings))
    tell(as_json, state, state_table(state))


@app.command()
def inspect(file: File, as_json: AsJson = False) -> None:
    """What a LoRA file holds: ranks per block, metadata, hashes."""
    from likeness.cli.tables import file_table
    from likeness.cli.views import facts_of

    facts = facts_of(file)
    tell(as_json, facts, file_table(facts))


@app.command()
def demo(folder: DemoFolder = Path("demo"), seed: Seed = 1, settings: Settings = None, as_json: AsJson = False) -> None:
    """Prove the likeness on a character that nobody has seen.

    The character is drawn and taught to the embedded base; then it is measured whether the likeness holds.
    """
    from likeness import demo
    from likeness.cli.progress import reporting
    from likeness.cli.tables import demo_table

    with reporting(as_json) as report:
        result = demo.demo(folder, seed, settings=settings or (), report=report)
    tell(as_json, result.summary(), demo_table(result))


@app.command()
def doctor(folder: Folder = HERE, settings: Settings = None, as_json: AsJson = False) -> None:
    """What is here, what is missing, and what mends it."""
    from likeness.cli.checks import check_all
    from likeness.cli.tables import check_table

    checks = check_all(folder, settings or ())
    tell(as_json, {"checks": [check.model_dump() for check in checks]}, check_table(checks))
    if any(check.is_missing for check in checks):
        raise typer.Exit(1)


def main() -> None:
    """The command that the process was called with. An expected error is one message and its own exit status."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns of a kernel that nothing here asks for
    try:
        app()
    except LikenessError as error:
        told = json.dumps({"error": str(error)}) if "--json" in sys.argv else f"likeness: {error}"
        typer.echo(told, err=True)
        sys.exit(error.exit_status)
    finally:
        _spare_the_last_look()


def _spare_the_last_look() -> None:
    """Leaves all that is in memory to the system: a process that ends looks through it for garbage once more, which
    takes a tenth of a short command. Only for `main`: in a program that goes on, what is garbage would stay."""
    gc.freeze()
