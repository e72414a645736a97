"""The demo's page: the grid of pictures, the numbers, and how they were found."""

from likeness.demo.result import DemoResult, Shown
from likeness.demo.subject import SIDE
from likeness.evaluation.grids import Block, draw_grid
from likeness.evaluation.pages import ProofPage
from likeness.events import read_events
from likeness.images import Pixels, open_pixels, sha256_of
from likeness.maquette.draw import draw
from likeness.maquette.world import SCENE_AXES
from likeness.recipe import Recipe
from likeness.workspace import Run, Workspace

__all__ = ["proof_grid", "proof_page"]


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
    learnt_from = [open_pixels(path) for path in sorted(workspace.images.glob("*.png"))]
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
        losses=sorted(losses.items()),
        facts=_facts(result, recipe, shown),
        method=_method(len(learnt_from), shown),
    )


def _facts(result: DemoResult, recipe: Recipe, shown: Shown) -> list[tuple[str, str]]:
    train, parts = recipe.train, recipe.train.adapter_sets()
    learnt = "; ".join(f"{part.blocks}, rank {part.rank}, alpha {part.alpha:g}" for part in parts)
    took = ", ".join(f"{part} {seconds:.0f}" for part, seconds in result.seconds.items())
    return [
        ("LoRA", result.lora.relative_to(result.workspace).as_posix()),
        ("size", f"{result.lora.stat().st_size / 1000:.0f} kB"),
        ("sha256", sha256_of(result.lora)),
        ("trigger", recipe.character.trigger),
        ("what learnt", learnt),
        ("training", f"{train.steps} steps of {train.batch} at {train.learning_rate:g}, {train.schedule}"),
        ("sampling", f"{recipe.sample.sampler}, {recipe.sample.steps} steps, guidance {recipe.sample.guidance:g}"),
        ("seconds, this time", took),
        ("read by", f"{shown.lora_readings[0].instrument}, {shown.lora_readings[0].instrument_sha256[:12]}"),
    ]


def _method(pictures: int, shown: Shown) -> list[str]:
    return [
        f"{pictures} pictures of the character were drawn by code and captioned from what a small network, the reader, "
        "sees in them. Captions say the scene and leave out what belongs to the character, so that the trigger takes "
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
