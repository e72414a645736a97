"""The page of a curation: each picture once, the chart's numbers, what is missing, and nothing from outside."""

import io
import re
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from html.parser import HTMLParser

import numpy
import pytest
from PIL import Image

from likeness.dataset.chart import Chart, axis_bars, charted
from likeness.dataset.copies import Copies, Copy
from likeness.dataset.coverage import EXPRESSIONS, FRAMINGS, VIEWS
from likeness.dataset.curate import Curation
from likeness.dataset.faults import FAULTS
from likeness.dataset.looks import Look, Looks
from likeness.dataset.report import curation_page
from likeness.dataset.screening import RULES
from likeness.dataset.summaries import coverage_of, missing, untold
from likeness.recipe import CurateConfig, ScreenConfig
from likeness.records import Picture, Reading

NASTY = '<b>&"x.png'
VOID = {"meta", "img", "rect"}


def jpeg(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (12, 8), (number % 256, 80, 160)).save(file, "JPEG")
    return file.getvalue()


def reading(view: str | None = None, expression: str | None = None, framing: str | None = None) -> Reading:
    return Reading(
        view=view, expression=expression, framing=framing, instrument="teller", instrument_sha256="5eed" + "0" * 60
    )


def picture(path: str, use: str = "train", seen: Reading | None = None, **told: object) -> Picture:
    facts: dict[str, object] = {"id": sha256(path.encode()).hexdigest(), "reason": f"because of {path}"}
    facts |= {"width": 12, "height": 8, "decided_by": "curate", "reading": seen, "use": use, "path": path}
    return Picture.model_validate(facts | told)


def curation(pictures: Sequence[Picture], *, unreadable: Sequence[str] = (), **told: object) -> Curation:
    """What `curate` would have made of them; those whose paths are in `unreadable` could not be read."""
    looks = {
        one.id: Look(id=one.id, fault="truncated" if one.path in unreadable else "", reading=one.reading)
        for one in pictures
    }
    previews = {one.id: jpeg(index) for index, one in enumerate(pictures) if one.path not in unreadable}
    thumbnails = {id: numpy.zeros((64, 64, 3), numpy.uint8) for id in previews}
    facts: dict[str, object] = {"copies": Copies(), **told}
    return Curation(list(pictures), Looks(looks, thumbnails, previews), **facts)  # pyright: ignore[reportArgumentType]


def small() -> Curation:
    """A pool of everything: views, held out, each kind of rejection, copies, a file that is none, a person's words."""
    front = picture("a/front.png", seen=reading("front", "smile", "face"), source="a book", rights="CC0")
    again = picture("a/front copy.png", "rejected", front.reading, fault="mirrored duplicate")
    third = picture("z same.png", "rejected", front.reading, fault="exact duplicate", id=front.id)
    pictures = [
        front,
        again,
        picture("b.png", seen=reading("front", "sad", "face"), decided_by="person", made_by="ComfyUI"),
        picture("c.png", seen=reading("front", "sad", "full body")),
        picture("d.png", seen=reading("back", framing="full body")),
        picture("e.png", "held-out", reading("front", "sad", "face")),
        picture("f.png", "held-out", reading("profile left", "angry", "face")),
        picture("g.png", "rejected", reading("profile right", "angry", "face"), fault="blur"),
        picture(NASTY, "rejected", reading("profile right", "laughing", "face"), fault="text"),
        picture("h.png", "rejected", reading("front", "surprised", "face"), fault="not needed"),
        picture("i.png", "rejected", reading("front", "neutral", "face"), fault="person", decided_by="person"),
        picture("j.png", "rejected", fault="truncated", width=0, height=0),
        picture("k.png", "rejected", reading(), fault="a new rule"),
        third,
    ]
    copies = Copies({again.id: Copy(front.id, front.path, False, "mirrored duplicate", 0.123)})
    return curation(pictures, unreadable=["j.png"], copies=copies, notes=("Mind the <gap>.",), too_few="Only 7 & few.")


class Outline(HTMLParser):
    """What a page holds, as a program sees it: tags with their attributes, and the text of each section."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.section = ""
        self.words: dict[str, list[str]] = {}
        self.paths: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "section":
            self.section = dict(attrs)["aria-labelledby"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.setdefault(self.section, []).append(data)
        if self.open[-2:] == ["figcaption", "code"]:
            self.paths.setdefault(self.section, []).append(data)

    def text(self, section: str) -> str:
        return " ".join(" ".join(self.words.get(section, [])).split())


def page_of(found: Curation, config: CurateConfig | None = None) -> Outline:
    return Outline(curation_page(found, config or CurateConfig(), name="Mira"))


def paths(found: Curation, use: str) -> list[str]:
    return sorted(one.path for one in found.pictures if one.use == use)


SECTIONS = {"chosen": "train", "held-out": "held-out", "rejected": "rejected"}


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", SECTIONS)
def test_every_picture_is_shown_once_under_its_use_with_its_reason(section: str):
    found = small()
    page = page_of(found)
    assert sorted(page.paths[section]) == paths(found, SECTIONS[section])
    for one in found.pictures:
        assert (one.reason in page.text(section)) == (one.use == SECTIONS[section])


def test_a_rejected_picture_stands_under_its_fault():
    text = page_of(small()).text("rejected")
    order = ["not needed", "blur", "text", "duplicate", "unreadable", "person"]
    places = [text.index(FAULTS[fault][0]) for fault in order]
    assert places == sorted(places)
    assert places[1] < text.index("because of g.png") < places[2]
    assert text.index("because of k.png") > text.index("a new rule") > places[-1]  # a fault that has no words yet


def test_every_rule_has_words_for_what_it_finds():
    assert RULES.keys() <= FAULTS.keys()
    assert {"other character", "not needed", "too alike", "person"} <= FAULTS.keys()


def test_a_file_that_cannot_be_read_has_a_box_with_its_name_instead_of_a_picture():
    page = page_of(small())
    boxes = [facts["aria-label"] for tag, facts in page.tags if tag == "div" and facts.get("role") == "img"]
    assert boxes == ["j.png, which cannot be read"]
    assert all(facts["src"] for tag, facts in page.tags if tag == "img")


def test_a_caption_says_what_is_seen_where_it_is_from_who_drew_it_and_who_decided():
    text = page_of(small()).text("chosen")
    for words in ("AI-generated: ComfyUI", "decided by you", "a book; CC0", "full body", "back"):
        assert text.count(words) >= 1
    assert text.count("decided by you") == text.count("AI-generated") == 1


def test_copies_stand_beside_the_picture_that_stays():
    page = page_of(small())
    assert page.paths["copies"] == ["a/front.png", "a/front copy.png", "z same.png"]
    assert "mirrored duplicate a/front copy.png left over 0.12" in page.text("copies")
    assert "exact duplicate z same.png the same bytes" in page.text("copies")


def test_files_that_cannot_be_read_are_no_copies_to_compare():
    first = picture("a.png", "rejected", fault="truncated")
    again = picture("b.png", "rejected", fault="truncated", id=first.id)
    found = curation([first, again], unreadable=["a.png", "b.png"])
    assert "None were found." in page_of(found).text("copies")


def test_every_picture_has_words_for_those_who_do_not_see_it():
    assert all(facts["alt"] for tag, facts in page_of(small()).tags if tag == "img")


# -- the chart ---------------------------------------------------------------------------------------------------------


def chart_of(found: Curation) -> Chart:
    chart = charted(found.pictures)
    assert chart
    return chart


def test_the_chart_counts_what_the_records_say():
    found = small()
    chart = chart_of(found)
    views = {row.view: row for row in chart.rows}
    sad = views["front"].squares[EXPRESSIONS.index("sad")]
    assert (sad.train, sad.held_out, sad.framings) == (2, 1, (1, 0, 1))
    assert views["front"].squares[EXPRESSIONS.index("smile")].train == 1  # its copies do not count
    assert [one.train for one in views["back"].squares] == [1]
    assert (views["front"].train, views["front"].held_out) == (3, 1)
    assert chart.totals[EXPRESSIONS.index("sad")] == (2, 1)
    assert (chart.train, chart.held_out, chart.untold) == (4, 2, 0)


def test_the_chart_agrees_with_the_coverage():
    found = small()
    squares = [one for row in chart_of(found).rows for one in row.squares]
    coverage = coverage_of(found.pictures)
    assert len(squares) == coverage.cells == 31
    assert sum(one.is_reachable for one in squares) == coverage.reachable == 5
    assert sum(one.train > 0 for one in squares) == coverage.covered == 3


def test_what_is_in_the_pool_and_not_chosen_looks_unlike_what_is_not_in_the_pool():
    kinds = Counter(str(facts["class"]) for tag, facts in page_of(small()).tags if tag == "td" and "colspan" in facts)
    assert kinds == {"heat-1": 2, "heat-2": 1, "open": 2, "absent": 26}


def test_the_page_shows_the_numbers_of_the_chart():
    text = page_of(small()).text("shown")
    assert "2 trained on: 1 face, 0 upper body, 1 full body; 1 held out" in text
    assert text.count("no usable picture") == 26 + 1  # and the legend
    assert re.search(r"\ball 0 1 0 2 and 1 held out 0 and 1 held out 0\b", re.sub(r"\+\d ", "", text))


def test_an_expression_of_the_persons_own_has_a_column_and_a_picture_without_one_is_told_of():
    found = curation([picture("a.png", seen=reading("front", "winking")), picture("b.png", seen=reading("front"))])
    chart = chart_of(found)
    assert chart.expressions == (*EXPRESSIONS, "winking")
    assert (chart.train, chart.untold) == (1, 1)
    assert "1 picture to train on is not in the table" in page_of(found).text("shown")


def test_the_hottest_square_is_the_fullest():
    often = [picture(f"{n}.png", seen=reading("front", "smile", "face")) for n in range(11)]
    chart = chart_of(curation([*often, picture("x.png", seen=reading("front", "sad", "face"))]))
    heats = dict(zip(chart.expressions, chart.rows[0].squares, strict=True))
    assert (chart.step, heats["smile"].heat, heats["sad"].heat, heats["angry"].heat) == (3, 4, 1, 0)


def test_framings_are_counted_beside_the_chart():
    bars = {bar.value: (bar.train, bar.held_out) for bar in axis_bars(small().pictures, "framing")}
    assert bars == {"face": (2, 2), "upper body": (0, 0), "full body": (2, 0)}


# -- what is missing ---------------------------------------------------------------------------------------------------


def test_everything_that_is_missing_is_on_the_list_with_pictures_that_would_do():
    found = small()
    page = page_of(found)
    wants = [want.words for want in missing(found.pictures)]
    assert "nothing in profile to the right: 2 wanted" in wants
    assert all(words in page.text("missing") for words in wants)
    right = page.text("missing").split("nothing in profile to the right")[1].split("from behind")[0]
    assert "g.png because of g.png accept with: likeness label FOLDER g.png use=train" in right
    assert f"likeness label FOLDER '{NASTY}' use=train" in right
    assert "i.png" not in page.paths["missing"]  # a person said no


def test_a_long_list_of_candidates_is_cut_and_says_so():
    blurred = [picture(f"{n}.png", "rejected", reading("back"), fault="blur") for n in range(8)]
    page = page_of(curation([picture("a.png", seen=reading("front", "smile", "face")), *blurred]))
    assert page.paths["missing"] == [f"{n}.png" for n in range(6)]
    assert "2 more are under Rejected" in page.text("missing")


def test_where_nothing_is_missing_it_says_so():
    seen = [reading(view, some, framing) for view in VIEWS for some in EXPRESSIONS for framing in FRAMINGS]
    found = curation([picture(f"{n}.png", seen=one) for n, one in enumerate(seen)])
    assert missing(found.pictures) == []
    assert "Nothing: every view and every framing and every expression" in page_of(found).text("missing")


def test_an_axis_that_only_a_picture_held_out_tells_is_not_said_to_be_shown_often_enough():
    seen = [reading(view) for view in VIEWS for _ in range(2)]
    train = [picture(f"{n}.png", seen=one) for n, one in enumerate(seen)]
    found = curation([*train, picture("x.png", "held-out", reading("front", "smile", "face"))])
    assert missing(found.pictures) == []
    assert "framing, expression nothing is known" in untold(found.pictures)[0]
    text = page_of(found).text("missing")
    assert "Of framing, expression nothing is known" in text
    assert "every view is shown often enough" in text


def test_notes_and_the_price_of_too_few_stand_before_all_else():
    head = page_of(small()).text("")
    assert "Only 7 & few." in head
    assert "--set curate.accept_few=true" in head
    assert "Mind the <gap>." in head
    accepted = page_of(small(), CurateConfig(accept_few=True)).text("")
    assert "You accepted that" in accepted
    assert "go on at that price" not in accepted


def test_a_reader_that_tells_nothing_leaves_no_empty_chart_but_how_to_get_one():
    page = page_of(curation([picture("a.png", seen=reading()), picture("b.png", "held-out", reading())]))
    assert "table" not in {tag for tag, facts in page.tags if facts.get("class") == "map"}
    assert "Of view, framing, expression nothing is known: teller told none" in page.text("missing")
    assert "likeness label FOLDER PATH view=front" in page.text("missing")
    assert "not known" in page.text("")


def test_an_axis_that_is_told_alone_is_counted_and_the_others_are_named():
    page = page_of(curation([picture("a.png", seen=reading("front")), picture("b.png", seen=None)]))
    assert "Of framing, expression nothing is known" in page.text("missing")
    assert "There is no map" in page.text("shown")
    assert re.search(r"front 1\b.*not told 1\b", page.text("shown"))


# -- pools out of the ordinary -----------------------------------------------------------------------------------------


def test_a_pool_of_files_that_cannot_be_read_has_a_page():
    names = ["a.png", "b.png"]
    page = page_of(curation([picture(n, "rejected", fault="truncated", width=0) for n in names], unreadable=names))
    assert page.paths == {"rejected": names}
    assert "Nothing was chosen" in page.text("missing")
    assert "no picture could be read" in page.text("method")
    assert "None." in page.text("chosen")


def test_a_set_that_was_chosen_by_hand_is_not_said_to_be_screened():
    found = curation([picture("a.png", seen=reading("front", "smile"))])
    assert "Nothing was screened" in page_of(found, CurateConfig(choose="all")).text("method")
    assert "Nothing was screened" not in page_of(found).text("method")


def test_a_thousand_pictures_are_all_there_and_the_large_sheets_folded():
    many = [picture(f"{n:04d}.png", "rejected", reading("back"), fault="not needed") for n in range(900)]
    seen = [reading(VIEWS[n % 6], EXPRESSIONS[n % 5], FRAMINGS[n % 3]) for n in range(100)]
    page = page_of(curation([*many, *(picture(f"t{n:02d}.png", seen=one) for n, one in enumerate(seen))]))
    assert (len(page.paths["rejected"]), len(page.paths["chosen"])) == (900, 100)
    assert [("open" in facts) for tag, facts in page.tags if tag == "details"] == [False, False]  # and the thresholds
    images = [facts for tag, facts in page.tags if tag == "img"]
    assert len(images) >= 1000
    assert all(facts["loading"] == "lazy" for facts in images)


def test_a_small_sheet_is_open():
    assert [("open" in facts) for tag, facts in page_of(small()).tags if tag == "details"][:3] == [True] * 3


# -- the file ----------------------------------------------------------------------------------------------------------


def test_nothing_comes_from_outside_and_nothing_runs():
    page = page_of(small())
    addresses = [facts[name] for _, facts in page.tags for name in ("src", "href") if name in facts]
    assert any(str(address).startswith("data:image/jpeg;base64,") for address in addresses)
    assert all(re.match(r"data:|#", str(address)) for address in addresses)
    assert {"script", "link", "iframe", "object", "form"}.isdisjoint(tag for tag, _ in page.tags)
    assert not any(name.startswith("on") for _, facts in page.tags for name in facts)
    assert not re.search(r"url\(|@import|https?:", curation_page(small(), CurateConfig(), name="Mira"))


def test_every_address_inside_the_page_leads_somewhere():
    page = page_of(small())
    names = [facts["id"] for _, facts in page.tags if "id" in facts]
    assert len(names) == len(set(names))
    assert {str(facts["href"])[1:] for tag, facts in page.tags if tag == "a"} <= set(names)
    assert {facts["aria-labelledby"] for _, facts in page.tags if "aria-labelledby" in facts} <= set(names)


def test_what_people_write_is_text_and_never_markup():
    found = small()
    found.pictures[8] = found.pictures[8].model_copy(update={"reason": "<script>alert(1)</script>", "source": "<i>"})
    html = curation_page(found, CurateConfig(), name="<u>Mira & co")
    page = Outline(html)
    assert not re.search(r"<script|<u>|<i>&|<b>&amp;|<gap>", html)
    assert NASTY in page.paths["rejected"]
    assert "<script>alert(1)</script>" in page.text("rejected")
    assert any(str(facts.get("alt")).startswith(NASTY) for tag, facts in page.tags if tag == "img")


def test_headers_of_tables_say_what_they_head():
    assert all(facts.get("scope") in ("row", "col") for tag, facts in page_of(small()).tags if tag == "th")


def test_the_thresholds_in_use_are_told_and_those_that_were_changed_stand_out():
    text = page_of(small(), CurateConfig(count=30, screen=ScreenConfig(blur=0.7))).text("method")
    assert "curate.screen.blur 0.7 usually 0.6 Blur of the subject" in text
    assert "curate.count 30 usually 0 " in text
    assert "curate.screen.noise 0.04 Noise where" in text
    assert "teller sha256 5eed00000000…" in text


def test_a_reader_with_models_names_them_and_their_licences():
    seen = reading("front", "smile").model_copy(update={"instrument": "photo"})
    text = page_of(curation([picture("a.png", seen=seen)])).text("method")
    assert "yunet" in text
    assert "sface" in text
    assert "Apache-2.0" in text
