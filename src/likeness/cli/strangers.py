"""What a person says of a LoRA, or of pictures, that no workspace knows; and measuring them."""

from collections.abc import Sequence
from pathlib import Path

from likeness.cli.beginnings import draft
from likeness.errors import RecipeError
from likeness.events import Report
from likeness.pipeline.foreign import evaluate_file, evaluate_pictures, trigger_in
from likeness.workspace import Workspace

__all__ = ["measured"]


def measured(
    lora: Path | None,
    pictures: Path | None,
    references: Path | None,
    training: Path | None,
    to: Path | None,
    said: tuple[str, str, str],
    settings: Sequence[str] | None,
    report: Report,
) -> Workspace:
    """The folder with the scores.

    Args:
        said: base, trigger and reader; empty for what nobody said.
        settings: laid over the recipe that these come to.

    Raises:
        RecipeError: where it is not said what to measure against, or what calls the character.
    """
    base, trigger, reader = said
    if references is None:
        raise RecipeError(
            "--references is needed: a folder of at least 9 real pictures of the character, which the LoRA was not "
            "trained on. Against its training pictures a LoRA that copies them would look best."
        )
    what = pictures or lora
    assert what is not None
    trigger = trigger or (trigger_in(lora) if lora is not None and lora.is_file() else "")
    if not trigger:
        raise RecipeError(f"--trigger is needed: {what} does not say which word calls the character.")
    folder = to or what.with_name(f"{what.stem}-evaluation")
    words = [f"character.trigger={trigger}"]
    words += [f"base.path={base}"] if base else []
    words += [f"perception.reader={reader or ('plain' if base else 'maquette')}"]
    recipe = draft(Workspace(folder), [*words, *(settings or ())])
    told = {"references": references, "training": training, "to": folder, "report": report}
    if pictures is not None:
        return evaluate_pictures(pictures, recipe, **told)
    assert lora is not None
    return evaluate_file(lora, recipe, **told)
