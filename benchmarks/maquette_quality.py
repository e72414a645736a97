"""Prints how good the maquette is: autoencoder, reader, and how well the embedded base follows its prompt.

python benchmarks/maquette_quality.py [--prompts 300] [--guidance 5]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from likeness.diffusion import load_model
from likeness.diffusion.sampling import sample
from likeness.evaluation.prompts import prompt_of
from likeness.images import Pixels, save_png
from likeness.maquette.draw import draw, sheet
from likeness.maquette.world import (
    SCENE_AXES,
    TRAITS,
    Drawing,
    random_identity,
    random_scene,
    visible_axes,
    visible_traits,
)
from likeness.perception import Reader, load_reader
from likeness.records import Reading
from likeness.seeds import stream

BASE = Path(__file__).parents[1] / "src" / "likeness" / "maquette" / "base"
Tally = dict[str, list[bool]]


def drawings_at_random(count: int, *, seed: int, seen_only: bool) -> list[Drawing]:
    """Truths that no training has seen: their seeds are apart from those of `make_maquette.py`."""
    rng = stream(seed, "maquette quality")
    return [Drawing(random_identity(rng, seen_only=seen_only), random_scene(rng)) for _ in range(count)]


def compare(truths: list[Drawing], readings: list[Reading]) -> Tally:
    """Right or wrong per axis, over the pictures that show it; an abstention is wrong."""
    tally: Tally = defaultdict(list)
    for truth, reading in zip(truths, readings, strict=True):
        for trait in visible_traits(truth.identity, truth.scene):
            tally[trait].append(reading.traits.get(trait) == truth.identity[trait])
        for axis in visible_axes(truth.scene):
            tally[axis].append(getattr(reading, axis) == getattr(truth.scene, axis))
    return tally


def follow(truths: list[Drawing], readings: list[Reading]) -> Tally:
    """As `compare`, but only what the prompt asks for: a trait without a tag (no horns) is not asked."""
    tally: Tally = defaultdict(list)
    for truth, reading in zip(truths, readings, strict=True):
        for trait in visible_traits(truth.identity, truth.scene):
            if truth.identity[trait] != "none":
                tally[trait].append(reading.traits.get(trait) == truth.identity[trait])
        for axis in visible_axes(truth.scene):
            tally[axis].append(getattr(reading, axis) == getattr(truth.scene, axis))
    return tally


def prompt(truth: Drawing) -> str:
    """Every visible trait and the scene, as tags."""
    seen = {name: truth.identity[name] for name in visible_traits(truth.identity, truth.scene)}
    return prompt_of(truth.scene, class_words=truth.identity.class_words, traits=seen)


def mean(tally: Tally, names: tuple[str, ...]) -> float:
    """Share right, averaged over axes."""
    return float(np.mean([np.mean(tally[name]) for name in names if name in tally]))


@torch.no_grad()
def decode(pictures: list[Pixels], model) -> tuple[list[Pixels], float]:
    """Pictures after encoding and decoding, and the mean PSNR in dB."""
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    decoded = torch.cat([model.decode_latents(model.encode_posterior(some)[0]) for some in pixels.split(50)]).clamp(
        -1, 1
    )
    psnr = -10 * torch.log10(((decoded - pixels) / 2).square().mean((1, 2, 3)))
    return list(((decoded + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()), float(psnr.mean())


def main() -> None:
    """Measure, print the table, and write it with a sheet of pictures to `benchmarks/results`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawings", type=int, default=1000)
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=5.0)
    arguments = parser.parse_args()
    model, reader = load_model(BASE), load_reader("maquette")
    figures = {}
    truths = drawings_at_random(arguments.drawings, seed=1, seen_only=False)
    pictures = [draw(truth.identity, truth.scene) for truth in truths]
    decoded, figures["vae_psnr_db"] = decode(pictures, model)
    names = (*TRAITS, *SCENE_AXES)
    on_drawings, on_decoded = compare(truths, reader.read(pictures)), compare(truths, reader.read(decoded))
    figures |= {"reader_on_drawings": mean(on_drawings, names), "reader_on_decoded": mean(on_decoded, names)}
    figures |= follow_prompts(arguments, model, reader)
    bars = {
        "vae_psnr_db": 28.0,
        "reader_on_drawings": 0.97,
        "reader_on_decoded": figures["reader_on_drawings"] - 0.03,
        "base_attributes": 0.85,
        "base_view": 0.90,
    }
    for name, bar in bars.items():
        print(f"{name:22s} {figures[name]:8.3f}   bar {bar:6.3f}   {'met' if figures[name] >= bar else 'NOT MET'}")
    print("reader, worst on drawings:", _worst(on_drawings), "\nreader, worst on decoded: ", _worst(on_decoded))
    print("base:", json.dumps(figures["base_by_axis"]))
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "maquette_quality.json").write_text(json.dumps(figures, indent=1) + "\n")


def follow_prompts(arguments: argparse.Namespace, model, reader: Reader) -> dict:
    """Pictures of random prompts of the base's own world, and what the reader finds on them."""
    truths = drawings_at_random(arguments.prompts, seed=2, seen_only=True)
    pictures = sample(
        model,
        [prompt(truth) for truth in truths],
        seeds=list(range(len(truths))),
        steps=arguments.steps,
        guidance=arguments.guidance,
        width=64,
        height=64,
        sampler="dpm++",
        batch=25,
    )
    tally = follow(truths, reader.read(pictures))
    rows = [
        [draw(truths[i].identity, truths[i].scene) for i in range(r, r + 16)]
        for r in range(0, min(64, len(truths) - 15), 16)
    ]
    sampled = [pictures[r : r + 16] for r in range(0, min(64, len(truths) - 15), 16)]
    save_png(
        Path(__file__).parent / "results" / "maquette_prompts.png",
        sheet([row for pair in zip(rows, sampled, strict=True) for row in pair]),
    )
    every = [right for trait in TRAITS for right in tally[trait]]
    return {
        "base_attributes": float(np.mean(every)),
        "base_view": float(np.mean(tally["view"])),
        "base_by_axis": {name: round(float(np.mean(hits)), 3) for name, hits in tally.items()},
    }


def _worst(tally: Tally, count: int = 5) -> dict[str, float]:
    shares = {name: round(float(np.mean(hits)), 3) for name, hits in tally.items()}
    return dict(sorted(shares.items(), key=lambda item: item[1])[:count])


if __name__ == "__main__":
    main()
