"""Notes: what a released file says about itself, in kohya-ss's `ss_*` and in ModelSpec's `modelspec.*`.

Both families are always written: A1111 takes a LoRA with notes for one of Stable Diffusion 1.x unless
`ss_base_model_version` says otherwise, and SwarmUI and galleries read ModelSpec alone.
"""

import base64
import io
from collections.abc import Mapping

from PIL import Image

from likeness.catalog.card import Card
from likeness.catalog.pictures import MARK
from likeness.catalog.sidecars import trigger_words
from likeness.images import Pixels, fit

__all__ = ["family_notes", "notes_of", "thumbnail_of"]

THUMBNAIL = 256  # px, as ModelSpec advises
QUALITY = 80  # of JPEG: some 10 kB
VERSIONS: Mapping[str, tuple[str, str, str]] = {
    "sd15": ("sd_v1", "stable-diffusion-v1", "diffusers"),
    "sd2": ("sd_v2", "stable-diffusion-v2-512", "diffusers"),
    "sdxl": ("sdxl_base_v1-0", "stable-diffusion-xl-v1-base", "https://github.com/Stability-AI/generative-models"),
}
"""By family: kohya-ss's version, ModelSpec's architecture and implementation."""


def notes_of(card: Card, kept: Mapping[str, str], thumbnail: str = "") -> dict[str, str]:
    """The notes of a released file: those that its trainer wrote, and all that the card says. Hashes are not among
    them: whoever writes the file tells those.

    Args:
        card: of the release.
        kept: the notes that the file has.
        thumbnail: as `thumbnail_of` gives it; none is left out.
    """
    notes = {key: value for key, value in kept.items() if not key.startswith(("sshs_", "modelspec.hash_"))}
    if card.base.family in VERSIONS:
        notes |= family_notes(card.base.family, is_v=card.base.prediction == "v")
    told = {
        "ss_output_name": card.name,
        "ss_sd_model_name": card.base.file,
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.title": card.title,
        "modelspec.description": card.description or card.summary,
        "modelspec.author": card.rights.owner,
        "modelspec.date": card.published.isoformat(),
        "modelspec.license": card.rights.link or card.rights.licence,
        "modelspec.usage_hint": _hint(card),
        "modelspec.trigger_phrase": trigger_words(card),
        "modelspec.tags": ", ".join(card.tags),
        "modelspec.prediction_type": card.base.prediction,
        "modelspec.encoder_layer": str(card.base.clip_skip) if card.base.clip_skip > 1 else "",
        "modelspec.merged_from": ", ".join(card.parents),
        "modelspec.thumbnail": thumbnail,
    }
    if card.base.side and "modelspec.resolution" not in notes:
        told["modelspec.resolution"] = f"{card.base.side}x{card.base.side}"
    gone = {key for key, value in told.items() if not value and key != "ss_sd_model_name"}
    return {key: value for key, value in notes.items() if key not in gone} | {k: v for k, v in told.items() if v}


def family_notes(family: str, *, is_v: bool) -> dict[str, str]:
    """The notes by which tools know a LoRA's base.

    Args:
        family: "sd15", "sd2" or "sdxl".
        is_v: whether the base predicts v; of 2.x that is another architecture.
    """
    version, architecture, implementation = VERSIONS[family]
    if family == "sd2" and is_v:
        version, architecture = "sd_v2_v", "stable-diffusion-v2-768-v"
    return {
        "ss_base_model_version": version,
        "ss_v2": str(family == "sd2"),
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.implementation": implementation,
    }


def _hint(card: Card) -> str:
    """How to use it, in one line."""
    how = f"at {card.weight:g}" if card.is_weighed else ""
    if card.strength and card.strength.low != card.strength.high:
        how += f" ({card.strength.low:g} to {card.strength.high:g})"
    return "; ".join(filter(None, (trigger_words(card), how)))


def thumbnail_of(pixels: Pixels) -> str:
    """A picture that was drawn, as ModelSpec keeps it in a header: a JPEG of 256 px, as a data address."""
    file = io.BytesIO()
    Image.fromarray(fit(pixels, THUMBNAIL, THUMBNAIL)).save(file, "JPEG", quality=QUALITY, xmp=MARK.encode())
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
