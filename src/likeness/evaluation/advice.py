"""Advice: what a scorecard says is wrong, with the figures that say so, and what to do about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from likeness.evaluation.axes import UNDRAWN
from likeness.evaluation.choose import TOO_ALIKE
from likeness.evaluation.details import Detail
from likeness.evaluation.measure import SCENE
from likeness.evaluation.scorecard import KINDS, Score
from likeness.recipe import EvaluateConfig
from likeness.records import Lack, Record

__all__ = ["Fault", "Finding", "findings_of"]

Fault = Literal[
    "undertrained",
    "weak view",
    "too alike",
    "wrong",
    "lost",
    "side",
    "outfit",
    "stiff",
    "background",
    "copies",
    "leak",
    "artefacts",
    "untold",
]
"""What can be wrong; "untold" is where nothing could be told, and a person has to look."""

WEAK = 0.2  # of likeness, by which a view is behind the mean of all: with few pictures of a view less is chance
VIEW_PICTURES = 3  # of a view, for its mean to say anything
CONSISTENT = 0.5  # of the pictures that show a trait: a wrong value in as many was learnt, and is no slip
BEYOND_BASE = 0.25  # of the pictures, more than the base shows that value anyway: what was not learnt is no fault of it
LEAKS = 0.5  # of the likeness, without the trigger: of more, the class is the character
SURELY = 1 / 3  # of a limit, which the worse end of an interval is held against: a mean above that is a fault
LEARNT = 0.8  # of likeness: what is surely below it has more to learn
FIXED = 0.5  # of pictures of the trigger alone: as many and more show one thing, surely
OPEN_PICTURES = 6  # of the trigger alone: fewer may all show one thing by chance
FOLLOWED = 0.6  # of what was asked for; of less, the LoRA holds something fast


class Finding(Record):
    """Something to change.

    Attributes:
        axis: that says so; "checklist" for what no axis is asked for.
        fault: what kind it is of.
        name: of the trait, view or outfit; empty for the whole axis.
        found: the figures, in words.
        advice: what to do.
        lack: pictures that would help.
    """

    axis: str
    fault: Fault
    name: str = ""
    found: str
    advice: str
    lack: Lack | None = None


def findings_of(scores: Sequence[Score], config: EvaluateConfig) -> list[Finding]:
    """What is wrong with one adapter, the gravest axis first as a scorecard lists them.

    Args:
        scores: of one adapter in one round, an axis each.
        config: with the limits.
    """
    return [*(finding for score in scores for finding in _of_axis(score, config)), *_unnamed(scores, config)]


def _of_axis(score: Score, config: EvaluateConfig) -> Iterator[Finding]:
    if score.value is None:
        yield _untold(score)
        return
    finders = FINDERS.get(score.axis, ())
    for find in finders:
        yield from find(score, config)


def _untold(score: Score) -> Finding:
    reasons = "; ".join(f"{reason} ({count} of {score.asked})" for reason, count in score.missing.items())
    return Finding(
        axis=score.axis,
        fault="untold",
        found=f"nothing could be told of {score.axis}: {reasons}",
        advice=_way_to_tell(score),
    )


def _unnamed(scores: Sequence[Score], config: EvaluateConfig) -> Iterator[Finding]:
    """What of the checklist the reader names in no picture."""
    found = {detail.name: (score.axis, detail.samples) for score in scores for detail in score.details}
    for name in config.checklist:
        axis, samples = found.get(name, ("checklist", 0))
        if not samples:
            yield Finding(
                axis=axis,
                fault="untold",
                name=name,
                found=f"{name.replace('_', ' ')}: the reader names nothing of it in any picture",
                advice=f"Look whether evaluate.checklist names it as the reader does. {BY_EYE}",
            )


BY_EYE = "Look yourself: likeness judge FOLDER asks you, blind, in two minutes."
WITHOUT_THE_BASE = {  # reasons, where pictures by the base were missing
    UNDRAWN,
    "too few pictures of others, to tell what no likeness is",
    "nobody else's pictures to compare with",
}


def _way_to_tell(score: Score) -> str:
    """What would tell an axis: the pictures that were missing, or a person."""
    if score.axis == "memorisation":
        return "Name the pictures that it was trained on, at least 4, and copies are looked for: --training FOLDER."
    if WITHOUT_THE_BASE & score.missing.keys():
        return "Put pictures beside them that the base drew, by the same prompts and without a LoRA."
    if KINDS.get(score.axis) == "likeness":
        return BY_EYE
    return "Take a reader that tells it (perception.reader), or look through the pictures on the page."


def _undertrained(score: Score, config: EvaluateConfig) -> Iterator[Finding]:
    assert score.value
    value, floor = score.value, config.identity_floor
    if value.low < floor or value.high < LEARNT:
        words = "is not learnt yet" if value.mean < floor else "may not be learnt yet" if value.low < floor else ""
        yield Finding(
            axis=score.axis,
            fault="undertrained",
            found=f"likeness {_told(score)} of what real pictures reach: it {words or 'is not all learnt yet'}",
            advice="Train longer (train.steps) or with a larger rank; where that does not help, with more pictures.",
        )


def _weak_views(score: Score, config: EvaluateConfig) -> Iterator[Finding]:
    assert score.value
    if score.value.mean < config.identity_floor:
        return  # all of it is weak
    for view in score.details:
        if view.samples >= VIEW_PICTURES and view.share < score.value.mean - WEAK:
            yield Finding(
                axis=score.axis,
                fault="weak view",
                name=view.name,
                found=f"{view.name}: likeness {view.share:.2f}, {score.value.mean:.2f} over all views",
                advice=f"Add 3 pictures of this view: {view.name}.",
                lack=Lack(axis="view", value=view.name, count=3, because=f"likeness there is {view.share:.2f}"),
            )


def _too_alike(score: Score, config: EvaluateConfig) -> Iterator[Finding]:
    assert score.value
    if score.value.mean > TOO_ALIKE:
        yield Finding(
            axis=score.axis,
            fault="too alike",
            found=f"likeness {_told(score)}: pictures are more alike than real ones are to each other",
            advice="It counts as 1. Look at memorisation, and at the pictures beside their nearest training picture: "
            "copies look like this, and stiff pictures do.",
        )


def _wrong_traits(score: Score, config: EvaluateConfig) -> Iterator[Finding]:
    for trait in score.details:
        fault = _fault_of(trait)
        if fault:
            yield Finding(
                axis=score.axis,
                fault=fault,
                name=trait.name,
                found=f"{_words(trait)}: {trait.instead or 'nothing'} in {trait.instead_share:.0%} of {trait.samples} "
                f"pictures, {trait.wanted} in {trait.share:.0%}",
                advice=CURES[fault],
            )


def _fault_of(trait: Detail) -> Fault | None:
    """What is wrong with a trait; None where it is mostly right, or was not learnt either way."""
    if trait.high >= CONSISTENT or trait.instead_share < CONSISTENT or " or " in trait.wanted:
        return None
    if trait.name.endswith(" side"):
        return "side"
    if trait.name.startswith("outfit "):
        return "outfit"
    if trait.instead in NOTHING:
        return "lost"
    return "wrong" if trait.instead_share - trait.base_share >= BEYOND_BASE else None


NOTHING = ("none", "")
CURES: Mapping[Fault, str] = {
    "outfit": "One outfit leaks into another: say each in the captions of its pictures, and add pictures of the one "
    "that is not worn.",
    "side": "Keep encode.mirror off, and look for mirrored pictures among those that are trained on: `likeness curate` "
    "finds those that contradict the others.",
    "wrong": "The pictures that are trained on show it so, or their captions do not match: compare them with those "
    "held out.",
    "lost": "It is not learnt: add close-ups that show it, or train longer. A caption that says it keeps it from the "
    "trigger.",
}


def _held_fast(fault: Fault, advice: str) -> Callable[[Score, EvaluateConfig], Iterator[Finding]]:
    def find(score: Score, config: EvaluateConfig) -> Iterator[Finding]:
        for one in score.details:
            if one.name.endswith(" entropy") or one.high >= FOLLOWED:
                continue
            yield Finding(
                axis=score.axis,
                fault=fault,
                name=one.name,
                found=f"{_words(one)} is as asked in {one.share:.0%} of {one.samples} pictures; "
                f"most often {one.instead} instead",
                advice=advice.format(name=_words(one)),
            )

    return find


def _above(fault: Fault, limit: str, words: str, advice: str) -> Callable[[Score, EvaluateConfig], Iterator[Finding]]:
    def find(score: Score, config: EvaluateConfig) -> Iterator[Finding]:
        assert score.value
        if score.value.mean > SURELY * getattr(config, limit):
            yield Finding(axis=score.axis, fault=fault, found=words.format(_told(score)), advice=advice)

    return find


def _fixed(score: Score, config: EvaluateConfig) -> Iterator[Finding]:
    """What is always the same where nothing is said of it; a detail's share is that of all else."""
    for one in score.details:
        surely = 1 - one.high
        if one.samples < OPEN_PICTURES or surely < FIXED or surely - one.base_share < BEYOND_BASE:
            continue
        fault = "background" if one.name == "background" else "stiff" if one.name in SCENE else "outfit"
        yield Finding(
            axis=score.axis,
            fault=fault,
            name=one.name,
            found=f"{_words(one)}: where nothing is said of it, {one.instead} in {one.instead_share:.0%} of "
            f"{one.samples} pictures; the base alone, {one.base_share:.0%}",
            advice=f"Say the {_words(one)} in every caption, and add pictures with others (likeness audit).",
        )


def _leak(score: Score, config: EvaluateConfig) -> Iterator[Finding]:
    assert score.value
    is_sure = score.value.low > LEAKS
    if is_sure or score.value.high > config.leak_limit:
        yield Finding(
            axis=score.axis,
            fault="leak",
            found=f"without the trigger pictures {'' if is_sure else 'may '}take on {_told(score)} of the likeness",
            advice="Keep the class: train.preserve, or encode.class_pictures; and put the trigger into every caption.",
        )


FINDERS: Mapping[str, tuple[Callable[[Score, EvaluateConfig], Iterator[Finding]], ...]] = {
    "identity": (_undertrained, _weak_views, _too_alike),
    **dict.fromkeys(("face", "body", "clothing", "attributes"), (_wrong_traits,)),
    "freedom": (
        _held_fast("stiff", "Add pictures with other values of {name}, and say it in every caption (likeness audit)."),
    ),
    "adherence": (
        _held_fast("background", "Say the background in every caption, and add pictures on others (likeness audit)."),
    ),
    "override": (
        _held_fast(
            "outfit", "Say {name} in captions, so that it stays free: caption.plan; add pictures in other outfits."
        ),
    ),
    "variety": (_fixed,),
    "memorisation": (
        _above(
            "copies",
            "copies_limit",
            "{} of the pictures copy one that was trained on",
            "Train shorter or with a smaller rank, and with more pictures; say more in captions.",
        ),
    ),
    "leak": (_leak,),
    "artefacts": (
        _above(
            "artefacts",
            "artefacts_limit",
            "{} of the pictures are blank, burnt, noisy or all the same",
            "Take an earlier checkpoint, or lower train.learning_rate; fetch a damaged file again.",
        ),
    ),
}


def _told(score: Score) -> str:
    assert score.value
    return f"{score.value.mean:.2f} ({score.value.low:.2f} to {score.value.high:.2f})"


def _words(detail: Detail) -> str:
    return detail.name.replace("_", " ")
