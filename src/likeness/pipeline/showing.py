"""Which pictures a release shows: those of the evaluation that are most alike, and one scene at several weights."""

from collections.abc import Collection, Iterator, Sequence

from likeness.catalog.pictures import Shown
from likeness.evaluation.scorecard import Judged
from likeness.evaluation.strength import Strength
from likeness.images import open_pixels
from likeness.recipe import SampleConfig
from likeness.records import read_records
from likeness.workspace import Workspace

__all__ = ["rows_of", "samples_of"]

KINDS = ("own", "yours")
FRAMINGS = ("face", "upper body")
"""In which a small picture shows who it is."""

ROWS = 2
"""Scenes that are shown at each weight: one may be an exception."""


def samples_of(workspace: Workspace, who: str, how: SampleConfig, *, title: str, most: int) -> Iterator[Shown]:
    """The pictures that show the character best, each view in turn, the preview first; copies are none of them.

    Args:
        workspace: with the evaluation.
        who: the checkpoint's name in it.
        how: its pictures were sampled.
        title: of the character.
        most: pictures.
    """
    judged = [one for one in read_records(workspace.pictures_jsonl, Judged) if one.who == who]
    shown = [one for one in judged if _may_be_shown(one) and (workspace.root / one.picture).is_file()]
    for one in _in_turn(shown)[:most]:
        yield Shown(
            pixels=open_pixels(workspace.root / one.picture),
            prompt=one.shot.prompt,
            seed=one.shot.seed,
            how=how,
            alt=_alt(title, one.shot.asked.values()),
        )


def _may_be_shown(one: Judged) -> bool:
    is_copy = one.values.get("memorisation", 0.0) > 0 or one.values.get("artefacts", 0.0) > 0
    return one.shot.kind in KINDS and bool(one.picture) and not is_copy


def _in_turn(judged: Sequence[Judged]) -> list[Judged]:
    best = sorted(judged, key=lambda one: -one.values.get("identity", -1.0))
    front = [one for one in best if one.shot.asked.get("view") == "front" and one.shot.asked.get("framing") in FRAMINGS]
    first = (front or best)[:1]
    queues: dict[str, list[Judged]] = {}
    for one in best:
        if one not in first:
            queues.setdefault(one.shot.asked.get("view", ""), []).append(one)
    turns = max(map(len, queues.values()), default=0)
    return first + [queue[turn] for turn in range(turns) for queue in queues.values() if turn < len(queue)]


def rows_of(workspace: Workspace, strength: Strength, how: SampleConfig, *, title: str) -> Iterator[Shown]:
    """A scene or two at each weight that was measured, of one noise each, from the base alone on."""
    for row in strength.rows[:ROWS]:
        for weight, place in row.pictures.items():
            if (workspace.root / place).is_file():
                yield Shown(
                    pixels=open_pixels(workspace.root / place),
                    prompt=row.prompt,
                    seed=row.seed,
                    how=how.model_copy(update={"weight": float(weight)}),
                    alt=_alt(title, [*row.asked.values(), f"weight {weight}"]),
                    row=f"{row.seed} {row.prompt}",
                )


def _alt(title: str, words: Collection[str]) -> str:
    """What is to be seen, for who cannot see it."""
    return f"{title}: {', '.join(words)}" if words else title
