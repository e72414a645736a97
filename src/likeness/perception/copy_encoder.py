"""Copy descriptors as ONNX files: SSCD.

Shapes: B batch of one, C colours, H W picture, E numbers of an embedding.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from likeness.errors import CheckpointError, MissingExtra
from likeness.images import Pixels
from likeness.perception.preparation import ByFrame, Size
from likeness.perception.rows import EachAlone, unit

__all__ = ["CopyEncoder"]

_SSCD_SIDE = 288  # px; what SSCD's authors make of the shorter edge
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class CopyEncoder(EachAlone):
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
        return unit(answer_BE[0], self._path)


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
