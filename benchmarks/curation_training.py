"""What curation is worth: identity of LoRAs learnt from a curated, a random and a clean set of the same size.

python benchmarks/curation_training.py                # characters 201 to 210; what was trained on the same is not again
python benchmarks/curation_training.py --steps 310    # longer, as the demo trains; to another file

Curated and random set come from one raw pool; the clean one is drawn without flaws, evenly over views and expressions.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shutil import copyfile
from statistics import fmean
from typing import Any

from likeness.demo.subject import demo_recipe as recipe_of
from likeness.demo.subject import what_is_asked
from likeness.errors import PictureError
from likeness.evaluation.prompts import unseen_scenes
from likeness.evaluation.tallies import count_adherence, count_traits
from likeness.events import silent
from likeness.images import open_pixels, save_png, sha256_of
from likeness.maquette.draw import draw
from likeness.maquette.pool import make_pool
from likeness.maquette.world import KINDS, SCENE_AXES, TRAITS, Identity, Scene, character, random_scene
from likeness.pipeline import adapted, curation_summary, draw_pictures, newest_lora, open_base, open_reader, run
from likeness.recipe import Recipe
from likeness.records import Picture, read_records
from likeness.seeds import seed_of, stream
from likeness.statistics import bootstrap_mean
from likeness.workspace import Workspace

SEEDS = tuple(range(201, 211))
SETS = ("curated", "random", "clean")
STEPS = 100  # a third of the demo's, so that thirty LoRAs take about an hour on two old cores; the sets get the same
SAMPLING = 10  # steps; identity at 15 is the same to a point
RESULTS = Path(__file__).parent / "results" / "curation_training.json"


def main() -> None:
    """Trains what is not on record yet, prints the table, and exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--to", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    found = json.loads(chosen.to.read_text()) if chosen.to.exists() else {"steps": chosen.steps, "characters": {}}
    if found["steps"] != chosen.steps:
        sys.exit(f"{chosen.to} holds runs of {found['steps']} steps. Name another file with --to.")
    for seed in chosen.seeds:
        done = found["characters"].setdefault(str(seed), {})
        with tempfile.TemporaryDirectory() as desk:
            for name, told in _character(Path(desk), seed, chosen.steps, done=done):
                done[name] = told
                chosen.to.parent.mkdir(parents=True, exist_ok=True)
                chosen.to.write_text(json.dumps(found, indent=1) + "\n")
                print(f"{seed} {name:<8} identity {told['identity']:.3f}  {told['seconds']:.0f} s", flush=True)
    sys.exit(not _print({seed: found["characters"][str(seed)] for seed in chosen.seeds}))


def _character(desk: Path, seed: int, steps: int, *, done: Mapping[str, Mapping[str, Any]]) -> Any:
    """Name and result of each set of one character that is not done, or was another set when it was done."""
    who, pool = character(seed), desk / "pool"
    members = make_pool(who, pool, seed=seed_of(seed, "demo pool"))
    recipe = _recipe(seed, who, steps)
    curated = Workspace.create(desk / "curated")
    for path in pool.iterdir():
        copyfile(path, curated.images / path.name)
    run(curated, recipe, ("curate",))
    count = curation_summary(curated)["counts"]["train"]
    clean = _clean_scenes(seed, count)
    seen = [member.drawing.scene for member in members if member.drawing] + clean
    by_hand = recipe.model_copy(update={"curate": recipe.curate.model_copy(update={"choose": "all"})})
    for name in SETS:
        started, workspace = time.monotonic(), Workspace.create(desk / name)
        if name == "random":
            _copy_random(pool, workspace.images, count, seed)
        if name == "clean":
            for index, scene in enumerate(clean):
                save_png(workspace.images / f"{index:02d}.png", draw(who, scene, size=128, supersampling=3))
        own = recipe if name == "curated" else by_hand
        run(workspace, own, ("curate", "caption"))
        taught = _digest(workspace, own)
        if done.get(name, {}).get("taught") == taught:
            continue
        run(workspace, own, ("encode", "train"))
        told = _measured(workspace, recipe, seed, who, seen)
        yield name, {**told, "pictures": count, "taught": taught, "seconds": round(time.monotonic() - started)}


def _digest(workspace: Workspace, recipe: Recipe) -> str:
    """Of all that a LoRA learns from: pictures, captions, settings, and the base that it is taught to."""
    pictures = sorted(one.id for one in read_records(workspace.images_jsonl, Picture) if one.use == "train")
    captions = workspace.captions_jsonl.read_text()
    told = [*pictures, captions, recipe.encode.digest, recipe.train.digest, open_base(recipe.base).fingerprint]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _recipe(seed: int, who: Identity, steps: int) -> Recipe:
    recipe = recipe_of(seed, who)
    # Without the answers that the demo has the base keep: they take as long as the pictures, and teach no likeness.
    train = recipe.train.model_copy(update={"steps": steps, "preserve": 0.0, "preserve_prompts": ()})
    caption = recipe.caption.model_copy(update={"source": "reader"})
    sample = recipe.sample.model_copy(update={"steps": SAMPLING})
    return recipe.model_copy(update={"train": train, "caption": caption, "sample": sample})


def _clean_scenes(seed: int, count: int) -> list[Scene]:
    rng = stream(seed, "clean jitter")
    even = unseen_scenes(count, seen=(), seed=seed_of(seed, "clean scenes"))
    return [random_scene(rng, **{axis: getattr(scene, axis) for axis in SCENE_AXES}) for scene in even]


def _copy_random(pool: Path, images: Path, count: int, seed: int) -> None:
    """As many of the pool's files as can be read and differ in their bytes, at random."""
    different = {sha256_of(path): path for path in sorted(pool.iterdir()) if _can_be_read(path)}
    names = sorted(path.name for path in different.values())
    for index in stream(seed, "random set").permutation(len(names))[:count]:
        copyfile(pool / names[index], images / names[index])


def _can_be_read(path: Path) -> bool:
    try:
        open_pixels(path)
    except PictureError:
        return False
    return True


def _measured(workspace: Workspace, recipe: Recipe, seed: int, who: Identity, seen: Sequence[Scene]) -> dict[str, Any]:
    """Identity and adherence over 36 scenes that are in no set: each pair of view and expression once."""
    asked = what_is_asked(seed, who, recipe, seen)
    count = len(SCENE_AXES["view"]) * len(SCENE_AXES["expression"])
    own, prompts, seeds = asked.own[:count], asked.prompts[:count], asked.seeds[:count]
    model, reader = open_base(recipe.base), open_reader(recipe.perception)
    with adapted(model, newest_lora(workspace)):
        pictures = draw_pictures(model, prompts, recipe.sample, seeds=seeds, report=silent)
    readings = reader.read(pictures)
    kinds = {kind: count_traits(own, readings, names).share().mean for kind, names in KINDS.items()}
    axes = {axis: count_adherence(own, readings, axis).share().mean for axis in ("view", "expression")}
    return {"identity": count_traits(own, readings, TRAITS).share().mean, "by_kind": kinds, "adherence": axes}


def _print(found: Mapping[int, Mapping[str, Any]]) -> bool:
    """The table, and whether both bars are met."""
    rows = list(found.values())
    columns: dict[str, Callable[[Any], float]] = {
        "identity": lambda told: told["identity"],
        **{kind: lambda told, kind=kind: told["by_kind"][kind] for kind in KINDS},
        **{axis: lambda told, axis=axis: told["adherence"][axis] for axis in ("view", "expression")},
    }
    print(f"\n{'set':<10}" + "".join(f"{name:>12}" for name in columns))
    for name in SETS:
        print(f"{name:<10}" + "".join(f"{fmean(of(row[name]) for row in rows):12.3f}" for of in columns.values()))
    gain, lack = (
        bootstrap_mean([row["curated"]["identity"] - row[other]["identity"] for row in rows], seed=0)
        for other in ("random", "clean")
    )
    print(f"curated - random: {gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}), paired; bar: all of it above 0")
    print(f"curated - clean:  {lack.mean:+.3f} ({lack.low:+.3f} to {lack.high:+.3f}), paired; bar: at least -0.03")
    return gain.low > 0 and lack.mean >= -0.03


if __name__ == "__main__":
    main()
