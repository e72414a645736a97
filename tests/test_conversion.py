"""Files by others: read as what they are, or refused by name; and written for others, and back."""

import json
from pathlib import Path
from typing import Any

import foreign_files as foreign
import pytest
import torch
from peft import PeftModel
from safetensors.torch import save_file
from tiny import tiny_unet
from torch import Tensor, nn

from likeness.diffusion.files.conversion import LoraFile, read_lora
from likeness.diffusion.files.deltas import change_of, shape_of
from likeness.diffusion.files.exports import to_diffusers, to_kohya, to_peft
from likeness.diffusion.files.inspection import inspect_file
from likeness.diffusion.files.lora_files import load_lora, save_tensors
from likeness.diffusion.layers import PLANS, file_name
from likeness.diffusion.variants import LohaLayer, LokrLayer
from likeness.errors import CheckpointError


def saved(path: Path, tensors: dict[str, Tensor], notes: dict[str, str] | None = None) -> Path:
    save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path, metadata=notes)
    return path


def canonical(layer: foreign.Layer, family: str) -> str:
    if layer.module == "unet":
        return file_name(layer.path, PLANS[family])
    return foreign.kohya_name(layer, family, sgm=True)


def changes(lora: LoraFile) -> dict[str, Tensor]:
    return {
        name: change_of(parts, torch.empty(shape_of(parts), device="meta")) for name, parts in lora.layers().items()
    }


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("naming", foreign.NAMINGS)
def test_every_way_of_naming_is_read_as_the_same_layers(tmp_path: Path, naming: str, family: str):
    made = foreign.layers(family, alpha=1.0)
    tensors = foreign.NAMINGS[naming](family, made)
    path = saved(tmp_path / "x.safetensors", tensors)
    lora = load_lora(path)
    assert lora.family == family
    found, expected = changes(lora), {canonical(layer, family): layer.change for layer in made}
    assert found.keys() <= expected.keys()
    counted = len([name for name in tensors if name.endswith(("lora_A.weight", "down.weight"))])
    assert len(found) == counted >= 2
    for name, change in found.items():
        torch.testing.assert_close(change, expected[name])
    report = inspect_file(path)
    assert report.kind == "LoRA"
    assert report.family == family
    assert sum(block.layers for block in report.blocks) == counted


@pytest.mark.parametrize(
    ("layer", "shape", "family"),
    [
        ("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", (2, 768), "sd15"),
        ("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", (2, 1024), "sd2"),
        ("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_v", (2, 2048), "sdxl"),
        ("lora_unet_mid_block_attentions_0_transformer_blocks_1_attn1_to_q", (2, 1280), "sdxl"),
        ("lora_unet_down_blocks_0_attentions_0_proj_in", (2, 320, 1, 1), "sd15"),
        ("lora_unet_down_blocks_0_attentions_0_proj_in", (2, 320), "sd2"),
        ("lora_unet_output_blocks_0_1_proj_in", (2, 1280), "sdxl"),
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", (2, 1024), "sd2"),
        ("lora_te1_text_model_encoder_layers_0_self_attn_q_proj", (2, 768), "sdxl"),
        ("lora_te2_text_model_encoder_layers_0_mlp_fc1", (2, 1280), "sdxl"),
        ("lora_unet_mid_block_resnets_0_conv1", (2, 1280, 3, 3), ""),
    ],
)
def test_one_layer_is_enough_to_tell_the_base_where_it_can(
    tmp_path: Path, layer: str, shape: tuple[int, ...], family: str
):
    up = torch.ones(8, 2, *(1,) * (len(shape) - 2))
    tensors = {f"{layer}.lora_down.weight": torch.ones(shape), f"{layer}.lora_up.weight": up}
    assert read_lora(saved(tmp_path / "x.safetensors", tensors)).family == family
    told = saved(tmp_path / "y.safetensors", tensors, {"modelspec.architecture": "stable-diffusion-v1/lora"})
    is_unsure = not family or layer.startswith("lora_te1_")  # diffusers itself writes te1 for every family
    assert read_lora(told).family == ("sd15" if is_unsure else family), "notes tell only what names do not"


@pytest.mark.parametrize(
    ("naming", "trainer"),
    [(naming, naming) for naming in ("diffusers", "diffusers before 0.22", "peft", "OneTrainer")],
)
def test_the_tool_is_told_where_names_tell_it(tmp_path: Path, naming: str, trainer: str):
    path = saved(tmp_path / "x.safetensors", foreign.NAMINGS[naming]("sd15", foreign.layers("sd15")))
    assert inspect_file(path).trainer == trainer


@pytest.mark.parametrize(
    ("notes", "trainer"),
    [
        ({"ss_network_module": "networks.lora"}, "kohya-ss/sd-scripts"),
        ({"ss_network_module": "lycoris.kohya"}, "LyCORIS in kohya-ss/sd-scripts"),
        ({"ot_branch": "master"}, "OneTrainer"),
        ({"software": json.dumps({"name": "ai-toolkit", "version": "0.7"})}, "ai-toolkit 0.7"),
        ({"modelspec.implementation_version": "likeness/0.1.0"}, "likeness 0.1.0"),
    ],
)
def test_the_tool_is_told_where_notes_tell_it(tmp_path: Path, notes: dict[str, str], trainer: str):
    path = saved(tmp_path / "x.safetensors", foreign.kohya("sd15", foreign.layers("sd15")), notes)
    assert inspect_file(path).trainer == trainer


def test_words_that_were_trained_along_are_listed_beside_the_lora(tmp_path: Path):
    path = saved(tmp_path / "x.safetensors", foreign.one_trainer("sd15", foreign.layers("sd15")))
    assert load_lora(path).beside == ("bundle_emb.mira.clip_l",)


def test_b_lora_is_named(tmp_path: Path):
    layer = foreign.layers("sdxl")[1]
    assert layer.path.startswith("up_blocks.0.attentions.0")
    path = saved(tmp_path / "x.safetensors", foreign.diffusers_new("sdxl", [layer]))
    assert inspect_file(path).method == "LoRA (B-LoRA: content)"
    assert list(load_lora(path).layers()) == ["lora_unet_output_blocks_0_1_transformer_blocks_9_attn2_to_k"]


KERNEL = "lora_unet_down_blocks_0_resnets_0_conv1"
SQUARE = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_tuckers_cores_are_multiplied_out_and_change_nothing(tmp_path: Path):
    """LyCORIS `functional/general.py` rebuild_tucker: "i j ..., i p, j r -> p r ..."."""
    mid, down, up = drawn(3, 3, 3, 3), drawn(3, 6, 1, 1, seed=2), drawn(10, 3, 1, 1, seed=3)
    a, b, c, d = drawn(3, 10), drawn(3, 6, seed=2), drawn(3, 10, seed=3), drawn(3, 6, seed=4)
    cores = {"lokr_w1": drawn(2, 2), "lokr_w2_a": drawn(3, 5), "lokr_w2_b": drawn(3, 3, seed=2), "lokr_t2": mid}
    files = {
        "lora": {"lora_mid.weight": mid, "lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(1.5)},
        "loha": {"hada_t1": mid, "hada_t2": -mid, "hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d},
        "lokr": {**cores, "alpha": torch.tensor(1.5)},
    }
    rebuilt = lambda core, outer, inner: torch.einsum("ijkl,ip,jr->prkl", core, outer, inner)  # noqa: E731
    small = rebuilt(mid, cores["lokr_w2_a"], cores["lokr_w2_b"])
    expected = {
        "lora": torch.einsum("ijkl,pi,jr->prkl", mid, up.flatten(1), down.flatten(1)) * 0.5,
        "loha": rebuilt(mid, a, b) * rebuilt(-mid, c, d),
        "lokr": torch.kron(cores["lokr_w1"][:, :, None, None], small.contiguous()) * 0.5,
    }
    for kind, parts in files.items():
        path = saved(tmp_path / f"{kind}.safetensors", {f"{KERNEL}.{part}": tensor for part, tensor in parts.items()})
        found = change_of(load_lora(path).layers()[KERNEL], torch.empty(10, 6, 3, 3, device="meta"))
        torch.testing.assert_close(found, expected[kind])


def test_changes_of_products_are_those_of_our_own_layers():
    for frozen in (nn.Linear(6, 10), nn.Conv2d(6, 10, 3)):
        for kind in (LohaLayer, LokrLayer):
            layer = kind.new(frozen, 2, 3.0, seed=1)
            with torch.no_grad():
                for parameter in layer.parameters():
                    parameter.add_(drawn(*parameter.shape))
            parts = {name: tensor.detach() for name, tensor in layer.state_dict().items()}
            torch.testing.assert_close(change_of(parts, frozen.weight), layer.delta_weight())


def test_an_output_axis_dora_is_read_for_merging_and_refused_beside_a_base(tmp_path: Path):
    plain = {f"{SQUARE}.lora_down.weight": drawn(2, 8), f"{SQUARE}.lora_up.weight": drawn(8, 2)}
    weight, lengths = drawn(8, 8, seed=4), drawn(8, seed=5).abs()
    changed = weight + plain[f"{SQUARE}.lora_up.weight"] @ plain[f"{SQUARE}.lora_down.weight"]
    expected = changed * (lengths / changed.norm(dim=1))[:, None] - weight
    for suffix, tensor in (("dora_scale", lengths[:, None]), ("magnitude", lengths), ("dora_scale", lengths)):
        path = saved(tmp_path / "x.safetensors", plain | {f"{SQUARE}.{suffix}": tensor})
        found = read_lora(path).layers()[SQUARE]
        assert found["dora_scale"].shape == (8, 1)
        torch.testing.assert_close(change_of(found, weight), expected)
        with pytest.raises(CheckpointError, match=r"output-axis DoRA.*likeness merge OUT .*--base"):
            load_lora(path)


def test_square_lengths_in_one_row_are_of_inputs(tmp_path: Path):
    plain = {f"{SQUARE}.lora_down.weight": drawn(2, 8), f"{SQUARE}.lora_up.weight": drawn(8, 2)}
    path = saved(tmp_path / "x.safetensors", plain | {f"{SQUARE}.dora_scale": drawn(1, 8)})
    assert inspect_file(path).method == "DoRA"
    assert load_lora(path).layers()[SQUARE]["dora_scale"].shape == (1, 8)


@pytest.mark.parametrize(
    ("part", "method"),
    [
        ("oft_blocks", "an OFT"),
        ("oft_diag", "an OFT"),
        ("on_input", "an IA3"),
        ("a1.weight", "a GLoRA"),
        ("w_norm", "a change of normalisations"),
        ("diff_b", "a change of biases"),
        ("boft_R", "a BOFT"),
    ],
)
def test_what_is_not_read_is_refused_by_name_with_what_to_do(tmp_path: Path, part: str, method: str):
    path = saved(tmp_path / "x.safetensors", {f"{SQUARE}.{part}": drawn(8, 8)})
    with pytest.raises(CheckpointError, match=rf"{SQUARE}.{part}.*belongs to {method}.*use it there"):
        load_lora(path)
    assert inspect_file(path).method == method.split(" ", 1)[1]


def test_whole_changes_of_weights_are_refused_beside_a_base_and_read_for_merging(tmp_path: Path):
    path = saved(tmp_path / "x.safetensors", {f"{SQUARE}.diff": drawn(8, 8)})
    torch.testing.assert_close(changes(read_lora(path))[SQUARE], drawn(8, 8))
    with pytest.raises(CheckpointError, match=r"full change.*have no rank.*likeness merge"):
        load_lora(path)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("lora_unet_double_blocks_0_img_attn_proj.lora_down.weight", "Flux"),
        ("transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight", "Flux"),
        ("lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight", "Stable Diffusion 3"),
        ("lora_unet_nowhere.lora_down.weight", "kohya-ss"),
        ("model.diffusion_model.input_blocks.0.0.weight", "not a LoRA"),
    ],
)
def test_a_file_for_something_else_is_refused_by_what_it_is_for(tmp_path: Path, name: str, word: str):
    path = saved(tmp_path / "x.safetensors", {name: drawn(2, 8)})
    with pytest.raises(CheckpointError, match=word):
        read_lora(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({f"{SQUARE}.lora_down.weight": torch.zeros(0, 8), f"{SQUARE}.lora_up.weight": torch.zeros(8, 0)}, "empty"),
        ({f"{SQUARE}.lora_down.weight": torch.ones(8), f"{SQUARE}.lora_up.weight": torch.ones(8, 1)}, "no matrix"),
        ({f"{SQUARE}.lora_down.weight": torch.ones(3, 8), f"{SQUARE}.lora_up.weight": torch.ones(8, 2)}, "not belong"),
    ],
)
def test_tensors_that_make_no_layer_are_refused(tmp_path: Path, change: dict[str, Tensor], message: str):
    with pytest.raises(CheckpointError, match=rf"{SQUARE}.*{message}"):
        read_lora(saved(tmp_path / "x.safetensors", change))


@pytest.mark.parametrize(
    "notes",
    [
        {"lora_adapter_metadata": "[" * 9000},
        {"lora_adapter_metadata": '{"unet.lora_alpha": "much", "unet.r": 2}'},
        {"lora_adapter_metadata": '{"unet.lora_alpha": 2}'},
        {"likeness.alphas": "1"},
        {"likeness.alphas": '{"x": -1}'},
    ],
)
def test_notes_that_lie_are_refused_in_words(tmp_path: Path, notes: dict[str, str]):
    path = saved(tmp_path / "x.safetensors", foreign.diffusers_new("sd15", foreign.layers("sd15")), notes)
    with pytest.raises(CheckpointError, match=r"no table that can be read|a number is wanted"):
        read_lora(path)


def test_alphas_that_diffusers_or_peft_tell_are_read(tmp_path: Path):
    told = {
        "unet.r": 2,
        "unet.lora_alpha": 1,
        "unet.alpha_pattern": {"mid_block.attentions.0.transformer_blocks.0.attn2.to_k": 6},
    }
    path = saved(
        tmp_path / "x.safetensors",
        foreign.diffusers_new("sd15", foreign.layers("sd15", alpha=2.0)),
        {"lora_adapter_metadata": json.dumps(told)},
    )
    alphas = {layer: parts["alpha"].item() for layer, parts in read_lora(path).layers().items()}
    assert alphas["lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"] == 6
    assert alphas["lora_unet_down_blocks_0_attentions_0_proj_in"] == 1
    assert alphas["lora_te_text_model_encoder_layers_11_mlp_fc1"] == 2, "nothing is told of the text encoder"


def test_a_layer_that_is_there_under_two_names_is_refused(tmp_path: Path):
    made = foreign.layers("sdxl")[1:2]
    both = foreign.kohya("sdxl", made) | foreign.kohya("sdxl", made, sgm=False)
    with pytest.raises(CheckpointError, match="holds one layer twice"):
        read_lora(saved(tmp_path / "x.safetensors", both))


# -- for others, and back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("alpha", [2.0, 1.0, 8.0])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_file_comes_back_from_diffusers_bit_for_bit(tmp_path: Path, family: str, alpha: float, dtype: torch.dtype):
    made = foreign.layers(family, alpha=alpha, rank=2, dtype=dtype)
    start = saved(tmp_path / "mira.safetensors", foreign.kohya(family, made), {"ss_steps": "300"})
    there, back = tmp_path / "there.safetensors", tmp_path / "back.safetensors"
    to_diffusers(read_lora(start), there)
    assert all(name.startswith(("unet.", "text_encoder")) for name in read_names(there))
    to_kohya(read_lora(there), back)
    first, last = read_lora(start), read_lora(back)
    assert last.metadata["ss_steps"] == "300"
    assert last.tensors.keys() == first.tensors.keys()
    for name, tensor in first.tensors.items():
        assert last.tensors[name].dtype == (torch.float32 if name.endswith("alpha") else dtype)
        assert torch.equal(last.tensors[name], tensor), name


def read_names(path: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return list(file.keys())


def test_a_file_comes_back_from_peft_bit_for_bit_with_every_rank_and_alpha(tmp_path: Path):
    made = foreign.layers("sd15", alpha=3.0, rank=4)
    odd = foreign.layers("sd15", alpha=0.7, rank=2)[2]
    start = saved(tmp_path / "mira.safetensors", foreign.kohya("sd15", [*made[:2], odd, *made[3:]]))
    to_peft(read_lora(start), tmp_path / "peft")
    found: dict[str, Tensor] = {}
    for part in ("unet", "text_encoder"):
        found |= read_lora(tmp_path / "peft" / part).tensors
    first = read_lora(start).tensors
    assert found.keys() == first.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in first.items())


@pytest.mark.parity
def test_peft_itself_reads_our_folder_and_answers_alike(tmp_path: Path):
    unet = tiny_unet().eval()
    targets = {
        path: layer
        for path, layer in unet.named_modules()
        if path.endswith(("attn1.to_q", "attn2.to_k", "proj_in", "conv1"))
    }
    tensors: dict[str, Tensor] = {}
    for number, (path, layer) in enumerate(targets.items()):
        out, *entering = layer.get_parameter("weight").shape
        rank = 2 + number % 2
        name = f"lora_unet_{path.replace('.', '_')}"
        tensors |= {
            f"{name}.lora_down.weight": drawn(rank, *entering, seed=number),
            f"{name}.alpha": torch.tensor(1.0 + number % 3),
        }
        tensors[f"{name}.lora_up.weight"] = drawn(out, rank, *(1,) * (len(entering) - 1), seed=100 + number) * 0.1
    lora = LoraFile(tensors, {}, "sd15")
    to_peft(lora, tmp_path / "peft")
    noisy, tokens = drawn(1, 4, 8, 8), drawn(1, 5, 16, seed=2)
    with torch.no_grad():
        for name, parts in lora.layers().items():
            path = next(path for path in targets if f"lora_unet_{path.replace('.', '_')}" == name)
            weight = targets[path].get_parameter("weight")
            weight.add_(change_of(parts, weight))
        ours = unet(noisy, 10, encoder_hidden_states=tokens, return_dict=False)[0]
        for name, parts in lora.layers().items():
            path = next(path for path in targets if f"lora_unet_{path.replace('.', '_')}" == name)
            weight = targets[path].get_parameter("weight")
            weight.sub_(change_of(parts, weight))
        wrapped: Any = PeftModel.from_pretrained(unet, str(tmp_path / "peft" / "unet"))
        theirs = wrapped(noisy, 10, encoder_hidden_states=tokens, return_dict=False)[0]
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tool", [to_diffusers, to_peft])
@pytest.mark.parametrize("parts", [("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"), ("dora_scale",)])
def test_what_a_tool_does_not_compute_is_not_written_for_it(tmp_path: Path, tool: Any, parts: tuple[str, ...]):
    shapes = {"hada_w1_a": (8, 2), "hada_w1_b": (2, 8), "hada_w2_a": (8, 2), "hada_w2_b": (2, 8), "dora_scale": (1, 8)}
    tensors = {f"{SQUARE}.{part}": drawn(*shapes[part]) for part in parts}
    if "dora_scale" in parts:
        tensors |= {f"{SQUARE}.lora_down.weight": drawn(2, 8), f"{SQUARE}.lora_up.weight": drawn(8, 2)}
    lora = read_lora(saved(tmp_path / "x.safetensors", tensors))
    with pytest.raises(CheckpointError, match=r"does not compute.*--to kohya"):
        tool(lora, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("family", "version", "is_second"), [("sd15", "sd_v1", "False"), ("sdxl", "sdxl_base_v1-0", "False")]
)
def test_a_converted_file_tells_a1111_its_family(tmp_path: Path, family: str, version: str, is_second: str):
    start = saved(tmp_path / "x.safetensors", foreign.diffusers_new(family, foreign.layers(family)))
    to_kohya(read_lora(start), tmp_path / "mira.safetensors")
    notes = inspect_file(tmp_path / "mira.safetensors").metadata
    assert (notes["ss_base_model_version"], notes["ss_v2"], notes["ss_output_name"]) == (version, is_second, "mira")
    assert notes["sshs_model_hash"] == inspect_file(tmp_path / "mira.safetensors").tail_sha256


def test_a_dora_is_kept_though_one_half_is_zero_because_its_lengths_may_act(tmp_path: Path):
    tensors = {f"{SQUARE}.lora_down.weight": drawn(2, 8), f"{SQUARE}.lora_up.weight": torch.zeros(8, 2)}
    tensors |= {f"{SQUARE}.dora_scale": drawn(1, 8), f"{SQUARE}.alpha": torch.tensor(2.0)}
    save_tensors(tmp_path / "x.safetensors", tensors, notes={})
    assert read_lora(tmp_path / "x.safetensors").tensors.keys() == tensors.keys()


def test_a_layer_that_changes_nothing_is_left_out_and_an_empty_file_is_refused(tmp_path: Path):
    tensors = dict(read_lora(saved(tmp_path / "x.safetensors", foreign.kohya("sd15", foreign.layers("sd15")))).tensors)
    zero = "lora_te_text_model_encoder_layers_11_mlp_fc1"
    tensors[f"{zero}.lora_up.weight"] = torch.zeros_like(tensors[f"{zero}.lora_up.weight"])
    save_tensors(tmp_path / "y.safetensors", tensors, notes={})
    assert read_lora(tmp_path / "y.safetensors").tensors.keys() == {n for n in tensors if not n.startswith(zero)}
    with pytest.raises(CheckpointError, match="changes nothing"):
        save_tensors(tmp_path / "z.safetensors", {n: t for n, t in tensors.items() if n.startswith(zero)}, notes={})
    assert not (tmp_path / "z.safetensors").exists()
