"""Blocks: which parts of a LoRA hold the character, which do harm, and which can be left out.

Each block is switched off, and each is left alone; the pictures are compared with those of the whole LoRA, prompt by
prompt and noise by noise.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from likeness.errors import EvaluationError
from likeness.evaluation.compare import Difference, compare
from likeness.evaluation.instruments import Instruments, Real, measure_with
from likeness.evaluation.measure import Drawn, Measure
from likeness.evaluation.scorecard import KINDS as AXIS_KINDS
from likeness.evaluation.scorecard import Judged, judge, judged, score
from likeness.evaluation.shots import SHARES, Kind, Shot
from likeness.evaluation.significance import decidable, refuted
from likeness.evaluation.strength import few_of
from likeness.events import Event, Report, silent
from likeness.images import Pixels
from likeness.messages import listed
from likeness.recipe import EvaluateConfig
from likeness.records import Record
from likeness.statistics import Interval

__all__ = ["KINDS", "BlockTold", "Blocks", "DrawLayers", "Parts", "dissect"]

KINDS: tuple[Kind, ...] = ("own", "class")
"""What a block shows in: likeness and freedom in scenes, and harm to what is drawn without the trigger."""

HARM = tuple(axis for axis, kind in AXIS_KINDS.items() if kind == "harm")

DrawLayers = Callable[[Collection[str], Sequence[Shot]], list[Pixels]]
"""Pictures of the shots with these layers of a LoRA and no others; with none of them the base's."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A LoRA, taken apart.

    Attributes:
        blocks: its layers, by block.
        sets: the named sets of `train.blocks`, each with those of its layers that are in it.
        draw: draws with some of its layers.
    """

    blocks: Mapping[str, Collection[str]]
    sets: Mapping[str, Collection[str]]
    draw: DrawLayers

    @property
    def layers(self) -> list[str]:
        """All of them."""
        return self.without(())

    def without(self, blocks: Collection[str]) -> list[str]:
        """The layers of all other blocks."""
        return [layer for name, own in self.blocks.items() if name not in blocks for layer in own]


class BlockTold(Record):
    """What a block is for.

    Attributes:
        block: its name, as "up_blocks.1".
        layers: how many of the LoRA's are in it.
        without: how the LoRA differs when it is off, by axis: less identity means that it held some.
        alone: how the LoRA differs when all others are off.
        holds: without it identity may be less by more than the margin.
        does_harm: without it some harm is surely less, all harms of all blocks taken together at 5%.
    """

    block: str
    layers: int
    without: tuple[Difference, ...]
    alone: tuple[Difference, ...]
    holds: bool
    does_harm: bool = False


class Blocks(Record):
    """What the blocks of a LoRA are for.

    Attributes:
        lora: its file, relative to the workspace.
        sha256: of the file.
        margin: of identity, that may be lost.
        whole: the whole LoRA, by axis.
        blocks: each of its blocks.
        prune: blocks that can be left out together: each does harm, and without them no identity is lost. Of several
            the figures flatter, being of the pictures by which they were found.
        pruned: how the LoRA differs without these.
        block_set: the smallest of the named sets that holds the character by itself; empty where none does.
        in_block_set: how the LoRA differs with the layers of that set alone.
        told: all of it in words.
    """

    lora: str = ""
    sha256: str = ""
    margin: float
    whole: dict[str, Interval]
    blocks: tuple[BlockTold, ...]
    prune: tuple[str, ...] = ()
    pruned: tuple[Difference, ...] = ()
    block_set: str = ""
    in_block_set: tuple[Difference, ...] = ()
    told: str


@dataclass
class _Bench:
    """Draws with some layers, and compares with the whole LoRA."""

    parts: Parts
    few: Sequence[Shot]
    instruments: Instruments
    config: EvaluateConfig
    seed: int
    report: Report
    total: int
    measure: Measure | None = None
    whole: list[Judged] = field(default_factory=list)
    axes: dict[str, Interval] = field(default_factory=dict)
    harms: dict[str, list[Difference]] = field(default_factory=dict)
    done: int = 0

    def drawn(self, layers: Collection[str], shots: Sequence[Shot]) -> Drawn:
        pixels = self.parts.draw(layers, shots)
        self.done += len(shots)
        self.report(Event(stage="blocks", done=min(self.done, self.total), total=self.total))
        return self.instruments.look(shots, pixels)

    def begin(self, shots: Sequence[Shot], real: Real) -> None:
        """Measures the base, and the whole LoRA against it."""
        base = self.drawn((), shots)
        self.measure = measure_with(base, real.seen(self.instruments), self.instruments, self.config)
        drawn = self.drawn(self.parts.layers, self.few)
        marks = judge(drawn, self.measure)
        self.whole = judged("whole", "full", drawn, marks)
        scores = score("whole", None, "full", drawn, marks, self.measure, seed=self.seed)
        self.axes = {one.axis: one.value for one in scores if one.value}

    def differences(self, layers: Collection[str]) -> tuple[Difference, ...]:
        """How these layers alone differ from the whole."""
        return tuple(compare(self.whole, self._judged(layers), margin=self.config.margin, seed=self.seed))

    def without(self, block: str) -> tuple[Difference, ...]:
        """How the LoRA differs when a block is off; whether the whole does more harm is kept in `harms`."""
        told = self._judged(self.parts.without([block]))
        self.harms[block] = [one for one in compare(told, self.whole, margin=0, seed=self.seed) if one.axis in HARM]
        return tuple(compare(self.whole, told, margin=self.config.margin, seed=self.seed))

    def _judged(self, layers: Collection[str]) -> list[Judged]:
        assert self.measure
        drawn = self.drawn(layers, self.few)
        return judged("part", "full", drawn, judge(drawn, self.measure))


def dissect(
    parts: Parts,
    shots: Sequence[Shot],
    real: Real,
    config: EvaluateConfig,
    *,
    instruments: Instruments,
    seed: int,
    report: Report = silent,
) -> Blocks:
    """What each block of a LoRA is for, and what could be left out.

    Args:
        parts: of the LoRA.
        shots: a whole plan. The base draws all of it, which tells what strangers look like; the LoRA, as a whole and
            in parts, the first few prompts of `KINDS`.
        real: what is measured against.
        config: with the margin, and how many prompts are a few: `config.first`.
        instruments: what looks.
        seed: of the resampling.
        report: told as pictures are made.

    Raises:
        EvaluationError: where there is no real picture to compare with, or but one block.
    """
    if not real.held_out or len(parts.blocks) < 2:
        missing = "second block to switch off" if real.held_out else "held-out picture of the character"
        raise EvaluationError(f"There is no {missing}: nothing can be measured.")
    few = few_of(shots, KINDS, config.first)
    total = len(shots) + len(few) * (1 + 2 * len(parts.blocks))
    bench = _Bench(parts, few, instruments, config, seed, report, total)
    bench.begin(shots, real)
    told = [_told(bench, name) for name in parts.blocks]
    tests = _Tests.of(bench.harms)
    harmful = {block for block, _ in tests.sure}
    found = tuple(one.model_copy(update={"does_harm": one.block in harmful}) for one in told)
    prune, pruned = _pruned(bench, found)
    block_set, in_set = _held_by(bench, found)
    return Blocks(
        margin=config.margin,
        whole=bench.axes,
        blocks=found,
        prune=prune,
        pruned=pruned,
        block_set=block_set,
        in_block_set=in_set,
        told=_words(bench, found, tests, prune, block_set),
    )


def _told(bench: _Bench, name: str) -> BlockTold:
    own = bench.parts.blocks[name]
    without, alone = bench.without(name), bench.differences(own)
    is_needed = not _keeps_identity(without, bench.config.margin)
    return BlockTold(block=name, layers=len(own), without=without, alone=alone, holds=is_needed)


def _by_axis(differences: Sequence[Difference]) -> dict[str, Interval]:
    return {one.axis: one.difference for one in differences}


def _keeps_identity(differences: Sequence[Difference], margin: float) -> bool:
    """Whether identity is surely not less by more than the margin; where nothing is told of it, that is not sure."""
    identity = _by_axis(differences).get("identity")
    return identity is not None and identity.low >= -margin


def _keeps_all(differences: Sequence[Difference], margin: float) -> bool:
    """Whether no identity is lost, no harm is surely more, and nothing else is worse."""
    more_harm = any(interval.low > 0 for axis, interval in _by_axis(differences).items() if axis in HARM)
    return _keeps_identity(differences, margin) and not more_harm and not any(one.is_worse for one in differences)


@dataclass(frozen=True, slots=True)
class _Tests:
    """Whether each harm is surely less without each block, all of them taken together.

    Attributes:
        sure: each block and harm of which that holds.
        short: harms of which there are too few prompts to say so.
        prompts: that those rest on, at most.
        needed: prompts of each harm that could say so of all of them.
    """

    sure: frozenset[tuple[str, str]]
    short: tuple[str, ...]
    prompts: int
    needed: int

    @classmethod
    def of(cls, harms: Mapping[str, Sequence[Difference]]) -> "_Tests":
        """By block how much more harm the whole LoRA does, with the chance that it does not."""
        tests = {f"{one.axis} of {block}": (block, one) for block, some in harms.items() for one in some}
        able = decidable({name: one.prompts for name, (_, one) in tests.items()})
        sure = [tests[name] for name in refuted({name: tests[name][1].chance for name in able})]
        short = {one.axis: one.prompts for name, (_, one) in tests.items() if name not in able}
        return cls(
            sure=frozenset((block, one.axis) for block, one in sure),
            short=tuple(axis for axis in HARM if axis in short),
            prompts=max(short.values(), default=0),
            needed=next(number for number in count(1) if decidable(dict.fromkeys(tests, number)) or not tests),
        )


def _pruned(bench: _Bench, found: Sequence[BlockTold]) -> tuple[tuple[str, ...], tuple[Difference, ...]]:
    """The blocks that can be left out together. Two may hold the same, so that either can go and not both: what would
    cost most identity is then kept, until nothing is lost."""
    free = [one for one in found if one.does_harm and _keeps_all(one.without, bench.config.margin)]
    free.sort(key=lambda one: -_by_axis(one.without)["identity"].mean)
    while len(free) > 1:
        names = tuple(one.block for one in free)
        kept = bench.parts.without(names)
        if kept and _keeps_all(told := bench.differences(kept), bench.config.margin):
            return names, told
        free.pop()
    return ((free[0].block,), free[0].without) if free else ((), ())


def _held_by(bench: _Bench, found: Sequence[BlockTold]) -> tuple[str, tuple[Difference, ...]]:
    """The smallest named set whose layers alone keep identity. Only those are tried that have a layer in each block
    that is needed, and not all of the LoRA's."""
    parts = bench.parts
    needed = [set(parts.blocks[one.block]) for one in found if one.holds]
    fitting = {
        name: own
        for name, own in parts.sets.items()
        if 0 < len(own) < len(parts.layers) and all(layers.intersection(own) for layers in needed)
    }
    is_told = "identity" in bench.axes
    for name in sorted(fitting, key=lambda name: len(fitting[name])) if needed and is_told else ():
        told = bench.differences(fitting[name])
        if _keeps_identity(told, bench.config.margin):
            return name, told
    return "", ()


def _words(bench: _Bench, found: Sequence[BlockTold], tests: _Tests, prune: Sequence[str], block_set: str) -> str:
    if "identity" not in bench.axes:
        return "Nothing could be told of identity: no block is suggested to be left out."
    words, margin = list(_homes(found, tests)), bench.config.margin
    identity = {one.block: _by_axis(one.without).get("identity") for one in found if one.holds}
    unsure = [block for block, told in identity.items() if told is None or told.high >= 0]
    if unsure:
        words.append(f"Without {' or '.join(unsure)} identity may be less by more than {margin:g}; that is not sure.")
    if prune:
        less = f"Without {' and '.join(prune)} identity is not less by more than {margin:g}"
        words.append(
            f"{less}, and there is surely less harm, all blocks taken together: --write FILE writes such a LoRA."
        )
    else:
        words.append("No block does harm that is surely not needed.")
    if tests.short and not prune:
        few = f"{tests.prompts} prompts without the trigger cannot say surely that {' or '.join(tests.short)} is less"
        enough = f"--set evaluate.count={round(tests.needed / SHARES['class'])} --set evaluate.first={tests.needed}"
        words.append(f"{few} without a block, all taken together; {enough} can.")
    if block_set:
        whole = f'The layers of train.blocks = "{block_set}" hold the character by themselves'
        words.append(f"{whole}: a smaller set to train next time.")
    return " ".join(words)


def _homes(found: Sequence[BlockTold], tests: _Tests) -> Iterator[str]:
    """In which blocks identity and each kind of harm live: without them there is less of it; of harm
    surely, all blocks and kinds taken together."""
    for axis in ("identity", *HARM):
        losses = {
            one.block: told.mean
            for one in found
            if (told := _by_axis(one.without).get(axis)) and told.high < 0
            if axis == "identity" or (one.block, axis) in tests.sure
        }
        if losses:
            most = sorted(losses, key=lambda block: losses[block])
            less = listed([f"{-losses[block]:.2f}" for block in most], len(most))
            yield f"{axis.capitalize()} lives in {listed(most, len(most))} ({less} less without it)."
