"""A catalog that is built after each change is as one that is built at once."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from releases import card_of, released, trained

from likeness.catalog import changes, ties
from likeness.catalog.add import add_card, add_release
from likeness.catalog.build import Built, build
from likeness.catalog.card import BaseFacts, Subject
from likeness.catalog.check import check
from likeness.catalog.serve import Files
from likeness.catalog.shelf import Shelf
from likeness.catalog.site import Site
from likeness.catalog.withdraw import rebuild, withdraw_entry
from likeness.errors import PublishError

HERE = "characters/sd-1.5"
ELSEWHERE = BaseFacts(name="Pony", family="sdxl")


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("loras") / "mira.safetensors")


@pytest.fixture
def root(tmp_path: Path, lora: Path) -> Path:
    """A catalog with a release in it, and what a change needs beside it."""
    release = released(tmp_path / "release", lora, rating="PG", aliases=("/old/mira/", "Mira the fox"))
    add_release(tmp_path / "catalog" / "content", release)
    shutil.copy(lora, tmp_path / "mira.safetensors")
    return tmp_path / "catalog"


def add(root: Path, *numbers: int, trigger: str = "", tensors: str = "", **told: object) -> None:
    """Entries that share nothing but what is told here."""
    lora = root.parent / "mira.safetensors"
    for number in numbers:
        subject = Subject(kind="original", trigger=trigger or f"trigger{number}")
        card = card_of(lora, **{"name": f"n{number}", "tags": (), **told, "subject": subject})
        facts = card.file.model_copy(update={"tensors": tensors or f"{number:064d}", "sketch": ""})
        add_card(root / "content", card.model_copy(update={"file": facts}), {})


def edit(root: Path, name: str, **told: object) -> None:
    """What the card of an entry says is changed."""
    file = root / "content" / HERE / name / "card.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | told))


def write(root: Path, place: str, text: str) -> None:
    """A page as a person writes it."""
    file = root / "content" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def head(root: Path, front: str, body: str) -> None:
    """The page of a section."""
    write(root, f"{HERE}/_index.md", f"---\ntitle: SD\n{front}\n---\n{body}\n")


def move(root: Path, name: str, to: str) -> None:
    (root / "content" / to).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(root / "content" / HERE / name, root / "content" / to)


def paint(root: Path, name: str) -> None:
    shutil.copy(root / "content" / HERE / "mira" / "thumb.webp", root / "content" / HERE / name)


def swap(root: Path, one: str, other: str) -> None:
    move(root, one, "aside")
    move(root, other, f"{HERE}/{one}")
    shutil.move(root / "content" / "aside", root / "content" / HERE / other)


def remove(root: Path, place: str) -> None:
    path = root / "content" / place
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def built_at_once(root: Path, again: Path) -> Built:
    """Builds the same content elsewhere, and compares each file of the two sites."""
    shutil.copytree(root, again, ignore=shutil.ignore_patterns("site", ".shelf*"))
    built = build(again)
    ours, theirs = (
        {path.relative_to(one).as_posix(): path.is_file() and path.read_bytes() for path in one.rglob("*")}
        for one in (root / "site", again / "site")
    )
    assert ours.keys() == theirs.keys()
    assert [file for file in ours if ours[file] != theirs[file]] == []
    return built


CHANGES: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("entries come", lambda root: add(root, *range(8))),
    ("with tags", lambda root: [add(root, 10, tags=("Rare", "a b")), add(root, 11, tags=("rare",))]),
    ("one that is shown as similar is edited", lambda root: edit(root, "n11", summary="Another one.")),
    ("what made two similar becomes common", lambda root: add(root, 12, 13, 14, tags=("rare",))),
    ("and rare again", lambda root: [remove(root, f"{HERE}/n{number}") for number in (12, 13, 14)]),
    ("tags that have one address", lambda root: add(root, 15, tags=("a-b", "A B"))),
    ("other tags", lambda root: edit(root, "n11", tags=["new"])),
    ("one trigger", lambda root: add(root, *range(20, 26), trigger="solo")),
    ("of which one goes", lambda root: edit(root, "n20", subject={"kind": "original", "trigger": "alone"})),
    ("one LoRA several times", lambda root: add(root, *range(30, 36), tensors="a" * 64)),
    ("of which one is edited", lambda root: write(root, f"{HERE}/n30/index.md", "---\ntitle: First\n---\n")),
    ("a later date", lambda root: edit(root, "n1", published="2026-12-02")),
    ("a rating", lambda root: edit(root, "n1", rating="R")),
    ("pictures that are not shown", lambda root: edit(root, "mira", rating="X")),
    ("and shown again, and an alias", lambda root: edit(root, "mira", rating="PG", aliases=["/there/", "Mirabel"])),
    (
        "an address",
        lambda root: write(root, f"{HERE}/mira/index.md", "---\ntitle: Mira\nslug: m\naliases: /x/\n---\nMe."),
    ),
    ("another picture", lambda root: paint(root, "n2")),
    ("its address", lambda root: write(root, f"{HERE}/n2/index.md", "---\ntitle: N2\nslug: second\n---\n")),
    ("its words", lambda root: write(root, f"{HERE}/n2/index.md", "---\ntitle: N2\nimageAlt: A fox.\n---\n")),
    ("the site's title", lambda root: (root / "catalog.toml").write_text('title = "Mine"\n')),
    ("a record", lambda root: (root / "withdrawn.jsonl").write_bytes(b"")),
    ("a withdrawal", lambda root: withdraw_entry(root, f"/{HERE}/n35", "She asked.")),
    ("two change places", lambda root: swap(root, "n21", "n22")),
    ("a related one", lambda root: write(root, f"{HERE}/n4/index.md", f"---\ntitle: N4\nrelated: {HERE}/n1\n---\n")),
    ("a page that leads to one", lambda root: write(root, "me.md", f'{{{{< related-posts related="{HERE}/n1" >}}}}')),
    ("which is edited", lambda root: edit(root, "n1", summary="Led to.")),
    ("a section's title", lambda root: write(root, "characters/_index.md", "---\ntitle: People\nsummary: All.\n---\n")),
    ("another base", lambda root: add(root, 40, 41, base=ELSEWHERE)),
    ("another section", lambda root: write(root, "styles/_index.md", "---\ntitle: Styles\n---\n{{< section >}}\n")),
    ("a picture", lambda root: write(root, f"{HERE}/mira/mine.png", "one")),
    ("another one", lambda root: write(root, f"{HERE}/mira/mine.png", "two")),
    (
        "the file to be had",
        lambda root: shutil.copy(root.parent / "mira.safetensors", root / "content" / HERE / "mira"),
    ),
    ("a draft", lambda root: write(root, f"{HERE}/n5/index.md", "---\ntitle: N5\ndraft: true\n---\n")),
    ("which is none any more", lambda root: write(root, f"{HERE}/n5/index.md", "---\ntitle: N5\nweight: 3\n---\n")),
    ("an entry is moved", lambda root: move(root, "n6", "styles/n6")),
    ("an entry goes", lambda root: remove(root, f"{HERE}/n7")),
    ("a base goes", lambda root: remove(root, "characters/pony")),
    ("an entry becomes a page", lambda root: remove(root, f"{HERE}/n3/card.json")),
    ("a page goes", lambda root: remove(root, "me.md")),
    ("a section is as it was", lambda root: remove(root, "characters/_index.md")),
    ("many of them", lambda root: add(root, *range(50, 80))),
    ("a hidden section", lambda root: head(root, "bookHidden: true", "{{< section details >}}")),
    ("without details", lambda root: head(root, "bookHidden: true", "{{< section >}}")),
    ("by another name", lambda root: head(root, "bookHidden: true\nlinkTitle: Old", "{{< section >}}")),
    (
        "with words for its picture",
        lambda root: head(root, "bookHidden: true\nlinkTitle: Old\nimageAlt: All", "{{< section >}}"),
    ),
)
"""What people do to a catalog, one after the other."""


def test_after_each_change_the_site_is_as_if_built_at_once(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for module in (ties, changes):
        monkeypatch.setattr(module, "COMMON", 2)  # a few entries are many
    for what, change in CHANGES:
        change(root)
        built, again = build(root), built_at_once(root, tmp_path / what)
        assert (built.pages, built.warnings) == (again.pages, again.warnings), what
        assert built.written > 0, what
        assert build(root).written == 0, what


def test_one_more_entry_writes_little(root: Path):
    add(root, *range(60), tags=("all",))
    build(root)
    add(root, 60, tags=("all",))
    built = build(root)
    assert built.written < built.pages / 5


def test_an_address_that_a_list_has_is_refused_whenever_it_comes(root: Path):
    add(root, *range(30), tags=("all",))
    build(root)
    write(root, f"{HERE}/n3/index.md", "---\ntitle: N3\naliases: /Tags/fox/\n---\n")
    with pytest.raises(PublishError, match=r"/tags/fox/index\.html"):
        build(root)
    write(root, f"{HERE}/n3/index.md", "---\ntitle: N3\naliases: /tags/fox/index.html/below/\n---\n")
    with pytest.raises(PublishError, match=r"below /tags/fox/index\.html"):
        build(root)
    write(root, f"{HERE}/n3/index.md", "---\ntitle: N3\n---\n")
    assert build(root).written > 0


@pytest.mark.parametrize("place", ["remove", "make_folder", "_write", "link_or_copy", "_clear", "Changes.note"])
def test_a_build_that_was_broken_off_is_made_up_for(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    """An entry goes and another one comes, the build is broken off, and then all is as it was before."""
    build(root)
    if place == "_clear":  # which is done where nothing is remembered
        (root / ".shelf.sqlite").unlink()
    add(root, 1, tags=("new",))
    paint(root, "n1")
    (root / "content" / HERE / "mira").rename(tmp_path / "aside")
    owner, _, name = f"likeness.catalog.build.{place}".rpartition(".")
    module = changes.Changes if place == "Changes.note" else sys.modules[owner]
    act = getattr(module, name)

    def broken_off(*told: object) -> None:
        act(*told)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, name, broken_off)
        with pytest.raises(KeyboardInterrupt):
            build(root)
    (tmp_path / "aside").rename(root / "content" / HERE / "mira")
    remove(root, f"{HERE}/n1")
    build(root)
    built_at_once(root, tmp_path / "again")


def test_what_was_refused_is_built_once_it_is_mended(root: Path, tmp_path: Path):
    page = root / "content" / HERE / "mira" / "index.md"
    write(root, f"{HERE}/mira/mine.png", "a picture")
    for before in (False, True):  # the first time, and when there is a site
        page.write_text(f"---\ntitle: Mira\naliases: /{HERE}/mira/mine.png/\n---\n")
        with pytest.raises(PublishError, match=r"below /characters/sd-1\.5/mira/mine\.png"):
            build(root)
        page.write_text(f"---\ntitle: Mira{before}\n---\n")
        build(root)
        built_at_once(root, tmp_path / str(before))


def test_a_file_that_becomes_a_folder(root: Path, tmp_path: Path):
    for alias in ("/old.html", "/old.html/new/"):
        write(root, f"{HERE}/mira/index.md", f"---\ntitle: Mira\naliases: {alias}\n---\n")
        build(root)
    built_at_once(root, tmp_path / "again")


def test_two_pictures_at_one_address_are_refused(root: Path):
    add(root, 1, 2)
    build(root)
    write(root, f"{HERE}/n1/b/x.png", "one")
    write(root, f"{HERE}/n2/x.png", "two")
    write(root, f"{HERE}/n2/index.md", f"---\ntitle: N2\nurl: {HERE}/n1/b/\n---\n")
    with pytest.raises(PublishError, match=r"n1/b/x\.png"):
        build(root)
    assert [fault.place for fault in check(root)[0]] == [f"/{HERE}/n1/b/x.png"]


def test_a_draft_at_the_place_of_an_entry_is_not_shown_in_its_stead(root: Path):
    add(root, 1)
    draft = root / "content" / HERE / "N1"
    shutil.copytree(root / "content" / HERE / "n1", draft)
    (draft / "index.md").write_text("---\ntitle: N1\ndraft: true\n---\n")
    (draft / "card.json").write_text((draft / "card.json").read_text().replace("A **fox** knight.", "Secret."))
    build(root)
    assert "Secret" not in (root / "site" / HERE / "index.html").read_text()


def test_no_memory_stays_of_what_was_withdrawn_where_something_else_is_wrong(root: Path):
    add(root, 1, trigger="foxglove", tags=("foxtag",))
    build(root)
    write(root, "about.md", "---\nrelated: [no/where]\n---\n")
    withdraw_entry(root, f"/{HERE}/n1")
    with pytest.raises(PublishError, match="is removed"):
        rebuild(root)
    assert not [path for path in root.rglob("*") if path.is_file() and b"foxglove" in path.read_bytes()]


def test_what_is_withdrawn_leaves_what_others_have_below_its_address(root: Path, tmp_path: Path):
    add(root, 1)
    write(root, f"{HERE}/n1/index.md", f"---\ntitle: N1\naliases: /{HERE}/mira/v3/\n---\n")
    build(root)
    withdraw_entry(root, f"/{HERE}/mira")
    rebuild(root)
    built_at_once(root, tmp_path / "again")


def test_the_server_finds_every_file_of_the_site_and_no_other(root: Path):
    add(root, *range(30), tags=("all",))
    write(root, "about.md", "---\nurl: /about.html\n---\nWords.\n")
    build(root)
    site, names = Site(Shelf(root), is_served=True), {path for path in (root / "site").rglob("*") if path.is_file()}
    files = Files(site)
    assert [name for name in names if not files.find(name.relative_to(root / "site").as_posix())] == []
    assert [name for name in ("", "no/", "characters", "../x", "a/" * 9_999) if files.find(name)] == []


def test_lists_at_an_address_that_is_a_file_are_refused(root: Path):
    write(root, f"{HERE}/_index.md", "---\ntitle: SD\nurl: /sd.html\n---\n")
    with pytest.raises(PublishError, match="its lists need a folder"):
        build(root)


def test_a_home_at_another_address_is_as_new_as_the_rest(root: Path, tmp_path: Path):
    write(root, "_index.md", "---\ntitle: Home\nurl: /start/\naliases: /index.html\n---\n")
    build(root)
    add(root, 1)
    paint(root, "n1")
    build(root)
    built_at_once(root, tmp_path / "again")
