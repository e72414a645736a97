"""The trait plan: what the trigger takes, what captions say so that it stays free, and which outfit gets a word."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from likeness.captions.variety import (
    FEWEST,
    NOTHING,
    OUTFIT_PICTURES,
    Told,
    follows,
    one_sided,
    told_traits,
    varies,
    worn_enough,
)
from likeness.errors import RecipeError
from likeness.recipe import CaptionConfig
from likeness.records import Reading, Record

__all__ = ["Decision", "PlannedTrait", "TraitPlan", "plan_traits"]

Decision = Literal["absorb", "expose", "trigger"]
"""Unsaid, so that the trigger takes it; said, so that it stays free; or a word of its own for each outfit."""


class PlannedTrait(Record):
    """What becomes of one trait.

    Attributes:
        name: as in the readings.
        value: the commonest; empty where a tagger names none in most pictures.
        pictures: that show this value.
        told: pictures in which the trait could be told.
        values: how many pictures show each value, commonest first.
        decision: see `Decision`.
        reason: in words.
        decided_by: "rule", or "person": by `caption.plan`.
        triggers: the word for each outfit that has one.
    """

    name: str
    value: str
    pictures: int
    told: int
    values: dict[str, int]
    decision: Decision
    reason: str
    decided_by: Literal["rule", "person"] = "rule"
    triggers: dict[str, str] = {}

    @property
    def share(self) -> float:
        """Of the pictures in which the trait could be told, how many show its commonest value."""
        return self.pictures / self.told


class TraitPlan(Record):
    """What becomes of each trait, in the readings' own order.

    Attributes:
        traits: one entry for each that was seen.
        pictures: that the plan rests on.
        may_mirror: whether a mirrored picture still shows the character.
        mirror_reason: why it does not; empty where it does.
    """

    traits: tuple[PlannedTrait, ...] = ()
    pictures: int = 0
    may_mirror: bool = True
    mirror_reason: str = ""

    def decision_on(self, name: str) -> Decision:
        """What becomes of a trait; one that the plan does not know is absorbed."""
        decisions: dict[str, Decision] = {trait.name: trait.decision for trait in self.traits}
        return decisions.get(name, "absorb")

    @property
    def triggers(self) -> dict[tuple[str, str], str]:
        """The word of each outfit, by trait and value."""
        return {(trait.name, value): word for trait in self.traits for value, word in trait.triggers.items()}


def plan_traits(readings: Sequence[Reading], config: CaptionConfig, *, trigger: str) -> TraitPlan:
    """What becomes of each trait, from how often each of its values was read and from what kind of trait it is.

    What is always there is absorbed. What is worn in a part of the pictures is exposed, and an outfit with at least
    `OUTFIT_PICTURES` gets a word. A few readings that differ do not make a trait vary: a reader errs too.

    Args:
        readings: one per picture that is trained on.
        config: of the captions; `config.plan` wins over every rule.
        trigger: the character's; the words for outfits begin with it.

    Raises:
        RecipeError: where `config.plan` names what was never seen.
    """
    traits = told_traits(readings, config)
    _check(config.plan, traits)
    outfit = _outfit(traits, config.plan)
    planned = tuple(_planned(trait, outfit, config.plan, trigger) for trait in traits)
    reason = one_sided(traits)
    return TraitPlan(traits=planned, pictures=len(readings), may_mirror=not reason, mirror_reason=reason)


def _check(plan: Mapping[str, str], traits: Sequence[Told]) -> None:
    names = {trait.name for trait in traits}
    worn = {value for trait in traits if trait.group != "body" for value in trait.values if value not in NOTHING}
    for key, word in plan.items() if traits else ():
        if key in names and word not in ("absorb", "expose", "trigger"):
            raise RecipeError(f"caption.plan.{key} = {word!r}: use 'absorb', 'expose' or 'trigger'.")
        if key not in names and key not in worn:
            close = difflib.get_close_matches(key, sorted(names | worn), n=1)
            raise RecipeError(
                f"caption.plan: {key!r} was seen in no picture{f'; did you mean {close[0]!r}?' if close else '.'} "
                f"Use any of {', '.join(sorted(names))}; or an outfit: {', '.join(sorted(worn)) or 'none was seen'}."
            )
        if key in worn - names and word in ("absorb", "expose", "trigger"):
            raise RecipeError(
                f"caption.plan: {key!r} is an outfit, not a trait. Write the word that is to call it, or decide about "
                "the trait."
            )


def _outfit(traits: Sequence[Told], plan: Mapping[str, str]) -> Told | None:
    """The trait whose values get words of their own: what is worn varies, and this tells best what it is."""
    asked = [trait for trait in traits if plan.get(trait.name) == "trigger"]
    named = [trait for trait in traits if trait.group == "outfit" and set(trait.values) & plan.keys()]
    varying = [
        trait
        for trait in traits
        if trait.group == "outfit" and plan.get(trait.name) is None and varies(trait) and worn_enough(trait)
    ]
    several = asked or named or varying
    return max(several, key=lambda trait: (len(worn_enough(trait)), len(trait.told)), default=None)


def _planned(trait: Told, outfit: Told | None, plan: Mapping[str, str], trigger: str) -> PlannedTrait:
    counts = trait.values
    value, pictures = counts.most_common(1)[0]
    decision, reason = _decided(trait, outfit)
    own = plan.get(trait.name)
    is_called = trait.group != "body" or own == "trigger"
    worn = [worn for worn in counts if worn not in NOTHING] if is_called else []
    words = {worn: plan[worn] for worn in worn if worn in plan}
    called = worn_enough(trait) if decision == "trigger" else []
    if own is not None:
        decision, reason, called = cast(Decision, own), "as caption.plan says", worn
    elif words:
        decision, reason = "trigger", "as caption.plan says: " + ", ".join(f"{v} is {w}" for v, w in words.items())
    triggers = {v: words.get(v) or _outfit_word(trigger, v) for v in worn if v in words or v in called}
    return PlannedTrait(
        name=trait.name,
        value=value,
        pictures=pictures,
        told=counts.total(),
        values=dict(counts.most_common()),
        decision=decision,
        reason=reason,
        decided_by="person" if own is not None or words else "rule",
        triggers=triggers if decision == "trigger" else {},
    )


def _decided(trait: Told, outfit: Told | None) -> tuple[Decision, str]:
    counts = trait.values
    told, (value, most) = counts.total(), counts.most_common(1)[0]
    is_worn = trait.group in ("outfit", "removable", "detail")
    if told < FEWEST:
        return "absorb", f"told in {told} of the pictures: too few to say that it varies"
    if not varies(trait):
        return "absorb", _steady(value, most, told, is_worn)
    if outfit is not None and trait.name == outfit.name:
        few = [v for v in counts if v not in NOTHING and v not in worn_enough(trait)]
        rest = f"; {', '.join(few)}: under {OUTFIT_PICTURES} pictures, said as it is" if few else ""
        return "trigger", f"worn in a part of the pictures each: every outfit gets a word{rest}"
    if outfit is not None and is_worn and follows(trait, outfit):
        return "absorb", f"follows {outfit.name}: the outfit's word takes it"
    if is_worn:
        return "expose", "can be taken off, and is there in a part of the pictures only"
    return "expose", "several values, each common: said, so that it stays free"


def _steady(value: str, most: int, told: int, is_worn: bool) -> str:
    if value in NOTHING:
        return f"nothing of the kind in {most} of {told}"
    if most == told:
        return "always there" + (": it becomes part of the character, though it could be taken off" if is_worn else "")
    return f"always there, so far as can be told: {told - most} of {told} read otherwise, as a reader errs"


def _outfit_word(trigger: str, value: str) -> str:
    return "".join(letter for letter in f"{trigger}{value}".lower() if letter.isalnum())
