import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from likeness.diffusion.checkpoints import kind_of, read_header
from likeness.errors import CheckpointError


def written(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    """A file with any header, true or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(start: int, end: int, *, shape: list[Any] | None = None, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - start) // 4] if shape is None else shape, "data_offsets": [start, end]}


def test_a_file_that_safetensors_wrote_is_read_as_it_is(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(3, 5), "b": torch.zeros(7, dtype=torch.bfloat16), "empty": torch.zeros(0, 4)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"title": "Mira"})
    header = read_header(tmp_path / "x.safetensors")
    assert {name: tensor.shape for name, tensor in header.tensors.items()} == {"a": (3, 5), "b": (7,), "empty": (0, 4)}
    assert header.metadata == {"title": "Mira"}
    assert header.size == (tmp_path / "x.safetensors").stat().st_size == header.data + 3 * 5 * 4 + 7 * 2


def test_a_header_as_long_as_a_pickle_begins_is_still_read(tmp_path: Path) -> None:
    front = json.dumps({"a": entry(0, 4)}).encode()
    length = int.from_bytes(b"\x80\x02\x01", "little")
    path = written(tmp_path / "x.safetensors", front + b" " * (length - len(front)), b"1234")
    assert path.read_bytes()[:3] == b"\x80\x02\x01"
    assert list(read_header(path).tensors) == ["a"]


HOSTILE = {
    "longer than the file": (b"{}", b"", 1 << 20, "cut short"),
    "longer than any": (b"{}", b"", 1 << 62, "over 100,000,000 bytes"),
    "not JSON": (b"{nothing}", b"", None, "unreadable"),
    "nested beyond reason": (b"[" * 200_000, b"", None, "unreadable"),
    "not UTF-8": (b'{"\xff": 1}', b"", None, "unreadable"),
    "a list": ([], b"", None, "not a table"),
    "a name twice": (b'{"a": {}, "a": {}}', b"", None, "a name occurs twice"),
    "metadata that are no text": ({"__metadata__": {"steps": 3}}, b"", None, "__metadata__"),
    "tensors that overlap": ({"a": entry(0, 8), "b": entry(4, 12)}, b"x" * 12, None, "overlaps"),
    "a gap": ({"a": entry(0, 4), "b": entry(8, 12)}, b"x" * 12, None, "gap"),
    "a start before the data": ({"a": entry(-4, 4, shape=[2])}, b"x" * 4, None, "overlaps"),
    "an end before its start": ({"a": entry(4, 0, shape=[1])}, b"x" * 4, None, "not valid"),
    "bytes that belong to nothing": ({"a": entry(0, 4)}, b"x" * 8, None, "4 bytes at its end"),
    "tensors cut short": ({"a": entry(0, 400)}, b"x" * 100, None, "300 bytes of its tensors are missing"),
    "a shape of another size": ({"a": entry(0, 8, shape=[3])}, b"x" * 8, None, "not valid"),
    "a side below zero": ({"a": entry(0, 4, shape=[-1, -1])}, b"x" * 4, None, "not valid"),
    "a side that is no number": ({"a": entry(0, 4, shape=["1"])}, b"x" * 4, None, "not valid"),
    "an unknown dtype": ({"a": entry(0, 4, dtype="OBJECT")}, b"x" * 4, None, "not valid"),
    "an entry without a place": ({"a": {"dtype": "F32", "shape": [1]}}, b"x" * 4, None, "not valid"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_header_that_lies_is_refused_in_words(tmp_path: Path, case: str) -> None:
    header, data, length, words = HOSTILE[case]
    with pytest.raises(CheckpointError, match=words):
        read_header(written(tmp_path / "hostile.safetensors", header, data, length))


@pytest.mark.parametrize("keep", [0, 3, 8, 40, 200, 1000])
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, keep: int) -> None:
    save_file({"a": torch.zeros(400), "b": torch.zeros(2)}, tmp_path / "x.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "x.safetensors").read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"cut short|not a safetensors file"):
        read_header(cut)


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("bomb-went-off"),)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_whatever_it_is_called_and_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "innocent.safetensors"
    path.write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    with pytest.raises(CheckpointError, match="is a pickle"):
        read_header(path)
    assert not (tmp_path / "bomb-went-off").exists()


def test_a_zip_as_torch_writes_it_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "innocent.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", "x")
    with pytest.raises(CheckpointError, match="is a pickle"):
        read_header(tmp_path / "innocent.safetensors")


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin"])
def test_a_file_under_a_pickle_s_name_is_refused_even_if_sound(tmp_path: Path, suffix: str) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / f"x{suffix}")
    with pytest.raises(CheckpointError, match="is a pickle"):
        read_header(tmp_path / f"x{suffix}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors is not there\. Check the path"):
        read_header(tmp_path / "gone.safetensors")


UNET = "model.diffusion_model.input_blocks.0.0.weight"

KINDS: dict[str, tuple[str, ...]] = {
    "LoRA": ("lora_unet_mid_block_attentions_0_proj_in.lora_down.weight",),
    "ControlNet": ("control_model.input_blocks.0.0.weight",),
    "textual inversion": ("clip_l", "clip_g"),
    "Stable Diffusion 1.x checkpoint": (UNET, "cond_stage_model.transformer.text_model.final_layer_norm.weight"),
    "Stable Diffusion 2.x checkpoint": (UNET, "cond_stage_model.model.ln_final.weight"),
    "SDXL checkpoint": (UNET, "conditioner.embedders.0.transformer.x", "conditioner.embedders.1.model.ln_final.weight"),
    "SDXL refiner": (UNET, "conditioner.embedders.0.model.ln_final.weight"),
    "Playground 2.5 checkpoint": (UNET, "edm_mean", "conditioner.embedders.1.model.ln_final.weight"),
    "Stable Diffusion 3 checkpoint": ("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight",),
    "Flux checkpoint": ("transformer_blocks.0.norm1_context.x", "single_transformer_blocks.0.attn.to_q.weight"),
    "Stable Cascade checkpoint": ("clip_txt_mapper.weight",),
    "checkpoint of a family that is not known": ("cap_embedder.0.weight",),
    "denoiser": ("down_blocks.0.resnets.0.conv1.weight",),
    "VAE": ("encoder.down_blocks.0.resnets.0.conv1.weight",),
    "text encoder": ("text_model.embeddings.token_embedding.weight",),
    "unknown": ("bert.pooler.weight",),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_holds_is_told_by_its_tensors(tmp_path: Path, kind: str) -> None:
    save_file({name: torch.zeros(2) for name in KINDS[kind]}, tmp_path / "x.safetensors")
    assert kind_of(read_header(tmp_path / "x.safetensors")) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unet.mid_block.attentions.0.to_q.lora_A.weight", "LoRA"),
        ("lora_unet_mid_block_attentions_0_proj_in.hada_w1_a", "LoRA"),
        ("input_blocks.0.0.weight", "denoiser"),
        ("model.diffusion_model.input_blocks.0.0.weight", "denoiser"),
        ("first_stage_model.encoder.conv_in.weight", "VAE"),
        ("joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3 checkpoint"),
        ("transformer_blocks.0.norm1_context.linear.weight", "Stable Diffusion 3 checkpoint"),
        ("double_blocks.0.img_attn.qkv.weight", "Flux checkpoint"),
        ("transformer.resblocks.0.ln_1.bias", "text encoder"),
    ],
)
def test_a_part_is_told_in_each_of_its_notations(tmp_path: Path, name: str, kind: str) -> None:
    save_file({name: torch.zeros(2)}, tmp_path / "x.safetensors")
    assert kind_of(read_header(tmp_path / "x.safetensors")) == kind


@pytest.mark.parametrize(("channels", "kind"), [(9, "inpainting checkpoint"), (5, "checkpoint that is shown other")])
def test_a_unet_of_other_channels_is_told_by_its_first_layer(tmp_path: Path, channels: int, kind: str) -> None:
    tensors = {UNET: torch.zeros(2, channels, 3, 3), "cond_stage_model.transformer.x": torch.zeros(2)}
    save_file(tensors, tmp_path / "x.safetensors")
    assert kind_of(read_header(tmp_path / "x.safetensors")).startswith(kind)
