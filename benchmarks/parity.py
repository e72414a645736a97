"""How one adapter file acts in other programs: every family, prediction, variant and program, in docs/parity.md.

python benchmarks/parity.py      # tiny bases of the real classes; some minutes on two cores

diffusers and peft run. ComfyUI, A1111, Forge, InvokeAI and kohya's scripts do not run here: their cells say what our
own writing-out of their rules (src/likeness/diffusion/files/clients.py) and formulas (tests/client_formulas.py) gives.
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy

from likeness.errors import CheckpointError

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import parities  # noqa: E402 # pyright: ignore[reportMissingImports] - it lies beside the tests that share it
from client_formulas import FORMULAS  # noqa: E402 # pyright: ignore[reportMissingImports]

PAGE = ROOT / "docs" / "parity.md"
CLIENTS = ("diffusers", "peft", *FORMULAS)

HEAD = """# Parity: one file in many programs

Made by `python benchmarks/parity.py` on tiny bases of the real classes; do not edit it by hand. Each row is a file
that likeness saved in float32 for a base of that family and prediction, with random weights as if trained; rank 3,
alpha 2.

- diffusers {diffusers}: the file was loaded with `load_lora_weights`. "picture equal" means that no channel of any
  pixel of a picture of {steps} steps is more than 1 of 255 apart from ours.
- peft {peft}: the file was written with `likeness convert --to peft` and loaded with `PeftModel.from_pretrained`. Its
  formulas of LoHa and LoKr are ours (`tests/test_variants.py`), under names of its own that are not written.
- The others cannot run here. "by its rules" means: our own writing-out of how that program maps names takes every
  tensor, and our own writing-out of its formula gives the same weights.
- "to N digits" is of what the adapter adds: the largest difference is below 10^-N of the largest addition. float32
  holds 7, and a denoiser loses about three of them on the way.

In no row, because likeness writes none: a DoRA of outputs is only nearly right in ComfyUI and Forge, wrong in A1111
and InvokeAI, and exact in diffusers under its own names only (`likeness convert --to diffusers`).

"""


def main() -> None:
    """Writes the page, or says with status 1 that a cell would be empty."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--page", type=Path, default=PAGE)
    options.add_argument("--family", choices=parities.PREDICTIONS, action="append")
    told = options.parse_args()
    warnings.simplefilter("ignore")
    rows = list(_rows(told.family or list(parities.PREDICTIONS)))
    if empty := [row[:3] for row in rows if not all(row)]:
        sys.exit(f"empty cells in {empty}")
    told.page.write_text(_page(rows))
    print(f"{told.page}: {len(rows)} rows of {len(CLIENTS)} programs")


def _rows(families: list[str]) -> Iterator[list[str]]:
    for family in families:
        for prediction in parities.PREDICTIONS[family]:
            with tempfile.TemporaryDirectory() as folder:
                base, model = parities.built(Path(folder), family, prediction)
                for variant in parities.VARIANTS:
                    case = parities.case_of(base, model, family, variant)
                    yield [family, prediction, variant, *(_cell(case, variant, client) for client in CLIENTS)]
                    print(family, prediction, variant, flush=True)


def _cell(case: Any, variant: str, client: str) -> str:
    if client == "diffusers":
        return _with_diffusers(case, variant)
    if client == "peft":
        return _with_peft(case, variant)
    found = parities.verdict(case, client)
    if found.unsupported:
        return f"no, by its rules: it does not know {found.unsupported}"
    if not found.takes_all:
        return f"by its rules: {found.matched} of {found.total} tensors"
    return f"by its rules: all {found.total} tensors, to {parities.formula_digits(case, client)} digits"


def _with_diffusers(case: Any, variant: str) -> str:
    with parities.beside(case):
        ours = parities.picture(case)
    try:
        theirs, _ = parities.with_diffusers(case)
    except ValueError:
        return "no: it refuses the file, as names are left over"
    apart = int(numpy.abs(ours - theirs).max())
    if variant == "DoRA":
        return f"no: it throws the lengths away, with a warning; picture apart by {apart} of 255"
    return "picture equal" if apart <= 1 else f"picture apart by {apart} of 255"


def _with_peft(case: Any, variant: str) -> str:
    try:
        return f"to {parities.peft_digits(case)} digits"
    except CheckpointError:  # `likeness convert` does not write what peft would compute in another way
        why = "its DoRA is of outputs" if variant == "DoRA" else "it has names of its own for it"
        return f"no: {why}"


def _page(rows: list[list[str]]) -> str:
    import diffusers
    import peft

    head = HEAD.format(diffusers=diffusers.__version__, peft=peft.__version__, steps=parities.STEPS)
    titles = ["family", "prediction", "variant", *CLIENTS]
    lines = [titles, ["---"] * len(titles), *rows]
    return head + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
