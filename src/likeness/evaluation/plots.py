"""Charts of a scorecard: every axis over the steps, and likeness against harm. The same data gives the same bytes."""

import io
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from likeness.evaluation.axes import AXES
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.scorecard import KINDS, Round, Score
from likeness.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["axes_plot", "figure", "front_plot", "labels_of", "png_of"]

INK, FAINT, LINE, LORA, LIMIT = "#1c2127", "#626b76", "#d5d0c6", "#b5482c", "#b98514"  # the first four are the page's
COLUMNS = 4  # charts beside each other: of more each is too narrow for its steps
DPI = 150  # about two dots for each that a page has room for
FONT = "DejaVu Sans"  # comes with matplotlib: the same on every machine


@dataclass(frozen=True, slots=True)
class _Look:
    """How the points of a round are drawn."""

    label: str
    colour: str
    marker: str
    is_filled: bool


LOOKS: Mapping[Round, _Look] = {
    "first": _Look("first look, few prompts", "#8a94a1", "o", False),
    "full": _Look("all prompts", LORA, "o", True),
    "fresh": _Look("fresh prompts", "#2f6f9f", "D", True),
}


def axes_plot(scores: Sequence[Score], *, chosen: int | None, limits: Mapping[str, float]) -> bytes | None:
    """A small chart per axis: its mean over the steps with the 95% interval, each round drawn in its own way (PNG).

    None where fewer than two steps were measured: there is no curve then.

    Args:
        scores: of checkpoints and base.
        chosen: the step to mark.
        limits: of the axes that have one.
    """
    told = [one for one in scores if one.step is not None and one.value]
    axes = [axis for axis in AXES if any(one.axis == axis for one in told)]
    steps = sorted({one.step for one in told if one.step is not None})
    if len(steps) < 2:
        return None
    first, last = steps[0], steps[-1]
    by_base = {one.axis: one.value for one in scores if one.who == BASE and one.round == "full"}
    rows = math.ceil(len(axes) / COLUMNS)
    height = 1.95 * rows + 0.6
    with figure(10.8, height) as chart:
        chart.subplots_adjust(
            left=0.035, right=0.99, top=1 - 0.75 / height, bottom=0.45 / height, hspace=0.55, wspace=0.2
        )
        for place, axis in enumerate(axes, start=1):
            plot = chart.add_subplot(rows, COLUMNS, place)
            _curves(plot, [one for one in told if one.axis == axis], chosen)
            _guides(plot, axis, by_base.get(axis), limits.get(axis))
            plot.set_xlim(first - 0.04 * (last - first), last + 0.04 * (last - first))
            if place > len(axes) - COLUMNS:
                plot.set_xlabel("step")
        _legend(chart)
        return png_of(chart)


def _curves(plot: Any, scores: Sequence[Score], chosen: int | None) -> None:
    """The rounds of one axis, each a line in a band; of what was drawn afresh points alone, as they are two at most."""
    if chosen is not None:
        plot.axvline(chosen, color=INK, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1, label="chosen")
    for round, look in LOOKS.items():
        some = sorted((one for one in scores if one.round == round), key=lambda one: one.step or 0)
        told = [one.value for one in some if one.value]
        if not told:
            continue
        steps, means = [one.step for one in some], [one.mean for one in told]
        low, high = [one.low for one in told], [one.high for one in told]
        paint = {"color": look.colour, "markersize": 4.5, "label": look.label}
        paint |= {"marker": look.marker, "markerfacecolor": look.colour if look.is_filled else "white"}
        if round == "fresh" or len(told) == 1:
            plot.vlines(steps, low, high, color=look.colour, linewidth=1.4, zorder=3)
            plot.plot(steps, means, linestyle="none", zorder=4, **paint)
        else:
            plot.fill_between(steps, low, high, color=look.colour, alpha=0.16, linewidth=0, zorder=2)
            plot.plot(steps, means, linewidth=1.5, zorder=3, **paint)


def _guides(plot: Any, axis: str, base: Interval | None, limit: float | None) -> None:
    """The axis' name, what the base reaches, its limit, and a scale on which a small difference looks small."""
    if base:
        plot.axhline(base.mean, color=FAINT, linewidth=0.9, linestyle=(0, (6, 3)), zorder=1, label="base")
    if limit is not None:
        plot.axhline(limit, color=LIMIT, linewidth=1.4, linestyle=(0, (1, 1.5)), zorder=1, label="limit")
    low, high = plot.get_ylim()
    top = 0.25 if KINDS.get(axis) == "harm" else 1.05
    plot.set_ylim(min(low, -0.03), max(high, top))
    plot.set_title(axis, loc="left", pad=5)
    plot.locator_params(axis="x", nbins=5, integer=True)
    plot.locator_params(axis="y", nbins=4)


def _legend(chart: "Figure") -> None:
    """What each sign means, once for all charts, above them."""
    signs: dict[str, Any] = {}
    for plot in chart.axes:
        handles, names = plot.get_legend_handles_labels()
        signs |= dict(zip(names, handles, strict=True))
    order = [*(look.label for look in LOOKS.values()), "chosen", "base", "limit"]
    shown = [name for name in order if name in signs]
    chart.legend([signs[name] for name in shown], shown, loc="upper left", ncols=len(shown), bbox_to_anchor=(0.02, 1))


def front_plot(
    scores: Sequence[Score],
    *,
    names: Mapping[str, str],
    chosen: str,
    front: Collection[str],
    refused: Collection[str],
) -> bytes | None:
    """Identity against what a LoRA does where it is not called, a point with 95% intervals per adapter (PNG).

    Harm is drift, or leak where nothing could be told of drift. None where fewer than two have both. A point is of the
    pictures of all prompts, by which the choice was made, and where there are none, of the first look.

    Args:
        scores: of adapters and base.
        names: how each adapter's point is labelled.
        chosen: the adapter that was chosen; empty for none.
        front: those that no other one beats in every respect.
        refused: those that may not be published.
    """
    found = {harm: _points(scores, harm, names) for harm in ("drift", "leak")}
    harm = next((harm for harm, points in found.items() if len(points) > 1), None)
    if harm is None:
        return None
    with figure(7.2, 4.4) as chart:
        chart.subplots_adjust(left=0.1, right=0.97, top=0.88, bottom=0.12)
        plot: Any = chart.add_subplot()
        for who, (round, x, y) in found[harm].items():
            word, paint = _standing(who, round, chosen, front, refused)
            ends = [[x.mean - x.low], [x.high - x.mean]], [[y.mean - y.low], [y.high - y.mean]]
            plot.errorbar(x.mean, y.mean, xerr=ends[0], yerr=ends[1], ecolor=LINE, elinewidth=1.2, fmt="none", zorder=1)
            plot.plot(x.mean, y.mean, linestyle="none", label=word, zorder=3, **paint)
            is_full = round == "full"  # the names of others are below their points: steps beside each other are alike
            plot.annotate(
                names[who],
                (x.mean, y.mean),
                xytext=(7, 6 if is_full else -13),
                textcoords="offset points",
                color=INK if is_full else FAINT,
                zorder=4,
            )
        plot.margins(0.12)
        plot.set_xlabel(f"{harm}: the less the better")
        plot.set_ylabel("identity: 1 as real pictures")
        handles, words = plot.get_legend_handles_labels()
        signs = dict(zip(words, handles, strict=True))
        chart.legend(signs.values(), signs.keys(), loc="upper left", ncols=len(signs), bbox_to_anchor=(0.08, 1))
        return png_of(chart)


def labels_of(names: Mapping[str, str]) -> dict[str, str]:
    """What is written beside each adapter's point: its name, or "LoRA 1" for one with letters that the font has not."""
    from matplotlib.font_manager import findfont, get_font

    letters = get_font(findfont(FONT)).get_char_index
    unwritten = [who for who, name in names.items() if not all(letters(ord(letter)) for letter in name)]
    return {**names, **{who: f"LoRA {number}" for number, who in enumerate(unwritten, start=1)}}


def _points(
    scores: Sequence[Score], harm: str, names: Mapping[str, str]
) -> dict[str, tuple[Round, Interval, Interval]]:
    """By adapter, the round that tells most of it on the scale of the others, its harm and its identity."""
    told = {(one.who, one.round, one.axis): one.value for one in scores}
    found: dict[str, tuple[Round, Interval, Interval]] = {}
    rounds: tuple[Round, ...] = ("first", "full")
    for who in names:
        for round in rounds:
            x, y = told.get((who, round, harm)), told.get((who, round, "identity"))
            if x and y:
                found[who] = (round, x, y)
    return found


def _standing(
    who: str, round: Round, chosen: str, front: Collection[str], refused: Collection[str]
) -> tuple[str, dict[str, Any]]:
    """What became of an adapter, in words, and the mark that says so."""
    if who == chosen:
        return "chosen", {"marker": "*", "markersize": 15, "color": LORA}
    if who in refused:
        return "refused", {"marker": "x", "markersize": 7, "color": FAINT, "markeredgewidth": 1.8}
    if who in front:
        return "on the front", {"marker": "o", "markersize": 7, "color": LORA}
    if round == "full":
        return "beaten by another", {"marker": "o", "markersize": 6, "color": FAINT}
    first = LOOKS["first"]
    paint = {"marker": first.marker, "markersize": 6, "color": first.colour, "markerfacecolor": "white"}
    return first.label, paint


@contextmanager
def figure(width: float, height: float, *, layout: Literal["constrained"] | None = None) -> Iterator["Figure"]:
    """A figure, inches, in the page's manner whatever a person's own settings are, and kept by nobody. It is drawn
    before the context ends."""
    from matplotlib import rc_context, rcParamsDefault
    from matplotlib.figure import Figure

    usual = {name: value for name, value in rcParamsDefault.items() if not name.startswith("backend")}
    settings: dict[Any, Any] = {
        **usual,
        "font.family": FONT,
        "text.parse_math": False,  # a "$" in a person's name for something begins no formula
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": LINE,
        "axes.labelcolor": FAINT,
        "axes.titlecolor": INK,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": FAINT,
        "ytick.labelcolor": FAINT,
        "legend.frameon": False,
        "legend.labelcolor": FAINT,
    }
    with rc_context(settings):
        yield Figure(figsize=(width, height), dpi=DPI, layout=layout)


def png_of(chart: "Figure") -> bytes:
    """A figure as a PNG file, drawn without a window, with nothing in it that tells when or by which version."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = io.BytesIO()
    FigureCanvasAgg(chart).print_png(drawn, metadata={"Software": None})
    return drawn.getvalue()
