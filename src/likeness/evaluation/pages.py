"""The proof as one page of HTML that needs nothing beside itself: pictures as data addresses, charts as SVG."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from likeness.evaluation.proof import Comparison
from likeness.evaluation.tallies import Gauge
from likeness.images import Pixels
from likeness.statistics import Interval

__all__ = ["Curve", "PoolStrip", "ProofPage", "data_address", "render_page"]

CURVE_WIDTH, CURVE_HEIGHT = 720, 200  # units of the curve's own drawing; a page scales it
SMOOTHED = 0.1  # share of the run that one point of the smoothed curve looks back on


@dataclass(frozen=True, slots=True)
class PoolStrip:
    """What became of the raw pool that a character was curated from.

    Attributes:
        counts: of the files, by what they are used for: pool, train, held_out, rejected.
        coverage: pairs of view and expression: cells, reachable, covered.
        shown: pictures that are not learnt from, by reason.
        unreadable: how many files could not be shown, by reason.
        address: of the page that tells all of it.
    """

    counts: Mapping[str, int]
    coverage: Mapping[str, int]
    shown: Mapping[str, Sequence[Pixels]]
    unreadable: Mapping[str, int]
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofPage:
    """What the page of one character tells.

    Attributes:
        name: the character's.
        trigger: the word that calls it.
        class_words: what it is, in the base's words.
        base_name: what was taught.
        asked: prompts behind the comparison.
        comparison: base against LoRA, with the trigger.
        others: base against LoRA for other characters, without it.
        grid: the large picture: real, base and LoRA.
        learnt_from: the pictures that were trained on, or some of them.
        pool: what they were chosen from.
        losses: step and loss, in order.
        facts: of the run and its file, name and value, in the order in which they are shown.
        method: how the numbers were made, a paragraph each.
    """

    name: str
    trigger: str
    class_words: str
    base_name: str
    asked: int
    comparison: Comparison
    others: Gauge
    grid: Pixels
    learnt_from: Sequence[Pixels]
    pool: PoolStrip
    losses: Sequence[tuple[int, float]]
    facts: Sequence[tuple[str, str]]
    method: Sequence[str]


@dataclass(frozen=True, slots=True)
class Curve:
    """A loss curve in SVG's own units, y downwards.

    Attributes:
        points: each loss, as the points of a polyline.
        smoothed: their mean over the last tenth of the run.
        low: the least loss that was smoothed, at the foot of the drawing.
        high: the greatest, at its head; single losses may lie outside.
        last: the last step.
    """

    points: str
    smoothed: str
    low: float
    high: float
    last: int
    width: int = CURVE_WIDTH
    height: int = CURVE_HEIGHT

    @classmethod
    def of(cls, losses: Sequence[tuple[int, float]]) -> "Curve":
        """The curve of at least one step and its loss."""
        steps, values = [step for step, _ in losses], [loss for _, loss in losses]
        window = max(1, round(len(values) * SMOOTHED))
        recent = [values[max(0, end - window) : end] for end in range(1, len(values) + 1)]
        means = [sum(some) / len(some) for some in recent]
        low, high = min(means), max(means)

        def place(step: int, loss: float) -> str:
            x = CURVE_WIDTH * step / max(steps[-1], 1)
            y = CURVE_HEIGHT * (1 - (loss - low) / ((high - low) or 1))
            return f"{x:.1f},{min(max(y, -20), CURVE_HEIGHT + 20):.1f}"

        raw, smooth = (" ".join(map(place, steps, some)) for some in (values, means))
        return cls(raw, smooth, low, high, steps[-1])


def data_address(pixels: Pixels) -> str:
    """A picture as a `data:` address (PNG), for a page that stands alone."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def render_page(page: ProofPage) -> str:
    """The page as HTML, light or dark as its reader's system is."""
    pages = Environment(
        loader=PackageLoader("likeness.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(percent=_percent, between=_between, points=_points, address=data_address)
    return pages.get_template("proof.html").render(page=page, curve=Curve.of(page.losses) if page.losses else None)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _between(interval: Interval) -> str:
    return f"{100 * interval.low:.0f} to {100 * interval.high:.0f}"


def _points(gain: Interval) -> str:
    return f"{100 * gain.mean:+.0f}".replace("-", "\N{MINUS SIGN}")
