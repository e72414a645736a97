"""Wordings: how a caption is said, each time otherwise, so that neither order nor any one tag is learnt by heart."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from likeness.recipe import EncodeConfig
from likeness.records import Caption
from likeness.seeds import stream

__all__ = ["Variant", "variants"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One wording of a caption, and the same with the trigger left out."""

    text: str
    without_trigger: str


def variants(caption: Caption, config: EncodeConfig, front: Sequence[str]) -> list[Variant]:
    """The wordings of a caption that training sees: first as it stands, then shuffled and thinned, each once.

    They depend on the caption and the config alone. Of a short caption there are fewer than `config.variants`. Where
    the caption has a sentence too, every second wording is that sentence; one that is sentences alone is left whole.

    Args:
        caption: with or without `front` among its tags.
        config: how many, and what may change.
        front: the trigger, then the class words: they are never left out, and lead unless `config` shuffles them too.
    """
    spoken = Variant(caption.sentence, _without_trigger(caption.sentence, front))
    if caption.sentence and caption.text == caption.sentence:
        return [spoken]
    rest = [tag for tag in caption.tags if tag not in front]
    wordings = [[*front, *rest]]
    for number in range(1, config.variants):
        drawn = stream(0, "caption variant", caption.picture, number)
        kept = [tag for tag in rest if drawn.random() >= config.tag_dropout]
        led, loose = (list(front), kept) if config.trigger_first else ([], [*front, *kept])
        wordings.append(
            led + [loose[at] for at in drawn.permutation(len(loose))] if config.shuffle else [*front, *kept]
        )
    told = (Variant(", ".join(tags), ", ".join(tag for tag in tags if tag not in front[:1])) for tags in wordings)
    several = list(dict.fromkeys(told))
    if not caption.sentence:
        return several
    in_turn = [wording for some in several for wording in (some, spoken)]
    return in_turn[: max(config.variants, 2)]


def _without_trigger(sentence: str, front: Sequence[str]) -> str:
    """A sentence about the class instead: "a girl is shown" or "a photo of 1girl"."""
    trigger, *classes = front
    rest = sentence.removeprefix(f"{trigger}, ")
    return re.sub(rf"(?<!\w){re.escape(trigger)}(?!\w)", lambda _: ", ".join(classes), rest).strip(" ,")
