"""Encoders for measuring: what their networks are fed, that their rows are transformers' own, and what is refused."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from tiny_networks import Graph

from likeness.errors import CheckpointError, MissingExtra
from likeness.images import Pixels, sha256_of
from likeness.perception.encoders import Encoder, PlainEncoder, load_encoder
from likeness.perception.preparation import ByFrame, read_preparation

TINY: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**TINY, "intermediate_size": 32, "patch_size": 8}
COLOURS = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2], "resample": 3, "rescale_factor": 1 / 255}
FRAMES = {
    "dinov2": {
        **COLOURS,
        "size": {"shortest_edge": 36},
        "do_center_crop": True,
        "crop_size": {"height": 28, "width": 28},
    },
    "siglip": {**COLOURS, "size": {"height": 32, "width": 32}, "do_center_crop": None, "crop_size": None},
    "siglip2": {**COLOURS, "resample": 2, "patch_size": 8, "max_num_patches": 20},
}
PROCESSORS = {"dinov2": "BitImageProcessor", "siglip": "SiglipImageProcessor", "siglip2": "Siglip2ImageProcessor"}


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    """A picture of soft blots, in which each part differs from the others."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.repeat(np.repeat(coarse, -(-height // 6), 0), -(-width // 6), 1)[:height, :width]


PICTURES = [noise(50, 40, 1), noise(33, 90, 2), noise(36, 36, 3)]


def network_of(kind: str) -> Any:
    """A network with random weights, with the text tower where the real one has it."""
    text = {**TINY, "intermediate_size": 32, "vocab_size": 8, "max_position_embeddings": 4}
    if kind == "dinov2":
        return transformers.Dinov2Model(transformers.Dinov2Config(**TINY, image_size=28, patch_size=7))
    if kind == "siglip":
        vision = {**VISION, "image_size": 32}
        return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision))
    vision = {**VISION, "num_patches": 16}
    return transformers.Siglip2Model(transformers.Siglip2Config(text_config=text, vision_config=vision))


def save(kind: str, folder: Path, seed: int = 0) -> Any:
    """The network, saved as its authors publish it."""
    torch.manual_seed(seed)
    network = network_of(kind).eval()
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(FRAMES[kind]))
    return network


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Any]]:
    """Folder and network of a kind, made once."""
    made: dict[str, tuple[Path, Any]] = {}

    def of(kind: str) -> tuple[Path, Any]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = folder, save(kind, folder)
        return made[kind]

    return of


@pytest.fixture
def folder(saved: Callable[[str], tuple[Path, Any]], tmp_path: Path) -> Path:
    """A sound folder of DINOv2 that a test may spoil."""
    return Path(shutil.copytree(saved("dinov2")[0], tmp_path / "dinov2"))


def features_of(network: Any, feed: Any) -> torch.Tensor:
    """What a network itself says of one picture."""
    told = network.get_image_features(**feed) if hasattr(network, "get_image_features") else network(**feed)
    return getattr(told, "pooler_output", told)[0]  # SigLIP's, in version 4, are the features alone


def lengths(rows: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rows, axis=1)


@pytest.mark.versions
@pytest.mark.parametrize("kind", FRAMES)
class TestAFolder:
    def test_its_rows_are_those_of_transformers(self, saved: Callable[[str], tuple[Path, Any]], kind: str):
        """Prepared by transformers' own processor for Pillow, with the padding that it adds."""
        folder, network = saved(kind)
        name = PROCESSORS[kind]  # version 5 has those for Pillow under names of their own
        processor = getattr(transformers, f"{name}Pil" if hasattr(transformers, f"{name}Pil") else name)(**FRAMES[kind])
        with torch.no_grad():
            wanted = [features_of(network, processor(picture, return_tensors="pt")) for picture in PICTURES]
        rows = load_encoder(folder).encode(PICTURES)
        assert np.allclose(rows, torch.nn.functional.normalize(torch.stack(wanted)).numpy(), atol=1e-5)

    def test_its_rows_have_length_1_and_differ_by_picture(self, saved: Callable[[str], tuple[Path, Any]], kind: str):
        rows = load_encoder(saved(kind)[0]).encode(PICTURES)
        assert rows.shape == (3, 16)
        assert rows.dtype == np.float32
        assert np.allclose(lengths(rows), 1, atol=1e-6)
        assert (rows @ rows.T)[np.triu_indices(3, 1)].max() < 0.9999

    def test_a_row_does_not_depend_on_the_other_pictures(self, saved: Callable[[str], tuple[Path, Any]], kind: str):
        encoder = load_encoder(saved(kind)[0])
        assert np.allclose(encoder.encode(PICTURES)[1], encoder.encode([PICTURES[1]])[0], atol=1e-6)
        assert encoder.encode([]).shape == (0, 16)

    def test_it_says_nothing_while_it_is_loaded(
        self, saved: Callable[[str], tuple[Path, Any]], kind: str, capfd: pytest.CaptureFixture[str]
    ):
        encoder = load_encoder(saved(kind)[0])
        assert encoder.name == {"dinov2": "dinov2"}.get(kind, "siglip")
        assert capfd.readouterr() == ("", "")


@pytest.mark.versions
def test_dinov2s_row_is_the_class_token_after_the_last_norm(saved: Callable[[str], tuple[Path, Any]]):
    folder, network = saved("dinov2")
    data = read_preparation(folder, ByFrame).feed(PICTURES[0])["pixel_values"]
    with torch.no_grad():
        token = network(torch.from_numpy(data)).last_hidden_state[0, 0]
    assert np.allclose(load_encoder(folder).encode(PICTURES[:1])[0], (token / token.norm()).numpy(), atol=1e-6)


@pytest.mark.versions
def test_a_vision_tower_that_was_saved_alone_gives_the_same_rows(
    saved: Callable[[str], tuple[Path, Any]], tmp_path: Path
):
    whole = saved("siglip")[0]
    transformers.SiglipVisionModel.from_pretrained(whole).save_pretrained(tmp_path)
    shutil.copy(whole / "preprocessor_config.json", tmp_path)
    assert np.allclose(load_encoder(tmp_path).encode(PICTURES), load_encoder(whole).encode(PICTURES), atol=1e-6)


def test_the_sha_is_of_the_weights_and_of_nothing_else(saved: Callable[[str], tuple[Path, Any]], tmp_path: Path):
    folder = saved("dinov2")[0]
    save("dinov2", tmp_path / "same")
    save("dinov2", tmp_path / "other", seed=1)
    sha = load_encoder(folder).sha256
    assert sha == sha256_of(folder / "model.safetensors")
    assert load_encoder(tmp_path / "same").sha256 == sha
    assert load_encoder(tmp_path / "other").sha256 != sha


# -- copy descriptors --------------------------------------------------------------------------------------------------


def descriptor(path: Path, shape: list[int | str], *, factor: float = 1.0, rank: int = 2) -> Path:
    """Answers with mean red, green and blue of what it is fed, then its height and width in hundreds of px."""
    graph = Graph()
    row = graph.put([-1, 1], np.int64)
    means = graph.do("ReduceMean", "picture", axes=[2, 3], keepdims=0)
    ones = graph.do("Add", graph.do("Mul", graph.channel("picture", 0), graph.put(0)), graph.put(1))
    sides = [
        graph.do("ReduceSum", graph.do("ReduceMean", ones, axes=[5 - a]), graph.put([a], np.int64)) for a in (2, 3)
    ]
    hundreds = [graph.do("Div", graph.do("Reshape", side, row), graph.put(100)) for side in sides]
    told = graph.do("Mul", graph.do("Concat", means, *hundreds, axis=1), graph.put(factor))
    graph.do("Reshape", told, graph.put([*[1] * (rank - 2), -1, 5], np.int64), to="row")
    graph.save(path, shape, {"row": [*[1] * (rank - 2), "batch", 5]}, "picture")
    return path


def unit(*numbers: float) -> np.ndarray:
    return np.array(numbers) / np.linalg.norm(numbers)


ORANGE = np.full((60, 40, 3), (255, 128, 0), np.uint8)
FED = [(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (0 - 0.406) / 0.225]
"""What becomes of orange by ImageNet's mean and deviation, in the order red, green, blue."""


class TestACopyDescriptor:
    def test_it_is_named_with_the_sha_of_its_file(self, tmp_path: Path):
        path = descriptor(tmp_path / "sscd.onnx", ["batch", 3, "height", "width"])
        assert (load_encoder(path).name, load_encoder(path).sha256) == ("sscd", sha256_of(path))

    def test_a_free_input_gets_the_picture_in_its_shape_with_288_px_on_the_shorter_edge(self, tmp_path: Path):
        encoder = load_encoder(descriptor(tmp_path / "sscd.onnx", ["batch", 3, "height", "width"]))
        rows = encoder.encode([ORANGE, ORANGE.swapaxes(0, 1)])
        assert np.allclose(
            rows, [unit(*FED, 4.32, 2.88), unit(*FED, 2.88, 4.32)], atol=1e-3
        )  # a float32 mean of many pixels

    def test_a_fixed_input_gets_the_picture_stretched_to_it(self, tmp_path: Path):
        encoder = load_encoder(descriptor(tmp_path / "sscd.onnx", [1, 3, 32, 48]))
        assert np.allclose(encoder.encode([ORANGE, ORANGE]), [unit(*FED, 0.32, 0.48)] * 2, atol=1e-5)
        assert encoder.encode([]).shape == (0, 5)

    @pytest.mark.parametrize("shape", [[1, 1, 32, 32], [4, 3, 32, 32], [1, 32, 32], [1, 3, 32, "width"]])
    def test_one_that_takes_no_pictures_is_refused(self, tmp_path: Path, shape: list[int | str]):
        graph = Graph()
        graph.do("Identity", "picture", to="row")
        graph.save(tmp_path / "other.onnx", shape, {"row": shape}, "picture")
        with pytest.raises(CheckpointError, match=r"takes tensor\(float\) of shape.*Export it so"):
            load_encoder(tmp_path / "other.onnx")

    def test_an_answer_that_is_no_row_is_refused(self, tmp_path: Path):
        encoder = load_encoder(descriptor(tmp_path / "sscd.onnx", [1, 3, 8, 8], rank=3))
        with pytest.raises(CheckpointError, match=r"shape \(1, 1, 5\), not with one row"):
            encoder.encode([ORANGE])

    @pytest.mark.parametrize("factor", [0.0, float("nan")])
    def test_a_row_without_a_length_is_refused(self, tmp_path: Path, factor: float):
        encoder = load_encoder(descriptor(tmp_path / "sscd.onnx", [1, 3, 8, 8], factor=factor))
        with pytest.raises(CheckpointError, match="weights are broken"):
            encoder.encode([ORANGE])

    def test_weights_in_a_second_file_are_refused_because_the_sha_would_not_hold_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        path = descriptor(tmp_path / "sscd.onnx", [1, 3, 8, 8])
        onnx.save(onnx.load(path), path, save_as_external_data=True, location="sscd.onnx.data", size_threshold=0)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(CheckpointError, match="all weights in the one file"):
            load_encoder(path)

    def test_a_file_that_is_no_onnx_is_refused(self, tmp_path: Path):
        (tmp_path / "sscd.onnx").write_bytes(b"<html>not found</html>")
        with pytest.raises(CheckpointError, match="cannot be opened"):
            load_encoder(tmp_path / "sscd.onnx")


# -- what is refused ---------------------------------------------------------------------------------------------------


class TestRefusals:
    @pytest.mark.parametrize("name", ["sscd_disc_mixup.torchscript.pt", "model.PTH", "model.bin", "model.torchscript"])
    def test_a_pickle_is_refused_unopened(self, tmp_path: Path, name: str):
        (tmp_path / name).write_bytes(b"\x80")
        with pytest.raises(CheckpointError, match=r"is refused\. Export it to ONNX"):
            load_encoder(tmp_path / name)

    def test_a_folder_with_a_pickle_alone_is_refused(self, folder: Path):
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is a pickle.*Get model\.safetensors"):
            load_encoder(folder)

    def test_a_path_with_nothing_there_is_named(self, tmp_path: Path):
        with pytest.raises(CheckpointError, match=r"no encoder at .*dinov2.*nothing is downloaded"):
            load_encoder(tmp_path / "facebook" / "dinov2-small")

    def test_another_file_is_told_what_there_could_be(self, folder: Path):
        with pytest.raises(CheckpointError, match=r"Name a folder.*\.onnx.*'plain'"):
            load_encoder(folder / "model.safetensors")

    @pytest.mark.parametrize(
        ("file", "text", "said"),
        [
            ("config.json", '{"model_type": "clip"}', r"model_type = 'clip'. Use an encoder of one of dinov2"),
            ("config.json", "[]", "holds no table"),
            ("config.json", "{", "cannot be read"),
            ("preprocessor_config.json", "{}", "resample: Field required"),
            ("preprocessor_config.json", json.dumps(FRAMES["dinov2"] | {"do_rescale": False}), "do_rescale"),
            ("preprocessor_config.json", json.dumps(FRAMES["dinov2"] | {"size": {}}), "size: .*shortest_edge"),
            ("preprocessor_config.json", json.dumps(FRAMES["dinov2"] | {"crop_size": None}), "needs a crop_size"),
            ("preprocessor_config.json", json.dumps(FRAMES["dinov2"] | {"size": {"shortest_edge": 20}}), "is larger"),
            ("model.safetensors", "cut short", "cannot be loaded as Dinov2Model"),
        ],
    )
    def test_a_file_of_the_folder_that_is_not_right_is_named(self, folder: Path, file: str, text: str, said: str):
        (folder / file).write_text(text)
        with pytest.raises(CheckpointError, match=said):
            load_encoder(folder)

    @pytest.mark.parametrize(
        ("file", "field"),
        [
            ("config.json", "transformers_weights"),
            ("config.json", "quantization_config"),
            ("adapter_config.json", "base_model_name_or_path"),
        ],
    )
    def test_a_folder_that_leads_to_other_weights_is_refused(self, folder: Path, file: str, field: str):
        """Those would be loaded, and the sha would be that of model.safetensors."""
        path = folder / file
        path.write_text(
            json.dumps(json.loads(path.read_text() if path.exists() else "{}") | {field: "other.safetensors"})
        )
        with pytest.raises(CheckpointError, match="by which other weights would be loaded"):
            load_encoder(folder)

    @pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
    def test_a_file_that_is_missing_is_named(self, folder: Path, file: str):
        (folder / file).unlink()
        with pytest.raises(CheckpointError, match=file):
            load_encoder(folder)

    @pytest.mark.versions
    def test_weights_that_lack_a_tensor_are_not_made_up(self, folder: Path):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
        with pytest.raises(CheckpointError, match=r"lacks .* tensor\(s\).*layer"):
            load_encoder(folder)

    @pytest.mark.parametrize(("library", "extra"), [("transformers", "train"), ("onnxruntime", "perception")])
    def test_a_missing_library_is_named_with_what_installs_it(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, extra: str
    ):
        path = folder if extra == "train" else descriptor(tmp_path / "sscd.onnx", [1, 3, 8, 8])
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(MissingExtra, match=rf"{library} is needed by the encoder .*\[{extra}\]"):
            load_encoder(path)


# -- without weights ---------------------------------------------------------------------------------------------------


def likeness(first: Pixels, second: Pixels) -> float:
    rows = PlainEncoder().encode([first, second])
    return float(rows[0] @ rows[1])


class TestThePlainEncoder:
    def test_it_is_loaded_by_its_name(self):
        encoder: Encoder = load_encoder("plain")
        assert (encoder.name, encoder.sha256) == ("plain", PlainEncoder.sha256)
        assert len(encoder.sha256) == 64

    def test_a_copy_is_more_alike_than_a_mirrored_or_another_picture(self):
        picture = noise(120, 120, 1)
        brighter = (picture * 0.9 + 20).astype(np.uint8)
        smaller = picture[::2, ::2]
        assert likeness(picture, picture) == pytest.approx(1)
        assert min(likeness(picture, brighter), likeness(picture, smaller)) > 0.98
        assert max(likeness(picture, picture[:, ::-1]), likeness(picture, noise(120, 120, 2))) < 0.5

    def test_a_negative_is_the_opposite(self):
        assert likeness(noise(96, 96), 255 - noise(96, 96)) == pytest.approx(-1, abs=1e-3)

    def test_what_lies_outside_the_centred_square_is_not_seen(self):
        wide = np.concatenate([noise(96, 30, 1), noise(96, 96, 2), noise(96, 30, 3)], axis=1)
        assert likeness(wide, noise(96, 96, 2)) > 0.98

    def test_a_flat_picture_is_like_all_flat_ones_and_no_other(self):
        red, blue = (np.full((50, 70, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
        assert likeness(red, blue) == pytest.approx(1)
        assert likeness(red, noise(96, 96)) == pytest.approx(0, abs=1e-6)

    def test_every_row_has_length_1(self):
        rows = PlainEncoder().encode([*PICTURES, np.zeros((3, 5, 3), np.uint8)])
        assert rows.shape == (4, 24 * 24 * 3)
        assert np.allclose(lengths(rows), 1, atol=1e-6)
        assert PlainEncoder().encode([]).shape == (0, 24 * 24 * 3)
