"""The trigger beside the base: how its tokenizer reads the word, who else uses it, and what the base draws for it."""

import json
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy

from likeness.captions.audit import Finding
from likeness.captions.seen import scene_seen
from likeness.captions.tags import front_tags
from likeness.captions.trigger import Tongue, TriggerCheck, check_trigger, suggest_triggers
from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.tokenizers import vocabulary_folder
from likeness.errors import CheckpointError, MissingExtra
from likeness.events import Report, silent
from likeness.images import Pixels, save_png
from likeness.perception import Reader
from likeness.pipeline.instruments import base_folder, draw_pictures, open_base, open_reader
from likeness.pipeline.settings import settings_of
from likeness.recipe import BaseConfig, Recipe
from likeness.records import Caption, Reading, Record, read_records
from likeness.seeds import seed_of
from likeness.workspace import Workspace

__all__ = ["DrawnTrigger", "TriggerReport", "inspect_trigger", "open_tongue", "triggers_beside"]

DRAWN = 4  # pictures with the word, and as many without: enough to see a habit
STEPS = 12  # of the sampler at most: what a word draws is plain by then, and the embedded base takes a few seconds
MEANS_SOMETHING = 0.5  # of what another seed changes; a word that changes more than half of that is not empty


class DrawnTrigger(Record):
    """What the base, as it is, draws for the word.

    Attributes:
        strip: the picture, relative to the workspace: above with the word, below with the class words alone, the same
            seeds under each other.
        seeds: of the columns.
        word_changes: mean absolute difference of pixels that the word makes at one seed, in [0, 255].
        seed_changes: the same between seeds, without the word: what chance changes.
        identity_changes: 1 - cosine of the reader's embeddings, with the word against without; None for a
            reader that cannot tell characters apart.
        read: what the reader sees otherwise in at least half of the pairs: field or trait, then value without and with.
    """

    strip: str
    seeds: tuple[int, ...]
    word_changes: float
    seed_changes: float
    identity_changes: float | None = None
    read: dict[str, tuple[str, str]] = {}


class TriggerReport(Record):
    """What there is to say about a workspace's trigger.

    Attributes:
        check: of the recipe's word.
        suggestions: other words, best first.
        drawn: what the base draws for it; None where it was not asked to.
    """

    check: TriggerCheck
    suggestions: tuple[TriggerCheck, ...]
    drawn: DrawnTrigger | None = None


def open_tongue(base: BaseConfig) -> Tongue:
    """How the base reads words, by its own tokenizer; the base itself is not loaded.

    Raises:
        CheckpointError: where the base is not there, or has no tokenizer that can be read.
        MissingExtra: where the library that splits words is not installed.
    """
    try:
        folder = vocabulary_folder(base_folder(base), base.tokenizer)
        whole = folder / "tokenizer.json"
        if whole.is_file():
            from tokenizers import Tokenizer

            fast = Tokenizer.from_str(_json(whole))
            return Tongue(lambda text: fast.encode(text, add_special_tokens=False).tokens, fast.get_vocab())
        # transformers 4 has a slow one too; 5 has only this, by both names
        from transformers import CLIPTokenizerFast  # pyright: ignore[reportAttributeAccessIssue]
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "tokenizers", "train", why="to see how the base reads words") from missing
    _json(folder / "vocab.json")
    clip = CLIPTokenizerFast.from_pretrained(folder, local_files_only=True)
    return Tongue(clip.tokenize, clip.get_vocab())


def _json(path: Path) -> str:
    """The text of a file that holds a JSON object."""
    try:
        text = path.read_text(encoding="utf-8")
        is_table = isinstance(json.loads(text), dict)
    except (OSError, ValueError) as fault:
        raise CheckpointError(f"{path} cannot be read: {fault}. The base is not whole.") from fault
    if not is_table:
        raise CheckpointError(f"{path} is not a table. The base is not whole.")
    return text


def triggers_beside(workspace: Workspace) -> dict[str, str]:
    """The triggers of other characters, each with the place where it is used: of the workspaces in the same folder, and
    of the LoRA files in the folder `catalog` there. What cannot be read is passed over: it is somebody else's."""
    taken: dict[str, str] = {}
    for recipe in sorted(workspace.root.parent.glob("*/likeness.toml")):
        if recipe.parent != workspace.root and (word := _trigger_of(recipe)):
            taken.setdefault(word, str(recipe.parent))
    for file in sorted((workspace.root.parent / "catalog").rglob("*.safetensors")):
        try:
            word = read_header(file).metadata.get("modelspec.trigger_phrase", "")
        except CheckpointError:
            continue
        if word:
            taken.setdefault(word, str(file))
    return taken


def _trigger_of(recipe: Path) -> str:
    try:
        character = tomllib.loads(recipe.read_text(encoding="utf-8-sig")).get("character")
    except (OSError, ValueError):
        return ""
    word = character.get("trigger") if isinstance(character, dict) else None
    return word if isinstance(word, str) else ""


def inspect_trigger(
    workspace: Workspace, recipe: Recipe, *, draw: bool = True, report: Report = silent
) -> TriggerReport:
    """What speaks against the recipe's trigger, which words would be better, and what the base draws for it.

    Args:
        workspace: its captions are looked at where there are any; `trigger.png` is written there.
        recipe: names character, base and reader.
        draw: whether the base is to draw; it is loaded for that.
        report: told of the drawing.

    Raises:
        CheckpointError: where the base is not there.
        MissingExtra: where a library that it needs is not installed.
    """
    named, tongue = recipe.character, open_tongue(recipe.base)
    captions = read_records(workspace.captions_jsonl, Caption) if workspace.captions_jsonl.exists() else []
    theirs = {tag for caption in captions for tag in caption.tags if tag != named.trigger}
    told = {"taken": triggers_beside(workspace), "said": [*sorted(theirs), named.class_words]}
    check = check_trigger(named.trigger, tongue, **told)
    drawn = _drawn(workspace, recipe, report) if draw else None
    if drawn and drawn.word_changes > MEANS_SOMETHING * drawn.seed_changes:
        check = check.model_copy(update={"findings": (*check.findings, _means_something(drawn))})
    refused = "" if check.is_good else named.trigger
    suggestions = tuple(suggest_triggers(named.name, tongue, **told, refused=refused))
    return TriggerReport(check=check, suggestions=suggestions, drawn=drawn)


def _means_something(drawn: DrawnTrigger) -> Finding:
    share = drawn.word_changes / drawn.seed_changes
    return Finding(
        kind="draws something",
        found=f"the word changes {share:.0%} as much of a picture as another seed does "
        f"({drawn.word_changes:.0f} against {drawn.seed_changes:.0f} of 255)",
        advice=f"Look at {drawn.strip}: where the upper row shows one thing again and again, choose another word.",
    )


def _drawn(workspace: Workspace, recipe: Recipe, report: Report) -> DrawnTrigger:
    named, model, reader = recipe.character, open_base(recipe.base), open_reader(recipe.perception)
    front = front_tags(named.trigger, named.class_words)
    seeds = [seed_of(recipe.seed, "trigger", number) for number in range(DRAWN)]
    prompts = [", ".join(front)] * DRAWN + [", ".join(front[1:])] * DRAWN
    settings = settings_of(recipe).recipe.sample
    config = settings.model_copy(update={"steps": min(settings.steps, STEPS)})
    pictures = draw_pictures(model, prompts, config, seeds=[*seeds, *seeds], report=report)
    called, plain = pictures[:DRAWN], pictures[DRAWN:]
    strip = numpy.concatenate([numpy.concatenate(row, axis=1) for row in (called, plain)], axis=0)
    save_png(workspace.trigger_png, strip, {"prompts": "\n".join((prompts[0], prompts[-1]))})
    between = [_apart(plain[a], plain[b]) for a in range(DRAWN) for b in range(a)]
    return DrawnTrigger(
        strip=workspace.trigger_png.name,
        seeds=tuple(seeds),
        word_changes=round(float(numpy.mean([_apart(*pair) for pair in zip(called, plain, strict=True)])), 2),
        seed_changes=round(float(numpy.mean(between)), 2),
        **_as_read(reader, called, plain),
    )


def _apart(one: Pixels, other: Pixels) -> float:
    return float(numpy.abs(one.astype(float) - other.astype(float)).mean())


def _as_read(reader: Reader, called: Sequence[Pixels], plain: Sequence[Pixels]) -> dict[str, Any]:
    """What a reader sees otherwise for the word."""
    pairs = list(zip(reader.read(plain), reader.read(called), strict=True))
    changes: Counter[tuple[str, str, str]] = Counter()
    for before, after in pairs:
        old, new = _seen(before), _seen(after)
        changes.update((name, old[name], new[name]) for name in old.keys() & new.keys() if old[name] != new[name])
    often = {name: (old, new) for (name, old, new), n in sorted(changes.items()) if n >= len(pairs) / 2}
    apart = [
        1 - float(numpy.dot(before.embedding, after.embedding))
        for before, after in pairs
        if reader.same_character is not None and before.embedding is not None and after.embedding is not None
    ]
    return {"read": often, "identity_changes": round(float(numpy.mean(apart)), 3) if apart else None}


def _seen(reading: Reading) -> dict[str, str]:
    return {**scene_seen(reading, 0.5), **reading.traits}
