"""Graphs: what the nodes and links that ComfyUI notes in a picture say of how it was made.

Nobody vouches for a graph: links may lead nowhere or round in circles, and any value may be of any kind.

Source: ComfyUI, `nodes.py` and `execution.py`; for the inputs of much used nodes of others, rgthree-comfy,
efficiency-nodes-comfyui, Comfyroll, and the Impact pack.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from likeness.errors import PictureError
from likeness.evaluation.facts import Facts, json_object

__all__ = ["graph_facts"]

MAX_NODES = 2_000  # large graphs have some 300
MAX_SAMPLERS = 20  # that begin a picture each; most graphs have one, and each is asked for all of its words
MAX_CHAIN = 150  # nodes between a sampler and all of its words, a few dozen in large graphs; each is a call in a call

PIPES = ("guider", "basic_pipe", "pipe", "sdxl_tuple")  # one link that stands for several, prompts among them
PLACES = ("noise", "sampler", "sigmas", *PIPES)  # where samplers in parts keep what others hold themselves
DRAWN_ON = ("latent_image", "latent", "samples", "image", "images", "pixels")
TOWARDS_THE_BASE = ("model", "model1", "model2", "lora_stack", "optional_lora_stack", *PIPES)
BASES = ("ckpt_name", "base_ckpt_name", "unet_name")
LONE_VALUES = ("value", "int", "float", "number", "string")  # of a node that only holds a value for others

_WORDS = re.compile(r"(text|string)(_?[a-z0-9])?|prompt|value|populated_text|clip_[gl]|t5xxl")
_CONDITIONS = re.compile(r"cond(itioning)?(_?[a-z0-9]+)?")
_LORA = re.compile(r"lora(?:_name)?(_\d{1,3})?")
_ENDING = re.compile(r"\.(safetensors|sft|ckpt|pt|pth|bin|gguf)$")


@dataclass(frozen=True, slots=True)
class _Node:
    kind: str
    inputs: Mapping[str, Any]


_Graph = Mapping[str, _Node]


def graph_facts(text: str) -> Facts:
    """What a graph says of the picture that came of it.

    Where samplers work on one picture one after the other, the first one speaks: it gave the picture its content.

    Args:
        text: JSON: an object with a "class_type" and "inputs" for each node, by its id.

    Raises:
        PictureError: for what is no graph, leads to no prompt, or draws several pictures, each in its own way.
    """
    graph = _graph(text)
    samplers = _first_samplers(graph)
    told = [facts for sampler in samplers[:MAX_SAMPLERS] if (facts := _facts(graph, sampler))]
    if not told:
        raise PictureError("no sampler of its ComfyUI graph leads to a prompt")
    if len(samplers) > MAX_SAMPLERS or any(facts != told[0] for facts in told):
        raise PictureError("its ComfyUI graph draws several pictures, each in its own way")
    return told[0]


def _graph(text: str) -> _Graph:
    nodes = json_object(text, "ComfyUI graph")
    if len(nodes) > MAX_NODES:
        raise PictureError(f"its ComfyUI graph has more than {MAX_NODES} nodes")
    return {
        id: _Node(str(node.get("class_type", "")), node["inputs"])
        for id, node in nodes.items()
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }


def _link(graph: _Graph, value: object) -> str | None:
    """The id of the node that an input is linked to; None where it is a value, or the link leads nowhere."""
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int)):
        return None
    return id if isinstance(value[1], int) and (id := str(value[0])) in graph else None


def _linked(graph: _Graph, node: _Node, names: Iterable[str]) -> list[str]:
    found = (_link(graph, node.inputs.get(name)) for name in names)
    return [id for id in found if id is not None]


def _first_samplers(graph: _Graph) -> list[_Node]:
    """Those that draw on nothing that another sampler drew; of a graph that saves pictures, those behind them."""
    above = {id: _linked(graph, node, node.inputs) for id, node in graph.items()}
    below: dict[str, list[str]] = {}
    for id, links in above.items():
        for link in links:
            below.setdefault(link, []).append(id)
    samplers = [id for id, node in graph.items() if _is_sampler(graph, node)]
    saved = _reached([id for id, node in graph.items() if "save" in node.kind.lower()], above)
    samplers = [id for id in samplers if id in saved] or samplers
    drawn = _reached(samplers, below).union(samplers)
    return [graph[id] for id in samplers if drawn.isdisjoint(_linked(graph, graph[id], DRAWN_ON))]


def _is_sampler(graph: _Graph, node: _Node) -> bool:
    has_seed = "seed" in node.inputs or "noise_seed" in node.inputs or bool(_linked(graph, node, ["noise"]))
    return has_seed and bool(_linked(graph, node, ("positive", *PIPES)))


def _reached(starts: Iterable[str], links: Mapping[str, list[str]]) -> set[str]:
    """All that the links lead to from the starts."""
    found, left = set[str](), list(starts)
    while left:
        new = set(links.get(left.pop(), ())) - found
        found |= new
        left += new
    return found


def _facts(graph: _Graph, sampler: _Node) -> Facts | None:
    """What a sampler was told; None where no words can be found."""
    prompt = _asked(graph, sampler, "positive")
    if prompt is None:
        return None
    model, loras = _model(graph, sampler)
    return Facts(
        prompt=prompt,
        negative=_asked(graph, sampler, "negative") or "",
        seed=_value(graph, sampler, ("seed", "noise_seed")),
        steps=_value(graph, sampler, ("steps",)),
        sampler=_value(graph, sampler, ("sampler_name",)),
        guidance=_value(graph, sampler, ("cfg",)),
        model=model,
        loras=loras,
    )


def _asked(graph: _Graph, sampler: _Node, side: str) -> str | None:
    """The words on one side, "positive" or "negative"."""
    holders = [sampler, *(graph[id] for id in _linked(graph, sampler, PIPES))]
    names = ("positive", "conditioning") if side == "positive" else ("negative",)
    link = next((one.inputs[name] for one in holders for name in names if name in one.inputs), None)
    return _words(graph, link, side, set())


def _words(graph: _Graph, value: object, side: str, seen: set[str]) -> str | None:
    """The text that an input holds, or that is behind its link; each node is asked once."""
    if isinstance(value, str):
        return value
    id = _link(graph, value)
    if id is None or id in seen or graph[id].kind == "ConditioningZeroOut":
        return None
    seen.add(id)
    if len(seen) > MAX_CHAIN:
        raise PictureError(f"the prompt of its ComfyUI graph is spread over more than {MAX_CHAIN} nodes")
    inputs = graph[id].inputs
    found = [_words(graph, source, side, seen) for source in _sources(graph, graph[id], side)]
    # CLIPTextEncodeSDXL has the same text twice, for its two encoders.
    texts = list(dict.fromkeys(text for text in found if text is not None))
    between = next((inputs[name] for name in ("delimiter", "separator") if isinstance(inputs.get(name), str)), ", ")
    return between.join(texts) if texts else None


def _sources(graph: _Graph, node: _Node, side: str) -> Sequence[object]:
    """The inputs of a node that words may come from: its side's own, or texts and conditions, or its only link."""
    for name in (side, f"text_{side}"):
        if isinstance(node.inputs.get(name), str | list):
            return [node.inputs[name]]
    told = [
        value
        for name, value in node.inputs.items()
        if (isinstance(value, list) and _CONDITIONS.fullmatch(name))
        or (isinstance(value, str | list) and _WORDS.fullmatch(name))
    ]
    links = [value for value in node.inputs.values() if _link(graph, value) is not None]
    return told or (links if len(links) == 1 else [])


def _value(graph: _Graph, sampler: _Node, names: tuple[str, ...]) -> object:
    """What the sampler, or a part of it, was told under one of these names; None where nothing was."""
    holders = [sampler, *(graph[id] for id in _linked(graph, sampler, PLACES))]
    found = next((one.inputs[name] for one in holders for name in names if name in one.inputs), None)
    return _resolved(graph, found, names)


def _resolved(graph: _Graph, value: object, names: tuple[str, ...] = ()) -> object:
    """A value, or the one that its link leads to."""
    for _ in range(MAX_CHAIN):
        id = _link(graph, value)
        if id is None:
            return value
        inputs = graph[id].inputs
        value = next((inputs[name] for name in (*names, *LONE_VALUES) if name in inputs), None)
    return None


def _model(graph: _Graph, sampler: _Node) -> tuple[str, tuple[tuple[object, object], ...]]:
    """The base, and the LoRAs on the way to it."""
    base, loras, seen, left = "", [], set[str](), [sampler]
    while left:
        node = left.pop()
        loras += [lora for name in node.inputs if (lora := _lora(graph, node.inputs, name))]
        base = base or next((_bare(node.inputs[name]) for name in BASES if isinstance(node.inputs.get(name), str)), "")
        new = [id for id in _linked(graph, node, TOWARDS_THE_BASE) if id not in seen]
        seen.update(new)
        left += [graph[id] for id in dict.fromkeys(new)]
    return base, tuple(loras)


def _lora(graph: _Graph, inputs: Mapping[str, Any], name: str) -> tuple[object, object] | None:
    """Name and weight of the LoRA that an input names; None where it names none, or one that is switched off."""
    match = _LORA.fullmatch(name)
    if not match:
        return None
    place, told = match[1] or "", inputs[name]
    if isinstance(told, dict):  # rgthree's power loader
        file, weight, is_on = told.get("lora"), told.get("strength"), told.get("on") is not False
    else:
        both = ("lora_wt", "model_str") if inputs.get("input_mode") == "simple" else ("model_str", "lora_wt")
        weights = ("strength_model", "lora_model_strength", *both, "model_weight", "strength")
        file = told
        weight = next((inputs[one + place] for one in weights if one + place in inputs), None)
        is_on = inputs.get(f"switch{place}") != "Off"
    most = inputs.get("lora_count")
    is_counted = not (place and isinstance(most, int) and int(place[1:]) > most)
    if not isinstance(file, str) or file in ("", "None") or not is_on or not is_counted:
        return None
    return _bare(file), _resolved(graph, weight)


def _bare(file: str) -> str:
    """A weights file's name without folder and ending, as others name it."""
    return _ENDING.sub("", file.replace("\\", "/").rpartition("/")[2])
