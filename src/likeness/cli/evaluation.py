"""`likeness evaluate` and `compare`: how good a LoRA is, which checkpoint is best, and which of two."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likeness.cli.answers import opened, tell
from likeness.cli.options import AsJson, Settings

if TYPE_CHECKING:
    pass

__all__ = ["app", "compare", "evaluate"]

app = typer.Typer(rich_markup_mode=None)

Target = Annotated[
    Path | None, typer.Argument(metavar="FOLDER | FILE", help="A character's folder, or any LoRA.", show_default="here")
]
References = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Real pictures that FILE was not trained on.", show_default=False)
]
Training = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Those that it was trained on: finds copies.", show_default=False)
]
Pictures = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Measure pictures drawn elsewhere.", show_default=False)
]
Base = Annotated[str, typer.Option(metavar="BASE", help="What FILE belongs to; as base.path.", show_default="maquette")]
Trigger = Annotated[str, typer.Option(metavar="WORD", help="What calls it.", show_default="as FILE says")]
Reader = Annotated[str, typer.Option(metavar="NAME", help="Who looks; as perception.reader.", show_default="maquette")]
To = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where scores go.", show_default="beside it")]
Measured = Annotated[
    str, typer.Argument(metavar="FOLDER[=NAME]", help="What was evaluated; NAME of one that is not the chosen.")
]


@app.command()
def evaluate(  # noqa: PLR0913 - each is one thing to say of a file that nothing else is known of
    target: Target = None,
    references: References = None,
    training: Training = None,
    pictures: Pictures = None,
    base: Base = "",
    trigger: Trigger = "",
    reader: Reader = "",
    to: To = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """How good is this LoRA, which checkpoint is best, and what would make it better?"""
    from likeness.cli.progress import reporting
    from likeness.cli.scorecards import answer_of, scorecard_table

    is_file = pictures is not None or (target is not None and not target.is_dir())
    with reporting(as_json) as report:
        if is_file:
            from likeness.cli.strangers import measured

            workspace = measured(target, pictures, references, training, to, (base, trigger, reader), settings, report)
        else:
            from likeness import pipeline

            workspace, recipe = opened(target or Path(), settings)
            pipeline.run(workspace, recipe, ("evaluate",), report=report)
            pipeline.check_held_out(workspace)
    answer = answer_of(workspace)
    tell(as_json, answer, scorecard_table(answer))


@app.command()
def compare(first: Measured, second: Measured, margin: float | None = None, as_json: AsJson = False) -> None:
    """Is the second worse than the first, on the same prompts and noise? Exit status 1 where it is."""
    from likeness.cli.scorecards import comparison_table
    from likeness.pipeline.comparisons import compare_evaluations

    told = compare_evaluations(first, second, margin=margin)
    tell(as_json, told, comparison_table(told))
    if told["worse"]:
        raise typer.Exit(1)
