"""`likeness evaluate` and `compare`: how good a LoRA is, which checkpoint is best, and which of two."""

from pathlib import Path
from typing import Annotated

import typer

from likeness.cli.answers import tell
from likeness.cli.options import AsJson, Settings

__all__ = ["app", "compare", "evaluate"]

app = typer.Typer(rich_markup_mode=None)

Target = Annotated[
    Path | None, typer.Argument(metavar="FOLDER | FILE", help="A character's folder, or any LoRA.", show_default="here")
]
References = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Real pictures that FILE was not trained on, at least 9.", show_default=False),
]
Training = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Those that FILE was trained on, to find copies of them.", show_default=False),
]
Pictures = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Instead of FILE: pictures drawn elsewhere, with and without a LoRA.", show_default=False
    ),
]
Base = Annotated[
    str, typer.Option(metavar="BASE", help="The base that FILE is for; as base.path.", show_default="maquette")
]
Trigger = Annotated[
    str, typer.Option(metavar="WORD", help="The word that calls the character.", show_default="as FILE says")
]
Reader = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Who looks at pictures; as perception.reader.",
        show_default="maquette; with --base, plain",
    ),
]
To = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Where scores and page go.", show_default="FILE-evaluation, beside it"),
]
Measured = Annotated[
    str, typer.Argument(metavar="FOLDER[=NAME]", help="What was evaluated; NAME of one that is not the chosen.")
]
Margin = Annotated[
    float | None,
    typer.Option(
        metavar="NUMBER",
        min=0,
        max=1,
        help="A smaller difference is none.",
        show_default="evaluate.margin of the first",
    ),
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
    from likeness.cli.strangers import Stranger, measured, measured_here

    stranger = Stranger(target, pictures, references, training, to, base, trigger, reader)
    with reporting(as_json) as report:
        measuring = measured if stranger.is_one else measured_here
        workspace = measuring(stranger, settings, report)
    answer = answer_of(workspace)
    tell(as_json, answer, scorecard_table(answer))


@app.command()
def compare(first: Measured, second: Measured, margin: Margin = None, as_json: AsJson = False) -> None:
    """Is the second worse than the first, on the same prompts and noise? Exit status 1 where it is, 2 where nobody can
    say so of any likeness."""
    from likeness.cli.scorecards import comparison_table
    from likeness.pipeline.comparisons import compare_evaluations

    told = compare_evaluations(first, second, margin=margin)
    tell(as_json, told, comparison_table(told))
    if told["worse"]:
        raise typer.Exit(1)
    if not told["is_decided"]:
        raise typer.Exit(2)
