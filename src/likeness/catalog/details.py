"""What an entry's page shows beside its card: how to use it in each client, its curves as drawings, facts in words."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup

from likeness.catalog.card import Card, Made, Subject
from likeness.catalog.scores import Evaluated
from likeness.catalog.sidecars import trigger_words

__all__ = [
    "Curve",
    "Snippet",
    "curves_of",
    "diffusers_code",
    "gauge_of",
    "made_in_words",
    "size_in_words",
    "snippets_of",
    "subject_in_words",
]

WIDTH, HEIGHT, EDGE = 240, 90, 8  # units of a curve's own drawing; a page scales it
CURVES = ("identity", "freedom", "leak", "drift")
"""Axes whose curves say when to stop: likeness, freedom, and two kinds of harm."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text to copy into a client."""

    id: str
    name: str
    text: str


def snippets_of(card: Card) -> list[Snippet]:
    """How to use a LoRA in each client, as text to copy."""
    words, weight = trigger_words(card), f"{card.weight:g}"
    node = f"Load LoRA: lora_name {card.file.name}, strength_model {weight}, strength_clip {weight}"
    return [
        Snippet("a1111", "A1111, Forge", f"<lora:{card.name}:{weight}> {words}".strip()),
        Snippet("comfyui", "ComfyUI", f"{words}\n({node})".strip()),
        Snippet("invoke", "InvokeAI", f"{words}\n(LoRA {card.name}, weight {weight})".strip()),
        Snippet("diffusers", "diffusers", diffusers_code(card)),
    ]


def diffusers_code(card: Card) -> str:
    """A program that draws with it, beside the LoRA's file."""
    base, is_v = card.base, card.base.prediction == "v"
    pipeline = "StableDiffusionXLPipeline" if base.family == "sdxl" else "StableDiffusionPipeline"
    adapter = re.sub(r"\W", "_", card.name)  # torch takes no dot in the name of a module
    is_file = base.file.endswith((".safetensors", ".ckpt")) and not base.hub
    source = f"from_{'single_file' if is_file else 'pretrained'}({base.hub or base.file or 'path/to/base'!r})"
    lines = [
        f"from diffusers import {'EulerDiscreteScheduler, ' if is_v else ''}{pipeline}",
        "",
        f"pipe = {pipeline}.{source}",
        f"pipe.load_lora_weights('.', weight_name={card.file.name!r}, adapter_name={adapter!r})",
        f"pipe.set_adapters({adapter!r}, {card.weight:g})",
        f"image = pipe({trigger_words(card)!r}).images[0]",
    ]
    if is_v:
        schedule = "EulerDiscreteScheduler.from_config(pipe.scheduler.config, prediction_type='v_prediction')"
        lines.insert(3, f"pipe.scheduler = {schedule}")
    return "\n".join(lines)


@lru_cache(maxsize=2**15)  # an entry's is on many lists
def gauge_of(mean: float, low: float, high: float, kind: str = "") -> Markup:
    """A mean and its interval as a bar from 0 to 1; what is beyond ends there."""
    bar, start, end = (f"{100 * min(max(value, 0), 1):.1f}" for value in (mean, low, high))
    return Markup(
        '<svg class="gauge {}" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="8"/><rect class="bar" width="{}" height="8"/>'
        '<line x1="{}" x2="{}" y1="4" y2="4"/></svg>'
    ).format(kind, bar, start, end)  # a stranger's card may call it anything: format escapes


@dataclass(frozen=True, slots=True)
class Curve:
    """An axis over the steps of a training, drawn in units of its own, y downwards.

    Attributes:
        axis: its name.
        line: points of the means.
        band: points around the 95% intervals.
        at: where the chosen checkpoint is; None where that is not on it.
        table: the mean of each step.
        steps: the first and the last.
        low: the lowest value that is drawn.
        high: the highest.
    """

    axis: str
    line: str
    band: str
    at: tuple[float, float] | None
    table: Mapping[int, float]
    steps: tuple[int, int]
    low: float
    high: float

    @property
    def first(self) -> float:
        """The mean of the first step."""
        return self.table[self.steps[0]]

    @property
    def last(self) -> float:
        """That of the last."""
        return self.table[self.steps[1]]


def curves_of(evaluated: Evaluated, chosen: int | None) -> Iterator[Curve]:
    """The curves that say when to stop, where there are two checkpoints and more."""
    for axis in CURVES:
        told = evaluated.curves.get(axis, ())
        if len(told) > 1:
            yield _curve(axis, told, chosen)


def _curve(axis: str, told: tuple[tuple[int, float, float, float], ...], chosen: int | None) -> Curve:
    steps = [step for step, *_ in told]
    low = min(0.0, *(max(one[2], one[1] - 1) for one in told))
    high = max(1.0, *(min(one[3], one[1] + 1) for one in told))  # an interval of few pictures is not to fill the chart

    def at(step: int, value: float) -> tuple[float, float]:
        across = (step - steps[0]) / (steps[-1] - steps[0])
        up = (min(max(value, low), high) - low) / (high - low)
        return round(EDGE + across * (WIDTH - 2 * EDGE), 1), round(HEIGHT - EDGE - up * (HEIGHT - 2 * EDGE), 1)

    def points(pairs: list[tuple[float, float]]) -> str:
        return " ".join(f"{x:g},{y:g}" for x, y in pairs)

    upper, lower = [at(step, one) for step, _, _, one in told], [at(step, one) for step, _, one, _ in told]
    table = {step: mean for step, mean, *_ in told}
    return Curve(
        axis=axis,
        line=points([at(step, mean) for step, mean in table.items()]),
        band=points(upper + lower[::-1]),
        at=at(chosen, table[chosen]) if chosen in table else None,
        table=table,
        steps=(steps[0], steps[-1]),
        low=low,
        high=high,
    )


def made_in_words(made: Made) -> str:
    """How it was trained, in a line."""
    parts = [made.tool]
    if made.rank:
        parts.append(f"{made.method or 'LoRA'} of rank {made.rank}")
    if made.step:
        parts.append(f"step {made.step}" + (f" of {made.steps}" if made.steps else ""))
    if made.seconds:
        parts.append(f"{made.seconds / 60:.0f} minutes" if made.seconds > 90 else f"{made.seconds:.0f} seconds")
    if made.seed is not None:
        parts.append(f"seed {made.seed}")
    return ", ".join(filter(None, parts))


def subject_in_words(subject: Subject) -> str:
    """Who is drawn, and by what right."""
    words = {
        "original": "an original character",
        "fictional": "a fictional character, whose owners have not endorsed this LoRA",
        "real-person": "a real person",
        "unknown": "nobody said who that is",
    }[subject.kind]
    if subject.consent:
        agreed = subject.consent
        until = f", until {agreed.expires}" if agreed.expires else ""
        words += f", who agreed on {agreed.date} ({agreed.basis}: {agreed.scope}){until}"
    return words


def size_in_words(size: int) -> str:
    """Bytes, as people say them."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"
