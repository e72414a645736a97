"""Agreement: whether a count is told from chance, and how far judges agree beyond it."""

from collections import Counter
from collections.abc import Sequence
from math import comb

__all__ = ["nominal_alpha", "sign_test"]


def sign_test(one: int, other: int) -> float:
    """The chance that of one + other fair tosses so uneven a share falls either way, or a more uneven one."""
    tosses = one + other
    return min(1.0, 2 * sum(comb(tosses, few) for few in range(min(one, other) + 1)) / 2**tosses)


def nominal_alpha(units: Sequence[Sequence[str | None]]) -> float | None:
    """Krippendorff's alpha for names without an order: 1 where all agree, 0 where they do as by chance.

    Args:
        units: of each thing that was judged, what each judge called it; None where a judge did not.

    Returns:
        Alpha; None where nothing was judged twice, or all of it was called the same: then nothing could have differed.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, part C.
    """
    told = [[value for value in unit if value is not None] for unit in units]
    paired = [Counter(values) for values in told if len(values) > 1]
    totals = sum(paired, Counter[str]())
    of = totals.total()
    expected = of * of - sum(count * count for count in totals.values())
    if not expected:
        return None
    observed = sum(
        (own.total() ** 2 - sum(count * count for count in own.values())) / (own.total() - 1) for own in paired
    )
    return 1 - (of - 1) * observed / expected
