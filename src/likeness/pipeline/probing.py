"""Probing the chosen LoRA: at which weight it is used best, and what each of its blocks is for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from likeness.diffusion.blocks import block_sets
from likeness.errors import RecipeError
from likeness.evaluation.blocks import Blocks, Parts, dissect
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.grids import Block, draw_grid
from likeness.evaluation.instruments import Instruments
from likeness.evaluation.probe_charts import draw_blocks, draw_strength
from likeness.evaluation.shots import Shot
from likeness.evaluation.strength import WEIGHTS, Row, Strength, few_of, name_of, sweep
from likeness.events import Report, silent
from likeness.images import Pixels, fit, save_png, sha256_of
from likeness.pipeline.bench import Bench
from likeness.pipeline.evaluation import instruments_for, plan_of, sampling_of
from likeness.pipeline.layer_painter import LayerPainter
from likeness.pipeline.painter import Painter
from likeness.pipeline.samples import best_lora
from likeness.pipeline.steps import check_held_out
from likeness.pipeline.subjects import real_pictures, subject_of
from likeness.recipe import Recipe, SampleConfig
from likeness.records import write_atomically
from likeness.seeds import seed_of
from likeness.workspace import Workspace

__all__ = ["probe_blocks", "probe_strength", "weights_of"]

MOST_WEIGHT = 4.0  # as sample.weight has it
ROWS, SIDE = 4, 192  # prompts of the sheet of pictures, and px of a picture: seven beside each other fit a screen


def weights_of(words: str) -> tuple[float, ...]:
    """Weights as a person types them, "0.6,0.8,1": from the lowest, each once; `WEIGHTS` where nothing is said.

    Raises:
        RecipeError: for what is no number, or none that a LoRA is used at, and for fewer than two.
    """
    try:
        found = sorted({float(word) for word in words.split(",") if word.strip()}) if words else list(WEIGHTS)
    except ValueError as fault:
        raise RecipeError(f"--weights {words} is no list of numbers. Write them as in --weights 0.6,0.8,1.") from fault
    if len(found) < 2 or not all(0 < weight <= MOST_WEIGHT for weight in found):
        raise RecipeError(
            f"--weights {words} will not do: at least two different ones are needed, above 0 and up to "
            f"{MOST_WEIGHT:g}, as in --weights 0.6,0.8,1."
        )
    return tuple(found)


def probe_strength(
    workspace: Workspace, recipe: Recipe, weights: Sequence[float] = WEIGHTS, *, report: Report = silent
) -> Strength:
    """The weight to use the chosen LoRA at, written to `strength.json`, with a chart of it and a sheet of pictures.

    Raises:
        WorkspaceError: where there is no LoRA or no held-out picture, or the workspace is in use.
    """
    with workspace.lock("likeness strength"):
        bench = _bench(workspace, recipe, report)
        lora = best_lora(workspace, report)
        shots, painters = _fresh_shots(bench), _painters(bench, lora, weights)
        instruments = _weighed(bench, painters)
        found = sweep(
            weights,
            shots,
            real_pictures(workspace),
            bench.recipe.evaluate,
            instruments=instruments,
            seed=bench.recipe.evaluate.seed,
            report=report,
        )
        own = few_of(shots, ("own",), min(ROWS, bench.recipe.evaluate.first))
        own = list({shot.number: shot for shot in reversed(own)}.values())[::-1]  # one noise of each prompt
        found = found.model_copy(update={**_names(workspace, lora), "rows": _rows(workspace, painters, own)})
        write_atomically(workspace.strength_json, found.model_dump_json(indent=1) + "\n")
        draw_strength(found, workspace.plots / "strength.png")
        sheet = _sheet(weights, own, instruments)
        save_png(workspace.plots / "strength-pictures.png", sheet)
    return found


def probe_blocks(workspace: Workspace, recipe: Recipe, *, report: Report = silent) -> Blocks:
    """What each block of the chosen LoRA is for, written to `blocks.json` with a chart of it.

    Raises:
        WorkspaceError: where there is no LoRA or no held-out picture, or the workspace is in use.
        CheckpointError: where the LoRA cannot be read.
        EvaluationError: where all of the LoRA is in one block.
    """
    from likeness.diffusion.files.inspection import block_of

    with workspace.lock("likeness blocks"):
        bench = _bench(workspace, recipe, report)
        lora = best_lora(workspace, report)
        painter = LayerPainter(bench, lora)
        own: dict[str, list[str]] = {}
        for layer in painter.file.layers():
            own.setdefault(block_of(layer), []).append(layer)
        found = dissect(
            Parts(own, _sets(painter.file.layers()), painter),
            _fresh_shots(bench),
            real_pictures(workspace),
            bench.recipe.evaluate,
            instruments=painter.instruments,
            seed=bench.recipe.evaluate.seed,
            report=report,
        ).model_copy(update=_names(workspace, lora))
        write_atomically(workspace.blocks_json, found.model_dump_json(indent=1) + "\n")
        draw_blocks(found, workspace.plots / "blocks.png")
    return found


def _bench(workspace: Workspace, recipe: Recipe, report: Report) -> Bench:
    check_held_out(workspace)
    return Bench(workspace, recipe, report)


def _fresh_shots(bench: Bench) -> list[Shot]:
    """The fresh prompts and noise with which evaluation looks at the chosen one once more: on the prompts that it was
    chosen by, it looks better than it is. What was drawn then is not drawn again."""
    recipe = bench.recipe
    return plan_of(recipe, subject_of(bench.workspace, recipe))(seed_of(recipe.evaluate.seed, "fresh shots"))


Painters = Mapping[str, tuple[Painter, str]]
"""By weight, and for the base: what draws, and who it is to draw as. A LoRA is called by its file, as in evaluation:
what was drawn there at this weight is not drawn again."""


def _painters(bench: Bench, lora: Path, weights: Sequence[float]) -> Painters:
    sample, to = sampling_of(bench.recipe), bench.workspace.evaluation / "pictures"

    def at(how: SampleConfig) -> Painter:
        return Painter(lambda: bench.model, how, {lora.stem: lora}, base=bench.base_digest, to=to)

    hows = {name_of(weight): sample.model_copy(update={"weight": weight}) for weight in weights}
    return {BASE: (at(sample), BASE), **{name: (at(how), lora.stem) for name, how in hows.items()}}


def _weighed(bench: Bench, painters: Painters) -> Instruments:
    """What draws at each weight, and looks."""

    def draw(name: str, shots: Sequence[Shot]) -> list[Pixels]:
        painter, who = painters[name]
        return painter(who, shots)

    return replace(instruments_for(bench, {}), draw=draw)


def _rows(workspace: Workspace, painters: Painters, own: Sequence[Shot]) -> tuple[Row, ...]:
    """Where the pictures of each prompt are, by weight."""
    files = {"0" if name == BASE else name: painter.files(who, own) for name, (painter, who) in painters.items()}
    return tuple(
        Row(
            prompt=shot.prompt,
            seed=shot.seed,
            asked=shot.asked,
            pictures={name: some[place].relative_to(workspace.root).as_posix() for name, some in files.items()},
        )
        for place, shot in enumerate(own)
    )


def _sheet(weights: Sequence[float], own: Sequence[Shot], instruments: Instruments) -> Pixels:
    """A row per prompt: the base's picture, and that at each weight. All of them are drawn already."""
    columns = {"without": BASE, **{name_of(weight): name_of(weight) for weight in weights}}
    drawn = [[fit(one, SIDE, SIDE) for one in instruments.draw(who, own)] for who in columns.values()]
    rows = [shot.asked.get("view", "") for shot in own]
    return draw_grid([Block("the LoRA, by weight", list(columns), rows, list(zip(*drawn, strict=True)))], scale=1)


def _sets(layers: Collection[str]) -> dict[str, list[str]]:
    """Each named set, with those of the layers that are in it."""
    return {
        name: [layer for layer in layers if any(fnmatchcase(layer, pattern) for pattern in patterns)]
        for name, patterns in block_sets.items()
    }


def _names(workspace: Workspace, lora: Path) -> dict[str, str]:
    return {"lora": lora.relative_to(workspace.root).as_posix(), "sha256": sha256_of(lora)}
