"""The recipe's section on evaluation."""

import difflib
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from likeness.recipe.values import Section

__all__ = ["EvaluateConfig"]

Weight = Annotated[float, Field(ge=0, le=100)]
Limit = Annotated[float, Field(ge=0, le=1)]
WEIGHED = ("identity", "face", "body", "clothing", "attributes", "freedom", "adherence", "override", "variety")


def _weighed(name: str) -> str:
    if name not in WEIGHED:
        close = difflib.get_close_matches(name, WEIGHED, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(WEIGHED)}"
        raise ValueError(f"no such axis; {hint}")
    return name


Weighed = Annotated[str, AfterValidator(_weighed)]


class EvaluateConfig(Section):
    """How adapters are measured, and which checkpoint is chosen."""

    words: Literal["auto", "maquette", "booru", "illustrious", "noobai", "pony", "prose"] = Field(
        default="auto",
        description="How prompts are written: tags (booru; illustrious, noobai and pony with their quality words), "
        "sentences, or the maquette's. auto: by the name of the base, or else by the reader.",
    )
    prompts: tuple[str, ...] = Field(
        default=(), description="Prompts of your own, measured beside the others; the trigger is put in front."
    )
    count: int = Field(
        default=24, ge=4, le=500, description="Scenes that are asked for; from 24 on intervals hold what they say."
    )
    seeds: int = Field(default=2, ge=1, le=64, description="Pictures of each prompt: 24 x 2 detect 0.05 of identity.")
    first: int = Field(
        default=8, ge=2, le=500, description="Scenes with which all checkpoints are looked at before the full set."
    )
    finalists: int = Field(
        default=4, ge=1, le=64, description="Checkpoints, at most, that are measured with the full set."
    )
    confirm: bool = Field(
        default=True,
        description="true: the best two are drawn again on fresh prompts and seeds, and those figures are told. The "
        "best of twelve looks 0.02 better than it is.",
    )
    steps: int = Field(
        default=0, ge=0, le=1000, description="Steps of the sampler for these pictures; 0: as sample.steps says."
    )
    encoder: str = Field(
        default="plain",
        min_length=1,
        description="What tells how far pictures moved: 'plain', or a local DINOv2 or SigLIP (docs/perception.md).",
    )
    copy_encoder: str = Field(
        default="plain", min_length=1, description="What finds copies of training pictures: 'plain', or a local SSCD."
    )
    checklist: dict[str, str] = Field(
        default={},
        examples=[{"mark": "left scar"}],
        description="Traits that must be right, name and value as the reader says them; none: those that are always "
        "there.",
    )
    identity_floor: Limit = Field(
        default=0.5, description="Least likeness, 1 being that of real pictures; of the interval's lower end."
    )
    copies_limit: Limit = Field(
        default=0.25,
        description="Largest share of pictures that copy a training picture; of the interval's upper end, which is "
        "0.24 for 12 prompts without a copy, and 0.08 for 44.",
    )
    leak_limit: Limit = Field(
        default=0.8, description="Most likeness that pictures without the trigger may take on; of the upper end."
    )
    drift_limit: float = Field(
        default=0.5,
        ge=0,
        le=2,
        description="Farthest that pictures without the trigger may move from the base's, 1 - cosine by "
        "evaluate.encoder; of the upper end. 2: anywhere.",
    )
    artefacts_limit: Limit = Field(
        default=0.25, description="Largest share of blank, burnt or broken pictures; of the interval's upper end."
    )
    seed: int = Field(
        default=0,
        ge=0,
        description="Of prompts and noise; not the recipe's, so that LoRAs of several trainings are drawn alike.",
    )
    weights: dict[Weighed, Weight] = Field(
        default={},
        examples=[{"clothing": 2.0}],
        description="What axes count for in the mean that tells a leader, where that is not 1 for identity and freedom "
        f"and 0.5 for the others: {', '.join(WEIGHED)}.",
    )
    margin: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Least difference that `likeness compare` calls one: another seed of training makes as much.",
    )
