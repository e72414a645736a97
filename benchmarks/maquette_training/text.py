"""The maquette's tokenizer and text encoder: byte pairs of its world's words, and a small CLIP text model.

The encoder is taught before any picture is seen, by reading prompts back: from its last token the whole list of words,
from each token the tag it belongs to. That gives the denoiser what CLIP gives Stable Diffusion: one vector that knows
the prompt, and tokens that know their neighbours.
"""

# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# (what diffusers and transformers say of their own types is not what they do)
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from likeness.maquette.world import (
    SCENE_AXES,
    TRAITS,
    Identity,
    Scene,
    scene_tags,
    trait_tags,
    visible_traits,
    vocabulary,
)

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH, WIDTH = 77, 192
_PLAIN_WORDS = [
    "a",
    "an",
    "the",
    "of",
    "with",
    "and",
    "in",
    "on",
    "at",
    "is",
    "photo",
    "picture",
    "drawing",
    "portrait",
    "character",
    "style",
    "by",
    "artist",
    "background",
    "person",
    "animal",
    "fox",
    "bear",
    "dog",
]


def name_at_random(generator: np.random.Generator) -> str:
    """A pronounceable name of two or three syllables, as triggers are."""
    syllables = int(generator.integers(2, 4))
    return "".join(
        str(generator.choice(list("bdfghjklmnprstvwz")))
        + str(generator.choice(list("aeiou")))
        + str(generator.choice(["", "", "n", "r", "x", "k"]))
        for _ in range(syllables)
    )


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """Train byte-pair merges until every word of the world is one token; save them as CLIP's files."""
    generator = np.random.default_rng(0)
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    letters = [c for c in _byte_alphabet()]
    trainer = trainers.BpeTrainer(
        vocab_size=1600,
        end_of_word_suffix="</w>",
        initial_alphabet=letters,
        special_tokens=[],
        show_progress=False,
        min_frequency=2,
    )
    words = [*re.findall(r"[a-z]+|\d", " ".join(vocabulary())), *_PLAIN_WORDS]  # as CLIP splits them
    names = [name_at_random(generator) for _ in range(400)]
    tokenizer.train_from_iterator([" ".join(words)] * 400 + [" ".join(names)], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    folder.mkdir(parents=True, exist_ok=True)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    alphabet = _byte_alphabet()
    tokens = list(
        dict.fromkeys(
            [*alphabet, *(c + "</w>" for c in alphabet), *(pair.replace(" ", "") for pair in merges), START, END]
        )
    )
    (folder / "vocab.json").write_text(
        json.dumps({token: index for index, token in enumerate(tokens)}, ensure_ascii=False)
    )
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": LENGTH,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
        "do_lower_case": True,
        "add_prefix_space": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    (folder / "special_tokens_map.json").write_text(
        json.dumps({k: settings[k] for k in ("bos_token", "eos_token", "unk_token", "pad_token")}, indent=1)
    )
    return CLIPTokenizer.from_pretrained(folder)


def _byte_alphabet() -> list[str]:
    """The 256 printable stand-ins for bytes that GPT-2 and CLIP use."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    extra = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(extra))]


def build_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """About 1.2 M parameters."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
            hidden_act="quick_gelu",
        )
    )


def prompt_of(identity: Identity, scene: Scene, generator: np.random.Generator) -> str:
    """A caption as people write them: every visible tag, a few, or only the scene; often shuffled, or a name first."""
    seen = visible_traits(identity, scene)
    kept = float(generator.choice([1.0, 0.85, 0.5, 0.0], p=[0.4, 0.3, 0.2, 0.1]))
    tags = trait_tags({name: identity[name] for name in seen if generator.random() < kept})
    around = [tag for tag in scene_tags(scene) if generator.random() < 0.92]
    everything = [*tags, *around]
    if generator.random() < 0.7:
        generator.shuffle(everything)
    name = [name_at_random(generator)] if generator.random() < 0.35 else []
    return ", ".join([*name, *([identity.class_words] if generator.random() < 0.95 else []), *everything])


def _tags_and_classes() -> dict[str, int]:
    tags: dict[str, int] = {}
    full: list[Mapping[str, str]] = [{name: value} for name, values in TRAITS.items() for value in values]
    full += [{"left_eye": c, "right_eye": c} for c in TRAITS["left_eye"]]
    full += [{"garment": g, "garment_colour": c} for g in TRAITS["garment"] for c in TRAITS["garment_colour"]]
    for traits in full:
        for tag in trait_tags(traits):
            tags.setdefault(tag, len(tags))
    for axis, values in SCENE_AXES.items():
        for value in values:
            for tag in scene_tags({axis: value}):
                tags.setdefault(tag, len(tags))
    return tags


class ReadBack(nn.Module):
    """Two heads over the encoder's output: every word of the prompt from the last token, and each token's own tag."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.tokenizer, self.tags = tokenizer, _tags_and_classes()
        self.all_tags = nn.Linear(WIDTH, len(self.tags))
        self.pieces = nn.Linear(WIDTH, len(tokenizer))
        self.own_tag = nn.Linear(WIDTH, len(self.tags))

    def targets(self, prompts: list[str]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Token ids (B, L), tags present (B, tags), the last's index (B,), each token's tag or -1."""
        rows, owners = [], []
        present = torch.zeros(len(prompts), len(self.tags))
        for row, prompt in enumerate(prompts):
            ids, owner = [self.tokenizer.bos_token_id], [-1]
            for tag in prompt.split(", "):
                pieces = self.tokenizer(tag, add_special_tokens=False).input_ids
                index = self.tags.get(tag, -1)
                if index >= 0:
                    present[row, index] = 1
                ids += [*pieces, self._comma]
                owner += [*[-1] * (len(pieces) - 1), index, index]
            ids, owner = ids[:-1][: LENGTH - 1], owner[:-1][: LENGTH - 1]
            rows.append([*ids, self.tokenizer.eos_token_id])
            owners.append([*owner, -1])
        longest = max(map(len, rows))
        last = torch.tensor([len(row) - 1 for row in rows])
        ids_BL = torch.tensor([[*row, *[self.tokenizer.eos_token_id] * (longest - len(row))] for row in rows])
        owners_BL = torch.tensor([[*owner, *[-1] * (longest - len(owner))] for owner in owners])
        return ids_BL, present, last, owners_BL

    @property
    def _comma(self) -> int:
        return self.tokenizer(",", add_special_tokens=False).input_ids[0]

    def loss(self, encoder: CLIPTextModel, prompts: list[str]) -> Tensor:
        """Sum of the two tasks' cross-entropies, plus which word pieces (names among them) the prompt holds."""
        ids_BL, present, last_B, owners_BL = self.targets(prompts)
        hidden_BLE = encoder(input_ids=ids_BL).last_hidden_state.float()
        final_BE = hidden_BLE[torch.arange(len(last_B)), last_B]
        pieces = torch.zeros(len(prompts), len(self.tokenizer)).scatter_(1, ids_BL, 1.0)
        return (
            4 * functional.binary_cross_entropy_with_logits(self.all_tags(final_BE), present)
            + 4 * functional.binary_cross_entropy_with_logits(self.pieces(final_BE), pieces)
            + 0.3
            * functional.cross_entropy(self.own_tag(hidden_BLE).flatten(0, 1), owners_BL.flatten(), ignore_index=-1)
        )

    @torch.no_grad()
    def report(self, encoder: CLIPTextModel, prompts: list[str]) -> str:
        """How many tags the last token gives back, and how many tokens know their own tag."""
        ids_BL, present, last_B, owners_BL = self.targets(prompts)
        hidden_BLE = encoder(input_ids=ids_BL).last_hidden_state
        found = self.all_tags(hidden_BLE[torch.arange(len(last_B)), last_B]) > 0
        own = (self.own_tag(hidden_BLE).argmax(-1) == owners_BL)[owners_BL >= 0].float().mean()
        recall, precision = (
            (found & (present > 0)).sum() / present.sum(),
            (found & (present > 0)).sum() / found.sum().clamp(min=1),
        )
        return f"recall {recall:.3f} precision {precision:.3f} own tag {own:.3f}"
