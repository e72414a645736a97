"""Which family a base belongs to, and what it is where it is none: read off a file's header or a folder's tables.

No library is needed for that, and no tensor is loaded.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

from likeness.diffusion.checkpoints import Header, Kind, kind_of, read_header
from likeness.diffusion.statements import said_in_file, said_in_scheduler, settled
from likeness.errors import CheckpointError
from likeness.recipe import BaseConfig

__all__ = ["FAMILIES", "family_of", "latent_side", "native_side", "present", "read_table", "schedule_of"]

KNOWN = "Stable Diffusion 1.x, 2.x and SDXL, with what was made of them, are read."

FAMILIES: Mapping[Kind, str] = {
    "Stable Diffusion 1.x checkpoint": "sd15",
    "Stable Diffusion 2.x checkpoint": "sd2",
    "SDXL checkpoint": "sdxl",
}
"""By what a single file holds."""

ADVICE: Mapping[Kind, str] = {
    "LoRA": "A LoRA is laid over a base: name the checkpoint that it was made for.",
    "ControlNet": "It steers a base: name that base.",
    "textual inversion": "It is a word for a base: name that base.",
    "VAE": "Name it as base.vae, and as base.path a whole checkpoint.",
    "text encoder": "Name a whole checkpoint.",
    "denoiser": "It comes without a text encoder, and nothing can be asked of it: name a whole checkpoint.",
    "SDXL refiner": "It finishes what SDXL begins, and is not trained on characters: name the SDXL base.",
    "inpainting checkpoint": "It fills in masks, with nine channels of input: name the checkpoint that it was made of.",
    "checkpoint that is shown other pictures": "It draws after a picture or a depth map: name the checkpoint that it "
    "was made of.",
}
"""What to do about a file that is no base."""

PIPELINES: Mapping[str, str] = {
    "StableDiffusionPipeline": "sd15",  # 2.x has the same, and is told by its UNet
    "StableDiffusionXLPipeline": "sdxl",
}
"""By the pipeline that a model_index.json names."""


def family_of(path: Path) -> str:
    """The name of the family of the base at `path`, a folder or a single file.

    Raises:
        CheckpointError: for all that is no base of a family that is known, by the name of what it is.
    """
    if path.is_file():
        kind = kind_of(read_header(path))
        return FAMILIES[kind] if kind in FAMILIES else _refuse(path, kind)
    index = path / "model_index.json"
    if not index.is_file():
        raise CheckpointError(
            f"base.path = {path} is not a base model: it has no model_index.json. Name a folder as diffusers writes "
            "it, or one .safetensors file."
        )
    try:
        named = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (ValueError, KeyError, TypeError) as fault:
        raise CheckpointError(f"{index} cannot be read: it names no pipeline class.") from fault
    if named not in PIPELINES:
        raise CheckpointError(
            f"{index} names {named!r}, a family that is not known. Known: {', '.join(PIPELINES)}. {KNOWN}"
        )
    return _with_unet(path, PIPELINES[named])


def _with_unet(path: Path, family: str) -> str:
    """The family of a folder, once its UNet is known to be one that draws from noise and text alone."""
    unet = read_table(path / "unet" / "config.json")
    if (channels := unet.get("in_channels", 4)) != 4:
        _refuse(path, "inpainting checkpoint" if channels == 9 else "checkpoint that is shown other pictures")
    return "sd2" if family == "sd15" and unet.get("use_linear_projection") else family


def _refuse(path: Path, kind: Kind) -> NoReturn:
    if kind == "unknown":
        raise CheckpointError(f"base.path = {path} is no base: none of its tensors is known. {KNOWN}")
    article = "an" if kind.startswith(("SDXL", "inpainting")) else "a"
    raise CheckpointError(f"base.path = {path} is {article} {kind}, and no base. {ADVICE.get(kind, KNOWN)}")


def schedule_of(path: Path, config: BaseConfig) -> tuple[Literal["epsilon", "v"], bool]:
    """What a base predicts, and whether its schedule is zero-terminal; told without loading it.

    Raises:
        CheckpointError: for a file that is not sound, or a prediction that is not known.
        RecipeError: where the recipe contradicts what the base says.
    """
    if path.is_file():
        return settled(said_in_file(read_header(path)), config)
    return settled(said_in_scheduler(_said(path / "scheduler" / "scheduler_config.json")), config)


def latent_side(family: str, prediction: str) -> int:
    """The side of the latents that a family was made for, where its file does not say: 512 px, or 768 for the v kind
    of Stable Diffusion 2.x, or 1024 for SDXL."""
    return 96 if (family, prediction) == ("sd2", "v") else 128 if family == "sdxl" else 64


def native_side(path: Path, config: BaseConfig) -> int:
    """The side of the square that a base draws best, px; told without loading it.

    Raises:
        CheckpointError: for a file that is no base.
        RecipeError: where the recipe contradicts what the file says.
    """
    if path.is_file():
        header = read_header(path)
        prediction, _ = settled(said_in_file(header), config)
        return latent_side(family_of(path), prediction) * 2 ** (_levels(header) - 1)
    unet, vae = (_said(path / part / "config.json") for part in ("unet", "vae"))
    halvings = len(vae.get("block_out_channels", (0,) * 4)) - 1  # four levels, as all Stable Diffusions have
    return int(unet.get("sample_size") or 64) * 2**halvings


def _levels(header: Header) -> int:
    """How many resolutions the VAE of a file has; four where it has none of its own."""
    start = "first_stage_model.encoder.down."
    return len({name.removeprefix(start).split(".")[0] for name in header.tensors if name.startswith(start)}) or 4


def _said(path: Path) -> dict[str, Any]:
    """What a part of a base says of itself; nothing where it says nothing: loading it will tell."""
    return json.loads(path.read_bytes()) if path.is_file() else {}


def present(path: Path) -> Path:
    """The same path, once a file is known to be there.

    Raises:
        CheckpointError: where there is none.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing. The base's folder is not whole; get it again.")
    return path


def read_table(path: Path) -> dict[str, Any]:
    """What a configuration file says.

    Raises:
        CheckpointError: where it is missing, or no JSON object.
    """
    try:
        read = json.loads(present(path).read_text(encoding="utf-8"))
    except ValueError as fault:
        raise CheckpointError(f"{path} is not readable as JSON: {fault}.") from fault
    if not isinstance(read, dict):
        raise CheckpointError(f"{path} is not a table.")
    return read
