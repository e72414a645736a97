"""A full-size Stable Diffusion 1.5 of random weights takes 3 steps at 256 px on the CPU: the memory and time it takes.

python benchmarks/full_size.py           # 2 GB on disk for as long as it runs; some minutes on two cores

The base has the very layers and shapes of the published one, and is loaded, encoded and trained by the commands that a
user types. What it learns means nothing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from likeness.diffusion.layers import PLANS
from likeness.diffusion.plans import unet_config
from likeness.images import save_png

RESULTS = Path(__file__).parent / "results" / "full_size.json"
MOST_GIGABYTES = 12.0
SETTINGS = (
    "encode.size=256",
    "curate.choose=all",
    "base.device=cpu",
    "train.steps=3",
    "train.batch=1",
    "train.save_every=0",
)


def main() -> None:
    """Prints memory and seconds, keeps them in results/, and exits with 1 where the memory is over the bar."""
    with tempfile.TemporaryDirectory() as desk:
        base, folder = random_base(Path(desk) / "base"), Path(desk) / "mira"
        settings = [f"base.path={base}", "character.kind=original", "character.class_words=1girl", *SETTINGS]
        _likeness("init", str(folder), settings)
        for number in range(3):
            noise = numpy.random.default_rng(number).integers(0, 256, (16, 16, 3), numpy.uint8)
            save_png(folder / "images" / f"{number}.png", noise.repeat(20, 0).repeat(20, 1))
        started = time.perf_counter()
        gigabytes = _likeness("train", str(folder), ["curate.choose=all", "curate.minimum=1"])
        seconds = time.perf_counter() - started
        events = [json.loads(line) for line in (folder / "runs" / "0001" / "events.jsonl").read_text().splitlines()]
        losses = [event["numbers"]["loss"] for event in events if "loss" in event.get("numbers", {})]
        layers = sum(parameter.numel() for parameter in _unet("meta").parameters())
    told = {"unet_parameters": layers, "peak_gigabytes": gigabytes, "seconds": seconds, "losses": losses}
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")
    verdict = "met" if gigabytes <= MOST_GIGABYTES else "MISSED"
    print(f"{layers:,} numbers in the UNet; curate, caption, encode and 3 steps: {seconds:.0f} s")
    print(f"peak memory {gigabytes:.2f} GB; bar: at most {MOST_GIGABYTES:g} GB, {verdict}")
    sys.exit(gigabytes > MOST_GIGABYTES)


def random_base(folder: Path) -> Path:
    """A pipeline folder of full size, its weights kept in float16; the maquette's words for a vocabulary."""
    own = Path(str(files("likeness.maquette") / "base"))
    shutil.copytree(own / "tokenizer", folder / "tokenizer")
    shutil.copytree(own / "scheduler", folder / "scheduler")
    (folder / "model_index.json").write_text((own / "model_index.json").read_text())
    torch.manual_seed(0)
    widths = (128, 256, 512, 512)
    kind: Any = AutoencoderKL  # its own annotations ask for one level
    vae = kind(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=widths,
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
        scaling_factor=0.18215,
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
        )
    )
    for name, network in (("unet", _unet("cpu")), ("vae", vae), ("text_encoder", text)):
        network.half().save_pretrained(folder / name)
    return folder


def _unet(device: str) -> UNet2DConditionModel:
    with torch.device(device):
        return UNet2DConditionModel(**unet_config(PLANS["sd15"], heads=8, side=64))


def _likeness(command: str, folder: str, settings: list[str]) -> float:
    """The most memory that a command took, GB."""
    laid_over = [part for setting in settings for part in ("--set", setting)]
    child = subprocess.Popen([sys.executable, "-m", "likeness", command, folder, *laid_over])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"likeness {command} ended with {child.returncode}")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


if __name__ == "__main__":
    main()
