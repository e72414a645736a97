"""Sampling against diffusers' own pipeline, for a base and for a base with a LoRA file."""

import json
from pathlib import Path
from typing import Any, cast, get_args

import numpy
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from tiny import tiny_sd15

from likeness.diffusion import load_model
from likeness.diffusion.adapter import attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.files.lora_files import adapter_from, load_lora, save_lora
from likeness.diffusion.files.metadata import LoraMetadata
from likeness.diffusion.sampling import sample, samplers
from likeness.errors import RecipeError
from likeness.events import Event
from likeness.recipe import SampleConfig

PROMPTS, SEEDS = ["a blue fox", "big ears", "a fox, blue ears"], [11, 12, 13]
THEIRS: dict[str, tuple[Any, dict[str, Any]]] = {  # as diffusers' own page of schedulers pairs them with A1111's names
    "ddim": (DDIMScheduler, {}),
    "dpm++": (DPMSolverMultistepScheduler, {}),
    "dpm++-karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "euler": (EulerDiscreteScheduler, {}),
    "euler-a": (EulerAncestralDiscreteScheduler, {}),
}
HOW: dict[str, Any] = {"steps": 4, "guidance": 3.0, "width": 32, "height": 32}


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp(request.param), prediction=request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> DiffusionModel:
    return load_model(folder)


def drawn_by_diffusers(folder: Path, sampler: str = "ddim", lora: Path | None = None, **options: Any) -> list[Any]:
    """The pictures of diffusers' pipeline for the same prompts, seeds and settings."""
    pipeline = cast("Any", StableDiffusionPipeline.from_pretrained(folder, local_files_only=True))
    pipeline.set_progress_bar_config(disable=True)
    kind, own = THEIRS[sampler]
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **own)
    if lora is not None:
        pipeline.load_lora_weights(str(lora.parent), weight_name=lora.name)
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    asked = {
        "num_inference_steps": HOW["steps"],
        "guidance_scale": HOW["guidance"],
        "width": 32,
        "height": 32,
    } | options
    drawn = pipeline(PROMPTS, generator=generators, output_type="np", **asked).images
    return [(picture * 255).round().astype("uint8") for picture in drawn]


def furthest(ours: list[Any], theirs: list[Any]) -> int:
    """The largest difference of one channel of one pixel."""
    return max(int(numpy.abs(a.astype(int) - b.astype(int)).max()) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parity
@pytest.mark.parametrize("sampler", samplers)
def test_our_picture_is_the_pipelines(folder: Path, model: DiffusionModel, sampler: str) -> None:
    ours = sample(model, PROMPTS, seeds=SEEDS, sampler=sampler, **HOW)
    assert all(picture.shape == (32, 32, 3) and picture.dtype == numpy.uint8 for picture in ours)
    assert furthest(ours, drawn_by_diffusers(folder, sampler)) <= 1


def test_every_sampler_of_the_recipe_is_known() -> None:
    assert set(get_args(SampleConfig.model_fields["sampler"].annotation)) == samplers.keys() == THEIRS.keys()


@pytest.mark.parity
def test_a_negative_prompt_and_an_oblong_picture_are_the_pipelines(folder: Path, model: DiffusionModel) -> None:
    asked = HOW | {"width": 48, "guidance": 6.0}
    ours = sample(model, PROMPTS, seeds=SEEDS, negative="big ears", **asked)
    theirs = drawn_by_diffusers(folder, width=48, guidance_scale=6.0, negative_prompt=["big ears"] * 3)
    assert ours[0].shape == (32, 48, 3)
    assert furthest(ours, theirs) <= 1


@pytest.mark.parity
@pytest.mark.parametrize("blocks", ["attention", "all"])
def test_diffusers_draws_our_picture_from_our_file(
    folder: Path, model: DiffusionModel, tmp_path: Path, blocks: str
) -> None:
    base = sample(model, PROMPTS, seeds=SEEDS, **HOW)
    sets = [BlockSet(blocks, 4, 2.0)] + ([BlockSet("lora_unet_mid_block_*attn*", 8, 6.0)] if blocks == "all" else [])
    adapter = attach(model.adapter_targets(), sets)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    about = LoraMetadata(title="x", base_name="tiny", prediction=model.schedule.prediction, resolution=(32, 32))
    save_lora(tmp_path / "mira.safetensors", adapter, metadata=about)
    adapter.detach()
    adapter = adapter_from(load_lora(tmp_path / "mira.safetensors"), model.adapter_targets())
    ours = sample(model, PROMPTS, seeds=SEEDS, **HOW)
    assert furthest(ours, base) > 8
    assert furthest(ours, drawn_by_diffusers(folder, lora=tmp_path / "mira.safetensors")) <= 1
    adapter.detach()
    assert furthest(sample(model, PROMPTS, seeds=SEEDS, **HOW), base) == 0


def test_a_picture_is_the_same_in_any_batch(model: DiffusionModel) -> None:
    long = ", ".join(["fox"] * 60)
    prompts, seeds = [*PROMPTS, long], [*SEEDS, 14]
    together = sample(model, prompts, seeds=seeds, sampler="euler-a", **HOW)
    by_twos = sample(model, prompts[::-1], seeds=seeds[::-1], sampler="euler-a", batch=2, **HOW)[::-1]
    alone = [sample(model, [p], seeds=[s], sampler="euler-a", **HOW)[0] for p, s in zip(prompts, seeds, strict=True)]
    assert furthest(together, by_twos) <= 1
    assert furthest(together, alone) <= 1


def test_seed_prompt_and_guidance_each_make_another_picture(model: DiffusionModel) -> None:
    def one(prompt: str = "a blue fox", seed: int = 1, **options: Any) -> list[Any]:
        asked: dict[str, Any] = HOW | options
        return sample(model, [prompt], seeds=[seed], **asked)

    assert furthest(one(), one()) == 0
    assert furthest(one(), one(seed=2)) > 8
    assert furthest(one(guidance=30.0), one("big ears", guidance=30.0)) > 0
    assert furthest(one(guidance=30.0), one(guidance=1.0)) > 0


def test_without_guidance_the_denoiser_works_half_as_much(
    model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda noisy, *rest: rows.append(len(noisy)) or predict(noisy, *rest))
    unguided: dict[str, Any] = HOW | {"guidance": 1.0}
    sample(model, PROMPTS, seeds=SEEDS, **unguided)
    sample(model, PROMPTS, seeds=SEEDS, **HOW)
    assert rows == [3] * HOW["steps"] + [6] * HOW["steps"]


def test_a_zero_terminal_base_is_sampled_from_its_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_sd15(tmp_path, prediction="v_prediction")
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"rescale_betas_zero_snr": True}))
    model = load_model(folder)
    asked: list[int] = []
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda x, t, *rest: asked.append(int(t[0])) or predict(x, t, *rest))
    for sampler in ("ddim", "dpm++", "euler"):
        asked.clear()
        (picture,) = sample(model, ["fox"], seeds=[1], sampler=sampler, **HOW)
        assert asked[0] == 999
        assert picture.std() > 0


def test_each_batch_is_reported(model: DiffusionModel) -> None:
    events: list[Event] = []
    sample(model, PROMPTS, seeds=SEEDS, batch=2, report=events.append, **HOW)
    assert [(event.stage, event.done, event.total) for event in events] == [("sample", 2, 3), ("sample", 3, 3)]


def test_no_prompts_make_no_pictures(model: DiffusionModel) -> None:
    assert sample(model, [], seeds=[], **HOW) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sampler": "plms"}, r"sample\.sampler = 'plms'.*ddim"),
        ({"steps": 0}, r"sample\.steps = 0.*1 to 1000"),
        ({"steps": 1001}, r"sample\.steps = 1001"),
        ({"width": 30}, r"sample\.width = 30.*multiple of 4"),
        ({"height": 0}, r"sample\.height = 0"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(model: DiffusionModel, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        sample(model, PROMPTS, seeds=SEEDS, **(HOW | wrong))
