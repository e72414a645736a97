"""kohya's and LyCORIS's terms for what learns, put into ours."""

from typing import Any

from likeness.recipe.kohya import Desk, number, numbers, pairs
from likeness.recipe.kohya_flags import ALGORITHMS, LYCORIS_PRESETS

__all__ = ["convert_network"]

IN_NETWORK = {  # of network_args, what has another name here
    "dropout": "train.dropout",
    "rank_dropout": "train.rank_dropout",
    "module_dropout": "train.layer_dropout",
    "loraplus_lr_ratio": "train.up_rate_ratio",
    "loraplus_unet_lr_ratio": "train.up_rate_ratio",
}
SD_BLOCKS = {
    **{1 + 3 * level + index: f"down_blocks_{level}_attentions_{index}" for level in range(3) for index in range(2)},
    12: "mid_block_attentions_0",
    **{13 + 3 * level + index: f"up_blocks_{level}_attentions_{index}" for level in (1, 2, 3) for index in range(3)},
}
SDXL_BLOCKS = {
    **{1 + block: f"input_blocks_{block}_1" for block in (4, 5, 7, 8)},
    11: "middle_block_1",
    **{13 + block: f"output_blocks_{block}_1" for block in range(6)},
}
"""The places of a list of block_dims that hold transformers: kohya-ss/sd-scripts `networks/lora.py`."""


def convert_network(desk: Desk, *, keeps_rate: bool) -> None:
    """Variant, rank, alpha and what of the denoiser learns; `keeps_rate`: whether the step size is taken over too."""
    module, given = str(desk.value("network_module") or "networks.lora"), pairs(desk.value("network_args"))
    rank = desk.value("network_dim") or 4
    alpha = 1 if desk.value("network_alpha") is None else desk.value("network_alpha")
    if not desk.take("network_dim", "train.rank", rank):
        desk.leave("network_alpha", "it belongs to that rank")
    elif not keeps_rate:
        desk.leave("network_alpha", "it goes with a step size, and that is the preset's: alpha is the rank")
    else:
        why = "" if desk.entries("network_alpha") else "a strength of 1 / rank"
        desk.take("network_alpha", "train.alpha", alpha, why)
    if module.startswith("lycoris"):
        _lycoris(desk, given)
    elif module in ("networks.lora", "networks.lora_fa"):
        _own(desk, given)
    else:
        desk.leave("network_module", "no such variant here: a plain LoRA is trained")
    for name, value in given.items():
        if name in IN_NETWORK:
            desk.take("network_args", IN_NETWORK[name], number(value), of=f"{name}={value}")
        elif name not in (
            "algo",
            "preset",
            "conv_dim",
            "conv_alpha",
            "block_dims",
            "block_alphas",
            "dora_wd",
            "rs_lora",
        ):
            desk.leave("network_args", "no counterpart", of=f"{name}={value}")


def _own(desk: Desk, given: dict[str, str]) -> None:
    """kohya's own LoRA: the transformers whole, and with conv_dim the residual blocks too."""
    why = "kohya's LoRA: attention, feed-forward and the projections around them; [attention] is half the file"
    desk.take("network_module", "train.blocks", "transformer", why)
    for name in ("conv_dim", "conv_alpha"):
        if name in given and "block_dims" in given:
            desk.leave("network_args", "block_dims says it per block", of=f"{name}={given[name]}")
    if "block_dims" in given:
        _per_block(desk, given)
    elif "conv_dim" in given:
        _with_convolutions(desk, given)


def _with_convolutions(desk: Desk, given: dict[str, str]) -> None:
    rank, alpha = number(given["conv_dim"]), number(given.get("conv_alpha", "1"))
    own = desk.get("train.rank", 4)
    sets = [
        {"blocks": "transformer", "rank": own, "alpha": desk.get("train.alpha", own)},
        {"blocks": "convolutions", "rank": rank, "alpha": alpha},
    ]
    for name in ("conv_dim", "conv_alpha"):
        if name in given:
            desk.take("network_args", "train.sets", sets, "a LoCon: two sets", of=f"{name}={given[name]}")


def _per_block(desk: Desk, given: dict[str, str]) -> None:
    """A set for each rank and alpha of block_dims; blocks of rank 0 learn nothing."""
    dims, alphas = (numbers(given.get(name, "")) for name in ("block_dims", "block_alphas"))
    blocks = {23: SDXL_BLOCKS, 25: SD_BLOCKS}.get(len(dims))
    said = [f"{name}={given[name]}" for name in ("block_dims", "block_alphas") if name in given]
    if blocks is None or (alphas and len(alphas) != len(dims)):
        for part in said:
            desk.leave("network_args", f"{len(dims)} blocks are neither SDXL's 23 nor Stable Diffusion's 25", of=part)
        return
    sets: dict[tuple[Any, Any], list[str]] = {}
    for place, block in blocks.items():
        if dims[place]:
            alpha = alphas[place] if alphas else desk.get("train.alpha", dims[place])
            sets.setdefault((dims[place], alpha), []).append(f"lora_unet_{block}_*")
    told = [{"blocks": names, "rank": rank, "alpha": alpha} for (rank, alpha), names in sets.items()]
    for part in said:
        desk.take("network_args", "train.sets", told, "one set per rank; places without a transformer go", of=part)


def _lycoris(desk: Desk, given: dict[str, str]) -> None:
    algo, preset = given.get("algo", "lora").lower(), given.get("preset", "full").lower()
    variant = "dora" if given.get("dora_wd", "").lower() == "true" else ALGORITHMS.get(algo, "")
    if given.get("rs_lora", "").lower() == "true" and variant == "lora":
        variant = "rslora"
    for name in ("algo", "dora_wd", "rs_lora"):
        if name in given and not variant:
            desk.leave("network_args", "no such variant here: a plain LoRA is trained", of=f"{name}={given[name]}")
        elif name in given:
            desk.take("network_args", "train.variant", variant, "by LyCORIS's name", of=f"{name}={given[name]}")
    blocks, why = LYCORIS_PRESETS.get(preset), f"LyCORIS's preset {preset}"
    if not blocks:
        desk.leave(
            "network_args", f"set train.blocks by hand: {', '.join(LYCORIS_PRESETS)} are known", of=f"preset={preset}"
        )
    desk.take("network_module", "train.blocks", blocks or "all", why)
    if "preset" in given and blocks:
        desk.take("network_args", "train.blocks", blocks, why, of=f"preset={preset}")
    if "conv_dim" in given and blocks == "all" and variant in ("lora", "dora", "rslora"):
        _with_convolutions(desk, given)
        return
    for name in ("conv_dim", "conv_alpha"):
        if name in given:
            desk.leave("network_args", "one rank and alpha for all of its layers", of=f"{name}={given[name]}")
