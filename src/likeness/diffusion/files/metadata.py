"""What an adapter file says about itself: kohya-ss's `ss_*` and `sshs_*`, and ModelSpec's `modelspec.*`.

Sources: kohya-ss/sd-scripts `train_network.py` for `ss_*` and `sshs_*`; Stability-AI/ModelSpec 1.0.1 for `modelspec.*`.
"""

import hashlib
import json
import struct
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from likeness.diffusion.family import Prediction
from likeness.diffusion.files.headers import LONGEST_HEADER, front_of, hash_notes
from likeness.diffusion.files.notations import RANKED
from likeness.errors import CheckpointError

__all__ = ["LoraMetadata", "labelled", "relabelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraMetadata:
    """What a file says about its LoRA; an empty field is left out of the file.

    There is no date among it, so that two equal runs write equal files.

    Attributes:
        title: for people.
        base_name: of the base it was trained on.
        prediction: what the base predicts.
        resolution: trained at, width and height, px.
        base_version: as kohya-ss names it: "sd_v1", "sd_v2", "sdxl_base_v1-0".
        base_sha256: the base's fingerprint.
        architecture: as ModelSpec names the base: "stable-diffusion-v1".
        trigger: the words that call the character.
        tags: what the LoRA is to be found under.
        implementation_version: of likeness.
        tag_frequency: how often each tag was seen, by folder of pictures.
        training: further `ss_*` values, named without the prefix: {"steps": 300, "learning_rate": 1e-3}. Tables and
            lists are written as JSON.
    """

    title: str
    base_name: str
    prediction: Prediction
    resolution: tuple[int, int]
    base_version: str = "sd_v1"
    base_sha256: str = ""
    architecture: str = "stable-diffusion-v1"
    trigger: str = ""
    tags: tuple[str, ...] = ()
    implementation_version: str = ""
    tag_frequency: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


def labelled(packed: bytes, metadata: LoraMetadata, *, name: str, tensors: Mapping[str, Tensor]) -> bytes:
    """A LoRA file with its metadata in front; equal contents give equal bytes.

    Args:
        packed: the file as safetensors packs it, without metadata.
        metadata: what it is to say.
        name: of the file, without its ending.
        tensors: what is in it, by name.

    Raises:
        CheckpointError: where the metadata are longer than tools read.
    """
    places, tail = _unpacked(packed)
    notes = _network_notes(tensors) | _kohya_notes(metadata, name)
    notes |= _hashes(notes, places, tail) | _modelspec_notes(metadata)
    return _file(notes, places, tail, name=name)


def relabelled(packed: bytes, kept: Mapping[str, str], *, name: str, tensors: Mapping[str, Tensor]) -> bytes:
    """An adapter file with the notes of the one that it was made from; what they say of ranks, hashes and its name is
    said anew. Of a file under other names than kohya-ss's, ranks are left as they were told.

    Args:
        packed: the file as safetensors packs it, without metadata.
        kept: the notes of the file that it was made from.
        name: of the file, without its ending.
        tensors: what is in it, by name.

    Raises:
        CheckpointError: where the metadata are longer than tools read.
    """
    places, tail = _unpacked(packed)
    notes = {key: value for key, value in kept.items() if not key.startswith(("sshs_", "modelspec.hash_"))}
    notes |= {"ss_output_name": name}
    if any(tensor.endswith(".alpha") for tensor in tensors):
        notes |= _network_notes(tensors)
    return _file(notes | _hashes(notes, places, tail), places, tail, name=name)


def _unpacked(packed: bytes) -> tuple[dict[str, Any], bytes]:
    """Where each tensor lies in a packed file, and the bytes of them all."""
    (length,) = struct.unpack("<Q", packed[:8])
    return json.loads(packed[8 : 8 + length]), packed[8 + length :]


def _hashes(notes: Mapping[str, str], places: Mapping[str, Any], tail: bytes) -> dict[str, str]:
    digest = hashlib.sha256(tail).hexdigest()
    return hash_notes(notes, places, digest, lambda place, length: tail[place : place + length])


def _file(notes: Mapping[str, str], places: Mapping[str, Any], tail: bytes, *, name: str) -> bytes:
    header = front_of(notes, places)
    if len(header) > LONGEST_HEADER:
        raise CheckpointError(
            f"{name}.safetensors would have a header of {len(header):,} bytes; some tools read {LONGEST_HEADER:,} at "
            "most. Use fewer different tags in captions."
        )
    return header + tail


def _network_notes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Rank and alpha as kohya-ss tells them: those of most layers, and those of wide convolutions beside them; and the
    module that it would load the file with, LyCORIS for all but plain LoRA."""
    plain: Counter[tuple[int, float]] = Counter()
    wide: Counter[tuple[int, float]] = Counter()
    parts = {name.partition(".")[2] for name in tensors}
    for name, alpha in tensors.items():
        layer, _, part = name.partition(".")
        if part == "alpha":
            inner = next((tensors[f"{layer}.{own}"] for own in RANKED if f"{layer}.{own}" in tensors), None)
            kind = plain if inner is None or inner.shape[2:].numel() == 1 else wide
            kind[round(alpha.item()) if inner is None else len(inner), alpha.item()] += 1
    (rank, alpha), _ = (plain or wide).most_common(1)[0]
    arguments = _algorithm(parts)
    module = "lycoris.kohya" if arguments else "networks.lora"
    if wide:
        (conv_rank, conv_alpha), _ = wide.most_common(1)[0]
        arguments |= {"conv_dim": str(conv_rank), "conv_alpha": f"{conv_alpha:g}"}
    notes = {"module": module, "dim": str(rank), "alpha": f"{alpha:g}", "args": json.dumps(arguments)}
    return {f"ss_network_{name}": value for name, value in notes.items()}


def _algorithm(parts: Collection[str]) -> dict[str, str]:
    """LyCORIS's name for what is no plain LoRA."""
    if "dora_scale" in parts:
        return {"algo": "lora", "dora_wd": "True", "wd_on_output": "False"}
    kinds = {part[:4] for part in parts}
    return {"algo": "loha"} if "hada" in kinds else {"algo": "lokr"} if "lokr" in kinds else {}


def _kohya_notes(metadata: LoraMetadata, name: str) -> dict[str, str]:
    notes = {
        "output_name": name,
        "sd_model_name": metadata.base_name,
        "new_sd_model_hash": metadata.base_sha256,
        "base_model_version": metadata.base_version,
        "v2": str(metadata.base_version.startswith("sd_v2")),
        "resolution": str(metadata.resolution),
        "tag_frequency": json.dumps({folder: dict(tags) for folder, tags in metadata.tag_frequency.items()}),
    }
    for key, value in metadata.training.items():
        notes[key] = json.dumps(value) if isinstance(value, Mapping | list | tuple) else str(value)
    return {f"ss_{key}": value for key, value in notes.items() if value}


def _modelspec_notes(metadata: LoraMetadata) -> dict[str, str]:
    version = metadata.implementation_version
    notes = {
        "sai_model_spec": "1.0.1",
        "architecture": f"{metadata.architecture}/lora",
        "implementation": "diffusers",
        "implementation_version": version and f"likeness/{version}",
        "title": metadata.title,
        "resolution": f"{metadata.resolution[0]}x{metadata.resolution[1]}",
        "prediction_type": metadata.prediction,
        "trigger_phrase": metadata.trigger,
        "tags": ", ".join(metadata.tags),
    }
    return {f"modelspec.{key}": value for key, value in notes.items() if value}
