"""What tools take: our own rules for six of them, and diffusers' against diffusers itself."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import foreign_files as foreign
import pytest
import torch
from diffusers.loaders.lora_pipeline import StableDiffusionLoraLoaderMixin, StableDiffusionXLLoraLoaderMixin
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from likeness.cli import app
from likeness.diffusion.files.compat import Verdict, compat_of, refuse_dropped, verdicts
from likeness.diffusion.files.lora_files import save_lora
from likeness.diffusion.files.metadata import LoraMetadata
from likeness.diffusion.layers import PLANS, file_name, text_layers, unet_layers
from likeness.errors import CheckpointError

TARGETS = (".attentions.", ".resnets.", ".downsamplers.", ".upsamplers.")
TEXTS = {
    "sd15": [("lora_te", 12, 768)],
    "sd2": [("lora_te", 23, 1024)],
    "sdxl": [("lora_te1", 12, 768), ("lora_te2", 32, 1280)],
}
SIX = ["ComfyUI", "A1111", "Forge", "InvokeAI", "diffusers", "kohya"]


def shapes_of(
    family: str, parts: Callable[[tuple[int, ...]], dict[str, tuple[int, ...]]]
) -> dict[str, tuple[int, ...]]:
    """The tensors of a file that adapts all that we can adapt of a published base."""
    plan = PLANS[family]
    layers = {
        file_name(path, plan): shape for path, shape in unet_layers(plan).items() if any(t in path for t in TARGETS)
    }
    for prefix, count, width in TEXTS[family]:
        layers |= text_layers(prefix, count, width)
    return {f"{layer}.{part}": size for layer, shape in layers.items() for part, size in parts(shape).items()}


def plain(shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    out, *entering = shape
    return {"lora_down.weight": (4, *entering), "lora_up.weight": (out, 4, *(1,) * (len(entering) - 1)), "alpha": ()}


def dora(shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {**plain(shape), "dora_scale": (1, shape[1], *(1,) * (len(shape) - 2))}


def loha(shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    wide = torch.Size(shape[1:]).numel()
    return {
        "hada_w1_a": (shape[0], 4),
        "hada_w1_b": (4, wide),
        "hada_w2_a": (shape[0], 4),
        "hada_w2_b": (4, wide),
        "alpha": (),
    }


def lokr(shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {"lokr_w1": (2, 2), "lokr_w2": (shape[0] // 2, shape[1] // 2, *shape[2:]), "alpha": ()}


def told(shapes: dict[str, tuple[int, ...]], notes: dict[str, str] | None = None) -> dict[str, Verdict]:
    return {verdict.client: verdict for verdict in verdicts(shapes, {}, notes or {})}


@pytest.mark.parametrize("family", PLANS)
def test_every_tool_takes_all_of_a_plain_lora_of_ours(family: str):
    found = told(shapes_of(family, plain))
    assert list(found) == SIX
    assert [
        (name, v.dropped, v.refusal, v.unsupported, v.notes, v.mend) for name, v in found.items() if not v.takes_all
    ] == []
    assert all(verdict.matched == verdict.total for verdict in found.values())
    assert not any(verdict.notes or verdict.mend for verdict in found.values())


@pytest.mark.parametrize("family", PLANS)
@pytest.mark.parametrize(
    ("parts", "strangers"),
    [(dora, {"diffusers": "DoRA", "kohya": "DoRA"}), (loha, {"diffusers": "LoHa"}), (lokr, {"diffusers": "LoKr"})],
)
def test_tools_that_know_a_method_take_all_of_it(family: str, parts: Any, strangers: dict[str, str]):
    found = told(shapes_of(family, parts))
    assert {name: verdict.unsupported for name, verdict in found.items() if not verdict.takes_all} == strangers
    assert not any(verdict.is_fault for verdict in found.values())


@pytest.mark.parametrize(
    ("naming", "family", "faulty"),
    [
        ("kohya", "sd15", []),
        ("kohya", "sdxl", []),
        ("kohya by diffusers' paths", "sdxl", []),
        ("kohya by Stability's paths", "sd15", ["InvokeAI", "diffusers", "kohya"]),
        ("diffusers", "sd15", ["ComfyUI", "A1111", "Forge", "InvokeAI", "kohya"]),
        ("diffusers", "sdxl", ["ComfyUI", "A1111", "Forge", "InvokeAI", "kohya"]),
        ("peft", "sd15", SIX),
        ("OneTrainer", "sd15", ["ComfyUI", "Forge", "InvokeAI", "diffusers", "kohya"]),
        ("OneTrainer", "sdxl", ["ComfyUI", "Forge", "InvokeAI", "diffusers", "kohya"]),
        ("diffusers to kohya", "sd15", ["InvokeAI", "kohya"]),
        ("ComfyUI", "sdxl", ["A1111", "InvokeAI", "diffusers", "kohya"]),
    ],
)
def test_what_each_tool_drops_of_files_by_others(naming: str, family: str, faulty: list[str]):
    tensors = foreign.NAMINGS[naming](family, foreign.layers(family))
    found = told({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    assert [name for name, verdict in found.items() if verdict.is_fault] == faulty
    assert all("--to kohya OUT" in found[name].mend for name in faulty)


def test_forge_takes_nothing_where_more_than_twelve_names_are_strange():
    shapes = shapes_of("sd15", plain)
    few = {f"bundle_emb.word{number}.clip_l": (1, 768) for number in range(12)}
    assert told(shapes | few)["Forge"].matched == len(shapes)
    many = told(shapes | few | {"bundle_emb.more.clip_l": (1, 768)})["Forge"]
    assert many.matched == 0
    assert "13 names" in many.refusal


def test_mixed_paths_lose_stabilitys_in_diffusers_and_the_file_in_invokeai():
    shapes = shapes_of("sdxl", plain)
    odd = {f"lora_unet_up_blocks_0_attentions_0_proj_out.{part}": size for part, size in plain((1280, 1280)).items()}
    kept = {name: size for name, size in shapes.items() if "output_blocks_0_1_proj_out" not in name}
    found = told(kept | odd)
    stability = [name for name in kept if name.startswith("lora_unet_")]
    assert sum(group.count for group in found["diffusers"].dropped) == len(stability)
    assert "mixed" in found["InvokeAI"].refusal
    assert found["ComfyUI"].takes_all
    assert found["kohya"].takes_all


def test_a_dora_of_outputs_is_only_nearly_right_in_comfyui_and_unknown_in_a1111():
    shapes = {
        name: ((size[1], 1, *size[2:]) if name.endswith("dora_scale") else size)
        for name, size in shapes_of("sd15", dora).items()
    }
    found = told(shapes)
    assert "lengths of the base's own weights" in found["ComfyUI"].notes[0]
    assert found["A1111"].unsupported == "output-axis DoRA"
    assert found["diffusers"].mend == "likeness convert FILE --to diffusers OUT"


def test_invokeai_cannot_tell_the_base_of_convolutions_alone():
    shapes = {name: size for name, size in shapes_of("sd15", plain).items() if "_resnets_" in name}
    found = told(shapes)
    assert "cannot tell which base" in found["InvokeAI"].refusal
    assert [name for name, verdict in found.items() if verdict.is_fault] == ["InvokeAI"]


def test_a1111_changes_the_attention_of_a_large_text_encoder_only_as_a_whole():
    shapes = {name: size for name, size in shapes_of("sdxl", plain).items() if "self_attn_v_proj" not in name}
    assert "act only where all four" in told(shapes)["A1111"].notes[0]


def test_notes_that_hide_a_file_in_a1111_are_told():
    found = told(shapes_of("sdxl", plain), {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"})
    assert "listed as such, and hidden beside sdxl" in found["A1111"].notes[0]
    assert found["A1111"].mend == "likeness convert FILE --to kohya OUT"
    assert not told(shapes_of("sdxl", plain), {"ss_base_model_version": "sdxl_base_v1-0"})["A1111"].notes


def test_alphas_that_differ_are_told_of_diffusers():
    shapes = shapes_of("sd15", plain)
    alphas = {name: float(number) for number, name in enumerate(shapes) if name.endswith("alpha")}
    found = {verdict.client: verdict for verdict in verdicts(shapes, alphas, {})}
    assert "loses those of attention" in found["diffusers"].notes[0]
    assert found["diffusers"].mend.endswith("--to diffusers OUT")


def test_a_layer_that_a_published_base_does_not_have_is_dropped_by_all():
    name = "lora_unet_down_blocks_3_attentions_1_proj_in"  # Stable Diffusion 1.x has no attention on its lowest level
    odd = {f"{name}.{part}": size for part, size in plain((1280, 1280, 1, 1)).items()}
    found = told(shapes_of("sd15", plain) | odd)
    assert all(sum(group.count for group in verdict.dropped) == 3 for verdict in found.values())


def test_saving_refuses_what_a_tool_would_drop(tmp_path: Path):
    tensors = {
        "lora_unet_nowhere.lora_down.weight": torch.ones(2, 8),
        "lora_unet_nowhere.lora_up.weight": torch.ones(8, 2),
        "lora_unet_nowhere.alpha": torch.tensor(2.0),
    }
    about = LoraMetadata(title="x", base_name="tiny", prediction="epsilon", resolution=(64, 64))
    with pytest.raises(CheckpointError, match=r"ComfyUI would drop 3 of its 3 tensors \(lora_unet_nowhere"):
        save_lora(tmp_path / "x.safetensors", tensors, metadata=about)
    assert not list(tmp_path.iterdir())
    refuse_dropped({name: torch.zeros(size) for name, size in shapes_of("sd15", plain).items() if "mid_block" in name})


# -- diffusers' own converters -----------------------------------------------------------------------------------------


def converted(family: str, tensors: dict[str, Tensor]) -> set[str] | None:
    """The layers that diffusers makes of a file, by their paths; None where it refuses the file."""
    mixin: Any = StableDiffusionXLLoraLoaderMixin if family == "sdxl" else StableDiffusionLoraLoaderMixin
    told = {"unet_config": SimpleNamespace(layers_per_block=2)} if family == "sdxl" else {}
    try:
        answer = mixin.lora_state_dict(dict(tensors), **told)[0]
    except (ValueError, KeyError):
        return None
    if not all("lora" in name for name in answer):
        return None
    halves = (".lora.down.weight", "_lora.down.weight", ".lora_linear_layer.down.weight", ".lora_A.weight")
    return {name for name in answer if name.endswith(halves)}


@pytest.mark.parity
@pytest.mark.parametrize("family", PLANS)
def test_diffusers_itself_finds_every_layer_of_a_plain_lora_of_ours(family: str):
    tensors = {name: torch.zeros(size) for name, size in shapes_of(family, plain).items()}
    found = converted(family, tensors)
    assert found is not None
    paths = {path for path in unet_layers(PLANS[family]) if any(target in path for target in TARGETS)}
    inner = {
        name.split(".lora")[0].replace(".processor.", ".").replace("_lora.down.weight", "").removeprefix("unet.")
        for name in found
        if name.startswith("unet.")
    }
    assert {path + ".0" if path.endswith("to_out") else path for path in inner} == paths
    assert len(found) - len(inner) == sum(6 * count for _, count, _ in TEXTS[family])


def spoilt(family: str, change: str) -> dict[str, Tensor]:
    """A file that diffusers reads in another way than a plain LoRA of ours."""
    made = foreign.layers(family)
    names = [foreign.kohya_name(layer, family, sgm=family == "sdxl") for layer in made]
    more: dict[str, dict[str, Tensor]] = {
        "nothing": {},
        "mid": {f"{names[1]}.lora_mid.weight": torch.zeros(2, 2)},
        "loha": {f"{names[1]}_v.hada_w1_a": torch.zeros(2, 2)},
        "words": {"bundle_emb.mira.clip_l": torch.zeros(2, 768)},
        "lengths": {
            f"{name}.dora_scale": torch.ones(1, one.down.shape[1]) for name, one in zip(names, made, strict=True)
        },
    }
    if change in more:
        return foreign.kohya(family, made) | more[change]
    if change == "mixed":
        mixed = foreign.kohya(family, made) | foreign.kohya(family, made[2:3], sgm=False)
        return {name: tensor for name, tensor in mixed.items() if "middle_block" not in name}
    if change == "dotted alpha":
        return foreign.diffusers_new(family, made) | {f"unet.{made[0].path}.alpha": torch.tensor(1.0)}
    ways = {"peft": foreign.peft_bare, "new": foreign.diffusers_new, "old": foreign.diffusers_old}
    return ways[change](family, made)


DOWNS = ("lora_down.weight", "lora_A.weight", "lora.down.weight", "lora_linear_layer.down.weight")
SPOILT = ("nothing", "mid", "loha", "lengths", "words", "dotted alpha", "mixed", "peft", "new", "old")


@pytest.mark.parity
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("change", SPOILT)
def test_our_rule_for_diffusers_says_what_diffusers_does(family: str, change: str):
    file = spoilt(family, change)
    ours = told({name: tuple(tensor.shape) for name, tensor in file.items()})["diffusers"]
    theirs = converted(family, file)
    if change == "lengths":
        assert ours.unsupported == "DoRA"
        assert theirs is not None, "diffusers throws lengths away and goes on"
        return
    assert bool(ours.refusal) == (theirs is None)
    loaded = {name for name in theirs or () if name.startswith(("unet.", "text_encoder"))}
    dropped = {name for name in file if name.endswith(DOWNS)} if ours.matched == 0 else set()
    lost = len(dropped) or sum(group.count for group in ours.dropped) // 3  # of each layer down, up and alpha
    assert len(loaded) == len([name for name in file if name.endswith(DOWNS)]) - lost


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_command_tells_each_tool_and_fails_where_one_would_lose_something(tmp_path: Path):
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    for path, naming in ((good, foreign.kohya), (bad, foreign.diffusers_new)):
        save_file({n: t.clone().contiguous() for n, t in naming("sd15", foreign.layers("sd15")).items()}, path)
    done = CliRunner().invoke(app, ["compat", str(good), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["clients"]
    assert [(one["client"], one["takes_all"]) for one in told] == [(name, True) for name in SIX]
    done = CliRunner().invoke(app, ["compat", str(bad)])
    assert done.exit_code == 1
    assert "drops" in done.stdout
    assert f"for ComfyUI, A1111, Forge, InvokeAI, kohya: likeness convert {bad} --to kohya OUT" in done.stdout


def test_a_base_is_no_adapter_file(tmp_path: Path):
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4, 4, 3, 3)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="is no adapter file"):
        compat_of(tmp_path / "x.safetensors")
