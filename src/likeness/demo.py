"""The demo: a character that nobody has seen is drawn, learnt and measured, base against LoRA."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from likeness.errors import WorkspaceError
from likeness.evaluation.axes import Gauge
from likeness.evaluation.evaluate import Comparison, evaluate, evaluate_others
from likeness.evaluation.grids import Block, draw_grid
from likeness.evaluation.pages import ProofPage, render_page
from likeness.evaluation.prompts import prompt_of, unseen_scenes
from likeness.events import Event, Report, read_events, silent
from likeness.images import Pixels, open_pixels, save_png, sha256_of
from likeness.maquette.draw import draw
from likeness.maquette.world import SCENE_AXES, Drawing, Identity, Scene, character, random_identity, random_scene
from likeness.maquette.world import visible_traits as visible
from likeness.pipeline import (
    Outcome,
    adapted,
    draw_pictures,
    newest_lora,
    open_base,
    open_reader,
    quick_dtype,
    run_locked,
)
from likeness.recipe import CharacterConfig, Recipe, load_recipe, write_recipe
from likeness.records import Reading, write_atomically
from likeness.seeds import seed_of, stream
from likeness.workspace import Run, Workspace

__all__ = ["OTHERS", "PICTURES", "PROMPTS", "SETTINGS", "DemoResult", "demo"]

PICTURES = 40  # to learn from: what a person collects in an hour
PROMPTS = 48  # of the character: each pair of view and expression at least once; intervals of about 4 points
PRESERVED = 48  # prompts of others to which the base's answers are kept
OTHERS = 24  # of other characters: enough for intervals of about 6 points
SIDE = 64  # px, the embedded base's own

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "perception": {"reader": "maquette"},
    "train": {
        "steps": 380,
        "batch": 8,
        "learning_rate": 2e-3,
        "min_snr_gamma": 0,
        "blocks": "attention-ff",
        "rank": 32,
        "preserve": 0.3,
        "save_every": 0,
    },
    "sample": {"steps": 15, "guidance": 2.0, "sampler": "dpm++", "count": 2},
}
"""What the demo's recipe says beside the defaults, which are for Stable Diffusion 1.5; found on the embedded base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What the demo made and found.

    Attributes:
        workspace: the character's folder.
        name: the character's.
        lora: the adapter file.
        page: the report, HTML.
        grid: the large picture.
        seconds: that this call took, by part: encode, train, sample, and total, which is all of it. What was finished
            before and has not changed takes next to none.
        comparison: base against LoRA on the character.
        others: the same on other characters, without the trigger.
    """

    workspace: Path
    name: str
    lora: Path
    page: Path
    grid: Path
    seconds: Mapping[str, float]
    comparison: Comparison
    others: Gauge

    def summary(self) -> dict[str, Any]:
        """All of it as plain data: shares as plain numbers, and under "intervals" with where they may lie."""
        found = self.comparison
        return {
            **{name: str(getattr(self, name)) for name in ("workspace", "name", "lora", "page", "grid")},
            "seconds": dict(self.seconds),
            "identity": {
                **_means(found.identity),
                "by_kind": {kind: _means(gauge) for kind, gauge in found.by_kind.items()},
            },
            "adherence": {axis: _means(gauge) for axis, gauge in found.adherence.items()},
            "others": _means(self.others),
            "intervals": {**found.model_dump(), "others": self.others.model_dump()},
        }


def demo(folder: Path, number: int, *, settings: Sequence[str] = (), report: Report = silent) -> DemoResult:
    """Draws character `number`, learns it, and measures what was learnt; all of it is in `folder` afterwards.

    A second time in the same folder, what is finished and unchanged is not done again.

    Args:
        folder: a new folder, or one in which the demo of this number ran before.
        number: of the character: any number is another one, of which the embedded base has never seen all.
        settings: `section.field=value`, laid over the demo's recipe.
        report: told of each step.

    Raises:
        WorkspaceError: where the folder holds another workspace, is in use, or cannot be written.
        LikenessError: what the pipeline raises.
    """
    started = time.monotonic()
    who, workspace = character(number), Workspace.create(folder)
    with workspace.lock("likeness demo"):
        recipe, seen = _recipe(workspace, number, who, settings), _pictured_scenes(number)
        _draw_originals(workspace, who, seen)
        outcomes = run_locked(workspace, recipe, ("collect", "caption", "encode", "train"), report=report)
        sampling = time.monotonic()
        shown = _sample(workspace, recipe, _asked(number, who, seen), number, report)
        seconds = _seconds(outcomes, sample=time.monotonic() - sampling)
        result = _presented(workspace, recipe, shown, seconds)
        total = round(time.monotonic() - started, 1)
        result = replace(result, seconds={**seconds, "total": total})
        write_atomically(workspace.root / "proof.json", json.dumps(result.summary(), indent=2) + "\n")
        return result


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of base and LoRA: the character's scenes with the trigger, then other characters by their tags."""

    own: list[Drawing]
    others: list[Drawing]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What came of it, picture by picture, and what the reader saw."""

    asked: _Asked
    base: list[Pixels]
    lora: list[Pixels]
    base_readings: list[Reading]
    lora_readings: list[Reading]


def _recipe(workspace: Workspace, number: int, who: Identity, settings: Sequence[str]) -> Recipe:
    """The demo's recipe, written where there is none yet."""
    name = _name(number)
    named = CharacterConfig(name=name, trigger=name.lower(), class_words=who.class_words, kind="original")
    train = {**SETTINGS["train"], "dtype": quick_dtype(), "preserve_prompts": _others_known(number)}
    told = {**SETTINGS, "train": train}
    recipe = Recipe.model_validate({"seed": number, "character": named, **told})
    if not workspace.recipe.exists():
        write_recipe(workspace.recipe, recipe)
    elif load_recipe(workspace.recipe) != recipe:
        raise WorkspaceError(
            f"{workspace.root} holds another character, or another version's demo. Delete it, or choose another "
            f"folder: likeness demo FOLDER --seed {number}"
        )
    return load_recipe(workspace.recipe, settings)


def _others_known(number: int) -> tuple[str, ...]:
    """Prompts of characters that the base knows; those that leakage is measured on are drawn apart from them."""
    rng = stream(number, "others to preserve")
    drawings = [Drawing(random_identity(rng, seen_only=True), random_scene(rng)) for _ in range(PRESERVED)]
    return tuple(prompt_of(one.scene, class_words=one.identity.class_words, traits=_said(one)) for one in drawings)


def _name(number: int) -> str:
    """A name of three syllables; as a word of a prompt it says nothing to the base."""
    rng = stream(number, "character name")
    syllables = [str(rng.choice(list("bdfghjklmnprstvz"))) + str(rng.choice(list("aeiou"))) for _ in range(3)]
    return "".join(syllables).capitalize()


def _pictured_scenes(number: int) -> list[Scene]:
    """Scenes to learn from: evenly over views and expressions, each turned and shifted a little, as pictures are."""
    even = unseen_scenes(PICTURES, seen=(), seed=seed_of(number, "pictured scenes"))
    rng = stream(number, "pictured jitter")
    return [random_scene(rng, **{axis: getattr(scene, axis) for axis in SCENE_AXES}) for scene in even]


def _draw_originals(workspace: Workspace, who: Identity, scenes: Sequence[Scene]) -> None:
    for index, scene in enumerate(scenes, start=1):
        path = workspace.images / f"{index:02d}.png"
        if not path.exists():
            save_png(path, draw(who, scene, size=SIDE))


def _asked(number: int, who: Identity, seen: Sequence[Scene]) -> _Asked:
    scenes = unseen_scenes(PROMPTS, seen=seen, seed=seed_of(number, "asked scenes"))
    elsewhere = unseen_scenes(OTHERS, seen=seen, seed=seed_of(number, "scenes of others"))
    rng = stream(number, "other characters")
    others = [Drawing(random_identity(rng, seen_only=True), scene) for scene in elsewhere]
    return _Asked([Drawing(who, scene) for scene in scenes], others)


def _sample(workspace: Workspace, recipe: Recipe, asked: _Asked, number: int, report: Report) -> _Shown:
    """Base and LoRA on the same prompts and seeds."""
    named = recipe.character
    own = [prompt_of(one.scene, class_words=named.class_words, trigger=named.trigger) for one in asked.own]
    others = [prompt_of(one.scene, class_words=one.identity.class_words, traits=_said(one)) for one in asked.others]
    prompts = [*own, *others]
    seeds = [seed_of(number, "proof", index) for index in range(len(prompts))]
    model, reader = open_base(recipe.base), open_reader(recipe.perception)
    if reader is None:
        raise WorkspaceError("perception.reader = 'none': nobody could read what was drawn. Use 'maquette'.")

    def half(done: int) -> Report:
        return lambda event: report(Event(stage="sample", done=done + event.done, total=2 * len(prompts)))

    base = draw_pictures(model, prompts, recipe.sample, seeds=seeds, report=half(0))
    with adapted(model, newest_lora(workspace), weight=recipe.sample.weight):
        lora = draw_pictures(model, prompts, recipe.sample, seeds=seeds, report=half(len(prompts)))
    return _Shown(asked, base, lora, list(reader.read(base)), list(reader.read(lora)))


def _said(one: Drawing) -> dict[str, str]:
    """The traits that a prompt asks for: those that the scene shows."""
    return {name: one.identity[name] for name in visible(one.identity, one.scene)}


def _presented(workspace: Workspace, recipe: Recipe, shown: _Shown, seconds: Mapping[str, float]) -> DemoResult:
    """The result, with page and grid in the workspace."""
    own = len(shown.asked.own)
    grid = _grid(shown)
    result = DemoResult(
        workspace=workspace.root,
        name=recipe.character.name,
        lora=newest_lora(workspace),
        page=workspace.root / "proof.html",
        grid=workspace.root / "grid.png",
        seconds=seconds,
        comparison=evaluate(shown.asked.own, base=shown.base_readings[:own], lora=shown.lora_readings[:own]),
        others=evaluate_others(shown.asked.others, base=shown.base_readings[own:], lora=shown.lora_readings[own:]),
    )
    save_png(result.grid, grid)
    write_atomically(result.page, render_page(_page(result, recipe, grid, shown)))
    return result


def _grid(shown: _Shown) -> Pixels:
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


def _page(result: DemoResult, recipe: Recipe, grid: Pixels, shown: _Shown) -> ProofPage:
    workspace = Workspace(result.workspace)
    newest = Run(result.lora.parent)
    events = read_events(newest.events) if newest.events.exists() else []
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
        learnt_from=[open_pixels(path) for path in sorted(workspace.images.glob("*.png"))],
        losses=sorted(losses.items()),
        facts=_facts(result, recipe, shown),
        method=_method(recipe, shown),
    )


def _facts(result: DemoResult, recipe: Recipe, shown: _Shown) -> list[tuple[str, str]]:
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


def _method(recipe: Recipe, shown: _Shown) -> list[str]:
    return [
        f"{PICTURES} pictures of the character were drawn by code and captioned from what a small network, the reader, "
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


def _seconds(outcomes: Sequence[Outcome], *, sample: float) -> dict[str, float]:
    took = {outcome.step: outcome.seconds for outcome in outcomes}
    encode = took["collect"] + took["caption"] + took["encode"]
    return {"encode": round(encode, 1), "train": round(took["train"], 1), "sample": round(sample, 1)}


def _means(gauge: Gauge) -> dict[str, float]:
    return {"base": round(gauge.base.mean, 4), "lora": round(gauge.lora.mean, 4)}
