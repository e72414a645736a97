"""A raw pool of pictures of one character, as a person would collect it: good ones among honest flaws, with the truth of each."""

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

__all__ = ["FLAWS", "Member", "make_pool"]

FLAWS: dict[str, int] = {  # how often each comes in a pool; with the good ones about 80 files
    "exact duplicate": 3, "rescaled duplicate": 3, "recompressed duplicate": 3, "mirrored duplicate": 2, "cropped duplicate": 2,
    "blur": 3, "heavy JPEG": 3, "too dark": 3, "letterbox": 2, "text": 3, "other character": 4, "two characters": 2,
    "truncated": 1, "not a picture": 1,
}  # fmt: skip
GOOD = 45


@dataclass(frozen=True, slots=True)
class Member:
    """The truth about one file of a pool.

    Attributes:
        path: file name inside the pool's folder.
        flaw: a name of `FLAWS`, or "" for a good picture.
        drawing: who is on it and how; None where nobody is (not a picture).
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
        size: side of the drawn pictures, px; copies are smaller or larger.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = stream(seed, "pool")
    plan = ["", *[""] * (GOOD - 1), *(flaw for flaw, count in FLAWS.items() for _ in range(count))]
    numbers = rng.permutation(len(plan))
    good: list[tuple[str, Drawing, Image.Image]] = []
    members = []
    for flaw, number in zip(plan, numbers, strict=True):
        name = f"{number:03d}"
        if flaw == "":
            drawing = Drawing(identity, random_scene(rng))
            picture = _drawn(drawing, size)
            good.append((f"{name}.png", drawing, picture))
            picture.save(folder / f"{name}.png")
            members.append(Member(f"{name}.png", "", drawing))
        elif flaw.endswith("duplicate"):
            path, drawing, picture = good[int(rng.integers(len(good)))]
            members.append(Member(_write_duplicate(folder, name, flaw, picture, rng), flaw, drawing, path))
        else:
            members.append(_write_flawed(folder, name, flaw, identity, rng, size))
    return sorted(members, key=lambda member: member.path)


def _drawn(drawing: Drawing, size: int) -> Image.Image:
    return Image.fromarray(draw(drawing.identity, drawing.scene, size=size, supersampling=3))


def _write_duplicate(folder: Path, name: str, flaw: str, picture: Image.Image, rng: np.random.Generator) -> str:
    side = picture.width
    match flaw:
        case "rescaled duplicate":
            scaled = int(side * rng.uniform(0.55, 1.6))
            picture = picture.resize((scaled, scaled), Image.Resampling.LANCZOS)
        case "recompressed duplicate":
            picture.save(folder / f"{name}.jpg", quality=int(rng.integers(45, 85)))
            return f"{name}.jpg"
        case "mirrored duplicate":
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        case "cropped duplicate":
            left, top, right, bottom = (rng.uniform(0.02, 0.09, 4) * side).astype(int)
            picture = picture.crop((left, top, side - right, side - bottom))
    picture.save(folder / f"{name}.png")
    return f"{name}.png"


def _write_flawed(folder: Path, name: str, flaw: str, identity: Identity, rng: np.random.Generator, size: int) -> Member:
    if flaw == "not a picture":
        (folder / f"{name}.png").write_bytes(b"<!DOCTYPE html><title>404 Not Found</title>" + bytes(rng.integers(0, 256, 400, np.uint8)))
        return Member(f"{name}.png", flaw, None)
    whose = _someone_else(identity, rng) if flaw == "other character" else identity
    drawing = Drawing(whose, random_scene(rng))
    picture = _drawn(drawing, size)
    if flaw == "truncated":
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        (folder / f"{name}.png").write_bytes(buffer.getvalue()[: int(buffer.tell() * rng.uniform(0.3, 0.7))])
        return Member(f"{name}.png", flaw, drawing)
    if flaw == "heavy JPEG":
        picture.save(folder / f"{name}.jpg", quality=int(rng.integers(3, 9)))
        return Member(f"{name}.jpg", flaw, drawing)
    if flaw == "two characters":
        other = _drawn(Drawing(_someone_else(identity, rng), random_scene(rng, background=drawing.scene.background)), size)
        pair = Image.new("RGB", (2 * size, size))
        pair.paste(picture, (0, 0))
        pair.paste(other, (size, 0))
        picture = pair
    elif flaw in _SPOILERS:
        picture = _SPOILERS[flaw](picture, rng)
    picture.save(folder / f"{name}.png")
    return Member(f"{name}.png", flaw, drawing)


def _someone_else(identity: Identity, rng: np.random.Generator) -> Identity:
    """Somebody who shares fewer than half of the character's traits."""
    while True:
        other = random_identity(rng)
        if sum(other[name] == value for name, value in identity.traits.items()) < len(identity.traits) / 2:
            return other


def _blur(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(picture.width * rng.uniform(0.02, 0.035)))


def _darken(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return picture.point([int(value * share) for share in [rng.uniform(0.08, 0.16)] * 3 for value in range(256)])


def _letterbox(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    bar = int(picture.height * rng.uniform(0.12, 0.2))
    page = Image.new("RGB", (picture.width, picture.height + 2 * bar))
    page.paste(picture, (0, bar))
    return page


def _stamp(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    words = str(rng.choice(["SAMPLE PREVIEW", "(c) artist 2024", "DO NOT REPOST", "commission open"]))
    stamped = picture.copy()
    pen = ImageDraw.Draw(stamped)
    x, y = picture.width * rng.uniform(0.04, 0.16), picture.height * float(rng.choice([0.06, 0.44, 0.86]))
    pen.text((x, y), words, fill=(255, 255, 255), stroke_fill=(0, 0, 0), stroke_width=1, font_size=picture.width * 0.095)
    return stamped


_SPOILERS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "blur": _blur, "too dark": _darken, "letterbox": _letterbox, "text": _stamp,
}  # fmt: skip
