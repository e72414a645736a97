"""Encoding: pictures to latents and captions to text embeddings, kept in files that are named by what went in."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from likeness.cache.class_pictures import class_pictures
from likeness.cache.framing import frame_of, shapes_of
from likeness.cache.masks import Mask, mask_of
from likeness.cache.mirroring import may_be_mirrored, refuse_one_sided
from likeness.cache.wordings import Variant, variants
from likeness.cache.writer import FORMAT, Writer
from likeness.diffusion.family import DiffusionModel
from likeness.errors import PictureError, RecipeError, WorkspaceError
from likeness.events import Event, Report, silent
from likeness.recipe import EncodeConfig
from likeness.records import Caption, Picture, make_folder, write_atomically

__all__ = ["cached_files", "encode"]


@dataclass(frozen=True, slots=True)
class _Example:
    """A picture to be learnt from.

    Attributes:
        picture: its record.
        folder: that the record's path starts from.
        wordings: of its caption.
        is_mirrored: whether its mirror image is learnt from too.
        mask: what counts in it; None: all of it.
    """

    picture: Picture
    folder: Path
    wordings: list[Variant]
    is_mirrored: bool = False
    mask: Mask | None = None


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
        images: the folder that the records' paths start from. Beside it lie `masks/` and `class/`, where there are any.
        front: the tags that every caption begins with, the trigger first.
        to: the cache folder.
        report: told of each picture, and how many files had to be made so far.

    Raises:
        PictureError: where no picture is for training, a file is not the one of its record, or a crop or mask leaves
            nothing of it.
        RecipeError: where mirror images are asked for of a character that has sides, or class pictures of no class.
        WorkspaceError: where a caption is missing, or `to` cannot be written.
    """
    own = _own(pictures, captions, config, images=images, front=front)
    of_class = _of_class(images.parent / "class", front[1:]) if config.class_pictures else []
    shared = [Variant("", ""), Variant(", ".join(front), ", ".join(front[1:]))]
    every = [shared, *(example.wordings for example in (*own, *of_class))]
    make_folder(to)
    writer = Writer(to, model, chunks=max(model.count_chunks(told.text) for some in every for told in some))
    side = max((config.size or model.native_size[0]) // model.side_step, 1) * model.side_step
    shapes = shapes_of(side, model.side_step) if config.shape == "buckets" else [(side, side)]
    common, entries = writer.texts(shared), []
    for done, example in enumerate((*own, *of_class), start=1):
        entries.append(_entry(writer, example, shapes))
        report(Event(stage="encode", done=done, total=len(every) - 1, numbers={"made": writer.made}))
    index = {
        "format": FORMAT,
        "model": model.encodes_as,
        "dtype": str(model.dtype),
        "caption_dropout": config.caption_dropout,
        "shared": common,
        "pictures": entries[: len(own)],
        "class": entries[len(own) :],
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
    entries = [index["shared"], *index["pictures"], *index["class"]]
    keys = [entry[kind] for entry in entries for kind in ("latents", "mirrored", "mask", "texts") if kind in entry]
    return [*(cache / f"{key}.safetensors" for key in dict.fromkeys(keys)), path]


def _own(
    pictures: Sequence[Picture],
    captions: Sequence[Caption],
    config: EncodeConfig,
    *,
    images: Path,
    front: Sequence[str],
) -> list[_Example]:
    """The pictures of the character."""
    chosen = _chosen(pictures)
    if config.mirror:
        refuse_one_sided([picture.reading for picture in chosen if picture.reading])
    masks = _masks(chosen, config, images.parent / "masks")
    told = zip(chosen, _captions_of(chosen, captions), masks, strict=True)
    return [
        _Example(
            picture,
            images,
            variants(caption, config, front),
            is_mirrored=config.mirror and may_be_mirrored(caption),
            mask=mask,
        )
        for picture, caption, mask in told
    ]


def _masks(chosen: Sequence[Picture], config: EncodeConfig, folder: Path) -> list[Mask | None]:
    """The mask of each picture. Where none has one, though the recipe asks for masks, that is refused."""
    if config.masks == "none":
        return [None] * len(chosen)
    masks = [mask_of(picture, config.masks, folder) for picture in chosen]
    if not any(masks):
        way = f"The reader told no {config.masks}: set perception.reader to one that does"
        if config.masks == "files":
            first = chosen[0].path
            way = f"Put masks/{Path(first).with_suffix('.png')} beside images/, in the size of {first}"
        raise RecipeError(
            f"encode.masks = {config.masks!r}, but none of {len(chosen)} pictures has a mask. {way}; or set "
            "encode.masks = 'none'."
        )
    return masks


def _of_class(folder: Path, class_words: Sequence[str]) -> list[_Example]:
    """The pictures of the character's class."""
    told = class_pictures(folder, class_words)
    return [_Example(picture, folder, [Variant(caption.text, caption.text)]) for picture, caption in told]


def _entry(writer: Writer, example: _Example, shapes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """What the index says of a picture, when its files are there."""
    picture, folder, frame = example.picture, example.folder, frame_of(example.picture, shapes)
    entry: dict[str, Any] = {"path": picture.path, "picture": picture.id, "sizes": frame.sizes}
    if picture.reading and picture.reading.view:
        entry["view"] = picture.reading.view
    entry["latents"] = writer.latents(picture, folder, frame)
    if example.is_mirrored:
        entry["mirrored"] = writer.latents(picture, folder, frame, mirrored=True)
        entry["mirrored_sizes"] = frame.mirrored.sizes
    if example.mask:
        entry["mask"] = writer.mask(picture, example.mask, frame)
    return {**entry, **writer.texts(example.wordings)}


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
