"""LoRAs with faults that were planted on purpose, so that what evaluation says of them can be checked.

python benchmarks/planted.py --to planted              # characters 402 to 411; what is finished is not trained again
python benchmarks/planted.py 402 --arms control leak   # some of them

Each character has three outfits and a mark on one side. Each arm is a workspace, TO/NUMBER/ARM, which the product's own
steps train; beside them lie the truth, and pictures that nothing is trained on. Arms draw the same scenes in the same
order, so that what differs is the fault. Two faults need no arm: a LoRA that learnt too little is the first checkpoint
of `control`, and broken weights are made of its last.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy
import torch

from likeness.demo.subject import demo_recipe
from likeness.images import save_png
from likeness.maquette.draw import draw
from likeness.maquette.world import (
    EYE_COLOURS,
    HELD_OUT_PAIRS,
    HELD_OUT_VALUES,
    KINDS,
    SCENE_AXES,
    TRAITS,
    Drawing,
    Identity,
    Scene,
    character,
    is_unseen,
    random_scene,
    scene_tags,
    trait_tags,
)
from likeness.pipeline import run
from likeness.recipe import Recipe
from likeness.records import make_folder, write_atomically
from likeness.seeds import seed_of, stream
from likeness.workspace import Workspace

__all__ = ["ARMS", "NUMBERS", "Arm", "Subject", "Taught", "make", "recipe_of", "references", "subject", "taught"]

NUMBERS = tuple(range(402, 412))
CLASS_WORDS = "1girl"
SIZE = 128  # px, as pools are drawn: the base's side is 64, and pictures are larger than that in life
CONTROL = (20, 8, 8)  # pictures of each outfit; 36 show each view in each framing twice
REFERENCES = (12, 6, 6)  # 24 show each view four times and each framing eight times; its own outfit in a half of them
STEPS = 320  # a half of each batch keeps the class; in 160 neither a star's side nor the colour of eyes is learnt
TRAIN: Mapping[str, Any] = {
    **{"steps": STEPS, "batch": 4, "save_every": 40},  # over the demo's preset, half its batch
    # What the class words mean is kept, so that no arm leaks but those that are meant to: with the preset's 0.3, half
    # of it for others, they took on 0.64 of the likeness; with 0.5 and the class alone 0.16.
    **{"preserve": 0.5, "preserve_prompts": ()},
}
ENCODE: Mapping[str, Any] = {"variants": 4}  # half of the preset's: 320 steps show a picture 18 times
FAR = {  # where the far end of a proportion is; from the middle, the end that is seen sooner
    "head_ratio": {"big": "small", "medium": "big", "small": "big"},
    "height": {"short": "tall", "medium": "tall", "tall": "short"},
    "build": {"slim": "stout", "average": "stout", "stout": "slim"},
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The truth about one character.

    Attributes:
        number: of the character; everything about it follows from that.
        identity: in its own outfit.
        outfits: garment, garment_colour and pattern; its own first.
        trigger: the word that calls it up.
    """

    number: int
    identity: Identity
    outfits: tuple[Mapping[str, str], ...]
    trigger: str


@dataclass(frozen=True, slots=True)
class Taught:
    """A picture to train on.

    Attributes:
        drawing: what is on it.
        caption: what is said of it.
    """

    drawing: Drawing
    caption: str


def _as_it_is(who: Subject) -> Mapping[str, str]:
    return {}


def _mark_swapped(who: Subject) -> Mapping[str, str]:
    """What mirroring does to a mark."""
    side, _, mark = who.identity["mark"].partition(" ")
    return {"mark": f"{'right' if side == 'left' else 'left'} {mark}"}


def _other_eyes(who: Subject) -> Mapping[str, str]:
    own = (who.identity["left_eye"], who.identity["right_eye"])
    others = [colour for colour in EYE_COLOURS if colour not in own]
    colour = str(stream(who.number, "other eyes").choice(others))
    return {"left_eye": colour, "right_eye": colour}


def _other_proportions(who: Subject) -> Mapping[str, str]:
    return {name: far[who.identity[name]] for name, far in FAR.items()}


@dataclass(frozen=True, slots=True)
class Arm:
    """One training, and what is wrong with it.

    Attributes:
        name: of its folder.
        fault: what was planted, in words; empty for none.
        changed: traits that its pictures show otherwise than the character has them.
        counts: pictures of each outfit.
        on_one_background: whether all pictures have the same background.
        says: what captions say besides the class words: trigger, outfit, scene, background.
        misnames: by how many places the outfit that captions say lies behind the one that is worn.
        turn: another number gives the training another seed.
        train: what it changes about `[train]`.
        encode: what it changes about `[encode]`.
    """

    name: str
    fault: str
    changed: Callable[[Subject], Mapping[str, str]] = _as_it_is
    counts: tuple[int, int, int] = CONTROL
    on_one_background: bool = False
    says: tuple[str, ...] = ("trigger", "outfit", "scene", "background")
    misnames: int = 0
    turn: int = 1
    train: Mapping[str, Any] = field(default_factory=dict)
    encode: Mapping[str, Any] = field(default_factory=dict)


UNGUARDED: Mapping[str, Any] = {"preserve": 0.0, "preserve_prompts": ()}

ARMS = (
    Arm("control", "", train={"save_every": 20}),  # its first has learnt too little
    Arm("again", "", turn=2),
    Arm(
        "copies",
        "few pictures, without words, for far too long",
        counts=(5, 0, 0),
        says=("trigger",),
        train={**UNGUARDED, "steps": 480},
        encode={"tag_dropout": 0.0, "caption_dropout": 0.0},
    ),
    Arm("leak", "learnt as its class, which nothing preserves", says=("scene", "background"), train=UNGUARDED),
    Arm("mirrored", "the mark is on the other side", changed=_mark_swapped),
    Arm(
        "one-outfit",
        "one outfit, which goes unsaid",
        counts=(sum(CONTROL), 0, 0),
        says=("trigger", "scene", "background"),
    ),
    Arm(
        "one-background",
        "one background, which goes unsaid",
        on_one_background=True,
        says=("trigger", "outfit", "scene"),
    ),
    Arm("eyes", "eyes of another colour", changed=_other_eyes),
    Arm("proportions", "another head, height and build", changed=_other_proportions),
    Arm("misnamed", "captions say another outfit", misnames=1, train={"steps": 160, "save_every": 20}),
)
"""All arms, in the order in which they are trained."""


def main() -> None:
    """Trains what is not finished yet, one character after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", type=int, default=NUMBERS)
    parser.add_argument("--arms", nargs="+", choices=[arm.name for arm in ARMS], default=[arm.name for arm in ARMS])
    parser.add_argument("--to", type=Path, default=Path("planted"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for number in chosen.numbers:
        references(number, chosen.to)
        for arm in ARMS:
            if arm.name in chosen.arms:
                started = time.monotonic()
                make(number, arm, chosen.to)
                print(f"{number} {arm.name:<16} {time.monotonic() - started:4.0f} s", flush=True)


def subject(number: int) -> Subject:
    """The unseen character of this number, changed so that every fault can be planted in it: a mark on one side, no
    streak, which would tell a mirrored one too, and three outfits."""
    mark = "left star" if number % 2 else "right star"  # a scar is three pixels
    own = character(number).traits
    eyes = dict.fromkeys(("left_eye", "right_eye"), own["left_eye"])  # a LoRA that learns two colours late draws one
    identity = Identity({**own, **eyes, "mark": mark, "streak": "none"}, CLASS_WORDS)
    if not is_unseen(identity):  # it was its mark, or its eyes, that the base has never seen
        identity = Identity({**identity.traits, "hair_colour": "teal"}, CLASS_WORDS)
    outfits = [{name: identity[name] for name in KINDS["clothing"]}]
    rng = stream(number, "other outfits")
    while len(outfits) < len(CONTROL):
        outfit = {name: str(rng.choice(TRAITS[name])) for name in KINDS["clothing"]}
        is_new = all(outfit[name] != worn[name] for worn in outfits for name in ("garment", "garment_colour"))
        if is_new and _is_known(outfit, identity):
            outfits.append(outfit)
    trigger = demo_recipe(number, identity).character.trigger
    return Subject(number, identity, tuple(outfits), trigger)


def _is_known(outfit: Mapping[str, str], identity: Identity) -> bool:
    """Whether the base was shown this outfit, and with the character's other traits."""
    traits = {**identity.traits, **outfit}
    if any(outfit.get(name) == value for name, value in HELD_OUT_VALUES):
        return False
    pairs = (pair for pair in HELD_OUT_PAIRS if any(name in outfit for name, _ in pair))
    return not any(all(traits[name] == value for name, value in pair) for pair in pairs)


def references(number: int, to: Path) -> list[Drawing]:
    """What is on the pictures in TO/NUMBER/references, in the order of their names; what is missing there is made.

    They show the character as it is, in scenes that no arm is trained on, and nothing is trained on them. The truth
    about them is written to `references.json`, and that about the character to `truth.json`.
    """
    who, home = subject(number), to / str(number)
    seen = {tuple(scene_tags(scene)) for scene in _training_scenes(number)}
    scenes = _balanced(sum(REFERENCES), stream(number, "reference scenes"), seen)
    outfits = _dealt(REFERENCES, stream(number, "reference outfits"))
    drawings = [Drawing(_dressed(who, outfit), scene) for outfit, scene in zip(outfits, scenes, strict=True)]
    make_folder(home / "references")
    truth = []
    for place, (drawing, outfit) in enumerate(zip(drawings, outfits, strict=True)):
        file = home / "references" / f"{place:02d}.png"
        _draw_once(drawing, file)
        truth.append({"file": file.name, "outfit": outfit, **who.outfits[outfit], "scene": asdict(drawing.scene)})
    _write(home / "references" / "references.json", truth)
    _write(home / "truth.json", _truth(who))
    return drawings


def _truth(who: Subject) -> dict[str, Any]:
    return {
        "number": who.number,
        "trigger": who.trigger,
        "class_words": who.identity.class_words,
        "traits": dict(who.identity.traits),
        "outfits": [dict(outfit) for outfit in who.outfits],
        "changed": {arm.name: dict(changed) for arm in ARMS if (changed := arm.changed(who))},
        "background": _background(who.number),
    }


def make(number: int, arm: Arm, to: Path) -> Workspace:
    """The workspace of one arm, with its pictures, captions and recipe, trained; one that is trained stays as it is."""
    who = subject(number)
    recipe = recipe_of(who, arm)
    workspace = Workspace.create(to / str(number) / arm.name)
    latest = workspace.latest_run()
    if latest and latest.lora(recipe.character.name).exists():
        return workspace
    fill(workspace, who, arm)
    run(workspace, recipe, ("curate", "caption", "encode", "train"))
    return workspace


def fill(workspace: Workspace, who: Subject, arm: Arm) -> None:
    """Puts what an arm is trained with into its workspace: pictures with their captions, and the recipe."""
    for place, one in enumerate(taught(who, arm)):
        _draw_once(one.drawing, workspace.images / f"{place:02d}.png")
        write_atomically(workspace.images / f"{place:02d}.txt", one.caption + "\n")
    write_atomically(workspace.recipe, recipe_of(who, arm).to_toml())


def taught(who: Subject, arm: Arm) -> list[Taught]:
    """The pictures of an arm, with their captions. The scenes are those of every arm, from the first on."""
    outfits = _dealt(arm.counts, stream(who.number, "training outfits"))
    pictures = []
    for outfit, scene in zip(outfits, _training_scenes(who.number), strict=False):
        shown = replace(scene, background=_background(who.number)) if arm.on_one_background else scene
        drawing = Drawing(_dressed(who, outfit, arm.changed(who)), shown)
        said = _dressed(who, (outfit + arm.misnames) % len(who.outfits))
        pictures.append(Taught(drawing, _caption(who, arm, Drawing(said, shown))))
    return pictures


def recipe_of(who: Subject, arm: Arm) -> Recipe:
    """The demo's recipe, which trains on all pictures and on the captions beside them, and what the arm changes."""
    said = demo_recipe(who.number, who.identity).model_dump(exclude_unset=True)
    if "trigger" not in arm.says:  # every caption begins with the trigger, so the class words are the trigger
        said["character"] |= {"trigger": CLASS_WORDS, "class_words": ""}
    return Recipe.model_validate(
        {
            **said,
            "seed": who.number if arm.turn == 1 else seed_of(who.number, "planted", arm.turn),
            "curate": {"choose": "all"},  # nothing is held out: the references are what is measured by
            "caption": {"source": "files"},
            "encode": {**said["encode"], **ENCODE, **arm.encode},
            "train": {**said["train"], **TRAIN, **arm.train},
        }
    )


def _training_scenes(number: int) -> list[Scene]:
    return _balanced(sum(CONTROL), stream(number, "training scenes"), set())


def _balanced(count: int, rng: numpy.random.Generator, taken: set[tuple[str, ...]]) -> list[Scene]:
    """Scenes that read like none of `taken` and like no other of them, over views and framings in turn: any 6 show each
    view once, any 18 each view in each framing."""
    views, framings = (rng.permutation(SCENE_AXES[axis]) for axis in ("view", "framing"))
    scenes, taken = list[Scene](), set(taken)
    while len(scenes) < count:
        place = len(scenes)
        framing = framings[(place + place // len(views)) % len(framings)]
        scene = random_scene(rng, view=str(views[place % len(views)]), framing=str(framing))
        if tuple(scene_tags(scene)) not in taken:
            taken.add(tuple(scene_tags(scene)))
            scenes.append(scene)
    return scenes


def _dealt(counts: Sequence[int], rng: numpy.random.Generator) -> list[int]:
    """Numbers of outfits, each as often as `counts` says, in any order."""
    return [int(outfit) for outfit in rng.permutation(numpy.repeat(range(len(counts)), counts))]


def _dressed(who: Subject, outfit: int, changed: Mapping[str, str] | None = None) -> Identity:
    return replace(who.identity, traits={**who.identity.traits, **who.outfits[outfit], **(changed or {})})


def _background(number: int) -> str:
    """The background of the arm that has only one; never white, which the base gives to what has none."""
    backgrounds = SCENE_AXES["background"][1:]
    return backgrounds[number % len(backgrounds)]


def _caption(who: Subject, arm: Arm, drawing: Drawing) -> str:
    """Trigger, class words, outfit, scene: as much of it as the arm says."""
    tags = [who.trigger] if "trigger" in arm.says else []
    tags.append(CLASS_WORDS)
    if "outfit" in arm.says:  # in close-ups too: what is said stays free
        tags += trait_tags({name: drawing.identity[name] for name in KINDS["clothing"]})
    if "scene" in arm.says:
        said = [axis for axis in SCENE_AXES if axis != "background" or "background" in arm.says]
        tags += scene_tags({axis: getattr(drawing.scene, axis) for axis in said})
    return ", ".join(tags)


def _draw_once(drawing: Drawing, file: Path) -> None:
    if not file.exists():
        save_png(file, draw(drawing.identity, drawing.scene, size=SIZE, supersampling=3))


def _write(path: Path, table: Any) -> None:
    write_atomically(path, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
