"""How much likeness a rule of choice costs, where the truth is known: runs of twelve checkpoints, simulated.

python benchmarks/choosing.py

A run learns, then stiffens, copies and drifts. What is measured of it has the noise that others measured of identity:
0.06 by prompt, 0.03 by prompt and checkpoint, 0.08 by picture; 24 prompts.
"""

from statistics import fmean

import numpy

from likeness.evaluation.choose import Measured, Rule, choose
from likeness.statistics import Floats, detectable_difference

RULES = (
    Rule("identity", "likeness", weight=2, limit=0.3),
    Rule("adherence", "freedom"),
    Rule("copies", "harm", limit=0.2),
    Rule("damage", "harm"),
)
RUNS, CHECKPOINTS, PROMPTS = 200, 12, 24
ENDS = {"95% interval": 0.025, "one standard error": 0.16, "the mean alone": 0.5}


def main() -> None:
    """A table: the rule, pictures of each prompt, and what is lost by it."""
    print("| tied by | pictures of a prompt | within 0.02 of the best | lost on average | damage saved |")
    print("|---|---|---|---|---|")
    for seeds in (1, 2, 4):
        for name, close in ENDS.items():
            lost, saved = zip(*(outcome(run, seeds, close) for run in range(RUNS)), strict=True)
            near = fmean(value <= 0.02 for value in lost)
            print(f"| {name} | {seeds} | {near:.0%} | {fmean(lost):.4f} | {fmean(saved):.3f} |")
    print()
    for seeds in (1, 2, 4):
        print(f"{PROMPTS} x {seeds}: detects {detectable_difference(PROMPTS, seeds):.3f}")


def outcome(run: int, seeds: int, close: float) -> tuple[float, float]:
    """How much worse than the best the chosen checkpoint is, and how much less damage than the leader it does."""
    rng = numpy.random.default_rng(run)
    truth = truth_of(rng)
    worth = (truth["identity"] ** 2 * truth["adherence"]) ** (1 / 3)
    best = float(worth[truth["copies"] < 0.2].max())
    steps = tuple(range(CHECKPOINTS))
    values = {axis: _measured(means, seeds, rng) for axis, means in truth.items()}
    found = choose(Measured(steps, (("own",),) * PROMPTS, values), RULES, least="damage", seed=1, close=close)
    assert found.step is not None, found.reason
    assert found.leader is not None
    return best - float(worth[found.step]), float(truth["damage"][found.leader] - truth["damage"][found.step])


def truth_of(rng: numpy.random.Generator) -> dict[str, Floats]:
    """The true values of a run's checkpoints; runs differ in how soon they have learnt."""
    at = numpy.arange(1, CHECKPOINTS + 1) / rng.uniform(4, 8)
    return {
        "identity": 0.95 * (1 - numpy.exp(-at)),
        "adherence": 0.92 - 0.25 * (at - 1).clip(0),
        "copies": (0.2 * (at - 1.3)).clip(0),
        "damage": 0.05 * at,
    }


def _measured(means: Floats, seeds: int, rng: numpy.random.Generator) -> Floats:
    shape = (CHECKPOINTS, PROMPTS, seeds)
    prompts = 0.06 * rng.normal(size=(1, PROMPTS, 1)) + 0.03 * rng.normal(size=(CHECKPOINTS, PROMPTS, 1))
    return means[:, None, None] + prompts + 0.08 * rng.normal(size=shape)


if __name__ == "__main__":
    main()
