"""Provenance: which program drew a picture, where the picture's own file says that one did."""

import re
from collections.abc import Callable, Mapping
from html import unescape
from pathlib import Path

from likeness.embedded import Notes, embedded_notes

__all__ = ["SOME_PROGRAM", "made_by"]

SOME_PROGRAM = "an image generator"
"""What drew a picture of which is said that a trained program did, but not which one."""

GENERATORS = {
    "NovelAI": r"\bnovelai\b",
    "InvokeAI": r"\binvoke ?ai\b",
    "ComfyUI": r"\bcomfyui\b",
    "Fooocus": r"\bfooocus\b",
    "Draw Things": r"\bdraw things\b",
    "Midjourney": r"\bmidjourney\b",
    "DALL-E": r"\bdall[-·•\s]?e\b",
    "ChatGPT": r"\b(chatgpt|gpt-4o|gpt-image)\b",
    "OpenAI": r"\bopenai\b",
    "Adobe Firefly": r"\badobe firefly\b",
    "Google AI": r"\b(google ai|google generative ai|imagen \d|gemini \d)\b",
    "Microsoft Designer": r"\b(microsoft designer|bing image creator)\b",
    "Stable Diffusion": r"\bstable[- _]?diffusion\b",
    "FLUX": r"\bblack forest labs\b|\bflux[.\d]",
}  # what programs that draw call themselves where a file names its software; editors ("Adobe Photoshop") are not here

_STEPS = re.compile(r"(^|\n)Steps: \d+, ")  # begins the last line of an A1111 text
_JOB = re.compile(r"Job ID: [0-9a-f]{8}-[0-9a-f]{4}-")  # in what Midjourney writes as the description
# IPTC's word for what a trained model made; what it only had a part in is "compositeWithTrainedAlgorithmicMedia".
_TRAINED = "trainedAlgorithmicMedia"
_TRAINED_IN_XMP = re.compile(
    r"DigitalSourceType(?:>|=\"|=\'|\s+rdf:resource=[\"\'])\s*(?:https?://cv\.iptc\.org/newscodes/digitalsourcetype/)?"
    + _TRAINED
)
_TOOL_IN_XMP = re.compile(r"(?:CreatorTool|Credit|Software|AISystemUsed)(?:>|=\"|=\')([^<\"\']{1,200})")


def made_by(path: Path) -> str:
    """The program that drew a picture, by its file's own metadata; empty where nothing says that one did.

    That it was drawn is taken from what image generators write: A1111's and its followers' parameters, ComfyUI's graph,
    InvokeAI, NovelAI, Fooocus, Easy Diffusion, Draw Things, Midjourney; IPTC's digital source type in XMP; and content
    credentials (C2PA), of which the signature is not checked. A picture that a person made, with parts that a program
    drew, is not among them. A file that is broken or not there says nothing.
    """
    try:
        notes = embedded_notes(path)
    except OSError:
        return ""
    found = (rule(notes) for rule in (_by_texts, _by_software, _by_xmp, _by_credentials))
    return next(filter(None, found), "")


def _by_texts(notes: Notes) -> str:
    """By the names of the texts, and what only these programs write under them."""
    return next((program for program, is_by in _SIGNS.items() if is_by(notes.texts)), "")


def _parameters(texts: Mapping[str, str]) -> str:
    """What A1111 and those that follow it call a PNG's and an EXIF block's text on how the picture was made."""
    return texts.get("parameters") or texts.get("UserComment") or ""


def _has(text: str, *words: str) -> bool:
    """Whether a text is a JSON object that holds these keys; it is not parsed, since it may be megabytes."""
    return text.lstrip().startswith("{") and all(f'"{word}"' in text for word in words)


def _is_graph(texts: Mapping[str, str]) -> bool:
    """ComfyUI: PNG texts; in WebP and JPEG the same behind a word, in tags that are for a camera's maker and model."""
    prompts = (texts.get("prompt", ""), texts.get("Model", "").removeprefix("prompt:"))
    flows = (texts.get("workflow", ""), texts.get("Make", "").removeprefix("workflow:"))
    return any(_has(text, "class_type") for text in prompts) or any(_has(text, "nodes") for text in flows)


def _is_easy(texts: Mapping[str, str]) -> bool:
    names = {"negative_prompt", "Negative Prompt", "use_stable_diffusion_model"}
    return not texts.keys().isdisjoint(names) or _has(_parameters(texts), "use_stable_diffusion_model")


def _is_fooocus(texts: Mapping[str, str]) -> bool:
    older = _has(texts.get("Comment", ""), "prompt", "negative_prompt")
    return "fooocus_scheme" in texts or older or _has(_parameters(texts), "base_model", "performance")


_SIGNS: Mapping[str, Callable[[Mapping[str, str]], bool]] = {
    "InvokeAI": lambda texts: not texts.keys().isdisjoint({"invokeai_metadata", "sd-metadata", "Dream"}),
    "NovelAI": lambda texts: _has(texts.get("Comment", ""), "uc", "sampler"),
    "SwarmUI": lambda texts: any(
        _has(text, "sui_image_params") for text in (_parameters(texts), texts.get("Model", ""))
    ),
    "Fooocus": _is_fooocus,
    "ComfyUI": lambda texts: _is_graph(texts) or "Version: ComfyUI" in _parameters(texts),
    "Easy Diffusion": _is_easy,
    "Midjourney": lambda texts: any(_JOB.search(texts.get(key, "")) for key in ("Description", "ImageDescription")),
    "a Stable Diffusion program": lambda texts: bool(_STEPS.search(_parameters(texts))),
}  # program -> whether the texts are its own; the last is what many write, for the sake of A1111's readers


def _named(words: str) -> str:
    """The generator that is named in words; empty where none is."""
    return next((name for name, pattern in GENERATORS.items() if re.search(pattern, words, re.IGNORECASE)), "")


def _by_software(notes: Notes) -> str:
    return _named(notes.texts.get("Software", ""))


def _by_xmp(notes: Notes) -> str:
    xmp = notes.xmp.decode(errors="replace")
    _, _, comment = xmp.partition("UserComment")
    if all(f'"{word}"' in unescape(comment) for word in ("c", "uc", "sampler", "seed")):
        return "Draw Things"
    if not _TRAINED_IN_XMP.search(xmp):
        return ""
    tools = (_named(words) for words in _TOOL_IN_XMP.findall(xmp))
    return next(filter(None, tools), SOME_PROGRAM)


def _by_credentials(notes: Notes) -> str:
    """By the actions in a C2PA manifest: CBOR, in which a key is followed by its value.

    Source: C2PA 2.1, sections 10.2 and 18.12; RFC 8949, section 3.
    """
    data = notes.credentials
    if f"/{_TRAINED}".encode() not in data:
        return ""
    values = (_text_after(data, key) for key in (b"softwareAgent", b"claim_generator", b"claim_generator_info"))
    words = [value for value in values if value]
    return next(filter(None, map(_named, words)), next(iter(words), SOME_PROGRAM))


def _text_after(data: bytes, key: bytes) -> str:
    """The text that follows a key in CBOR, or the "name" in the map, or list of maps, that does; else empty."""
    for found in re.finditer(re.escape(key), data):
        text = _text(data, found.end())
        if text is None and (name := data.find(b"dname", found.end(), found.end() + 100)) >= 0:
            text = _text(data, name + 5)
        if text:
            return text
    return ""


def _text(data: bytes, place: int) -> str | None:
    """The CBOR text at a place; None where there is none."""
    head = data[place] if place < len(data) else 0
    if not 0x60 <= head <= 0x78:
        return None
    size, start = (data[place + 1], place + 2) if head == 0x78 and place + 1 < len(data) else (head - 0x60, place + 1)
    return data[start : start + size].decode(errors="replace")
