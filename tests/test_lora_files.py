"""Adapter files: what is written is what other tools read, and what others wrote is read or refused in words."""

import errno
import hashlib
import json
import os
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from tiny import tiny_unet
from torch import Tensor, nn

from likeness.diffusion.adapter import Adapter, attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.files.inspection import BlockSummary, inspect_file
from likeness.diffusion.files.lora_files import LoraFile, adapter_from, load_lora, save_lora
from likeness.diffusion.files.metadata import LoraMetadata
from likeness.errors import CheckpointError, WorkspaceError

ABOUT = LoraMetadata(
    title="Mira",
    base_name="maquette",
    prediction="v",
    resolution=(64, 48),
    base_sha256="ab" * 32,
    trigger="mira",
    tags=("fox", "blue hair"),
    implementation_version="0.1.0",
    tag_frequency={"mira": {"fox": 3, "smile": 1}},
    training={"steps": 300, "learning_rate": 1e-3, "datasets": [{"count": 40}]},
)


@pytest.fixture(scope="module")
def targets() -> dict[str, nn.Module]:
    unet = tiny_unet().requires_grad_(False)
    return {
        "lora_unet_" + path.replace(".", "_"): layer
        for path, layer in unet.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and (".attentions." in path or ".resnets." in path)
    }


Made = Callable[..., Adapter]


@pytest.fixture
def made(targets: dict[str, nn.Module]) -> Made:
    """An adapter with weights as if trained."""

    def build(*sets: BlockSet) -> Adapter:
        adapter = attach(targets, sets or [BlockSet("all", 4, 2.0), BlockSet("lora_unet_mid_block_*", 8, 3.0)])
        adapter.detach()
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in adapter.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
        return adapter

    return build


def opened(path: Path) -> tuple[bytes, bytes]:
    """The header's text and the tensors' bytes."""
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    return whole[8 : 8 + length], whole[8 + length :]


def test_what_is_saved_is_read_back_to_the_precision_of_the_file(tmp_path: Path, made: Made) -> None:
    adapter = made(BlockSet("all", 4, 2.0), BlockSet("lora_unet_mid_block_*", 8, 2.0))
    save_lora(tmp_path / "mira.safetensors", adapter, metadata=ABOUT)
    lora = load_lora(tmp_path / "mira.safetensors")
    assert lora.tensors.keys() == adapter.state_dict().keys()
    for name, tensor in adapter.state_dict().items():
        assert lora.tensors[name].dtype == (torch.float32 if name.endswith("alpha") else torch.float16)
        torch.testing.assert_close(lora.tensors[name].float(), tensor, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_file_acts_on_the_base_as_the_adapter_did(
    tmp_path: Path, targets: dict[str, nn.Module], made: Made, dtype: torch.dtype
) -> None:
    adapter, path = made(), tmp_path / "mira.safetensors"
    save_lora(path, adapter, metadata=ABOUT, dtype=dtype)
    again = adapter_from(load_lora(path), targets, weight=0.5)
    again.detach()
    assert again.weight == 0.5
    tolerance = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 1e-6}[dtype]
    for name, layer in adapter.layers.items():
        change, other = layer.delta_weight(), again.layers[name].delta_weight()
        assert (change - other).abs().max() <= tolerance * change.abs().max()


@pytest.mark.parity
def test_diffusers_converts_every_key_of_a_file(tmp_path: Path, made: Made) -> None:
    adapter = made()
    save_lora(tmp_path / "mira.safetensors", adapter, metadata=ABOUT)
    read: Any = StableDiffusionLoraLoaderMixin.lora_state_dict(str(tmp_path), weight_name="mira.safetensors")
    tensors, alphas = read
    assert len(tensors) == 2 * len(adapter.layers)
    assert len(alphas) == len(adapter.layers)
    assert set(alphas.values()) == {2.0}  # one alpha: it loses those that differ, where the layer is of attention


def test_the_metadata_are_those_that_other_tools_read(tmp_path: Path, made: Made) -> None:
    save_lora(tmp_path / "mira.safetensors", made(), metadata=ABOUT)
    with safe_open(tmp_path / "mira.safetensors", framework="pt") as file:
        notes = file.metadata()
    text, tail = opened(tmp_path / "mira.safetensors")
    digest = hashlib.sha256(tail).hexdigest()
    expected = {
        "ss_output_name": "mira",
        "ss_base_model_version": "sd_v1",
        "ss_v2": "False",
        "ss_sd_model_name": "maquette",
        "ss_new_sd_model_hash": "ab" * 32,
        "ss_network_module": "networks.lora",
        "ss_network_dim": "4",
        "ss_network_alpha": "2",
        "ss_network_args": '{"conv_dim": "4", "conv_alpha": "2"}',
        "ss_resolution": "(64, 48)",
        "ss_steps": "300",
        "ss_learning_rate": "0.001",
        "ss_datasets": '[{"count": 40}]',
        "sshs_model_hash": digest,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.implementation_version": "likeness/0.1.0",
        "modelspec.title": "Mira",
        "modelspec.resolution": "64x48",
        "modelspec.prediction_type": "v",
        "modelspec.trigger_phrase": "mira",
        "modelspec.tags": "fox, blue hair",
        "modelspec.hash_sha256": "0x" + digest,
    }
    assert {name: notes.get(name) for name in expected} == expected
    assert json.loads(notes["ss_tag_frequency"]) == {"mira": {"fox": 3, "smile": 1}}
    assert not any(value == "" for value in notes.values())
    assert text.startswith(b'{"')
    assert len(text) % 8 == 0


def test_equal_runs_write_equal_files(tmp_path: Path, made: Made) -> None:
    written = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        save_lora(tmp_path / folder / "mira.safetensors", made(), metadata=ABOUT)
        written.append((tmp_path / folder / "mira.safetensors").read_bytes())
    assert written[0] == written[1]


def test_the_tensors_hash_outlives_an_edit_of_the_metadata_and_the_files_does_not(tmp_path: Path, made: Made) -> None:
    reports = []
    for title in ("Mira", "Mira, again"):
        save_lora(tmp_path / "mira.safetensors", made(), metadata=replace(ABOUT, title=title))
        reports.append(inspect_file(tmp_path / "mira.safetensors"))
    assert reports[0].auto_v3 == reports[1].auto_v3 == reports[0].metadata["sshs_model_hash"][:12]
    assert reports[0].auto_v2 != reports[1].auto_v2
    assert reports[1].sha256 == hashlib.sha256((tmp_path / "mira.safetensors").read_bytes()).hexdigest()


def test_the_hash_of_older_tools_is_that_of_a_file_with_kohyas_notes_alone(tmp_path: Path) -> None:
    path, generator = tmp_path / "x.safetensors", torch.Generator().manual_seed(1)
    tensors = {
        "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.randn(8, 40_000, generator=generator),
        "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight": torch.randn(40_000, 8, generator=generator),
        "lora_unet_mid_block_attentions_0_proj_in.alpha": torch.tensor(8.0),
    }
    save_lora(path, tensors, metadata=ABOUT)
    notes = inspect_file(path).metadata
    bare = save(load_file(path), {name: value for name, value in notes.items() if name.startswith("ss_")})
    assert notes["sshs_legacy_hash"] == hashlib.sha256(bare[0x100000:0x110000]).hexdigest()[:8]


def test_a_file_too_short_for_the_hash_of_older_tools_has_none(tmp_path: Path, made: Made) -> None:
    save_lora(tmp_path / "mira.safetensors", made(), metadata=ABOUT)
    notes = inspect_file(tmp_path / "mira.safetensors").metadata
    assert "sshs_legacy_hash" not in notes, "e3b0c442, the hash of nothing"


def test_inspect_tells_ranks_and_alphas_by_block(tmp_path: Path, made: Made) -> None:
    save_lora(
        tmp_path / "mira.safetensors",
        made(BlockSet("upper", 4, 2.0), BlockSet("lora_unet_mid_block_*", 8)),
        metadata=ABOUT,
    )
    report = inspect_file(tmp_path / "mira.safetensors")
    assert report.kind == "LoRA"
    assert report.blocks == (
        BlockSummary("mid_block", 18, (8,), (2.0,)),
        BlockSummary("up_blocks.1", 16, (4,), (2.0,)),
        BlockSummary("up_blocks.2", 16, (4,), (2.0,)),
    )
    assert report.dtypes == {"F32": 50, "F16": 100}


def test_inspect_reads_files_by_others_and_files_that_are_no_lora(tmp_path: Path) -> None:
    peft = {"unet.down_blocks.0.attentions.0.to_q.lora_A.weight": torch.zeros(6, 8)}
    sdxl = {"lora_unet_input_blocks_4_1_proj_in.lora_down.weight": torch.zeros(5, 8)}
    text = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.zeros(3, 8)}
    save_file(peft | sdxl | text, tmp_path / "x.safetensors")
    assert [(block.block, block.ranks) for block in inspect_file(tmp_path / "x.safetensors").blocks] == [
        ("down_blocks.0", (6,)),
        ("input_blocks.4", (5,)),
        ("text encoder", (3,)),
    ]
    tiny_unet().save_pretrained(tmp_path / "unet")
    report = inspect_file(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    assert (report.kind, report.blocks) == ("denoiser", ())
    assert report.parameters == sum(parameter.numel() for parameter in tiny_unet().parameters())


@pytest.mark.parametrize(("value", "dtype"), [(7e4, torch.float16), (float("nan"), torch.float32)])
def test_a_weight_that_the_file_cannot_hold_is_refused_and_nothing_is_written(
    tmp_path: Path, made: Made, value: float, dtype: torch.dtype
) -> None:
    adapter = made()
    name, parameter = next(iter(adapter.named_parameters()))
    with torch.no_grad():
        parameter.view(-1)[3] = value
    with pytest.raises(CheckpointError, match=name):
        save_lora(tmp_path / "mira.safetensors", adapter, metadata=ABOUT, dtype=dtype)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_file_that_was_there(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_lora(tmp_path / "mira.safetensors", made(), metadata=ABOUT)
    before = (tmp_path / "mira.safetensors").read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkspaceError, match="disk is full"):
        save_lora(tmp_path / "mira.safetensors", made(BlockSet("upper", 2)), metadata=ABOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["mira.safetensors"]
    assert (tmp_path / "mira.safetensors").read_bytes() == before


def test_a_header_that_tools_would_not_read_is_refused(tmp_path: Path, made: Made) -> None:
    about = replace(ABOUT, tag_frequency={"mira": {f"a tag of some length, number {n}": 1 for n in range(30_000)}})
    with pytest.raises(CheckpointError, match=r"header of 1,\d{3},\d{3} bytes"):
        save_lora(tmp_path / "mira.safetensors", made(), metadata=about)
    assert not list(tmp_path.iterdir())


def saved(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def test_a_file_by_others_without_alphas_has_strength_one(
    tmp_path: Path, targets: dict[str, nn.Module], made: Made
) -> None:
    tensors = {name: tensor for name, tensor in made().state_dict().items() if not name.endswith("alpha")}
    adapter = adapter_from(load_lora(saved(tmp_path / "x.safetensors", tensors)), targets)
    adapter.detach()
    assert {layer.scale for layer in adapter.layers.values()} == {1.0}


def test_a_file_by_others_in_half_precision_with_its_own_alphas_is_read(
    tmp_path: Path, targets: dict[str, nn.Module], made: Made
) -> None:
    tensors = {name: tensor.half() for name, tensor in made().state_dict().items()}
    adapter = adapter_from(load_lora(saved(tmp_path / "x.safetensors", tensors)), targets)
    adapter.detach()
    assert {(layer.rank, layer.scale) for layer in adapter.layers.values()} == {(4, 0.5), (8, 0.375)}


LAYER = "lora_unet_mid_block_attentions_0_proj_in"
STRANGERS = {
    f"{LAYER}.oft_blocks": "an OFT",
    f"{LAYER}.on_input": "an IA3",
    f"{LAYER}.a1.weight": "a GLoRA",
    "unet.mid_block.attentions.0.proj_in.lora_A.weight": "one layer twice",
    "lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": "Flux",
    "down_blocks.0.resnets.0.conv1.weight": r"not a LoRA|kohya-ss",
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_name_that_is_not_read_is_refused_by_name(tmp_path: Path, made: Made, stranger: str) -> None:
    tensors = dict(made().state_dict()) | {stranger: torch.zeros(4, 4)}
    with pytest.raises(CheckpointError, match=STRANGERS[stranger]) as refused:
        load_lora(saved(tmp_path / "x.safetensors", tensors))
    assert stranger in str(refused.value)


@pytest.mark.parametrize("change", ["no up", "other rank", "two kinds", "long alpha"])
def test_halves_that_do_not_belong_together_are_refused(tmp_path: Path, made: Made, change: str) -> None:
    tensors = dict(made().state_dict())
    if change == "no up":
        del tensors[f"{LAYER}.lora_up.weight"]
    elif change == "other rank":
        tensors[f"{LAYER}.lora_up.weight"] = torch.zeros(32, 5, 1, 1)
    elif change == "two kinds":
        tensors[f"{LAYER}.hada_w1_a"] = torch.zeros(8, 2)
    else:
        tensors[f"{LAYER}.alpha"] = torch.zeros(2)
    with pytest.raises(CheckpointError, match=LAYER):
        load_lora(saved(tmp_path / "x.safetensors", tensors))


def test_a_lora_for_another_base_is_refused_by_layer(targets: dict[str, nn.Module], made: Made) -> None:
    tensors = dict(made().state_dict())
    elsewhere = {name.replace("mid_block", "mid_block_9"): tensor for name, tensor in tensors.items()}
    with pytest.raises(CheckpointError, match=r"mid_block_9.*does not have"):
        adapter_from(LoraFile(elsewhere, {}), targets)
    wider = tensors | {f"{LAYER}.lora_down.weight": torch.zeros(8, 64, 1, 1)}
    with pytest.raises(CheckpointError, match=f"{LAYER}.*does not fit this base"):
        adapter_from(LoraFile(wider, {}), targets)
    assert not any(layer._forward_hooks for layer in targets.values())


def test_a_file_that_is_no_safetensors_stays_closed(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(2)}, tmp_path / "mira.safetensors")
    for read in (load_lora, inspect_file):
        with pytest.raises(CheckpointError, match="is a pickle"):
            read(tmp_path / "mira.safetensors")


def test_the_library_itself_reads_our_header(tmp_path: Path, made: Made) -> None:
    save_lora(tmp_path / "mira.safetensors", made(), metadata=ABOUT)
    assert load_file(tmp_path / "mira.safetensors").keys() == made().state_dict().keys()
