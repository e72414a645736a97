"""The texts of a cache, on the device: all that the denoiser is told in any step.

Shapes: P pictures, V variants, R rows of text, L tokens, E width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from likeness.diffusion.family import Conditioning, DiffusionModel
from likeness.training.files import tensors_of

__all__ = ["Texts", "load_texts"]


@dataclass(frozen=True, slots=True)
class Texts:
    """What is told of each picture, as rows of one table.

    Attributes:
        conditioning: a row for each text of any picture; the shared ones first.
        told_PV: the row of each variant of each picture's caption; where a picture has fewer than others, they repeat.
        bare_PV: the row of the same variant without the trigger.
        counts_P: how many variants a picture has.
        shared_2: the rows of no words and of the trigger with the class words.
        bare_2: the rows of the same two without the trigger.
        others_N: the rows of the prompts to which the base's own answers are to stay, beside those of the captions.
        prompts: what is said in each row, for those whose text encoders learn.
        chunks: windows of text in each row.
    """

    conditioning: Conditioning
    told_PV: Tensor
    bare_PV: Tensor
    counts_P: Tensor
    shared_2: Tensor
    bare_2: Tensor
    others_N: Tensor
    prompts: tuple[str, ...]
    chunks: int


def load_texts(
    cache: Path,
    shared: Mapping[str, Any],
    pictures: Sequence[Mapping[str, Any]],
    *,
    model: DiffusionModel,
    others: Sequence[str],
) -> Texts:
    """The texts that an index names.

    Args:
        shared: the index's entry of what all pictures share.
        pictures: its entries of the pictures.
        others: prompts to preserve.

    Raises:
        WorkspaceError: where a file is missing or damaged.
    """
    entries = (shared, *pictures)
    read = [tensors_of(cache, entry["texts"]) for entry in entries]
    tokens, pooled = [each["tokens"] for each in read], [each["pooled"] for each in read if "pooled" in each]
    starts_P = torch.tensor([0, *map(len, tokens)]).cumsum(0).tolist()
    rows = [
        [[start + row for row in pair] for pair in entry["variants"]]
        for start, entry in zip(starts_P, entries, strict=False)  # the last start is that of the others
    ]
    longest = max(map(len, rows[1:]))
    table_PV2 = torch.tensor([[some[at % len(some)] for at in range(longest)] for some in rows[1:]])
    shared_22 = torch.tensor(rows[0])
    if others:
        tokens, pooled = _with_others(tokens, pooled, model, others)
    prompts = (*(text for entry in entries for text in entry["prompts"]), *others)
    device = model.device
    return Texts(
        conditioning=Conditioning(torch.cat(tokens), torch.cat(pooled) if pooled else None).to(device),
        told_PV=table_PV2[..., 0].to(device),
        bare_PV=table_PV2[..., 1].to(device),
        counts_P=torch.tensor([len(some) for some in rows[1:]], device=device),
        shared_2=shared_22[:, 0].to(device),
        bare_2=shared_22[:, 1].to(device),
        others_N=torch.arange(starts_P[-1], sum(map(len, tokens)), device=device),
        prompts=prompts,
        chunks=max(map(model.count_chunks, prompts)),
    )


def _with_others(
    texts: list[Tensor], pooled: list[Tensor], model: DiffusionModel, others: Sequence[str]
) -> tuple[list[Tensor], list[Tensor]]:
    """The texts and, last, what the denoiser is told by `others`, all of one length: windows of no words fill up. And
    the vectors of the whole prompts likewise, where there are any: they are of first windows, which stay."""
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
