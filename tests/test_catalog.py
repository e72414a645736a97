import datetime
import json
import re
import shutil
import sys
from pathlib import Path
from unittest.mock import MagicMock
from xml.etree import ElementTree

import numpy
import pytest
from releases import MIRA as MIRA_FOX
from releases import card_of, interval, pictures, released, trained

from likeness.catalog.add import add_card, add_release, kind_of
from likeness.catalog.build import build
from likeness.catalog.card import Card, Client, read_card
from likeness.catalog.check import check
from likeness.catalog.details import diffusers_code
from likeness.catalog.links import LEAST, MOST, chunks, link
from likeness.catalog.pages import Page, split_front
from likeness.catalog.publish import publish
from likeness.catalog.scores import AxisScore, Evaluated
from likeness.catalog.shelf import Shelf
from likeness.catalog.shortcodes import escaped
from likeness.catalog.sketch import near_pairs, sketch_of
from likeness.catalog.tree import Tree, alias_target
from likeness.catalog.withdraw import others_of, rebuild, withdraw_entry, withdraw_release
from likeness.catalog.withdrawals import RECORD, Withdrawal
from likeness.errors import PublishError
from likeness.images import save_png
from likeness.pipeline.cataloguing import add_to_catalog
from likeness.recipe import PublishConfig
from likeness.records import read_records

MIRA = "characters/sd-1.5/mira"


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return trained(tmp_path / "loras" / "mira.safetensors")


@pytest.fixture
def root(tmp_path: Path, lora: Path) -> Path:
    """A catalog with one release in it."""
    release = released(tmp_path / "release", lora, rating="PG", aliases=("/old/mira/", "Mira the fox"))
    add_release(tmp_path / "catalog" / "content", release)
    return tmp_path / "catalog"


def added(root: Path, lora: Path, name: str, **changes: object) -> Path:
    """Another entry: the folder of its page."""
    return add_card(root / "content", card_of(lora, name=name, **changes), {})


def written(root: Path, place: str, text: str) -> None:
    """A page of a person's own."""
    file = root / "content" / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def page_of(root: Path, place: str) -> str:
    return (root / "site" / place / "index.html").read_text()


def faults_of(root: Path) -> str:
    with pytest.raises(PublishError) as caught:
        build(root)
    assert not (root / "site").exists()
    return str(caught.value)


class TestAdding:
    """How LoRAs come into a catalog."""

    def test_a_release_stands_under_its_kind_and_its_base(self, root: Path):
        folder = root / "content" / MIRA
        assert read_card(folder / "card.json").title == "Mira"
        assert (folder / "thumb.webp").stat().st_size < 20_000
        assert "/old/mira/" in (folder / "index.md").read_text()

    def test_what_a_person_wrote_on_a_page_stays(self, root: Path, tmp_path: Path):
        page = root / "content" / MIRA / "index.md"
        page.write_text("---\ntitle: Mira, the fox\n---\nMine.\n")
        add_release(root / "content", tmp_path / "release" / "mira")
        assert page.read_text() == "---\ntitle: Mira, the fox\n---\nMine.\n"

    def test_a_persons_own_pictures_stay_and_those_of_the_card_before_go(self, root: Path, tmp_path: Path, lora: Path):
        folder = root / "content" / MIRA
        shutil.copy(folder / "images" / "01.png", folder / "images" / "mine.png")
        release = tmp_path / "release"
        publish(card_of(lora), lora, pictures(1), character=MIRA_FOX, config=PublishConfig(rating="PG"), to=release)
        add_release(root / "content", release / "mira")
        assert sorted(path.name for path in (folder / "images").iterdir()) == ["01.png", "mine.png"]

    def test_an_entry_is_renewed_wherever_it_is(self, root: Path, tmp_path: Path):
        moved = root / "content" / "mine" / "mira"
        moved.parent.mkdir()
        shutil.move(root / "content" / MIRA, moved)
        assert add_to_catalog(root, [tmp_path / "release"]) == [moved]

    def test_a_new_version_takes_the_place_of_the_one_before(self, root: Path, tmp_path: Path):
        released(tmp_path / "release", trained(tmp_path / "other.safetensors", seed=2), rating="PG")
        folder = add_release(root / "content", tmp_path / "release" / "mira")
        assert folder == root / "content" / MIRA
        assert read_card(folder / "card.json").version == "2"

    def test_another_lora_of_the_same_name_gets_a_place_of_its_own(self, root: Path, tmp_path: Path):
        other = trained(tmp_path / "else" / "mira.safetensors", seed=5)
        assert added(root, other, "mira").name == "mira-2"

    @pytest.mark.parametrize(
        ("tags", "kind"), [((), "characters"), (("Style", "ink"), "styles"), (("concept",), "concepts")]
    )
    def test_the_kind_is_told_by_tags(self, lora: Path, tags: tuple[str, ...], kind: str):
        assert kind_of(card_of(lora, tags=tags)) == kind

    def test_a_folder_of_others_loras_is_scanned_and_what_is_none_is_told(self, tmp_path: Path):
        for name in ("one", "two"):
            trained(tmp_path / "found" / name / f"{name}.safetensors", seed=len(name) + ord(name[0]))
        (tmp_path / "found" / "broken.safetensors").write_bytes(b"no LoRA")
        notes: list[str] = []
        folders = add_to_catalog(
            tmp_path / "catalog", [tmp_path / "found"], rating="PG", report=lambda event: notes.append(event.note)
        )
        assert [folder.name for folder in folders] == ["one", "two"]
        assert any("broken.safetensors" in note for note in notes)
        assert build(tmp_path / "catalog").pages > 10

    def test_a_workspace_is_added_by_its_release_and_not_by_its_runs(self, tmp_path: Path, lora: Path):
        workspace = tmp_path / "mira"
        released(workspace / "release", lora, rating="PG")
        (workspace / "likeness.toml").write_text("")
        trained(workspace / "runs" / "0001" / "step-000100.safetensors")
        assert len(add_to_catalog(tmp_path / "catalog", [workspace])) == 1

    def test_a_title_that_its_trainer_made_up_is_none(self, tmp_path: Path):
        trained(tmp_path / "ship.safetensors", notes={"modelspec.title": "LoRA@1712345678.9"})
        trained(tmp_path / "fox.safetensors", seed=2, notes={"modelspec.title": "Fox knight"})
        folders = add_to_catalog(tmp_path / "catalog", [tmp_path])
        assert sorted(read_card(one / "card.json").title for one in folders) == ["Fox knight", "ship"]

    def test_nothing_to_add_is_told(self, tmp_path: Path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(PublishError, match="nothing to add"):
            add_to_catalog(tmp_path / "catalog", [tmp_path / "empty"])

    def test_the_lora_itself_is_there_to_be_downloaded_where_that_is_wanted(self, tmp_path: Path, lora: Path):
        release = released(tmp_path / "release", lora, rating="PG")
        add_release(tmp_path / "catalog" / "content", release, with_file=True)
        build(tmp_path / "catalog")
        text = page_of(tmp_path / "catalog", MIRA)
        assert re.search(r'<a class="download" href="mira.safetensors" download>', text)
        assert (tmp_path / "catalog" / "site" / MIRA / "mira.safetensors").exists()


class TestTheSite:
    """What is built."""

    def test_every_link_and_picture_leads_to_a_file_of_the_site(self, root: Path, lora: Path):
        added(root, trained(lora.with_name("b.safetensors"), seed=3), "b", tags=("fox", "style"))
        build(root)
        site = root / "site"
        for page in site.rglob("*.html"):
            for address in re.findall(r'(?:href|src)="([^"#?]+)"', page.read_text()):
                if not address.startswith(("http", "data:", "mailto:")):
                    from urllib.parse import unquote

                    target = (page.parent / unquote(address)).resolve()
                    target = target / "index.html" if target.is_dir() else target
                    assert target.is_file(), f"{page.relative_to(site)}: {address}"
                    assert target.is_relative_to(site.resolve())

    @pytest.mark.parametrize(
        ("written_as", "way"),
        [
            ("/characters/sd-1.5/mira#use", "characters/sd-1.5/mira/index.html#use"),
            ("/characters/", "characters/index.html"),
            ("/", "index.html"),
            ("/feed.xml", "feed.xml"),
            ("//example.org/x", "//example.org/x"),
        ],
    )
    def test_an_address_from_the_root_leads_there_from_a_disk_too(self, root: Path, written_as: str, way: str):
        written(root, "about.md", f"---\ntitle: About\n---\n[x]({written_as})\n")
        build(root)
        prefix = "" if way.startswith("//") else "../"
        assert f'href="{prefix}{way}"' in page_of(root, "about")

    def test_nothing_on_a_page_comes_from_elsewhere(self, root: Path):
        build(root)
        for file in (root / "site").rglob("*"):
            if file.suffix in (".html", ".css", ".js"):
                assert not re.search(
                    r'(?:src=|url\(|@import|href=)"?(?:https?:)?//(?!example\.org/licence)', file.read_text()
                ), file

    def test_an_entry_tells_all_that_its_card_says(self, root: Path):
        build(root)
        text = page_of(root, MIRA)
        for said in (
            "A <strong>fox</strong> knight.",
            "&lt;lora:mira:0.8&gt; mira, 1girl",
            "Load LoRA",
            "set_adapters",
            "CreativeML Open RAIL++-M",
            "mira, 1girl, scene 1",
            "an original character",
        ):
            assert said in text, said

    def test_json_beside_a_page_says_the_same(self, root: Path):
        build(root)
        told = json.loads((root / "site" / MIRA / "index.json").read_text())
        assert Card.model_validate(told["card"]).title == "Mira"

    def test_an_alias_leads_to_its_page(self, root: Path):
        build(root)
        assert 'url=../../characters/sd-1.5/mira/index.html"' in page_of(root, "old/mira")

    def test_the_feed_is_sound_whatever_stands_in_a_title(self, root: Path, lora: Path):
        added(root, lora, "b", title="a\x08b")
        build(root)
        assert "ab" in "".join(ElementTree.parse(root / "site" / "feed.xml").getroot().itertext())

    @pytest.mark.parametrize("hub", ["", "owner/base"])
    def test_a_program_that_draws_with_it_runs(self, lora: Path, monkeypatch: pytest.MonkeyPatch, hub: str):
        diffusers = MagicMock()
        monkeypatch.setitem(sys.modules, "diffusers", diffusers)
        card = card_of(lora, name="mira.v2")
        base = card.base.model_copy(update={"family": "sdxl", "prediction": "v", "hub": hub})
        exec(diffusers_code(card.model_copy(update={"base": base})), {})
        kind = diffusers.StableDiffusionXLPipeline
        loaded = kind.from_pretrained if hub else kind.from_single_file
        loaded.assert_called_once_with(hub or "v1-5-pruned.safetensors")
        loaded.return_value.set_adapters.assert_called_once_with("mira_v2", card.weight)
        (told,) = diffusers.EulerDiscreteScheduler.from_config.call_args_list
        assert told.kwargs == {"prediction_type": "v_prediction"}

    def test_the_feed_is_sound(self, root: Path):
        build(root)
        feed = ElementTree.fromstring((root / "site" / "feed.xml").read_bytes())
        assert [one.findtext("{*}title") for one in feed.findall("{*}entry")] == ["Mira"]

    def test_pictures_that_nobody_rated_or_that_show_too_much_are_not_there(self, tmp_path: Path, lora: Path):
        root = tmp_path / "catalog"
        for place, rating in enumerate((None, "R", "PG")):
            other = trained(tmp_path / f"{place}.safetensors", seed=place + 10)
            page = add_release(root / "content", released(tmp_path / "r", other, name=f"n{place}"))
            card = read_card(page / "card.json").model_copy(update={"rating": rating})
            (page / "card.json").write_text(card.model_dump_json())
        build(root)
        shown = [
            len(list((root / "site" / "characters" / "sd-1.5" / f"n{place}").rglob("*.png"))) for place in range(3)
        ]
        assert shown[:2] == [0, 0]
        assert shown[2] > 0
        assert "nobody has said what they show" in page_of(root, "characters/sd-1.5/n0")

    def test_html_in_what_somebody_wrote_is_shown_and_not_run(self, tmp_path: Path, lora: Path):
        root = tmp_path / "catalog"
        bad = "<script>alert(1)</script> [x](javascript:alert(1))"
        score = AxisScore(axis=bad, kind=f'"><{bad}', value=interval(0.5), base=interval(0.1))
        curves = {"leak": ((1, 0.1, 0.0, 0.2), (2, 0.1, 0.0, 0.2))}
        told = Evaluated(reason=bad, scores=(score,), findings=(bad,), curves=curves)
        client = Client(name=bad, works=False, matched=0, total=1, why=bad, mend=bad)
        texts = {
            "summary": bad,
            "description": bad,
            "title": bad,
            "tags": (bad,),
            "aliases": (bad.replace("/", ""),),
            "negative": bad,
        }
        added(root, lora, "mira", **texts, evaluated=told, clients=(client,), disclosure=bad, parents=(bad,))
        build(root)
        for page in (root / "site").rglob("*.html"):
            assert "<script>alert" not in page.read_text()
            assert 'href="javascript' not in page.read_text()

    def test_scores_have_their_intervals_and_curves_a_table(self, tmp_path: Path, lora: Path):
        told = Evaluated(
            reason="Step 200 is the best.",
            scores=(AxisScore(axis="identity", kind="likeness", value=interval(0.9), base=interval(0.0)),),
            curves={"identity": ((100, 0.7, 0.6, 0.8), (200, 0.9, 0.85, 0.95))},
        )
        added(tmp_path / "catalog", lora, "mira", evaluated=told)
        build(tmp_path / "catalog")
        text = page_of(tmp_path / "catalog", MIRA)
        assert "0.80 to 1.00" in text
        assert "<polyline" in text
        assert re.search(r'<th scope="row">200</th><td>0.90</td>', text)

    def test_lists_can_be_had_in_other_orders(self, root: Path, lora: Path):
        for place, mean in enumerate((0.5, 0.95, 0.7)):
            scores = (AxisScore(axis="identity", kind="likeness", value=interval(mean)),)
            other = trained(lora.with_name(f"{place}.safetensors"), seed=20 + place)
            added(root, other, f"c{place}", evaluated=Evaluated(reason="x", scores=scores))
        build(root)
        names = re.findall(r"<dt><a [^>]*>(.*?)</a>", page_of(root, "characters/by-likeness"))
        assert names == ["C1", "C2", "C0", "Mira"]

    def test_a_tag_has_a_list(self, root: Path):
        build(root)
        assert "Mira" in page_of(root, "tags/knight")

    def test_the_same_lora_twice_is_told_on_both_pages(self, root: Path, lora: Path):
        added(root, lora, "copy")
        build(root)
        assert "The same LoRA" in page_of(root, MIRA)
        assert "The same LoRA" in page_of(root, "characters/sd-1.5/copy")

    def test_what_is_similar_is_led_to_where_nobody_named_anything_related(self, root: Path, lora: Path):
        for place in range(2):
            other = trained(lora.with_name(f"{place}.safetensors"), seed=30 + place)
            added(root, other, f"o{place}", tags=("fox", "knight") if place else ("ship",))
        build(root)
        similar = page_of(root, MIRA).partition(">Similar</h2>")[2]
        assert re.findall(r"<dt><a [^>]*>(.*?)</a>", similar)[0] == "O1"

    def test_what_a_person_named_related_comes_in_its_place(self, root: Path, lora: Path):
        added(root, trained(lora.with_name("0.safetensors"), seed=30), "other", tags=("ship",))
        written(root, f"{MIRA}/index.md", "---\ntitle: Mira\nrelated: characters/sd-1.5/other\n---\n")
        build(root)
        related = page_of(root, MIRA).partition(">Related</h2>")[2]
        assert re.findall(r"<dt><a [^>]*>(.*?)</a>", related) == ["Other"]


class TestBuildingAgain:
    """Only what has changed is written."""

    def test_nothing_is_written_where_nothing_has_changed(self, root: Path):
        build(root)
        assert build(root).written == 0

    def test_what_is_gone_from_the_pages_goes_from_the_site(self, root: Path, lora: Path):
        folder = added(root, trained(lora.with_name("b.safetensors"), seed=3), "b", tags=("only",))
        build(root)
        shutil.rmtree(folder)
        assert build(root).removed > 0
        assert not (root / "site/characters/sd-1.5/b").exists()
        assert not (root / "site/tags/only").exists()

    def test_a_site_that_was_deleted_is_built_anew(self, root: Path):
        first = build(root).pages
        shutil.rmtree(root / "site")
        assert build(root).written == first

    def test_what_was_remembered_may_be_deleted_or_broken(self, root: Path):
        build(root)
        (root / ".shelf.sqlite").write_bytes(b"nonsense")
        assert build(root).pages > 0


class TestFaults:
    """What keeps a catalog from being built: each is told with its page, and nothing is written."""

    def test_a_related_path_that_leads_nowhere(self, root: Path):
        written(root, f"{MIRA}/index.md", "---\ntitle: Mira\nrelated: [no/where]\n---\n")
        assert f"/{MIRA}: related 'no/where'" in faults_of(root)

    def test_a_shortcode_that_is_not_known(self, root: Path):
        written(root, "about.md", "---\ntitle: About\n---\n{{< youtube x >}}")
        assert "/about: '{{< youtube x >}}' is no shortcode" in faults_of(root)

    @pytest.mark.parametrize(
        ("aliases", "said"),
        [
            ("[/about/]", "this page's own address"),
            ("[/characters/]", "the address of /characters"),
            ("[/old/mira]", "'/old/mira/' is one of /about too"),
            ("[../../up]", "leads above the site"),
            ("[/]", "or to its home"),
            ("['/a?b']", "no name that a file can have on Windows"),
            ("[/con/]", "no name that a file can have on Windows"),
        ],
    )
    def test_an_alias_that_meets_another_address_or_none(self, root: Path, aliases: str, said: str):
        written(root, "about.md", f"---\ntitle: About\naliases: {aliases}\n---\nx")
        assert said in faults_of(root)

    def test_a_chain_of_aliases(self, root: Path):
        """An alias at which a page was, that is an alias itself, is that page's own: it never leads on."""
        written(root, "a.md", "---\ntitle: A\naliases: [/b/]\n---\nx")
        written(root, "b.md", "---\ntitle: B\naliases: [/c/]\n---\nx")
        assert "alias '/b/' is the address of /b" in faults_of(root)

    def test_a_page_or_an_alias_where_a_list_is(self, root: Path, lora: Path):
        added(root, trained(lora.with_name("b.safetensors"), seed=3), "b")
        written(root, "about.md", "---\ntitle: About\naliases: [/characters/by-date/]\n---\nx")
        assert "/characters/by-date/index.html: two pages" in faults_of(root)

    def test_two_pages_at_one_address(self, root: Path):
        written(root, "a.md", "---\ntitle: A\nurl: /same/\n---\nx")
        written(root, "b.md", "---\ntitle: B\nurl: /same/\n---\nx")
        assert "has the same address" in faults_of(root)

    @pytest.mark.parametrize("front", ["title: [\n---\n", "title: x\n", "- a\n---\n", "weight: x\n---\n"])
    def test_front_matter_that_cannot_be_read(self, root: Path, front: str):
        written(root, "bad.md", f"---\n{front}")
        assert "bad.md" in faults_of(root)

    def test_every_page_that_cannot_be_read_is_named(self, root: Path):
        for name in ("a", "b"):
            written(root, f"{name}.md", "---\ndate: never\n---\n")
        said = faults_of(root)
        assert ("a.md" in said, "b.md" in said) == (True, True)

    @pytest.mark.parametrize("front", ['date: "2026-13-01"', "publishDate: soon", "expiryDate: [2026]"])
    def test_a_date_that_is_none(self, root: Path, front: str):
        written(root, "a.md", f"---\n{front}\n---\n")
        assert "is no date. Write it as 2026-12-01" in faults_of(root)

    def test_check_tells_faults_and_what_is_odd(self, root: Path, lora: Path):
        added(root, lora, "copy")
        added(root, trained(lora.with_name("b.safetensors"), seed=3), "b")
        written(root, "about.md", "---\ntitle: About\nrelated: [no/where]\n---\nx")
        faults, odd = check(root)
        assert [one.place for one in faults] == ["/about"]
        said = "\n".join(one.what for one in odd)
        assert "the same LoRA as" in said
        assert "its trigger 'mira' is that of" in said

    def test_check_tells_consent_that_is_over_and_files_of_one_name(self, root: Path, lora: Path):
        agreed = {
            "basis": "x",
            "scope": "x",
            "date": "2026-01-01",
            "expires": "2999-01-01",
            "evidence_sha256": "0" * 64,
        }
        subject = {"kind": "real-person", "trigger": "a", "consent": agreed}
        other = trained(lora.with_name("b.safetensors"), seed=3)
        folder = added(root, other, "MIRA", subject=subject)
        faults, odd = check(root)
        assert faults == []
        assert "tools take the two for one" in "\n".join(one.what for one in odd)
        card = folder / "card.json"
        card.write_text(card.read_text().replace("2999-01-01", "2026-01-02"))
        assert "consent to it ended on 2026-01-02" in faults_of(root)
        with pytest.raises(PublishError, match="ended on 2026-01-02"):
            add_card(root / "content", read_card(card), {})

    def test_every_entry_of_a_trigger_tells_that_others_have_it(self, root: Path, lora: Path):
        for seed in (3, 4):
            added(root, trained(lora.with_name(f"{seed}.safetensors"), seed=seed), f"n{seed}")
        assert len([one for one in check(root)[1] if "its trigger 'mira' is that of" in one.what]) == 3

    def test_an_alias_below_a_file(self, root: Path):
        written(root, "a.md", "---\naliases: [/style.css]\n---\n")
        assert "an alias of it is below /style.css, which is a file" in faults_of(root)

    def test_an_entry_whose_address_is_a_file(self, root: Path):
        written(root, f"{MIRA}/index.md", "---\ntitle: Mira\nurl: /m.html\n---\n")
        assert "its pictures need a folder" in faults_of(root)


class TestWithdrawing:
    """What is left of an entry."""

    def test_no_byte_of_it_stays_but_the_page_that_says_so(self, root: Path):
        build(root)
        told = withdraw_entry(root, f"/{MIRA}", "She asked for it.")
        build(root)
        left = {path for path in (root / "site" / MIRA).rglob("*")}
        assert {path.name for path in left} == {"index.html"}
        assert [path.name for path in (root / "content" / MIRA).iterdir()] == ["index.md"]
        for path in [*(root / "site").rglob("*"), *(root / "content").rglob("*"), root / ".shelf.sqlite"]:
            if path.is_file() and path.name != RECORD:
                data = path.read_bytes()
                assert b"knight" not in data, path
                assert told.tensors[0].encode() not in data, path
        assert "She asked for it." in page_of(root, MIRA)

    def test_its_address_and_its_aliases_still_lead_to_that_page(self, root: Path):
        withdraw_entry(root, f"/{MIRA}")
        build(root)
        assert "Withdrawn" in page_of(root, MIRA)
        assert MIRA in page_of(root, "old/mira")

    def test_no_list_shows_it(self, root: Path):
        withdraw_entry(root, f"/{MIRA}")
        build(root)
        assert "mira" not in page_of(root, "characters/sd-1.5").lower().partition("<main")[2]
        assert "mira" not in (root / "site" / "search.js").read_text()

    def test_others_find_their_copies_by_the_record(self, root: Path, lora: Path):
        tensors = read_card(root / "content" / MIRA / "card.json").file.tensors
        withdraw_entry(root, f"/{MIRA}", "because")
        (record,) = read_records(root / RECORD, Withdrawal)
        assert (record.tensors, record.because) == ((tensors,), "because")

    def test_an_entry_that_is_not_there_is_told(self, root: Path):
        with pytest.raises(PublishError, match="is no entry"):
            withdraw_entry(root, "/characters/nobody")

    def test_it_does_not_come_back(self, root: Path, tmp_path: Path):
        withdraw_entry(root, f"/{MIRA}")
        with pytest.raises(PublishError, match="was withdrawn"):
            add_release(root / "content", tmp_path / "release" / "mira")

    def test_what_else_is_wrong_leaves_nothing_of_it_in_the_site(self, root: Path):
        build(root)
        written(root, "about.md", "---\nrelated: [no/where]\n---\n")
        withdraw_entry(root, f"/{MIRA}")
        assert not (root / "site" / MIRA).exists()
        with pytest.raises(PublishError, match="is removed, since it would still tell of it"):
            rebuild(root)
        assert not (root / "site").exists()

    def test_an_address_that_leads_out_of_the_site_removes_nothing(self, root: Path, tmp_path: Path):
        build(root)
        written(tmp_path, "kept.md", "mine")
        for url in ("/../../content/", "/"):
            written(root, f"{MIRA}/index.md", f"---\nurl: {url}\n---\n")
            with pytest.raises(PublishError, match="leads out of the site"):
                withdraw_entry(root, f"/{MIRA}")
        assert (tmp_path / "content" / "kept.md").exists()
        assert (root / "content" / MIRA / "card.json").exists()

    def test_a_reason_with_braces_is_no_shortcode(self, root: Path):
        withdraw_entry(root, f"/{MIRA}", "{{< youtube x >}}")
        build(root)
        assert "youtube" in page_of(root, MIRA)

    def test_it_keeps_an_address_of_its_own(self, root: Path):
        written(root, f"{MIRA}/index.md", "---\ntitle: Mira\nurl: /m/\n---\n")
        withdraw_entry(root, f"/{MIRA}")
        build(root)
        assert "Withdrawn" in page_of(root, "m")

    def test_the_same_lora_elsewhere_in_the_catalog_is_named(self, root: Path, lora: Path):
        added(root, lora, "copy")
        told = withdraw_entry(root, f"/{MIRA}")
        assert others_of(root, told) == ["/characters/sd-1.5/copy"]

    def test_a_release_goes_with_all_its_versions(self, tmp_path: Path, lora: Path):
        folder = released(tmp_path / "release", lora)
        released(tmp_path / "release", trained(tmp_path / "other.safetensors", seed=2))
        card = read_card(folder / "likeness.json")
        told = withdraw_release(folder, "x")
        assert not folder.exists()
        assert len(told.tensors) == 2
        assert {one.sha256 for one in card.previous} | {card.file.sha256} <= {*told.files}
        assert read_records(tmp_path / "release" / RECORD, Withdrawal) == [told]


class TestPieces:
    """Parts that the others rest on."""

    @pytest.mark.parametrize(
        ("start", "to", "way"),
        [
            ("a/b/", "a/b/", "index.html"),
            ("a/b/", "", "../../index.html"),
            ("", "a/b/", "a/b/index.html"),
            ("a/b/", "a/c/1.png", "../c/1.png"),
            ("a/page.html", "a/b/", "b/index.html"),
            ("", "é x/", "%C3%A9%20x/index.html"),
        ],
    )
    def test_links_hold_on_a_disk(self, start: str, to: str, way: str):
        assert link(start, to) == way

    def test_pages_of_a_list_hold_all_items_in_order(self):
        items = [f"item {number}" for number in range(500)]
        cut = chunks(items)
        assert [item for _, shown in cut for item in items[shown]] == items
        assert all(LEAST // 2 <= len(items[shown]) <= MOST + LEAST for _, shown in cut)
        assert len({name for name, _ in cut}) == len(cut)

    @pytest.mark.parametrize("place", [0, 137, 499])
    def test_one_more_item_changes_few_pages_of_a_list(self, place: int):
        items = [f"item {number}" for number in range(500)]
        more = [*items[:place], "one more", *items[place:]]
        before, after = ({(name, tuple(list_[shown])) for name, shown in chunks(list_)} for list_ in (items, more))
        assert len(after - before) <= 3

    def test_no_items_are_one_empty_page(self):
        assert chunks([]) == [("", slice(0, 0))]

    @pytest.mark.parametrize(
        ("url", "alias", "file"),
        [
            ("a/b/", "/x/y", "x/y/index.html"),
            ("a/b/", "near", "a/near/index.html"),
            ("a/b/", "../up", "up/index.html"),
            ("a/b/", "x.html", "a/x.html"),
            ("a/b/", "../../up", None),
            ("a/b/", "/", None),
            ("a/b/", "/x/../../y", None),
        ],
    )
    def test_an_alias_is_a_file(self, url: str, alias: str, file: str | None):
        page = Page(file="b.md", place="/a/b", url=url, is_section=False, front={}, body="")
        assert alias_target(page, alias) == file

    def test_front_matter_is_yaml_or_toml_or_none(self):
        assert split_front("---\nTitle: x\n---\nbody") == ({"title": "x"}, "body")
        assert split_front('+++\ntitle = "x"\n+++\nbody') == ({"title": "x"}, "body")
        assert split_front("body") == ({}, "body")

    def test_a_prompt_with_braces_is_no_shortcode(self):
        assert "{{<" not in escaped("a {{< b >}} {{% c %}}")

    def test_weights_that_are_nearly_those_of_another_are_found(self, tmp_path: Path):
        from safetensors.numpy import load_file, save_file

        lora = trained(tmp_path / "a.safetensors")
        near = {name: numpy.asarray(tensor * 0.9, tensor.dtype) for name, tensor in load_file(lora).items()}
        save_file(near, tmp_path / "b.safetensors")
        other = trained(tmp_path / "c.safetensors", seed=4)
        sketches = [sketch_of(path) for path in (lora, tmp_path / "b.safetensors", other)]
        assert [(first, second) for first, second, _ in near_pairs(sketches)] == [(0, 1)]

    def test_a_page_that_is_only_remembered_is_as_the_one_that_was_read(self, root: Path):
        first, again = Shelf(root).read(), Shelf(root).read()
        assert first[0].pages == again[0].pages
        assert first[1] == again[1]
        assert [*again[0].pages] == ["/", "/characters", "/characters/sd-1.5", "/characters/sd-1.5/mira"]

    def test_a_tree_without_pages_has_a_home(self):
        assert Tree([]).pages["/"].name == "Home"


class TestSettingsOfSections:
    """What front matter says of menus and tables of contents, in the words of hugo-book."""

    TEXT = "\n\n## One\n\nx\n\n## Two\n\nx\n\n## Two\n\nx\n\n{{< section details >}}\n"

    def written(self, root: Path, front: str) -> str:
        written(root, "characters/_index.md", f"---\ntitle: Characters\n{front}\n---\n{self.TEXT}")
        build(root)
        return page_of(root, "characters")

    def menu(self, root: Path, front: str) -> str:
        return self.written(root, front).partition("<header")[2].partition("</header>")[0]

    def test_a_long_page_has_a_table_of_contents(self, root: Path):
        text = self.written(root, "")
        assert re.findall(r'<li><a href="#([^"]*)">', text) == ["at-one", "at-two", "at-two-2"]
        assert 'id="at-two-2"' in text

    def test_unless_it_says_otherwise(self, root: Path):
        assert "On this page" not in self.written(root, "bookToC: false")

    def test_sections_below_stand_behind_a_toggle_or_beside_it(self, root: Path):
        assert "<summary>" in self.menu(root, "bookCollapseSection: true")
        assert "<summary>" not in self.menu(root, "weight: 1")
        flat = self.menu(root, "bookFlatSection: true")
        assert "<summary>" not in flat
        assert 'class="flat"' in flat
        assert "SD 1.5" in flat

    def test_a_new_entry_does_not_turn_it(self, root: Path, lora: Path):
        for base in ("Zeta", "Alpha"):
            facts = card_of(lora).base.model_copy(update={"name": base})
            day = datetime.date(2026, 1, 2 if base == "Zeta" else 1)
            added(root, lora, base.lower(), base=facts, published=day)
        text = self.menu(root, "bookFlatSection: true")
        assert text.index("Alpha") < text.index("SD 1.5") < text.index("Zeta")

    def test_a_section_that_is_hidden_is_in_no_menu(self, root: Path):
        assert "Characters" not in self.menu(root, "bookHidden: true")


class TestStrangers:
    """Cards and releases that somebody else made."""

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "../mira"),
            ("name", "/etc/mira"),
            ("contact", "javascript:alert(1)"),
            ("rights", {"link": "javascript:alert(1)"}),
            ("preview", {"file": "../../secret.png"}),
            ("preview", {"file": "a\\..\\b.png"}),
        ],
    )
    def test_a_card_that_names_what_is_not_its_own_is_refused(self, root: Path, field: str, value: object):
        path = root / "content" / MIRA / "card.json"
        told = json.loads(path.read_text())
        told[field] = {**told[field], **value} if isinstance(value, dict) else value
        path.write_text(json.dumps(told))
        assert field in faults_of(root)

    def test_a_file_whose_name_is_a_script_is_but_a_file(self, root: Path):
        path = root / "content" / MIRA / "card.json"
        told = json.loads(path.read_text())
        told["samples"][0]["file"] = "javascript:alert(1).png"
        path.write_text(json.dumps(told))
        build(root)
        assert "javascript%3Aalert" in page_of(root, MIRA)
        assert 'href="javascript:' not in page_of(root, MIRA)

    def test_a_slip_in_the_name_of_a_section_makes_none(self, root: Path, lora: Path):
        with pytest.raises(PublishError, match="Did you mean concepts"):
            add_card(root / "content", card_of(lora, name="b"), {}, kind="concept")
        assert not (root / "content" / "concept").exists()
        own = add_card(root / "content", card_of(lora, name="b"), {}, kind="vehicles")
        assert own.is_relative_to(root / "content" / "vehicles")

    def test_a_base_a_title_or_a_section_does_not_lead_out_of_the_catalog(self, root: Path, lora: Path):
        base = card_of(lora).base.model_copy(update={"name": "../../../../out"})
        folder = added(root, trained(lora.with_name("x.safetensors"), seed=8), "x", base=base, title="../../up")
        assert folder.resolve().is_relative_to((root / "content").resolve())
        with pytest.raises(PublishError, match="leads out of the catalog"):
            add_card(root / "content", card_of(lora, name="y"), {}, kind="../../out")

    @pytest.mark.parametrize("front", ["url: /../../x.html", "slug: ../../x"])
    def test_an_address_does_not_lead_out_of_the_site(self, root: Path, front: str):
        written(root, "about.md", f"---\ntitle: About\n{front}\n---\nx")
        assert "leads above the site" in faults_of(root)

    def test_a_picture_elsewhere_is_told_in_words_alone(self, root: Path, lora: Path):
        bad = "![words](https://evil.example/a.png) ![more](//evil.example/b.png) ![own](images/01.png)"
        added(root, trained(lora.with_name("x.safetensors"), seed=8), "x", summary=bad, title=bad)
        build(root)
        for page in (root / "site").rglob("*.html"):
            assert 'src="https:' not in page.read_text()
            assert 'src="//' not in page.read_text()
        assert 'src="images/01.png"' in page_of(root, "characters/sd-1.5")

    def test_that_a_program_drew_it_stays_with_small_pictures_and_copies(self, root: Path, tmp_path: Path):
        assert b"trainedAlgorithmicMedia" in (root / "content" / MIRA / "thumb.webp").read_bytes()
        file = trained(tmp_path / "others" / "b.safetensors", seed=3)
        shutil.copy(root / "content" / MIRA / "mira.preview.png", file.with_name("b.preview.png"))
        (folder,) = add_to_catalog(root, [file.parent], rating="PG")
        assert b"trainedAlgorithmicMedia" in (folder / "b.preview.png").read_bytes()
        assert b"parameters" not in (folder / "b.preview.png").read_bytes()

    def test_pictures_in_folders_of_folders_are_there_too(self, root: Path):
        deep = root / "content" / MIRA / "images" / "deep" / "02.png"
        deep.parent.mkdir(parents=True)
        shutil.copy(root / "content" / MIRA / "mira.preview.png", deep)
        build(root)
        assert (root / "site" / MIRA / "images" / "deep" / "02.png").is_file()

    def test_a_picture_comes_without_what_else_its_file_tells(self, tmp_path: Path):
        file = trained(tmp_path / "found" / "a.safetensors")
        save_png(file.with_name("a.preview.png"), pictures(1)[0].pixels, {"workflow": "/home/ann/secret"})
        add_to_catalog(tmp_path / "catalog", [tmp_path / "found"], rating="PG")
        build(tmp_path / "catalog")
        shown = list((tmp_path / "catalog" / "site").rglob("a.preview.png"))
        assert shown
        assert not any(b"secret" in path.read_bytes() for path in shown)

    def test_a_link_to_elsewhere_is_not_published(self, root: Path, tmp_path: Path):
        (tmp_path / "secret.txt").write_text("secret")
        picture = tmp_path / "release" / "mira" / "images" / "01.png"
        picture.unlink()
        picture.symlink_to(tmp_path / "secret.txt")
        with pytest.raises(PublishError, match="is not a file"):
            add_release(root / "content", tmp_path / "release" / "mira")

    def test_a_place_outside_the_catalog_is_no_entry(self, root: Path):
        with pytest.raises(PublishError, match="no entry"):
            withdraw_entry(root, "/../../release/mira")
