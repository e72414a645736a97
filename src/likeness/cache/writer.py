"""The writer of a cache: a file for all that was worked out, named by the sha256 of all that went in.

Shapes: C H W picture, D h w latent, N prompts, L tokens, E width.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from likeness.cache.framing import Frame
from likeness.cache.masks import Mask
from likeness.cache.wordings import Variant
from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.family import DiffusionModel
from likeness.errors import CheckpointError, PictureError
from likeness.images import cropped, fit, sha256_of
from likeness.records import Picture, write_atomically

__all__ = ["FORMAT", "Writer"]

FORMAT = 3  # of the files and the index: with another number, every older file is a stranger


class Writer:
    """Makes the files that are not there yet.

    Args:
        folder: where they go.
        model: the base.
        chunks: windows of text per prompt; alike in all files, so that their rows stack.

    Attributes:
        made: how many files were not there yet.
    """

    def __init__(self, folder: Path, model: DiffusionModel, chunks: int) -> None:
        self.folder, self.model, self.chunks = folder, model, chunks
        self.made = 0

    def latents(self, picture: Picture, images: Path, frame: Frame, *, mirrored: bool = False) -> str:
        """The key of the latents of a picture, or of its mirror image.

        Raises:
            PictureError: where the file is not the one of the record, or cannot be read.
            CheckpointError: where the VAE answers with numbers that are not finite.
        """
        if sha256_of(images / picture.path) != picture.id:
            raise PictureError(
                f"{images / picture.path} is not the picture that its record is about: it was changed since. Repeat "
                "the command; pictures are curated anew first."
            )
        inputs = {"picture": picture.id, **_placed(picture, frame), "mirrored": mirrored}
        make = partial(self._posterior, images / picture.path, picture, frame, mirrored=mirrored)
        return self._key("latents", inputs, ("mean", "std"), make)

    def mask(self, picture: Picture, mask: Mask, frame: Frame) -> str:
        """The key of how much each latent's place counts.

        Raises:
            PictureError: where nothing does.
        """
        inputs = {"mask": mask.said, "size": (picture.width, picture.height), **_placed(picture, frame)}
        return self._key("mask", inputs, ("mask",), partial(self._mask, picture, mask, frame))

    def texts(self, wordings: Sequence[Variant]) -> dict[str, Any]:
        """The key of some wordings' embeddings, the prompts in its rows, and for each wording its two rows."""
        prompts = list(dict.fromkeys(text for told in wordings for text in (told.text, told.without_trigger)))
        names = ("tokens", "pooled") if self.model.pooled_width else ("tokens",)
        key = self._key("texts", self._said(prompts), names, lambda: self._embeddings(prompts))
        rows = [(prompts.index(told.text), prompts.index(told.without_trigger)) for told in wordings]
        return {"texts": key, "prompts": prompts, "variants": rows}

    def _said(self, prompts: Sequence[str]) -> dict[str, Any]:
        return {"prompts": list(prompts), "chunks": self.chunks, "dtype": str(self.model.dtype)}

    def _posterior(self, path: Path, picture: Picture, frame: Frame, *, mirrored: bool) -> dict[str, Tensor]:
        pixels_HWC = torch.from_numpy(
            fit(cropped(path, picture.crop), frame.width, frame.height, window=frame.window)
        ).flip(1 if mirrored else ())
        pixels_CHW = pixels_HWC.permute(2, 0, 1).float() / 127.5 - 1
        # One picture at a time: its latents are the same bits whichever others are encoded with it.
        mean_1Dhw, std_1Dhw = self.model.encode_posterior(pixels_CHW[None])
        if not (torch.isfinite(mean_1Dhw).all() and torch.isfinite(std_1Dhw).all()):
            raise CheckpointError(f"The base's VAE answers {picture.path} with numbers that are not finite.")
        return {"mean": mean_1Dhw[0], "std": std_1Dhw[0]}

    def _mask(self, picture: Picture, mask: Mask, frame: Frame) -> dict[str, Tensor]:
        share_hw = mask.within(frame, self.model.pixels_per_latent)
        if not share_hw.any():
            raise PictureError(
                f"The mask of {picture.path} leaves nothing of what is trained on: white counts, black does not. "
                "Mend or delete it."
            )
        return {"mask": torch.from_numpy(share_hw)}

    def _embeddings(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        told = self.model.encode_prompts(prompts, chunks=self.chunks)
        return {"tokens": told.tokens_BLE} | ({} if told.pooled_BE is None else {"pooled": told.pooled_BE})

    def _key(
        self, kind: str, inputs: Mapping[str, Any], names: Sequence[str], make: Callable[[], Mapping[str, Tensor]]
    ) -> str:
        """The name of the file for `inputs`, which is there afterwards and holds the tensors `names`."""
        said = {"format": FORMAT, "kind": kind, "model": self.model.encodes_as, **inputs}
        key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        path = self.folder / f"{key}.safetensors"
        if not _is_sound(path, names):
            tensors = {name: tensor.cpu().contiguous() for name, tensor in make().items()}
            write_atomically(path, save(tensors))
            self.made += 1
        return key


def _placed(picture: Picture, frame: Frame) -> dict[str, Any]:
    """What part of a picture is trained on, and in which shape."""
    crop = picture.crop.model_dump() if picture.crop else None
    return {"crop": crop, "shape": (frame.width, frame.height), "window": frame.window}


def _is_sound(path: Path, names: Sequence[str]) -> bool:
    if not path.is_file():
        return False
    try:
        return read_header(path).tensors.keys() == set(names)
    except CheckpointError:  # cut short, by a full disk or a hand: it is made again
        return False
