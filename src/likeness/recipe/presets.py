"""Presets: what a recipe leaves open, as suits the base. docs/recipes.md tells them; a test holds it to this table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from likeness.recipe.page import Recipe

__all__ = ["PRESETS", "Choice", "Settled", "settled"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A value, and where it comes from."""

    value: Any
    why: str


SNR = Choice("min-snr", "Hang et al. 2023; on in kohya_ss's character presets, in Unsloth, and at 8 in the notebook")
ATTENTION = Choice(
    "attention", "the default of diffusers, SimpleTuner and Unsloth; half the file of all that kohya's LoRA has"
)
RANK = Choice(16, "diffusers, Unsloth and OneTrainer 16; notebooks 8 to 16, guides 32. alpha goes with it")

PRESETS: Mapping[str, Mapping[str, Choice]] = MappingProxyType(
    {
        "sd15": {
            "train.steps": Choice(1000, "100 passes over 40 pictures; notebook 1000 to 6000 of 2, CyberHarem 500 of 8"),
            "train.batch": Choice(4, "notebook 2 to 3, CyberHarem 8; 4 of 512 px fit 8 GB"),
            "train.learning_rate": Choice(
                2e-4, "diffusers 1e-4; at alpha = rank the notebook's 5e-4 comes to 2.5e-4, CyberHarem's 6e-4 to 3e-4"
            ),
            "train.rank": RANK,
            "train.blocks": ATTENTION,
            "train.weighting": SNR,
        },
        "sd2": {
            "train.steps": Choice(1000, "as 1.x, whose UNet it has"),
            "train.batch": Choice(4, "as 1.x; 2 where 768 px do not fit"),
            "train.learning_rate": Choice(1e-4, "diffusers' careful 1e-4: no guide for characters was found"),
            "train.rank": RANK,
            "train.blocks": ATTENTION,
            "train.weighting": SNR,
        },
        "sdxl": {
            "train.steps": Choice(
                1500, "75 passes over 40 pictures; SeaArt 1500 to 3000, diffusers 500, notebook 250 of 4"
            ),
            "train.batch": Choice(2, "guides 4 and diffusers 1; 2 is what 1024 px leave room for on 16 to 24 GB"),
            "train.learning_rate": Choice(
                1e-4,
                "diffusers, SimpleTuner, Unsloth and kohya's docs; the notebook's 3e-4 at alpha = rank / 2 is 1.5e-4",
            ),
            "train.rank": RANK,
            "train.blocks": ATTENTION,
            "train.weighting": SNR,
        },
        "zero-terminal": {
            "train.weighting": SNR,
            "train.weight_floor": Choice(
                0.05, "the weight of v at pure noise is 0, and 0.003 at t = 900: light and colour would go untaught"
            ),
            "sample.sampler": Choice("euler", "NoobAI-XL v's model card: others do not work properly"),
            "sample.steps": Choice(28, "the same card: 28 to 35"),
            "sample.guidance_rescale": Choice(0.7, "Lin et al. 2023, section 3.4: guidance burns such bases"),
        },
        "maquette": {
            "encode.shape": Choice("square", "it was made from square drawings alone"),
            "train.steps": Choice(310, "measured: identity 0.89 over ten characters, as 380 had, in 85 s on two cores"),
            "train.batch": Choice(8, "measured: 16 in half the steps gave no more"),
            "train.learning_rate": Choice(2e-3, "measured: 2e-3 before 1e-3, by 3 points of identity"),
            "train.rank": Choice(32, "measured with attention-ff: the best of twelve rows"),
            "train.blocks": Choice(
                "attention-ff",
                "measured: 5 points of identity before attention; `all` adds 3 in a quarter more time",
            ),
            "train.weighting": Choice("none", "measured: 2 points before min-snr; and the base was made without it"),
            "train.preserve": Choice(
                0.3, "measured: halves what other characters lose, where train.preserve_prompts name some"
            ),
            "sample.steps": Choice(15, "measured: 25 give no more"),
            "sample.guidance": Choice(2.0, "measured: 5 costs six points of identity, eyes burn out"),
        },
    }
)
"""Values by address, by preset: one per family; "zero-terminal" on top for bases that predict v and end in pure noise
(NoobAI-v); "maquette" for the embedded base, whose figures were found on it (docs/lab-book.md).

Sources, as collected from their files in 2025 and 2026: "notebook" is hollowstrawberry/kohya-colab, "CyberHarem" its
`ch_lora_sd15.toml`, "diffusers" its `train_dreambooth_lora*.py`, "guides" civitai's articles on Illustrious and Pony.
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """A recipe with nothing left open.

    Attributes:
        recipe: as it is trained.
        presets: that were laid under it, general first.
        taken: values that they gave, by address.
        left: who says it instead, in words, by address, where their value was not taken.
    """

    recipe: Recipe
    presets: tuple[str, ...]
    taken: Mapping[str, Any]
    left: Mapping[str, str]


def settled(recipe: Recipe, presets: Sequence[str]) -> Settled:
    """A recipe with presets laid under it: what a person set stays, whatever they say.

    Args:
        recipe: its fields that were set, in the file or on the command line, are known from those left out.
        presets: names in `PRESETS`; of two that give a value, the later one's is taken.
    """
    offered = {address: choice.value for name in presets for address, choice in PRESETS[name].items()}
    left = {address: words for address, value in offered.items() if (words := _said_otherwise(recipe, address, value))}
    taken = {address: value for address, value in offered.items() if address not in left}
    data = recipe.model_dump(exclude_unset=True)
    for address, value in taken.items():
        section, _, field = address.partition(".")
        data.setdefault(section, {})[field] = value
    whole = Recipe.model_validate(data)
    return Settled(whole, tuple(presets), MappingProxyType(taken), MappingProxyType(left))


def _said_otherwise(recipe: Recipe, address: str, value: Any) -> str:
    """Who says a field, where it is not its preset: a person, or another field that a person set."""
    section, _, field = address.partition(".")
    said = getattr(recipe, section)
    if field in said.model_fields_set:
        return "you" if getattr(said, field) == value else f"you; the preset says {value!r}"
    if address == "train.learning_rate" and recipe.train.optimizer == "prodigy":
        return "prodigy, which finds its own step size"
    if address == "train.blocks" and recipe.train.sets:
        return "nobody: train.sets says what learns"
    return ""
