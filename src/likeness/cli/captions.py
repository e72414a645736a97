"""What `caption`, `audit` and `trigger` tell, as tables and as plain data."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from likeness.cli.tables import add_row, plain_table

if TYPE_CHECKING:
    from likeness.captions.audit import Finding
    from likeness.captions.traits import PlannedTrait, TraitPlan
    from likeness.captions.trigger import TriggerCheck
    from likeness.pipeline.trigger import DrawnTrigger, TriggerReport

__all__ = ["findings_table", "plan_table", "trigger_table"]

SHOWN = 4  # values of a trait; a reader's strays fill no line


def plan_table(plan: "TraitPlan") -> RenderableType:
    """The trait plan: a line per trait with counts, decision and reason; then whether pictures may be mirrored."""
    if not plan.traits:
        return Text("No picture has a reading that tells traits, so there is nothing to plan: captions are as written.")
    table = plain_table("trait", "seen", "of", "share", "plan", "because")
    for trait in plan.traits:
        share = f"{trait.share:.0%}"
        add_row(table, trait.name, _values(trait), str(trait.told), share, _decision(trait), trait.reason)
    told = plan.mirror_reason or "nothing that was seen is on one side only"
    mirror = Text(f"mirroring: {'allowed' if plan.may_mirror else 'off'}; {told}")
    cure = Text('Another plan: [caption.plan] in likeness.toml, as in hair_colour = "expose".', style="dim")
    return Group(table, mirror, cure)


def _values(trait: "PlannedTrait") -> str:
    counts = [f"{value or 'not named'} {count}" for value, count in trait.values.items()]
    return ", ".join(counts[:SHOWN]) + (f", {len(counts) - SHOWN} more" if len(counts) > SHOWN else "")


def _decision(trait: "PlannedTrait") -> str:
    words = ", ".join(trait.triggers.values())
    by = " (you)" if trait.decided_by == "person" else ""
    return f"{trait.decision}{': ' + words if words else ''}{by}"


def findings_table(findings: Sequence["Finding"]) -> RenderableType:
    """What the audit found, and what to do about each."""
    if not findings:
        return Text("Nothing stands out: the captions leave free what should stay free.")
    table = plain_table("", "found", "what to do")
    for finding in findings:
        add_row(table, finding.kind, finding.found, finding.advice)
    return table


def trigger_table(report: "TriggerReport") -> RenderableType:
    """The recipe's trigger, what speaks against it, better words, and what the base draws for it."""
    check = report.check
    verdict = "nothing speaks against it" if check.is_good else f"{len(check.findings)} against it"
    parts: list[RenderableType] = [Text(f"{check.word}: {_pieces(check)}; {verdict}")]
    if check.findings:
        parts.append(findings_table(check.findings))
    others = plain_table("suggested", "read as", "")
    for word in report.suggestions:
        add_row(others, word.word, _pieces(word), "" if word.is_good else word.findings[0].found)
    parts.append(others)
    return Group(*parts, *([Text(_drawn(report.drawn))] if report.drawn else []))


def _pieces(check: "TriggerCheck") -> str:
    pieces = [piece.removesuffix("</w>") for piece in check.pieces]
    return f"{len(pieces)} piece{'' if len(pieces) == 1 else 's'} ({' '.join(pieces)})"


def _drawn(drawn: "DrawnTrigger") -> str:
    lines = [
        f"Drawn by the base as it is, {len(drawn.seeds)} seeds: the word changes {drawn.word_changes:.0f} of 255 a "
        f"pixel, another seed {drawn.seed_changes:.0f}. See {drawn.strip}: above with the word, below without."
    ]
    if drawn.identity_changes is not None:
        lines.append(f"Identity, to the reader: {drawn.identity_changes:.2f} apart (0 the same, 1 unrelated).")
    if drawn.read:
        told = ", ".join(f"{name} {new} instead of {old}" for name, (old, new) in drawn.read.items())
        lines.append(f"The word alone makes: {told}.")
    return "\n".join(lines)
