"""`likeness judge`: a person judges, blind, where instruments cannot tell."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likeness.cli.answers import opened, tell
from likeness.cli.options import AsJson, Folder, Settings
from likeness.errors import RecipeError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from likeness.evaluation.judgement import Judgement, Share

__all__ = ["app", "judge", "judgement_table"]

app = typer.Typer(rich_markup_mode=None)

PAIR_SECONDS, TICK_SECONDS = 3, 1.2  # that an answer takes

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME NAME]", help="Two adapters.", show_default="the chosen one and the best other"),
]
AnswersFile = Annotated[
    Path | None, typer.Option("--answers", metavar="FILE", help="What the page saved.", show_default=False)
]


@app.command()
def judge(
    folder: Folder = Path(), names: Names = None, answers: AnswersFile = None, settings: Settings = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Judge by eye, blind, in two minutes: a page to answer, and with --answers what that says."""
    from likeness.pipeline.judging import judge_answers, write_sheet

    workspace, recipe = opened(folder, settings)
    if answers and names:
        raise RecipeError(f"--answers needs no names: the key knows who was compared. Leave out {' '.join(names)}.")
    if answers is None:
        told = _asked(workspace.judging_html, write_sheet(workspace, recipe, names or ()))
        tell(as_json, told, _asking_words(folder, told))
    else:
        found = judge_answers(workspace, recipe, answers)
        tell(as_json, found.model_dump(mode="json"), judgement_table(found))


def _asked(page: Path, key: Any) -> dict[str, Any]:
    return {
        "page": str(page),
        "id": key.page,
        "first": key.first,
        "second": key.second,
        "pairs": len(key.pairs),
        "ticks": len(key.ticks),
        "items": list(dict.fromkeys(one.item.name for one in key.ticks)),
    }


def _asking_words(folder: Path, told: dict[str, Any]) -> str:
    from likeness.cli.invocation import typed
    from likeness.messages import counted

    minutes = max(1, round((told["pairs"] * PAIR_SECONDS + told["ticks"] * TICK_SECONDS) / 60))
    pairs = f"{counted(told['pairs'], 'pair', 'pairs')} of {told['first']} and {told['second']}"
    ticks = f"{counted(told['ticks'], 'picture', 'pictures')} of {told['second']} and real ones to look at closely"
    asked = " and ".join(words for words, count in ((pairs, told["pairs"]), (ticks, told["ticks"])) if count)
    return (
        f"Asks, blind: {asked}; about {counted(minutes, 'minute', 'minutes')}.\nOpen in a browser: {told['page']}\n"
        f"Then, with the file that it saves: {typed('judge', folder, '--answers', 'answers.json')}"
    )


def judgement_table(found: "Judgement") -> "RenderableType":
    """What a person prefers, how often each trait is right, where instruments agree, and what follows."""
    from rich.console import Group
    from rich.text import Text

    from likeness.cli.tables import add_row, plain_table

    parts: list[RenderableType] = [Text(f"{found.answered} of {found.asked} questions answered")]
    if told := found.preference:
        pairs = plain_table("more like the character", "pairs", "of those with a difference (95%)")
        add_row(pairs, told.first, str(told.for_first), "")
        add_row(pairs, told.second, str(told.for_second), f"{_share(told.share)}, p = {told.p:.2g}")
        add_row(pairs, "no difference", str(told.ties), "")
        add_row(pairs, "asked twice, answered alike", _count(found.consistency), "")
        parts += [Text(""), pairs]
    if found.items:
        items = plain_table("trait", "right (95%)", "in real pictures (95%)", "cannot be told")
        for one in found.items:
            name = f"{one.item.name}: {one.item.wanted}".replace("_", " ")
            add_row(items, name, _share(one.drawn), _share(one.real), str(one.untold or ""))
        parts += [Text(""), items]
    if found.agreements:
        axes = plain_table("axis", "agrees with you (95%)")
        for one in found.agreements:
            add_row(axes, one.axis, _share(one.share))
        parts += [Text(""), axes]
    return Group(*parts, Text(""), *map(Text, found.told))


def _share(share: "Share | None") -> str:
    return f"{_count(share)} ({share.low:.2f} to {share.high:.2f})" if share else "none"


def _count(share: "Share | None") -> str:
    return f"{share.count} of {share.of}" if share else "none"
