"""Encoding: pictures to latents and captions to text embeddings, kept in files that are named by what went in.

Shapes: C H W picture, D h w latent, N prompts, L tokens, E width.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.family import DiffusionModel
from likeness.errors import CheckpointError, PictureError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.images import cropped, fit, sha256_of
from likeness.recipe import EncodeConfig
from likeness.records import Caption, Picture, make_folder, write_atomically
from likeness.seeds import stream

__all__ = ["Variant", "cached_files", "encode", "told_sizes", "variants"]

FORMAT = 2  # of the files and the index: with another number, every older file is a stranger


@dataclass(frozen=True, slots=True)
class Variant:
    """One wording of a caption, and the same with the trigger left out."""

    text: str
    without_trigger: str


def variants(caption: Caption, config: EncodeConfig, front: Sequence[str]) -> list[Variant]:
    """The wordings of a caption that training sees: first as it stands, then shuffled and thinned, each once.

    They depend on the caption and the config alone. Of a short caption there are fewer than `config.variants`. Where
    the caption has a sentence too, every second wording is that sentence; one that is sentences alone is left whole.

    Args:
        caption: with or without `front` among its tags.
        config: how many, and what may change.
        front: the trigger, then the class words: they are never left out, and lead unless `config` shuffles them too.
    """
    spoken = Variant(caption.sentence, _without_trigger(caption.sentence, front))
    if caption.sentence and caption.text == caption.sentence:
        return [spoken]
    rest = [tag for tag in caption.tags if tag not in front]
    wordings = [[*front, *rest]]
    for number in range(1, config.variants):
        drawn = stream(0, "caption variant", caption.picture, number)
        kept = [tag for tag in rest if drawn.random() >= config.tag_dropout]
        led, loose = (list(front), kept) if config.trigger_first else ([], [*front, *kept])
        wordings.append(
            led + [loose[at] for at in drawn.permutation(len(loose))] if config.shuffle else [*front, *kept]
        )
    told = (Variant(", ".join(tags), ", ".join(tag for tag in tags if tag not in front[:1])) for tags in wordings)
    several = list(dict.fromkeys(told))
    if not caption.sentence:
        return several
    in_turn = [wording for some in several for wording in (some, spoken)]
    return in_turn[: max(config.variants, 2)]


def _without_trigger(sentence: str, front: Sequence[str]) -> str:
    """A sentence about the class instead: "a girl is shown" or "a photo of 1girl"."""
    trigger, *classes = front
    rest = sentence.removeprefix(f"{trigger}, ")
    return re.sub(rf"(?<!\w){re.escape(trigger)}(?!\w)", lambda _: ", ".join(classes), rest).strip(" ,")


@torch.no_grad()
def encode(
    pictures: Sequence[Picture],
    captions: Sequence[Caption],
    config: EncodeConfig,
    *,
    model: DiffusionModel,
    images: Path,
    front: Sequence[str],
    to: Path,
    report: Report = silent,
) -> Path:
    """The folder `to`, with a file of latents and one of text embeddings per picture, and `index.json` naming them.

    Latents are the posterior's mean and standard deviation, float32, so that each step draws its own. Texts are the
    variants of the caption, with the trigger and without, in the model's own precision; what all pictures share (no
    words, the trigger and class words alone, the class words alone) has a file of its own. A file is named by the
    sha256 of all that went in: only what is new, changed or damaged is encoded. What is left from earlier stays.

    Args:
        pictures: records; only those whose use is "train" are encoded: a held-out picture never gets here.
        captions: one for each of these.
        config: of this stage.
        model: the base.
        images: the folder that the records' paths start from.
        front: the tags that every caption begins with, the trigger first.
        to: the cache folder.
        report: told of each picture, and how many files had to be made so far.

    Raises:
        PictureError: where no picture is for training, a file is not the one of its record, or a crop leaves
            nothing of it.
        WorkspaceError: where a caption is missing, or `to` cannot be written.
    """
    chosen = _chosen(pictures)
    wordings = [variants(caption, config, front) for caption in _captions_of(chosen, captions)]
    shared = [Variant("", ""), Variant(", ".join(front), ", ".join(front[1:]))]
    chunks = max(model.count_chunks(told.text) for some in (shared, *wordings) for told in some)
    make_folder(to)
    writer = _Writer(to, model, config.size or model.native_size[0], chunks)
    common, entries = writer.texts(shared), []
    for done, (picture, some) in enumerate(zip(chosen, wordings, strict=True), start=1):
        named = {"path": picture.path, "picture": picture.id}
        sizes = told_sizes(picture, writer.side)
        entries.append({**named, "sizes": sizes, "latents": writer.latents(picture, images), **writer.texts(some)})
        report(Event(stage="encode", done=done, total=len(chosen), numbers={"made": writer.made}))
    index = {
        "format": FORMAT,
        "model": model.encodes_as,
        "dtype": str(model.dtype),
        "size": writer.side,
        "caption_dropout": config.caption_dropout,
        "shared": common,
        "pictures": entries,
    }
    write_atomically(to / "index.json", json.dumps(index, indent=1, ensure_ascii=False) + "\n")
    return to


def cached_files(cache: Path) -> list[Path]:
    """The files that the index of a cache names, and the index itself, last; what is left from earlier is none of them.

    Args:
        cache: the folder that `encode` made.
    """
    path = cache / "index.json"
    index = json.loads(path.read_bytes())
    keys = [index["shared"]["texts"], *(entry[kind] for entry in index["pictures"] for kind in ("latents", "texts"))]
    return [*(cache / f"{key}.safetensors" for key in dict.fromkeys(keys)), path]


def told_sizes(picture: Picture, side: int) -> tuple[int, int, int, int, int, int]:
    """What a base that is told of sizes is told of a picture, px: height and width of what is trained on, before it is
    resized; what the square leaves out at its top and left, once it is; height and width of the square.

    A crop counts as a picture of its own: its caption says what is in it, and a base that is told of another picture
    around it would learn that it belongs there.

    Source: Podell et al. 2023, https://arxiv.org/abs/2307.01952, section 2.2.
    """
    box = picture.crop
    width = min(box.right, picture.width) - max(box.left, 0) if box else picture.width
    height = min(box.bottom, picture.height) - max(box.top, 0) if box else picture.height
    scale = min(width, height) / side
    top, left = (round((length / scale - side) / 2) if scale else 0 for length in (height, width))
    return height, width, top, left, side, side


class _Writer:
    """Makes the files that are not there yet.

    Args:
        folder: where they go.
        model: the base.
        side: of the square that is trained on, px.
        chunks: windows of text per prompt; alike in all files, so that their rows stack.
    """

    def __init__(self, folder: Path, model: DiffusionModel, side: int, chunks: int) -> None:
        self.folder, self.model, self.side, self.chunks = folder, model, side, chunks
        self.made = 0

    def latents(self, picture: Picture, images: Path) -> str:
        """The key of a picture's latents."""
        if sha256_of(images / picture.path) != picture.id:
            raise PictureError(
                f"{images / picture.path} is not the picture that its record is about: it was changed since. Repeat "
                "the command; pictures are curated anew first."
            )
        crop = picture.crop.model_dump() if picture.crop else None
        inputs = {"picture": picture.id, "crop": crop, "side": self.side}
        return self._key("latents", inputs, ("mean", "std"), lambda: self._posterior(picture, images))

    def texts(self, wordings: Sequence[Variant]) -> dict[str, Any]:
        """The key of some wordings' embeddings, the prompts in its rows, and for each wording its two rows."""
        prompts = list(dict.fromkeys(text for told in wordings for text in (told.text, told.without_trigger)))
        names = ("tokens", "pooled") if self.model.pooled_width else ("tokens",)
        key = self._key("texts", self._said(prompts), names, lambda: self._embeddings(prompts))
        rows = [(prompts.index(told.text), prompts.index(told.without_trigger)) for told in wordings]
        return {"texts": key, "prompts": prompts, "variants": rows}

    def _said(self, prompts: Sequence[str]) -> dict[str, Any]:
        return {"prompts": list(prompts), "chunks": self.chunks, "dtype": str(self.model.dtype)}

    def _posterior(self, picture: Picture, images: Path) -> dict[str, Tensor]:
        pixels_HWC = torch.from_numpy(fit(cropped(images / picture.path, picture.crop), self.side, self.side))
        pixels_CHW = pixels_HWC.permute(2, 0, 1).float() / 127.5 - 1
        # One picture at a time: its latents are the same bits whichever others are encoded with it.
        mean_1Dhw, std_1Dhw = self.model.encode_posterior(pixels_CHW[None])
        if not (torch.isfinite(mean_1Dhw).all() and torch.isfinite(std_1Dhw).all()):
            raise CheckpointError(f"The base's VAE answers {picture.path} with numbers that are not finite.")
        return {"mean": mean_1Dhw[0], "std": std_1Dhw[0]}

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


def _is_sound(path: Path, names: Sequence[str]) -> bool:
    if not path.is_file():
        return False
    try:
        return read_header(path).tensors.keys() == set(names)
    except CheckpointError:  # cut short, by a full disk or a hand: it is made again
        return False


def _chosen(pictures: Sequence[Picture]) -> list[Picture]:
    chosen = [picture for picture in pictures if picture.use == "train"]
    if not chosen:
        rejected = [picture for picture in pictures if picture.use == "rejected"]
        why = f" The first was rejected: {rejected[0].path}, {rejected[0].reason}." if rejected else ""
        raise PictureError(f"None of {len(pictures)} pictures is for training.{why} Add pictures that can be read.")
    return chosen


def _captions_of(chosen: Sequence[Picture], captions: Sequence[Caption]) -> list[Caption]:
    """The caption of each picture, in the pictures' order."""
    by_picture = {caption.picture: caption for caption in captions}
    missing = [picture.path for picture in chosen if picture.id not in by_picture]
    if missing:
        raise WorkspaceError(
            f"{len(missing)} of {len(chosen)} pictures have no caption; the first is {missing[0]}. Repeat the command; "
            "captions are written first."
        )
    return [by_picture[picture.id] for picture in chosen]
