"""What a person says of a LoRA, or of pictures, that no workspace knows; and measuring them."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from likeness.cli.answers import opened
from likeness.cli.beginnings import draft
from likeness.errors import RecipeError, WorkspaceError
from likeness.events import Report
from likeness.workspace import Workspace

__all__ = ["Stranger", "measured", "measured_here"]


@dataclass(frozen=True, slots=True)
class Stranger:
    """What `likeness evaluate` was told: of a LoRA file, of pictures, or of a character's folder alone.

    Attributes:
        target: a LoRA's file, or a character's folder; None for pictures, or for the folder one is in.
        pictures: that were drawn elsewhere.
        references: real pictures of the character.
        training: those that the LoRA was trained on.
        to: where scores go.
        base: as base.path; empty where nobody said.
        trigger: that calls the character; likewise.
        reader: as perception.reader; likewise.
    """

    target: Path | None
    pictures: Path | None
    references: Path | None
    training: Path | None
    to: Path | None
    base: str
    trigger: str
    reader: str

    @property
    def is_one(self) -> bool:
        """Whether it is something that no workspace knows.

        Raises:
            WorkspaceError: where there is nothing at the path.
        """
        if self.target is not None and not self.target.exists():
            raise WorkspaceError(f"{self.target} is not there. Name a character's folder, or a LoRA's file.")
        return self.pictures is not None or (self.target is not None and not self.target.is_dir())

    @property
    def said(self) -> list[str]:
        """The options that were given and that say something of a stranger alone."""
        names = ("references", "training", "to", "base", "trigger", "reader")
        return [f"--{name}" for name in names if getattr(self, name)]


def measured_here(stranger: Stranger, settings: list[str] | None, report: Report) -> Workspace:
    """The character's folder, with the scores of the run that was trained last.

    Raises:
        RecipeError: where options are given that its recipe answers.
        WorkspaceError: where no picture was held out.
    """
    from likeness import pipeline

    workspace, recipe = opened(stranger.target or Path(), settings)
    if stranger.said:
        raise RecipeError(
            f"{' '.join(stranger.said)} would be ignored: {workspace.root} is a character's folder, and has a recipe "
            "and held-out pictures of its own. Leave it out, or name the file of a LoRA."
        )
    pipeline.run(workspace, recipe, ("evaluate",), report=report)
    pipeline.check_held_out(workspace)
    return workspace


def measured(stranger: Stranger, settings: Sequence[str] | None, report: Report) -> Workspace:
    """The folder with the scores of a LoRA, or of pictures.

    Args:
        stranger: as it was told.
        settings: laid over the recipe that it comes to.
        report: told as pictures are made.

    Raises:
        RecipeError: where it is not said what to measure against, or what calls the character.
        CheckpointError: where the LoRA cannot be read.
    """
    from likeness.images import SUFFIXES
    from likeness.pipeline.foreign import evaluate_file, evaluate_pictures, trigger_in

    lora, what = stranger.target, stranger.pictures or stranger.target
    assert what is not None
    if lora is not None and lora.suffix.lower() in SUFFIXES:
        raise RecipeError(f"{lora} is a picture. Measure those of a folder: --pictures {lora.parent}")
    if lora is not None and stranger.pictures is not None:
        raise RecipeError(f"{lora} and --pictures are two things to measure. Leave out one of them.")
    if stranger.references is None:
        raise RecipeError(
            "--references is needed: a folder of at least 9 real pictures of the character, which the LoRA was not "
            "trained on. Against its training pictures a LoRA that copies them would look best."
        )
    told = trigger_in(lora) if lora is not None and not stranger.trigger else ""
    trigger, *others = [part.strip() for part in re.split(r"[,\r\n]", stranger.trigger or told)]
    if not trigger:
        raise RecipeError(f"--trigger is needed: {what} does not say which word calls the character.")
    folder = Workspace(stranger.to or what.with_name(f"{what.stem}-evaluation"))
    if folder.recipe.exists() and (folder.captions_jsonl.exists() or not folder.choice_json.exists()):
        raise WorkspaceError(f"{folder.root} is a character's folder, and its scores stay. Name another: --to FOLDER")
    base = stranger.base or "maquette"
    reader = stranger.reader or ("maquette" if base == "maquette" else "plain")
    said = {"character.trigger": trigger, "base.path": base, "perception.reader": reader}
    said |= {"character.class_words": ", ".join(filter(None, others))}  # a phrase of several: the first one calls
    words = [f"{field}={json.dumps(value, ensure_ascii=False)}" for field, value in said.items()]  # a TOML string, too
    recipe = draft(folder, [*words, *(settings or ())])
    given = {"references": stranger.references, "training": stranger.training, "to": folder.root, "report": report}
    if stranger.pictures is not None:
        return evaluate_pictures(stranger.pictures, recipe, **given)
    assert lora is not None
    return evaluate_file(lora, recipe, **given)
