"""Pictures of a release: each tells its prompt as A1111 does, and that a program drew it, as IPTC does."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from likeness import __version__
from likeness.catalog.card import Sample
from likeness.catalog.credentials import DRAWN
from likeness.diffusion.infotext import infotext
from likeness.images import Pixels, png_of
from likeness.recipe import SampleConfig

__all__ = ["MARK", "Shown", "files_of", "mark_of", "pictured"]

MARK = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    f'Iptc4xmpExt:DigitalSourceType="{DRAWN}" '
    f'xmp:CreatorTool="likeness {__version__}"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
"""XMP that says that a trained program drew a picture: IPTC Photo Metadata Standard 2023.1, Digital Source Type."""


def mark_of(picture: Path) -> str:
    """The same, for a copy of a picture whose file says so, ours or a stranger's; "" for one that does not."""
    return MARK if DRAWN.rpartition("/")[2].encode() in picture.read_bytes() else ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture to show.

    Attributes:
        pixels: as it was drawn.
        prompt: that it was drawn from.
        seed: of its noise.
        how: how it was sampled, and the LoRA's weight; at weight 0 the base drew it alone.
        alt: what is to be seen, in words.
        row: pictures of one row differ in the weight alone; "" for one that stands alone.
    """

    pixels: Pixels
    prompt: str
    seed: int
    how: SampleConfig
    alt: str
    row: str = ""


def pictured(one: Shown, file: str, *, lora: str, lora_hash: str) -> tuple[Sample, bytes]:
    """What the card says of a picture, and the picture's file.

    Args:
        one: the picture.
        file: where it goes, relative to the release.
        lora: the name of the LoRA's file, without its ending.
        lora_hash: its `auto_v3`.
    """
    height, width = one.pixels.shape[:2]
    named = {"lora": lora, "lora_hash": lora_hash} if one.how.weight else {"lora": "", "lora_hash": ""}
    text = infotext(one.prompt, one.how, seed=one.seed, size=(width, height), **named)
    data = png_of(one.pixels, {"parameters": text}, xmp=MARK)
    sample = Sample(
        file=file,
        prompt=one.prompt,
        negative=one.how.negative,
        seed=one.seed,
        weight=one.how.weight,
        width=width,
        height=height,
        alt=one.alt,
        sha256=hashlib.sha256(data).hexdigest(),
        row=one.row,
    )
    return sample, data


def files_of(shown: Sequence[Shown]) -> list[str]:
    """Where each picture goes, relative to the release: by number, and those of one row by their weight too."""
    rows = list(dict.fromkeys(one.row for one in shown if one.row))
    names, alone = [], 0
    for one in shown:
        if one.row:
            names.append(f"images/strength-{rows.index(one.row) + 1}-{one.how.weight:g}.png")
        else:
            alone += 1
            names.append(f"images/{alone:02d}.png")
    return names
