"""Adapters of another rank: put together exactly, made smaller as well as a rank allows, and said how well."""

import json
from pathlib import Path

import foreign_files as foreign
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

from likeness.cli import app
from likeness.diffusion.files.conversion import LoraFile, read_lora
from likeness.diffusion.files.deltas import change_of, shape_of
from likeness.diffusion.files.resizing import combined, resized
from likeness.errors import CheckpointError
from likeness.pipeline.files import weighted

LAYER = "lora_unet_mid_block_resnets_0_conv1"


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plain(rank: int, *, seed: int = 1, alpha: float | None = None, dtype: torch.dtype = torch.float32) -> LoraFile:
    """A file of a convolution and a Linear layer."""
    tensors = {
        f"{LAYER}.lora_down.weight": drawn(rank, 6, 3, 3, seed=seed),
        f"{LAYER}.lora_up.weight": drawn(10, rank, 1, 1, seed=seed + 50),
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": drawn(rank, 8, seed=seed + 100),
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": drawn(12, rank, seed=seed + 150),
    }
    tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    for layer in {name.split(".")[0] for name in tensors}:
        tensors[f"{layer}.alpha"] = torch.tensor(float(alpha or rank))
    return LoraFile(tensors, {}, "sd15")


def change(lora: LoraFile, layer: str = LAYER) -> Tensor:
    parts = lora.layers()[layer]
    return change_of(parts, torch.empty(shape_of(parts), device="meta"))


def test_several_files_together_change_what_each_changes_at_its_weight():
    first, second = plain(2, seed=1, alpha=1.0), plain(3, seed=2, alpha=5.0)
    both = LoraFile(combined([(first, 0.8), (second, -0.5)]), {})
    for layer, parts in both.layers().items():
        assert len(parts["lora_down.weight"]) == 5 == parts["alpha"].item()
        torch.testing.assert_close(change(both, layer), 0.8 * change(first, layer) - 0.5 * change(second, layer))


def test_a_layer_that_one_file_lacks_is_the_others():
    first = plain(2)
    only = LoraFile({name: t for name, t in first.tensors.items() if name.startswith(LAYER)}, {}, "sd15")
    both = LoraFile(combined([(first, 1.0), (only, 1.0)]), {})
    torch.testing.assert_close(change(both), 2 * change(first))
    assert len(both.layers()) == 2


def test_the_most_precise_of_the_files_decides_on_precision():
    found = combined([(plain(2, dtype=torch.float16), 1.0), (plain(2, dtype=torch.bfloat16), 1.0)])
    assert found[f"{LAYER}.lora_up.weight"].dtype == torch.float32
    assert combined([(plain(2, dtype=torch.float16), 1.0)])[f"{LAYER}.lora_up.weight"].dtype == torch.float16


def test_files_for_different_bases_are_not_put_together():
    other = LoraFile(plain(2).tensors, {}, "sdxl")
    with pytest.raises(CheckpointError, match="different bases: sd15, sdxl"):
        combined([(plain(2), 1.0), (other, 1.0)])


def test_a_smaller_rank_is_as_near_as_any_of_that_rank():
    """By Eckart and Young, against the singular values of the whole change."""
    lora = plain(6, alpha=3.0)
    tensors, kept = resized(lora, rank=2)
    whole = change(lora)
    values = torch.linalg.svdvals(whole.flatten(1))
    error = (change(LoraFile(tensors, {})) - whole).square().sum()
    torch.testing.assert_close(error, values[2:].square().sum(), rtol=1e-4, atol=1e-4)
    assert kept[LAYER].rank == 2
    assert kept[LAYER].energy == pytest.approx((values[:2].square().sum() / values.square().sum()).item(), rel=1e-4)
    assert tensors[f"{LAYER}.alpha"].item() == 2
    assert tensors[f"{LAYER}.lora_down.weight"].shape == (2, 6, 3, 3)
    assert tensors[f"{LAYER}.lora_up.weight"].shape == (10, 2, 1, 1)


def test_a_rank_that_is_no_smaller_changes_nothing():
    lora = plain(4, alpha=1.0)
    tensors, kept = resized(lora, rank=9)
    torch.testing.assert_close(change(LoraFile(tensors, {})), change(lora), atol=1e-5, rtol=1e-4)
    assert {one.rank for one in kept.values()} == {4}
    assert all(one.energy == pytest.approx(1.0) for one in kept.values())


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.99])
def test_a_share_that_is_to_be_kept_takes_the_smallest_rank_that_keeps_it(keep: float):
    lora = plain(6)
    _, kept = resized(lora, keep=keep)
    for layer, one in kept.items():
        assert one.energy >= keep - 1e-5
        if one.rank > 1:
            assert resized(lora, rank=one.rank - 1)[1][layer].energy < keep


def test_products_become_plain_layers_and_a_dora_cannot():
    parts = {
        "hada_w1_a": drawn(10, 2),
        "hada_w1_b": drawn(2, 6, seed=2),
        "hada_w2_a": drawn(10, 2, seed=3),
        "hada_w2_b": drawn(2, 6, seed=4),
    }
    name = "lora_unet_mid_block_attentions_0_proj_in"
    loha = LoraFile(
        {f"{name}.{part}": tensor for part, tensor in parts.items()} | {f"{name}.alpha": torch.tensor(1.0)}, {}
    )
    tensors, kept = resized(loha, rank=6)
    torch.testing.assert_close(change(LoraFile(tensors, {}), name), change(loha, name), atol=1e-5, rtol=1e-4)
    assert kept[name].rank == 4, "two matrices of rank 2, number by number, have rank 4"
    dora = LoraFile({**plain(2).tensors, f"{LAYER}.dora_scale": torch.ones(1, 6, 1, 1)}, {})
    with pytest.raises(CheckpointError, match=r"layer of DoRA.*depends on the base.*--base BASE"):
        resized(dora, rank=1)


# -- the commands ------------------------------------------------------------------------------------------------------


def saved(path: Path, seed: int = 1) -> Path:
    made = foreign.kohya("sd15", foreign.layers("sd15", rank=4, alpha=2.0))
    save_file(
        {name: tensor * (1 if name.endswith("alpha") else seed) for name, tensor in made.items()},
        path,
        metadata={"ss_output_name": path.stem},
    )
    return path


def run(*words: object) -> dict[str, object]:
    done = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_commands_convert_merge_and_resize(tmp_path: Path):
    one, two = saved(tmp_path / "one.safetensors"), saved(tmp_path / "two.safetensors", seed=2)
    assert run("convert", one, "--to", "diffusers", tmp_path / "d.safetensors")["layers"] == 7
    run("merge", tmp_path / "both.safetensors", f"{one}=0.5", two)
    notes = read_lora(tmp_path / "both.safetensors").metadata
    assert notes["modelspec.merged_from"] == "one, two"
    assert (notes["ss_output_name"], notes["ss_network_dim"], notes["ss_network_alpha"]) == ("both", "8", "8")
    told = run("resize", tmp_path / "both.safetensors", "--rank", 3, tmp_path / "small.safetensors")
    assert {rank for block in told["kept"] for rank in block["ranks"]} == {3}  # type: ignore[union-attr]
    small = load_file(tmp_path / "small.safetensors")
    assert {len(tensor) for name, tensor in small.items() if "lora_down" in name} == {3}
    words = CliRunner().invoke(app, ["resize", str(one), "--keep", "0.9", str(tmp_path / "k.safetensors")]).stdout
    assert "kept, least" in words
    alphas = {round(t.item(), 4) for name, t in load_file(tmp_path / "k.safetensors").items() if name.endswith("alpha")}
    assert len(alphas) == 1, "diffusers loses those that differ"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["convert", "ONE", "--to", "onnx", "x.safetensors"], "Use one of kohya, diffusers, peft"),
        (["resize", "ONE", "x.safetensors"], "Say how small"),
        (["resize", "ONE", "--rank", "2", "ONE"], "is the file itself"),
        (["merge", "x.safetensors", "ONE=much"], "no weight"),
        (["merge", "x", "ONE", "--base", "y", "--rank", "3"], "Leave out --rank or --base"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(tmp_path: Path, words: list[str], message: str):
    one = saved(tmp_path / "one.safetensors")
    typed = [word.replace("ONE", str(one)) for word in words]
    done = CliRunner().invoke(app, typed)
    assert message in str(done.exception)


def test_a_file_whose_name_has_an_equals_sign_is_a_file(tmp_path: Path):
    odd = tmp_path / "a=1"
    odd.touch()
    assert weighted(str(odd)) == (odd, 1.0)
    assert weighted("mira.safetensors=0.8") == (Path("mira.safetensors"), 0.8)
