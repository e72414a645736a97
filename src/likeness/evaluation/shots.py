"""Shots: the pictures that every model is asked for, each with its prompt, its noise, and what should be on it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

from likeness.errors import EvaluationError
from likeness.evaluation.design import Row, pairwise
from likeness.evaluation.languages import Language, Override, scene_words_in, shown_axes
from likeness.recipe import EvaluateConfig
from likeness.records import Record
from likeness.seeds import seed_of, stream

__all__ = ["BALANCED", "CALLED", "NO_SEED", "Kind", "Shot", "Subject", "Worn", "first_of", "is_called", "plan_shots"]

Kind = Literal["own", "bare", "override", "background", "style", "yours", "class", "others"]
"""Scenes of the character; it alone, with nothing said of a scene; scenes with something otherwise, on other
backgrounds, in other styles; a person's own prompts; scenes without its trigger; and other things altogether."""

CALLED: tuple[Kind, ...] = ("own", "background", "style", "yours")
"""The kinds that are to show the character as it is."""

BALANCED = ("view", "framing")
"""What explains most of how pictures of one model differ: every plan has as much of each, so that it is no chance."""

SHARES: Mapping[Kind, float] = {
    "bare": 1 / 3,
    "override": 1 / 6,
    "background": 1 / 6,
    "style": 1 / 6,
    "class": 1 / 4,
    "others": 1 / 4,
}
"""Prompts of each kind for each scene of the character: 4 and 8 beside 24."""

NO_SEED = -1
"""The seed of pictures from elsewhere whose files tell none; they pair with no others."""

Asked = tuple[Kind, str, dict[str, str]]
"""What a prompt is for, itself, and what should be on its pictures."""

ALIKE = 0.8  # of two prompts' words, those in both: from there on a prompt reads like a caption that was trained on


class Shot(Record):
    """One picture to draw.

    Attributes:
        kind: what it is for.
        number: of its prompt; pictures of one prompt differ by their noise alone.
        prompt: as the base gets it.
        seed: of its noise.
        asked: what should be on it, by axis of the scene, or by trait.
    """

    kind: Kind
    number: int
    prompt: str
    seed: int
    asked: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Worn:
    """An outfit.

    Attributes:
        traits: what a reader sees of it, name to value.
        words: that captions have for it.
    """

    traits: Mapping[str, str]
    words: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked for.

    Attributes:
        trigger: the word that calls the character.
        class_words: what it is.
        traits: its own, so that nothing else is asked to be what it is already.
        captions: that it was learnt with, of which none is asked for again.
        outfits: that it was learnt in, where captions have words for them.
    """

    trigger: str
    class_words: str
    traits: Mapping[str, str]
    captions: Sequence[str] = ()
    outfits: Sequence[Worn] = ()

    @property
    def front(self) -> tuple[str, ...]:
        """What calls it."""
        return tuple(filter(None, (self.trigger, self.class_words)))


def plan_shots(subject: Subject, language: Language, config: EvaluateConfig, *, seed: int) -> list[Shot]:
    """Every shot, the seeds of a prompt beside each other, the prompts of a kind in an order of which the first few are
    a set of their own.

    Args:
        seed: another one gives fresh prompts and fresh noise.

    Raises:
        EvaluationError: where every scene that can be asked for reads like a caption.
    """
    known = language.scene_words  # what else a caption says makes its scene no other
    taken = [words for caption in subject.captions if (words := scene_words_in(caption, language))]

    def is_new(scene: str) -> bool:
        own = _words(scene) & known
        return all(len(own & words) < ALIKE * len(own | words) for words in taken)

    values = {axis: tuple(words) for axis, words in language.axes.items()}
    try:
        rows = pairwise(
            values, config.count, seed=seed, evenly=BALANCED, is_possible=lambda row: is_new(_scene(language, row))
        )
    except ValueError as fault:
        raise EvaluationError(
            f"No {config.count} unseen scenes are left to ask for: nearly all read like one of the "
            f"{len(subject.captions)} captions that were trained on. Ask for fewer (evaluate.count), or in words that "
            "captions do not use (evaluate.words); or train with captions that say less of the scene."
        ) from fault
    asked = [*_with_trigger(subject, language, rows, seed, is_new)]
    for prompt in config.prompts:
        asked.append(("yours", _called(prompt, subject), language.understood(prompt) | language.traits_in(prompt)))
    asked += [*_without_trigger(subject, language, rows, seed)]
    return [
        Shot(kind=kind, number=number, prompt=prompt, seed=_noise(seed, asked, number, copy), asked=shown)
        for number, (kind, prompt, shown) in enumerate(asked)
        for copy in range(config.seeds)
    ]


def _with_trigger(
    subject: Subject, language: Language, rows: Sequence[Row], seed: int, is_new: Callable[[str], bool]
) -> Iterator[Asked]:
    """The character as it is, in its outfits by turns; with something otherwise; on other backgrounds; in styles."""
    scenes, front = [(_scene(language, row), shown_axes(row)) for row in rows], subject.front
    for worn, (words, shown) in zip(cycle(subject.outfits or (Worn({}, ""),)), scenes, strict=False):
        yield "own", language.say(*front, worn.words, words), {**worn.traits, **shown}
    for _ in range(_count("bare", rows)):  # nothing brings out what was learnt by heart as the trigger alone does
        yield "bare", language.say(*front), {}
    overrides = _overrides(subject, language, _count("override", rows), seed)
    for one, (words, shown) in zip(overrides, _wide(scenes), strict=False):
        yield "override", language.say(*front, one.words, words), {**one.traits, **shown}
    yield from _backgrounds(subject, language, rows[: _count("background", rows)], seed, is_new)
    for style, (words, shown) in zip(language.styles[: _count("style", rows)], scenes, strict=False):
        yield "style", language.say(style, *front, words), shown


def _without_trigger(subject: Subject, language: Language, rows: Sequence[Row], seed: int) -> Iterator[Asked]:
    """The first scenes by the class words alone, and other things altogether."""
    for row in rows[: _count("class", rows)]:
        yield "class", language.say(subject.class_words, _scene(language, row)), shown_axes(row)
    for place in stream(seed, "others").permutation(len(language.others))[: _count("others", rows)]:
        yield "others", language.say(language.others[place]), {}


def _count(kind: Kind, rows: Sequence[Row]) -> int:
    return max(1, round(SHARES[kind] * len(rows)))


def first_of(shots: Sequence[Shot], share: float) -> list[Shot]:
    """The first prompts of each kind, so many of each as `share` says and at least one, with one picture of each."""
    kept: list[Shot] = []
    for kind in dict.fromkeys(shot.kind for shot in shots):
        numbers = list(dict.fromkeys(shot.number for shot in shots if shot.kind == kind))
        some = set(numbers[: max(1, round(share * len(numbers)))])
        first: dict[int, Shot] = {}
        for shot in shots:
            if shot.number in some:
                first.setdefault(shot.number, shot)
        kept += first.values()
    return kept


def _scene(language: Language, row: Mapping[str, str]) -> str:
    return language.joint.join(language.axes[axis][value] for axis, value in shown_axes(row).items())


def _wide(scenes: Sequence[tuple[str, dict[str, str]]]) -> Iterable[tuple[str, dict[str, str]]]:
    """Scenes that show clothes, over and over; where none does, those that there are."""
    return cycle([one for one in scenes if one[1].get("framing") != "face"] or scenes)


def _noise(seed: int, asked: Sequence[Asked], number: int, copy: int) -> int:
    """The seed of a picture; a scene without the trigger has the noise of the same scene with it."""
    kind = asked[number][0]
    if kind == "class":
        number -= next(place for place, one in enumerate(asked) if one[0] == "class")
    return seed_of(seed, "noise", number, copy)


def _words(text: str) -> set[str]:
    return {part.strip().lower() for part in text.split(",")} - {""}


def _overrides(subject: Subject, language: Language, count: int, seed: int) -> list[Override]:
    """Other values than the character's own, traits taking turns."""
    is_now = [subject.traits, *(worn.traits for worn in subject.outfits)]
    others = [
        one
        for one in language.overrides
        if not any(own.get(name) == value for own in is_now for name, value in one.traits.items())
    ]
    mixed = [others[place] for place in stream(seed, "overrides").permutation(len(others))]
    turns: dict[tuple[str, ...], list[Override]] = {}
    for one in mixed:
        turns.setdefault(tuple(one.traits), []).append(one)
    queue = [one for rank in range(len(mixed)) for some in turns.values() for one in some[rank : rank + 1]]
    return queue[:count]


def _backgrounds(
    subject: Subject, language: Language, rows: Sequence[Row], seed: int, is_new: Callable[[str], bool]
) -> Iterator[Asked]:
    """The scenes on other backgrounds than they were designed with; one of which each reads like a caption is left
    out."""
    names = [str(name) for name in stream(seed, "backgrounds").permutation(list(language.backgrounds))]
    for place, row in enumerate(rows):
        rest = shown_axes({axis: value for axis, value in row.items() if axis != "background"})
        words = [language.axes[axis][value] for axis, value in rest.items()]
        others = [name for name in [*names[place % len(names) :], *names] if name != row.get("background")]
        name = next((one for one in others if is_new(", ".join([*words, language.backgrounds[one]]))), None)
        if name is None:
            continue
        prompt = language.say(*subject.front, *words, language.backgrounds[name])
        yield "background", prompt, {**rest, "background": name}


def _called(prompt: str, subject: Subject) -> str:
    """A person's prompt, with the trigger in front where it is not said."""
    return prompt if is_called(prompt, subject.trigger) else ", ".join([*subject.front, prompt])


def is_called(prompt: str, trigger: str) -> bool:
    """Whether a prompt holds the trigger as a word of its own."""
    return re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", prompt, re.IGNORECASE) is not None
