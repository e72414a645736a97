"""Our names for layers written as other tools have them: kohya-ss's, diffusers', peft's.

Of these only kohya-ss's way has a place for alphas in the tensors. For diffusers they are multiplied into the up
weights, as OneTrainer does, and a note keeps them for the way back; peft has them in its configuration.

Sources: diffusers 0.42 `utils/state_dict_utils.py`; huggingface/peft `tuners/lora/config.py`.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from likeness.diffusion.files.alphas import ALPHAS
from likeness.diffusion.files.conversion import LoraFile, rank_of
from likeness.diffusion.files.lineage import kind_of_layer
from likeness.diffusion.files.lora_files import save_tensors
from likeness.diffusion.files.metadata import relabelled
from likeness.diffusion.files.notations import TEXT_ENCODERS, key_of
from likeness.errors import CheckpointError
from likeness.records import make_folder, write_atomically

__all__ = ["WAYS", "dotted_name", "to_diffusers", "to_kohya", "to_peft"]

VERSIONS = {"sd15": ("sd_v1", "False"), "sd2": ("sd_v2", "True"), "sdxl": ("sdxl_base_v1-0", "False")}
"""The notes by which A1111 files a LoRA under its family: ss_base_model_version and ss_v2."""

DOTTED = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight", "dora_scale": "lora_magnitude_vector"}
PLAIN = ("LoRA", "LoCon", "output-axis DoRA")
"""The methods that diffusers and peft compute as kohya-ss's names mean them."""


def to_kohya(lora: LoraFile, out: Path) -> None:
    """`out` is the file under kohya-ss's names, each layer with its alpha, in the precision that it had.

    Raises:
        CheckpointError: where a tool would drop a layer; see `save_tensors`.
    """
    notes = {name: note for name, note in lora.metadata.items() if name != ALPHAS}
    if lora.family:
        version, is_second = VERSIONS[lora.family]
        told = notes.get("ss_base_model_version", "")
        fits = told.startswith({"sd15": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_"}[lora.family])
        notes |= {"ss_base_model_version": told if fits else version, "ss_v2": is_second}
    save_tensors(out, lora.tensors, notes=notes)


def to_diffusers(lora: LoraFile, out: Path) -> None:
    """`out` is a file as diffusers itself writes it: `pipeline.load_lora_weights` takes it as it is.

    Raises:
        CheckpointError: for a method that diffusers does not compute, or weights that are too large once an alpha is
            multiplied in.
    """
    _refuse_others(lora, "diffusers")
    layers = lora.layers()
    alphas = {layer: parts["alpha"].item() for layer, parts in layers.items()}
    unscaled = all(alphas[layer] == rank_of(parts) for layer, parts in layers.items())
    tensors: dict[str, Tensor] = {}
    for layer, parts in layers.items():
        stem = dotted_name(layer)
        for part, tensor in _scaled_in(layer, parts).items():
            tensors[f"{stem}.{DOTTED[part]}"] = tensor
    notes = {name: note for name, note in lora.metadata.items() if name not in (ALPHAS, "lora_adapter_metadata")}
    notes |= {} if unscaled else {ALPHAS: json.dumps(alphas)}
    packed = save(dict(sorted(tensors.items())))
    write_atomically(out, relabelled(packed, notes, name=out.stem, tensors=tensors))


def _refuse_others(lora: LoraFile, tool: str) -> None:
    for layer, parts in lora.layers().items():
        kind = kind_of_layer({part: tuple(tensor.shape) for part, tensor in parts.items()})
        if kind not in PLAIN:
            more = (
                " Its lengths are of inputs and theirs are of outputs; to turn one into the other takes the base."
                if kind == "DoRA"
                else ""
            )
            raise CheckpointError(
                f"{layer} is a layer of {kind}, which {tool} does not compute.{more} Use kohya-ss's names (--to "
                "kohya), or merge the file into its base."
            )


def _scaled_in(layer: str, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A layer with its alpha in its up weights, and lengths in one row.

    Up weights that their own precision cannot hold so to the last bit are in float32.

    Raises:
        CheckpointError: where that cannot hold them either.
    """
    scale, told = parts["alpha"].item() / rank_of(parts), parts["lora_up.weight"]
    up = told * scale
    if not torch.equal(up / scale, told):
        up = told.float() * scale
    if not torch.isfinite(up).all():
        raise CheckpointError(f"{layer}: its up weights times alpha / rank = {scale:g} are too large for a file.")
    rest = {part: tensor for part, tensor in parts.items() if part != "alpha"}
    return {part: _in_row(part, tensor) for part, tensor in {**rest, "lora_up.weight": up}.items()}


def _in_row(part: str, tensor: Tensor) -> Tensor:
    """Lengths are one row of numbers there, and (1, O, 1, 1) of a convolution; all else is as it is."""
    if part == "dora_scale":
        tensor = tensor.flatten() if tensor.ndim == 2 else tensor.reshape(1, -1, *(1,) * (tensor.ndim - 2))
    return tensor.contiguous()


def dotted_name(layer: str) -> str:
    """A layer of ours as diffusers has it: "unet.mid_block.attentions.0.proj_in"."""
    key = key_of(f"{layer}.alpha")
    assert key, f"{layer} is no name of ours"
    return f"{'unet' if key.module == 'unet' else TEXT_ENCODERS[key.module]}.{key.path}"


def to_peft(lora: LoraFile, out: Path) -> None:
    """`out` is a folder with one of peft's own for each network in it (out/unet, out/text_encoder, ...), each for
    `PeftModel.from_pretrained`, with alphas and ranks in its adapter_config.json.

    Raises:
        CheckpointError: for a method that peft does not compute so.
        WorkspaceError: on a full disk or in a read-only folder.
    """
    _refuse_others(lora, "peft")
    networks: dict[str, dict[str, dict[str, Tensor]]] = {}
    for layer, parts in lora.layers().items():
        network, _, path = dotted_name(layer).partition(".")
        networks.setdefault(network, {})[path] = parts
    for network, layers in networks.items():
        folder = out / network
        make_folder(folder)
        tensors = {
            f"base_model.model.{path}.{DOTTED[part]}": _in_row(part, tensor)
            for path, parts in layers.items()
            for part, tensor in parts.items()
            if part != "alpha"
        }
        notes = {name: note for name, note in lora.metadata.items() if name != ALPHAS} | {"format": "pt"}
        packed = relabelled(save(dict(sorted(tensors.items()))), notes, name="adapter_model", tensors=tensors)
        write_atomically(folder / "adapter_model.safetensors", packed)
        write_atomically(folder / "adapter_config.json", json.dumps(_config(layers, lora), indent=2) + "\n")


def _config(layers: Mapping[str, Mapping[str, Tensor]], lora: LoraFile) -> dict[str, object]:
    """What peft has to know of one network's layers."""
    ranks = {path: rank_of(parts) for path, parts in layers.items()}
    alphas = {path: parts["alpha"].item() for path, parts in layers.items()}
    rank, alpha = (Counter(values.values()).most_common(1)[0][0] for values in (ranks, alphas))
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": lora.metadata.get("ss_sd_model_name"),
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {path: value for path, value in ranks.items() if value != rank},
        "alpha_pattern": {path: value for path, value in alphas.items() if value != alpha},
        "target_modules": sorted(layers),
        "use_dora": any("dora_scale" in parts for parts in layers.values()),
        "bias": "none",
        "inference_mode": True,
    }


WAYS = {"kohya": to_kohya, "diffusers": to_diffusers, "peft": to_peft}
"""The ways of writing a file, by the tool that they are for."""
