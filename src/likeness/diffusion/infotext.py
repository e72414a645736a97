"""What a picture's file says of how it was made, in the words of A1111's web UI, which other tools and galleries read.

Source: AUTOMATIC1111/stable-diffusion-webui, `modules/processing.py`, `modules/infotext_utils.py` and
`extensions-builtin/Lora`.
"""

import json
from collections.abc import Mapping

from likeness.recipe import SampleConfig

__all__ = ["infotext"]

SAMPLERS: Mapping[str, Mapping[str, str]] = {
    "dpm++": {"Sampler": "DPM++ 2M", "Schedule type": "Uniform"},  # DPM++ 2M alone means Karras
    "dpm++-karras": {"Sampler": "DPM++ 2M", "Schedule type": "Karras"},
    "ddim": {"Sampler": "DDIM"},
    "euler": {"Sampler": "Euler"},
    "euler-a": {"Sampler": "Euler a"},
}  # by the names that they have in a recipe


def infotext(prompt: str, config: SampleConfig, *, seed: int, size: tuple[int, int], lora: str, lora_hash: str) -> str:
    """How a picture was made: its "parameters", as A1111 keeps them in a PNG.

    Args:
        prompt: as it was drawn.
        config: the sampler's settings, and the LoRA's weight.
        seed: of this picture.
        size: width and height, px.
        lora: the name of the LoRA's file, without its ending; empty for the base alone.
        lora_hash: its `auto_v3`: galleries know a LoRA by it, whatever its name and metadata.
    """
    named = lora.replace(",", "").replace(":", "")  # as A1111 does: it parts the list at both
    facts = {
        "Steps": f"{config.steps}",
        **SAMPLERS[config.sampler],
        "CFG scale": f"{config.guidance:g}",
        "Seed": f"{seed}",
        "Size": f"{size[0]}x{size[1]}",
        "RNG": "CPU",  # where `sample` draws its noise, whatever the device; left out, it would be taken for the GPU
    }
    if lora:
        facts["Lora hashes"] = json.dumps(f"{named}: {lora_hash}", ensure_ascii=False)
    lines = [f"{prompt} <lora:{lora}:{config.weight:g}>".strip() if lora else prompt]
    if config.negative:
        lines.append(f"Negative prompt: {config.negative}")
    return "\n".join([*lines, ", ".join(f"{name}: {value}" for name, value in facts.items())])
