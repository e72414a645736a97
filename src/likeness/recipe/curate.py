"""The recipe's section on curation: how many pictures, and what is not good enough."""

from typing import Literal

from pydantic import Field

from likeness.recipe.values import Section

__all__ = ["CurateConfig"]


class CurateConfig(Section):
    """Which pictures are trained on, which are held out, and which are no good."""

    choose: Literal["auto", "all"] = Field(
        default="auto",
        description="auto: the best pictures, so that together they show the character. all: every picture that can "
        "be read, for a set that was chosen by hand; nothing is held out.",
    )
    count: int = Field(
        default=0, ge=0, le=1000, description="How many to train on; 0: what the pool can bear, from 20 to 50."
    )
    accept_few: bool = Field(
        default=False, description="true: go on with fewer than 20 usable pictures, at the price that is told."
    )
    held_out: float = Field(
        default=0.15,
        ge=0,
        le=0.5,
        description="Share of the good pictures that is kept for measuring, at least 4; 0.15 of 45 are 7. 0: none.",
    )
