"""Makes pictures: model families, the adapter and its files, sampling. This face imports no torch until it loads."""

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.errors import CheckpointError, MissingExtra, RecipeError

if TYPE_CHECKING:
    import torch

    from likeness.diffusion.family import DiffusionModel

__all__ = ["families", "load_model"]

families: Mapping[str, str] = {
    "StableDiffusionPipeline": "likeness.diffusion.sd15:StableDiffusion15",
}
"""The class that loads a base, by the pipeline that its model_index.json names."""


def load_model(path: Path | str, *, device: str = "auto", dtype: str = "auto") -> "DiffusionModel":
    """The base model at `path`, frozen and ready.

    Args:
        path: a folder as diffusers writes it. Never a pickle.
        device: "auto" (CUDA where there is one, else the CPU), or a name that torch knows.
        dtype: of the denoiser and the text encoder: "float32", "bfloat16", "float16", or "auto"
            (bfloat16 on CUDA, float32 on the CPU). The VAE is always float32: float16 overflows in it.

    Raises:
        CheckpointError: where there is no such base, or one that cannot be read.
        RecipeError: for a device or dtype that torch does not have.
        MissingExtra: where torch, diffusers or transformers is not installed.
    """
    module, _, name = families[_pipeline_of(Path(path))].partition(":")
    try:
        family = getattr(import_module(module), name)
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or module, "train", why="to load a base model") from missing
    where = _device(device)
    return family.load(Path(path), device=where, dtype=_dtype(dtype, where))


def _pipeline_of(path: Path) -> str:
    """Which pipeline a folder is of; refuses, in words, all that is not a folder of a known one."""
    if path.is_file():
        from likeness.diffusion.checkpoints import kind_of, read_header

        kind = kind_of(read_header(path))
        raise CheckpointError(
            f"base.path = {path} is a single file ({kind}). A base is read from a folder as diffusers writes it, with "
            "model_index.json, unet/, vae/, text_encoder/, tokenizer/ and scheduler/; convert the file first."
        )
    index = path / "model_index.json"
    if not index.is_file():
        raise CheckpointError(
            f"base.path = {path} is not a base model: it has no model_index.json. Name a folder as diffusers writes it."
        )
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError) as fault:
        raise CheckpointError(f"{index} cannot be read: it names no pipeline class.") from fault
    if named not in families:
        raise CheckpointError(f"{index} names {named!r}, a family that is not known. Known: {', '.join(families)}.")
    return named


def _device(name: str) -> "torch.device":
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as fault:
        raise RecipeError(f"base.device = {name!r} cannot be used: {fault}. Use 'auto' or 'cpu'.") from fault


def _dtype(name: str, device: "torch.device") -> "torch.dtype":
    import torch

    if name == "auto":
        name = "bfloat16" if device.type == "cuda" else "float32"
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in dtypes:
        raise RecipeError(f"base.dtype = {name!r} is not known. Use one of auto, {', '.join(dtypes)}.")
    return dtypes[name]
