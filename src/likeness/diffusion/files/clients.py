"""What each tool that opens adapter files takes of them, written out by us: names, methods, and what refuses a file.

Each `Client` is the rule of one program, read in its source:

- ComfyUI: `comfy/lora.py` (model_lora_keys_unet, model_lora_keys_clip, load_lora), `comfy/weight_adapter/`.
- A1111 1.10: `extensions-builtin/Lora/networks.py`, `network.py`, `network_*.py`.
- Forge: `packages_3rdparty/comfyui_lora_collection/lora.py`, `backend/patcher/lora.py`.
- InvokeAI 6: `backend/patches/lora_conversions/{sd,sdxl}_lora_conversion_utils.py`, `backend/patches/layers/`,
  `model_manager/configs/lora.py`.
- diffusers 0.42: `loaders/lora_pipeline.py`, `loaders/lora_conversion_utils.py`, `utils/state_dict_utils.py`.
- kohya: kohya-ss/sd-scripts `networks/lora.py`, `networks/loha.py`, `networks/lokr.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from likeness.diffusion.files.lineage import Layers, width_in
from likeness.diffusion.files.notations import Key
from likeness.diffusion.layers import Shape

__all__ = ["CLIENTS", "KOHYA_STYLE", "Client", "Contents"]

KOHYA_STYLE = ("lora_unet_", "lora_te_", "lora_te1_", "lora_te2_")
"""What names begin with in kohya-ss's way of writing them."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is known of a file before a tensor is read.

    Attributes:
        keys: the names that are understood, taken apart, with shapes.
        strange: the names that are not.
        layers: the shapes of each layer's tensors.
        kinds: the method of each layer.
        family: of the base; "" where nothing tells.
        is_published: whether the layers are as wide as a published base's, and not a small one's.
        alphas: that the file tells, by name.
        metadata: its notes.
        notations: in which layers of the UNet are written.
        is_all_kohya: whether every name begins as kohya-ss's do.
    """

    keys: Mapping[str, tuple[Key, Shape]]
    strange: tuple[str, ...]
    layers: Layers
    kinds: Mapping[tuple[str, str], str]
    family: str
    is_published: bool
    alphas: Mapping[str, float]
    metadata: Mapping[str, str]
    notations: frozenset[str]
    is_all_kohya: bool


Rule = Callable[[Key, Contents], str]
"""Why a tensor is not taken, "" where it is."""


@dataclass(frozen=True, slots=True)
class Client:
    """The rule of one program.

    Attributes:
        name: of the program.
        endings: the ends of names that it understands; None for all that are known.
        kinds: the methods that it computes, and what it gets only nearly right of each.
        rule: which names it maps to a layer.
        refusal: why it takes nothing of a file at all; "" where it takes some.
    """

    name: str
    endings: frozenset[str] | None
    kinds: Mapping[str, str]
    rule: Rule
    refusal: Callable[[Contents, Sequence[str]], str]


KOHYA_ENDS = frozenset({
    ".lora_down.weight", ".lora_up.weight", ".lora_mid.weight", ".alpha", ".dora_scale", ".diff", ".diff_b", ".w_norm",
    ".b_norm",
})  # fmt: skip
LYCORIS_ENDS = frozenset(f".{part}" for part in (
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
))  # fmt: skip
GLORA_ENDS = frozenset({".a1.weight", ".a2.weight", ".b1.weight", ".b2.weight"})
OLD_ENDS = frozenset({
    "_lora.down.weight", "_lora.up.weight", ".lora.down.weight", ".lora.up.weight", ".lora_A.weight", ".lora_B.weight",
    ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight",
})  # fmt: skip
BY_INPUTS = {"LoRA": "", "LoCon": "", "Tucker LoCon": "", "DoRA": "", "LoHa": "", "LoKr": "", "full change": ""}
OUTPUT_AXIS = "it divides by the lengths of the base's own weights, and not of the changed ones"


def _nothing(contents: Contents, taken: Sequence[str]) -> str:
    return ""


def _comfy_name(key: Key, contents: Contents) -> str:
    """ComfyUI maps underscored names under both UNets' paths, and dotted ones with attention under old names only."""
    wants = {
        "lora_unet_": ("diffusers", "sgm"),
        "lycoris_": ("diffusers",),
        "unet.": ("diffusers", "processor"),
        "": ("diffusers", "processor"),
        "diffusion_model.": ("sgm",),
        **dict.fromkeys(("lora_te_", "lora_te1_", "lora_te2_", "text_encoder.", "text_encoder_2."), ("text",)),
    }
    if key.notation not in wants.get(key.prefix, ()):
        return f"names beginning with {key.prefix or key.name.split('.')[0]!r} and written so are not mapped"
    if key.prefix in ("unet.", "") and key.notation == "diffusers" and ".to_" in key.path:
        return "of dotted names, attention is mapped only as '...processor.to_q_lora...', as diffusers once wrote it"
    if key.module == "te2" and contents.family != "sdxl":
        return "only SDXL has a second text encoder"
    return ""


def _forge_name(key: Key, contents: Contents) -> str:
    if key.prefix.startswith("lycoris_"):
        return "names beginning with 'lycoris_' are not mapped"
    return _comfy_name(key, contents)


def _forge_refusal(contents: Contents, taken: Sequence[str]) -> str:
    missed = len(contents.keys) + len(contents.strange) - len(taken)
    return "" if missed <= 12 else f"{missed} names are not mapped, and of more than 12 it takes nothing of a file"


def _a1111_name(key: Key, contents: Contents) -> str:
    is_sdxl = contents.family == "sdxl"
    if key.prefix not in KOHYA_STYLE:
        return "only names beginning with lora_unet_, lora_te_, lora_te1_ or lora_te2_ are mapped"
    if key.module == "te" and is_sdxl:
        return "SDXL's text encoders are lora_te1_ and lora_te2_"
    if key.module == "te2" and not is_sdxl:
        return "only SDXL has a second text encoder"
    odd = ("up_blocks.0.upsamplers.", "add_embedding.")
    if is_sdxl and key.notation == "diffusers" and key.path.startswith(odd):
        return "under diffusers' name, this layer of SDXL is looked for in another place"
    return "" if key.notation in ("diffusers", "sgm", "text") else "written in a way that is not mapped"


def _a1111_refusal(contents: Contents, taken: Sequence[str]) -> str:
    if odd := next((name for name in contents.strange if "." not in name), ""):
        return f"{odd!r} has no dot in it, which ends the loading of a file"
    broken = next((path for (_, path), kind in contents.kinds.items() if not kind), "")
    return f"the tensors of {broken} are of no kind it knows, which ends the loading of a file" if broken else ""


def _invoke_name(key: Key, contents: Contents) -> str:
    is_sdxl = contents.family == "sdxl"
    if key.prefix not in KOHYA_STYLE:
        return "only names with underscores, beginning with lora_unet_ or lora_te_, are looked up"
    if key.module == "unet" and key.notation not in (("diffusers", "sgm") if is_sdxl else ("diffusers",)):
        return "of Stable Diffusion 1.x and 2.x, layers are looked up by diffusers' path"
    if key.module in (("te",) if is_sdxl else ("te1", "te2")):
        return "text encoders are lora_te1_ and lora_te2_ of SDXL, and lora_te_ of the others"
    return "" if key.notation in ("diffusers", "sgm", "text") else "written in a way that is not looked up"


def _invoke_refusal(contents: Contents, taken: Sequence[str]) -> str:
    """It takes a file whole or not at all, once it knows the family: by what cross attention is told."""
    if contents.family == "sdxl":
        names = (*contents.keys, *contents.strange)
        if odd := next((name for name in names if not name.startswith(("lora_unet_", "lora_te1_", "lora_te2_"))), ""):
            return f"{odd!r} begins with none of lora_unet_, lora_te1_, lora_te2_"
        if {"sgm", "diffusers"} <= contents.notations:
            return "Stability's and diffusers' names are mixed"
    elif odd := next((name for name in contents.strange if name.startswith("bundle_emb.")), ""):
        return f"{odd!r} is of no layer"
    if contents.is_published and not _told_width(contents.layers) and contents.family != "sdxl":
        return "no layer tells how wide the text is that the base is told in, so it cannot tell which base that is"
    return ""


def _told_width(layers: Layers) -> int:
    paths = ("attn2.to_k", "attn2.to_v", "q_proj", "k_proj", "v_proj", "out_proj")
    return next((width_in(parts) for (_, path), parts in layers.items() if path.endswith(paths)), 0)


def _diffusers_name(key: Key, contents: Contents) -> str:
    """One of two ways to write names, and the second one wherever a single name is not in the first."""
    if not contents.is_all_kohya:
        if not key.prefix.startswith(("unet.", "text_encoder.", "text_encoder_2.")) or "base_model" in key.prefix:
            return "beside dotted names, only those beginning with unet., text_encoder. or text_encoder_2. are read"
        return "" if ".default" not in key.suffix else "the name of an adapter inside a name is not expected"
    if key.suffix == ".dora_scale":
        return "under kohya-ss's names it throws lengths away, with a warning"
    if key.module != "unet" or key.notation == "diffusers":
        return ""
    if "diffusers" in contents.notations:
        return "where Stability's and diffusers' names are mixed, Stability's are thrown away"
    return "" if contents.family == "sdxl" else "only of SDXL are Stability's names translated"


def _diffusers_refusal(contents: Contents, taken: Sequence[str]) -> str:
    names = (*contents.keys, *contents.strange)
    if contents.is_all_kohya:
        over = next((n for n, (key, _) in contents.keys.items() if key.suffix not in DIFFUSERS_KOHYA_ENDS), "")
        over = over or next(iter(contents.strange), "")
        return f"{over!r} is left over after translation, which it does not allow" if over else ""
    odd = next((name for name in names if "lora" not in name), "")
    return f"{odd!r} has no 'lora' in it, which it does not allow" if odd else ""


def _kohya_name(key: Key, contents: Contents) -> str:
    is_sdxl = contents.family == "sdxl"
    if key.prefix not in KOHYA_STYLE:
        return "only names beginning with lora_unet_, lora_te_, lora_te1_ or lora_te2_ are read"
    if key.module == "unet" and key.notation == "sgm" and not is_sdxl:
        return "of Stable Diffusion 1.x and 2.x, layers are named by diffusers' path"
    if key.module in (("te",) if is_sdxl else ("te1", "te2")):
        return "text encoders are lora_te1_ and lora_te2_ of SDXL, and lora_te_ of the others"
    if key.module == "unet" and not any(part in key.path for part in (".attentions.", ".resnets.", "samplers.")):
        return "only layers of attention, of residual blocks and of what resizes are adapted"
    return ""


DIFFUSERS_KOHYA_ENDS = frozenset({".lora_down.weight", ".lora_up.weight", ".alpha", ".dora_scale"})
DOTTED_LORA = {"LoRA": "", "LoCon": "", "output-axis DoRA": ""}

CLIENTS: tuple[Client, ...] = (
    Client(
        "ComfyUI",
        None,
        {**BY_INPUTS, "output-axis DoRA": OUTPUT_AXIS, "DoRA of another kind": "", "OFT": "", "BOFT": "", "GLoRA": "",
         "change of biases": "", "change of normalisations": ""},
        _comfy_name,
        _nothing,
    ),
    Client(
        "A1111",
        KOHYA_ENDS | LYCORIS_ENDS | GLORA_ENDS | {".oft_blocks", ".oft_diag", ".on_input", ".weight"},
        {**BY_INPUTS, "DoRA of another kind": "", "OFT": "", "IA3": "", "GLoRA": "", "change of normalisations": ""},
        _a1111_name,
        _a1111_refusal,
    ),
    Client(
        "Forge",
        KOHYA_ENDS | LYCORIS_ENDS | GLORA_ENDS | OLD_ENDS,
        {**BY_INPUTS, "output-axis DoRA": OUTPUT_AXIS, "DoRA of another kind": "", "GLoRA": "",
         "change of biases": "", "change of normalisations": ""},
        _forge_name,
        _forge_refusal,
    ),
    Client(
        "InvokeAI",
        KOHYA_ENDS | LYCORIS_ENDS | {".on_input", ".weight"},
        {**BY_INPUTS, "IA3": "", "change of normalisations": ""},
        _invoke_name,
        _invoke_refusal,
    ),
    Client("diffusers", None, DOTTED_LORA, _diffusers_name, _diffusers_refusal),
    Client(
        "kohya",
        frozenset({".lora_down.weight", ".lora_up.weight", ".alpha"}) | LYCORIS_ENDS,
        {"LoRA": "", "LoCon": "", "LoHa": "", "LoKr": ""},
        _kohya_name,
        _nothing,
    ),
)  # fmt: skip
"""The programs, in the order in which a table tells them."""
