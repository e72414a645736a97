"""Batches: the whole data set on the device, and what each step takes of it.

What a step takes depends on the seed and the step's number alone, so that a run that goes on needs no history.

Shapes: P pictures, V variants, R rows of text, B batch, D h w latent, L tokens, E width.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.family import Conditioning, DiffusionModel
from likeness.errors import PictureError, WorkspaceError
from likeness.seeds import seed_of
from likeness.training.noise import Noising, coloured, perturbed

__all__ = ["Batch", "DataSet", "draw", "load_data", "refuse_held_out"]


@dataclass(frozen=True, slots=True)
class DataSet:
    """All that is trained on, on the device.

    Attributes:
        mean_PDhw: of the posterior of each picture's latents, float32.
        std_PDhw: its standard deviation.
        sizes_P6: what a base that is told of sizes is told of each picture: original, cut off, target, height first.
        conditioning: a row for each text of any picture; the shared ones first.
        told_PV: the row of each variant of each picture's caption; where a picture has fewer than others, they repeat.
        bare_PV: the row of the same variant without the trigger.
        counts_P: how many variants a picture has.
        shared_2: the rows of no words and of the trigger with the class words.
        bare_2: the rows of the same two without the trigger.
        others_N: the rows of the prompts to which the base's own answers are to stay, beside those of the captions.
        paths: of the pictures.
        prompts: what is said in each row of `conditioning`, for those whose text encoders learn.
        chunks: windows of text in each row.
        caption_dropout: share of examples that see one of `shared_2` and not their caption.
        digest: sha256 of the index: of all pictures, captions and settings that went into the cache.
    """

    mean_PDhw: Tensor
    std_PDhw: Tensor
    sizes_P6: Tensor
    conditioning: Conditioning
    told_PV: Tensor
    bare_PV: Tensor
    counts_P: Tensor
    shared_2: Tensor
    bare_2: Tensor
    others_N: Tensor
    paths: tuple[str, ...]
    prompts: tuple[str, ...]
    chunks: int
    caption_dropout: float
    digest: str

    def __len__(self) -> int:
        return len(self.mean_PDhw)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step sees.

    Attributes:
        pictures_B: which pictures, as the data set numbers them.
        clean_BDhw: latents, drawn from their posteriors.
        noise_BDhw: what is to be found in them.
        added_BDhw: what is added to them; the same, where the recipe asks for nothing else.
        t_B: timesteps.
        told_B: rows of the data set's conditioning.
        bare_B: rows without the trigger: of the same texts, or, for every second one, of another prompt to preserve.
        sizes_B6: of the pictures, for the bases that are told of them.
    """

    pictures_B: Tensor
    clean_BDhw: Tensor
    noise_BDhw: Tensor
    added_BDhw: Tensor
    t_B: Tensor
    told_B: Tensor
    bare_B: Tensor
    sizes_B6: Tensor


def load_data(cache: Path, model: DiffusionModel, *, others: Sequence[str] = ()) -> DataSet:
    """The data set in a cache folder, on the model's device.

    Args:
        others: prompts to preserve, `train.preserve_prompts`.

    Raises:
        WorkspaceError: where the cache is not whole, or was encoded with another base.
    """
    index, digest = _index(cache)
    if (index["model"], index["dtype"]) != (model.encodes_as, str(model.dtype)):
        raise WorkspaceError(
            f"{cache} was encoded with another base, or in another precision (now {model.dtype}). Encode again."
        )
    pictures, device = index["pictures"], model.device
    latents = [_tensors(cache, entry["latents"]) for entry in pictures]
    read = [_tensors(cache, entry["texts"]) for entry in (index["shared"], *pictures)]
    texts, pooled = [each["tokens"] for each in read], [each["pooled"] for each in read if "pooled" in each]
    starts = torch.tensor([0, *(len(rows) for rows in texts[:-1])]).cumsum(0).tolist()
    rows = [
        [[start + row for row in pair] for pair in entry["variants"]]
        for start, entry in zip(starts, (index["shared"], *pictures), strict=True)
    ]
    texts, pooled = _with_others(texts, pooled, model, others)
    square = (index["size"], index["size"])  # of a cache from before sizes were kept, which no base asks for
    prompts = (*(text for entry in (index["shared"], *pictures) for text in entry["prompts"]), *others)
    longest = max(map(len, rows[1:]))
    table_PV2 = torch.tensor([[some[at % len(some)] for at in range(longest)] for some in rows[1:]], device=device)
    shared_22 = torch.tensor(rows[0], device=device)
    return DataSet(
        mean_PDhw=torch.stack([each["mean"] for each in latents]).to(device),
        std_PDhw=torch.stack([each["std"] for each in latents]).to(device),
        sizes_P6=torch.tensor([each.get("sizes", (*square, 0, 0, *square)) for each in pictures], device=device),
        conditioning=Conditioning(torch.cat(texts), torch.cat(pooled) if pooled else None).to(device),
        told_PV=table_PV2[..., 0].contiguous(),
        bare_PV=table_PV2[..., 1].contiguous(),
        counts_P=torch.tensor([len(some) for some in rows[1:]], device=device),
        shared_2=shared_22[:, 0].contiguous(),
        bare_2=shared_22[:, 1].contiguous(),
        others_N=torch.arange(starts[-1] + len(texts[-2]), sum(map(len, texts)), device=device),
        paths=tuple(entry["path"] for entry in pictures),
        prompts=prompts,
        chunks=max(map(model.count_chunks, prompts)),
        caption_dropout=index["caption_dropout"],
        digest=digest,
    )


def refuse_held_out(cache: Path, held_out: Collection[str]) -> None:
    """Nothing, where no picture of a cache is held out for measuring.

    Args:
        cache: the folder that `encode` made.
        held_out: ids of pictures that likeness is measured by: learnt by heart, they would measure nothing.

    Raises:
        PictureError: for a cache that holds one, however it got there.
        WorkspaceError: where the cache cannot be read.
    """
    index, _ = _index(cache)
    sealed = [entry["path"] for entry in index["pictures"] if entry.get("picture") in held_out]
    if sealed:
        raise PictureError(
            f"{sealed[0]} is held out for measuring, as {len(sealed)} of the pictures to train on are. Nothing was "
            "trained. Curate and encode again; to train on it all the same: likeness label FOLDER PICTURE use=train."
        )


def draw(data: DataSet, noising: Noising, count: int, *, seed: int, number: int) -> Batch:
    """What batch number `number` sees: pictures in turn, shuffled anew each time all were seen, and noise of its own.

    Nothing waits for the device.
    """
    device = data.mean_PDhw.device
    generator = torch.Generator(device).manual_seed(seed_of(seed, "step", number))
    chosen_B = _in_turn(len(data), count, seed=seed, number=number, device=device)
    shares_3B = torch.rand(3, count, generator=generator, device=device)
    variant_B = (shares_3B[0] * data.counts_P[chosen_B]).long()
    dropped_B = shares_3B[1] < data.caption_dropout
    which_B = (shares_3B[2] < 0.5).long()  # no words, for guidance; or the trigger alone, to which all must then hold
    mean_BDhw, std_BDhw = data.mean_PDhw[chosen_B], data.std_PDhw[chosen_B]
    drawn_2BDhw = torch.randn(2, *mean_BDhw.shape, generator=generator, device=device)
    t_B = noising.timesteps(count, generator)
    bare_B = torch.where(dropped_B, data.bare_2[which_B], data.bare_PV[chosen_B, variant_B])
    if len(data.others_N):
        other_B = data.others_N[torch.randint(len(data.others_N), (count,), generator=generator, device=device)]
        bare_B = torch.where(torch.rand(count, generator=generator, device=device) < 0.5, other_B, bare_B)
    noise_BDhw = coloured(drawn_2BDhw[1], noising.config, generator)
    return Batch(
        pictures_B=chosen_B,
        clean_BDhw=mean_BDhw + std_BDhw * drawn_2BDhw[0],
        noise_BDhw=noise_BDhw,
        added_BDhw=perturbed(noise_BDhw, noising.config, generator),
        t_B=t_B,
        told_B=torch.where(dropped_B, data.shared_2[which_B], data.told_PV[chosen_B, variant_B]),
        bare_B=bare_B,
        sizes_B6=data.sizes_P6[chosen_B],
    )


def _with_others(
    texts: list[Tensor], pooled: list[Tensor], model: DiffusionModel, others: Sequence[str]
) -> tuple[list[Tensor], list[Tensor]]:
    """The texts and, last, what the denoiser is told by `others`, all of one length: windows of no words fill up. And
    the vectors of the whole prompts likewise, where there are any: they are of first windows, which stay."""
    if not others:
        return [*texts, texts[0][:0]], pooled
    empty_1LE = model.encode_prompts([""]).tokens_BLE.to(texts[0])
    told = model.encode_prompts(others)
    every = [*texts, told.tokens_BLE.to(texts[0])]
    longest = max(rows_RLE.shape[1] for rows_RLE in every)
    missing = [(longest - rows_RLE.shape[1]) // empty_1LE.shape[1] for rows_RLE in every]
    filled = [
        torch.cat([rows_RLE, empty_1LE.repeat(len(rows_RLE), windows, 1)], 1) if windows else rows_RLE
        for rows_RLE, windows in zip(every, missing, strict=True)
    ]
    return filled, pooled if told.pooled_BE is None else [*pooled, told.pooled_BE.to(pooled[0])]


def _in_turn(pictures: int, count: int, *, seed: int, number: int, device: torch.device) -> Tensor:
    """The pictures of a batch, where every round of all pictures has an order of its own."""
    first = number * count
    rounds = range(first // pictures, (first + count - 1) // pictures + 1)
    orders = []
    for each in rounds:
        generator = torch.Generator(device).manual_seed(seed_of(seed, "round", each))
        orders.append(torch.randperm(pictures, generator=generator, device=device))
    start = first - rounds.start * pictures
    return torch.cat(orders)[start : start + count]


def _index(cache: Path) -> tuple[dict[str, Any], str]:
    path = cache / "index.json"
    try:
        text = path.read_bytes()
        return json.loads(text), hashlib.sha256(text).hexdigest()
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    except ValueError as fault:
        raise WorkspaceError(f"{path} is damaged. Delete the folder {cache} and encode again.") from fault


def _tensors(cache: Path, key: str) -> dict[str, Tensor]:
    path = cache / f"{key}.safetensors"
    if not path.is_file():
        raise WorkspaceError(f"{path} is missing. Encode again; only what is missing is made.")
    read_header(path)
    return load_file(path)
