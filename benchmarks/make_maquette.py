"""Makes the maquette's weights from nothing: drawings, autoencoder, reader, text encoder, denoiser.

Each stage keeps its state and resumes; run it again after an interruption. Two CPU cores take about four hours.

    python benchmarks/make_maquette.py                      # every stage in order
    python benchmarks/make_maquette.py denoiser package     # only these
    python benchmarks/make_maquette.py unpack               # start from the packaged weights instead of from nothing
"""

# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# (what diffusers and transformers say of their own types is not what they do)
from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import distributed, multiprocessing
from transformers import CLIPTextModel, CLIPTokenizer

sys.path.insert(0, str(Path(__file__).parent))
from maquette_training import autoencoder, denoiser, reader, text
from maquette_training.drawings import make_drawings
from maquette_training.loop import average_gradients, load_average, steps_done, train_part

from likeness.maquette.world import random_identity, random_scene

HOME = Path(__file__).parents[1] / "src" / "likeness" / "maquette"
COUNTS = {
    "whole": (60_000, 1, False),
    "valid": (2_000, 7, False),
    "seen": (60_000, 2, True),
}  # drawings, seed, without held-out values
STEPS = {"autoencoder": 12_000, "reader": 8_000, "text": 1_500, "denoiser": 5_500}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
STAGES = ("drawings", "autoencoder", "latents", "reader", "text", "denoiser", "package")
DECODED = 30_000  # drawings that the reader also sees as the autoencoder gives them back


def drawings(state: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels of a set, drawn once."""
    count, seed, seen_only = COUNTS[name]
    return make_drawings(state, name, count, seed=seed, seen_only=seen_only, workers=os.cpu_count() or 1)


def make_autoencoder(state: Path, workers: int, steps: int) -> None:
    """Train the autoencoder on the whole world, held-out values too: it is to show them once a LoRA asks for them."""
    in_processes(_train_autoencoder, state, workers, steps)


def in_processes(work: Callable[[int, Path, int, int], None], state: Path, workers: int, steps: int) -> None:
    """Run `work(rank, state, workers, steps)` in one process, or on the CPU in several that average their gradients."""
    if workers == 1 or DEVICE == "cuda":
        work(0, state, 1, steps)
    else:
        multiprocessing.spawn(work, (state, workers, steps), nprocs=workers)


def join(rank: int, workers: int) -> Callable[[list[torch.Tensor]], None]:
    """Bind this process to its core and to the others; gives what averages the gradients."""
    if workers == 1:
        return lambda parameters: None
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {rank % (os.cpu_count() or 1)})
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
    distributed.init_process_group("gloo", rank=rank, world_size=workers)
    return lambda parameters: average_gradients(parameters, workers)


def _train_autoencoder(rank: int, state: Path, workers: int, steps: int) -> None:
    share_gradients = join(rank, workers)
    pictures, valid = drawings(state, "whole")[0], drawings(state, "valid")[0][:100]
    torch.manual_seed(0)
    packed = state / "vae" / "vae"
    model = (AutoencoderKL.from_pretrained(packed) if packed.exists() else autoencoder.build()).to(DEVICE)
    batches = autoencoder.crops(pictures, np.random.default_rng([steps_done(state / "vae"), rank]))

    def loss() -> torch.Tensor:
        with torch.autocast(DEVICE, torch.bfloat16):
            return autoencoder.loss_of(model, next(batches).to(DEVICE))

    train_part(
        model,
        loss,
        state / "vae",
        steps=steps,
        peak=autoencoder.PEAK,
        average=0.998,
        every=200,
        leads=rank == 0,
        share_gradients=share_gradients,
        report=lambda step: f"PSNR {autoencoder.psnr(model, valid):.2f} dB",
    )
    if rank == 0:
        _set_scale(model.cpu(), pictures)
        model.save_pretrained(state / "vae" / "vae")


@torch.no_grad()
def _set_scale(model: AutoencoderKL, pictures: np.ndarray) -> None:
    latents = model.encode(autoencoder.to_tensor(pictures[:500])).latent_dist.sample()
    model.register_to_config(scaling_factor=round(1 / float(latents.std()), 5))


def make_reader(state: Path, steps: int) -> None:
    """Train the reader on the whole world, the denoiser's part of it, and what the autoencoder makes of drawings."""
    valid, truth = (part[:500] for part in drawings(state, "valid"))
    decoded = np.load(state / "decoded.npy", mmap_mode="r")
    whole, labels = drawings(state, "whole")
    generator = np.random.default_rng(steps_done(state / "reader"))
    sources = [(whole, labels), drawings(state, "seen"), (decoded, labels[: len(decoded)])]
    batches = [reader.batches(*source, generator) for source in sources]
    torch.manual_seed(0)
    model = reader.ReaderNetwork().to(DEVICE, memory_format=torch.channels_last)  # half as fast again, in bfloat16

    def loss() -> torch.Tensor:
        pictures, labels = next(batches[int(generator.choice(3, p=[0.25, 0.4, 0.35]))])
        with torch.autocast(DEVICE, torch.bfloat16):
            return reader.loss_of(model, pictures.to(DEVICE), labels.to(DEVICE))

    def report(step: int) -> str:
        right = reader.accuracy(model, valid, truth)
        return f"mean {np.mean(list(right.values())):.4f} " + " ".join(
            f"{axis} {share:.2f}" for axis, share in right.items() if share < 0.97
        )

    train_part(model, loss, state / "reader", steps=steps, peak=reader.PEAK, every=250, report=report)
    with torch.no_grad():  # the averaged weights' own batch statistics
        for _ in range(100):
            loss()
    save_file(
        model.cpu().to(memory_format=torch.contiguous_format).state_dict(), state / "reader" / "reader.safetensors"
    )


def make_text(state: Path, steps: int) -> None:
    """Make the tokenizer and teach the text encoder to read prompts back."""
    tokenizer = text.make_tokenizer(state / "text" / "tokenizer")
    torch.manual_seed(0)
    encoder = text.build_encoder(tokenizer)
    task = text.ReadBack(tokenizer)
    generator = np.random.default_rng([3, steps_done(state / "text")])

    def prompts(count: int) -> list[str]:
        return [text.prompt_of(random_identity(generator), random_scene(generator), generator) for _ in range(count)]

    train_part(
        torch.nn.ModuleList([encoder, task]),
        lambda: task.loss(encoder, prompts(48)),
        state / "text",
        steps=steps,
        peak=2e-3,
        every=100,
        report=lambda step: task.report(encoder, prompts(100)),
    )
    encoder.save_pretrained(state / "text" / "text_encoder")


def unpack(state: Path) -> None:
    """Lay the packaged autoencoder, text encoder and U-Net where their stages would; the U-Net is then trained on."""
    packed = StableDiffusionPipeline.from_pretrained(HOME / "base", torch_dtype=torch.float32)
    packed.vae.save_pretrained(state / "vae" / "vae")
    packed.text_encoder.save_pretrained(state / "text" / "text_encoder")
    shutil.copytree(HOME / "base" / "tokenizer", state / "text" / "tokenizer", dirs_exist_ok=True)
    (state / "unet").mkdir(exist_ok=True)
    save_file(packed.unet.state_dict(), state / "unet" / "first.safetensors")


def make_latents(state: Path, workers: int) -> None:
    """Encode the denoiser's drawings once, and decode some of the world's for the reader."""
    with multiprocessing.Pool(workers) as pool:
        seen = pool.starmap(_encode_share, [(state, rank, workers) for rank in range(workers)])
        decoded = pool.starmap(_decode_share, [(state, rank, workers) for rank in range(workers)])
    np.save(state / "latents.npy", np.concatenate(seen))
    np.save(state / "decoded.npy", np.concatenate(decoded))


def _encode_share(state: Path, rank: int, workers: int) -> np.ndarray:
    torch.set_num_threads(1)
    vae, pictures = AutoencoderKL.from_pretrained(state / "vae" / "vae"), drawings(state, "seen")[0]
    return autoencoder.encode(vae, np.array_split(pictures, workers)[rank])


def _decode_share(state: Path, rank: int, workers: int) -> np.ndarray:
    torch.set_num_threads(1)
    vae, pictures = AutoencoderKL.from_pretrained(state / "vae" / "vae"), drawings(state, "whole")[0][:DECODED]
    return autoencoder.decode(vae, autoencoder.encode(vae, np.array_split(pictures, workers)[rank]))


def make_denoiser(state: Path, workers: int, steps: int) -> None:
    """Train the U-Net."""
    in_processes(_train_denoiser, state, workers, steps)


def _train_denoiser(rank: int, state: Path, workers: int, steps: int) -> None:
    share_gradients = join(rank, workers)
    torch.manual_seed(0)
    unet = denoiser.build().to(DEVICE)
    if (state / "unet" / "first.safetensors").exists():
        unet.load_state_dict(load_file(state / "unet" / "first.safetensors"))
    tokenizer = CLIPTokenizer.from_pretrained(state / "text" / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(state / "text" / "text_encoder").to(DEVICE).eval()
    scale = AutoencoderKL.load_config(state / "vae" / "vae")["scaling_factor"]
    latents = torch.from_numpy(np.load(state / "latents.npy")) * scale
    first = steps_done(state / "unet")
    work = denoiser.Denoising(
        unet, encoder, tokenizer, latents, seed=COUNTS["seen"][1], rank=rank, shards=workers, first=first
    )
    train_part(
        unet,
        work.loss,
        state / "unet",
        steps=steps,
        peak=denoiser.PEAK,
        average=0.9995,
        every=200,
        leads=rank == 0,
        share_gradients=share_gradients,
    )


def package(state: Path) -> None:
    """Pack all parts as fp16 safetensors in the layout of Stable Diffusion 1.x, and the reader as ONNX."""
    unet = denoiser.build()
    load_average(unet, state / "unet")
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(state / "vae" / "vae"),
        unet=unet,
        text_encoder=CLIPTextModel.from_pretrained(state / "text" / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(state / "text" / "tokenizer"),
        scheduler=denoiser.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(HOME / "base", safe_serialization=True)
    for config in (HOME / "base").glob("*/config.json"):  # where it was trained is nobody's business
        settings = json.loads(config.read_text())
        settings.pop("_name_or_path", None)
        config.write_text(json.dumps(settings, indent=2) + "\n")
    for name in ("vocab.json", "merges.txt"):  # what tools older than transformers 5 read
        shutil.copy(state / "text" / "tokenizer" / name, HOME / "base" / "tokenizer" / name)
    if (state / "reader" / "reader.safetensors").exists():  # not where the packaged one stays
        model = reader.ReaderNetwork()
        model.load_state_dict(load_file(state / "reader" / "reader.safetensors"))
        reader.export(model.eval(), HOME / "reader")


def main() -> None:
    """Run the stages named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", default=STAGES, help=", ".join(STAGES))
    parser.add_argument("--state", type=Path, default=Path.home() / ".cache" / "likeness" / "maquette-training")
    parser.add_argument("--steps", type=int, help="of each trained stage that is named, instead of its own number")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    state = arguments.state
    steps = {part: arguments.steps or own for part, own in STEPS.items()}
    state.mkdir(parents=True, exist_ok=True)
    work = {
        "unpack": lambda: unpack(state),
        "drawings": lambda: [drawings(state, name) for name in COUNTS],
        "autoencoder": lambda: make_autoencoder(state, arguments.workers, steps["autoencoder"]),
        "reader": lambda: make_reader(state, steps["reader"]),
        "text": lambda: make_text(state, steps["text"]),
        "latents": lambda: make_latents(state, arguments.workers),
        "denoiser": lambda: make_denoiser(state, arguments.workers, steps["denoiser"]),
        "package": lambda: package(state),
    }
    for stage in arguments.stages:
        work[stage]()


if __name__ == "__main__":
    main()
