"""What a base says of its own schedule, and what a recipe may add. Nothing is loaded for that.

A base predicts the noise (epsilon) or the velocity (v), and its last step is pure noise (zero-terminal) or nearly so.
Training for the wrong one ruins a LoRA without an error, so what is said is believed, what is not said may be set, and
what contradicts is refused; the probe of `likeness.diffusion.prediction` then looks at the base's own answers.

Sources: the keys `v_pred` and `ztsnr` as NoobAI's files have them and ComfyUI's `supported_models.py` reads them;
`modelspec.*` of Stability-AI/ModelSpec 1.0.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from likeness.diffusion.checkpoints import Header
from likeness.errors import CheckpointError, RecipeError
from likeness.recipe import BaseConfig

__all__ = ["Statement", "said_in_file", "said_in_scheduler", "settled"]

PREDICTIONS: Mapping[str, Literal["epsilon", "v"]] = {
    "epsilon": "epsilon",
    "eps": "epsilon",
    "v": "v",
    "v_prediction": "v",
    "v-prediction": "v",
    "vpred": "v",
}
"""As metadata and configurations write them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a base says; None where it says nothing.

    Attributes:
        prediction: what it predicts.
        zero_terminal: whether its last step is pure noise.
        prediction_by: who says the first, in words.
        zero_terminal_by: who says the second.
    """

    prediction: Literal["epsilon", "v"] | None = None
    zero_terminal: bool | None = None
    prediction_by: str = ""
    zero_terminal_by: str = ""


def said_in_file(header: Header) -> Statement:
    """What a single file says: by its keys, which are made on purpose, before its notes, which merges hand on."""
    names, notes = header.tensors.keys(), header.metadata
    zero = "the key 'ztsnr' of the file" if "ztsnr" in names else ""
    prediction, by = None, ""
    if "v_pred" in names or zero:  # at a step of pure noise, to predict the noise is to answer what was shown
        prediction, by = "v", "the key 'v_pred' of the file" if "v_pred" in names else zero
    elif (told := notes.get("modelspec.prediction_type", "").lower()) in PREDICTIONS:
        prediction, by = PREDICTIONS[told], f"modelspec.prediction_type = {told!r} in the file's metadata"
    elif notes.get("modelspec.architecture", "").startswith("stable-diffusion-v2-768-v"):
        prediction, by = "v", f"modelspec.architecture = {notes['modelspec.architecture']!r} in the file's metadata"
    return Statement(prediction, True if zero else None, by, zero)


def said_in_scheduler(config: Mapping[str, Any]) -> Statement:
    """What a scheduler_config.json says.

    Raises:
        CheckpointError: for a prediction that is not known.
    """
    named, zero = config.get("prediction_type"), config.get("rescale_betas_zero_snr")
    if named not in (None, "epsilon", "v_prediction"):
        raise CheckpointError(
            f"The base's scheduler_config.json has prediction_type = {named!r}. Known: epsilon, v_prediction."
        )
    return Statement(
        PREDICTIONS[named] if named else None,
        zero,
        f"prediction_type = {named!r} in the base's scheduler_config.json",
        f"rescale_betas_zero_snr = {str(zero).lower()} in the base's scheduler_config.json",
    )


def settled(said: Statement, config: BaseConfig) -> tuple[Literal["epsilon", "v"], bool]:
    """What a base predicts, and whether its schedule is zero-terminal: as it says, or else as the recipe does.

    Where nobody says anything it is epsilon, on a schedule as Stable Diffusion 1.x has it.

    Raises:
        RecipeError: where the recipe contradicts the base, or asks for epsilon on a zero-terminal schedule.
    """
    asked = None if config.prediction == "auto" else config.prediction
    zero = None if config.zero_terminal == "auto" else config.zero_terminal
    _refuse("prediction", asked, said.prediction, said.prediction_by)
    _refuse("zero_terminal", zero, said.zero_terminal, said.zero_terminal_by)
    prediction = said.prediction or asked or "epsilon"
    is_zero = bool(zero if said.zero_terminal is None else said.zero_terminal)
    if zero and prediction == "epsilon":
        raise RecipeError(
            "base.zero_terminal = true needs a base that predicts v, and this one predicts epsilon: at a last step of "
            "pure noise it would only repeat what it is shown. Set base.prediction = 'v' if the base does, or leave "
            "base.zero_terminal out."
        )
    return prediction, is_zero


def _refuse(field: str, asked: str | bool | None, said: str | bool | None, by: str) -> None:
    if asked is not None and said is not None and asked != said:
        told = str(asked).lower() if isinstance(asked, bool) else repr(asked)
        raise RecipeError(
            f"base.{field} = {told}, but the base says otherwise: {by}. Leave base.{field} at 'auto'; or, if the base "
            "is wrong about itself, mend it there."
        )
