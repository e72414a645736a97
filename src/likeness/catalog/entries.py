"""Entries: what lists, searches and feeds show of a LoRA."""

from typing import NamedTuple

from likeness.catalog.card import Card
from likeness.catalog.pages import Page

__all__ = ["Entry", "entry_of"]


class Entry(NamedTuple):
    """What lists show of a LoRA.

    Attributes:
        place: of its page.
        name: of its file, without the ending.
        title: of it.
        base: that it is for.
        trigger: what calls it up.
        summary: markdown.
        published: the day, ISO 8601.
        version: of the release.
        tensors: sha256 of the tensors.
        sketch: some of its weights.
        weight: to use it at.
        rating: the most that its pictures show; "" where nobody said.
        thumb: file of a small picture beside its page; "" for none.
        alt: what that shows.
        kind: who is drawn: "original", "fictional", "real-person", or "unknown".
        until: the last day of a real person's consent; "" where it has none.
        tags: words that it is to be found under, in lower case: those that differ in capitals alone are one.
        aliases: other names.
        likeness: the score of identity, and the ends of its interval; None where it was not measured.
    """

    place: str
    name: str
    title: str
    base: str
    trigger: str
    summary: str
    published: str
    version: str
    tensors: str
    sketch: str
    weight: float
    rating: str
    thumb: str
    alt: str
    kind: str
    until: str
    tags: tuple[str, ...]
    aliases: tuple[str, ...]
    likeness: tuple[float, float, float] | None


def entry_of(page: Page, card: Card, thumb: str) -> Entry:
    """What lists show of a page with a card."""
    score = card.score("identity")
    value, consent = score.value if score else None, card.subject.consent
    return Entry(
        place=page.place,
        name=card.name,
        title=page.name,
        base=card.base.name,
        trigger=card.subject.trigger,
        tags=tuple(dict.fromkeys(map(str.casefold, card.tags))),
        aliases=card.aliases,
        summary=page.summary or card.summary,
        likeness=(value.mean, value.low, value.high) if value else None,
        published=card.published.isoformat(),
        version=card.version,
        tensors=card.file.tensors,
        sketch=card.file.sketch,
        weight=card.weight,
        rating=card.rating or "",
        thumb=thumb,
        alt=card.preview.alt if card.preview else "",
        kind=card.subject.kind,
        until=consent.expires.isoformat() if consent and consent.expires else "",
    )
