"""The data set: all that a cache holds, on the device.

Shapes: P pictures, M pictures and mirror images, V variants, R rows of text, D h w latent, L tokens, E width.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.family import Conditioning, DiffusionModel
from likeness.errors import PictureError, WorkspaceError
from likeness.training.buckets import Bucket, repeats_of

__all__ = ["DataSet", "load_data", "refuse_held_out"]


@dataclass(frozen=True, slots=True)
class DataSet:
    """All that is trained on, on the device.

    Attributes:
        buckets: the pictures by shape, those of the character first.
        conditioning: a row for each text of any picture; the shared ones first.
        told_PV: the row of each variant of each picture's caption; where a picture has fewer than others, they repeat.
        bare_PV: the row of the same variant without the trigger.
        counts_P: how many variants a picture has.
        shared_2: the rows of no words and of the trigger with the class words.
        bare_2: the rows of the same two without the trigger.
        others_N: the rows of the prompts to which the base's own answers are to stay, beside those of the captions.
        paths: of the pictures, those of the character first.
        count: how many are of the character.
        prompts: what is said in each row of `conditioning`, for those whose text encoders learn.
        chunks: windows of text in each row.
        caption_dropout: share of examples that see one of `shared_2` and not their caption.
        digest: sha256 of the index: of all pictures, captions and settings that went into the cache.
    """

    buckets: tuple[Bucket, ...]
    conditioning: Conditioning
    told_PV: Tensor
    bare_PV: Tensor
    counts_P: Tensor
    shared_2: Tensor
    bare_2: Tensor
    others_N: Tensor
    paths: tuple[str, ...]
    count: int
    prompts: tuple[str, ...]
    chunks: int
    caption_dropout: float
    digest: str

    def __len__(self) -> int:
        return self.count


def load_data(cache: Path, model: DiffusionModel, *, others: Sequence[str] = (), is_balanced: bool = False) -> DataSet:
    """The data set in a cache folder, on the model's device.

    Args:
        others: prompts to preserve, `train.preserve_prompts`.
        is_balanced: whether pictures of rare views come more often.

    Raises:
        WorkspaceError: where the cache is not whole, or was encoded with another base.
    """
    index, digest = _index(cache)
    if (index["model"], index["dtype"]) != (model.encodes_as, str(model.dtype)):
        raise WorkspaceError(
            f"{cache} was encoded with another base, or in another precision (now {model.dtype}). Encode again."
        )
    pictures, device = [*index["pictures"], *index["class"]], model.device
    own = len(index["pictures"])
    repeats = repeats_of([entry.get("view") if is_balanced else None for entry in index["pictures"]])
    repeats += [1] * len(index["class"])
    read = [_tensors(cache, entry["texts"]) for entry in (index["shared"], *pictures)]
    texts, pooled = [each["tokens"] for each in read], [each["pooled"] for each in read if "pooled" in each]
    starts = torch.tensor([0, *(len(rows) for rows in texts[:-1])]).cumsum(0).tolist()
    rows = [
        [[start + row for row in pair] for pair in entry["variants"]]
        for start, entry in zip(starts, (index["shared"], *pictures), strict=True)
    ]
    texts, pooled = _with_others(texts, pooled, model, others)
    prompts = (*(text for entry in (index["shared"], *pictures) for text in entry["prompts"]), *others)
    longest = max(map(len, rows[1:]))
    table_PV2 = torch.tensor([[some[at % len(some)] for at in range(longest)] for some in rows[1:]], device=device)
    shared_22 = torch.tensor(rows[0], device=device)
    return DataSet(
        buckets=tuple(
            _bucket(cache, pictures, places, repeats, device, is_class=is_class)
            for is_class, among in ((False, range(own)), (True, range(own, len(pictures))))
            for places in _by_shape(pictures, among)
        ),
        conditioning=Conditioning(torch.cat(texts), torch.cat(pooled) if pooled else None).to(device),
        told_PV=table_PV2[..., 0].contiguous(),
        bare_PV=table_PV2[..., 1].contiguous(),
        counts_P=torch.tensor([len(some) for some in rows[1:]], device=device),
        shared_2=shared_22[:, 0].contiguous(),
        bare_2=shared_22[:, 1].contiguous(),
        others_N=torch.arange(starts[-1] + len(texts[-2]), sum(map(len, texts)), device=device),
        paths=(
            *(entry["path"] for entry in index["pictures"]),
            *(f"class/{entry['path']}" for entry in index["class"]),
        ),
        count=own,
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
    sealed = [entry["path"] for entry in (*index["pictures"], *index["class"]) if entry.get("picture") in held_out]
    if sealed:
        raise PictureError(
            f"{sealed[0]} is held out for measuring, as {len(sealed)} of the pictures to train on are. Nothing was "
            "trained. Curate and encode again; to train on it all the same: likeness label FOLDER PICTURE use=train."
        )


def _by_shape(pictures: Sequence[Mapping[str, Any]], among: range) -> list[list[int]]:
    """The numbers of pictures that have one shape, the shape of the first picture first."""
    found: dict[tuple[int, int], list[int]] = {}
    for place in among:
        found.setdefault(tuple(pictures[place]["sizes"][-2:]), []).append(place)
    return list(found.values())


def _bucket(
    cache: Path,
    pictures: Sequence[Mapping[str, Any]],
    places: Sequence[int],
    repeats: Sequence[int],
    device: torch.device,
    *,
    is_class: bool,
) -> Bucket:
    """The pictures at `places`, with their mirror images after them."""
    chosen = [pictures[place] for place in places]
    twins = [row for row, entry in enumerate(chosen) if "mirrored" in entry]
    latents = [_tensors(cache, entry["latents"]) for entry in chosen]
    latents += [_tensors(cache, chosen[row]["mirrored"]) for row in twins]
    sizes = [entry["sizes"] for entry in chosen] + [chosen[row]["mirrored_sizes"] for row in twins]
    twin_P = torch.arange(len(chosen))
    twin_P[twins] = len(chosen) + torch.arange(len(twins))
    mean_MDhw = torch.stack([each["mean"] for each in latents])
    deck = [row for row, place in enumerate(places) for _ in range(repeats[place])]
    mask_M1hw = None
    if any("mask" in entry for entry in chosen):
        whole_hw = torch.ones(mean_MDhw.shape[-2:])
        masks = [_tensors(cache, entry["mask"])["mask"] if "mask" in entry else whole_hw for entry in chosen]
        mask_M1hw = torch.stack([*masks, *(masks[row].flip(-1) for row in twins)])[:, None].to(device)
    return Bucket(
        mean_MDhw=mean_MDhw.to(device),
        std_MDhw=torch.stack([each["std"] for each in latents]).to(device),
        sizes_M6=torch.tensor(sizes, device=device),
        mask_M1hw=mask_M1hw,
        twin_P=twin_P.to(device),
        pictures_P=torch.tensor(places, device=device),
        deck_N=torch.tensor(deck, device=device),
        is_class=is_class,
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
