"""The demo's page: the grid of pictures, the numbers, and how they were found."""

from collections.abc import Mapping
from typing import Any

from likeness.demo.result import DemoResult, Shown
from likeness.demo.subject import SIDE
from likeness.evaluation.grids import Block, draw_grid
from likeness.evaluation.pages import PoolStrip, ProofPage
from likeness.events import read_events
from likeness.images import Pixels, open_pixels, sha256_of
from likeness.maquette.draw import draw
from likeness.maquette.world import SCENE_AXES
from likeness.recipe import Recipe
from likeness.workspace import Run, Workspace

__all__ = ["proof_grid", "proof_page"]

UNREADABLE = ("truncated", "not a picture")  # faults of files that cannot be shown


def proof_grid(shown: Shown) -> Pixels:
    """Six views by six expressions, a column of real, base and LoRA for each pair."""
    first: dict[tuple[str, str], int] = {}
    for index, one in enumerate(shown.asked.own):
        first.setdefault((one.scene.view, one.scene.expression), index)
    blocks = []
    for view in SCENE_AXES["view"]:
        places = [first[view, expression] for expression in SCENE_AXES["expression"]]
        asked = [shown.asked.own[place] for place in places]
        real = [draw(one.identity, one.scene, size=SIDE) for one in asked]
        rows = [real, [shown.base[place] for place in places], [shown.lora[place] for place in places]]
        columns = [one.scene.expression for one in asked]
        blocks.append(Block(view, columns, ("real", "base", "LoRA"), rows))
    return draw_grid(blocks, across=2)


def proof_page(result: DemoResult, recipe: Recipe, grid: Pixels, shown: Shown) -> ProofPage:
    """All that the page says."""
    workspace = Workspace(result.workspace)
    newest = Run(result.lora.parent)
    events = read_events(newest.events) if newest.events.exists() else []
    curation = result.curation
    learnt_from = [open_pixels(workspace.images / path) for path in curation["train"]]
    losses = {event.done: event.numbers["loss"] for event in events if "loss" in event.numbers}
    return ProofPage(
        name=result.name,
        trigger=recipe.character.trigger,
        class_words=recipe.character.class_words,
        base_name="the embedded Stable Diffusion" if recipe.base.path == "maquette" else recipe.base.path,
        asked=len(shown.asked.own),
        comparison=result.comparison,
        others=result.others,
        grid=grid,
        learnt_from=learnt_from,
        pool=_pool(workspace, curation),
        losses=sorted(losses.items()),
        facts=_facts(result, recipe, shown),
        method=_method(curation["counts"], shown),
    )


def _facts(result: DemoResult, recipe: Recipe, shown: Shown) -> list[tuple[str, str]]:
    train, parts = recipe.train, recipe.train.adapter_sets()
    learnt = "; ".join(f"{part.blocks}, rank {part.rank}, alpha {part.alpha:g}" for part in parts)
    took = ", ".join(f"{part} {seconds:.0f}" for part, seconds in result.seconds.items())
    return [
        ("LoRA", result.lora.relative_to(result.workspace).as_posix()),
        ("chosen", result.chosen),
        ("size", f"{result.lora.stat().st_size / 1000:.0f} kB"),
        ("sha256", sha256_of(result.lora)),
        ("trigger", recipe.character.trigger),
        ("what learnt", learnt),
        ("training", f"{train.steps} steps of {train.batch} at {train.learning_rate:g}, {train.schedule}"),
        ("sampling", f"{recipe.sample.sampler}, {recipe.sample.steps} steps, guidance {recipe.sample.guidance:g}"),
        ("seconds, this time", took),
        ("read by", f"{shown.lora_readings[0].instrument}, {shown.lora_readings[0].instrument_sha256[:12]}"),
    ]


def _pool(workspace: Workspace, curation: Mapping[str, Any]) -> PoolStrip:
    """What was curated: how many of what, and the pictures that were held out or rejected, by reason."""
    apart = {"held out": curation["held_out"], **dict(sorted(curation["rejected"].items()))}
    shown = {
        reason: [open_pixels(workspace.images / path) for path in paths]
        for reason, paths in apart.items()
        if reason not in UNREADABLE
    }
    missing = {reason: len(paths) for reason, paths in apart.items() if reason in UNREADABLE}
    place = workspace.curation_html.relative_to(workspace.root).as_posix()
    return PoolStrip(curation["counts"], curation["coverage"], shown, missing, place)


def _method(counts: Mapping[str, int], shown: Shown) -> list[str]:
    return [
        f"A raw pool of {counts['pool']} files was drawn by code: the character, among copies, blurred, dark and cut "
        f"pictures, other characters and files that are no pictures. Curation chose {counts['train']} of them to learn "
        f"from and held {counts['held_out']} out; nobody told it which are good.",
        "They were captioned from what a small network, the reader, sees in them. "
        "Captions say the scene and leave out what belongs to the character, so that the trigger takes "
        "it. The base was never shown this character: at least one of its traits, and one pair of traits, were kept "
        "out of all that it learnt from.",
        f"{len(shown.asked.own)} scenes were then asked for, spread evenly over views and expressions; none reads like "
        "one of the pictures. Base and LoRA got the same prompts and the same noise, and the prompts say nothing about "
        "the character but its trigger and class words.",
        "The reader looked at every picture. Identity is the share of the character's traits that it read right, of "
        "those that the scene asked for shows: from behind, no eyes are counted, and in a close-up no clothes. "
        "Adherence is the share of pictures whose view, framing, expression or pose it read as asked, where that can "
        "show. What the reader gets wrong counts against the picture.",
        f"Other characters: {len(shown.asked.others)} that the base knows the traits of were asked for by their own "
        "tags and without the trigger. The number is the share of those traits that were drawn; a LoRA that leaks "
        "draws fewer of them than the base.",
        "Intervals are 95% percentile bootstrap intervals over prompts.",
    ]
