"""Encoders: for measuring. A picture becomes a row of numbers; the product of two rows says how alike pictures are.

Only local files are read, and never a pickle. Each encoder carries the sha256 of its weights: what two encoders say, or
one before and after a change of its weights, is never compared.

Shapes: X pictures, E numbers of an embedding, B batch of one, C colours, H W picture.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likeness.errors import CheckpointError, MissingExtra
from likeness.images import Pixels, fit, sha256_of
from likeness.perception.preparation import ByFrame, ByPatches, Size, read_preparation, read_table

__all__ = ["Encoder", "PlainEncoder", "load_encoder"]

Floats = NDArray[np.float32]

_PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth", ".torchscript")

_NETWORKS = {
    "dinov2": ("dinov2", "Dinov2Model"),
    "siglip": ("siglip", "SiglipVisionModel"),
    "siglip_vision_model": ("siglip", "SiglipVisionModel"),
    "siglip2": ("siglip", "Siglip2VisionModel"),
    "siglip2_vision_model": ("siglip", "Siglip2VisionModel"),
}
"""By model_type in config.json: our name, and transformers' class, which for SigLIP leaves the text tower out. SigLIP 2
at a fixed size calls itself siglip; siglip2 are its NaFlex models, which keep a picture's shape."""

_SSCD_SIDE = 288  # px; what SSCD's authors make of the shorter edge
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_CELLS, _CELL = 24, 4  # of the plain encoder: cells along a side, and px along a cell's


class Encoder(Protocol):
    """What turns pictures into rows that can be compared."""

    @property
    def name(self) -> str:
        """What kind it is: "plain", "dinov2", "siglip" or "sscd"."""
        ...

    @property
    def sha256(self) -> str:
        """Of the file of its weights. Scores are compared only where it is equal."""
        ...

    def encode(self, pictures: Sequence[Pixels]) -> Floats:
        """A row of length 1 per picture, in order, shape (X, E); the product of two is how alike they are.

        Each picture is encoded by itself, so that its row does not depend on the others.
        """
        ...


def load_encoder(path: str | Path) -> Encoder:
    """The encoder that lies at a path, on the CPU and in float32.

    Args:
        path: a folder as transformers saves it, of DINOv2, SigLIP or SigLIP 2; an .onnx file of a copy descriptor
            (SSCD); or "plain".

    Raises:
        CheckpointError: where there is no encoder, or one that is refused: a pickle, not whole, of another kind.
        MissingExtra: where a library that it needs is not installed.
    """
    if str(path) == "plain":
        return PlainEncoder()
    path = Path(path).expanduser()
    if path.suffix.lower() in _PICKLES:
        raise CheckpointError(
            f"{path} is a pickle or TorchScript, which can run code when it is opened, and is refused. Export it to "
            "ONNX where you trust it, and name the .onnx file."
        )
    if not path.exists():
        raise CheckpointError(f"There is no encoder at {path}. Check the path; nothing is downloaded.")
    if path.is_dir():
        return _FolderEncoder(path)
    if path.suffix.lower() == ".onnx":
        return _CopyEncoder(path)
    raise CheckpointError(
        f"{path} is no encoder. Name a folder as transformers saves it (config.json, model.safetensors, "
        "preprocessor_config.json), an .onnx file, or 'plain'."
    )


class _EachAlone(ABC):
    """Encodes one picture after the other."""

    width: int  # E; 0 where it is not known before the first picture

    def encode(self, pictures: Sequence[Pixels]) -> Floats:
        """A row of length 1 per picture, in order, shape (X, E)."""
        rows = [self.row(picture) for picture in pictures]
        return np.stack(rows).astype(np.float32) if rows else np.empty((0, self.width), np.float32)

    @abstractmethod
    def row(self, pixels: Pixels) -> NDArray[np.floating]:
        """The row of one picture, length 1."""


class PlainEncoder(_EachAlone):
    """A coarse copy of the picture, less its mean colour. It finds copies, tells no characters apart, needs no weights.

    It sees the centred square as 24 x 24 means of areas. The product of two rows is a correlation, in [-1, 1]. Flat
    pictures are all alike, and have nothing to do with others: there the product is 0.
    """

    name = "plain"
    sha256 = hashlib.sha256(b"likeness plain 1: centred square, 24 x 24 means of areas, less mean colour").hexdigest()
    """Of the method and its version, as there are no weights."""

    width = _CELLS * _CELLS * 3

    def row(self, pixels: Pixels) -> NDArray[np.floating]:
        """The row of one picture, length 1."""
        square_HWC = fit(pixels, _CELLS * _CELL, _CELLS * _CELL).astype(np.float64) / 255
        means_HWC = square_HWC.reshape(_CELLS, _CELL, _CELLS, _CELL, 3).mean((1, 3))
        row_E = (means_HWC - means_HWC.mean((0, 1))).ravel()
        if np.linalg.norm(row_E) < 1e-9:  # a flat picture, of which rounding alone is left
            row_E = np.ones_like(row_E)  # at right angles to every row without a mean
        return row_E / np.linalg.norm(row_E)


class _FolderEncoder(_EachAlone):
    """DINOv2's class token or SigLIP's pooled picture, after the last norm: `pooler_output` in transformers.

    Source: DreamBooth's DINO score takes the class token (google/dreambooth, issue 3); SigLIP's `get_image_features`.
    """

    def __init__(self, folder: Path) -> None:
        config = read_table(folder / "config.json")
        kind = config.get("model_type")
        if kind not in _NETWORKS:
            raise CheckpointError(
                f"{folder / 'config.json'} has model_type = {kind!r}. Use an encoder of one of {', '.join(_NETWORKS)}."
            )
        self.name, network = _NETWORKS[kind]
        self._folder, weights = folder, _weights_of(folder, config)
        by_patches = network == "Siglip2VisionModel"
        self._preparation = read_preparation(folder, ByPatches if by_patches else ByFrame)
        self._network = _load_network(folder, network)
        self.width = int(self._network.config.hidden_size)
        self.sha256 = sha256_of(weights)

    def row(self, pixels: Pixels) -> NDArray[np.floating]:
        """The row of one picture, length 1."""
        import torch

        feed = {name: torch.from_numpy(value) for name, value in self._preparation.feed(pixels).items()}
        with torch.inference_mode():
            pooled_BE = self._network(**feed).pooler_output
        if pooled_BE is None:
            raise CheckpointError(f"{self._folder} was saved without its pooling head. Get the whole vision model.")
        return _unit(pooled_BE[0].numpy(), self._folder)


def _weights_of(folder: Path, config: Mapping[str, Any]) -> Path:
    """The file of the weights in a folder, and of all that the network has.

    Raises:
        CheckpointError: where there is none, or only a pickle, or several, or others would be loaded in its place.
    """
    weights = folder / "model.safetensors"
    elsewhere = [field for field in ("transformers_weights", "quantization_config") if config.get(field)]
    elsewhere += ["adapter_config.json"] if (folder / "adapter_config.json").exists() else []
    if elsewhere:
        raise CheckpointError(
            f"{folder} has {elsewhere[0]}, by which other weights would be loaded than those of {weights.name}, whose "
            "sha256 names the encoder. Get the folder as its authors published it."
        )
    if weights.is_file():
        return weights
    if found := sorted(path for path in folder.iterdir() if path.suffix in _PICKLES):
        raise CheckpointError(
            f"{found[0]} is a pickle, which can run code when it is opened, and is refused. Get model.safetensors of "
            "the same weights, or export them to ONNX where you trust them."
        )
    raise CheckpointError(f"{weights} is missing; weights in several files are not read. Save them as this one file.")


def _load_network(folder: Path, name: str) -> Any:
    """The network of that class of transformers, whole, in float32 and for reading alone.

    Raises:
        CheckpointError: where its weights are not sound, or not all that its config.json asks for.
        MissingExtra: where torch or transformers is not installed.
    """
    try:
        import torch
        import transformers
        from safetensors import SafetensorError
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "transformers", "train", why=f"by the encoder {folder}") from missing
    try:
        with _quiet():
            network, told = getattr(transformers, name).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as fault:
        raise CheckpointError(f"{folder} cannot be loaded as {name}: {fault}. Get it again.") from fault
    if absent := sorted(told["missing_keys"]):  # else transformers draws them at random and goes on
        raise CheckpointError(
            f"{folder / 'model.safetensors'} lacks {len(absent)} tensor(s) that config.json asks for: {absent[0]}. "
            "Get it again."
        )
    return network.eval().requires_grad_(False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar, and its list of the text tower's tensors, which are left out on purpose."""
    from transformers.utils import logging

    level, has_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bar:
            logging.enable_progress_bar()


class _CopyEncoder(_EachAlone):
    """A copy descriptor as an ONNX file: float32 NCHW in, RGB by ImageNet's mean and deviation; a row per picture out.

    Where the file fixes height and width, a picture is stretched to them; else its shorter edge becomes 288 px.

    Source: README of facebookresearch/sscd-copy-detection; both ways are the authors' own. `Resize` is bilinear.
    """

    name = "sscd"

    def __init__(self, path: Path) -> None:
        weights = path.read_bytes()
        self.sha256 = hashlib.sha256(weights).hexdigest()
        self._path, self._session = path, _open_session(path, weights)
        self._input = self._session.get_inputs()[0]
        shape = self._input.shape
        wanted = len(shape) == 4 and _fits(shape[0], 1) and _fits(shape[1], 3) and len(self._session.get_inputs()) == 1
        fixed = [isinstance(side, int) for side in shape[2:]]
        if not wanted or len(set(fixed)) > 1 or self._input.type != "tensor(float)":
            raise CheckpointError(
                f"{path} takes {self._input.type} of shape {shape}. A copy descriptor takes tensor(float) of shape "
                "[1 or free, 3, height, width], both of these fixed or both free, and nothing else. Export it so."
            )
        size = Size(height=shape[2], width=shape[3]) if all(fixed) else Size(shortest_edge=_SSCD_SIDE)
        self._preparation = ByFrame(
            size=size,
            resample=Image.Resampling.BILINEAR,
            image_mean=_IMAGENET_MEAN,
            image_std=_IMAGENET_DEVIATION,
        )
        answer = self._session.get_outputs()[0].shape
        self.width = answer[-1] if answer and isinstance(answer[-1], int) else 0

    def row(self, pixels: Pixels) -> NDArray[np.floating]:
        """The row of one picture, length 1."""
        data_BCHW = self._preparation.feed(pixels)["pixel_values"]
        answer = self._session.run([self._session.get_outputs()[0].name], {self._input.name: data_BCHW})[0]
        answer_BE = np.asarray(answer)
        if answer_BE.ndim != 2 or len(answer_BE) != 1:
            raise CheckpointError(f"{self._path} answers one picture with shape {answer_BE.shape}, not with one row.")
        return _unit(answer_BE[0], self._path)


def _open_session(path: Path, weights: bytes) -> Any:
    """The ONNX model of these bytes, and of nothing else: weights in a second file would not be in the sha256.

    Raises:
        CheckpointError: for what is no ONNX model, or is not all in one file.
        MissingExtra: where onnxruntime is not installed.
    """
    try:
        from onnxruntime import InferenceSession, SessionOptions  # pyright: ignore[reportAttributeAccessIssue]  # of C
        from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "onnxruntime", "perception", why=f"by the encoder {path}") from missing
    options = SessionOptions()
    options.log_severity_level = 3  # errors alone: what it warns of is for whoever exported the model
    nowhere = str(path / "none")  # below a file there is nothing; by default it looks in the working folder
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", nowhere)
    try:
        return InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf) as fault:
        raise CheckpointError(
            f"{path} cannot be opened: {fault}. Get it again; or export it with all weights in the one file."
        ) from fault


def _fits(told: object, size: int) -> bool:
    """Whether an ONNX input takes this size along an axis: it is fixed to it, or free, which is a name or None."""
    return told == size or not isinstance(told, int)


def _unit(row_E: Floats, source: Path) -> NDArray[np.floating]:
    length = float(np.linalg.norm(row_E.astype(np.float64)))
    if not 0 < length < np.inf:
        raise CheckpointError(f"{source} answers a picture with a row of length {length}. Its weights are broken.")
    return row_E / length
