"""Makes pictures: model families, the adapter and its files, sampling. This face imports no torch until it loads."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.diffusion.identity import family_of
from likeness.errors import MissingExtra, RecipeError
from likeness.recipe import BaseConfig

if TYPE_CHECKING:
    import torch

    from likeness.diffusion.family import DiffusionModel

__all__ = ["families", "load_model"]

families: Mapping[str, str] = {
    "sd15": "likeness.diffusion.sd15:StableDiffusion15",
    "sd2": "likeness.diffusion.sd2:StableDiffusion2",
    "sdxl": "likeness.diffusion.sdxl:StableDiffusionXL",
}
"""The class that loads a base, by the name of its family."""


def load_model(
    path: Path | str, *, device: str = "auto", dtype: str = "auto", config: BaseConfig | None = None
) -> "DiffusionModel":
    """The base model at `path`, frozen and ready.

    Args:
        path: a folder as diffusers writes it, or one .safetensors file. Never a pickle.
        device: "auto" (CUDA where there is one, else the CPU), or a name that torch knows.
        dtype: of the denoiser and the text encoders: "float32", "bfloat16", "float16", or "auto" (bfloat16 on CUDA,
            float32 on the CPU). The VAE never is in float16, which overflows in it.
        config: what else the recipe says of the base: prediction, clip skip, tokenizer, VAE. Where it lies, its device
            and dtype are those above.

    Raises:
        CheckpointError: where there is no such base, or one that cannot be read.
        RecipeError: for a device or dtype that torch does not have, or a setting that contradicts the base.
        MissingExtra: where torch, diffusers or transformers is not installed.
    """
    module, _, name = families[family_of(Path(path))].partition(":")
    try:
        family = getattr(import_module(module), name)
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or module, "train", why="to load a base model") from missing
    where = _device(device)
    return family.load(Path(path), device=where, dtype=_dtype(dtype, where), config=config)


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
