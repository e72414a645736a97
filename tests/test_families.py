"""Every family keeps the contract of likeness.diffusion.family, over tiny bases of the real classes' making.

Each family with each prediction, from a folder and from a single file.

Shapes: B batch, C H W picture, D h w latent, L tokens, E width.
"""

import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from tiny import tiny_base
from tiny_files import single_file
from torch import nn

from likeness.diffusion import families, load_model
from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.layers import PLANS, file_name, sgm_path, text_layers, unet_layers
from likeness.diffusion.plans import plan_in_config, plan_in_file
from likeness.diffusion.sampling import sample
from likeness.errors import RecipeError
from likeness.recipe import BaseConfig

PIPELINES = {"sd15": StableDiffusionPipeline, "sd2": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
CASES = [(family, prediction) for family in PIPELINES for prediction in ("epsilon", "v")] + [("sdxl", "v, ztsnr")]
FILE = "base.safetensors"
PROMPTS, SEEDS = ["a blue fox", "big ears"], [11, 12]
ASKED: list[dict[str, Any]] = [
    {"width": 32, "height": height, "guidance_rescale": rescale} for rescale, height in ((0.0, 32), (0.7, 48))
]
VERSIONS = (("sd15", "epsilon"), ("sd2", "v"), ("sdxl", "epsilon"), ("sdxl", "v, ztsnr"))
"""Those that other versions of the libraries are tested with."""
LONG = ", ".join(["fox"] * 40)  # 79 tokens
of_each_family = pytest.mark.parametrize(
    "folder",
    [pytest.param((family, "epsilon"), marks=pytest.mark.versions) for family in PIPELINES],
    ids=" ".join,
    indirect=True,
)
"""For what has nothing to do with what a base predicts: its text encoders."""


class Base(NamedTuple):
    """A tiny base, in both its forms, and the one that is asked."""

    family: str
    prediction: str
    folder: Path
    path: Path
    config: BaseConfig

    def load(self, **settings: Any) -> DiffusionModel:
        return load_model(self.path, device="cpu", dtype="float32", config=self.config.model_copy(update=settings))

    def pipeline(self) -> Any:
        pipeline = cast("Any", PIPELINES[self.family].from_pretrained(self.folder, local_files_only=True))
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def built(root: Path, family: str, prediction: str, form: str) -> Base:
    is_v, is_zero = prediction != "epsilon", "ztsnr" in prediction
    told: Any = "v_prediction" if is_v else "epsilon"
    folder = tiny_base(root / "folder", family, prediction=told, zero_terminal=is_zero)
    keys = [*(["v_pred"] if is_v else []), *(["ztsnr"] if is_zero else [])]
    single_file(folder, root / FILE, family, keys=keys)
    base = Base(family, prediction, folder, folder, BaseConfig())
    return in_a_file(base) if form == "file" else base


def in_a_file(base: Base) -> Base:
    return base._replace(path=base.folder.parent / FILE, config=BaseConfig(tokenizer=str(base.folder / "tokenizer")))


@pytest.fixture(
    scope="module",
    params=[pytest.param(case, marks=[pytest.mark.versions] if case in VERSIONS else []) for case in CASES],
    ids=lambda case: " ".join(case),
)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """A base as a folder, with its single file beside it."""
    family, prediction = request.param
    return built(tmp_path_factory.mktemp("base"), family, prediction, "folder")


@pytest.fixture(scope="module", params=["folder", "file"])
def base(request: pytest.FixtureRequest, folder: Base) -> Base:
    return folder if request.param == "folder" else in_a_file(folder)


@pytest.fixture(scope="module")
def model(base: Base) -> DiffusionModel:
    return base.load()


@pytest.fixture(scope="module")
def skipping(base: Base, model: DiffusionModel) -> Mapping[int, DiffusionModel]:
    """The base, loaded with each clip skip that it takes."""
    return {1: model, **{skip: base.load(clip_skip=skip) for skip in (2, 3)}}


@pytest.fixture(scope="module")
def pipeline(folder: Base) -> Any:
    """diffusers' own, of the folder: the single file is to answer alike."""
    return folder.pipeline()


@pytest.fixture(scope="module")
def drawn(folder: Base, pipeline: Any) -> list[numpy.ndarray]:
    """What the pipeline draws each time that it is asked as in `ASKED`."""
    zero: dict[str, Any] = {"timestep_spacing": "trailing"} if "ztsnr" in folder.prediction else {}
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **zero)
    more: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 4.0, "output_type": "np"}

    def draw(asked: Mapping[str, Any]) -> numpy.ndarray:
        generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
        return pipeline(PROMPTS, negative_prompt=["", ""], generator=generators, **more, **asked).images

    return [draw(asked) for asked in ASKED]


def pictures(count: int, side: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(4)) * 2 - 1


def told(model: DiffusionModel, prompts: list[str], **options: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.encode_prompts(prompts, **options).tokens_BLE


def test_every_family_of_the_table_is_held_to_the_contract_here() -> None:
    addresses = [address.partition(":") for address in families.values()]
    names = [getattr(import_module(module), name).name for module, _, name in addresses]
    assert names == list(families) == list(PIPELINES)


def test_a_base_is_frozen_and_on_one_device(model: DiffusionModel) -> None:
    for part in (model.denoiser, *model.text_encoders):
        assert not part.training
        assert not any(parameter.requires_grad for parameter in part.parameters())
        assert {parameter.device.type for parameter in part.parameters()} == {"cpu"}
    assert (model.device.type, model.dtype) == ("cpu", torch.float32)


def test_the_schedule_is_the_one_that_the_base_says(base: Base, model: DiffusionModel) -> None:
    is_zero = "ztsnr" in base.prediction
    assert model.schedule.prediction == base.prediction.partition(",")[0]
    assert (model.schedule.snr(torch.tensor([999])).item() == 0) is is_zero
    assert bool(model.schedule.config.get("rescale_betas_zero_snr")) is is_zero


def test_a_base_says_how_other_tools_name_it(base: Base, model: DiffusionModel) -> None:
    is_v = base.prediction != "epsilon"
    versions = {"sd15": "sd_v1", "sd2": "sd_v2_v" if is_v else "sd_v2", "sdxl": "sdxl_base_v1-0"}
    kinds = {
        "sd15": "stable-diffusion-v1",
        "sd2": "stable-diffusion-v2-768-v" if is_v else "stable-diffusion-v2-512",
        "sdxl": "stable-diffusion-xl-v1-base",
    }
    assert (model.name, model.base_version, model.architecture) == (
        base.family,
        versions[base.family],
        kinds[base.family],
    )


def test_a_single_file_is_as_large_as_its_family_was_published(base: Base, model: DiffusionModel) -> None:
    latents = {"sd15": 64, "sd2": 96 if base.prediction != "epsilon" else 64, "sdxl": 128}
    side = latents[base.family] * 4 if base.path.is_file() else 32  # these have 4 px to a latent, and not 8
    assert model.native_size == (side, side)


@pytest.mark.parity
def test_latents_are_the_scaled_posterior_of_the_vae(base: Base, model: DiffusionModel, pipeline: Any) -> None:
    scaling = 0.13025 if base.family == "sdxl" else 0.18215
    mean, std = model.encode_posterior(pictures(2))
    assert mean.shape == std.shape == (2, model.latent_channels, 8, 8)
    with torch.no_grad():
        posterior = pipeline.vae.encode(pictures(2)).latent_dist
        torch.testing.assert_close(mean, posterior.mean * scaling)
        torch.testing.assert_close(std, posterior.std * scaling)
        torch.testing.assert_close(model.encode_images(pictures(2)), mean)
        drawn = pipeline.vae.decode(posterior.mean).sample
    torch.testing.assert_close(model.decode_latents(mean), drawn, atol=1e-5, rtol=1e-4)


@of_each_family
@pytest.mark.parity
@pytest.mark.parametrize("skip", [1, 2, 3])
def test_a_prompt_that_fits_is_encoded_as_diffusers_does(
    base: Base, skipping: Mapping[int, DiffusionModel], pipeline: Any, skip: int
) -> None:
    model = skipping[skip]
    for prompt in ("", "a blue fox, big ears", "Blue  FOX"):
        theirs = told_by(pipeline, base.family, prompt, None if skip == 1 else skip - 1)
        with torch.no_grad():
            ours = model.encode_prompts([prompt])
        torch.testing.assert_close(ours.tokens_BLE, theirs[0], atol=1e-5, rtol=1e-4)
        assert (ours.pooled_BE is None) is (base.family != "sdxl")
        if ours.pooled_BE is not None:
            torch.testing.assert_close(ours.pooled_BE, theirs[1], atol=1e-5, rtol=1e-4)
            assert ours.pooled_BE.shape == (1, model.pooled_width)


def told_by(pipeline: Any, family: str, prompt: str, skip: int | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Tokens and pooled vector by diffusers' own pipeline; SDXL's takes no notice of clip skip here, nor do we."""
    if family == "sdxl":
        tokens, _, pooled, _ = pipeline.encode_prompt(prompt, device="cpu", do_classifier_free_guidance=False)
        return tokens, pooled
    # diffusers 0.42 asks for the encoder under the name that it had before transformers 5.6.
    encoder = pipeline.text_encoder
    encoder.__dict__.setdefault("text_model", getattr(encoder, "text_model", encoder))
    return pipeline.encode_prompt(prompt, "cpu", 1, False, clip_skip=skip)[0], None


@of_each_family
def test_clip_skip_changes_what_is_told_but_for_sdxl_which_has_its_own(
    base: Base, skipping: Mapping[int, DiffusionModel]
) -> None:
    whole, skipped = (told(skipping[skip], ["fox"]) for skip in (1, 2))
    assert torch.equal(skipped, whole) is (base.family == "sdxl")


@of_each_family
def test_clip_skip_past_the_first_layer_is_refused(base: Base) -> None:
    with pytest.raises(RecipeError, match=r"base\.clip_skip = 4, but the text encoder has 3 layers"):
        base.load(clip_skip=4)


@of_each_family
def test_equal_prompts_are_encoded_equally_and_different_ones_are_not(model: DiffusionModel) -> None:
    once, again = (told(model, ["fox", "blue fox"]) for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.allclose(once[0], once[1])


@of_each_family
def test_a_long_prompt_takes_more_windows_and_nothing_of_it_is_lost(model: DiffusionModel) -> None:
    assert (model.count_chunks("fox"), model.count_chunks(LONG), model.count_chunks("x " * 160)) == (1, 2, 3)
    tokens, changed = told(model, [LONG]), told(model, [LONG[:-3] + "blue"])
    assert tokens.shape[1] == 2 * 77
    assert not torch.allclose(tokens[:, 77:], changed[:, 77:])
    torch.testing.assert_close(tokens[:, :77], changed[:, :77])


@of_each_family
def test_a_long_prompt_is_broken_behind_a_comma(model: DiffusionModel) -> None:
    head = ", ".join(["fox"] * 36) + ","  # 72 tokens: three more would fit, but "blue ear fox fox" would be torn
    parts = [told(model, [text]) for text in (head, "blue ear fox fox")]
    torch.testing.assert_close(told(model, [head + " blue ear fox fox"]), torch.cat(parts, dim=1), atol=1e-5, rtol=1e-4)


@of_each_family
def test_a_short_prompt_beside_a_long_one_gets_empty_windows(model: DiffusionModel) -> None:
    both, asked = told(model, ["fox", "x " * 100]), told(model, ["fox"], chunks=2)
    apart = [told(model, [text]) for text in ("fox", "")]
    torch.testing.assert_close(both[:1], torch.cat(apart, dim=1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(asked, both[:1], atol=1e-5, rtol=1e-4)


@of_each_family
def test_the_vector_of_a_whole_prompt_is_that_of_its_first_window(base: Base, model: DiffusionModel) -> None:
    head = ", ".join(["fox"] * 37) + ","
    with torch.no_grad():
        whole, first = (model.encode_prompts([text]).pooled_BE for text in (head + " blue ear", head))
        both = model.encode_prompts(["blue", head + " blue ear"]).pooled_BE
    if base.family != "sdxl":
        assert whole is first is both is None
        return
    assert whole is not None
    assert both is not None
    torch.testing.assert_close(whole, first, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both[1:], whole, atol=1e-5, rtol=1e-4)


@of_each_family
def test_an_exclamation_mark_stays_a_word(model: DiffusionModel) -> None:
    """The libraries take it for the filling behind a prompt, where that is what a base was trained with."""
    ids = [wording.windows_of("wow! fox!!")[0] for wording in cast("Any", model).parts.wordings]
    assert all(0 not in some[:4] for some in ids)
    assert len({tuple(some) for some in ids}) == 1


@pytest.mark.parity
def test_our_picture_is_the_pipelines(model: DiffusionModel, drawn: list[numpy.ndarray]) -> None:
    for asked, theirs in zip(ASKED, drawn, strict=True):
        ours = sample(model, PROMPTS, seeds=SEEDS, steps=3, guidance=4.0, **asked)
        apart = [numpy.abs(a - (b * 255).round()).max() for a, b in zip(ours, theirs, strict=True)]
        assert max(apart) <= 1
        assert ours[0].std() > 5


@pytest.mark.parity
def test_sizes_are_told_as_diffusers_tells_them(base: Base, model: DiffusionModel, pipeline: Any) -> None:
    noisy, t = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(1)), torch.tensor([3, 800])
    with torch.no_grad():
        asked = model.encode_prompts(["fox", "blue ear"])
        sizes = torch.tensor([[48, 40, 2, 3, 32, 32], [32, 48, 0, 0, 32, 48]])
        ours, unsaid = model.predict(noisy, t, asked, sizes), model.predict(noisy, t, asked)
        more: dict[str, Any] = {}
        if base.family == "sdxl":
            made = [pipeline._get_add_time_ids((48, 40), (2, 3), (32, 32), torch.float32, 96), sizes[1:].float()]
            more = {"added_cond_kwargs": {"text_embeds": asked.pooled_BE, "time_ids": torch.cat(made)}}
        theirs = pipeline.unet(noisy, t, encoder_hidden_states=asked.tokens_BLE, **more).sample
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(unsaid[1], ours[1], atol=1e-5, rtol=1e-4)
    assert torch.allclose(unsaid[0], ours[0]) is (base.family != "sdxl")


def test_the_adapter_can_reach_every_layer_by_its_name_in_a_file(base: Base, model: DiffusionModel) -> None:
    unet: Any = model.denoiser
    plan = plan_in_config(unet.config)
    ends = ("conv_in", "conv_out", "time_embedding.", "add_embedding.")
    blocks = {file_name(path, plan): shape for path, shape in unet_layers(plan).items() if not path.startswith(ends)}
    texts = {
        "sd15": text_layers("lora_te", 3, 64),
        "sd2": text_layers("lora_te", 3, 128),
        "sdxl": text_layers("lora_te1", 3, 64) | text_layers("lora_te2", 3, 128),
    }[base.family]
    for layers in texts:
        inner = texts[layers]
        texts[layers] = tuple(side // 2 if side in (256, 512) and max(inner) == side else side for side in inner)
    targets = model.adapter_targets()
    assert {name: tuple(layer.get_parameter("weight").shape) for name, layer in targets.items()} == blocks | texts
    assert len(blocks) > 100


@of_each_family
def test_gradients_reach_an_adapter_on_the_text_encoders(base: Base, model: DiffusionModel) -> None:
    from likeness.diffusion.adapter import attach
    from likeness.diffusion.blocks import BlockSet

    adapter = attach(model.adapter_targets(), [BlockSet("lora_te*", 2)])
    asked = model.encode_prompts(["fox"])
    model.predict(torch.zeros(1, 4, 8, 8), torch.tensor([3]), asked).sum().backward()
    adapter.detach()
    # What SDXL's encoders answer in their last layer is read by the pooled vector of the second alone.
    last = "lora_te1_text_model_encoder_layers_2_"
    dead = [name for name, layer in adapter.named_parameters() if layer.grad is None]
    assert all(base.family == "sdxl" and last in name for name in dead)


class Laid(nn.Module):
    """A text encoder as transformers before 5.6 laid it out, or since."""

    def __init__(self, nested: bool) -> None:
        super().__init__()
        layer = nn.ModuleDict({"self_attn": nn.ModuleDict(), "mlp": nn.ModuleDict()})
        for part, names in (("self_attn", ("q_proj", "k_proj", "v_proj", "out_proj")), ("mlp", ("fc1", "fc2"))):
            for name in names:
                cast("nn.ModuleDict", layer[part])[name] = nn.Linear(2, 2)
        inside = nn.ModuleDict({"encoder": nn.ModuleDict({"layers": nn.ModuleList([layer])})})
        for name, part in ({"text_model": inside} if nested else dict(inside.items())).items():
            self.add_module(name, part)


@pytest.mark.versions
@pytest.mark.parametrize("nested", [True, False])
def test_the_names_in_a_file_are_the_same_whatever_transformers_calls_the_layers(nested: bool) -> None:
    from likeness.diffusion.targets import text_targets

    assert list(text_targets(Laid(nested), "lora_te2")) == list(text_layers("lora_te2", 1, 2))


@pytest.mark.parametrize("family", PLANS)
def test_a_full_sized_base_has_the_layers_that_kohya_names(family: str) -> None:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from likeness.diffusion.plans import unet_config
    from likeness.diffusion.targets import unet_targets

    heads = {"sd15": 8}.get(family, 0)
    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config(PLANS[family], heads=heads, side=64))
    assert plan_in_config(unet.config) == PLANS[family]
    targets = unet_targets(unet)
    inside = [name for name in targets if "_transformer_blocks_" in name or name.endswith(("_proj_in", "_proj_out"))]
    assert len(inside) == {"sd15": 192, "sd2": 192, "sdxl": 722}[family]


@pytest.mark.parametrize("family", PLANS)
def test_a_full_sized_file_is_read_as_what_was_published(family: str) -> None:
    """By its shapes alone: the layers' are checked against the published models in test_layers."""
    plan = PLANS[family]
    shapes = {f"{sgm_path(path, plan)}.weight": shape for path, shape in unet_layers(plan).items()}
    assert plan_in_file(Path("base.safetensors"), shapes) == plan


# -- fingerprints ------------------------------------------------------------------------------------------------------


@of_each_family
def test_a_fingerprint_is_of_what_is_in_a_base_and_not_of_where_it_lies(
    base: Base, skipping: Mapping[int, DiffusionModel], tmp_path: Path
) -> None:
    copy = shutil.copytree if base.path.is_dir() else shutil.copy
    moved = base._replace(path=Path(copy(base.path, tmp_path / f"elsewhere{base.path.suffix}")))
    assert moved.load().fingerprint == skipping[1].fingerprint
    assert skipping[2].fingerprint != skipping[1].fingerprint


@pytest.mark.parametrize("form", ["folder", "file"])
@pytest.mark.parametrize("family", PIPELINES)
def test_other_weights_have_another_fingerprint(family: str, form: str, tmp_path: Path) -> None:
    one = built(tmp_path, family, "epsilon", form)
    weights = one.path if form == "file" else one.path / "vae" / "diffusion_pytorch_model.safetensors"
    before = one.load().fingerprint
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    assert one.load().fingerprint != before


@pytest.mark.parametrize("family", PIPELINES)
def test_a_file_draws_what_the_folder_draws_that_it_was_made_of(family: str, tmp_path: Path) -> None:
    base = built(tmp_path, family, "v", "folder")
    folder, file = base.load(), in_a_file(base).load()
    asked: dict[str, Any] = {"seeds": [1], "steps": 4, "guidance": 3.0, "width": 32, "height": 32}
    for sampler in ("ddim", "dpm++", "euler"):
        ours, theirs = (sample(model, [LONG], sampler=sampler, **asked)[0] for model in (folder, file))
        assert numpy.array_equal(ours, theirs)
    for one, other in zip(folder.text_encoders, file.text_encoders, strict=True):
        assert one.state_dict().keys() == other.state_dict().keys()


@pytest.mark.parity
@pytest.mark.parametrize("family", PIPELINES)
def test_diffusers_reads_our_single_files_too(family: str, tmp_path: Path) -> None:
    """The files of these tests are what the published ones are, as far as diffusers can tell."""
    base = built(tmp_path, family, "epsilon", "file")
    ours = base.load().denoiser
    kind: Any = type(ours)
    theirs = kind.from_single_file(str(base.path), config=str(base.folder), subfolder="unet", local_files_only=True)
    found = theirs.state_dict()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, found[name])
