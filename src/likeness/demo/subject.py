"""Who the demo is about: a character, a raw pool of pictures of it, and what is asked of base and LoRA afterwards."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from likeness.dataset.origins import Origin
from likeness.evaluation.prompts import prompt_of, unseen_scenes
from likeness.maquette.pool import make_pool
from likeness.maquette.world import Drawing, Identity, Scene, random_identity, random_scene, visible_traits
from likeness.pipeline import quick_dtype
from likeness.recipe import PRESETS, CharacterConfig, Recipe
from likeness.records import write_records
from likeness.seeds import seed_of, stream
from likeness.workspace import Workspace

__all__ = ["SETTINGS", "SIDE", "Asked", "demo_recipe", "fill_pool", "what_is_asked"]

PROMPTS = 48  # of the character: each pair of view and expression at least once; intervals of about 4 points
PRESERVED = 48  # prompts of others to which the base's answers are kept
OTHERS = 24  # of other characters: enough for intervals of about 6 points
SIDE = 64  # px, the embedded base's own


def _preset(section: str) -> dict[str, Any]:
    """What the embedded base's preset says in a section."""
    said = PRESETS["maquette"].items()
    return {address.partition(".")[2]: choice.value for address, choice in said if address.startswith(f"{section}.")}


SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "perception": {"reader": "maquette"},
    "encode": _preset("encode"),
    "train": {**_preset("train"), "balance": "none", "save_every": 80},
    "evaluate": {"count": 12, "seeds": 1, "first": 4, "finalists": 2, "confirm": False, "steps": 8},
    "sample": {**_preset("sample"), "sampler": "dpm++", "count": 2},
}
"""What the demo's recipe says: the embedded base's preset, written out, and what is the demo's alone."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of base and LoRA, with the same seeds.

    Attributes:
        own: the character in scenes that it was not pictured in, by trigger and class words.
        others: other characters, by their tags and without the trigger.
        prompts: for all of them, own first.
        seeds: a seed for each prompt.
    """

    own: list[Drawing]
    others: list[Drawing]
    prompts: list[str]
    seeds: list[int]


def demo_recipe(number: int, who: Identity) -> Recipe:
    """The whole recipe of character `number`."""
    name = _name(number)
    named = CharacterConfig(name=name, trigger=name.lower(), class_words=who.class_words, kind="original")
    train = {**SETTINGS["train"], "dtype": quick_dtype(), "preserve_prompts": _others_known(number)}
    return Recipe.model_validate({"seed": number, "character": named, **SETTINGS, "train": train})


def _others_known(number: int) -> tuple[str, ...]:
    """Prompts of characters that the base knows; those that leakage is measured on are drawn apart from them."""
    rng = stream(number, "others to preserve")
    drawings = [Drawing(random_identity(rng, seen_only=True), random_scene(rng)) for _ in range(PRESERVED)]
    return tuple(map(_by_its_tags, drawings))


def _name(number: int) -> str:
    """A name of three syllables; as a word of a prompt it says nothing to the base."""
    rng = stream(number, "character name")
    syllables = [str(rng.choice(list("bdfghjklmnprstvz"))) + str(rng.choice(list("aeiou"))) for _ in range(3)]
    return "".join(syllables).capitalize()


def fill_pool(workspace: Workspace, number: int, who: Identity) -> list[Scene]:
    """Puts a raw pool of pictures in `images/`, flaws and all, where it is not there yet; returns the scenes that the
    character is pictured in. Which picture has which flaw is told to nobody."""
    with TemporaryDirectory() as desk:
        members = make_pool(who, Path(desk), seed=seed_of(number, "demo pool"))
        for member in members:
            if not (workspace.images / member.path).exists():
                shutil.copyfile(Path(desk) / member.path, workspace.images / member.path)
    origin = Origin(path="", source="the maquette's world, drawn by code", rights="Apache-2.0")
    write_records(workspace.sources_jsonl, [origin.model_copy(update={"path": member.path}) for member in members])
    return [member.drawing.scene for member in members if member.drawing]


def what_is_asked(number: int, who: Identity, recipe: Recipe, seen: Sequence[Scene]) -> Asked:
    """Scenes that read like none of those `seen`, and other characters in others of the kind."""
    named = recipe.character
    scenes = unseen_scenes(PROMPTS, seen=seen, seed=seed_of(number, "asked scenes"))
    elsewhere = unseen_scenes(OTHERS, seen=seen, seed=seed_of(number, "scenes of others"))
    rng = stream(number, "other characters")
    others = [Drawing(random_identity(rng, seen_only=True), scene) for scene in elsewhere]
    prompts = [prompt_of(scene, class_words=named.class_words, trigger=named.trigger) for scene in scenes]
    prompts += map(_by_its_tags, others)
    seeds = [seed_of(number, "proof", index) for index in range(len(prompts))]
    return Asked([Drawing(who, scene) for scene in scenes], others, prompts, seeds)


def _by_its_tags(one: Drawing) -> str:
    """A prompt that says the traits that the scene shows."""
    traits = {name: one.identity[name] for name in visible_traits(one.identity, one.scene)}
    return prompt_of(one.scene, class_words=one.identity.class_words, traits=traits)
