"""Pages of a site that are no lists: an entry with all that is known of it, a page of words, and what is gone."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from likeness.catalog.card import Sample
from likeness.catalog.details import curves_of, made_in_words, size_in_words, snippets_of, subject_in_words
from likeness.catalog.links import link
from likeness.catalog.lists import cards_of, contents_of, tag_link
from likeness.catalog.markdown import html_of, with_headings
from likeness.catalog.pages import Page
from likeness.catalog.shortcodes import parts_of, related_of
from likeness.catalog.sidecars import trigger_words

if TYPE_CHECKING:
    from likeness.catalog.site import Output, Site

__all__ = ["entry_outputs", "gone_output", "plain_outputs"]


def entry_outputs(site: "Site", page: Page) -> "Iterator[Output]":
    """An entry's page, and the same as JSON."""
    entry = site.entries[page.place]
    named = [found for path in related_of(page) if (found := site.tree.find(path))]
    related = named or [site.tree.pages[place] for place in site.ties.similar(page.place)]
    doubles = [site.tree.pages[one] for one in site.ties.doubles.get(entry.tensors, ()) if one != page.place]
    digest = site.digest(
        site.marks_of((page, *related, *doubles)),
        len(related),
        site.around(page),
        bool(named),
        site.clashing.get(page.place),
    )
    yield site.output(page.url, digest, lambda: _entry(site, page, related, doubles, is_named=bool(named)))
    if page.json_address:
        yield site.json(page.url, digest, lambda: _facts(site, page, related))


def _facts(site: "Site", page: Page, related: Sequence[Page]) -> dict[str, Any]:
    card = site.card(page)
    return {"url": page.url, "card": card.model_dump(mode="json"), "related": [one.url for one in related]}


def _entry(site: "Site", page: Page, related: Sequence[Page], doubles: Sequence[Page], *, is_named: bool) -> bytes:
    url, card = page.url, site.card(page)
    rows = _rows(card.samples)
    curves = list(curves_of(card.evaluated, card.made.step if card.made else None)) if card.evaluated else []
    weights = [one.weight for row in rows for one in row if one.weight is not None]
    return site.render(
        "entry.html",
        url,
        title=page.name,
        summary=card.summary,
        summary_html=Markup(html_of(page.summary or card.summary)),
        body_html=Markup(html_of(card.description)) + _written(site, page),
        names=[one for one in card.aliases if "/" not in one],
        lineage=site.lineage(page, url),
        json_address=page.json_address,
        card=card,
        published=card.published.isoformat(),
        tags=[tag_link(url, tag) for tag in site.entries[page.place].tags],
        doubles=cards_of(site, url, doubles),
        clash=site.clashing.get(page.place, ""),
        hidden=site.hidden(page.place),
        samples=[one for one in card.samples if not one.row],
        rows=rows,
        shown_weight=min(weights, key=lambda one: abs(one - card.weight), default=1.0),
        words=trigger_words(card),
        download=_download(site, page, card.file.name),
        size=size_in_words(card.file.size),
        snippets=snippets_of(card),
        curves=curves,
        curve_steps=sorted({step for one in curves for step in one.table}),
        subject=subject_in_words(card.subject),
        made=made_in_words(card.made) if card.made else "",
        base_page=link(url, site.tree.pages[site.tree.parent_place(page)].url),
        related=cards_of(site, url, related),
        is_named=is_named,
    )


def _rows(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Pictures of one prompt and noise at several weights, by rows."""
    rows: dict[str, list[Sample]] = {}
    for sample in samples:
        if sample.row:
            rows.setdefault(sample.row, []).append(sample)
    return list(rows.values())


def _download(site: "Site", page: Page, file: str) -> str:
    """Where the LoRA is to be had; "" where it is not."""
    if site.settings.downloads:
        return f"{site.settings.downloads.rstrip('/')}/{link('', file)}"
    return link(page.url, page.url + file) if (site.shelf.folder(page) / file).exists() else ""


def _written(site: "Site", page: Page) -> Markup:
    """What a person wrote on a page, without its lists."""
    return Markup("".join(html_of(part) for part in parts_of(page, site.tree) if isinstance(part, str)))


def plain_outputs(site: "Site", page: Page) -> "Iterator[Output]":
    """A page of words, with what it says is related; and the same as JSON."""
    related = [one for path in related_of(page) if (one := site.tree.find(path))]

    def make() -> bytes:
        html, headings = with_headings("\n\n".join(part for part in parts_of(page, site.tree) if isinstance(part, str)))
        parts: list[dict[str, Any]] = [{"html": Markup(html), "headings": headings}]
        if related:
            parts.append({"kind": "related", "cards": cards_of(site, page.url, related)})
        return site.render(
            "section.html",
            page.url,
            title=page.name,
            summary=page.summary,
            lineage=site.lineage(page, page.url),
            lead="",
            json_address=page.json_address,
            has_heading=page.body.lstrip().startswith("# "),
            body=parts,
            contents=contents_of(page, parts),
            views=[],
            filters=[],
        )

    digest = site.digest(page, site.around(page), site.marks_of(related))
    yield site.output(page.url, digest, make)
    if page.json_address:
        told = {"title": page.name, "summary": page.summary, "text": page.body, "related": [one.url for one in related]}
        yield site.json(page.url, digest, lambda: told)


def gone_output(site: "Site", page: Page) -> "Output":
    """What stands where an entry was."""

    def make() -> bytes:
        return site.render(
            "gone.html",
            page.url,
            title=page.name,
            lineage=site.lineage(page, page.url),
            body_html=Markup(html_of(page.body)),
        )

    return site.output(page.url, site.digest(page, site.around(page)), make)
