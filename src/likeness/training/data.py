"""The data set: all that a cache holds, on the device.

Shapes: P pictures, M pictures and mirror images, D h w latent.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from likeness.diffusion.family import DiffusionModel
from likeness.errors import PictureError, WorkspaceError
from likeness.training.buckets import Bucket, repeats_of
from likeness.training.files import tensors_of
from likeness.training.texts import Texts, load_texts

__all__ = ["DataSet", "load_data", "refuse_held_out"]


@dataclass(frozen=True, slots=True)
class DataSet:
    """All that is trained on, on the device.

    Attributes:
        buckets: the pictures by shape, those of the character first.
        texts: what is told of them.
        paths: of the pictures, those of the character first.
        count: how many are of the character.
        caption_dropout: share of examples that see one of `shared_2` and not their caption.
        digest: sha256 of the index: of all pictures, captions and settings that went into the cache.
    """

    buckets: tuple[Bucket, ...]
    texts: Texts
    paths: tuple[str, ...]
    count: int
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
    pictures, own = [*index["pictures"], *index["class"]], len(index["pictures"])
    repeats = repeats_of([entry.get("view") if is_balanced else None for entry in index["pictures"]])
    repeats += [1] * len(index["class"])
    return DataSet(
        buckets=tuple(
            _bucket(cache, pictures, places, repeats, model.device, is_class=is_class)
            for is_class, among in ((False, range(own)), (True, range(own, len(pictures))))
            for places in _by_shape(pictures, among)
        ),
        texts=load_texts(cache, index["shared"], pictures, model=model, others=others),
        paths=(
            *(entry["path"] for entry in index["pictures"]),
            *(f"class/{entry['path']}" for entry in index["class"]),
        ),
        count=own,
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
    latents = [tensors_of(cache, entry["latents"]) for entry in chosen]
    latents += [tensors_of(cache, chosen[row]["mirrored"]) for row in twins]
    sizes = [entry["sizes"] for entry in chosen] + [chosen[row]["mirrored_sizes"] for row in twins]
    twin_P = torch.arange(len(chosen))
    twin_P[twins] = len(chosen) + torch.arange(len(twins))
    mean_MDhw = torch.stack([each["mean"] for each in latents])
    deck = [row for row, place in enumerate(places) for _ in range(repeats[place])]
    mask_M1hw = None
    if any("mask" in entry for entry in chosen):
        whole_hw = torch.ones(mean_MDhw.shape[-2:])
        masks = [tensors_of(cache, entry["mask"])["mask"] if "mask" in entry else whole_hw for entry in chosen]
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


def _index(cache: Path) -> tuple[dict[str, Any], str]:
    path = cache / "index.json"
    try:
        text = path.read_bytes()
        return json.loads(text), hashlib.sha256(text).hexdigest()
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    except ValueError as fault:
        raise WorkspaceError(f"{path} is damaged. Delete the folder {cache} and encode again.") from fault
