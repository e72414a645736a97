"""The model card: `README.md` of a release, as the Hugging Face hub reads and shows it.

Source: huggingface/hub-docs, `docs/hub/model-cards.md` and `model-cards-components.md`; metrics stand in `model-index`.
"""

from typing import Any

from likeness.catalog.card import Card
from likeness.catalog.details import diffusers_code
from likeness.catalog.licences import LICENCES
from likeness.catalog.markdown import cell, table
from likeness.catalog.pages import with_front
from likeness.catalog.scores import Evaluated
from likeness.catalog.sidecars import trigger_words

__all__ = ["model_card"]

FAMILY_TAGS = {"sd15": "stable-diffusion", "sd2": "stable-diffusion", "sdxl": "stable-diffusion-xl"}


def model_card(card: Card) -> str:
    """`README.md`: the table in front that the hub reads, and what a person reads."""
    return with_front(_front(card), "\n" + "\n\n".join(filter(None, _body(card))) + "\n")


def _front(card: Card) -> dict[str, Any]:
    tags = ["text-to-image", "lora", "diffusers", "template:diffusion-lora"]
    if family := FAMILY_TAGS.get(card.base.family):
        tags += [family, f"{family}-diffusers"]
    if card.rating in ("R", "X"):
        tags.append("not-for-all-audiences")
    front: dict[str, Any] = {}
    if card.base.hub:
        front |= {"base_model": card.base.hub, "base_model_relation": "adapter"}
    front |= {"library_name": "diffusers", "pipeline_tag": "text-to-image", **_licence(card)}
    if words := trigger_words(card):
        front["instance_prompt"] = words
    front["tags"] = [*dict.fromkeys([*tags, *card.tags])]
    if card.preview:
        front["thumbnail"] = card.preview.file
    if card.samples:
        front["widget"] = [
            {
                "text": one.prompt,
                **({"parameters": {"negative_prompt": one.negative}} if one.negative else {}),
                "output": {"url": one.file},
            }
            for one in card.samples
            if not one.row
        ]
    if card.evaluated:
        front["model-index"] = [_results(card, card.evaluated)]
    return front


def _licence(card: Card) -> dict[str, str]:
    if card.rights.licence in LICENCES and LICENCES[card.rights.licence].on_hub:
        return {"license": card.rights.licence}
    return {"license": "other", "license_name": card.rights.licence or "none", "license_link": card.rights.link}


def _results(card: Card, evaluated: Evaluated) -> dict[str, Any]:
    """The scores, as the hub keeps those of any model."""
    metrics = [
        {
            "type": f"likeness-{one.axis}",
            "name": f"{one.axis} (95%: {one.value.low:.2f} to {one.value.high:.2f}; pictures: {one.value.samples})",
            "value": round(one.value.mean, 4),
        }
        for one in evaluated.scores
    ]
    of = {"name": f"held-out pictures of {card.title}", "type": "private"}
    return {"name": card.name, "results": [{"task": {"type": "text-to-image"}, "dataset": of, "metrics": metrics}]}


def _body(card: Card) -> list[str]:
    return [
        f"# {card.title}",
        card.summary,
        card.description,
        "<Gallery />" if card.samples else "",
        _use(card),
        _scores(card),
        _training(card),
        _terms(card),
        f"{card.disclosure}" + (f" To have it taken down: {card.contact}." if card.contact else ""),
    ]


def _use(card: Card) -> str:
    words = trigger_words(card)
    lines = ["## Use", ""]
    if words:
        lines.append(f"Write `{words}` into the prompt.")
    lines.append(
        f"Weight {card.weight:g}{card.strength.range_words}, as was measured."
        if card.strength
        else f"Weight {card.weight:g}; which one is best was not measured."
    )
    lines += ["", "```python", diffusers_code(card), "```"]
    if card.clients:
        rows = [[one.name, "yes" if one.works else "no", one.why] for one in card.clients]
        lines += ["", table(["tool", "takes all of it", "what is lost"], rows)]
    return "\n".join(lines)


def _scores(card: Card) -> str:
    if card.evaluated is None:
        return ""
    rows = [
        [
            one.axis,
            f"{one.value.mean:.2f}",
            f"{one.value.low:.2f} to {one.value.high:.2f}",
            f"{one.base.mean:.2f}" if one.base else "",
        ]
        for one in card.evaluated.scores
    ]
    about = (
        "Of likeness, 1 is as alike as real pictures of the character are to each other, and 0 is what the base draws; "
        "of freedom, 1 is as free as the base; of harm, less is better."
    )
    found = "\n".join(f"- {one}" for one in card.evaluated.findings)
    return "\n\n".join(
        filter(None, ["## Scores", about, table(["axis", "mean", "95%", "base"], rows), card.evaluated.reason, found])
    )


def _training(card: Card) -> str:
    lines = []
    if card.trained_on:
        of = card.trained_on
        lines.append(f"Trained on {of.train} pictures, measured by {of.held_out} others.")
        if of.generated:
            lines.append(f"{of.generated} of them were drawn by a program.")
        rows = [[one.source or "not said", one.rights or "not said", str(one.pictures)] for one in of.sources]
        lines.append("\n\n" + table(["source", "rights", "pictures"], rows))
    if card.made:
        made = card.made
        how = f"{made.method} of rank {made.rank}" if made.rank else made.method
        lines.append(f"\n\nMade with {made.tool}: {how}, step {made.step} of {made.steps}, on {card.base.file}.")
    return ("## Training\n\n" + " ".join(lines).replace(" \n", "\n")) if lines else ""


def _terms(card: Card) -> str:
    rights, subject = card.rights, card.subject
    lines = [f"By {rights.owner}." if rights.owner else ""]
    lines += [f"Licence: [{cell(rights.title or rights.licence)}]({rights.link})." if rights.link else ""]
    lines += rights.asks
    if subject.kind == "fictional":
        lines.append("The character belongs to its owners, who have not endorsed this LoRA.")
    if subject.consent:
        agreed = subject.consent
        until = f", until {agreed.expires}" if agreed.expires else ""
        lines.append(f"The person agreed on {agreed.date} ({agreed.basis}; {agreed.scope}){until}.")
    return "## Terms\n\n" + " ".join(filter(None, lines))
