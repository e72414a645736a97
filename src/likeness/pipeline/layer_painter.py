"""Some layers of a LoRA and not the others: drawn with, and written as a file of their own."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from likeness.errors import CheckpointError
from likeness.evaluation.elsewhere import candidate_name
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.shots import Shot
from likeness.images import Pixels, open_pixels, save_png, sha256_of
from likeness.pipeline.bench import Bench
from likeness.pipeline.evaluation import instruments_for, sampling_of
from likeness.pipeline.painter import digest_of, drawing_versions, drawn, name_of
from likeness.records import make_folder

if TYPE_CHECKING:
    from likeness.diffusion.files.conversion import LoraFile

__all__ = ["LayerPainter", "prune_file", "with_layers"]


class LayerPainter:
    """Draws with some layers of one LoRA, and keeps the pictures; its file is read once.

    Attributes:
        instruments: what looks at the pictures. They draw with the whole LoRA and with the base, as evaluation does, so
            that those pictures are not drawn again.
    """

    def __init__(self, bench: Bench, lora: Path) -> None:
        self.bench, self.lora, self.sha256 = bench, lora, sha256_of(lora)
        self.sample = sampling_of(bench.recipe)
        self.name = candidate_name(lora.stem)
        self.instruments = instruments_for(bench, {self.name: lora})

    @cached_property
    def file(self) -> "LoraFile":
        """What the LoRA's file holds."""
        from likeness.diffusion.files.lora_files import load_lora

        return load_lora(self.lora)

    def __call__(self, layers: Collection[str], shots: Sequence[Shot]) -> list[Pixels]:
        """The pictures of some shots; those that were drawn before in just this way are opened."""
        if not layers or set(layers) == self.file.layers().keys():
            return self.instruments.draw(self.name if layers else BASE, shots)
        files = self.files(layers, shots)
        missing = [(shot, file) for shot, file in zip(shots, files, strict=True) if not file.exists()]
        if missing:
            self._draw(layers, missing)
        return [open_pixels(file) for file in files]

    def files(self, layers: Collection[str], shots: Sequence[Shot]) -> list[Path]:
        """Where each picture with some of the layers is, or will be."""
        how = self.bench.base_digest, self.sample.model_dump_json(), self.sha256, json.dumps(drawing_versions())
        folder = f"{self.lora.stem}-some-{digest_of(*how, *sorted(layers))}"
        return [self.bench.workspace.evaluation / "pictures" / folder / name_of(shot) for shot in shots]

    def _draw(self, layers: Collection[str], missing: Sequence[tuple[Shot, Path]]) -> None:
        from likeness.diffusion.files.lora_files import adapter_from

        model = self.bench.model
        make_folder(missing[0][1].parent)
        adapter = adapter_from(with_layers(self.file, layers), model.adapter_targets(), weight=self.sample.weight)
        try:
            for shot, file, pixels in drawn(model, missing, self.sample):
                save_png(file, pixels, {"prompt": shot.prompt, "layers": ", ".join(sorted(layers))})
        finally:
            adapter.detach()


def prune_file(lora: Path, names: Collection[str], out: Path) -> Path:
    """The file that holds a LoRA without some of its blocks: `out`, or in the folder `out` under the LoRA's own name.

    Its notes are the LoRA's own; what they say of ranks and hashes is said anew.

    Raises:
        CheckpointError: where the LoRA cannot be read, or `out` is the LoRA itself.
        WorkspaceError: on a full disk or in a read-only folder.
    """
    from likeness.diffusion.files.inspection import block_of
    from likeness.diffusion.files.lora_files import load_lora, save_tensors, with_one_alpha

    to = out / f"{lora.stem}-pruned.safetensors" if out.is_dir() else out
    if to.exists() and to.samefile(lora):
        raise CheckpointError(f"{to} is the LoRA itself, and is not written over. Name another file.")
    whole = load_lora(lora)
    kept = with_layers(whole, [layer for layer in whole.layers() if block_of(layer) not in names])
    save_tensors(to, with_one_alpha(kept.tensors), notes=whole.metadata)
    return to


def with_layers(lora: "LoraFile", layers: Collection[str]) -> "LoraFile":
    """The LoRA with these of its layers alone."""
    kept = set(layers)
    return replace(lora, tensors={name: one for name, one in lora.tensors.items() if name.partition(".")[0] in kept})
