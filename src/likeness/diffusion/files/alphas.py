"""Alphas that a file tells beside its tensors: in peft's configuration, in diffusers' note, in a note of ours.

A way of writing names that has no place for alphas has them there or has them multiplied into the weights.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likeness.diffusion.files.notations import TEXT_ENCODERS, key_of
from likeness.errors import CheckpointError

__all__ = ["ALPHAS", "alphas_kept", "alphas_told"]

ALPHAS = "likeness.alphas"
"""The note that keeps the alphas of a file whose way of writing has no place for them."""


def alphas_kept(path: Path, metadata: Mapping[str, str]) -> dict[str, float]:
    """The alphas that were multiplied into the up weights when likeness wrote the file, by our names of the layers.

    Raises:
        CheckpointError: for a note that is no table of numbers.
    """
    return _numbers(path, ALPHAS, _table(path, ALPHAS, metadata.get(ALPHAS, "{}")))


def alphas_told(path: Path, metadata: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """What peft's or diffusers' own notes say of alphas, by network and path; "" stands for all other layers.

    Raises:
        CheckpointError: for a note that cannot be read, or says no numbers.
    """
    beside = path.with_name("adapter_config.json")
    if path.name == "adapter_model.safetensors" and beside.exists():
        return _alphas_in(path, _table(path, beside.name, beside.read_text(errors="replace")), "")
    told = _table(path, "lora_adapter_metadata", metadata.get("lora_adapter_metadata", "{}"))
    found: dict[tuple[str, str], float] = {}
    for network in ("unet", "text_encoder", "text_encoder_2"):
        found |= _alphas_in(path, told, f"{network}.")
    return found


def _table(path: Path, name: str, text: str) -> dict[str, Any]:
    """A note that is a table, as JSON; written by whoever wrote the file."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise CheckpointError(f"{path}: {name} is no table that can be read. Get the file again.")
    return told


def _numbers(path: Path, name: str, told: Mapping[str, Any]) -> dict[str, float]:
    """A table of numbers above 0."""
    if odd := [key for key, value in told.items() if type(value) not in (int, float) or not 0 < value < 1e9]:
        raise CheckpointError(f"{path}: {name} says of {odd[0]!r}: {told[odd[0]]!r}, and a number is wanted.")
    return {key: float(value) for key, value in told.items()}


def _alphas_in(path: Path, config: Mapping[str, Any], prefix: str) -> dict[tuple[str, str], float]:
    """The alphas of a peft configuration; rank-stabilised ones as those of a plain LoRA of the same strength."""
    if f"{prefix}lora_alpha" not in config:
        return {}
    whole = {name: config.get(f"{prefix}{name}") for name in ("r", "lora_alpha")}
    rank, told = _numbers(path, "peft's configuration", whole).values()
    patterns = _numbers(path, "alpha_pattern", config.get(f"{prefix}alpha_pattern") or {})
    stretch = rank**0.5 if config.get(f"{prefix}use_rslora") else 1.0
    modules = [name for name, called in TEXT_ENCODERS.items() if prefix in ("", f"{called}.")]
    modules += ["unet"] if prefix in ("", "unet.") else []
    found = {(module, ""): told * stretch for module in modules}
    for pattern, alpha in patterns.items():
        if key := key_of(f"{pattern.removeprefix('^')}.alpha"):
            found[key.module, key.path] = alpha * stretch
    return found
