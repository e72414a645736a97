"""Encoders in a folder as transformers saves it: DINOv2, SigLIP and SigLIP 2.

Shapes: B batch of one, E numbers of an embedding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likeness.errors import CheckpointError, MissingExtra
from likeness.images import Pixels, sha256_of
from likeness.perception.preparation import ByFrame, ByPatches, read_preparation, read_table
from likeness.perception.rows import EachAlone, unit

__all__ = ["PICKLES", "FolderEncoder"]

PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth", ".torchscript")
"""What the names of files end in that can run code when they are opened."""

_NETWORKS = {
    "dinov2": ("dinov2", "Dinov2Model"),
    "siglip": ("siglip", "SiglipVisionModel"),
    "siglip_vision_model": ("siglip", "SiglipVisionModel"),
    "siglip2": ("siglip", "Siglip2VisionModel"),
    "siglip2_vision_model": ("siglip", "Siglip2VisionModel"),
}
"""By model_type in config.json: our name, and transformers' class, which for SigLIP leaves the text tower out. SigLIP 2
at a fixed size calls itself siglip; siglip2 are its NaFlex models, which keep a picture's shape."""


class FolderEncoder(EachAlone):
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
        return unit(pooled_BE[0].numpy(), self._folder)


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
    if found := sorted(path for path in folder.iterdir() if path.suffix in PICKLES):
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
