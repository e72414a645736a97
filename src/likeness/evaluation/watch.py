"""Watching a run: each checkpoint is looked at with few prompts, and training ends when nothing more is gained."""

from collections.abc import Callable, Sequence
from functools import cached_property

from likeness.evaluation.choose import Choice, choose, ranked
from likeness.evaluation.evaluate import BASE, Candidate
from likeness.evaluation.instruments import Instruments, Real, measure_with
from likeness.evaluation.measure import Drawn, Measure
from likeness.evaluation.scorecard import Marks, judge, measured_of, rules_of
from likeness.evaluation.shots import Shot, first_of
from likeness.messages import counted
from likeness.recipe import EvaluateConfig
from likeness.seeds import seed_of

__all__ = ["Watch"]

TOLD = ("identity", "freedom")
"""Axes that the reason names: what training gains, and what it costs."""


class Watch:
    """Looks at one checkpoint after the other, as the first round of `evaluate` does: same prompts, noise and rules.

    Nothing is drawn before the first look.

    Args:
        plan: the shots of a seed.
        real: what checkpoints are measured against.
        config: how much is drawn, and what counts.
        instruments: what draws and looks.
        seed: of the prompts, the noise and the resampling.
        patience: checkpoints in a row, none of them better than one before, after which there is nothing to gain.
    """

    def __init__(
        self,
        plan: Callable[[int], list[Shot]],
        real: Real,
        config: EvaluateConfig,
        *,
        instruments: Instruments,
        seed: int,
        patience: int,
    ) -> None:
        self.real, self.config, self.instruments, self.seed, self.patience = real, config, instruments, seed, patience
        self.shots = plan(seed_of(seed, "shots"))
        self.few = first_of(self.shots, config.first / config.count)
        self._marks: dict[int, Marks] = {}

    def spent(self, checkpoints: Sequence[Candidate]) -> str:
        """Why training has nothing left to gain after these, or nothing where it has.

        It never ends where no likeness could be told. Else it ends when the best by the weighted mean of `choose`, of
        those whose means break no limit, is `patience` checkpoints old.

        Args:
            checkpoints: all of the run so far, from the earliest; those that were looked at before are not drawn again.
        """
        for one in checkpoints:
            if one.step not in self._marks:
                self._marks[one.step] = judge(self._draw(one.name, self.few), self._measure)
        steps = [one.step for one in checkpoints]
        measured = measured_of(steps, self.few, [self._marks[step] for step in steps])
        rules = rules_of(self.config)
        choice = choose(measured, rules, least="drift", seed=self.seed, by_means=True)
        if TOLD[0] not in choice.axes[steps[-1]]:
            return ""
        best = next((step for step in ranked(measured, rules) if step not in choice.refused), steps[-1])
        later = len(steps) - 1 - steps.index(best)
        return _reason(choice, best, steps[-1], later) if later >= self.patience else ""

    @cached_property
    def _measure(self) -> Measure:
        base = self._draw(BASE, self.shots)
        return measure_with(base, self.real.seen(self.instruments), self.instruments, self.config)

    def _draw(self, who: str, shots: Sequence[Shot]) -> Drawn:
        return self.instruments.look(shots, self.instruments.draw(who, shots))


def _reason(choice: Choice, best: int, last: int, later: int) -> str:
    then, now = choice.axes[best], choice.axes[last]
    both = [axis for axis in TOLD if axis in then and axis in now]
    told = [f"{axis} {then[axis].mean:.2f} then, {now[axis].mean:.2f} now" for axis in both]
    none = counted(later, "checkpoint in a row is", "checkpoints in a row are")
    return f"{none} no better than step {best} ({'; '.join(told)})"
