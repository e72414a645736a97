"""The recipe's section on publishing."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from likeness.recipe.values import Address, Section, Tag

__all__ = ["RATINGS", "PublishConfig", "Rating"]

Rating = Literal["PG", "PG13", "R", "X"]
RATINGS: tuple[Rating, ...] = ("PG", "PG13", "R", "X")
"""What pictures show, from the mildest: for all; partly undressed or a little blood; nudity; sex."""


def _release(text: str) -> str:
    if any(not (letter.isalnum() or letter in ".-_") for letter in text) or text.startswith((".", "-")):
        raise ValueError("input should be letters, digits, dots and hyphens, as in '1' or '2.1'")
    return text


Release = Annotated[str, AfterValidator(_release)]


class PublishConfig(Section):
    """What a release says, and under which terms it is given on."""

    version: Release = Field(
        default="", max_length=20, description="Version of the release; none: 1, and one more for another LoRA."
    )
    summary: str = Field(
        default="", max_length=600, description="One or two sentences on the character, markdown. None: facts alone."
    )
    description: str = Field(default="", description="More of it, markdown, for the page and the model card.")
    author: str = Field(default="", max_length=80, description="Who made it, or the name to be known by.")
    tags: tuple[Tag, ...] = Field(default=(), description="Words that it is to be found under, as in ['fox'].")
    aliases: tuple[str, ...] = Field(default=(), description="Other names and old addresses of its page in a catalog.")
    licence: str = Field(
        default="", description="Under which it is given on, as in 'openrail++'. None: the one that the base asks for."
    )
    licence_link: Address = Field(default="", description="Where the text of a licence 'other' stands.")
    base_name: str = Field(
        default="", description="How other tools call the base, as in 'SDXL 1.0' or 'Illustrious'. None: by its file."
    )
    base_licence: str = Field(
        default="", description="The base's licence, where likeness does not know it: see its page."
    )
    base_hub: str = Field(default="", description="The base on the Hugging Face hub, as in 'owner/name'.")
    target: Literal["own", "huggingface", "civitai"] = Field(
        default="own", description="Where it is going; civitai takes nothing of real people."
    )
    rating: Literal["", "PG", "PG13", "R", "X"] = Field(
        default="",
        description="The most that its pictures show: PG for all, PG13, R nudity, X sex. What the anime reader sees "
        "counts too, and drawings of the maquette are PG; else it has to be said.",
    )
    allowed: Rating = Field(default="PG", description="The most that pictures of a release may show.")
    samples: int = Field(default=6, ge=1, le=40, description="Pictures in the release, beside the preview.")
    contact: Address = Field(default="", description="Where somebody asks for it to be taken down.")
    certificate: str = Field(
        default="", description="A certificate for content credentials (C2PA), PEM with its chain; pictures are signed."
    )
    private_key: str = Field(default="", description="Its key, PEM. It stays where it is.")
    signature: Literal["es256", "es384", "es512", "ps256", "ed25519"] = Field(
        default="es256", description="How that key signs; es256 is of a key on the curve P-256."
    )
    civitai_info: bool = Field(default=False, description="true: NAME.civitai.info too, for tools that read only that.")
