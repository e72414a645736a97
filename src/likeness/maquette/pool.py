"""A raw pool of pictures of one character, as a person would collect it: good ones among honest flaws."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from likeness.maquette.draw import draw
from likeness.maquette.world import Drawing, Identity, random_identity, random_scene
from likeness.seeds import stream

__all__ = ["FLAWS", "GOOD", "Member", "make_pool"]

GOOD = 45
"""How many pictures of a pool have no flaw."""

FLAWS: dict[str, int] = {
    "exact duplicate": 3,
    "rescaled duplicate": 3,
    "recompressed duplicate": 3,
    "mirrored duplicate": 2,
    "cropped duplicate": 2,
    "blur": 3,
    "heavy JPEG": 3,
    "too dark": 3,
    "letterbox": 2,
    "text": 3,
    "other character": 4,
    "two characters": 2,
    "truncated": 1,
    "not a picture": 1,
}
"""How often each flaw comes in a pool; with the good ones 80 files."""

_STAMPS = ("SAMPLE PREVIEW", "(c) artist 2024", "DO NOT REPOST", "commission open")
_ERROR_PAGE = b"<!DOCTYPE html><title>404 Not Found</title>"  # what a failed download leaves behind


@dataclass(frozen=True, slots=True)
class Member:
    """The truth about one file of a pool.

    Attributes:
        path: file name inside the pool's folder.
        flaw: a name of `FLAWS`, or "" for a good picture.
        drawing: who is on it and how; None where nobody is (not a picture). Of two characters, the one on the left.
        original: for a duplicate, the path of the picture it repeats.
    """

    path: str
    flaw: str
    drawing: Drawing | None
    original: str = ""


def make_pool(identity: Identity, folder: Path, *, seed: int, size: int = 128) -> list[Member]:
    """Write a pool of pictures of `identity` to `folder` and return its truth, in the order of the file names.

    The truth goes nowhere else: what curates the pool has to find it out.

    Args:
        seed: of everything in the pool but the identity.
        size: side of the drawn pictures, px; copies are smaller or larger.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = stream(seed, "pool")
    plan = [*[""] * GOOD, *(flaw for flaw, count in FLAWS.items() for _ in range(count))]
    numbers = rng.permutation(len(plan))  # where in the folder each lies
    good: list[tuple[str, Drawing, Image.Image]] = []
    members = []
    for flaw, number in zip(plan, numbers, strict=True):
        file = folder / f"{number:03d}.png"
        if flaw == "":
            drawing = Drawing(identity, random_scene(rng))
            picture = _drawn(drawing, size)
            picture.save(file)
            good.append((file.name, drawing, picture))
            members.append(Member(file.name, "", drawing))
        elif flaw.endswith("duplicate"):
            path, drawing, picture = good[int(rng.integers(len(good)))]
            written = _DUPLICATES[flaw](picture, file, rng)
            members.append(Member(written.name, flaw, drawing, path))
        elif flaw == "not a picture":
            file.write_bytes(_ERROR_PAGE + bytes(rng.integers(0, 256, 400, np.uint8)))
            members.append(Member(file.name, flaw, None))
        else:
            whose = _someone_else(identity, rng) if flaw == "other character" else identity
            drawing = Drawing(whose, random_scene(rng))
            written = _write_flawed(drawing, flaw, file, rng, size)
            members.append(Member(written.name, flaw, drawing))
    return sorted(members, key=lambda member: member.path)


def _drawn(drawing: Drawing, size: int) -> Image.Image:
    return Image.fromarray(draw(drawing.identity, drawing.scene, size=size, supersampling=3))


def _someone_else(identity: Identity, rng: np.random.Generator) -> Identity:
    """Somebody who shares fewer than half of the character's traits."""
    while True:
        other = random_identity(rng)
        if sum(other[name] == value for name, value in identity.traits.items()) < len(identity.traits) / 2:
            return other


def _copy(picture: Image.Image, file: Path, rng: np.random.Generator) -> Path:
    picture.save(file)
    return file


def _rescale(picture: Image.Image, file: Path, rng: np.random.Generator) -> Path:
    side = int(picture.width * rng.uniform(0.55, 1.6))
    return _copy(picture.resize((side, side), Image.Resampling.LANCZOS), file, rng)


def _recompress(picture: Image.Image, file: Path, rng: np.random.Generator) -> Path:
    return _save_jpeg(picture, file, quality=int(rng.integers(45, 85)))


def _mirror(picture: Image.Image, file: Path, rng: np.random.Generator) -> Path:
    return _copy(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), file, rng)


def _crop(picture: Image.Image, file: Path, rng: np.random.Generator) -> Path:
    left, top, right, bottom = (rng.uniform(0.02, 0.09, 4) * picture.width).astype(int)
    return _copy(picture.crop((left, top, picture.width - right, picture.height - bottom)), file, rng)


_DUPLICATES: dict[str, Callable[[Image.Image, Path, np.random.Generator], Path]] = {
    "exact duplicate": _copy,
    "rescaled duplicate": _rescale,
    "recompressed duplicate": _recompress,
    "mirrored duplicate": _mirror,
    "cropped duplicate": _crop,
}


def _save_jpeg(picture: Image.Image, file: Path, *, quality: int) -> Path:
    file = file.with_suffix(".jpg")
    picture.save(file, quality=quality)
    return file


def _write_flawed(drawing: Drawing, flaw: str, file: Path, rng: np.random.Generator, size: int) -> Path:
    """The drawing with this flaw; the path may have got another suffix."""
    picture = _drawn(drawing, size)
    if flaw == "truncated":
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        file.write_bytes(buffer.getvalue()[: int(buffer.tell() * rng.uniform(0.3, 0.7))])
        return file
    if flaw == "heavy JPEG":
        return _save_jpeg(picture, file, quality=int(rng.integers(3, 9)))
    if flaw == "two characters":
        other = Drawing(_someone_else(drawing.identity, rng), random_scene(rng, background=drawing.scene.background))
        return _copy(_side_by_side(picture, _drawn(other, size)), file, rng)
    return _copy(_SPOILERS[flaw](picture, rng) if flaw in _SPOILERS else picture, file, rng)


def _side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    pair = Image.new("RGB", (left.width + right.width, left.height))
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width, 0))
    return pair


def _blur(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(picture.width * rng.uniform(0.02, 0.035)))


def _darken(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    share = rng.uniform(0.08, 0.16)
    return picture.point([int(value * share) for value in range(256)] * 3)


def _letterbox(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    bar = int(picture.height * rng.uniform(0.12, 0.2))
    page = Image.new("RGB", (picture.width, picture.height + 2 * bar))
    page.paste(picture, (0, bar))
    return page


def _stamp(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    words = str(rng.choice(_STAMPS))
    xy = (picture.width * rng.uniform(0.04, 0.16), picture.height * float(rng.choice([0.06, 0.44, 0.86])))
    stamped = picture.copy()
    pen, size = ImageDraw.Draw(stamped), picture.width * 0.095
    pen.text(xy, words, fill=(255, 255, 255), stroke_fill=(0, 0, 0), stroke_width=1, font_size=size)
    return stamped


_SPOILERS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "blur": _blur,
    "too dark": _darken,
    "letterbox": _letterbox,
    "text": _stamp,
}
