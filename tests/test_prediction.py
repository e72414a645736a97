"""What a base predicts: what it says, what a recipe may add, and what its own answers say."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy
import pytest
import torch
from tiny import tiny_sd15
from tiny_data import tiny_cache

from likeness.diffusion import load_model
from likeness.diffusion.checkpoints import Header, TensorInfo
from likeness.diffusion.family import Conditioning, DiffusionModel
from likeness.diffusion.prediction import Verdict, probe, refuse_mismatch
from likeness.diffusion.schedule import Schedule
from likeness.diffusion.statements import Statement, said_in_file, said_in_scheduler, settled
from likeness.errors import CheckpointError, RecipeError
from likeness.maquette.draw import draw
from likeness.maquette.world import random_identity, random_scene, scene_tags, trait_tags
from likeness.recipe import BaseConfig, EncodeConfig
from likeness.seeds import stream
from likeness.training.data import load_data
from likeness.training.verdict import checked_prediction

MAQUETTE = Path(str(files("likeness.maquette"))) / "base"
ONE = TensorInfo("F32", (0,), 0, 0)


def header(*names: str, **notes: str) -> Header:
    """A file with these keys, and these notes under `modelspec`."""
    told = {f"modelspec.{name}": value for name, value in notes.items()}
    return Header(dict.fromkeys(names, ONE), told, 0, 0)


@pytest.mark.parametrize(
    ("said", "prediction", "zero_terminal", "by"),
    [
        (header("x"), None, None, ""),
        (header("x", "v_pred"), "v", None, "the key 'v_pred'"),
        (header("x", "v_pred", "ztsnr"), "v", True, "the key 'v_pred'"),
        (header("x", "ztsnr"), "v", True, "the key 'ztsnr'"),
        (header("x", prediction_type="v"), "v", None, "modelspec.prediction_type"),
        (header("x", prediction_type="epsilon"), "epsilon", None, "modelspec.prediction_type"),
        (header("x", architecture="stable-diffusion-v2-768-v"), "v", None, "modelspec.architecture"),
        (header("x", architecture="stable-diffusion-xl-v1-base"), None, None, ""),
        (header("x", "v_pred", prediction_type="epsilon"), "v", None, "the key 'v_pred'"),
    ],
)
def test_a_file_says_what_it_predicts_by_its_keys_and_then_by_its_notes(
    said: Header, prediction: str | None, zero_terminal: bool | None, by: str
) -> None:
    told = said_in_file(said)
    assert (told.prediction, told.zero_terminal) == (prediction, zero_terminal)
    assert told.prediction_by.startswith(by)


def test_a_folder_says_it_in_its_scheduler() -> None:
    assert said_in_scheduler({}).prediction is None
    told = said_in_scheduler({"prediction_type": "v_prediction", "rescale_betas_zero_snr": True})
    assert (told.prediction, told.zero_terminal) == ("v", True)
    with pytest.raises(CheckpointError, match=r"prediction_type = 'sample'\. Known: epsilon, v_prediction"):
        said_in_scheduler({"prediction_type": "sample"})


def test_where_nobody_says_anything_it_is_epsilon_and_a_recipe_may_say_more() -> None:
    silent = Statement()
    assert settled(silent, BaseConfig()) == ("epsilon", False)
    assert settled(silent, BaseConfig(prediction="v")) == ("v", False)
    assert settled(silent, BaseConfig(prediction="v", zero_terminal=True)) == ("v", True)
    assert settled(Statement("v", True), BaseConfig(prediction="v", zero_terminal=True)) == ("v", True)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"prediction": "epsilon"}, r"base\.prediction = 'epsilon', but the base says otherwise: the key 'v_pred'"),
        ({"zero_terminal": False}, r"base\.zero_terminal = false, but the base says otherwise: the key 'ztsnr'"),
    ],
)
def test_a_recipe_that_contradicts_the_base_is_refused_with_both(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        settled(said_in_file(header("v_pred", "ztsnr")), BaseConfig(**asked))


def test_epsilon_cannot_be_predicted_on_a_zero_terminal_schedule() -> None:
    with pytest.raises(RecipeError, match=r"base\.zero_terminal = true needs a base that predicts v"):
        settled(Statement(), BaseConfig(zero_terminal=True))


def test_a_folder_that_says_nothing_takes_the_recipe_s_word_and_is_another_base_by_it(tmp_path: Path) -> None:
    folder = tiny_sd15(tmp_path)
    table = folder / "scheduler" / "scheduler_config.json"
    scheduler = json.loads(table.read_text())
    del scheduler["prediction_type"]
    table.write_text(json.dumps(scheduler))
    silent, told = (load_model(folder, config=config) for config in (None, BaseConfig(prediction="v")))
    zero = load_model(folder, config=BaseConfig(prediction="v", zero_terminal=True))
    assert [model.schedule.prediction for model in (silent, told, zero)] == ["epsilon", "v", "v"]
    assert zero.schedule.snr(torch.tensor([999])).item() == 0 < told.schedule.snr(torch.tensor([999])).item()
    assert len({model.fingerprint for model in (silent, told, zero)}) == 3
    assert zero.schedule.config["prediction_type"] == "v_prediction"


# -- the probe ---------------------------------------------------------------------------------------------------------


class Perfect:
    """A base that knows the pictures, and answers with all but `missed` of what it predicts."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self, clean: torch.Tensor, predicts: str, *, taken_for: str, missed: float = 0.0) -> None:
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        abar = torch.cumprod(1 - betas, 0)
        self.schedule = Schedule(abar, cast("Any", taken_for))
        self.clean, self.true, self.missed = clean, Schedule(abar, cast("Any", predicts)), missed
        self.asked: list[torch.Tensor] = []

    def predict(self, noisy: torch.Tensor, t: torch.Tensor, told: Conditioning, sizes: torch.Tensor) -> torch.Tensor:
        self.asked.append(noisy)
        abar = self.true.abar_T[t].view(-1, 1, 1, 1)
        noise = (noisy - abar.sqrt() * self.clean) / (1 - abar).sqrt()
        return (1 - self.missed) * self.true.target(self.clean, noise, t)


CLEAN = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(2))
NOTHING = Conditioning(torch.zeros(6, 77, 4))


def asked(predicts: str, *, taken_for: str = "epsilon", missed: float = 0.0) -> Verdict:
    base = Perfect(CLEAN, predicts, taken_for=taken_for, missed=missed)
    return probe(cast("Any", base), CLEAN, NOTHING)


@pytest.mark.parametrize("taken_for", ["epsilon", "v"])
@pytest.mark.parametrize("missed", [0.0, 0.6])
@pytest.mark.parametrize("predicts", ["epsilon", "v"])
def test_what_a_base_predicts_is_seen_whatever_it_is_taken_for(predicts: str, missed: float, taken_for: str) -> None:
    verdict = asked(predicts, taken_for=taken_for, missed=missed)
    assert (verdict.seen, verdict.prediction, verdict.zero_terminal) == (predicts, taken_for, False)
    right, wrong = sorted((verdict.epsilon_error, verdict.v_error))
    assert right == pytest.approx(missed**2, abs=1e-3)
    assert wrong > right + 0.3


def test_two_passes_are_enough_and_their_noise_is_always_the_same() -> None:
    bases = [Perfect(CLEAN, "v", taken_for="v") for _ in range(2)]
    first, again = (probe(cast("Any", base), CLEAN, NOTHING) for base in bases)
    assert first == again
    assert len(bases[0].asked) == 2
    assert all(torch.equal(*pair) for pair in zip(bases[0].asked, bases[1].asked, strict=True))


@pytest.mark.parametrize(("predicts", "taken_for"), [("epsilon", "v"), ("v", "epsilon")])
def test_a_mismatch_is_refused_with_both_figures(predicts: str, taken_for: str) -> None:
    refuse_mismatch(asked(predicts, taken_for=predicts))
    wanted = rf"taken to predict {taken_for}, but the base predicts {predicts} .* \d\.\d\d against the noise and "
    with pytest.raises(CheckpointError, match=wanted + rf"\d\.\d\d .*Set base\.prediction = '{predicts}'"):
        refuse_mismatch(asked(predicts, taken_for=taken_for))


def test_of_a_base_that_answers_nothing_nothing_is_told_and_nothing_refused(tmp_path: Path) -> None:
    assert asked("v", missed=1.0).seen is None
    untrained = load_model(tiny_sd15(tmp_path), device="cpu", dtype="float32")
    with torch.no_grad():
        verdict = probe(untrained, CLEAN, untrained.encode_prompts(["fox"] * 6))
    assert verdict.seen is None
    assert "cannot be told" in verdict.words
    refuse_mismatch(verdict)


@pytest.fixture(scope="module")
def maquette() -> DiffusionModel:
    return load_model(MAQUETTE, device="cpu", dtype="float32")


def drawings(model: DiffusionModel) -> tuple[torch.Tensor, Conditioning]:
    """Latents of eight drawings of the maquette's world, and what the base is told of them."""
    drawn = stream(6, "probe")
    scenes = [(random_identity(drawn), random_scene(drawn)) for _ in range(8)]
    pixels = torch.from_numpy(numpy.stack([draw(*scene) for scene in scenes])).permute(0, 3, 1, 2) / 127.5 - 1
    tags = [["1girl", *trait_tags(who.traits), *scene_tags(scene)] for who, scene in scenes]
    with torch.no_grad():
        return model.encode_images(pixels), model.encode_prompts([", ".join(some) for some in tags])


def test_the_embedded_base_predicts_v_by_its_own_answers_whatever_it_is_taken_for(
    maquette: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents, told = drawings(maquette)
    verdict = probe(maquette, latents, told)
    assert (verdict.prediction, verdict.seen) == ("v", "v")
    assert verdict.v_error < 0.5
    assert verdict.epsilon_error > 2 * verdict.v_error
    own = cast("Any", maquette.schedule)
    monkeypatch.setattr(maquette, "schedule", Schedule(own.abar_T, "epsilon"))
    with pytest.raises(CheckpointError, match="taken to predict epsilon, but the base predicts v"):
        refuse_mismatch(probe(maquette, latents, told))


def test_training_starts_with_the_verdict_of_what_is_in_memory(tmp_path: Path) -> None:
    model = load_model(tiny_sd15(tmp_path / "base"), device="cpu", dtype="float32")
    data = load_data(tiny_cache(tmp_path, model, EncodeConfig(variants=2)), model)
    verdict = checked_prediction(model, data)
    assert (verdict.prediction, verdict.seen) == ("epsilon", None)
    assert replace(verdict, seen="epsilon").words.startswith("the base predicts epsilon by its own answers")
