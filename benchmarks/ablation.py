"""Which layers to adapt, and how: identity, adherence, drift, size and time of each block set and variant.

python benchmarks/ablation.py            # characters 101 to 110; what is on record is not trained again
python benchmarks/ablation.py 101 102    # some of them, in a process of their own: records are a file per character
python benchmarks/ablation.py --page     # docs/ablation.md from what is on record

Each LoRA learns the same curated pictures in the same order from the same noise, so that all differences are paired.
Time is the processor's, on one thread: it does not depend on what else the machine does.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from statistics import fmean
from typing import Any

import numpy
import torch

from likeness.demo.subject import Asked, demo_recipe, what_is_asked
from likeness.evaluation.tallies import ADHERENCE, count_adherence, count_asked_traits, count_traits
from likeness.images import Pixels
from likeness.maquette.pool import make_pool
from likeness.maquette.world import KINDS, TRAITS, character
from likeness.pipeline import adapted, draw_pictures, newest_lora, open_base, open_reader, run
from likeness.recipe import Recipe
from likeness.seeds import seed_of
from likeness.statistics import bootstrap_mean
from likeness.workspace import Workspace

SEEDS = tuple(range(101, 111))
RESULTS = Path(__file__).parent / "results" / "ablation"
PAGE = Path(__file__).parents[1] / "docs" / "ablation.md"
STEPS, BATCH, RANK = 100, 4, 32  # a third of the demo's steps and half its batch: of 150 LoRAs each takes two minutes
OWN, OTHERS = 24, 12  # prompts of the character and of others
SAMPLING = 10  # steps; identity at 15 is the same to a point
REFERENCE = "lora, attention"


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to adapt the base.

    Attributes:
        name: in the table.
        train: what it changes about `[train]`.
    """

    name: str
    train: Mapping[str, Any] = field(default_factory=dict)


ARMS = (
    Arm(REFERENCE, {"blocks": "attention"}),
    *(
        Arm(f"lora, {blocks}", {"blocks": blocks})
        for blocks in ("attention-ff", "all", "upper", "mid-upper", "content", "transformer", "cross-attention")
    ),
    *(Arm(f"{variant}, attention", {"blocks": "attention", "variant": variant}) for variant in ("rslora", "dora")),
    Arm("loha, attention", {"blocks": "attention", "variant": "loha", "rank": 16, "alpha": 16}),
    Arm("lokr, attention", {"blocks": "attention", "variant": "lokr"}),
    # A sixteenth of the numbers. 5e-3, 1e-2, 2e-2 and 4e-2 were tried on one character; 4e-2 spoilt others.
    Arm("lokr, attention, at 2e-2", {"blocks": "attention", "variant": "lokr", "learning_rate": 2e-2}),
)


def main() -> None:
    """Trains and measures what is not on record yet; with --page, writes the page from what is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--to", type=Path, default=RESULTS)
    parser.add_argument("--page", action="store_true")
    chosen = parser.parse_args()
    if chosen.page:
        PAGE.write_text(page(PAGE.read_text(), recorded(chosen.to)))
        return
    torch.set_num_threads(1)
    for seed in chosen.seeds:
        with tempfile.TemporaryDirectory() as desk:
            measure(seed, Path(desk), chosen.to / f"{seed}.json")


def measure(seed: int, desk: Path, to: Path) -> None:
    """`to` holds each arm of one character, and the base itself."""
    found: dict[str, Any] = json.loads(to.read_text()) if to.exists() else {}
    due = [arm for arm in ARMS if arm.name not in found]
    if not due and "base" in found:
        return
    who, workspace = character(seed), Workspace.create(desk / "workspace")
    members = make_pool(who, desk / "pool", seed=seed_of(seed, "demo pool"))
    for path in (desk / "pool").iterdir():
        copyfile(path, workspace.images / path.name)
    recipe = _recipe(seed)
    asked = what_is_asked(seed, who, recipe, [member.drawing.scene for member in members if member.drawing])
    asked = Asked(
        asked.own[:OWN],
        asked.others[:OTHERS],
        [*asked.prompts[:OWN], *asked.prompts[len(asked.own) :][:OTHERS]],
        [*asked.seeds[:OWN], *asked.seeds[len(asked.own) :][:OTHERS]],
    )
    run(workspace, recipe, ("curate", "caption", "encode"))
    model = open_base(recipe.base)
    base = draw_pictures(model, asked.prompts, recipe.sample, seeds=asked.seeds)
    found["base"] = measured(asked, recipe, base, base)
    _keep(to, found)
    for arm in due:
        own = _with(recipe, arm.train)
        began, started = time.process_time(), time.monotonic()
        run(workspace, own, ("train",))
        seconds, lora = time.process_time() - began, newest_lora(workspace)
        with adapted(model, lora):
            pictures = draw_pictures(model, asked.prompts, own.sample, seeds=asked.seeds)
        facts = {"bytes": lora.stat().st_size, "seconds": seconds, "minutes": (time.monotonic() - started) / 60}
        found[arm.name] = measured(asked, recipe, base, pictures) | facts
        _keep(to, found)
        print(f"{seed} {arm.name:<32} {found[arm.name]}", flush=True)


def measured(asked: Asked, recipe: Recipe, base: Sequence[Pixels], pictures: Sequence[Pixels]) -> dict[str, float]:
    """Shares in [0, 1] of what was asked that is on the pictures, and how far those without the trigger moved.

    identity: of the character's visible traits. face, body, clothing, attributes: the same apart. adherence: of view,
    framing, expression and pose. others: of what prompts of other characters ask for. drift: how much the pictures of
    others differ from the base's of the same noise, as a share of full scale.
    """
    readings = list(open_reader(recipe.perception).read(pictures))
    own, others = readings[: len(asked.own)], readings[len(asked.own) :]
    axes = [count_adherence(asked.own, own, axis).share().mean for axis in ADHERENCE]
    moved = numpy.asarray(pictures[len(asked.own) :], numpy.float32) - numpy.asarray(base[len(asked.own) :])
    return {
        "identity": count_traits(asked.own, own, TRAITS).share().mean,
        **{kind: count_traits(asked.own, own, names).share().mean for kind, names in KINDS.items()},
        "adherence": fmean(axes),
        "others": count_asked_traits(asked.others, others).share().mean,
        "drift": float(numpy.abs(moved).mean() / 255),
    }


def _recipe(seed: int) -> Recipe:
    """The demo's recipe, made short: without the answers that the base is to keep, which would hide its drift."""
    recipe = _with(
        demo_recipe(seed, character(seed)),
        {"steps": STEPS, "batch": BATCH, "rank": RANK, "alpha": RANK, "preserve": 0.0, "preserve_prompts": ()},
    )
    return recipe.model_copy(update={"sample": recipe.sample.model_copy(update={"steps": SAMPLING})})


def _with(recipe: Recipe, train: Mapping[str, Any]) -> Recipe:
    return recipe.model_copy(update={"train": type(recipe.train)(**{**recipe.train.model_dump(), **train})})


def _keep(to: Path, found: Mapping[str, Any]) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1) + "\n")
    partial.replace(to)


def recorded(folder: Path) -> dict[str, dict[str, Mapping[str, float]]]:
    """What is on record, by character."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


AXES = {"identity": "identity", "adherence": "adherence", "others": "others kept", "drift": "drift"}
MARKS = ("<!-- table -->\n", "<!-- end -->\n")


def page(text: str, found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The page with the table of the characters whose every arm is on record."""
    whole = {name: told for name, told in found.items() if all(arm.name in told for arm in ARMS)}
    lines = [f"| adapter | {' | '.join(AXES.values())} | file, kB | time |", "|---" * (len(AXES) + 3) + "|"]
    base = [fmean(told["base"][axis] for told in whole.values()) for axis in AXES]
    lines.append(f"| none | {' | '.join(f'{value:.3f}' for value in base)} | | |")
    lines += [_row(arm.name, list(whole.values())) for arm in ARMS]
    before, after = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    table = f"Characters {', '.join(whole)}:\n\n" + "\n".join(lines) + "\n"
    return before + MARKS[0] + table + MARKS[1] + after


def _row(arm: str, rows: Sequence[Mapping[str, Mapping[str, float]]]) -> str:
    cells = [_cell([row[arm][axis] for row in rows], [row[REFERENCE][axis] for row in rows]) for axis in AXES]
    size = fmean(row[arm]["bytes"] for row in rows) / 1000
    seconds = fmean(row[arm]["seconds"] / row[REFERENCE]["seconds"] for row in rows)
    return f"| {arm} | {' | '.join(cells)} | {size:,.0f} | {seconds:.2f} |"


def _cell(values: Sequence[float], reference: Sequence[float]) -> str:
    """The mean, and the interval of its difference."""
    mean = f"{fmean(values):.3f}"
    if list(values) == list(reference):
        return mean
    gap = bootstrap_mean([value - other for value, other in zip(values, reference, strict=True)], seed=0)
    shown = f"{mean} ({gap.low:+.3f} to {gap.high:+.3f})"
    return f"**{shown}**" if gap.low > 0 or gap.high < 0 else shown


if __name__ == "__main__":
    main()
