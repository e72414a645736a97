"""Merging into a base: folder or single file, of every family, changes weights as the adapter changes answers."""

import json
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import tiny_base
from tiny_files import single_file
from torch import Tensor, nn

from likeness.diffusion import load_model
from likeness.diffusion.adapter import attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.files.conversion import LoraFile, read_lora
from likeness.diffusion.files.lora_files import adapter_from, load_lora, save_lora
from likeness.diffusion.files.merging import merge_into
from likeness.diffusion.files.metadata import LoraMetadata
from likeness.diffusion.layers import PLANS
from likeness.errors import CheckpointError

ABOUT = LoraMetadata(title="Mira", base_name="tiny", prediction="epsilon", resolution=(64, 64))
VERSIONS = {"sd15": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}
UNET = ("*_attn2_to_k", "*_resnets_*_conv*", "*_in_layers_2", "*_op", "*_proj_in")
ADAPTED = (*UNET, "lora_te*_0_self_attn_*", "lora_te*_1_mlp_fc1")


def trained_file(
    path: Path, targets: Mapping[str, nn.Module], family: str, variant: str = "lora", seed: int = 5
) -> Path:
    """A file of many kinds of layers, as if trained, in float32."""
    patterns = [one for one in ADAPTED if any(fnmatchcase(name, one) for name in targets)]
    adapter = attach(targets, [BlockSet(pattern, 2, 1.0) for pattern in patterns], variant=variant)
    adapter.detach()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.05)
    save_lora(path, adapter, metadata=replace(ABOUT, base_version=VERSIONS[family]), dtype=torch.float32)
    return path


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: tiny_base(tmp_path_factory.mktemp("bases") / family, family) for family in PLANS}


@pytest.fixture(scope="module")
def models(bases: dict[str, Path]) -> dict[str, Any]:
    return {family: load_model(folder, device="cpu") for family, folder in bases.items()}


def answer(model: Any) -> Tensor:
    """What the base says to a fixed question, of its text encoders too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        conditioning = model.encode_prompts(["a blue fox"])
        return model.predict(torch.randn(1, 4, 8, 8, generator=generator), torch.tensor([500]), conditioning)


@pytest.mark.parametrize("variant", ["lora", "dora", "loha", "lokr"])
@pytest.mark.parametrize("family", PLANS)
def test_a_merged_folder_answers_as_the_base_with_the_adapter(
    tmp_path: Path, bases: dict[str, Path], models: dict[str, Any], family: str, variant: str
):
    model = models[family]
    file = trained_file(tmp_path / "x.safetensors", model.adapter_targets(), family, variant)
    adapter = adapter_from(load_lora(file), model.adapter_targets(), weight=0.7)
    expected = answer(model)
    adapter.detach()
    before = answer(model)
    merged = merge_into(bases[family], [(read_lora(file), 0.7)], tmp_path / "merged")
    assert merged.layers == len(adapter.layers) >= merged.tensors > 20
    found = answer(load_model(tmp_path / "merged", device="cpu"))
    assert (expected - before).abs().max() > 1e-3
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("family", PLANS)
def test_a_single_file_gets_the_same_weights_as_the_folder(
    tmp_path: Path, bases: dict[str, Path], models: dict[str, Any], family: str
):
    file = read_lora(trained_file(tmp_path / "x.safetensors", models[family].adapter_targets(), family))
    folder, whole = tmp_path / "folder", single_file(bases[family], tmp_path / "base.safetensors", family)
    merge_into(bases[family], [(file, 1.0)], folder)
    expected = load_file(single_file(folder, tmp_path / "expected.safetensors", family))
    done = merge_into(whole, [(file, 1.0)], tmp_path / "merged.safetensors")
    found, before = load_file(tmp_path / "merged.safetensors"), load_file(whole)
    assert found.keys() == before.keys()
    changed = {name for name, tensor in found.items() if not torch.equal(tensor, before[name])}
    assert len(changed) == done.tensors
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-5, msg=name)


def test_what_is_not_merged_stays_bit_for_bit(tmp_path: Path, bases: dict[str, Path], models: dict[str, Any]):
    file = read_lora(trained_file(tmp_path / "x.safetensors", models["sd15"].adapter_targets(), "sd15"))
    (bases["sd15"] / "unet" / "old.bin").write_bytes(b"a pickle")
    merge_into(bases["sd15"], [(file, 0.0)], tmp_path / "same")
    (bases["sd15"] / "unet" / "old.bin").unlink()
    for path in bases["sd15"].rglob("*"):
        twin = tmp_path / "same" / path.relative_to(bases["sd15"])
        if path.is_file():
            assert twin.read_bytes() == path.read_bytes() or path.suffix == ".safetensors", path
    assert not (tmp_path / "same" / "unet" / "old.bin").exists()
    for part in ("unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"):
        old, new = load_file(bases["sd15"] / part), load_file(tmp_path / "same" / part)
        assert all(torch.equal(new[name], tensor) for name, tensor in old.items())


def test_precision_and_notes_stay_and_hashes_of_what_it_was_go(
    tmp_path: Path, bases: dict[str, Path], models: dict[str, Any]
):
    file = read_lora(trained_file(tmp_path / "x.safetensors", models["sd15"].adapter_targets(), "sd15"))
    notes = {"modelspec.title": "Tiny", "modelspec.hash_sha256": "0xab", "own": "kept"}
    whole = single_file(bases["sd15"], tmp_path / "base.safetensors", "sd15")
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in load_file(whole).items()}
    save_file(half, tmp_path / "half.safetensors", metadata=notes)
    merge_into(tmp_path / "half.safetensors", [(file, 1.0), (file, 0.5)], tmp_path / "merged.safetensors")
    with safe_open(tmp_path / "merged.safetensors", framework="pt") as opened:
        assert opened.metadata() == {
            "modelspec.title": "Tiny",
            "own": "kept",
            "modelspec.merged_from": "Tiny, Mira, Mira",
        }
    found = load_file(tmp_path / "merged.safetensors")
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        name: tensor.dtype for name, tensor in half.items()
    }


def test_two_adapters_merge_as_they_add_up(tmp_path: Path, bases: dict[str, Path], models: dict[str, Any]):
    model = models["sd15"]
    files = [
        trained_file(tmp_path / f"{seed}.safetensors", model.adapter_targets(), "sd15", seed=seed) for seed in (1, 2)
    ]
    adapters = [
        adapter_from(load_lora(file), model.adapter_targets(), weight=w)
        for file, w in zip(files, (0.5, -0.3), strict=True)
    ]
    expected = answer(model)
    for adapter in adapters:
        adapter.detach()
    merge_into(
        bases["sd15"], [(read_lora(file), w) for file, w in zip(files, (0.5, -0.3), strict=True)], tmp_path / "merged"
    )
    found = answer(load_model(tmp_path / "merged", device="cpu"))
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3)


def test_a_file_for_another_base_is_refused_and_nothing_is_left(
    tmp_path: Path, bases: dict[str, Path], models: dict[str, Any]
):
    file = read_lora(trained_file(tmp_path / "x.safetensors", models["sdxl"].adapter_targets(), "sdxl"))
    with pytest.raises(CheckpointError, match=r"does not have: it is for another base"):
        merge_into(bases["sd15"], [(file, 1.0)], tmp_path / "merged")
    narrow = {
        name: tensor[:, :3] if "lora_down" in name else tensor
        for name, tensor in read_lora(tmp_path / "x.safetensors").tensors.items()
    }
    with pytest.raises(CheckpointError, match="does not fit"):
        merge_into(bases["sdxl"], [(LoraFile(narrow, {}, "sdxl"), 1.0)], tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.safetensors"]


def test_weights_that_are_too_large_for_the_base_are_refused(
    tmp_path: Path, bases: dict[str, Path], models: dict[str, Any]
):
    file = read_lora(trained_file(tmp_path / "x.safetensors", models["sd15"].adapter_targets(), "sd15"))
    half = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in load_file(single_file(bases["sd15"], tmp_path / "b.safetensors", "sd15")).items()
    }
    save_file(half, tmp_path / "half.safetensors")
    with pytest.raises(CheckpointError, match=r"float16 cannot; nothing was written. Merge with a lower weight"):
        merge_into(tmp_path / "half.safetensors", [(file, 1e9)], tmp_path / "merged.safetensors")
    assert not list(tmp_path.glob("*merged*"))


def test_what_is_no_base_is_refused_and_what_is_there_is_not_written_over(
    tmp_path: Path, bases: dict[str, Path], models: dict[str, Any]
):
    path = trained_file(tmp_path / "x.safetensors", models["sd15"].adapter_targets(), "sd15")
    file = read_lora(path)
    with pytest.raises(CheckpointError, match="no whole base"):
        merge_into(path, [(file, 1.0)], tmp_path / "y.safetensors")
    with pytest.raises(CheckpointError, match="no unet"):
        merge_into(tmp_path, [(file, 1.0)], tmp_path / "y")
    with pytest.raises(CheckpointError, match="already there"):
        merge_into(bases["sd15"], [(file, 1.0)], path)


def test_a_bases_own_index_is_in_the_merged_folder(tmp_path: Path, bases: dict[str, Path], models: dict[str, Any]):
    file = read_lora(trained_file(tmp_path / "x.safetensors", models["sdxl"].adapter_targets(), "sdxl"))
    merge_into(bases["sdxl"], [(file, 1.0)], tmp_path / "merged")
    assert (
        json.loads((tmp_path / "merged" / "model_index.json").read_text())["_class_name"] == "StableDiffusionXLPipeline"
    )
