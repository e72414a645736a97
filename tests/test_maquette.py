"""The embedded weights: what they are, and that they hold together."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from likeness.diffusion import load_model
from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.sampling import sample
from likeness.maquette.draw import draw
from likeness.maquette.world import (
    Identity,
    Scene,
    character,
    random_identity,
    random_scene,
    scene_tags,
    trait_tags,
    vocabulary,
)
from likeness.seeds import stream

MAQUETTE = Path(str(files("likeness.maquette")))


@pytest.fixture(scope="module")
def base() -> DiffusionModel:
    return load_model(MAQUETTE / "base", device="cpu", dtype="float32")


def test_all_weights_together_are_under_25_megabytes():
    parts = [path for folder in ("base", "reader") for path in (MAQUETTE / folder).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in parts) < 25_000_000
    assert {path.suffix for path in parts} <= {".safetensors", ".onnx", ".json", ".txt"}


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_every_tensor_is_half_precision_safetensors(part: str):
    (file,) = (MAQUETTE / "base" / part).glob("*.safetensors")
    tensors = read_header(file).tensors
    assert {tensor.dtype for tensor in tensors.values()} <= {"F16", "I64"}


@pytest.mark.versions
def test_every_word_of_the_world_is_one_token(base: DiffusionModel):
    tokenizer = base.parts.wordings[0].tokenizer  # pyright: ignore[reportAttributeAccessIssue]
    words = [word for word in vocabulary() if word.isalpha()]
    assert len(words) > 90
    assert [word for word in words if len(tokenizer(word, add_special_tokens=False).input_ids) != 1] == []


def test_the_longest_prompt_fits_one_window(base: DiffusionModel):
    rng = stream(5, "prompts")
    identities = (random_identity(rng) for _ in range(300))
    prompts = [", ".join(["trigger", who.class_words, *trait_tags(who.traits)]) for who in identities]
    assert {base.count_chunks(prompt) for prompt in prompts} == {1}


def test_the_autoencoder_keeps_a_drawing(base: DiffusionModel):
    rng = stream(6, "drawings")
    pictures = np.stack([draw(random_identity(rng), random_scene(rng)) for _ in range(20)])
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    decoded = base.decode_latents(base.encode_images(pixels)).clamp(-1, 1)
    psnr = -10 * torch.log10(((decoded - pixels) / 2).square().mean((1, 2, 3)))
    assert psnr.mean() > 27.5  # 28 over a thousand drawings, as benchmarks/maquette_quality.py measures it


def test_the_base_draws_the_background_that_it_is_asked_for(base: DiffusionModel):
    """Night is dark and blue, white is white: the least that a base with a prompt must do."""
    scenes = [Scene(background=name) for name in ("night", "white", "sunset", "meadow")]
    prompts = [", ".join(["1girl", *scene_tags(scene)]) for scene in scenes]
    pictures = sample(base, prompts, seeds=[1, 2, 3, 4], steps=8, guidance=4.0, width=64, height=64)
    for scene, picture in zip(scenes, pictures, strict=True):
        truth = draw(_anyone(), scene)
        corner, expected = picture[2:8, 2:8].mean((0, 1)), truth[2:8, 2:8].mean((0, 1))
        assert np.abs(corner - expected).max() < 40, scene.background


def _anyone() -> Identity:
    return character(0)
