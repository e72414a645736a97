"""Pictures of the character's class that the base itself draws, for what the class words mean to be kept."""

from collections.abc import Sequence

from likeness.events import Event
from likeness.images import save_png
from likeness.pipeline.bench import Bench
from likeness.pipeline.instruments import draw_pictures
from likeness.records import Caption, make_folder, write_atomically
from likeness.seeds import seed_of

__all__ = ["DRAWN", "draw_class_pictures"]

DRAWN = "drawn-"
"""How the names of what is drawn begin; what a person puts beside it is never touched."""

AT_ONCE = 8  # that are kept together: an interrupted command has no more than these to draw again


def draw_class_pictures(bench: Bench, captions: Sequence[Caption]) -> None:
    """`class/` holds as many pictures as `encode.class_pictures` says: what is missing is drawn, each with the words it
    was asked with in a text file.

    They are the captions without the trigger, in turn, so that the class is kept in the scenes that the character is
    learnt in.
    """
    from likeness.cache.class_pictures import KINDS
    from likeness.cache.wordings import variants

    recipe, folder = bench.recipe, bench.workspace.class_pictures
    there = [path for path in folder.rglob("*") if path.suffix.lower() in KINDS]
    missing = recipe.encode.class_pictures - len(there)
    numbers = [number for number in range(recipe.encode.class_pictures) if not (folder / _name(number)).exists()]
    numbers = numbers[: max(missing, 0)] if bench.front[1:] else []
    plain = recipe.encode.model_copy(update={"variants": 1})
    asked = [variants(caption, plain, bench.front)[0].without_trigger for caption in captions]
    for start in range(0, len(numbers), AT_ONCE):
        some = numbers[start : start + AT_ONCE]
        prompts = [asked[number % len(asked)] for number in some]
        seeds = [seed_of(recipe.seed, "class picture", number) for number in some]
        make_folder(folder)
        for number, prompt, pixels in zip(
            some, prompts, draw_pictures(bench.model, prompts, recipe.sample, seeds=seeds), strict=True
        ):
            write_atomically((folder / _name(number)).with_suffix(".txt"), prompt + "\n")
            save_png(folder / _name(number), pixels, {"parameters": prompt})
        bench.report(
            Event(stage="encode", done=start + len(some), total=len(numbers), note="pictures of the class are drawn")
        )


def _name(number: int) -> str:
    return f"{DRAWN}{number + 1:04d}.png"
