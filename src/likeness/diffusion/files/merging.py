"""Adapters merged into the weights of a base: a diffusers folder into a folder, one .safetensors file into one.

Tensor by tensor: in memory are the adapters and one tensor of the base. What the base is written in stays: names,
order, precision, notes.

Sources of names: CompVis/stable-diffusion and Stability-AI/generative-models for single files; mlfoundations/open_clip
for the larger text encoders in them, which keep q, k and v of a block in one matrix.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from likeness.diffusion.checkpoints import Header, kind_of, read_header
from likeness.diffusion.files.conversion import LoraFile, named_for
from likeness.diffusion.files.deltas import change_of
from likeness.diffusion.files.grammar import path_in_text, path_in_unet
from likeness.diffusion.files.notations import Module, canonical_name
from likeness.diffusion.files.streaming import copied_base, write_streaming
from likeness.diffusion.identity import FAMILIES, family_of
from likeness.diffusion.plans import plan_in_file
from likeness.errors import CheckpointError
from likeness.events import Event, Report, silent
from likeness.messages import listed

__all__ = ["Merged", "merge_into"]

FOLDERS: Mapping[str, Module] = {"unet": "unet", "text_encoder": "te", "text_encoder_2": "te2"}
TEXTS: Mapping[str, Module] = {
    "cond_stage_model.": "te",
    "conditioner.embedders.0.": "te",
    "conditioner.embedders.1.": "te2",
}
"""Where single files keep text encoders."""

OPEN_CLIP = {"attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
"""Layers of a block of OpenCLIP, and their paths in transformers."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged.

    Attributes:
        path: of the new base.
        tensors: of the base that were changed.
        layers: of the adapters, that changed them.
    """

    path: Path
    tensors: int
    layers: int


@dataclass(frozen=True, slots=True)
class _Weights:
    """A file of a base: the network that it holds (None for all of them), the family, and the places to a level."""

    path: Path
    header: Header
    module: Module | None
    family: str
    step: int


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a layer's weights lie: in all rows of a tensor, or in a third of them."""

    layer: str
    third: int | None = None


def merge_into(base: Path, loras: Sequence[tuple[LoraFile, float]], to: Path, *, report: Report = silent) -> Merged:
    """`to` is the base with these adapters at these weights in it, whole or not at all.

    Args:
        base: a folder that diffusers wrote, or one .safetensors file in Stability's names.
        loras: of any method in `KINDS`, each with its weight; each sees the weights that those before it left.
        to: a folder for a folder, a .safetensors file for a file; there is none yet.
        report: told after each tensor that was changed.

    Raises:
        CheckpointError: for a base that is none, a layer that it does not have or has in another shape, and for weights
            that its precision cannot hold.
        WorkspaceError: on a full disk or in a read-only folder.
    """
    if to.exists():
        raise CheckpointError(f"{to} is already there, and is not written over. Name another.")
    files = _weights_of(base)
    family = next(iter(files.values())).family
    loras = [(lora if lora.family else named_for(lora, family), weight) for lora, weight in loras]
    places = {path: _places(own) for path, own in files.items()}
    wanted = {layer for lora, _ in loras for layer in lora.layers()}
    found = {spot.layer for spots in places.values() for kinds in spots.values() for spot in kinds}
    if missing := sorted(wanted - found):
        raise CheckpointError(
            f"The LoRA adapts {listed(missing)}, which {base} does not have: it is for another base. Name the base "
            "that it was trained on, or one of the same family."
        )
    changed = 0
    with copied_base(base, to, list(files)) as targets:
        for path, target in targets.items():
            changed += _merge_file(files[path], places[path], loras, target, report)
    return Merged(to, changed, len(wanted))


def _weights_of(base: Path) -> dict[Path, _Weights]:
    """The files of a base that hold what adapters change."""
    if not base.is_dir():
        header = read_header(base)
        if (kind := kind_of(header)) not in FAMILIES:
            raise CheckpointError(f"{base} is no whole base ({kind}). Name one of Stable Diffusion 1.x, 2.x or XL.")
        return {base: _Weights(base, header, None, FAMILIES[kind], _step(base, header))}
    headers = [
        (path, module, read_header(path))
        for folder, module in FOLDERS.items()
        for path in sorted((base / folder).glob("*.safetensors"))
    ]
    if not any(module == "unet" for _, module, _ in headers):
        raise CheckpointError(f"{base} has no unet/*.safetensors, so it is no base as diffusers writes one.")
    family = family_of(base)
    return {path: _Weights(path, header, FOLDERS[path.parent.name], family, 3) for path, _, header in headers}


def _step(path: Path, header: Header) -> int:
    """How many places a level takes in the UNet of a single file."""
    start = "model.diffusion_model."
    shapes = {name.removeprefix(start): one.shape for name, one in header.tensors.items() if name.startswith(start)}
    return plan_in_file(path, shapes).resnets + 1


def _places(weights: _Weights) -> dict[str, tuple[_Spot, ...]]:
    """The layers whose weights each tensor of a file holds."""
    return {name: spots for name in weights.header.tensors if (spots := _spots(name, weights))}


def _spots(name: str, weights: _Weights) -> tuple[_Spot, ...]:
    module, inner = (weights.module, name) if weights.module else _place_in_file(name)
    if module == "unet":
        found = path_in_unet(inner.removesuffix(".weight"), step=weights.step) if inner.endswith(".weight") else None
        return (_Spot(canonical_name("unet", found[0], weights.family)),) if found else ()
    if module is None:
        return ()
    if match := re.fullmatch(r"(?:.*\.)?resblocks\.(\d+)\.attn\.in_proj_weight", inner):
        paths = [f"text_model.encoder.layers.{match[1]}.self_attn.{letter}_proj" for letter in "qkv"]
        return tuple(_Spot(canonical_name(module, path, weights.family), at) for at, path in enumerate(paths))
    path = _path_in_text(inner)
    return (_Spot(canonical_name(module, path, weights.family)),) if path else ()


def _place_in_file(name: str) -> tuple[Module | None, str]:
    """The network that a tensor of a single file belongs to, and its name in it."""
    if name.startswith("model.diffusion_model."):
        return "unet", name.removeprefix("model.diffusion_model.")
    for start, module in TEXTS.items():
        if name.startswith(start):
            return module, name.removeprefix(start).removeprefix("transformer.").removeprefix("model.")
    return None, name


def _path_in_text(name: str) -> str:
    if match := re.fullmatch(r"(?:.*\.)?resblocks\.(\d+)\.(.+)\.weight", name):
        inner = OPEN_CLIP.get(match[2])
        return f"text_model.encoder.layers.{match[1]}.{inner}" if inner else ""
    found = path_in_text(name.removesuffix(".weight")) if name.endswith(".weight") else None
    return found[0] if found else ""


def _merge_file(
    weights: _Weights,
    places: Mapping[str, tuple[_Spot, ...]],
    loras: Sequence[tuple[LoraFile, float]],
    target: Path,
    report: Report,
) -> int:
    """`target` is the file with the adapters in it; returns how many of its tensors were changed."""
    layers = [(lora.layers(), weight) for lora, weight in loras]
    touched = {name for name, spots in places.items() if any(spot.layer in own for own, _ in layers for spot in spots)}
    done = 0
    with safe_open(weights.path, framework="pt") as opened:

        def tensor_of(name: str) -> Tensor:
            nonlocal done
            tensor = opened.get_tensor(name)
            if name not in touched:
                return tensor
            done += 1
            report(Event(stage="merge", done=done, total=len(touched)))
            return _with_layers(name, tensor, places[name], layers)

        write_streaming(target, weights.header, tensor_of, notes=_notes(weights.header.metadata, loras))
    return done


def _notes(metadata: Mapping[str, str], loras: Sequence[tuple[LoraFile, float]]) -> dict[str, str]:
    """A base's notes, without the hashes of what it was, and with what went into it where it has a title."""
    notes = {name: note for name, note in metadata.items() if not name.startswith(("modelspec.hash_", "sshs_"))}
    if title := metadata.get("modelspec.title"):
        titles = [lora.metadata.get("modelspec.title") or lora.metadata.get("ss_output_name") for lora, _ in loras]
        notes["modelspec.merged_from"] = ", ".join([title, *(told or "a LoRA" for told in titles)])
    return notes


def _with_layers(
    name: str,
    tensor: Tensor,
    spots: Sequence[_Spot],
    layers: Sequence[tuple[Mapping[str, Mapping[str, Tensor]], float]],
) -> Tensor:
    """A tensor of the base with all that changes it.

    Raises:
        CheckpointError: where a layer does not fit it, or its precision cannot hold the sum.
    """
    whole = tensor.float().clone()
    for spot in spots:
        rows = whole if spot.third is None else whole.chunk(3)[spot.third]
        for own, weight in layers:
            if spot.layer in own:
                try:
                    rows += change_of(own[spot.layer], rows) * weight
                except CheckpointError as fault:
                    raise CheckpointError(f"The LoRA's {spot.layer!r} does not fit {name}: {fault}.") from fault
    kept = whole.to(tensor.dtype)
    if not torch.isfinite(kept.float()).all():
        raise CheckpointError(
            f"{name} would hold a weight that {str(tensor.dtype).removeprefix('torch.')} cannot; nothing was written. "
            "Merge with a lower weight."
        )
    return kept
