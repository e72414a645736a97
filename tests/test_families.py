"""Every family keeps the contract of likeness.diffusion.family, over a tiny folder of the real classes' making.

Shapes: B batch, C H W picture, D h w latent, L tokens, E width.
"""

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from tiny import tiny_sd15
from torch import nn

from likeness.diffusion import families, load_model
from likeness.diffusion.family import Conditioning, DiffusionModel
from likeness.diffusion.sd15 import StableDiffusion15
from likeness.errors import CheckpointError, RecipeError

BUILDERS: dict[str, Callable[[Path], Path]] = {"sd15": tiny_sd15}


@pytest.fixture(scope="module", params=BUILDERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return BUILDERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def model(folder: Path) -> DiffusionModel:
    return load_model(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> StableDiffusionPipeline:
    return StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)


def pictures(count: int, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(4)) * 2 - 1


def test_every_family_of_the_table_is_held_to_the_contract_here() -> None:
    addresses = [address.partition(":") for address in families.values()]
    assert {getattr(import_module(module), name).name for module, _, name in addresses} == BUILDERS.keys()


def test_a_base_is_frozen_and_on_one_device(model: DiffusionModel) -> None:
    for part in (model.denoiser, *model.text_encoders):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())
    assert (model.device.type, model.dtype, model.native_size) == ("cpu", torch.float32, (32, 32))


@pytest.mark.parity
def test_latents_are_the_scaled_posterior_of_the_vae(model: DiffusionModel, pipeline: StableDiffusionPipeline) -> None:
    vae = pipeline.vae
    mean, std = model.encode_posterior(pictures(2))
    side = 32 // model.pixels_per_latent
    assert mean.shape == std.shape == (2, model.latent_channels, side, side)
    with torch.no_grad():
        posterior = vae.encode(pictures(2)).latent_dist
    torch.testing.assert_close(mean, posterior.mean * 0.5)
    torch.testing.assert_close(std, posterior.std * 0.5)
    torch.testing.assert_close(model.encode_images(pictures(2)), mean)
    with torch.no_grad():
        torch.testing.assert_close(model.decode_latents(mean), vae.decode(posterior.mean).sample, atol=1e-5, rtol=1e-4)


@pytest.mark.parity
@pytest.mark.parametrize("prompt", ["", "a blue fox, big ears", "Blue  FOX"])
def test_a_prompt_that_fits_is_encoded_as_diffusers_does(
    model: DiffusionModel, pipeline: StableDiffusionPipeline, prompt: str
) -> None:
    theirs, _ = pipeline.encode_prompt(prompt, "cpu", 1, False)
    torch.testing.assert_close(model.encode_prompts([prompt]).tokens_BLE, theirs, atol=1e-5, rtol=1e-4)


def test_equal_prompts_are_encoded_equally_and_different_ones_are_not(model: DiffusionModel) -> None:
    once, again = (model.encode_prompts(["fox", "blue fox"]).tokens_BLE for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.allclose(once[0], once[1])


def test_a_long_prompt_takes_more_windows_and_nothing_of_it_is_lost(model: DiffusionModel) -> None:
    long = ", ".join(["fox"] * 40)  # 79 tokens
    assert (model.count_chunks("fox"), model.count_chunks(long), model.count_chunks("x " * 160)) == (1, 2, 3)
    tokens = model.encode_prompts([long]).tokens_BLE
    assert tokens.shape[1] == 2 * 77
    changed = model.encode_prompts([long[:-3] + "blue"]).tokens_BLE
    assert not torch.allclose(tokens[:, 77:], changed[:, 77:])
    torch.testing.assert_close(tokens[:, :77], changed[:, :77])


def test_a_long_prompt_is_broken_behind_a_comma(model: DiffusionModel) -> None:
    head = ", ".join(["fox"] * 36) + ","  # 72 tokens: three more would fit, but "blue ear fox fox" would be torn
    whole = model.encode_prompts([head + " blue ear fox fox"]).tokens_BLE
    parts = [model.encode_prompts([text]).tokens_BLE for text in (head, "blue ear fox fox")]
    torch.testing.assert_close(whole, torch.cat(parts, dim=1), atol=1e-5, rtol=1e-4)


def test_a_short_prompt_beside_a_long_one_gets_empty_windows(model: DiffusionModel) -> None:
    both = model.encode_prompts(["fox", "x " * 100]).tokens_BLE
    asked = model.encode_prompts(["fox"], chunks=2).tokens_BLE
    apart = [model.encode_prompts([text]).tokens_BLE for text in ("fox", "")]
    torch.testing.assert_close(both[:1], torch.cat(apart, dim=1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(asked, both[:1], atol=1e-5, rtol=1e-4)


@pytest.mark.parity
def test_the_denoisers_answer_is_diffusers(model: DiffusionModel, pipeline: StableDiffusionPipeline) -> None:
    told = model.encode_prompts(["fox", "blue ear"])
    noisy, t = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 800])
    with torch.no_grad():
        theirs = pipeline.unet(noisy, t, encoder_hidden_states=told.tokens_BLE).sample
    torch.testing.assert_close(model.predict(noisy, t, told), theirs)


def test_the_adapter_can_reach_every_layer_by_its_name_in_a_file(model: DiffusionModel) -> None:
    blocks = {
        "lora_unet_" + path.replace(".", "_"): layer
        for path, layer in model.denoiser.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and path.startswith(("down_blocks.", "mid_block.", "up_blocks."))
    }
    targets = model.adapter_targets()
    assert len(blocks) > 100
    assert {name: layer for name, layer in targets.items() if name.startswith("lora_unet_")} == blocks
    text = [layer for name, layer in targets.items() if name not in blocks]
    inside = [layer for encoder in model.text_encoders for layer in encoder.modules() if isinstance(layer, nn.Linear)]
    assert len(text) == len(inside) > 0
    assert {id(layer) for layer in text} == {id(layer) for layer in inside}


def test_gradients_reach_an_adapter_on_the_text_encoder(model: DiffusionModel) -> None:
    from likeness.diffusion.lora import BlockSet, attach

    adapter = attach(model.adapter_targets(), [BlockSet("lora_te_*", 2)])
    told = model.encode_prompts(["fox"])
    model.predict(torch.zeros(1, 4, 8, 8), torch.tensor([3]), told).sum().backward()
    adapter.detach()
    assert all(parameter.grad is not None for parameter in adapter.parameters())


def test_the_text_encoders_names_are_the_canonical_ones_whatever_transformers_calls_them(
    model: DiffusionModel,
) -> None:
    names = [name for name in model.adapter_targets() if name.startswith("lora_te_")]
    assert len(names) == 2 * 6
    assert names[0] == "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    assert names[-1] == "lora_te_text_model_encoder_layers_1_mlp_fc2"


def test_stable_diffusion_15_has_the_192_layers_that_kohya_names() -> None:
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)  # its other defaults are SD 1.x's
    named = StableDiffusion15.adapter_targets(Shell(unet))  # type: ignore[arg-type]
    transformer = [name for name in named if "_attentions_" in name]
    assert len(transformer) == 192
    golden = {
        "lora_unet_up_blocks_1_attentions_0_proj_in": (1280, 1280, 1, 1),
        "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k": (1280, 768),
        "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_ff_net_0_proj": (2560, 320),
        "lora_unet_up_blocks_3_attentions_2_transformer_blocks_0_attn1_to_out_0": (320, 320),
        "lora_unet_down_blocks_0_resnets_0_conv1": (320, 320, 3, 3),
    }
    assert {name: tuple(named[name].get_parameter("weight").shape) for name in golden} == golden


class Shell:
    """As much of a base as `adapter_targets` looks at."""

    def __init__(self, unet: nn.Module) -> None:
        encoder = nn.Module()
        encoder.add_module("encoder", nn.Module())
        encoder.get_submodule("encoder").add_module("layers", nn.ModuleList())
        self.denoiser, self.text_encoders = unet, (encoder,)


def test_the_fingerprint_is_of_what_decides_a_picture_and_of_nothing_else(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "elsewhere")
    whole = load_model(folder).fingerprint
    (copied / "README.md").write_text("a note")
    assert load_model(copied).fingerprint == whole
    scheduler = copied / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace('"epsilon"', '"v_prediction"'))
    assert load_model(copied).fingerprint != whole
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    scheduler.write_text(scheduler.read_text().replace('"v_prediction"', '"epsilon"'))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert load_model(copied).fingerprint != whole


def test_the_precision_is_the_denoisers_and_the_vae_stays_float32(folder: Path) -> None:
    model = load_model(folder, dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    assert model.encode_posterior(pictures(1))[0].dtype == torch.float32
    told = model.encode_prompts(["fox"])
    assert told.tokens_BLE.dtype == torch.bfloat16
    assert model.predict(torch.zeros(1, 4, 8, 8), torch.tensor([3]), told).dtype == torch.bfloat16


def test_weights_under_the_half_precision_name_are_read(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "half")
    for weights in list(copied.rglob("*.safetensors")):
        weights.rename(weights.with_suffix(".fp16.safetensors"))
    told = [load_model(path).encode_prompts(["fox"]).tokens_BLE for path in (folder, copied)]
    assert torch.equal(*told)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_folder_of_pickles_is_refused(folder: Path, tmp_path: Path, part: str) -> None:
    copied = shutil.copytree(folder, tmp_path / "copied")
    weights = next((copied / part).glob("*.safetensors"))
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(CheckpointError, match=r"\.bin is a pickle"):
        load_model(copied)


@pytest.mark.parametrize("missing", ["unet/config.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json"])
def test_a_folder_that_is_not_whole_is_refused_by_what_is_missing(folder: Path, tmp_path: Path, missing: str) -> None:
    copied = shutil.copytree(folder, tmp_path / "copied")
    (copied / missing).unlink()
    with pytest.raises(CheckpointError, match=f"{missing} is missing"):
        load_model(copied)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_that_lack_a_tensor_are_refused_and_never_made_up(folder: Path, tmp_path: Path, part: str) -> None:
    copied = shutil.copytree(folder, tmp_path / "copied")
    weights = next((copied / part).glob("*.safetensors"))
    tensors = load_file(weights)
    tensors.pop(max(tensors))
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks 1 tensor"):
        load_model(copied)


def test_weights_cut_short_are_refused(folder: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(folder, tmp_path / "copied")
    weights = copied / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="cut short"):
        load_model(copied)


def test_a_single_file_is_told_that_folders_are_read(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"single file \(denoiser\).*folder"):
        load_model(folder / "unet" / "diffusion_pytorch_model.safetensors")


def test_a_family_that_is_not_known_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(CheckpointError, match=r"'FluxPipeline'.*Known: StableDiffusionPipeline"):
        load_model(tmp_path)
    with pytest.raises(CheckpointError, match=r"no model_index\.json"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize(("field", "options"), [("device", {"device": "abacus"}), ("dtype", {"dtype": "int8"})])
def test_a_device_or_dtype_that_cannot_be_is_refused(folder: Path, field: str, options: dict[str, str]) -> None:
    with pytest.raises(RecipeError, match=rf"base\.{field} = "):
        load_model(folder, **options)


def test_conditioning_is_cut_joined_and_moved_row_by_row() -> None:
    tokens, pooled = torch.arange(12.0).view(3, 2, 2), torch.arange(6.0).view(3, 2)
    whole = Conditioning(tokens, pooled)
    joined = Conditioning.cat([whole[[2, 0]], whole[1:2]])
    assert len(joined) == 3
    assert torch.equal(joined.tokens_BLE, tokens[[2, 0, 1]])
    assert joined.pooled_BE is not None
    assert torch.equal(joined.pooled_BE, pooled[[2, 0, 1]])
    half = joined.to(dtype=torch.float16)
    assert half.pooled_BE is not None
    assert half.tokens_BLE.dtype == half.pooled_BE.dtype == torch.float16
    with pytest.raises(AssertionError, match="pooled"):
        Conditioning.cat([whole, Conditioning(tokens)])
