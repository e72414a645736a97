"""Sidecars: what the tools that list LoRAs read beside the file, each in its own words.

Sources: AUTOMATIC1111 `modules/ui_extra_networks_user_metadata.py` and `extensions-builtin/Lora`;
willmiao/ComfyUI-Lora-Manager `py/utils/models.py`; Civitai's model-version JSON, as its REST API documents it.
"""

import json
from collections.abc import Mapping
from typing import Any

from likeness.catalog.card import Card
from likeness.catalog.markdown import html_of
from likeness.recipe import Rating

__all__ = ["NSFW_LEVELS", "VERSIONS", "a1111_json", "civitai_info", "metadata_json", "trigger_words", "written"]

VERSIONS: Mapping[str, str] = {"sd15": "SD1", "sd2": "SD2", "sdxl": "SDXL"}
"""A1111's names of families; it hides a LoRA of another one than the checkpoint that is open."""

NSFW_LEVELS: Mapping[Rating, int] = {"PG": 1, "PG13": 2, "R": 4, "X": 8}
"""LoRA Manager's and Civitai's numbers of ratings."""


def trigger_words(card: Card) -> str:
    """What a prompt has to hold for the character to come."""
    return ", ".join(filter(None, (card.subject.trigger, card.subject.class_words)))


def a1111_json(card: Card) -> dict[str, Any]:
    """`NAME.json` of A1111 and Forge: a click on the LoRA puts activation text and weight into the prompt."""
    return {
        "description": card.summary,
        "sd version": VERSIONS.get(card.base.family, "Unknown"),
        "activation text": trigger_words(card),
        "preferred weight": card.weight if card.is_weighed else 0,  # 0: as the user's settings say
        "negative text": card.negative,
        "notes": _notes(card),
    }


def metadata_json(card: Card, modified: float) -> dict[str, Any]:
    """`NAME.metadata.json` of LoRA Manager. It drops a LoRA from its library where one of the first eight is missing.

    Args:
        card: of the release.
        modified: time of the LoRA's file, seconds.
    """
    return {
        "file_name": card.name,
        "model_name": card.title,
        "file_path": card.file.name,  # it heals another folder's, and ours is nobody's business
        "size": card.file.size,
        "modified": modified,
        "sha256": card.file.sha256,
        "base_model": card.base.name,
        "preview_url": card.preview.file if card.preview else f"{card.name}.preview.png",
        **({"preview_nsfw_level": NSFW_LEVELS[card.rating]} if card.rating else {}),
        "notes": _notes(card),
        "from_civitai": False,
        "civitai": {"trainedWords": [words] if (words := trigger_words(card)) else []},
        "tags": [*card.tags],
        "modelDescription": html_of(card.description or card.summary),
        "usage_tips": json.dumps(_tips(card)),
        "autov3": card.file.auto_v3,
        "skip_metadata_refresh": True,  # what Civitai says of another file of this name is not to replace it
    }


def civitai_info(card: Card) -> dict[str, Any]:
    """`NAME.civitai.info`, as Civitai tells a version of a model. Its numbers are 0: it is from elsewhere."""
    words = trigger_words(card)
    file = card.file
    hashes = {
        "SHA256": file.sha256.upper(),
        "AutoV1": file.auto_v1.upper(),
        "AutoV2": file.auto_v2.upper(),
        "AutoV3": file.auto_v3.upper(),
        "CRC32": file.crc32.upper(),
    }
    return {
        "id": 0,
        "modelId": 0,
        "name": card.version,
        "description": html_of(card.description or card.summary),
        "baseModel": card.base.name,
        "publishedAt": f"{card.published.isoformat()}T00:00:00Z",
        "trainedWords": [words] if words else [],
        "model": {
            "name": card.title,
            "type": "LORA",
            "nsfw": card.rating in ("R", "X"),
            "poi": card.subject.kind == "real-person",
            "description": html_of(card.description or card.summary),
            "tags": [*card.tags],
        },
        "files": [
            {
                "name": file.name,
                "type": "Model",
                "primary": True,
                "sizeKB": file.size / 1024,
                "hashes": hashes,
                "metadata": {"format": "SafeTensor"},
            }
        ],
        "images": [
            {
                "url": one.file,
                "nsfwLevel": NSFW_LEVELS[card.rating or "X"],
                "width": one.width,
                "height": one.height,
                "meta": {"prompt": one.prompt, "negativePrompt": one.negative, "seed": one.seed},
            }
            for one in card.samples
        ],
    }


def _tips(card: Card) -> dict[str, Any]:
    """How strongly to use it, as LoRA Manager puts it into nodes."""
    tips: dict[str, Any] = {"strength": card.weight} if card.is_weighed else {}
    if card.strength:
        low, high = card.strength.low, card.strength.high
        tips |= {"strength_min": low, "strength_max": high, "strength_range": f"{low:g}-{high:g}"}
    return tips | ({"clip_skip": card.base.clip_skip} if card.base.clip_skip > 1 else {})


def _notes(card: Card) -> str:
    """What a person may want to know of it, in a few lines."""
    lines = [f"Version {card.version}, {card.published.isoformat()}, {card.rights.title or 'no licence on record'}."]
    if card.strength:
        lines.append(f"Use it at {card.weight:g}{card.strength.range_words}, as was measured.")
    if identity := card.score("identity"):
        value = identity.value
        lines.append(f"Likeness {value.mean:.2f} ({value.low:.2f} to {value.high:.2f}); real pictures are at 1.")
    return "\n".join(filter(None, [*lines, card.disclosure]))


def written(table: Mapping[str, Any]) -> str:
    """A sidecar's text, as A1111 writes its own."""
    return json.dumps(table, indent=4, ensure_ascii=False) + "\n"
