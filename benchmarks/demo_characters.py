"""The demo's bars, over ten characters that nothing was tuned on: `likeness demo` for each, in a process of its own.

python benchmarks/demo_characters.py                            # seeds 101 to 110
python benchmarks/demo_characters.py 1 2 3 --set train.rank=8   # others, to tune with
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

SEEDS = tuple(range(101, 111))
RESULTS = Path(__file__).parent / "results" / "demo_characters.json"
KINDS = ("face", "body", "clothing", "attributes")
AXES = ("view", "framing", "expression", "pose")


@dataclass(frozen=True, slots=True)
class Bar:
    """A number of one demo, and what its mean must be.

    Attributes:
        name: in the table.
        of: the number, of one demo's result.
        least: the lowest mean that is good enough.
        most: the highest.
    """

    name: str
    of: Callable[[Mapping[str, Any]], float]
    least: float = -float("inf")
    most: float = float("inf")

    def is_met(self, mean: float) -> bool:
        """Whether this mean is good enough."""
        return self.least <= mean <= self.most


def _change(axis: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda told: told["adherence"][axis]["lora"] - told["adherence"][axis]["base"]


BARS = (
    Bar("identity, LoRA", lambda told: told["identity"]["lora"], least=0.85),
    Bar("identity, base", lambda told: told["identity"]["base"], most=0.45),
    *(
        Bar(f"identity, LoRA: {kind}", lambda told, kind=kind: told["identity"]["by_kind"][kind]["lora"], least=0.75)
        for kind in KINDS
    ),
    Bar("view, LoRA - base", _change("view"), least=-0.05),
    Bar("expression, LoRA - base", _change("expression"), least=-0.05),
    Bar("framing, LoRA - base", _change("framing")),
    Bar("pose, LoRA - base", _change("pose")),
    Bar("others, LoRA - base", lambda told: told["others"]["lora"] - told["others"]["base"], least=-0.08),
    Bar("seconds, train", lambda told: told["seconds"]["train"], most=90),
    Bar("seconds, evaluate", lambda told: told["seconds"]["evaluate"], most=60),
    Bar("seconds, all", lambda told: told["seconds"]["total"], most=240),
    Bar("peak memory, GB", lambda told: told["peak_gigabytes"], most=3),
)


def main() -> None:
    """Prints the table, keeps it in results/ where the seeds are the ten, and exits with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, default=SEEDS, help="characters; 101 to 110 by default")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", dest="settings")
    parser.add_argument("--keep", type=Path, help="a folder for the demos; by default they are thrown away")
    parser.add_argument("--to", type=Path, help=f"where the numbers go; {RESULTS.name} for the ten as they are")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        folder = chosen.keep or Path(thrown_away)
        found = [_demo(folder / str(seed), seed, chosen.settings) for seed in chosen.seeds]
    means = {bar.name: fmean(map(bar.of, found)) for bar in BARS}
    _print(found, means)
    is_the_table = list(chosen.seeds) == list(SEEDS) and not chosen.settings
    if to := chosen.to or (RESULTS if is_the_table else None):
        to.parent.mkdir(parents=True, exist_ok=True)
        told = {"seeds": list(chosen.seeds), "settings": chosen.settings, "means": means, "demos": found}
        to.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(not all(bar.is_met(means[bar.name]) for bar in BARS))


def _demo(folder: Path, seed: int, settings: Sequence[str]) -> dict[str, Any]:
    """What one demo said of itself, with the most memory that its process took."""
    laid_over = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "likeness", "demo", str(folder), "--seed", str(seed), "--json", *laid_over]
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as talk:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk, text=True)
        assert child.stdout
        said = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            talk.seek(0)
            sys.exit(f"character {seed}: the demo ended with {child.returncode}:\n" + "".join(talk.readlines()[-20:]))
    told = json.loads(said.splitlines()[-1])
    kept = {name: told[name] for name in ("name", "identity", "adherence", "others", "seconds")}
    kept |= {"seed": seed, "peak_gigabytes": _gigabytes(usage), "seconds_outside": time.perf_counter() - started}
    print(f"{seed} {told['name']:<8} " + "  ".join(f"{bar.name} {bar.of(kept):.2f}" for bar in BARS[:2]), flush=True)
    return kept


def _gigabytes(usage: resource.struct_rusage) -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes on Linux; getrusage(2)
    return usage.ru_maxrss * unit / 1e9


def _print(found: Sequence[Mapping[str, Any]], means: Mapping[str, float]) -> None:
    print(f"\n{'mean of ' + str(len(found)):<28}{'mean':>8}{'worst':>8}{'best':>8}   bar")
    for bar in BARS:
        values = sorted(map(bar.of, found), reverse=bar.most < float("inf"))
        limit = f">= {bar.least:g}" if bar.least > -float("inf") else f"<= {bar.most:g}" if bar.most < 1e9 else ""
        verdict = "" if not limit else "met" if bar.is_met(means[bar.name]) else "MISSED"
        print(f"{bar.name:<28}{means[bar.name]:8.3f}{values[0]:8.3f}{values[-1]:8.3f}   {limit:<9} {verdict}")


if __name__ == "__main__":
    main()
