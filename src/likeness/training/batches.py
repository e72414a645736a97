"""Batches: what each step takes of the data set.

That depends on the seed and the batch's number alone, so that a run that goes on needs no history.

Shapes: B batch, D h w latent.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from likeness.seeds import seed_of
from likeness.training.buckets import Turn
from likeness.training.data import DataSet
from likeness.training.noise import Noising, coloured, perturbed

__all__ = ["Batch", "draw"]


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
        map_B1hw: how much each place counts; None: all alike.
        is_class: whether they are pictures of the class.
    """

    pictures_B: Tensor
    clean_BDhw: Tensor
    noise_BDhw: Tensor
    added_BDhw: Tensor
    t_B: Tensor
    told_B: Tensor
    bare_B: Tensor
    sizes_B6: Tensor
    map_B1hw: Tensor | None
    is_class: bool


def draw(data: DataSet, noising: Noising, count: int, *, seed: int, number: int, turn: Turn | None = None) -> Batch:
    """What batch number `number` sees: pictures in turn, shuffled anew each time all were seen, and noise of its own.

    Nothing waits for the device.

    Args:
        turn: which bucket it is of, as `planned` says; None where there is but one.
    """
    turn = turn or Turn(0, number)
    bucket, texts = data.buckets[turn.bucket], data.texts
    device = bucket.mean_MDhw.device
    generator = torch.Generator(device).manual_seed(seed_of(seed, "step", number))
    row_B = bucket.dealt(count, seed=seed, number=turn.number)
    chosen_B = bucket.pictures_P[row_B]
    shares_3B = torch.rand(3, count, generator=generator, device=device)
    variant_B = (shares_3B[0] * texts.counts_P[chosen_B]).long()
    dropped_B = shares_3B[1] < data.caption_dropout
    which_B = (shares_3B[2] < 0.5).long()  # no words, for guidance; or the trigger alone, to which all must then hold
    if bucket.is_mirrored:
        is_twin_B = torch.rand(count, generator=generator, device=device) < 0.5
        row_B = torch.where(is_twin_B, bucket.twin_P[row_B], row_B)
    mean_BDhw, std_BDhw = bucket.mean_MDhw[row_B], bucket.std_MDhw[row_B]
    drawn_2BDhw = torch.randn(2, *mean_BDhw.shape, generator=generator, device=device)
    t_B = noising.timesteps(count, generator)
    shared_2 = texts.bare_2 if bucket.is_class else texts.shared_2  # the class is never called by the trigger
    bare_B = torch.where(dropped_B, texts.bare_2[which_B], texts.bare_PV[chosen_B, variant_B])
    if len(texts.others_N):
        other_B = texts.others_N[torch.randint(len(texts.others_N), (count,), generator=generator, device=device)]
        bare_B = torch.where(torch.rand(count, generator=generator, device=device) < 0.5, other_B, bare_B)
    noise_BDhw = coloured(drawn_2BDhw[1], noising.config, generator)
    outside = noising.config.outside
    return Batch(
        pictures_B=chosen_B,
        clean_BDhw=mean_BDhw + std_BDhw * drawn_2BDhw[0],
        noise_BDhw=noise_BDhw,
        added_BDhw=perturbed(noise_BDhw, noising.config, generator),
        t_B=t_B,
        told_B=torch.where(dropped_B, shared_2[which_B], texts.told_PV[chosen_B, variant_B]),
        bare_B=bare_B,
        sizes_B6=bucket.sizes_M6[row_B],
        map_B1hw=None if bucket.mask_M1hw is None else outside + (1 - outside) * bucket.mask_M1hw[row_B],
        is_class=bucket.is_class,
    )
