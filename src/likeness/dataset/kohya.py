"""Kohya: what sd-scripts is told of a dataset, and how it sees pictures.

Source: kohya-ss/sd-scripts, `docs/config_README-en.md` and `library/config_util.py` for the TOML; `load_image` and
`IMAGE_EXTENSIONS` in `library/train_util.py` for how it reads pictures.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import tomli_w
from PIL import Image

from likeness.dataset.archives import safe_name
from likeness.images import open_pixels
from likeness.records import Caption, Picture

__all__ = ["Plan", "dataset_toml", "folder_name", "is_seen_alike"]

FORMATS = ("BMP", "JPEG", "PNG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")  # what it looks for without further packages
STEP = 64  # px; its buckets are multiples of it
SMALLEST_BUCKETED = 256  # px; its smallest side of a bucket, and no base that is trained elsewhere is smaller


@dataclass(frozen=True, slots=True)
class Plan:
    """What the trainer is told.

    Attributes:
        front: what every caption begins with: the trigger, and what the character is.
        size: side of the square that is trained on, px.
        no_mirror: why a mirrored picture would show somebody else; empty where it would not; None where nobody knows.
    """

    front: tuple[str, ...]
    size: int
    no_mirror: str | None = None


def folder_name(repeats: int, plan: Plan) -> str:
    """What the folder is called: `--train_data_dir` takes repeats and class from it, where no TOML is given."""
    return safe_name(f"{repeats}_{' '.join(plan.front)}".replace("/", " "))


def is_seen_alike(path: Path) -> bool:
    """Whether sd-scripts sees the picture that a viewer shows.

    It turns nothing by EXIF, knows no colour profile, cuts 16 bits off at 8, and drops transparency without a ground.

    Raises:
        PictureError: where the picture cannot be read.
    """
    if path.suffix not in SUFFIXES:
        return False
    shown = open_pixels(path)
    formats = [name for name in FORMATS if name in Image.OPEN]  # a Pillow built without WebP has fewer
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures, which were just opened
            with Image.open(path, formats=formats) as image:
                return numpy.array_equal(numpy.asarray(image.convert("RGB")), shown)
    except (Image.DecompressionBombError, OSError):
        return False


def dataset_toml(chosen: Sequence[Picture], captions: Sequence[Caption], plan: Plan, to: Path) -> str:
    """The dataset config of sd-scripts, with a comment where a reason is due.

    Args:
        chosen: the pictures that are exported.
        captions: theirs.
        plan: what the trainer is told.
        to: the folder that the export will lie in.
    """
    lines = [
        "# For kohya's sd-scripts: --dataset_config dataset.toml",
        "",
        "[general]",
        *_general(captions, plan),
        "",
        "[[datasets]]",
        _line("resolution", plan.size),
        *_buckets(plan.size),
    ]
    for repeats in sorted({picture.repeats for picture in chosen}):
        count = sum(picture.repeats == repeats for picture in chosen)
        lines += [
            "",
            f"# {count} pictures. sd-scripts takes a path from where it is started: change it if you move the folder.",
            "[[datasets.subsets]]",
            _line("image_dir", str(to.resolve() / "img" / folder_name(repeats, plan))),
            _line("class_tokens", " ".join(plan.front)),
            _line("num_repeats", repeats),
        ]
    return "\n".join(lines) + "\n"


def _general(captions: Sequence[Caption], plan: Plan) -> list[str]:
    """How captions are read, and whether pictures are mirrored."""
    tagged = all(caption.text == ", ".join(caption.tags) for caption in captions)
    kept = len(plan.front) if all(caption.tags[: len(plan.front)] == plan.front for caption in captions) else 0
    reason = {
        None: "nobody has looked yet whether a mirrored picture still shows the character",
        "": "nothing that was seen of the character is on one side only",
    }.get(plan.no_mirror, plan.no_mirror or "")
    return [
        _line("caption_extension", ".txt"),
        *([] if tagged else ["# some captions are sentences, which shuffling would tear apart"]),
        _line("shuffle_caption", tagged),
        f"# the trigger{' and what the character is stay' if len(plan.front) > 1 else ' stays'} in front",
        _line("keep_tokens", kept),
        f"# {' '.join(reason.split())}",
        _line("flip_aug", plan.no_mirror == ""),
    ]


def _buckets(size: int) -> list[str]:
    """Buckets of half to twice the size, in the steps that sd-scripts asks for."""
    if size < SMALLEST_BUCKETED:
        return []
    smallest, largest = max(SMALLEST_BUCKETED, size // 2 // STEP * STEP), -(-2 * size // STEP) * STEP
    return [
        _line("enable_bucket", True),
        _line("bucket_reso_steps", STEP),
        _line("min_bucket_reso", smallest),
        _line("max_bucket_reso", largest),
    ]


def _line(name: str, value: Any) -> str:
    return tomli_w.dumps({name: value}).strip()
