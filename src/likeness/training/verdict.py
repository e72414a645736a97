"""Before the first step: whether the base answers as its schedule says. Shapes: P pictures, D h w latent."""

from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.prediction import Verdict, probe, refuse_mismatch
from likeness.training.data import DataSet

__all__ = ["checked_prediction"]

ENOUGH = 8  # pictures: with 8 x 4 x 64 x 64 numbers an error is known to a hundredth


def checked_prediction(model: DiffusionModel, data: DataSet) -> Verdict:
    """What the base predicts by its own answers to the first pictures of a data set; two forward passes.

    Args:
        model: the base, with no adapter beside it.
        data: what it is to be trained on.

    Raises:
        CheckpointError: where its answers contradict its schedule.
    """
    first = max(data.buckets, key=lambda bucket: (not bucket.is_class, len(bucket.pictures_P)))
    chosen_P = first.pictures_P[:ENOUGH]
    told_P, count = data.texts.told_PV[chosen_P, 0], len(chosen_P)
    verdict = probe(model, first.mean_MDhw[:count], data.texts.conditioning[told_P], first.sizes_M6[:count])
    refuse_mismatch(verdict)
    return verdict
