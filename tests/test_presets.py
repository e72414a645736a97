"""Presets: a base and a character are enough, and what a person says stays."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file
from tiny import tiny_sd15
from typer.testing import CliRunner

from likeness import cli
from likeness.events import silent
from likeness.images import save_png
from likeness.pipeline import run, settings_of
from likeness.pipeline.bench import Bench
from likeness.recipe import PRESETS, Recipe, load_recipe, settled, write_recipe
from likeness.recipe.presets import Choice
from likeness.workspace import Workspace

NAMED = {"name": "Mira", "trigger": "mirachar", "kind": "original"}
TEXTS = {
    "sd15": "cond_stage_model.transformer.x",
    "sd2": "cond_stage_model.model.x",
    "sdxl": "conditioner.embedders.1.model.x",
}
DOCS = Path(__file__).parents[1] / "docs" / "recipes.md"


def recipe(**sections: Mapping[str, object]) -> Recipe:
    return Recipe.model_validate({"character": NAMED, **sections})


def file_of(folder: Path, family: str, *keys: str) -> Path:
    """A file with the header of a checkpoint, and next to no tensors."""
    named = {"model.diffusion_model.input_blocks.0.0.weight": numpy.zeros((1, 4, 1, 1), numpy.float16)}
    save_file(
        named | {key: numpy.zeros(0, numpy.float16) for key in (TEXTS[family], *keys)}, folder / "base.safetensors"
    )
    return folder / "base.safetensors"


def presets_of(path: Path, **base: object) -> tuple[str, ...]:
    return settings_of(recipe(base={"path": str(path), **base})).presets


# -- which presets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_a_file_says_which_preset_suits_it(tmp_path: Path, family: str):
    assert presets_of(file_of(tmp_path, family)) == (family,)


def test_a_base_that_ends_in_pure_noise_gets_more_on_top(tmp_path: Path):
    file = file_of(tmp_path, "sdxl", "v_pred", "ztsnr")
    found = settings_of(recipe(base={"path": str(file)})).recipe
    assert presets_of(file) == ("sdxl", "zero-terminal")
    assert (found.train.steps, found.train.weight_floor) == (1500, 0.05)
    assert (found.sample.sampler, found.sample.guidance_rescale) == ("euler", 0.7)


def test_what_the_recipe_says_of_a_silent_base_counts_too(tmp_path: Path):
    assert presets_of(file_of(tmp_path, "sd2"), prediction="v", zero_terminal=True) == ("sd2", "zero-terminal")
    assert presets_of(file_of(tmp_path, "sdxl"), prediction="v") == ("sdxl",)


def test_the_embedded_base_has_its_own_though_it_is_built_as_1_x():
    assert settings_of(recipe()).presets == ("maquette",)


def test_a_folder_says_it_by_its_tables(tmp_path: Path):
    for part, said in {"model_index": {"_class_name": "StableDiffusionXLPipeline"}}.items():
        (tmp_path / f"{part}.json").write_text(json.dumps(said))
    for part, said in {
        "unet/config": {"in_channels": 4},
        "scheduler/scheduler_config": {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True},
    }.items():
        (tmp_path / part).parent.mkdir()
        (tmp_path / f"{part}.json").write_text(json.dumps(said))
    assert presets_of(tmp_path) == ("sdxl", "zero-terminal")


@pytest.mark.parametrize("keys", [(), ("v_pred",)])
def test_a_base_that_cannot_be_used_has_none_and_is_told_of_by_what_needs_it(tmp_path: Path, keys: tuple[str, ...]):
    path = file_of(tmp_path, "sdxl", *keys) if keys else tmp_path / "nowhere.safetensors"
    said = {"prediction": "epsilon"} if keys else {}
    assert presets_of(path, **said) == ()


# -- what they do ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_every_value_of_a_preset_is_valid_and_reaches_the_recipe(preset: str):
    found = settled(recipe(), [preset])
    for address, choice in PRESETS[preset].items():
        section, field = address.split(".")
        assert getattr(getattr(found.recipe, section), field) == choice.value
    assert found.taken == {address: choice.value for address, choice in PRESETS[preset].items()}


def test_what_a_person_set_stays_be_it_in_the_file_or_on_the_command_line(tmp_path: Path):
    (tmp_path / "likeness.toml").write_text(
        '[character]\nname = "Mira"\ntrigger = "mirachar"\nkind = "original"\n[train]\nrank = 8\n'
    )
    found = settled(load_recipe(tmp_path / "likeness.toml", ["train.steps=1000"]), ["sdxl"])
    assert (found.recipe.train.rank, found.recipe.train.alpha, found.recipe.train.steps) == (8, 8, 1000)
    assert found.left == {
        "train.rank": "you; the preset says 16",
        "train.steps": "you; the preset says 1500",
    }
    assert found.recipe.train.batch == 2


def test_a_default_that_a_person_wrote_down_is_their_word(tmp_path: Path):
    found = settled(recipe(train={"steps": 1000}), ["sdxl"])
    assert found.recipe.train.steps == 1000


def test_alpha_goes_with_the_rank_of_the_preset():
    assert settled(recipe(), ["maquette"]).recipe.train.alpha == 32
    assert settled(recipe(train={"alpha": 4}), ["maquette"]).recipe.train.alpha == 4


def test_a_preset_leaves_prodigy_its_own_step_size():
    found = settled(recipe(train={"optimizer": "prodigy"}), ["sdxl"])
    assert found.recipe.train.learning_rate == 1
    assert "prodigy" in found.left["train.learning_rate"]


def test_sets_say_what_learns_and_the_preset_does_not():
    found = settled(recipe(train={"sets": [{"blocks": "content", "rank": 8}]}), ["maquette"])
    assert found.recipe.train.adapter_sets()[0].alpha == 8
    assert found.left == {"train.blocks": "nobody: train.sets says what learns"}


def test_of_two_presets_the_later_one_is_believed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("likeness.recipe.presets.PRESETS", {name: {"train.rank": Choice(name, "")} for name in (4, 8)})
    assert settled(recipe(), [4, 8]).recipe.train.rank == 8  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_settled_recipe_stays_as_it_is_and_is_written_whole(preset: str, tmp_path: Path):
    whole = settled(recipe(train={"optimizer": "prodigy"}), [preset]).recipe
    (tmp_path / "recipe.toml").write_text(whole.to_toml())
    assert settled(load_recipe(tmp_path / "recipe.toml"), [preset]).recipe == whole


# -- where they act ----------------------------------------------------------------------------------------------------


def test_freshness_goes_by_what_is_trained_and_not_by_who_said_it(tmp_path: Path):
    workspace = Workspace.create(tmp_path / "mira")
    left_out, said, other = (
        Bench(workspace, recipe(base={"path": "maquette"}, train=train), silent).recipe.train.digest
        for train in ({}, {"steps": 310}, {"steps": 311})
    )
    assert left_out == said != other


def test_a_run_s_recipe_holds_what_the_preset_said(tmp_path: Path):
    workspace = Workspace.create(tmp_path / "mira")
    for number in range(2):
        save_png(workspace.images / f"{number}.png", numpy.full((32, 32, 3), 60 * number, numpy.uint8))
    base = tiny_sd15(tmp_path / "base")
    wanted = recipe(
        base={"path": str(base), "device": "cpu"},
        perception={"reader": "fake_reader:FakeReader"},
        curate={"choose": "all"},
        encode={"variants": 1},
        train={"steps": 1, "batch": 1},
    )
    run(workspace, wanted, ("curate", "caption", "encode", "train"))
    as_run = load_recipe(workspace.numbered_runs()[0].recipe)
    assert (as_run.train.learning_rate, as_run.train.rank, as_run.train.steps) == (2e-4, 16, 1)
    assert run(workspace, as_run, ("train",))[0].is_fresh


def test_curate_and_show_need_no_base_where_the_size_is_said(tmp_path: Path):
    workspace = Workspace.create(tmp_path / "mira")
    for number in range(2):
        save_png(workspace.images / f"{number}.png", numpy.full((32, 32, 3), 60 * number, numpy.uint8))
    missing = recipe(
        base={"path": str(tmp_path / "nowhere.safetensors")}, encode={"size": 64}, curate={"choose": "all"},
    )  # fmt: skip
    write_recipe(workspace.recipe, missing)
    assert run(workspace, missing, ("curate",))[0].made
    shown = CliRunner().invoke(cli.app, ["show", str(workspace.root), "--json"])
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["settings"] == {"encode.size": {"value": 64, "by": "you"}}


def test_show_tells_each_value_and_who_says_it(tmp_path: Path):
    CliRunner().invoke(cli.app, ["init", str(tmp_path / "mira"), "--set", "train.rank=8", "--set=train.warmup=0.05"])
    shown = CliRunner().invoke(cli.app, ["show", str(tmp_path / "mira")]).stdout
    rows = [[part.strip() for part in line.split(maxsplit=2)] for line in shown.splitlines()]
    assert ["train.steps", "310", "preset maquette"] in rows
    assert ["train.rank", "8", "you; the preset says 32"] in rows
    assert ["train.warmup", "0.05", "you"] in rows, "also where that is the default"


def test_a_new_recipe_shows_the_values_of_its_base_as_comments_and_names_the_preset(tmp_path: Path):
    file = file_of(tmp_path, "sdxl", "v_pred", "ztsnr")
    options = [f"--set=base.path={file}", "--set=train.batch=3"]
    assert CliRunner().invoke(cli.app, ["init", str(tmp_path / "mira"), *options]).exit_code == 0
    lines = (tmp_path / "mira" / "likeness.toml").read_text().splitlines()
    assert "sdxl + zero-terminal" in lines[0]
    assert {"# steps = 1500", "# guidance_rescale = 0.7", "batch = 3"} <= set(lines)
    assert "steps = 1500" not in lines


# -- docs/recipes.md ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_the_page_on_recipes_tells_the_table_row_by_row(preset: str):
    part = DOCS.read_text().split(f"\n### `{preset}`")[1].split("\n#")[0]
    rows = [line for line in part.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{address}` | {choice.value if isinstance(choice.value, str) else f'{choice.value:g}'} | {choice.why} |"
        for address, choice in PRESETS[preset].items()
    ]
