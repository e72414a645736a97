"""Tables for people: what `show`, `inspect`, `doctor`, `demo` and the steps found, as rich draws it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from likeness.cli.invocation import typed
from likeness.messages import listed
from likeness.workspace import Workspace

if TYPE_CHECKING:
    from likeness.cli.checks import Check
    from likeness.demo import DemoResult
    from likeness.evaluation.tallies import Gauge
    from likeness.pipeline import Outcome

__all__ = [
    "SHOWN",
    "add_row",
    "check_table",
    "demo_table",
    "facts_table",
    "fault_words",
    "figure",
    "file_table",
    "outcome_table",
    "plain_table",
    "setting_words",
    "state_table",
    "unbroken",
]

SHOWN = 4
"""Paths in a row; --json and the page have them all."""

LONGEST_NOTE = 400
"""Signs of a note, above which it is cut."""


def figure(number: float, digits: int = 2, sign: str = "") -> str:
    """A number with so many digits behind the point; what rounds to nothing is 0.00 and never -0.00.

    Args:
        sign: "+" for one in front of what is not negative.
    """
    return f"{round(number, digits) + 0.0:{sign}.{digits}f}"


def outcome_table(workspace: Workspace, outcomes: Sequence["Outcome"]) -> RenderableType:
    """What became of each step, and what it made."""
    table = plain_table("step", "", "seconds", "made")
    for outcome in outcomes:
        made = outcome.made[-1] if outcome.made else ""
        more = f" and {len(outcome.made) - 1} more" if len(outcome.made) > 1 else ""
        state = "unchanged" if outcome.is_fresh else "done"
        add_row(table, outcome.step, state, f"{outcome.seconds:.1f}", made + more)
    return Group(Text(str(workspace.root)), table)


def state_table(state: dict[str, Any]) -> RenderableType:
    """A workspace at a glance."""
    who = state["character"]
    facts = [
        ("folder", state["workspace"]),
        ("character", f"{who['name']} ({who['kind']})"),
        ("prompt", ", ".join(filter(None, (who["trigger"], who["class_words"])))),
        ("base", state["base"]),
        ("pictures", _counts(state["pictures"]) or "not curated yet"),
        ("captions", _counts(state["captions"], "by ") or "none yet"),
    ]
    settings = plain_table("setting", "value", "said by")
    for address, setting in state["settings"].items():
        add_row(settings, address, setting_words(setting["value"]), setting["by"])
    parts: list[RenderableType] = [facts_table(facts), *([settings] if state["settings"] else [])]
    if state["faults"]:
        rejected = plain_table("rejected", "files", "")
        for fault, paths in sorted(state["faults"].items(), key=lambda pair: -len(pair[1])):
            add_row(rejected, fault_words(fault), str(len(paths)), listed(paths, SHOWN))
        parts += [rejected, unbroken(f"why: {typed('curate', state['workspace'], '--why', 'PICTURE')}")]
    if state["runs"]:
        runs = plain_table("run", "steps", "loss", "checkpoints")
        for run in state["runs"]:
            loss = "" if run["loss"] is None else f"{run['loss']:.4f}"
            add_row(runs, run["run"], f"{run['steps']} of {run['of']}", loss, ", ".join(run["checkpoints"]))
        parts.append(runs)
    if state["releases"]:
        releases = plain_table("release", "version", "published", "AutoV3")
        for one in state["releases"]:
            add_row(releases, one["folder"], one["version"], one["published"], one["auto_v3"])
        parts.append(releases)
    return Group(*parts, unbroken(f"next: {state['next']}"))


def file_table(facts: dict[str, Any]) -> RenderableType:
    """A weights file: what it is, its ranks per block, its metadata."""
    known = [
        ("file", facts["path"]),
        ("holds", f"{facts['method'] or facts['kind']}, {facts['parameters']:,} numbers, {_counts(facts['dtypes'])}"),
        *((name, facts[name]) for name in ("family", "trainer") if facts[name]),
        ("size", f"{facts['size']:,} bytes"),
        ("sha256", facts["sha256"]),
        ("of its tensors", facts["tail_sha256"]),
        ("AutoV2, AutoV3", f"{facts['auto_v2']}, {facts['auto_v3']}"),
    ]
    blocks = plain_table("block", "layers", "rank", "alpha")
    for block in facts["blocks"]:
        ranks, alphas = (", ".join(f"{value:g}" for value in block[name]) for name in ("ranks", "alphas"))
        add_row(blocks, block["block"], str(block["layers"]), ranks, alphas)
    notes = facts_table([(name, _cut(text)) for name, text in sorted(facts["metadata"].items())], "metadata")
    return Group(facts_table(known), *([blocks] if facts["blocks"] else []), *([notes] if facts["metadata"] else []))


def _cut(text: str) -> str:
    """A note as a person reads it: pictures and tables of tags fill screens; `--json` has the whole."""
    return text if len(text) <= LONGEST_NOTE else f"{text[: LONGEST_NOTE // 2]} ... ({len(text):,} signs)"


def check_table(checks: Sequence["Check"]) -> RenderableType:
    """What was found, and under it what is to be done, unbroken: a command is there to be copied."""
    table = plain_table("", "found")
    for check in checks:
        table.add_row(Text(check.name, style="red" if check.is_missing else "green"), Text(check.found))
    cures = [unbroken(f"{check.name}: {check.mend}") for check in checks if check.is_missing]
    return Group(table, *([Text("\nto do", style="dim"), *cures] if cures else []))


def demo_table(result: "DemoResult") -> RenderableType:
    """The proof in a dozen lines, and where its files are."""
    table = plain_table("", "base", "LoRA", "gain, points (95%)", "prompts")
    for column in table.columns[1:]:
        column.justify = "right"
    found = result.comparison
    rows = {"identity": found.identity, **{f"  {kind}": gauge for kind, gauge in found.by_kind.items()}}
    rows |= {f"{axis} as asked": gauge for axis, gauge in found.adherence.items()}
    for name, gauge in {**rows, "other characters": result.others}.items():
        add_row(table, name, *_gauge(gauge))
    took = ", ".join(f"{part} {seconds:.0f} s" for part, seconds in result.seconds.items())
    paths = [
        ("LoRA", str(result.lora)),
        ("chosen", result.chosen),
        *((name, str(getattr(result, name))) for name in ("page", "grid", "scorecard")),
        ("time", took),
        ("catalog", result.catalog),
    ]
    return Group(Text(f"{result.name}: does the likeness hold?", style="bold"), table, facts_table(paths))


def _gauge(gauge: "Gauge") -> tuple[str, str, str, str]:
    gain = f"{100 * gauge.gain.mean:+.0f} ({100 * gauge.gain.low:+.0f} to {100 * gauge.gain.high:+.0f})"
    return f"{gauge.base.mean:.0%}", f"{gauge.lora.mean:.0%}", gain, str(gauge.lora.samples)


def plain_table(*columns: str) -> Table:
    """An empty table with these headings; what is too wide is folded."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add_row(table: Table, *cells: str) -> None:
    """A row of plain text: brackets in a path or a reason are no markup."""
    table.add_row(*map(Text, cells))


def facts_table(pairs: Sequence[tuple[str, str]], heading: str = "") -> Table:
    """Names and values."""
    table = Table(box=None, pad_edge=False, show_header=bool(heading), header_style="dim")
    table.add_column(heading, style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        add_row(table, name, value)
    return table


def fault_words(fault: str) -> str:
    """What a picture was rejected for, as it is told to the person who may have done it."""
    return "by you" if fault == "person" else fault


def setting_words(value: Any) -> str:
    """A value of the recipe as it is written there, or nearly so; of a long list the first one."""
    if isinstance(value, list) and len(value) > SHOWN:
        return f"{len(value)}, as {value[0]!r}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def unbroken(words: str) -> Text:
    """Lines as they are, however narrow the terminal is."""
    return Text(words, no_wrap=True, overflow="ignore")


def _counts(counts: dict[str, int], before: str = "") -> str:
    return ", ".join(f"{count} {before}{name}" for name, count in counts.items())
