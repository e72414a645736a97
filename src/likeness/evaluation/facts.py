"""Facts: what A1111's web UI, and those that follow it, InvokeAI and NovelAI note in a picture of how it was made.

Source: AUTOMATIC1111/stable-diffusion-webui, `modules/infotext_utils.py`, `modules/extra_networks.py` and
`extensions-builtin/Lora`; invoke-ai/InvokeAI, `app/invocations/metadata.py`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from likeness.errors import PictureError

__all__ = [
    "MAX_TEXT",
    "Facts",
    "a1111_facts",
    "infotext_facts",
    "invoke_facts",
    "is_infotext",
    "json_object",
    "novel_facts",
    "without_loras",
]

MAX_TEXT = 100_000
"""Letters of a prompt and its settings; long ones have 5,000."""

MAX_JSON = 2_000_000  # letters; ComfyUI's graphs of hundreds of nodes have some 100,000

_SETTINGS = re.compile(r"\s*Steps: \d+\s*(,|$)")  # begins the line behind the prompts
_SETTING = re.compile(r'\s*([^:,]{1,60}):\s*+("(?:[^"\\]|\\.)*+"|[^,]*+)')
_LORA = re.compile(r"<(?:lora|lyco):([^<>]*)>")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a program noted of a picture, in its own way: numbers may be texts, or nonsense.

    Attributes:
        prompt: what was asked for.
        negative: what was not.
        seed: of the noise that the picture began as.
        steps: of the sampler.
        sampler: its name.
        guidance: the scale of classifier-free guidance.
        model: the base.
        loras: name and weight of each.
    """

    prompt: str
    negative: object = ""
    seed: object = None
    steps: object = None
    sampler: object = ""
    guidance: object = None
    model: object = ""
    loras: tuple[tuple[object, object], ...] = ()


def json_object(text: str, what: str) -> dict[str, object]:
    """The JSON object that a text is.

    Args:
        text: from a file that nobody vouches for.
        what: the text is, in a message.

    Raises:
        PictureError: where it is none, or too long to be one that was meant.
    """
    if len(text) > MAX_JSON:
        raise PictureError(f"its {what} is longer than {MAX_JSON} letters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise PictureError(f"its {what} is no valid JSON") from fault
    if not isinstance(found, dict):
        raise PictureError(f"its {what} is no JSON object")
    return found


def invoke_facts(texts: Mapping[str, str]) -> Facts | None:
    """What InvokeAI noted; None where it noted nothing.

    Args:
        texts: in a picture's file, by their names.

    Raises:
        PictureError: for a note that cannot be read, or holds no prompt.
    """
    if "invokeai_metadata" not in texts:
        return None
    told = json_object(texts["invokeai_metadata"], "InvokeAI metadata")
    prompt = told.get("positive_prompt")
    if not isinstance(prompt, str):
        raise PictureError("its InvokeAI metadata holds no prompt")
    loras = [lora for lora in _listed(told.get("loras")) if isinstance(lora, dict)]
    return Facts(
        prompt=prompt,
        negative=told.get("negative_prompt"),
        seed=told.get("seed"),
        steps=told.get("steps"),
        sampler=told.get("scheduler"),
        guidance=told.get("cfg_scale"),
        model=_name(told.get("model")),
        loras=tuple((_name(lora.get("model") or lora.get("lora")), lora.get("weight")) for lora in loras),
    )


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _name(model: object) -> object:
    """The name of a model in InvokeAI's metadata, which called it "model_name" before version 4."""
    return (model.get("name") or model.get("model_name")) if isinstance(model, dict) else model


def novel_facts(texts: Mapping[str, str]) -> Facts | None:
    """What NovelAI noted; None where it noted nothing.

    Args:
        texts: in a picture's file, by their names.

    Raises:
        PictureError: for a note that cannot be read, or holds no prompt.
    """
    comment = texts.get("Comment", "")
    if not comment.startswith("{") or '"uc"' not in comment:  # a JPEG's comment may be anything
        return None
    told = json_object(comment, "NovelAI comment")
    prompt = told.get("prompt", texts.get("Description"))  # the first versions have it there alone
    if not isinstance(prompt, str):
        raise PictureError("its NovelAI comment holds no prompt")
    captions: object = told
    for key in ("v4_prompt", "caption", "char_captions"):  # from version 4 on, each character has a prompt of its own
        captions = captions.get(key) if isinstance(captions, dict) else None
    characters = [one.get("char_caption") for one in _listed(captions) if isinstance(one, dict)]
    return Facts(
        prompt=", ".join([prompt, *(words for words in characters if isinstance(words, str) and words)]),
        negative=told.get("uc"),
        seed=told.get("seed"),
        steps=told.get("steps"),
        sampler=told.get("sampler"),
        guidance=told.get("scale"),
        model=texts.get("Source"),
    )


def a1111_facts(texts: Mapping[str, str]) -> Facts | None:
    """What A1111's web UI, or a program that follows it, noted; None where none did.

    Args:
        texts: in a picture's file, by their names.

    Raises:
        PictureError: for a note that is too long, or in the form of another program.
    """
    text = texts.get("parameters") or texts.get("UserComment", "")
    if len(text) > MAX_TEXT:
        raise PictureError(f"its parameters are longer than {MAX_TEXT} letters")
    if is_infotext(text):
        return infotext_facts(text)
    if text.lstrip().startswith("{"):
        raise PictureError("its parameters are in the form of a program that is not known")
    return infotext_facts(text) if texts.get("parameters") else None  # a camera's comment may be anything


def is_infotext(text: str) -> bool:
    """Whether a text has a line of settings, as A1111's has."""
    return any(_SETTINGS.match(line) for line in text.split("\n"))


def infotext_facts(text: str) -> Facts:
    """What a text in A1111's form says: the prompt, "Negative prompt:", and a line of settings; each may be missing."""
    lines = [line.strip() for line in text.strip().split("\n")]
    # Extensions add lines behind the settings.
    last = max((place for place, line in enumerate(lines) if _SETTINGS.match(line)), default=len(lines))
    prompt, _, negative = ("\n" + "\n".join(lines[:last])).partition("\nNegative prompt:")
    settings = _SETTING.finditer("".join(lines[last : last + 1]))
    told = {setting[1]: _unquoted(setting[2].strip()) for setting in settings}
    return Facts(
        prompt=prompt,
        negative=negative,
        seed=told.get("Seed"),
        steps=told.get("Steps"),
        sampler=told.get("Sampler"),
        guidance=told.get("CFG scale"),
        model=told.get("Model") or told.get("Model hash"),
        loras=tuple(_lora(words[1]) for words in _LORA.finditer(prompt)),
    )


def _unquoted(value: str) -> str:
    try:
        found = json.loads(value) if value.startswith('"') else value
    except ValueError:
        return value
    return found if isinstance(found, str) else value


def _lora(words: str) -> tuple[object, object]:
    """Name, and weight on the denoiser, of "mira", "mira:0.8", "mira:0.5:0.8" (its second weight), "mira:unet=0.8"."""
    name, *told = words.split(":")
    weights = [one for one in told if "=" not in one]
    named = dict(one.split("=", 1) for one in told if "=" in one)
    of_text = named.get("te", next(iter(weights), "1"))  # what is said of the text encoder holds for both
    return name.strip(), named.get("unet", weights[1] if len(weights) > 1 else of_text)


def without_loras(prompt: str) -> str:
    """A prompt as the model sees it: without the words that load LoRAs, "<lora:mira:0.8>"."""
    return _LORA.sub("", prompt).strip()
