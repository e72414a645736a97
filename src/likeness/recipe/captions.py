"""The recipe's section on captions."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from likeness.recipe.values import Section, Tag

__all__ = ["CaptionConfig"]

Word = Annotated[Tag, Field(min_length=1, max_length=80)]


class CaptionConfig(Section):
    """What is said about each picture."""

    source: Literal["auto", "files", "reader"] = Field(
        default="auto",
        description="files: NAME.txt beside NAME.png. reader: what the reader sees. auto: the file where there is one.",
    )
    format: Literal["tags", "sentence", "both"] = Field(
        default="tags",
        description="tags: phrases with commas, as Stable Diffusion 1.x and drawings want them. sentence: one in plain "
        "English. both: training sees each in turn.",
    )
    plan: Mapping[str, Word] = Field(
        default={},
        description="Your word on a trait, where the trait plan is wrong: { hair_colour = 'expose' }. absorb: goes "
        "unsaid, so that the trigger takes it. expose: is said, so that it stays free. trigger: each outfit gets its "
        "own word. Or an outfit and its word: { 'red dress' = 'miragown' }.",
    )
    add: tuple[Tag, ...] = Field(default=(), description="Tags that every caption gets.")
    drop: tuple[Tag, ...] = Field(default=(), description="Tags that no caption gets, whoever wrote them.")
    min_confidence: float = Field(
        default=0.5, ge=0, le=1, description="What the reader is less sure of goes unsaid; 0.5: more likely than not."
    )
    tag_threshold: float = Field(
        default=0.35,
        gt=0,
        le=1,
        description="A tagger's tags below this probability go unsaid; 0.35 is what WD taggers are used with.",
    )
    escape: bool = Field(
        default=False,
        description=r"true: parentheses in a caption's text as \( and \), to be pasted into prompts. What is trained "
        "on has none of that: a text encoder reads letter by letter.",
    )
