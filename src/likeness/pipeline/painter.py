"""The painter: draws the shots of an evaluation, each once, and keeps them as pictures that a person can look at."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from likeness import __version__
from likeness.diffusion.infotext import infotext
from likeness.evaluation.shots import Shot
from likeness.images import Pixels, open_pixels, save_png, sha256_of
from likeness.pipeline.instruments import adapted, draw_pictures
from likeness.recipe import SampleConfig
from likeness.records import make_folder

if TYPE_CHECKING:
    from likeness.diffusion.family import DiffusionModel

__all__ = ["Painter", "digest_of", "drawing_versions", "drawn", "name_of"]

AT_ONCE = 16  # pictures that are drawn, and then kept, together: what is lost when somebody stops it


def drawing_versions() -> dict[str, str]:
    """The versions of what draws: of the same prompt and noise, another one may make another picture."""
    return {"likeness": __version__, **{name: version(name) for name in ("torch", "diffusers")}}


class Painter:
    """Draws with the base, and with each of some adapters.

    Args:
        open_model: opens the base, once something is to be drawn.
        config: how it samples, and the adapters' weight.
        adapters: by name; a name that is not among them is the base's own.
        base: digest of the base.
        to: where pictures are kept.
    """

    def __init__(
        self,
        open_model: "Callable[[], DiffusionModel]",
        config: SampleConfig,
        adapters: Mapping[str, Path],
        *,
        base: str,
        to: Path,
    ) -> None:
        self.open_model, self.config, self.adapters, self.to = open_model, config, adapters, to
        self.folders: dict[str, Path] = {}
        how = config.model_copy(update={"prompts": (), "seed": 0, "count": 1})
        self.drawn_with = json.dumps([base, how.model_dump(mode="json"), drawing_versions()], sort_keys=True)

    def __call__(self, who: str, shots: Sequence[Shot]) -> list[Pixels]:
        """The pictures of some shots; those that were drawn before in just this way are opened."""
        files = self.files(who, shots)
        missing = [(shot, file) for shot, file in zip(shots, files, strict=True) if not file.exists()]
        if missing:
            self._draw(who, missing)
        return [open_pixels(file) for file in files]

    def files(self, who: str, shots: Sequence[Shot]) -> list[Path]:
        """Where each picture is, or will be: another for another adapter, base, version, setting, prompt or noise."""
        if who not in self.folders:  # a digest of gigabytes, perhaps, is made once
            lora = self.adapters.get(who)
            self.folders[who] = self.to / f"{who}-{digest_of(self.drawn_with, sha256_of(lora) if lora else '')}"
        return [self.folders[who] / name_of(shot) for shot in shots]

    def _draw(self, who: str, missing: Sequence[tuple[Shot, Path]]) -> None:
        lora, model = self.adapters.get(who), self.open_model()
        make_folder(missing[0][1].parent)
        told = _lora_of(lora)
        with adapted(model, lora, weight=self.config.weight) if lora else nullcontext():
            for shot, file, pixels in drawn(model, missing, self.config):
                size = pixels.shape[1], pixels.shape[0]
                text = infotext(shot.prompt, self.config, seed=shot.seed, size=size, **told)
                save_png(file, pixels, {"parameters": text})


def drawn(
    model: "DiffusionModel", missing: Sequence[tuple[Shot, Path]], config: SampleConfig
) -> Iterator[tuple[Shot, Path, Pixels]]:
    """The pictures that are not there yet, each with its shot and its file; drawn a few at a time, to be kept so."""
    for first in range(0, len(missing), AT_ONCE):
        some = missing[first : first + AT_ONCE]
        prompts, seeds = [shot.prompt for shot, _ in some], [shot.seed for shot, _ in some]
        pictures = draw_pictures(model, prompts, config, seeds=seeds)
        yield from ((shot, file, pixels) for (shot, file), pixels in zip(some, pictures, strict=True))


def _lora_of(lora: Path | None) -> dict[str, str]:
    """An adapter's name and hash, as a picture's file tells them; nothing for the base."""
    if lora is None:
        return {"lora": "", "lora_hash": ""}
    from likeness.diffusion.files.inspection import inspect_file

    return {"lora": lora.stem, "lora_hash": inspect_file(lora).auto_v3}


def name_of(shot: Shot) -> str:
    """What the file of a shot's picture is called: otherwise for another prompt or noise."""
    return f"{shot.kind}-{digest_of(shot.prompt, shot.seed)}.png"


def digest_of(*parts: str | int) -> str:
    """Ten digits that tell what a picture hangs on from what others do."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:10]
