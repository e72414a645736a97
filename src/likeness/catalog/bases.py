"""Bases: how tools and sites call them, and their licences, so that a release says what its readers look for."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BASES", "Base", "base_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base that LoRAs are trained on.

    Attributes:
        name: as LoRA Manager and Civitai call it.
        family: "sd15", "sd2" or "sdxl".
        hub: where it is on the Hugging Face hub; "" where it is not, or not in one place.
        licence: its id; "" where each model of the kind has its own.
        words: parts of the names of its files, in lower case; the base of the first that is found is meant.
    """

    name: str
    family: str
    hub: str = ""
    licence: str = ""
    words: tuple[str, ...] = ()


BASES = (
    Base(name="maquette", family="sd15", licence="apache-2.0", words=("maquette",)),
    Base(
        name="NoobAI",
        family="sdxl",
        hub="Laxhar/noobai-XL-1.0",
        licence="faipl-1.0-sd-noobai",
        words=("noobai", "noob-ai", "noob_ai", "noobxl"),
    ),
    Base(name="Pony", family="sdxl", licence="faipl-1.0-sd-pony", words=("pony",)),
    Base(
        name="Illustrious",
        family="sdxl",
        hub="OnomaAIResearch/Illustrious-xl-early-release-v0",
        licence="faipl-1.0-sd",
        words=("illustrious", "ilxl"),
    ),
    Base(
        name="SDXL 1.0",
        family="sdxl",
        hub="stabilityai/stable-diffusion-xl-base-1.0",
        licence="openrail++",
        words=("sd_xl_base", "sdxl_base", "sdxl-base", "stable-diffusion-xl-base"),
    ),
    Base(
        name="SD 1.5",
        family="sd15",
        hub="stable-diffusion-v1-5/stable-diffusion-v1-5",
        licence="creativeml-openrail-m",
        words=("v1-5-pruned", "stable-diffusion-v1-5", "sd15_base", "sd-v1-5"),
    ),
    Base(
        name="SD 2.1",
        family="sd2",
        hub="stabilityai/stable-diffusion-2-1",
        licence="openrail++",
        words=("v2-1_", "stable-diffusion-2-1"),
    ),
    Base(name="SDXL 1.0", family="sdxl"),
    Base(name="SD 1.5", family="sd15"),
    Base(name="SD 2.1", family="sd2"),
)
"""All bases that are known, the more special before what they are made from; then one for each family, of which only
that is known."""


def base_of(family: str, told: Sequence[str]) -> Base:
    """The base that is meant by a family, and by what files and notes call it.

    Args:
        family: "sd15", "sd2", "sdxl", or "" where it is not known.
        told: names, the surest first.
    """
    for text in told:
        for base in BASES:
            if base.family in (family, family or base.family) and any(word in text.lower() for word in base.words):
                return base
    return next((base for base in BASES if base.family == family and not base.words), Base(name="Other", family=family))
