"""Before the first step: whether the base answers as its schedule says. Shapes: P pictures, D h w latent."""

from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.prediction import Verdict, probe, refuse_mismatch
from likeness.training.batches import DataSet

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
    told_P = data.told_PV[:ENOUGH, 0]
    verdict = probe(model, data.mean_PDhw[:ENOUGH], data.conditioning[told_P], data.sizes_P6[:ENOUGH])
    refuse_mismatch(verdict)
    return verdict
