"""Pictures of the character's class that the base itself draws, for what the class words mean to be kept."""

import hashlib
from collections.abc import Sequence

from likeness.events import Event
from likeness.images import save_png
from likeness.pipeline.bench import Bench
from likeness.pipeline.instruments import draw_pictures
from likeness.recipe import SampleConfig
from likeness.records import Caption, make_folder, write_atomically
from likeness.seeds import seed_of

__all__ = ["DRAWN", "class_digest", "draw_class_pictures"]

DRAWN = "drawn-"
"""How the names of what is drawn begin. Those files are the command's: what was drawn otherwise, by another base
say, is removed. A person's own have other names, and are never touched."""

LEFT_OUT = ("prompts", "count", "seed", "weight")  # of [sample]: what asks for samples, and not how they are drawn

AT_ONCE = 8  # that are kept together: an interrupted command has no more than these to draw again


def class_digest(bench: Bench) -> str:
    """Of all that decides what is drawn, but for prompts: other prompts, counts or weights of samples do not."""
    usual, recipe = SampleConfig(), bench.recipe
    drawn = recipe.sample.model_copy(update={name: getattr(usual, name) for name in LEFT_OUT})
    return hashlib.sha256("\n".join([bench.base_digest, drawn.digest, str(recipe.seed)]).encode()).hexdigest()


def draw_class_pictures(bench: Bench, captions: Sequence[Caption]) -> None:
    """`class/` holds as many pictures as `encode.class_pictures` says, a person's own first: what is missing is drawn,
    each with the words it was asked with in a text file.

    They are the captions without the trigger, in turn, so that the class is kept in the scenes that the character is
    learnt in.
    """
    from likeness.cache.class_pictures import is_class_picture
    from likeness.cache.wordings import variants

    recipe, folder = bench.recipe, bench.workspace.class_pictures
    if not (recipe.encode.class_pictures and bench.front[1:] and captions):
        return  # where something is missing, encoding says so
    there = [path for path in folder.rglob("*") if is_class_picture(path)]
    count = max(recipe.encode.class_pictures - sum(not path.name.startswith(DRAWN) for path in there), 0)
    plain = recipe.encode.model_copy(update={"variants": 1})
    asked = [variants(caption, plain, bench.front)[0].without_trigger for caption in captions]
    digest = class_digest(bench)
    wanted = {folder / _name(digest, number, asked[number % len(asked)]): number for number in range(count)}
    for path in folder.glob(f"{DRAWN}*"):
        if path.with_suffix(".png") not in wanted:
            path.unlink()
    missing = [path for path in wanted if not path.exists()]
    make_folder(folder)
    for start in range(0, len(missing), AT_ONCE):
        some = missing[start : start + AT_ONCE]
        prompts = [asked[wanted[path] % len(asked)] for path in some]
        seeds = [seed_of(recipe.seed, "class picture", wanted[path]) for path in some]
        drawn = draw_pictures(bench.model, prompts, recipe.sample, seeds=seeds)
        for path, prompt, pixels in zip(some, prompts, drawn, strict=True):
            write_atomically(path.with_suffix(".txt"), prompt + "\n")
            save_png(path, pixels, {"parameters": prompt})
        done = start + len(some)
        bench.report(Event(stage="encode", done=done, total=len(missing), note="pictures of the class are drawn"))


def _name(digest: str, number: int, prompt: str) -> str:
    """A name that tells by what a picture was drawn."""
    by = hashlib.sha256(f"{digest}\n{prompt}".encode()).hexdigest()
    return f"{DRAWN}{number + 1:04d}-{by[:8]}.png"
