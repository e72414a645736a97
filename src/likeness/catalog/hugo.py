"""Exporting to Hugo: the pages as bundles with front matter, and the shortcodes that they need, for any theme.

The theme of the founding page has these shortcodes; hugo-book ignores `details` and drops its own `section`, and other
themes have neither. So both are exported, in both places where a Hugo looks for them.

Source: gohugo.io on page bundles, front matter, shortcode templates; rakki194/cringe-theme for what they show.
"""

import json
import re
import shutil
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from likeness.catalog.card import Card, Sample
from likeness.catalog.entries import Entry
from likeness.catalog.pages import Page, with_front, written_front
from likeness.catalog.shelf import Shelf
from likeness.catalog.shortcodes import escaped, front_related, harmless, related_of
from likeness.catalog.sidecars import trigger_words
from likeness.catalog.site import Site
from likeness.catalog.tree import GONE
from likeness.errors import PublishError, WorkspaceError
from likeness.messages import listed
from likeness.records import make_folder, write_atomically

__all__ = ["export_hugo"]

LIST = "data/likeness/exported.txt"
"""What was exported, a file a line."""

SHORTCODES = ("section.html", "related-posts.html", "lora-card.html")
FOLDERS = ("_shortcodes", "shortcodes")  # Hugo looks in the first from 0.146 on, and in the other before
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif")


def export_hugo(root: Path, to: Path) -> list[Path]:
    """What a Hugo site needs of a catalog, in `to`: `content/`, `layouts/` and `data/likeness/`. What was exported
    before is written over, or removed where it is gone; LoRAs themselves are not exported.

    Args:
        root: of the catalog.
        to: the folder of a Hugo site, or a new one.

    Raises:
        PublishError: where the catalog cannot be read, `to` is in it, or a file of somebody else's is in the way.
        WorkspaceError: where `to` cannot be written.
    """
    if to.absolute().is_relative_to(root.absolute()):
        raise PublishError(f"{to} is in the catalog itself. Name a folder outside of it.")
    site = Site(Shelf(root))
    before = _exported(to)
    _refuse_others(to, site, before)
    written = []
    for page in site.tree.pages.values():
        source = site.shelf.content / page.file
        if source.exists():
            written += _page(site, page, source, to / "content" / page.file)
    for folder in FOLDERS:
        for name in SHORTCODES:
            target = to / "layouts" / folder / name
            make_folder(target.parent)
            write_atomically(target, (resources.files("likeness.catalog") / "hugo_layouts" / name).read_bytes())
            written.append(target)
    written.append(_data(site, to / "data" / "likeness" / "entries.json"))
    names = sorted(path.relative_to(to).as_posix() for path in written)
    for name in before - set(names):  # what was withdrawn, or is hidden now, is not to stay there
        (to / name).unlink(missing_ok=True)
    write_atomically(to / LIST, "\n".join(names) + "\n")
    return written


def _refuse_others(to: Path, site: Site, before: set[str]) -> None:
    """Refuses where a file of somebody's own would be written over."""
    wanted = [f"content/{page.file}" for page in site.tree.pages.values() if (site.shelf.content / page.file).exists()]
    wanted += [f"layouts/{folder}/{name}" for folder in FOLDERS for name in SHORTCODES]
    if others := [name for name in wanted if name not in before and (to / name).exists()]:
        raise PublishError(
            f"{to} has files of its own where the catalog's would go: {listed(others)}. Export to a new folder, and "
            "copy what you want from there; or move yours elsewhere."
        )


def _exported(to: Path) -> set[str]:
    """What an earlier export wrote."""
    listed = to / LIST
    found = listed.read_text(encoding="utf-8").split("\n") if listed.exists() else []
    return {name for name in found if name and ".." not in name.split("/") and not name.startswith("/")}


def _page(site: Site, page: Page, source: Path, target: Path) -> list[Path]:
    """A page with all that its card says in front, and the pictures beside it."""
    told, body = written_front(source.read_text(encoding="utf-8"))
    if (entry := site.entries.get(page.place)) and (card := site.shelf.card(page)):
        told = _merged(_front(site, page, entry, card), told)
        heading = "" if body.lstrip().startswith("# ") else f"# {_plain(card.title)}\n\n"  # Book prints no title itself
        body = f"{heading}{body.strip()}\n\n{{{{< lora-card >}}}}\n"
        if named := front_related(page) if related_of(page) else site.ties.similar(page.place):
            body += f'\n{{{{< related-posts related="{" | ".join(path.strip("/") for path in named)}" >}}}}\n'
    make_folder(target.parent)
    write_atomically(target, with_front(told, body))
    made = [target]
    if page.is_bundle and not site.hidden(page.place) and not page.told(GONE):
        for name, _ in site.shelf.beside(page):
            if Path(name).suffix.lower() in PICTURES:
                _copy(source.parent / name, target.parent / name)
                made.append(target.parent / name)
    return made


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Front matter in which what a person wrote comes before what the card says, also under `params`."""
    params = next((value for key, value in theirs.items() if key.lower() == "params"), None)
    told = {key: value for key, value in theirs.items() if key.lower() != "params"}
    written = {key.lower() for key in told}
    rest = {key: value for key, value in ours.items() if key.lower() not in written and key != "params"}
    return {**told, **rest, "params": {**ours["params"], **(params if isinstance(params, dict) else {})}}


def _front(site: Site, page: Page, entry: Entry, card: Card) -> dict[str, Any]:
    """What the card says, where themes look for it, and the rest under `params.likeness`."""
    image = "" if site.hidden(page.place) else entry.thumb
    likeness = {
        "trigger": trigger_words(card),
        "base": card.base.name,
        "strength": card.weight if card.is_weighed else None,
        "version": card.version,
        "autov3": card.file.auto_v3,
        "sha256": card.file.sha256,
        "licence": card.rights.title or card.rights.licence,
        "rating": card.rating or "",
        "terms": [*card.rights.asks],
        "description": harmless(card.description),
        "disclosure": card.disclosure,
        "contact": card.contact,
        "pictures": [] if site.hidden(page.place) else [*map(_picture, card.samples)],
    }
    if entry.likeness:
        mean, low, high = entry.likeness
        likeness |= {"likeness": round(mean, 3), "low": round(low, 3), "high": round(high, 3)}
    told: dict[str, Any] = {"summary": harmless(entry.summary), "tags": [*card.tags]}
    if image:
        told |= {"image": image, "imageAlt": escaped(entry.alt), "images": [image]}  # the last for social networks
    return {**told, "params": {"likeness": likeness}}


def _picture(sample: Sample) -> dict[str, Any]:
    return sample.model_dump(include={"file", "alt", "prompt", "width", "height"})


def _plain(text: str) -> str:
    """Words of a heading in which no sign means anything."""
    return escaped(re.sub(r"([\\`*_{}\[\]()#+\-.!<>|~&])", r"\\\1", text))


def _data(site: Site, target: Path) -> Path:
    rows = [{**entry._asdict(), "url": site.tree.pages[place].url} for place, entry in site.entries.items()]
    make_folder(target.parent)
    write_atomically(target, json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    return target


def _copy(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except OSError as fault:
        raise WorkspaceError.of(target, fault) from fault
