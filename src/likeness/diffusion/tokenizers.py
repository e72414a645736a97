"""Where a base's vocabulary lies, and the tokenizer made of it. Nothing is ever fetched.

All of Stable Diffusion 1.x, 2.x and XL splits words by the vocabulary of CLIP; a single file does not hold it.
"""

import json
from pathlib import Path
from typing import Any

from likeness.diffusion.identity import present, read_table
from likeness.errors import CheckpointError

__all__ = ["BRING", "open_tokenizer", "vocabulary_files", "vocabulary_folder"]

BRING = "hf download openai/clip-vit-large-patch14 vocab.json merges.txt tokenizer_config.json special_tokens_map.json"
"""The command that brings the vocabulary into the hub's cache: 1.5 MB."""

CACHED = (
    ("openai/clip-vit-large-patch14", ""),
    ("stable-diffusion-v1-5/stable-diffusion-v1-5", "tokenizer/"),
    ("stabilityai/stable-diffusion-xl-base-1.0", "tokenizer/"),
    ("runwayml/stable-diffusion-v1-5", "tokenizer/"),
    ("CompVis/stable-diffusion-v1-4", "tokenizer/"),
)
"""Repositories of the hub that hold it, and where in them."""

START, END = "<|startoftext|>", "<|endoftext|>"


def vocabulary_folder(base: Path, told: str = "", part: str = "tokenizer") -> Path:
    """The folder with the vocabulary of a base: the one that is told, or its own, or the one in the hub's cache.

    Args:
        base: a diffusers folder or a single file.
        told: `base.tokenizer`.
        part: of the folder.

    Raises:
        CheckpointError: where there is none; the message has the command that brings it.
    """
    if told:
        folder = Path(told).expanduser()
        vocabulary_files(folder)
        return folder
    if base.is_dir():
        return base / part
    if found := _in_cache():
        return found
    raise CheckpointError(
        f"{base} is a single file, which holds no tokenizer, and the hub's cache has none. Bring it once, where there "
        f"is a network: {BRING}\nOr name a folder with vocab.json and merges.txt as base.tokenizer."
    )


def _in_cache() -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    for repository, place in CACHED:
        found = [try_to_load_from_cache(repository, f"{place}{name}") for name in ("vocab.json", "merges.txt")]
        if all(isinstance(path, str) for path in found):
            return Path(str(found[0])).parent
    return None


def vocabulary_files(folder: Path) -> list[Path]:
    """The tokenizer's files: CLIP's own two, or the one that newer versions of transformers write instead.

    Raises:
        CheckpointError: where one is missing.
    """
    whole = folder / "tokenizer.json"
    return [whole] if whole.is_file() else [present(folder / name) for name in ("vocab.json", "merges.txt")]


def open_tokenizer(folder: Path, *, words: int, longest: int, zero: bool) -> tuple[Any, int]:
    """The tokenizer in a folder, and the token that it fills windows up with.

    Args:
        folder: where the vocabulary lies.
        words: that the text encoder knows.
        longest: window that it reads, tokens.
        zero: whether its base was trained with token 0, an exclamation mark, behind the end of a prompt. The
            libraries then take every exclamation mark of a prompt for such filling; here it stays the word that it is,
            as in A1111 and ComfyUI.

    Raises:
        CheckpointError: where the folder's files are missing, or are of another vocabulary than the encoder's.
    """
    # transformers 4 has a slow one too; 5 has only this, by both names
    from transformers import CLIPTokenizerFast  # pyright: ignore[reportAttributeAccessIssue]

    vocabulary_files(folder)
    own: dict[str, Any] = {"pad_token": END, "added_tokens_decoder": {}} if zero else {}
    if zero and (whole := folder / "tokenizer.json").is_file():
        own["tokenizer_object"] = _without_filling(whole)
    tokenizer: Any = CLIPTokenizerFast.from_pretrained(folder, local_files_only=True, model_max_length=longest, **own)
    if len(tokenizer) > words:
        raise CheckpointError(
            f"The tokenizer in {folder} knows {len(tokenizer)} words, and the base's text encoder {words}: they do not "
            "belong together. Set base.tokenizer to the folder that comes with this base."
        )
    return tokenizer, 0 if zero else tokenizer.pad_token_id


def _without_filling(whole: Path) -> Any:
    """The tokenizer in one file, where only the start and the end of a prompt are no words of it."""
    from tokenizers import Tokenizer

    told = read_table(whole)
    added = [token for token in told.get("added_tokens", ()) if token["content"] in (START, END)]
    return Tokenizer.from_str(json.dumps(told | {"added_tokens": added}))
