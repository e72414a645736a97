"""Significance: which of several axes differ by more than chance would make them, however few prompts there are.

Shapes: P prompts, R flips, X tests.
"""

from collections.abc import Mapping

import numpy

from likeness.seeds import stream
from likeness.statistics import Floats

__all__ = ["decidable", "refuted", "sign_flip_chances"]

SURE = 0.05  # chance that any axis at all is called worse where none is
FLIPPED = 12  # prompts up to which all flips of their signs are counted; of more, as many flips are drawn
SAME = 1e-9  # below which sums differ by rounding alone


def sign_flip_chances(values_XP: Floats, *, seed: int) -> Floats:
    """How likely sums as low as these are if each value might as well have had the other sign, shape (X,).

    None is under 2^-P. Where values lie about 0 alike on both sides, a share c of samples at most has a chance of up to
    c, however few values there are; of the tail of a bootstrap that does not hold.

    Args:
        values_XP: by test and prompt, all finite. Up to 12 values all 2^P flips are counted, of more 4096 of them.
        seed: of the flips that are drawn.

    Source: Fisher 1935, The Design of Experiments, section 21; for flips that are drawn Phipson and Smyth 2010,
    https://doi.org/10.2202/1544-6115.1585.
    """
    prompts = values_XP.shape[1]
    if prompts <= FLIPPED:
        signs_RP = 1.0 - 2 * (numpy.arange(2**prompts)[:, None] >> numpy.arange(prompts) & 1)
    else:
        signs_RP = stream(seed, "flips").choice([-1.0, 1.0], size=(2**FLIPPED, prompts))
        signs_RP[0] = 1  # what was seen is one of what might have been
    return (signs_RP @ values_XP.T <= values_XP.sum(1) + SAME).mean(0)


def decidable(prompts: Mapping[str, int]) -> list[str]:
    """The axes with prompts enough for a verdict: 2^-prompts is low enough though all these are tested.

    The others are not tested, so that those that are need be less sure; which they are follows from the numbers of
    prompts, and not from what was seen.

    Source: Tarone 1990, A Modified Bonferroni Method for Discrete Data.
    """
    left = dict(prompts)
    while left and 0.5 ** (fewest := min(left.values())) > SURE / len(left):
        left = {axis: count for axis, count in left.items() if count > fewest}
    return list(left)


def refuted(chances: Mapping[str, float]) -> set[str]:
    """Which of several hypotheses are refuted, so that the chance of any error is at most 5%.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
    """
    found = set[str]()
    for axis in sorted(chances, key=lambda axis: chances[axis]):
        if chances[axis] > SURE / (len(chances) - len(found)):
            break
        found.add(axis)
    return found
