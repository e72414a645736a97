"""Opening a base: what is read, from where, in which precision, and what is refused by name."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import clip_tokenizer, tiny_base, tiny_sd15
from tiny_files import single_file, vae_tensors

from likeness.diffusion import families, load_model
from likeness.diffusion.family import Conditioning, DiffusionModel
from likeness.diffusion.identity import family_of, native_side
from likeness.diffusion.single_file import _text_config
from likeness.diffusion.tokenizers import BRING, open_tokenizer
from likeness.errors import CheckpointError, RecipeError
from likeness.events import silent
from likeness.pipeline.bench import Bench
from likeness.pipeline.trigger import open_tongue
from likeness.recipe import BaseConfig, Recipe
from likeness.workspace import Workspace

FAMILIES = ("sd15", "sd2", "sdxl")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp("sd15"))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """A folder and a single file of each family."""
    root = tmp_path_factory.mktemp("bases")
    made = {family: tiny_base(root / family, family) for family in FAMILIES}
    return {
        family: (folder, single_file(folder, root / f"{family}.safetensors", family)) for family, folder in made.items()
    }


@pytest.fixture(scope="module")
def plain(bases: dict[str, tuple[Path, Path]]) -> Callable[..., DiffusionModel]:
    """Opens a base of `bases` as it is, once: its family, and 0 for the folder or 1 for the file."""
    return cache(lambda family, form: opened(bases[family][form], tokenizer=str(bases[family][0] / "tokenizer")))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of other weights, with its VAE as a file beside it."""
    root = tmp_path_factory.mktemp("other")
    made = tiny_base(root / "base", "sdxl", seed=1)
    save_file({name: t.contiguous() for name, t in vae_tensors(made / "vae").items()}, root / "vae.safetensors")
    return made


def opened(path: Path, **settings: Any) -> DiffusionModel:
    return load_model(path, device="cpu", config=BaseConfig(**settings))


def pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(4)) * 2 - 1


# -- precision ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_precision_is_the_denoisers_and_the_vae_stays_float32(
    bases: dict[str, tuple[Path, Path]], family: str, form: int, dtype: str
) -> None:
    tokenizer = str(bases[family][0] / "tokenizer")
    model = load_model(bases[family][form], device="cpu", dtype=dtype, config=BaseConfig(tokenizer=tokenizer))
    kind = getattr(torch, dtype)
    assert model.dtype == kind
    assert {tensor.dtype for part in model.text_encoders for tensor in part.parameters()} == {kind}
    assert {tensor.dtype for tensor in cast("Any", model).parts.vae.parameters()} == {torch.float32}
    assert model.encode_posterior(pictures(1))[0].dtype == torch.float32
    if dtype == "bfloat16":
        told = model.encode_prompts(["fox"])
        assert told.tokens_BLE.dtype == kind
        assert model.predict(torch.zeros(1, 4, 8, 8), torch.tensor([3]), told).dtype == kind


def test_the_vae_is_in_bfloat16_where_that_is_asked_for_and_latents_are_float32(bases: Any) -> None:
    half, whole = (opened(bases["sdxl"][0], vae_dtype=dtype) for dtype in ("bfloat16", "float32"))
    assert {tensor.dtype for tensor in cast("Any", half).parts.vae.parameters()} == {torch.bfloat16}
    means = [model.encode_posterior(pictures(1))[0] for model in (half, whole)]
    assert means[0].dtype == half.decode_latents(means[0]).dtype == torch.float32
    torch.testing.assert_close(*means, atol=0.05, rtol=0.05)
    assert half.fingerprint != whole.fingerprint


# -- tokenizers --------------------------------------------------------------------------------------------------------


def test_a_single_file_without_a_tokenizer_is_told_the_command_that_brings_it(
    bases: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError) as caught:
        opened(bases["sdxl"][1])
    assert BRING in str(caught.value)
    assert BRING.startswith("hf download openai/clip-vit-large-patch14 vocab.json merges.txt")


def test_the_hubs_cache_is_looked_into(bases: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--openai--clip-vit-large-patch14"
    clip_tokenizer(cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    folder, file = bases["sdxl"]
    told = [opened(path).encode_prompts(["a blue fox!"]).tokens_BLE for path in (folder, file)]
    assert torch.equal(*told)


def test_a_vocabulary_alone_is_enough(bases: Any, tmp_path: Path) -> None:
    clip_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    folder, file = bases["sd2"]
    told = [opened(folder).encode_prompts(["a fox"]), opened(file, tokenizer=str(tmp_path)).encode_prompts(["a fox"])]
    assert torch.equal(told[0].tokens_BLE, told[1].tokens_BLE)


def test_a_tokenizer_of_another_vocabulary_is_refused(bases: Any, tmp_path: Path) -> None:
    clip_tokenizer(tmp_path)
    vocabulary = (tmp_path / "vocab.json").read_text()
    (tmp_path / "vocab.json").write_text(vocabulary[:-1] + ', "more": 521}')
    with pytest.raises(CheckpointError, match="knows 522 words, and the base's text encoder 521"):
        opened(bases["sd15"][1], tokenizer=str(tmp_path))
    with pytest.raises(CheckpointError, match=r"vocab\.json is missing"):
        opened(bases["sd15"][1], tokenizer=str(tmp_path / "nowhere"))


# -- a VAE of its own --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["file", "folder", "folder of a base"])
def test_a_vae_of_its_own_takes_the_place_of_the_checkpoints(
    bases: Any, plain: Callable[..., DiffusionModel], other: Path, form: str
) -> None:
    path = {"file": other.parent / "vae.safetensors", "folder": other / "vae", "folder of a base": other}[form]
    own, theirs = (model.encode_images(pictures(1)) for model in (plain("sdxl", 0), opened(other)))
    for number, base in enumerate(bases["sdxl"]):
        model = opened(base, vae=str(path), tokenizer=str(bases["sdxl"][0] / "tokenizer"))
        assert torch.equal(model.encode_images(pictures(1)), theirs)
        assert not torch.allclose(model.encode_images(pictures(1)), own)
        assert model.fingerprint != plain("sdxl", number).fingerprint


def test_what_is_no_vae_is_refused_as_one(bases: Any, tmp_path: Path) -> None:
    unet = bases["sdxl"][0] / "unet" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(CheckpointError, match="holds no VAE"):
        opened(bases["sdxl"][0], vae=str(unet))
    with pytest.raises(CheckpointError, match=r"base\.vae = .* is not there"):
        opened(bases["sdxl"][0], vae=str(tmp_path / "gone.safetensors"))


# -- which family ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_is_known_by_its_tensors_or_its_tables(bases: Any, family: str) -> None:
    assert [family_of(path) for path in bases[family]] == [family, family]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_side_is_told_without_loading_the_base(
    bases: Any, plain: Callable[..., DiffusionModel], family: str, prediction: str
) -> None:
    folder, file = bases[family]
    assert native_side(folder, BaseConfig()) == plain(family, 0).native_size[0] == 32
    config: dict[str, Any] = {"prediction": prediction, "tokenizer": str(folder / "tokenizer")}
    assert native_side(file, BaseConfig(**config)) == opened(file, **config).native_size[0]


def test_the_side_of_a_single_file_is_told_without_torch(bases: Any) -> None:
    program = (
        "import sys; from likeness.pipeline.curation import training_side; from likeness.recipe import Recipe; "
        "who = {'name': 'a', 'trigger': 'b', 'kind': 'original'}; "
        f"recipe = Recipe(character=who, base={{'path': {str(bases['sdxl'][1])!r}}}); "
        "print(training_side(recipe), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["512", "False"], done.stderr


def test_the_trigger_is_read_by_the_tokenizer_that_a_single_file_is_read_with(bases: Any) -> None:
    folder, file = bases["sd15"]
    tongue = open_tongue(BaseConfig(path=str(file), tokenizer=str(folder / "tokenizer")))
    assert list(tongue.split("blue fox")) == ["blue</w>", "fox</w>"]


def test_a_base_s_digest_is_of_all_that_the_recipe_names(bases: Any, tmp_path: Path) -> None:
    folder, file = bases["sd15"]
    who: Any = {"name": "a", "trigger": "b", "kind": "original"}

    def digest(**base: Any) -> str:
        return Bench(Workspace(tmp_path), Recipe(character=who, base=BaseConfig(**base)), silent).base_digest

    several = [{"path": str(folder)}, {"path": str(file)}, {"path": str(file), "clip_skip": 2}]
    several += [{"path": str(file), "vae": str(folder / "vae")}, {"path": str(file), "prediction": "v"}]
    several += [{"path": str(file), "tokenizer": str(folder / "tokenizer")}]
    assert len({digest(**some) for some in several}) == len(several)
    with pytest.raises(CheckpointError, match=r"base\.vae = .* is not there"):
        digest(path=str(file), vae=str(tmp_path / "gone"))


def test_a_base_of_none_of_the_families_is_refused_by_the_name_of_its_pipeline(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(CheckpointError, match=r"'FluxPipeline'.*Known: StableDiffusionPipeline"):
        load_model(tmp_path)
    with pytest.raises(CheckpointError, match=r"no model_index\.json"):
        load_model(tmp_path / "nowhere")
    (tmp_path / "model_index.json").write_text("[]")
    with pytest.raises(CheckpointError, match="names no pipeline class"):
        load_model(tmp_path)


@pytest.mark.parametrize(("channels", "kind"), [(9, "inpainting checkpoint"), (8, "shown other pictures")])
def test_a_base_that_draws_after_other_pictures_is_refused(
    bases: Any, tmp_path: Path, channels: int, kind: str
) -> None:
    copied = shutil.copytree(bases["sd15"][0], tmp_path / "copied")
    table = copied / "unet" / "config.json"
    table.write_text(table.read_text().replace('"in_channels": 4', f'"in_channels": {channels}'))
    with pytest.raises(CheckpointError, match=kind):
        load_model(copied)
    tensors = load_file(bases["sd15"][1])
    first = "model.diffusion_model.input_blocks.0.0.weight"
    tensors[first] = torch.zeros(32, channels, 3, 3)
    save_file(tensors, tmp_path / "shown.safetensors")
    with pytest.raises(CheckpointError, match=kind):
        load_model(tmp_path / "shown.safetensors")


STRANGERS = {
    "lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": "a LoRA, and no base. A LoRA is laid over a base",
    "first_stage_model.encoder.conv_in.weight": r"a VAE, and no base\. Name it as base\.vae",
    "text_model.embeddings.token_embedding.weight": "a text encoder, and no base",
    "down_blocks.0.resnets.0.conv1.weight": "a denoiser, and no base. It comes without a text encoder",
    "model.diffusion_model.input_blocks.0.0.weight": "a denoiser, and no base",
    "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": "a Stable Diffusion 3 checkpoint, and no base",
    "model.diffusion_model.double_blocks.0.img_attn.qkv.weight": "a Flux checkpoint, and no base",
    "control_model.input_blocks.0.0.weight": "a ControlNet, and no base. It steers a base",
    "emb_params": "a textual inversion, and no base",
    "encoder_hid_proj.weight": "a checkpoint of a family that is not known, and no base",
    "bert.pooler.weight": "none of its tensors is known",
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_file_that_is_no_base_is_refused_by_the_name_of_what_it_is(tmp_path: Path, name: str) -> None:
    save_file({name: torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=STRANGERS[name]) as caught:
        load_model(tmp_path / "x.safetensors")
    assert str(caught.value).startswith(f"base.path = {tmp_path / 'x.safetensors'} is ")


def test_an_sdxl_refiner_is_refused(bases: Any, tmp_path: Path) -> None:
    refiner = {
        name.replace("embedders.1.model", "embedders.0.model"): tensor
        for name, tensor in load_file(bases["sdxl"][1]).items()
        if not name.startswith("conditioner.embedders.0.")
    }
    save_file(refiner, tmp_path / "refiner.safetensors")
    with pytest.raises(CheckpointError, match="an SDXL refiner, and no base"):
        load_model(tmp_path / "refiner.safetensors")


# -- what is not whole -------------------------------------------------------------------------------------------------


def test_a_pickle_is_refused_and_never_opened(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"\x80\x02junk")
    with pytest.raises(CheckpointError, match=r"model\.ckpt is a pickle"):
        load_model(tmp_path / "model.ckpt")


def test_a_file_cut_short_is_refused(bases: Any, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(bases["sdxl"][1].read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="cut short"):
        load_model(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        (
            "model.diffusion_model.middle_block.0.out_layers.3.weight",
            "no UNet that is known: middle_block.0",
        ),
        ("model.diffusion_model.middle_block.0.out_layers.0.bias", "not a whole UNet2DConditionModel"),
        ("model.diffusion_model.label_emb.0.0.bias", "'label_emb.0.0.bias' is missing"),
        ("first_stage_model.decoder.mid.attn_1.q.weight", "not a whole AutoencoderKL"),
        ("conditioner.embedders.0.transformer.text_model.encoder.layers.1.mlp.fc1.bias", "not a whole CLIPTextModel"),
        ("conditioner.embedders.1.model.text_projection", "holds no whole text encoder"),
        ("conditioner.embedders.1.model.transformer.resblocks.2.ln_1.bias", "not a whole CLIPTextModelWithProjection"),
        ("first_stage_model.", r"holds no VAE in Stability's names. Name one as base\.vae"),
    ],
)
def test_a_file_that_lacks_a_tensor_is_refused_and_nothing_is_made_up(
    bases: Any, tmp_path: Path, lost: str, words: str
) -> None:
    tensors = {name: tensor for name, tensor in load_file(bases["sdxl"][1]).items() if not name.startswith(lost)}
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=words):
        opened(tmp_path / "x.safetensors", tokenizer=str(bases["sdxl"][0] / "tokenizer"))


def test_a_unet_with_more_in_it_than_is_known_is_refused(bases: Any, tmp_path: Path) -> None:
    tensors = load_file(bases["sdxl"][1])
    inside = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn3.to_q.weight"
    save_file(tensors | {inside: torch.zeros(2, 2)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="holds more than a UNet2DConditionModel"):
        opened(tmp_path / "x.safetensors", tokenizer=str(bases["sdxl"][0] / "tokenizer"))


def test_a_pruned_unet_is_refused_by_the_first_layer_that_is_not_there(bases: Any, tmp_path: Path) -> None:
    gone = "model.diffusion_model.output_blocks.0.1.transformer_blocks.1."
    tensors = {name: tensor for name, tensor in load_file(bases["sdxl"][1]).items() if not name.startswith(gone)}
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"output_blocks\.0\.1\..* is not there.*SSD-1B"):
        opened(tmp_path / "x.safetensors", tokenizer=str(bases["sdxl"][0] / "tokenizer"))


@pytest.mark.versions
def test_old_merges_without_a_level_of_names_in_their_text_encoder_are_read(
    bases: Any, plain: Callable[..., DiffusionModel], tmp_path: Path
) -> None:
    folder, file = bases["sd15"]
    old = {name.replace(".text_model.", "."): tensor for name, tensor in load_file(file).items()}
    save_file(old, tmp_path / "old.safetensors")
    models = [plain("sd15", 1), opened(tmp_path / "old.safetensors", tokenizer=str(folder / "tokenizer"))]
    assert torch.equal(*(model.encode_prompts(["fox"]).tokens_BLE for model in models))


@pytest.mark.versions
@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_is_read_whichever_version_of_transformers_wrote_it(bases: Any, tmp_path: Path, family: str) -> None:
    """Since 5.6 one encoder's tensors have shorter names; since 5 a tokenizer is one file instead of two."""
    folder, _ = bases[family]
    old, new = (shutil.copytree(folder, tmp_path / age) for age in ("old", "new"))
    bare = {
        name.removeprefix("text_model."): tensor
        for name, tensor in load_file(old / "text_encoder/model.safetensors").items()
    }
    save_file(bare, new / "text_encoder/model.safetensors", {"format": "pt"})
    nested = {f"text_model.{name}": tensor for name, tensor in bare.items()}
    save_file(nested, old / "text_encoder/model.safetensors", {"format": "pt"})
    for part in sorted(new.glob("tokenizer*")):
        whole = open_tokenizer(part, words=10**5, longest=77, zero=False)[0].backend_tokenizer
        for name in ("vocab.json", "merges.txt"):
            (part / name).unlink()
        whole.save(str(part / "tokenizer.json"))
    told = [load_model(path).encode_prompts(["a blue fox, wow!"]).tokens_BLE for path in (folder, old, new)]
    assert torch.equal(told[0], told[1])
    assert torch.equal(told[0], told[2])


PUBLISHED = {  # of each encoder: width, layers in a file; and layers that are read, heads, activation, width of pooled
    ("sd15", 0): ((768, 12), (12, 12, "quick_gelu", 768)),
    ("sd2", 0): ((1024, 24), (23, 16, "gelu", 1024)),
    ("sdxl", 0): ((768, 12), (12, 12, "quick_gelu", 768)),
    ("sdxl", 1): ((1280, 32), (32, 20, "gelu", 1280)),
}


@pytest.mark.parametrize(("family", "place"), PUBLISHED)
def test_a_full_sized_text_encoder_is_configured_as_it_was_published(family: str, place: int) -> None:
    (width, layers), told = PUBLISHED[family, place]
    module, _, name = families[family].partition(":")
    text = getattr(import_module(module), name).layout.texts[place]
    if text.notation == "clip":
        inside, block = "text_model.embeddings.", "text_model.encoder.layers.{}.mlp.fc1.weight"
        shapes = {f"{inside}token_embedding.weight": (49408, width), f"{inside}position_embedding.weight": (77, width)}
    else:
        block = "transformer.resblocks.{}.mlp.c_fc.weight"
        shapes = {"token_embedding.weight": (49408, width), "positional_embedding": (77, width)}
        shapes["text_projection"] = (width, width)
    shapes |= {block.format(layer): (4 * width, width) for layer in range(layers)}
    config = _text_config(shapes, text)
    found = (config.num_hidden_layers, config.num_attention_heads, config.hidden_act, config.projection_dim)
    assert found == told
    assert (config.vocab_size, config.intermediate_size, config.eos_token_id) == (49408, 4 * width, 49407)


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


@pytest.mark.parametrize(("field", "options"), [("device", {"device": "abacus"}), ("dtype", {"dtype": "int8"})])
def test_a_device_or_dtype_that_cannot_be_is_refused(folder: Path, field: str, options: dict[str, Any]) -> None:
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
