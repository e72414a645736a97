"""The plan: what a training would take is measured, and nothing is trained."""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors import safe_open
from tiny_data import NOTES, tiny_cache
from typer.testing import CliRunner, Result

from likeness.cli import app
from likeness.diffusion.family import DiffusionModel
from likeness.errors import OutOfMemory
from likeness.images import save_png
from likeness.recipe import TrainConfig
from likeness.training.meter import peak_of
from likeness.training.plan import plan
from likeness.training.train import train

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, model: DiffusionModel) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("data"), model)


def config(**fields: Any) -> TrainConfig:
    return TrainConfig(**{"steps": 5, "batch": 4, "rank": 2, "save_every": 2, "blocks": "upper", **fields})


def test_it_tells_what_the_run_then_is(cache: Path, model: DiffusionModel, tmp_path: Path) -> None:
    asked = config(alpha=1.0)
    found = plan(cache, asked, model=model, seed=7)
    run = tmp_path / "0001"
    run.mkdir()
    ends = train(cache, asked, model=model, to=run, seed=7, metadata=NOTES)
    assert (found.checkpoints, found.steps) == (len(list(run.glob("*.safetensors"))), 5)
    assert found.checkpoints == len(ends) + 1
    (shape,) = found.shapes
    assert (shape.pictures, shape.width, shape.height, shape.batches) == (5, 32, 32, 5)
    with safe_open(run / "mira.safetensors", framework="pt") as file:
        names = list(file.keys())
    assert found.layers == sum(name.endswith("lora_up.weight") for name in names)
    assert found.scales == {"0.5": found.layers}
    sizes = (run / "mira.safetensors").stat().st_size, next((run / "state").glob("*.safetensors")).stat().st_size
    assert 0 < found.checkpoint_bytes < sizes[0]  # the rest is names and notes
    assert 0 < found.state_bytes <= sizes[1]
    assert found.moments_bytes >= 8 * found.parameters
    assert found.seconds == pytest.approx(5 * found.rungs[0].seconds)
    assert found.rungs[0].seconds > 0


def test_every_rung_is_measured_and_blocks_below_the_lowest_trained_one_are_not_computed_anew(
    cache: Path, model: DiffusionModel
) -> None:
    found = plan(cache, config(), model=model, seed=7)
    rungs = [(rung.is_checkpointed, rung.microbatch) for rung in found.rungs]
    assert rungs == [(False, 4), (True, 4), (True, 2), (True, 1)]
    assert all(rung.fits for rung in found.rungs)
    anew = {part: blocks for part, (blocks, _) in found.blocks.items()}
    assert anew == {"down_blocks.0": 0, "down_blocks.1": 0, "down_blocks.2": 0, "mid_block": 0, "up_blocks.0": 0,
                    "up_blocks.1": 3, "up_blocks.2": 4}  # fmt: skip
    assert [rung.microbatch for rung in plan(cache, config(microbatch=1), model=model, seed=7).rungs] == [1, 1]


def test_nothing_is_written_and_the_base_is_as_it_was(cache: Path, model: DiffusionModel) -> None:
    shown = torch.randn(1, 4, 8, 8), torch.tensor([500]), model.encode_prompts(["a fox"])
    before, files = model.predict(*shown), {path: path.stat().st_mtime_ns for path in cache.parent.rglob("*")}
    plan(cache, config(), model=model, seed=7)
    assert torch.equal(model.predict(*shown), before)
    assert {path: path.stat().st_mtime_ns for path in cache.parent.rglob("*")} == files


@pytest.mark.parametrize("fits", [2, 0])
def test_what_does_not_fit_is_told(cache: Path, model: DiffusionModel, fits: int) -> None:
    def refuse(module: Any, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        if torch.is_grad_enabled() and len(inputs[0]) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    hook = model.denoiser.get_submodule("conv_in").register_forward_hook(refuse)
    try:
        if fits:
            found = plan(cache, config(), model=model, seed=7)
            assert [rung.fits for rung in found.rungs] == [False, False, True, True]
            assert found.seconds == pytest.approx(5 * found.rungs[2].seconds)
        else:
            with pytest.raises(OutOfMemory, match="Not one picture"):
                plan(cache, config(), model=model, seed=7)
    finally:
        hook.remove()


def test_the_meter_sees_what_is_held_for_a_moment() -> None:
    cpu = torch.device("cpu")
    peak_of(lambda: torch.ones(1_000_000), cpu)
    assert peak_of(lambda: torch.ones(30_000_000), cpu) == pytest.approx(120 * MEGABYTE, abs=12 * MEGABYTE)
    assert peak_of(lambda: None, cpu) < 12 * MEGABYTE


def called(*words: str) -> Result:
    return CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.fixture
def mira(tmp_path: Path, folder: Path) -> Path:
    made = tmp_path / "mira"
    settings = ["character.class_words=1girl", f"base.path={folder}", "base.device=cpu", "encode.variants=1"]
    settings += ["perception.reader=fake_reader:FakeReader", "train.steps=2", "train.batch=2", "train.rank=1"]
    settings += ["curate.choose=all"]
    called("init", str(made), *(part for setting in settings for part in ("--set", setting)))
    for number in range(3):
        save_png(made / "images" / f"{number}.png", numpy.full((32, 32, 3), 60 * number, numpy.uint8))
    return made


def test_train_with_plan_begins_no_run(mira: Path) -> None:
    words = called("train", str(mira), "--plan").stdout
    assert "2 steps" in words
    assert [row in words for row in ("as the recipe is", "gradient checkpointing", "and 1 of 2 at a time")] == [
        True
    ] * 3
    assert not (mira / "runs").exists()
    told = json.loads(called("train", str(mira), "--plan", "--set", "base.quantise=int8", "--json").stdout)
    assert (told["steps"], told["quantised_bytes"], len(told["rungs"])) == (2, 0, 3)
    assert called("train", str(mira)).exit_code == 0
    again = json.loads(called("train", str(mira), "--json", "--set", "train.microbatch=1").stdout)
    assert again["steps"][-1]["is_fresh"], "how it is made to fit is no other training"
