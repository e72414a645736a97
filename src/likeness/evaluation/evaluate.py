"""Evaluation: every checkpoint of a run is drawn with, measured, and one of them chosen; cheap looks come first."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from likeness.errors import EvaluationError
from likeness.evaluation.choose import Choice, Measured, choose, ranked
from likeness.evaluation.instruments import Instruments, Real, SeenReal, measure_with
from likeness.evaluation.known import Known
from likeness.evaluation.measure import Drawn, Measure
from likeness.evaluation.scorecard import (
    Judged,
    Marks,
    Round,
    Score,
    judge,
    judge_base,
    judged,
    measured_of,
    rules_of,
    score,
)
from likeness.evaluation.shots import Shot, first_of
from likeness.events import Event, Report, silent
from likeness.messages import counted
from likeness.recipe import EvaluateConfig
from likeness.seeds import seed_of

__all__ = ["BASE", "Candidate", "Evaluation", "evaluate"]

BASE = "base"
"""Whose pictures those without any adapter are."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An adapter that may be chosen.

    Attributes:
        name: what it is called, as "step-000250".
        step: that it was trained for; a number that tells it from the others.
    """

    name: str
    step: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of it.

    Attributes:
        choice: the candidate to publish, and the reason.
        scores: of each candidate, axis and round.
        pictures: each picture, and what was told of it.
        known: the character, as its real pictures show it.
        drawn: the pictures, by round and who drew them.
    """

    choice: Choice
    scores: list[Score]
    pictures: list[Judged]
    known: Known
    drawn: Mapping[tuple[Round, str], Drawn]


@dataclass
class _Desk:
    """What has been drawn and told so far."""

    instruments: Instruments
    real: SeenReal
    config: EvaluateConfig
    seed: int
    report: Report
    total: int
    done: int = 0
    drawn: dict[tuple[Round, str], Drawn] = field(default_factory=dict)
    marks: dict[tuple[Round, str], Marks] = field(default_factory=dict)
    measures: dict[Round, Measure] = field(default_factory=dict)

    def draw(self, who: str, shots: Sequence[Shot]) -> Drawn:
        """Pictures of shots, and what is seen in them."""
        pixels = self.instruments.draw(who, shots)
        self.done += len(shots)
        self.report(Event(stage="evaluate", done=min(self.done, self.total), total=self.total, note=""))
        return self.instruments.look(shots, pixels)

    def begin(self, shots: Sequence[Shot]) -> None:
        """Measures the base, by which and the real pictures all else is measured."""
        base = self.draw(BASE, shots)
        measure = measure_with(base, self.real, self.instruments, self.config)
        self.drawn["full", BASE] = base
        self.measures |= {"first": measure, "full": measure}

    def begin_fresh(self, shots: Sequence[Shot]) -> None:
        """The same scale, and the base's pictures of fresh shots."""
        self.drawn["fresh", BASE] = self.draw(BASE, shots)
        self.measures["fresh"] = replace(self.measures["full"], base=self.drawn["fresh", BASE])

    def look(self, round: Round, one: Candidate, shots: Sequence[Shot]) -> None:
        """A candidate's pictures of a round, and what they tell."""
        self.drawn[round, one.name] = self.draw(one.name, shots)
        self.marks[round, one.name] = judge(self.drawn[round, one.name], self.measures[round])


def evaluate(
    candidates: Sequence[Candidate],
    plan: Callable[[int], list[Shot]],
    real: Real,
    config: EvaluateConfig,
    *,
    instruments: Instruments,
    seed: int,
    report: Report = silent,
) -> Evaluation:
    """Scores of every candidate, and the one to publish.

    All are looked at with a few prompts, the best `config.finalists` with all, and the best two of them once more with
    fresh prompts and fresh noise: of several that are measured, the best one was lucky too, and only fresh pictures
    tell how good it is. Every candidate gets the same prompts and the same noise.

    Args:
        candidates: from the earliest, at least one.
        plan: the shots of a seed.
        real: what the candidates are measured against.
        config: how much is drawn, and what counts.
        instruments: what draws and looks.
        seed: of the prompts, the noise and the resampling.
        report: told as pictures are made.

    Raises:
        EvaluationError: where there is no candidate, or no real picture.
    """
    if not candidates or not real.held_out:
        missing = "adapter" if not candidates else "held-out picture of the character"
        raise EvaluationError(f"There is no {missing}: nothing can be measured.")
    shots = plan(seed_of(seed, "shots"))
    few = first_of(shots, config.first / config.count)
    is_cheap = len(candidates) > config.finalists
    finalists = min(len(candidates), config.finalists)
    total = len(shots) * (1 + finalists) + (len(few) * len(candidates) if is_cheap else 0)
    total += len(shots) * (1 + min(2, finalists)) if config.confirm else 0
    desk = _Desk(instruments, real.seen(instruments), config, seed, report, total)
    desk.begin(shots)
    order = _first_look(desk, candidates, few) if is_cheap else list(candidates)
    left, choice, measured = _full_look(desk, order, shots)
    if config.confirm and choice.step is not None:
        order_by_full = ranked(measured, rules_of(config))
        choice = _confirmed(desk, left, choice, order_by_full, plan(seed_of(seed, "fresh shots")))
    return _told(desk, candidates, choice)


def _first_look(desk: _Desk, candidates: Sequence[Candidate], shots: Sequence[Shot]) -> list[Candidate]:
    """The candidates in the order in which they are worth the full set: the best first, but those last that are
    refused by what is seen."""
    for one in candidates:
        desk.look("first", one, shots)
    marks = [desk.marks["first", one.name] for one in candidates]
    measured, rules = measured_of([one.step for one in candidates], shots, marks), rules_of(desk.config)
    order = ranked(measured, rules)
    refused = choose(measured, rules, least="drift", seed=desk.seed, by_means=True).refused
    return sorted(candidates, key=lambda one: (one.step in refused, order.index(one.step)))


def _full_look(
    desk: _Desk, order: Sequence[Candidate], shots: Sequence[Shot]
) -> tuple[list[Candidate], Choice, Measured]:
    """The first `config.finalists` of `order`, from the earliest, measured with the full set, and which of them to
    publish. Where all are refused it ends there: who looks on until one passes finds one that was lucky."""
    left = sorted(order[: desk.config.finalists], key=lambda one: one.step)
    for one in left:
        desk.look("full", one, shots)
    measured = measured_of([one.step for one in left], shots, [desk.marks["full", one.name] for one in left])
    choice = choose(measured, rules_of(desk.config), least="drift", seed=desk.seed)
    others = len(order) - len(left)
    if choice.step is None and others:
        words = counted(
            others, "other that did worse at a first look was", "others that did worse at a first look were"
        )
        reason = f"{choice.reason} {words} not measured with all prompts: see evaluate.finalists."
        choice = choice.model_copy(update={"reason": reason})
    return left, choice, measured


def _confirmed(
    desk: _Desk, left: Sequence[Candidate], choice: Choice, order: Sequence[int], shots: Sequence[Shot]
) -> Choice:
    """The choice, once the chosen one and the best other were drawn again on fresh shots.

    The first choice stands, unless the fresh pictures refuse it and do not refuse the other.
    """
    other = next((step for step in order if step not in (choice.step, *choice.refused)), None)
    pair = [one for one in left if one.step in (choice.step, other)]
    desk.begin_fresh(shots)
    for one in pair:
        desk.look("fresh", one, shots)
    marks = [desk.marks["fresh", one.name] for one in pair]
    fresh = choose(
        measured_of([one.step for one in pair], shots, marks), rules_of(desk.config), least="drift", seed=desk.seed
    )
    if choice.step not in fresh.refused:
        return choice
    why = fresh.refused[choice.step or 0]
    refused = {**choice.refused, **{step: f"on fresh prompts {words}" for step, words in fresh.refused.items()}}
    reason = f"On fresh prompts step {choice.step} is refused: {why}. {fresh.reason}"
    if len(left) == 1:
        reason = f"It may not be published: on fresh prompts {why}."
    return choice.model_copy(update={"step": fresh.step, "reason": reason, "refused": refused})


def _told(desk: _Desk, candidates: Sequence[Candidate], choice: Choice) -> Evaluation:
    steps = {one.name: one.step for one in candidates}
    scores: list[Score] = []
    pictures: list[Judged] = []
    for (round, who), drawn in desk.drawn.items():
        measure = desk.measures[round]
        marks = desk.marks[round, who] if who != BASE else judge_base(drawn, measure)
        scores += score(who, steps.get(who), round, drawn, marks, measure, seed=desk.seed)
        pictures += judged(who, round, drawn, marks)
    return Evaluation(choice, scores, pictures, desk.measures["full"].known, desk.drawn)
