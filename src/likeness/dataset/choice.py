"""The choice: of the pictures that are good enough, those that are held out and those that are trained on."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy

from likeness.dataset.coverage import Chosen, Problem, choose, embedding_rows, shown
from likeness.dataset.holdout import LEAST, how_many, pick
from likeness.dataset.wants import phrase
from likeness.errors import WorkspaceError
from likeness.messages import counted
from likeness.recipe import CurateConfig
from likeness.records import Picture

__all__ = ["LEFT_OVER", "MOST", "choose_pictures"]

MOST = 50
"""Pictures from which on more of them add little; the field's usual upper end."""

LEFT_OVER = ("not needed", "too alike")
"""Faults of good pictures, for which only the choice had no room."""


def choose_pictures(pictures: Sequence[Picture], config: CurateConfig) -> tuple[list[Picture], list[str]]:
    """The pictures with their final use and its reason, and what a person should know about it, a sentence each.

    Held out first, then chosen, so that no choice is made by what is measured.

    Args:
        pictures: all; those that are rejected stay so. "held-out" among the others were held out before.
        config: of curation.

    Raises:
        WorkspaceError: where labels hold a scene out and train on it.
    """
    usable = [one for one in pictures if one.use != "rejected"]
    locked = {one.id for one in usable if _is_decided(one, "train")}
    scenes = Counter(_scene(one) for one in usable if one.id in locked)
    units: dict[str, list[Picture]] = {}
    for one in usable:
        if not scenes[_scene(one)]:  # a scene that a person wants to train on is not measured on
            units.setdefault(_scene(one), []).append(one)
    _check_labels(usable, scenes)
    count = how_many(len(usable), config.held_out)
    sealed = [one for one in usable if one.use == "held-out" and not scenes[_scene(one)]]
    held = {one.id for one in pick(units, count, _with_their_scenes(sealed, units))}
    candidates = [one for one in usable if one.id not in held]
    chosen = choose(_problem(candidates, locked, config), config.count or min(len(candidates), MOST))
    order = {candidates[some.index].id: (place, some) for place, some in enumerate(chosen, start=1)}
    taken = Counter(candidates[some.index].group for some in chosen)
    final = [_decided(one, held, order, taken, config.alike) for one in pictures]
    return final, _notes(len(held), len(locked), config)


def _notes(held: int, locked: int, config: CurateConfig) -> list[str]:
    """What a person should know about the numbers: of pictures held out, and locked to be trained on."""
    notes = []
    if config.held_out and held < LEAST:
        told = counted(held, "picture is", "pictures are")
        notes.append(f"{told} held out; fewer than {LEAST} measure a character badly.")
    if 0 < config.count < locked:
        told = f"{locked} pictures are locked by use=train"
        notes.append(f"{told}: all are trained on, over curate.count = {config.count}.")
    return notes


def _scene(picture: Picture) -> str:
    """The scene that a picture shows, by the path of one picture of it."""
    return picture.group or picture.path


def _with_their_scenes(sealed: Sequence[Picture], units: Mapping[str, Sequence[Picture]]) -> list[Picture]:
    """What was held out before, and what has come since that shows the same scene."""
    scenes = {_scene(one) for one in sealed}
    together = [one for name in sorted(scenes) for one in units.get(name, ())]
    return list({one.id: one for one in (*sealed, *together)}.values())


def _check_labels(usable: Sequence[Picture], scenes: Counter[str]) -> None:
    """A person cannot both train on a scene and be measured by it."""
    for one in usable:
        if _is_decided(one, "held-out") and scenes[_scene(one)]:
            other = next(two for two in usable if _is_decided(two, "train") and _scene(two) == _scene(one))
            raise WorkspaceError(
                f"labels.csv holds {one.path} out and trains on {other.path}, which shows the same scene. Give both "
                "the same use, or take one back with an empty one."
            )


def _is_decided(picture: Picture, use: str) -> bool:
    return picture.decided_by == "person" and picture.use == use


def _problem(candidates: Sequence[Picture], locked: set[str], config: CurateConfig) -> Problem:
    return Problem(
        embeddings=embedding_rows([one.reading for one in candidates]).astype(numpy.float32),
        quality=[sum(one.scores.values()) / max(len(one.scores), 1) for one in candidates],
        shows=[shown(one.reading) for one in candidates],
        groups=[one.group for one in candidates],
        sources=[one.source for one in candidates],
        locked=[index for index, one in enumerate(candidates) if one.id in locked],
        per_group=config.alike,
        per_source=config.per_source,
        variety=config.variety,
        worth=config.quality,
        coverage=config.coverage,
    )


def _decided(
    picture: Picture, held: set[str], order: Mapping[str, tuple[int, Chosen]], taken: Counter[str], alike: int
) -> Picture:
    """The picture with its final use; a person's decision keeps the person's reason.

    Args:
        held: ids of those that are held out.
        order: by id, the number of each that is chosen, and what it adds.
        taken: how many of each scene are chosen.
        alike: how many of one scene may be.
    """
    if picture.use == "rejected":
        return picture
    if picture.id in held:
        return _now(picture, "held-out", "kept for measuring; never trained on")
    if picture.id in order:
        return _now(picture, "train", _what_it_adds(*order[picture.id]))
    if picture.group and taken[picture.group] >= alike:
        told = counted(alike, "picture of this scene is", "pictures of this scene are")
        return _now(picture, "rejected", f"{told} chosen already", "too alike")
    told = counted(len(order), "other shows more", "others show more together")
    return _now(picture, "rejected", f"good, but {told}", "not needed")


def _now(picture: Picture, use: str, reason: str, fault: str = "") -> Picture:
    if picture.decided_by == "person":
        return picture.model_copy(update={"use": use, "reason": picture.reason or reason})
    return picture.model_copy(update={"use": use, "reason": reason, "fault": fault, "decided_by": "curate"})


def _what_it_adds(place: int, chosen: Chosen) -> str:
    """Why a picture is in: what it shows that was not shown often enough by those chosen before it."""
    order = ("view+expression", "view", "framing", "expression", "view+framing", "outfit", "pose")
    new = sorted((thing for thing in chosen.new if thing[0] in order), key=lambda thing: order.index(thing[0]))
    told = [phrase(thing) for thing in new[:3]]
    if not told:
        told = [
            f"unlike the others by {chosen.variety:.1%}" if chosen.variety >= 0.001 else "as good as any that is left"
        ]
    return f"chosen as number {place}: {'; '.join(told)}"
