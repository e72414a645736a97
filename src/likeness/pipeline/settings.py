"""The settings that a recipe comes to, once its base is known."""

from likeness.diffusion.identity import family_of, schedule_of
from likeness.errors import CheckpointError, RecipeError
from likeness.pipeline.instruments import base_folder
from likeness.recipe import BaseConfig, Recipe, Settled, settled

__all__ = ["settings_of"]


def settings_of(recipe: Recipe) -> Settled:
    """A recipe with what suits its base laid under it; of a recipe that is settled already, the same values.

    Only headers are read. Where the base is not there, or cannot be used as the recipe says, there is no preset: what
    needs no base works all the same, and what needs it says what is wrong.
    """
    return settled(recipe, _presets(recipe.base))


def _presets(base: BaseConfig) -> tuple[str, ...]:
    if base.path == "maquette":  # by its structure it is a Stable Diffusion 1.x, by its size it is not
        return ("maquette",)
    try:
        path = base_folder(base)
        family, (_, is_zero_terminal) = family_of(path), schedule_of(path, base)
    except (CheckpointError, RecipeError):
        return ()
    return (family, "zero-terminal") if is_zero_terminal else (family,)
