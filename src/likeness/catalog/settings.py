"""The settings of a catalog: `catalog.toml`."""

from pathlib import Path

from pydantic import Field

from likeness.recipe import Address, Rating, Section
from likeness.toml import read_toml

__all__ = ["CatalogConfig", "read_settings"]

FILE = "catalog.toml"


class CatalogConfig(Section):
    """What a catalog is called, and what it shows."""

    title: str = Field(default="LoRAs", min_length=1, max_length=80, description="What the catalog is called.")
    description: str = Field(default="", max_length=300, description="What it is, in a sentence.")
    address: Address = Field(
        default="", description="Where it stands on the web, as in 'https://example.org/loras/'; feeds need it."
    )
    author: str = Field(default="", max_length=80, description="Who keeps it, or the name to be known by.")
    contact: Address = Field(default="", description="Where somebody asks for an entry to be taken down.")
    downloads: Address = Field(
        default="", description="Where the LoRAs' files lie, as in 'https://example.org/files/'. None: beside pages."
    )
    allowed: Rating = Field(default="PG", description="The most that pictures on its pages show; others are left out.")


def read_settings(root: Path) -> CatalogConfig:
    """The settings of the catalog in a folder; where it has none, the usual ones.

    Raises:
        RecipeError: with all faults at once.
    """
    path = root / FILE
    return read_toml(path, CatalogConfig, kind="list of a catalog's settings") if path.exists() else CatalogConfig()
