"""What tests of releases share: a LoRA's file as a trainer leaves it, a card, pictures, and a release of them."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path

import numpy
from safetensors.numpy import save_file

from likeness.catalog.card import BaseFacts, Card, Rights, Subject
from likeness.catalog.pictures import Shown
from likeness.catalog.publish import file_facts, publish
from likeness.catalog.scores import Evaluated, Strength
from likeness.recipe import CharacterConfig, Consent, PublishConfig, SampleConfig
from likeness.statistics import Interval

NOTES = {
    "ss_base_model_version": "sd_v1",
    "ss_network_module": "networks.lora",
    "ss_network_dim": "4",
    "ss_tag_frequency": json.dumps({"mira": {"mira": 20, "1girl": 20}}),
    "ss_output_name": "step-000100",
    "modelspec.resolution": "512x512",
}
SDXL = BaseFacts(name="SDXL 1.0", family="sdxl", file="sd_xl_base_1.0.safetensors", licence="openrail++", side=1024)
ANN = CharacterConfig(
    name="Ann",
    trigger="ann doe",
    kind="real-person",
    consent=Consent(
        who="Ann Doe",
        basis="signed release",
        scope="portraits",
        date=datetime.date(2026, 1, 31),
        evidence_sha256="ab" * 32,
        adult=True,
        publishing=True,
    ),
)
MIRA = CharacterConfig(name="mira", trigger="mira", class_words="1girl", kind="original")


def trained(path: Path, *, seed: int = 1, notes: Mapping[str, str] | None = None, width: int = 768) -> Path:
    """A LoRA's file as kohya's trainer leaves it: two layers of attention to text."""
    rng = numpy.random.default_rng(seed)
    tensors = {}
    for name in ("to_k", "to_v"):
        layer = f"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_{name}"
        tensors[f"{layer}.lora_down.weight"] = rng.standard_normal((4, width)).astype(numpy.float16)
        tensors[f"{layer}.lora_up.weight"] = rng.standard_normal((320, 4)).astype(numpy.float16)
        tensors[f"{layer}.alpha"] = numpy.asarray(4.0, dtype=numpy.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, dict(NOTES if notes is None else notes))
    return path


def card_of(lora: Path, **changes: object) -> Card:
    """What a release of it would say."""
    name = str(changes.get("name", "mira"))
    known = {
        "name": name,
        "title": name.title(),
        "published": datetime.date(2026, 12, 1),
        "summary": "A **fox** knight.",
        "tags": ("fox", "knight"),
        "rating": "PG",
        "file": file_facts(lora),
        "subject": Subject(kind="original", trigger="mira", class_words="1girl"),
        "base": BaseFacts(
            name="SD 1.5", family="sd15", file="v1-5-pruned.safetensors", licence="creativeml-openrail-m"
        ),
        "rights": Rights(licence="openrail++", title="CreativeML Open RAIL++-M", link="https://example.org/licence"),
        "evaluated": Evaluated(reason="Step 100 is the best.", scores=()),
        "strength": Strength(recommended=0.8, low=0.6, high=1.0, reason="0.8 is the best."),
    }
    return Card.model_validate({**known, **changes})


def interval(mean: float) -> Interval:
    """Some interval around a mean."""
    return Interval(mean=mean, low=mean - 0.1, high=mean + 0.1, samples=24)


def pictures(count: int = 2) -> list[Shown]:
    """Pictures of noise, each from a prompt and a seed of its own."""
    rng, how = numpy.random.default_rng(0), SampleConfig(steps=8, guidance=2.0)
    return [
        Shown(
            pixels=rng.integers(0, 255, (64, 64, 3), dtype=numpy.uint8),
            prompt=f"mira, 1girl, scene {number}",
            seed=number,
            how=how,
            alt=f"Mira: scene {number}",
        )
        for number in range(count)
    ]


def released(to: Path, lora: Path, config: PublishConfig | None = None, **changes: object) -> Path:
    """A release, in `to`."""
    config = config or PublishConfig(rating="PG")
    card = publish(card_of(lora, **changes), lora, pictures(), character=MIRA, config=config, to=to)
    return to / card.name
