"""The recipe's section on curation: how many pictures, and what is not good enough."""

from typing import Literal

from pydantic import Field

from likeness.recipe.values import Section

__all__ = ["CurateConfig", "ScreenConfig"]


class ScreenConfig(Section):
    """What is not good enough to learn from. A picture is judged at the size that it is trained at."""

    smallest: float = Field(
        default=0.5,
        ge=0,
        le=4,
        description="Longer side of the subject, as a share of the size trained at. 0.5: enlarged to twice, edges are "
        "soft already.",
    )
    blur: float = Field(
        default=0.6,
        gt=0,
        le=1,
        description="Blur of the subject, 0 sharp to 1 smooth. Sharp photographs and drawings have 0.15 to 0.48; 0.6 "
        "is what a Gaussian of 1.5 px does to them at 512 px.",
    )
    noise: float = Field(
        default=0.04,
        gt=0,
        le=1,
        description="Noise where the picture is smoothest, as a share of full brightness. 0.04, ten levels, is grain "
        "that a LoRA learns; fur all over a photograph comes to 0.027.",
    )
    jpeg: int = Field(
        default=25,
        ge=0,
        le=100,
        description="JPEG quality, from the file's quantisation tables. Below 25, blocks of 8 px are seen as such.",
    )
    blocks: float = Field(
        default=2.0,
        gt=1,
        description="Steps at the borders of 8 px blocks, against those inside: what heavy JPEG leaves also in a PNG "
        "made of it. 1 is none; JPEG of quality 30 leaves 1.2 to 1.8.",
    )
    dark: float = Field(
        default=0.2, ge=0, le=1, description="Brightness that 95% of the subject stays below; drawn nights have 0.5."
    )
    bright: float = Field(
        default=0.75,
        ge=0,
        le=1,
        description="Brightness that 95% of the subject stays above: washed out; drawings on white have 0.1 to 0.6.",
    )
    flat: float = Field(
        default=0.04,
        ge=0,
        le=1,
        description="Contrast, the deviation of brightness; below 0.04 little can be made out.",
    )
    borders: bool = Field(
        default=True, description="true: bars of one colour on opposite sides are a fault; a LoRA would draw them."
    )
    letters: int = Field(
        default=8,
        ge=4,
        description="Marks of like height in one line that count as text, a signature or a watermark. Teeth, fur "
        "and dotted cloth seldom come to more than 7 in a row, stamps have 8 and more.",
    )
    alone: bool = Field(default=True, description="true: a second character in the picture is a fault.")
    stranger: bool = Field(
        default=True, description="true: who is not the character that most pictures show is a fault."
    )


class CurateConfig(Section):
    """Which pictures are trained on, which are held out, and which are no good."""

    choose: Literal["auto", "all"] = Field(
        default="auto",
        description="auto: the best pictures, so that together they show the character. all: every picture that can "
        "be read, for a set that was chosen by hand; nothing is held out.",
    )
    count: int = Field(
        default=0, ge=0, le=1000, description="How many to train on; 0: what the pool can bear, up to 50."
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
    alike: int = Field(
        default=2, ge=1, description="Most pictures to train on of one scene. A third one teaches the scene by heart."
    )
    per_source: int = Field(
        default=0, ge=0, description="Most pictures to train on from one source; 0: as many as there are."
    )
    references: tuple[str, ...] = Field(
        default=(), description="Pictures in images/ that surely show the character, where the pool does not say."
    )
    variety: float = Field(default=1.0, ge=0, description="Weight of pictures that stand for others that look alike.")
    quality: float = Field(
        default=0.3, ge=0, description="Weight of good pictures: a new view beats a sharper old one."
    )
    coverage: float = Field(default=1.0, ge=0, description="Weight of views, framings and expressions shown.")
    screen: ScreenConfig = Field(default=ScreenConfig(), description="What is not good enough to learn from.")
