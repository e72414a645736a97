"""The recipe: all that a person can set, a section per stage. It is read from `likeness.toml`, strictly."""

from likeness.recipe.captions import CaptionConfig
from likeness.recipe.consent import check_may_publish, check_may_train
from likeness.recipe.curate import CurateConfig, ScreenConfig
from likeness.recipe.evaluate import EvaluateConfig
from likeness.recipe.files import load_recipe, write_recipe
from likeness.recipe.page import (
    BaseConfig,
    CharacterConfig,
    Consent,
    EncodeConfig,
    PerceptionConfig,
    Recipe,
    SampleConfig,
)
from likeness.recipe.presets import PRESETS, Settled, settled
from likeness.recipe.publish import RATINGS, PublishConfig, Rating
from likeness.recipe.train import AdapterSet, TrainConfig
from likeness.recipe.values import Address, Inside, Section

__all__ = [
    "PRESETS",
    "RATINGS",
    "AdapterSet",
    "Address",
    "BaseConfig",
    "CaptionConfig",
    "CharacterConfig",
    "Consent",
    "CurateConfig",
    "EncodeConfig",
    "EvaluateConfig",
    "Inside",
    "PerceptionConfig",
    "PublishConfig",
    "Rating",
    "Recipe",
    "SampleConfig",
    "ScreenConfig",
    "Section",
    "Settled",
    "TrainConfig",
    "check_may_publish",
    "check_may_train",
    "load_recipe",
    "settled",
    "write_recipe",
]
