"""Where an adapter file comes from: the family of its base, the method, and the tool that wrote it.

All of it is read off names, shapes and notes; a file by others says little else of itself.
"""

import json
from collections.abc import Mapping

from likeness.diffusion.files.headers import family_noted
from likeness.diffusion.files.notations import PARTS_BY_OTHERS, Key
from likeness.diffusion.layers import Shape

__all__ = ["KINDS", "Layers", "family_of_layers", "kind_of_layer", "layers_of", "trainer_of", "width_in"]

Layers = Mapping[tuple[str, str], Mapping[str, Shape]]
"""The shapes of each layer's tensors by our names for them; a layer is its network and its path in it."""

CONTEXTS = {768: "sd15", 1024: "sd2", 2048: "sdxl"}
"""The families by the width of the vectors that text is told in."""

KINDS: Mapping[str, str] = {
    "LoRA": "",
    "LoCon": "",
    "Tucker LoCon": "",
    "DoRA": "",
    "LoHa": "",
    "LoKr": "",
    "output-axis DoRA": "its lengths are of outputs and not of inputs, and what they do depends on the base's weights",
    "full change": "it holds whole changes of weights, which have no rank",
    "DoRA of another kind": "it is a LoHa, LoKr or Tucker LoCon with lengths of its own, which is not read",
}
"""The methods whose files are taken apart, and why those cannot stand beside a base as an adapter that cannot."""


def layers_of(keys: Mapping[str, tuple[Key, Shape]]) -> dict[tuple[str, str], dict[str, Shape]]:
    """What `Layers` says, of names taken apart and the shapes of their tensors."""
    layers: dict[tuple[str, str], dict[str, Shape]] = {}
    for key, shape in keys.values():
        layers.setdefault((key.module, key.path), {})[key.part] = shape
    return layers


def family_of_layers(layers: Layers, metadata: Mapping[str, str]) -> str:
    """The family of the base: by what only one of them has, then by widths, then by the file's notes; "" for none.

    Base is "sd15", "sd2" or "sdxl". Where a name says "te1" and nothing else tells, it is SDXL.
    """
    paths = [path for module, path in layers if module == "unet"]
    if any(module == "te2" for module, _ in layers) or any(_is_only_in_sdxl(path) for path in paths):
        return "sdxl"
    widths = {
        width_in(parts): CONTEXTS[width_in(parts)]
        for (_, path), parts in layers.items()
        if path.endswith(("attn2.to_k", "attn2.to_v")) and width_in(parts) in CONTEXTS
    }
    if len(widths) == 1:
        return next(iter(widths.values()))
    projections = {len(shape) for path, shape in _projections(layers).items()}
    low = {len(shape) for path, shape in _projections(layers).items() if path.startswith(NOT_IN_SDXL)}
    texts = {width_in(parts) for (module, path), parts in layers.items() if module == "te" and ".self_attn." in path}
    if 4 in projections or 2 in low or 1024 in texts:  # 2.x has Linear projections, where 1.x has convolutions
        return "sd15" if 4 in projections else "sd2"
    if noted := family_noted(metadata):
        return noted
    if any(module == "te1" for module, _ in layers):
        return "sd15" if paths else "sdxl"
    return "sd2" if projections else "sd15" if 768 in texts else ""


NOT_IN_SDXL = ("down_blocks.0.attentions.", "up_blocks.3.")


def _projections(layers: Layers) -> dict[str, Shape]:
    """The shapes of the down weights of what stands around transformer blocks."""
    return {
        path: parts["lora_down.weight"]
        for (_, path), parts in layers.items()
        if path.endswith(("proj_in", "proj_out")) and "lora_down.weight" in parts
    }


def _is_only_in_sdxl(path: str) -> bool:
    """SDXL has deep attention, and some on the lowest level, where the other families have none."""
    block = path.split(".transformer_blocks.")
    is_deep = len(block) > 1 and not block[1].startswith("0.")
    return is_deep or path.startswith(("up_blocks.0.attentions.", "add_embedding."))


def width_in(parts: Mapping[str, Shape]) -> int:
    """How many numbers the layer is given that these tensors change; 0 where they do not tell."""
    for name in ("lora_down.weight", "hada_w1_b", "diff"):
        if len(parts.get(name, ())) > 1:
            return parts[name][1]
    factors = [
        next((parts[part][1] for part in (whole, f"{whole}_b") if len(parts.get(part, ())) > 1), 0)
        for whole in ("lokr_w1", "lokr_w2")
    ]
    return factors[0] * factors[1]


def kind_of_layer(parts: Mapping[str, Shape]) -> str:
    """The method that a layer's tensors are of: a name in `KINDS`, a method of `PARTS_BY_OTHERS`, or "" for none."""
    if others := [PARTS_BY_OTHERS[part] for part in parts if part in PARTS_BY_OTHERS]:
        return others[0]
    lengths = "dora_scale" if "dora_scale" in parts else "magnitude" if "magnitude" in parts else ""
    names = parts.keys() - {"alpha", lengths}
    if names == {"lora_down.weight", "lora_up.weight"}:
        if lengths:
            is_inward = lengths == "dora_scale" and len(parts[lengths]) > 1 and parts[lengths][0] == 1
            return "DoRA" if is_inward else "output-axis DoRA"
        kernel = parts["lora_down.weight"][2:]
        return "LoCon" if any(side > 1 for side in kernel) else "LoRA"
    base = _kind_of_names(names)
    return "DoRA of another kind" if lengths and base else base


def _kind_of_names(names: set[str]) -> str:
    if names == {"lora_down.weight", "lora_up.weight", "lora_mid.weight"}:
        return "Tucker LoCon"
    hada = {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"}
    if names in (hada, hada | {"hada_t1", "hada_t2"}):
        return "LoHa"
    if names and all(name.startswith("lokr_") for name in names):
        return "LoKr"
    return "full change" if names == {"diff"} else ""


def trainer_of(names: Mapping[str, object], metadata: Mapping[str, str]) -> str:
    """The tool that wrote a file, where its notes or its names say so; "" where they do not.

    Args:
        names: of all tensors.
        metadata: the file's notes.
    """
    if metadata.get("modelspec.implementation_version", "").startswith("likeness/"):
        return metadata["modelspec.implementation_version"].replace("/", " ")
    if any(name.startswith("ot_") for name in metadata) or any(name.startswith("bundle_emb.") for name in names):
        return "OneTrainer"
    if software := _software(metadata):
        return software
    if module := metadata.get("ss_network_module"):
        return "LyCORIS in kohya-ss/sd-scripts" if module.startswith("lycoris") else "kohya-ss/sd-scripts"
    if any(name.startswith("lycoris_") for name in names):
        return "SimpleTuner"
    if any(name.endswith(".magnitude") for name in names):
        return "ai-toolkit"
    if any(".processor." in name for name in names):
        return "diffusers before 0.22"
    if any("base_model.model." in name for name in names):
        return "peft"
    is_new = "lora_adapter_metadata" in metadata or any(name.startswith(("unet.", "text_encoder")) for name in names)
    return "diffusers" if is_new else ""


def _software(metadata: Mapping[str, str]) -> str:
    """ai-toolkit writes its name and version as JSON."""
    try:
        told = json.loads(metadata.get("software", "{}"))
    except ValueError:
        return ""
    return f"{told['name']} {told.get('version', '')}".strip() if isinstance(told, dict) and "name" in told else ""
