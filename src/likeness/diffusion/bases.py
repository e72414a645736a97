"""A base of any family opened: its networks from a folder or a file, its tokenizers, its schedule, its VAE."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import nn

from likeness.diffusion.folders import read_folder, read_vae_folder
from likeness.diffusion.parts import Layout, Networks, Parts
from likeness.diffusion.prompts import Wording
from likeness.diffusion.quantised import quantise
from likeness.diffusion.schedule import Schedule
from likeness.diffusion.single_file import read_single_file, read_vae_file
from likeness.diffusion.statements import settled
from likeness.diffusion.tokenizers import open_tokenizer, vocabulary_files, vocabulary_folder
from likeness.errors import CheckpointError, RecipeError
from likeness.recipe import BaseConfig

__all__ = ["open_parts"]


def open_parts(
    path: Path, layout: Layout, *, device: torch.device | str, dtype: torch.dtype, config: BaseConfig
) -> Parts:
    """The base at `path`, taken apart, frozen, on its device.

    Args:
        path: a folder that diffusers wrote, or one .safetensors file.
        layout: of its family.
        device: where it is to be.
        dtype: of denoiser and text encoders. The VAE is in `config.vae_dtype`, never float16, which overflows in it.
        config: what the recipe says of it, apart from where it lies, its device and dtype.

    Raises:
        CheckpointError: where a part is missing, is a pickle, or is not a sound file, or parts do not fit together.
        RecipeError: where the recipe contradicts the base, or asks for numbers that the device does not have.
    """
    read = read_single_file if path.is_file() else read_folder
    networks = read(path, layout, dtype=dtype, config=config)
    files = dict(networks.files)
    wordings = [_wording(path, layout, place, networks, config, files) for place in range(len(layout.texts))]
    vae = networks.vae or _own_vae(Path(config.vae).expanduser(), layout, files)
    if vae.config["latent_channels"] != networks.unet.config["in_channels"]:
        raise CheckpointError(
            f"base.vae = {config.vae!r} makes latents of {vae.config['latent_channels']} channels, and the base reads "
            f"{networks.unet.config['in_channels']}: it is for another family."
        )
    scheduler, settings = _scheduler(networks, config)
    for network in (networks.unet, vae, *networks.text_encoders):
        network.eval().requires_grad_(False)
    if config.quantise != "none":  # before it is on its device, which never holds it whole
        quantise(networks.unet, config.quantise, device=torch.device(device))
    unet, vae = cast("Any", networks.unet), cast("Any", vae)  # diffusers types `to` as a function of no class
    return Parts(
        unet=unet.to(device),
        vae=cast("Any", nn.Module.to(vae, device, getattr(torch, config.vae_dtype))),  # diffusers' own warns of nothing
        text_encoders=tuple(encoder.to(device) for encoder in networks.text_encoders),
        wordings=tuple(wordings),
        schedule=Schedule.from_config(scheduler, device=device),
        clip_skip=config.clip_skip,
        files=files,
        settings=settings,
        quantised=config.quantise,
    )


def _wording(
    path: Path, layout: Layout, place: int, networks: Networks, config: BaseConfig, files: dict[str, Path]
) -> Wording:
    """How a text encoder is asked; the files that decide it are added to `files`."""
    text, encoder = layout.texts[place], networks.text_encoders[place]
    folder = vocabulary_folder(path, config.tokenizer, text.vocabulary)
    read: Any = encoder.config
    if config.clip_skip > read.num_hidden_layers:
        raise RecipeError(
            f"base.clip_skip = {config.clip_skip}, but the text encoder has {read.num_hidden_layers} layers. Use "
            "1 or 2."
        )
    opened = open_tokenizer(folder, words=read.vocab_size, longest=read.max_position_embeddings, zero=text.zero)
    files |= {f"{text.vocabulary}/{file.name}": file for file in vocabulary_files(folder)}
    return Wording(*opened)


def _own_vae(path: Path, layout: Layout, files: dict[str, Path]) -> AutoencoderKL:
    """The VAE that the recipe names; its files take the place of the base's in `files`."""
    if not path.exists():
        raise CheckpointError(f"base.vae = {str(path)!r} is not there. Name a .safetensors file or a folder.")
    if path.is_file():
        files["vae"] = path
        return read_vae_file(path, layout.scaling)
    vae, read = read_vae_folder(path)
    files |= {f"vae/{file.name}": file for file in read}
    return vae


def _scheduler(networks: Networks, config: BaseConfig) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The configuration of the schedule as base and recipe settle it, and what the recipe changes about the base."""
    prediction, zero_terminal = settled(networks.said, config)
    said, scheduler = networks.said, dict(networks.scheduler)
    settings = [f"clip_skip={config.clip_skip}"] if config.clip_skip != 1 else []
    if config.vae_dtype != "float32":
        settings.append(f"vae_dtype={config.vae_dtype}")
    if "prediction_type" not in scheduler:
        scheduler["prediction_type"] = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
        if said.prediction is None and prediction != "epsilon":
            settings.append(f"prediction={prediction}")
    if zero_terminal and not scheduler.get("rescale_betas_zero_snr"):
        scheduler["rescale_betas_zero_snr"] = True
        if said.zero_terminal is None:
            settings.append("zero_terminal=true")
    return scheduler, tuple(settings)
