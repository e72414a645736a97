"""Makes the maquette's weights from nothing: drawings, autoencoder, reader, text encoder, denoiser, packed into `src/likeness/maquette`.

Each stage keeps its state and resumes; run it again after an interruption. Two CPU cores take about four hours, a GPU minutes.

    python benchmarks/make_maquette.py                      # every stage in order
    python benchmarks/make_maquette.py denoiser package     # only these
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from torch import distributed, multiprocessing
from transformers import CLIPTextModel, CLIPTokenizer

sys.path.insert(0, str(Path(__file__).parent))
from maquette_training import autoencoder, denoiser, reader, text
from maquette_training.drawings import make_drawings
from maquette_training.loop import train_part

from likeness.maquette.world import random_identity, random_scene

HOME = Path(__file__).parents[1] / "src" / "likeness" / "maquette"
COUNTS = {"whole": (30_000, 1, False), "valid": (2_000, 7, False), "seen": (60_000, 2, True)}  # drawings, seed, without held-out values
STEPS = {"autoencoder": 7_000, "reader": 6_000, "text": 1_500, "denoiser": 14_000}
STAGES = ("drawings", "autoencoder", "reader", "text", "latents", "denoiser", "package")


def drawings(state: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels of a set, drawn once."""
    count, seed, seen_only = COUNTS[name]
    return make_drawings(state, name, count, seed=seed, seen_only=seen_only, workers=os.cpu_count() or 1)


def make_autoencoder(state: Path) -> None:
    """Train the autoencoder on the whole world, held-out values too: it is to show them once a LoRA asks for them."""
    pictures, valid = drawings(state, "whole")[0], drawings(state, "valid")[0][:200]
    torch.manual_seed(0)
    model = autoencoder.build()
    batches = autoencoder.crops(pictures, np.random.default_rng(0))

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return autoencoder.loss_of(model, next(batches))

    train_part(model, loss, state / "vae", steps=STEPS["autoencoder"], peak=autoencoder.PEAK, every=250,
               report=lambda step: f"PSNR {autoencoder.psnr(model, valid):.2f} dB")  # fmt: skip
    _set_scale(model, pictures)
    model.save_pretrained(state / "vae" / "vae")


@torch.no_grad()
def _set_scale(model: AutoencoderKL, pictures: np.ndarray) -> None:
    latents = model.encode(autoencoder.to_tensor(pictures[:500])).latent_dist.sample()
    model.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))


def make_reader(state: Path) -> None:
    """Train the reader on the whole world and on the denoiser's part of it."""
    valid, truth = (part[:1000] for part in drawings(state, "valid"))
    generator = np.random.default_rng(0)
    sources = [reader.batches(*drawings(state, name), generator) for name in ("whole", "seen")]
    torch.manual_seed(0)
    model = reader.ReaderNetwork()

    def loss() -> torch.Tensor:
        some = next(sources[int(generator.random() < 0.67)])
        with torch.autocast("cpu", torch.bfloat16):
            return reader.loss_of(model, *some)

    def report(step: int) -> str:
        right = reader.accuracy(model, valid, truth)
        return f"mean {np.mean(list(right.values())):.4f}; worst {min(right, key=lambda axis: right[axis])} {min(right.values()):.3f}"

    train_part(model, loss, state / "reader", steps=STEPS["reader"], peak=reader.PEAK, every=250, report=report)
    torch.save(model.state_dict(), state / "reader" / "reader.pt")


def make_text(state: Path) -> None:
    """Make the tokenizer and teach the text encoder to read prompts back."""
    tokenizer = text.make_tokenizer(state / "text" / "tokenizer")
    torch.manual_seed(0)
    encoder = text.build_encoder(tokenizer)
    task = text.ReadBack(tokenizer)
    generator = np.random.default_rng(3)

    def prompts(count: int) -> list[str]:
        return [text.prompt_of(random_identity(generator), random_scene(generator), generator) for _ in range(count)]

    train_part(torch.nn.ModuleList([encoder, task]), lambda: task.loss(encoder, prompts(48)), state / "text", steps=STEPS["text"], peak=2e-3, every=100,
               report=lambda step: task.report(encoder, prompts(100)))  # fmt: skip
    encoder.save_pretrained(state / "text" / "text_encoder")


def make_latents(state: Path) -> None:
    """Encode the denoiser's drawings once."""
    torch.set_num_threads(os.cpu_count() or 1)
    vae = AutoencoderKL.from_pretrained(state / "vae" / "vae")
    denoiser.encode_drawings(vae, drawings(state, "seen")[0], state / "latents.npy")


def make_denoiser(state: Path, workers: int) -> None:
    """Train the U-Net, on the CPU in `workers` processes."""
    if torch.cuda.is_available() or workers == 1:
        _train_denoiser(0, state, 1)
    else:
        multiprocessing.spawn(_train_denoiser, (state, workers), nprocs=workers)


def _train_denoiser(rank: int, state: Path, workers: int) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    if workers > 1:
        os.sched_setaffinity(0, {rank})
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
        distributed.init_process_group("gloo", rank=rank, world_size=workers)
    torch.manual_seed(0)
    unet = denoiser.build().to(device)
    tokenizer = CLIPTokenizer.from_pretrained(state / "text" / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(state / "text" / "text_encoder").to(device).eval()
    scale = AutoencoderKL.load_config(state / "vae" / "vae")["scaling_factor"]
    latents = torch.from_numpy(np.load(state / "latents.npy")) * scale
    work = denoiser.Denoising(unet, encoder, tokenizer, latents, seed=COUNTS["seen"][1], rank=rank, shards=workers, device=device)
    steps = STEPS["denoiser"] * denoiser.BATCH * 2 // (denoiser.BATCH * workers)
    train_part(unet, work.loss, state / "unet", steps=steps, peak=denoiser.PEAK, average=0.9995, every=200, keeps_state=rank == 0,
               share_gradients=lambda parameters: denoiser.average_gradients(parameters, workers) if workers > 1 else None)  # fmt: skip
    if rank == 0:
        unet.save_pretrained(state / "unet" / "unet")


def package(state: Path) -> None:
    """Pack all parts as fp16 safetensors in the layout of Stable Diffusion 1.x, and the reader as ONNX."""
    from diffusers import UNet2DConditionModel

    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(state / "vae" / "vae"), unet=UNet2DConditionModel.from_pretrained(state / "unet" / "unet"),
        text_encoder=CLIPTextModel.from_pretrained(state / "text" / "text_encoder"), tokenizer=CLIPTokenizer.from_pretrained(state / "text" / "tokenizer"),
        scheduler=denoiser.scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.to(dtype=torch.float16).save_pretrained(HOME / "base", safe_serialization=True)
    model = reader.ReaderNetwork()
    model.load_state_dict(torch.load(state / "reader" / "reader.pt", weights_only=True))
    reader.export(model.eval(), HOME / "reader")


def main() -> None:
    """Run the stages named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", default=STAGES, help=", ".join(STAGES))
    parser.add_argument("--state", type=Path, default=Path.home() / ".cache" / "likeness" / "maquette-training")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    state = arguments.state
    state.mkdir(parents=True, exist_ok=True)
    work = {
        "drawings": lambda: [drawings(state, name) for name in COUNTS], "autoencoder": lambda: make_autoencoder(state),
        "reader": lambda: make_reader(state), "text": lambda: make_text(state), "latents": lambda: make_latents(state),
        "denoiser": lambda: make_denoiser(state, arguments.workers), "package": lambda: package(state),
    }  # fmt: skip
    for stage in arguments.stages:
        work[stage]()


if __name__ == "__main__":
    main()
