"""The table of `likeness train --plan`: what a training would take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from likeness.cli.tables import add_row, facts_table, plain_table

if TYPE_CHECKING:
    from likeness.training.estimate import Measured, Plan, Shape

__all__ = ["plan_table"]


def plan_table(plan: "Plan") -> RenderableType:
    """What is trained, what it takes, and the ladder with all that was measured of it."""
    lines = [Text("What this training would take: two steps of it were taken on each rung, and nothing was written.")]
    return Group(*lines, facts_table(_facts(plan)), Text(), _ladder(plan), Text(_under(plan), style="dim"))


def _facts(plan: "Plan") -> list[tuple[str, str]]:
    more = f", {plan.accumulate} batches to a step" if plan.accumulate > 1 else ""
    scales = ", ".join(f"{scale} ({count} layers)" for scale, count in plan.scales.items())
    card = f", {_size(plan.device_bytes)} in all" if plan.device_bytes else ""
    return [
        ("device", f"{plan.device}{card}; the base's denoiser is {_size(plan.denoiser_bytes)} in {plan.dtype}"),
        ("shown", f"{_shown(plan.shapes)}; {plan.batch} at a time{more}"),
        ("trained", f"{plan.layers} layers, {plan.parameters:,} numbers"),
        ("alpha / rank", scales if len(plan.scales) > 1 else next(iter(plan.scales))),
        ("time", f"{_hours(plan.seconds)} for {plan.steps} steps of {_rates(plan)}"),
        ("optimizer", f"keeps {_size(plan.moments_bytes)}"),
        ("disk", f"{plan.checkpoints} of {_size(plan.checkpoint_bytes)}, and {_size(plan.state_bytes)} to go on from"),
    ]


def _shown(shapes: "Sequence[Shape]") -> str:
    """As 30 pictures of 64 x 64 px, 8 of 48 x 80 px, 100 of the class of 64 x 64 px."""
    parts = [
        f"{shape.pictures}{' pictures' * (not number)}{' of the class' * shape.is_class} of {shape.width} x "
        f"{shape.height} px"
        for number, shape in enumerate(shapes)
    ]
    return ", ".join(parts)


def _rates(plan: "Plan") -> str:
    """As 0.52 s, or where shapes differ 0.43 to 0.52 s."""
    low, high = (f"{choose(shape.seconds for shape in plan.shapes):.3g}" for choose in (min, max))
    return f"{high} s" if low == high else f"{low} to {high} s"


def _ladder(plan: "Plan") -> RenderableType:
    """A row for each rung; those that memory running out would lead to are under the first."""
    memory = "memory" if plan.device_bytes else "memory, more"
    table = plain_table("if memory runs out", memory, "seconds/step", "")
    for column in table.columns[1:3]:
        column.justify = "right"
    for number, rung in enumerate(plan.rungs):
        shown = (_size(rung.memory_bytes), f"{rung.seconds:.3g}", "") if rung.fits else ("", "", "does not fit")
        add_row(table, _named(plan.rungs, number, plan.batch), *shown)
    by_hand = [
        ("train.optimizer = adamw8bit", plan.adamw8bit_bytes and plan.moments_bytes - plan.adamw8bit_bytes),
        ("base.quantise = int8", plan.quantised_bytes),
    ]
    for name, saved in by_hand:
        if saved > 0:
            add_row(table, name, f"-{_size(saved)}", "", "by hand")
    return table


def _named(rungs: "Sequence[Measured]", number: int, batch: int) -> str:
    rung = rungs[number]
    if number == 0:
        return "as the recipe is"
    if rung.is_checkpointed != rungs[number - 1].is_checkpointed:
        return "gradient checkpointing"
    return f"and {rung.microbatch} of {batch} at a time"


def _under(plan: "Plan") -> str:
    cut = ", ".join(f"{part} {anew} of {count}" for part, (anew, count) in plan.blocks.items() if anew)
    what = "" if plan.device_bytes else "Memory is by how much this process grew. "
    return f"{what}Gradient checkpointing computes these blocks anew: {cut}."


def _size(count: int) -> str:
    """As 1.2 GB, 34 MB or 5 kB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.0f} kB"


def _hours(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
