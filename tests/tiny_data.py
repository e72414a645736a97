"""A tiny data set for tests: pictures in a folder, their records and captions, and the cache of both."""

from pathlib import Path

import numpy

from likeness.cache.encode import encode
from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.files.metadata import LoraMetadata
from likeness.images import save_png, sha256_of
from likeness.recipe import EncodeConfig
from likeness.records import Caption, Picture

FRONT = ("mira", "fox")
NOTES = LoraMetadata(title="mira", base_name="tiny", prediction="epsilon", resolution=(32, 32))


def tiny_pictures(images: Path, count: int = 5) -> tuple[list[Picture], list[Caption]]:
    """Noise in colour, of 40 x 36 px, and a caption of four tags for each."""
    images.mkdir(parents=True, exist_ok=True)
    pictures, captions = [], []
    for number in range(count):
        path = images / f"{number}.png"
        save_png(path, numpy.random.default_rng(number).integers(0, 256, (36, 40, 3), numpy.uint8))
        id = sha256_of(path)
        pictures.append(Picture(id=id, path=path.name, width=40, height=36, use="train", decided_by="collect"))
        tags = (*FRONT, "blue", "ear", f"view {number}", "smile")
        captions.append(Caption(picture=id, tags=tags, text=", ".join(tags), written_by="person"))
    return pictures, captions


def tiny_cache(folder: Path, model: DiffusionModel, config: EncodeConfig | None = None) -> Path:
    """The cache of `tiny_pictures`, in `folder`."""
    pictures, captions = tiny_pictures(folder / "images")
    to = folder / "cache"
    return encode(
        pictures,
        captions,
        config or EncodeConfig(variants=3),
        model=model,
        images=folder / "images",
        front=FRONT,
        to=to,
    )
