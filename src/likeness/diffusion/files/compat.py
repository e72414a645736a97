"""Would a tool take a file? For each of six: how many of its tensors, what it drops, what it gets only nearly right.

Nothing is loaded: names, shapes, alphas and notes decide. diffusers' part is tested against diffusers itself.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from likeness.diffusion.checkpoints import kind_of, read_header
from likeness.diffusion.files.clients import CLIENTS, KOHYA_STYLE, Client, Contents
from likeness.diffusion.files.headers import LONGEST_HEADER
from likeness.diffusion.files.lineage import Layers, family_of_layers, kind_of_layer, layers_of, width_in
from likeness.diffusion.files.notations import key_of, published_layers
from likeness.diffusion.layers import Shape
from likeness.errors import CheckpointError
from likeness.messages import listed

__all__ = ["Dropped", "Verdict", "compat_of", "refuse_dropped", "verdicts"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Tensors that a tool does not take, for one reason."""

    why: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a tool makes of a file.

    Attributes:
        client: the tool.
        total: tensors in the file.
        matched: of these, that it takes.
        dropped: the others, by reason.
        refusal: why it takes nothing at all; "" where it takes what it maps.
        unsupported: the method of most layers, where it does not know that; "" where it does.
        notes: what it gets only nearly right, and what to know.
        mend: what to do; "" where nothing is to be done.
    """

    client: str
    total: int
    matched: int
    dropped: tuple[Dropped, ...]
    refusal: str
    unsupported: str
    notes: tuple[str, ...]
    mend: str

    @property
    def takes_all(self) -> bool:
        """Whether the whole file acts there."""
        return not (self.dropped or self.refusal or self.unsupported)

    @property
    def is_fault(self) -> bool:
        """Whether something is lost by a tool that knows the method: that is a fault of the file."""
        return not self.unsupported and bool(self.dropped or self.refusal)


def compat_of(path: Path) -> tuple[Verdict, ...]:
    """A verdict for each tool.

    Raises:
        CheckpointError: for a pickle, a file cut short, or one that is no LoRA at all.
    """
    header = read_header(path)
    shapes = {name: tensor.shape for name, tensor in header.tensors.items()}
    alphas = [name for name in shapes if name.endswith(".alpha")]
    with safe_open(path, framework="pt") as file:
        told = {name: file.get_tensor(name).float().mean().item() for name in alphas}
    kind = kind_of(header)
    if kind not in ("LoRA", "unknown") or not any(key_of(name) for name in shapes):
        raise CheckpointError(f"{path} is no adapter file ({kind}). Name a LoRA.")
    found = verdicts(shapes, told, header.metadata, file=str(path))
    if header.data <= LONGEST_HEADER:
        return found
    note = f"its header is {header.data:,} bytes long; ComfyUI shows none of its notes above {LONGEST_HEADER:,}"
    return tuple(_with_note(one, note) if one.client == "ComfyUI" else one for one in found)


def verdicts(
    shapes: Mapping[str, Shape], alphas: Mapping[str, float], metadata: Mapping[str, str], *, file: str = "FILE"
) -> tuple[Verdict, ...]:
    """A verdict for each tool on a file of these tensors.

    Args:
        shapes: of the tensors, by name.
        alphas: by name.
        metadata: the file's notes.
        file: what it is called in what to do.
    """
    contents = _contents(shapes, alphas, metadata)
    return tuple(_verdict(client, contents, file) for client in CLIENTS)


def refuse_dropped(tensors: Mapping[str, Tensor]) -> None:
    """Nothing, where every tool that knows these layers' methods takes all of them.

    Raises:
        CheckpointError: otherwise; the tool and the first tensor are named.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for verdict in verdicts(shapes, {}, {}):
        if verdict.dropped and not verdict.unsupported:
            first = verdict.dropped[0]
            raise CheckpointError(
                f"The adapter was not saved: {verdict.client} would drop {first.count} of its {verdict.total} tensors "
                f"({listed(first.examples)}): {first.why}. Adapt other layers (train.blocks)."
            )


def _contents(shapes: Mapping[str, Shape], alphas: Mapping[str, float], metadata: Mapping[str, str]) -> Contents:
    found = {name: key_of(name) for name in shapes}
    inputs = {key.stem for key in found.values() if key and key.part == "on_input"}
    keys = {
        name: (key, tuple(shapes[name]))
        for name, key in found.items()
        if key and (key.part != "weight" or key.stem in inputs)
    }
    layers = layers_of(keys)
    family = family_of_layers(layers, metadata)
    return Contents(
        keys=keys,
        strange=tuple(name for name in shapes if name not in keys),
        layers=layers,
        kinds={place: kind_of_layer(parts) for place, parts in layers.items()},
        family=family,
        is_published=_is_published(layers, family),
        alphas=alphas,
        metadata=metadata,
        notations=frozenset(key.notation for key, _ in keys.values() if key.module == "unet"),
        is_all_kohya=all(name.startswith(KOHYA_STYLE) for name in shapes),
    )


def _is_published(layers: Layers, family: str) -> bool:
    """Whether most layers of the UNet are given as many numbers as in a published base; true where none tells."""
    widths = {path: width_in(parts) for (module, path), parts in layers.items() if module == "unet" and width_in(parts)}
    for published in map(published_layers, [family] if family else ["sd15", "sd2", "sdxl"]):
        fitting = [path for path, width in widths.items() if path in published and published[path][1] == width]
        if 2 * len(fitting) >= len(widths):
            return True
    return False


def _verdict(client: Client, contents: Contents, file: str) -> Verdict:
    main = Counter(contents.kinds.values()).most_common(1)[0][0] if contents.kinds else ""
    reasons = {name: _why_dropped(client, name, contents) for name in (*contents.keys, *contents.strange)}
    taken = [name for name, why in reasons.items() if not why]
    refusal = client.refusal(contents, taken)
    unsupported = main if main not in client.kinds else ""
    total, matched = len(reasons), 0 if refusal else len(taken)
    draft = Verdict(client.name, total, matched, _grouped(reasons), refusal, unsupported, _notes(client, contents), "")
    return replace(draft, mend=_mend(draft, contents, file))


def _why_dropped(client: Client, name: str, contents: Contents) -> str:
    if name not in contents.keys:
        if name.startswith("bundle_emb.") and client.name == "A1111":
            return ""
        return "it is of no layer that it knows"
    key, _ = contents.keys[name]
    kind = contents.kinds[key.module, key.path]
    if kind and kind not in client.kinds:
        return f"it does not know {kind}"
    layers = published_layers(contents.family) if contents.is_published else {}
    if key.module == "unet" and layers and key.path not in layers:
        return "the base has no such layer"
    if why := client.rule(key, contents):
        return why
    is_read = client.endings is None or key.suffix in client.endings
    return "" if is_read else f"names that end in {key.suffix!r} are not read"


def _grouped(reasons: Mapping[str, str]) -> tuple[Dropped, ...]:
    groups: dict[str, list[str]] = {}
    for name, why in reasons.items():
        if why:
            groups.setdefault(why, []).append(name)
    return tuple(Dropped(why, len(names), tuple(sorted(names)[:3])) for why, names in groups.items())


def _notes(client: Client, contents: Contents) -> tuple[str, ...]:
    notes = [f"{kind}: {words}" for kind, words in client.kinds.items() if words and kind in contents.kinds.values()]
    values = {round(value, 4) for value in contents.alphas.values()}
    if client.name == "diffusers" and len(values) > 1:
        notes.append("alphas differ between layers, and it loses those of attention: strengths will be wrong")
    scaled = any(
        "dora_scale" in parts and not _is_unscaled(parts, place, contents) for place, parts in contents.layers.items()
    )
    if client.name == "A1111" and scaled:
        notes.append("DoRA with an alpha that is not its rank: it scales after the lengths are taken, others before")
    if client.name == "A1111" and _lacks_a_quarter(contents):
        notes.append("of the larger text encoders, q, k, v and out of a block act only where all four are adapted")
    if client.name in ("A1111", "Forge") and contents.metadata and (wrong := _misfiled(contents)):
        notes.append(wrong)
    return tuple(notes)


def _is_unscaled(parts: Mapping[str, Shape], place: tuple[str, str], contents: Contents) -> bool:
    stems = [key.stem for key, _ in contents.keys.values() if (key.module, key.path) == place]
    alpha = contents.alphas.get(f"{stems[0]}.alpha") if stems else None
    return alpha is None or alpha == parts["lora_down.weight"][0]


def _lacks_a_quarter(contents: Contents) -> bool:
    """OpenCLIP keeps q, k and v of a block in one matrix, and A1111 changes it only as a whole."""
    large = "te" if contents.family == "sd2" else "te2"
    paths = [path for module, path in contents.layers if module == large and ".self_attn." in path]
    blocks = Counter(path.split(".self_attn.")[0] for path in paths)
    return any(count < 4 for count in blocks.values())


def _misfiled(contents: Contents) -> str:
    """It goes by two notes, and lists no LoRA of Stable Diffusion 1.x while SDXL is loaded."""
    version = contents.metadata.get("ss_base_model_version", "")
    told = "sdxl" if version.startswith("sdxl_") else "sd2" if contents.metadata.get("ss_v2") == "True" else "sd15"
    if contents.family and told != contents.family:
        return f"its notes make it one for {told}, and it is listed as such, and hidden beside {contents.family}"
    return ""


READ = frozenset({"LoRA", "LoCon", "DoRA", "LoHa", "LoKr", "Tucker LoCon"})
"""The methods that can be written under other names."""


def _mend(verdict: Verdict, contents: Contents, file: str) -> str:
    """The command that makes the tool take more of the file, or make right of it; "" where there is none."""
    kinds = set(contents.kinds.values())
    convert, notes = f"likeness convert {file} --to", " ".join(verdict.notes)
    if verdict.unsupported == "Tucker LoCon":
        return f"{convert} kohya OUT"
    if verdict.unsupported:
        return f"likeness merge OUT {file} --base BASE"
    if verdict.client == "diffusers" and (
        "alphas differ" in notes or (verdict.dropped and kinds == {"output-axis DoRA"})
    ):
        return f"{convert} diffusers OUT"
    is_lost = bool(verdict.dropped or verdict.refusal or "listed as" in notes)
    return f"{convert} kohya OUT" if is_lost and kinds & READ else ""


def _with_note(verdict: Verdict, note: str) -> Verdict:
    return replace(verdict, notes=(*verdict.notes, note))
