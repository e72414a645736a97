"""The folder of a base as diffusers writes it: each part found, checked before it is opened, and loaded whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, PreTrainedModel
from transformers.utils import logging

from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.identity import present, read_table
from likeness.diffusion.parts import Layout, Networks
from likeness.diffusion.statements import said_in_scheduler
from likeness.errors import CheckpointError
from likeness.recipe import BaseConfig

__all__ = ["read_folder", "read_vae_folder"]

PICKLES = (".bin", ".ckpt", ".pt")
STEM = "diffusion_pytorch_model"  # of diffusers' weights; transformers' are "model"

NESTED = {r"^(embeddings|encoder|final_layer_norm)\.": r"text_model.\1."}
"""From transformers' names of a text encoder's tensors since 5.6 to those before, which every version reads."""


def read_folder(path: Path, layout: Layout, *, dtype: torch.dtype, config: BaseConfig) -> Networks:
    """The networks in a folder that diffusers wrote; only safetensors are read, and only from that folder.

    Args:
        path: the folder.
        layout: of the family.
        dtype: of denoiser and text encoders; the VAE is float32.
        config: what the recipe says; the folder's own VAE is read where it names no other.

    Raises:
        CheckpointError: where a part is missing, is a pickle, or is not a sound file.
    """
    parts = {"unet": STEM, **({} if config.vae else {"vae": STEM}), **{text.folder: "model" for text in layout.texts}}
    chosen = {part: _weights_file(path / part, stem) for part, stem in parts.items()}
    unet = _load_part(UNet2DConditionModel, path / "unet", chosen["unet"], dtype)
    vae = _load_part(AutoencoderKL, path / "vae", chosen["vae"], torch.float32) if "vae" in parts else None
    texts = [
        _load_part(
            CLIPTextModelWithProjection if text.pooled else CLIPTextModel,
            path / text.folder,
            chosen[text.folder],
            dtype,
        )
        for text in layout.texts
    ]
    scheduler = path / "scheduler" / "scheduler_config.json"
    schedule = read_table(scheduler)
    files = [*chosen.values(), *(path / part / "config.json" for part in parts), scheduler]
    named = {f"{file.parent.name}/{file.name}": file for file in files}
    return Networks(unet, vae, tuple(texts), schedule, said_in_scheduler(schedule), named)


def read_vae_folder(folder: Path) -> tuple[AutoencoderKL, list[Path]]:
    """The VAE in a folder of its own, or in the folder `vae` of a base; float32. And the files it was read from.

    Raises:
        CheckpointError: where there is none.
    """
    inside = folder if (folder / "config.json").is_file() else folder / "vae"
    weights = _weights_file(inside, STEM)
    return _load_part(AutoencoderKL, inside, weights, torch.float32), [weights, inside / "config.json"]


def _weights_file(folder: Path, stem: str) -> Path:
    """The safetensors file of a part, sound by its header; in half precision where that is the only one.

    Raises:
        CheckpointError: where there is none, or only a pickle.
    """
    for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
        if (folder / name).is_file():
            read_header(folder / name)
            return folder / name
    if found := sorted(path for suffix in PICKLES for path in folder.glob(f"*{suffix}")):
        raise CheckpointError(
            f"{found[0]} is a pickle, which can run any code when it is opened, and is refused. Get {stem}.safetensors "
            "of the same weights."
        )
    raise CheckpointError(f"{folder / stem}.safetensors is missing. The base's folder is not whole; get it again.")


def _load_part(kind: Any, folder: Path, weights: Path, dtype: torch.dtype) -> Any:
    """One part of the base, whole, from its own folder and nowhere else.

    Args:
        kind: its class, of diffusers or transformers.
        folder: where its config.json lies.
        weights: its `_weights_file`.
        dtype: what its weights are converted to.

    Raises:
        CheckpointError: where the configuration is missing, or the weights are not all that it asks for.
    """
    present(folder / "config.json")
    is_text = issubclass(kind, PreTrainedModel)
    options: dict[str, Any] = {"dtype": dtype, "key_mapping": NESTED} if is_text else {"torch_dtype": dtype}
    options["variant"] = "fp16" if ".fp16." in weights.name else None
    try:
        with _no_bar():
            part, told = cast("Any", kind).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
            )
    except (OSError, ValueError, RuntimeError) as fault:
        raise CheckpointError(f"{folder} cannot be loaded as {kind.__name__}: {fault}") from fault
    if missing := sorted(told["missing_keys"]):  # else the libraries draw them at random and go on
        raise CheckpointError(f"{weights} lacks {len(missing)} tensor(s) that its config.json asks for: {missing[0]}.")
    return part


@contextmanager
def _no_bar() -> Iterator[None]:
    """Without the progress bar that transformers draws on stderr, even into a log."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
