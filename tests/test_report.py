"""The page of a scorecard: the choice and why, every finding, what is missing, pictures, and nothing from outside."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy
import pytest
from PIL import Image

from likeness.evaluation.advice import Finding
from likeness.evaluation.axes import AXES
from likeness.evaluation.choose import Choice
from likeness.evaluation.details import Detail
from likeness.evaluation.evaluate import Evaluation
from likeness.evaluation.known import Known, Seen
from likeness.evaluation.measure import Drawn
from likeness.evaluation.plots import axes_plot, front_plot
from likeness.evaluation.report import ScorecardPage, charts_of, render_scorecard
from likeness.evaluation.scorecard import Judged, Round, Score
from likeness.evaluation.sheets import Pictured, name_of, strips_of, suspects_of, worst_of
from likeness.evaluation.shots import Kind, Shot
from likeness.images import Pixels, save_png
from likeness.pipeline.bench import Bench
from likeness.pipeline.scores import Setup, read_verdict, write_evaluation, write_page
from likeness.recipe import Recipe
from likeness.records import Reading
from likeness.statistics import Interval
from likeness.workspace import Workspace

REASON = "Step 200 is the best, and no other one comes within a standard error of it."
NASTY = '<b>&"Mira'
LOST = Finding(axis="face", fault="lost", found="mark: none in 82% of 11 pictures", advice="It is not learnt.")
LEAK = Finding(axis="leak", fault="leak", found="pictures take on 0.80", advice="Keep the class.")
MARK = Detail(
    name="mark", wanted="freckles", share=0.2, low=0.1, high=0.4, samples=10, instead="none", instead_share=0.8
)


def score(who: str, step: int | None, round: str, axis: str, mean: float | None, **told: object) -> Score:
    value = None if mean is None else Interval(mean=mean, low=mean - 0.05, high=mean + 0.05, samples=10)
    facts: dict[str, object] = {"who": who, "step": step, "round": round, "axis": axis, "value": value, "raw": value}
    return Score.model_validate(facts | {"asked": 12} | told)


def scores() -> list[Score]:
    """Three checkpoints: one had a first look only, two all prompts, and those two fresh ones too."""
    rounds = {"first": (100, 200, 300), "full": (0, 200, 300), "fresh": (0, 200, 300)}
    seen = [(step, round) for round, some in rounds.items() for step in some]
    found = []
    for place, round in seen:
        who, step = (f"step-{place:06d}", place) if place else ("base", None)
        lift = {"first": 0.0, "full": 0.11, "fresh": 0.22}[round] if step else -0.6
        found.append(score(who, step, round, "identity", 0.61 + lift))
        found.append(score(who, step, round, "face", 0.62 + lift, details=[MARK]))
        found.append(score(who, step, round, "drift", 0.1 + (step or 0) / 1000))
        if step:  # the base has learnt no pictures
            found.append(score(who, step, round, "memorisation", None, missing={"no <training> pictures": 12}))
    return found


def pixels(shade: int, side: int = 8) -> Pixels:
    return numpy.full((side, side, 3), shade, numpy.uint8)


def picture(who: str, number: int = 0, round: Round = "full", kind: Kind = "own", **told: object) -> Pictured:
    shot = Shot(kind=kind, number=number, prompt=f"mira, scene {number}", seed=70 + number)
    facts: dict[str, object] = {"who": who, "round": round, "shot": shot, "values": {}, "raws": {}, "missing": {}}
    return Pictured(Judged.model_validate(facts | {"instrument_sha256": "5eed"} | told), pixels(10 * number))


def real(shade: int, view: str | None = None, framing: str | None = None) -> Seen:
    return Seen(pixels(shade), Reading(view=view, framing=framing, instrument="x", instrument_sha256="0" * 64))


def page(**told: object) -> ScorecardPage:
    """A run of three checkpoints, one of them chosen."""
    adapters = ("base", "step-000200", "step-000300")
    pictures = [picture(who, number) for who in adapters for number in range(8)]
    fresh = picture("step-000200", 9, "fresh", values={"identity": 0.345})
    facts: dict[str, object] = {
        "name": "Mira",
        "lora": "runs/0001/step-000200.safetensors",
        "choice": Choice(
            step=200, reason=REASON, leader=200, tied=(200, 300), front=(200, 300), stays=0.985, axes={}, refused={}
        ),
        "findings": {"step-000200": (LOST,), "step-000300": (LEAK,)},
        "detectable": 0.0977,
        "scores": scores(),
        "pictures": [*pictures, fresh],
        "limits": {"identity": 0.5},
        "instruments": {"reader": "maquette 5eed"},
        "sampling": {"steps": 8},
        "versions": {"base": "ba5e"},
    }
    return ScorecardPage(**(facts | told))  # pyright: ignore[reportArgumentType]


def single() -> ScorecardPage:
    """One file by another trainer, with nothing of a run."""
    alone = [
        one.model_copy(update={"who": one.who if one.step is None else "mira v2", "step": one.step and 1})
        for one in scores()
        if one.step in (None, 200) and one.round != "first"
    ]
    choice = Choice(
        step=1,
        reason="The only one that was measured with all prompts.",
        leader=1,
        tied=(1,),
        front=(1,),
        stays=1.0,
        axes={},
    )
    return page(scores=alone, choice=choice, findings={"mira v2": (LOST,)}, pictures=[])


class Words(HTMLParser):
    """The text that a page shows, and the addresses that it names."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words, self.addresses, self.tags = [], [], set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        """All of it, with single spaces."""
        return " ".join(" ".join(self.words).split())


def text_of(page: ScorecardPage) -> str:
    return Words(render_scorecard(page)).text


@pytest.fixture(scope="module")
def charts() -> dict[str, bytes]:
    return charts_of(page())


def test_the_page_stands_alone(charts: dict[str, bytes]):
    html = render_scorecard(page(), charts)
    seen = Words(html)
    assert "script" not in seen.tags
    assert "link" not in seen.tags
    assert not re.search(r"https?://|url\(|@import", html)
    assert all(address.startswith(("data:image/", "#")) for address in seen.addresses)
    assert all(f'id="{address[1:]}"' in html for address in seen.addresses if address.startswith("#"))


def test_it_tells_the_choice_the_reason_and_how_sure_that_is():
    text = text_of(page())
    for words in ("step 200", REASON, "runs/0001/step-000200.safetensors", "step 200, step 300", "98%", "0.10"):
        assert words in text


def test_it_tells_the_findings_of_the_chosen_one_alone():
    text = text_of(page())
    assert LOST.found in text
    assert LOST.advice in text
    assert LEAK.found not in text


def test_where_none_is_chosen_it_tells_all_findings_and_why_each_was_refused():
    refused = Choice(
        step=None, reason="No checkpoint may be published.", refused={200: "it leaks", 300: "too"}, axes={}
    )
    text = text_of(page(choice=refused, lora=""))
    for words in (LOST.found, LEAK.found, "none may be published", "step 200 : it leaks", "step 300 : too"):
        assert words in text


def test_the_figures_are_those_of_the_fresh_prompts_and_say_so():
    text = text_of(page())
    assert "chosen, fresh prompts" in text
    assert "0.83 0.78 to 0.88" in text
    assert "0.72 0.67 to 0.77" not in text


def test_what_could_not_be_told_is_said_with_its_reason():
    text = text_of(page())
    assert "untold" in text
    assert "12 untold: no <training> pictures" in text


def test_an_axis_says_what_it_is_made_of():
    text = text_of(page())
    assert "mark freckles" in text
    assert "20% of 10; none 80%" in text


def test_names_and_prompts_are_shown_as_they_are_written():
    html = render_scorecard(page(name=NASTY))
    assert NASTY not in html
    assert f"{NASTY}: step 200 is chosen" in Words(html).text


def test_each_axis_is_explained():
    text = text_of(page())
    for function in AXES.values():
        assert " ".join((function.__doc__ or "").partition("\n\n")[0].split()) in text


def test_how_it_was_measured_is_told():
    text = text_of(page())
    assert "maquette 5eed" in text
    assert "scenes of the character 8 8" in text


def test_a_strip_has_the_same_prompts_and_noise_for_all():
    prompts, strips = strips_of(page().pictures, ["step-000200", "step-000300"])
    assert prompts == [f"mira, scene {number}" for number in range(6)]
    assert [who for who, _ in strips] == ["base", "step 200", "step 300"]
    assert all([one.prompt for one in row if one] == prompts for _, row in strips)


def test_a_picture_that_another_did_not_draw_leaves_a_gap():
    _, strips = strips_of([picture("base", 0), picture("base", 1), picture("mira", 1)], ["mira"])
    assert [one is None for one in strips[1][1]] == [True, False]


def test_above_a_strip_stands_a_real_picture_of_the_same_view_and_framing():
    face, body = {"framing": "face"}, {"framing": "full body"}
    asked = [{"view": "profile left", **body}, {"view": "profile left", **body}, {"view": "back", **face}, face, {}]
    drawn = []
    for number, words in enumerate(asked):
        one = picture("base", number)
        drawn.append(replace(one, judged=one.judged.model_copy(update={"shot": shot_of(one, words)})))
    some = [
        *(real(0), real(1, "back", "full body"), real(2, "profile right", "full body")),
        *(real(3, "profile left", "face"), real(4, "profile left", "face"), real(5, None, "face")),
    ]
    prompts, ((who, row), _) = strips_of(drawn, [], some)
    assert (len(prompts), who) == (5, "real")
    shades = [numpy.asarray(decoded(one.image))[0, 0, 0] for one in row if one]
    assert shades == [3, 4, 1, 5, 0], "the side before the framing; of equals each once; any where nothing is asked for"
    assert [one.prompt for one in row if one][0::4] == ["profile left, face", "of a view that nobody told"]


def shot_of(one: Pictured, asked: dict[str, str]) -> Shot:
    return one.judged.shot.model_copy(update={"asked": asked})


def test_the_row_of_real_pictures_is_told_of_and_without_any_there_is_none():
    with_them, without = page(real=[real(200)]), page()
    assert "a real picture that was held out" in text_of(with_them)
    assert "a real picture that was held out" not in text_of(without)
    assert [len(strips_of(one.pictures, one.finalists, one.real)[1]) for one in (with_them, without)] == [4, 3]


def test_a_copy_is_shown_beside_what_it_copies():
    copy = picture("step-000300", 4, values={"memorisation": 1.0}, raws={"memorisation": 0.97}, nearest=1)
    html = render_scorecard(
        page(pictures=[copy], trained_on=["images/a.png", "images/b.png"], originals={1: pixels(9)})
    )
    assert "0.97 step 300: mira, scene 4 trained on images/b.png" in Words(html).text
    shades = [numpy.asarray(decoded(address))[0, 0, 0] for address in Words(html).addresses if address[0] != "#"]
    assert shades[-2:] == [40, 9]


def test_of_many_copies_the_most_alike_are_shown():
    copies = [
        picture("step-000300", number, values={"memorisation": 1.0}, raws={"memorisation": number / 100}, nearest=0)
        for number in range(20)
    ]
    text = text_of(page(pictures=copies))
    assert "the 12 most alike of 20" in text
    assert "0.19 step 300" in text
    assert "0.07 step 300" not in text


def test_a_copy_of_the_first_look_is_counted_once_where_the_full_set_holds_it_too():
    told = {"values": {"memorisation": 1.0}, "raws": {"memorisation": 0.97}, "nearest": 0}
    looked = [picture(who, 4, "first", **told) for who in ("step-000200", "step-000300")]
    found = suspects_of([*looked, picture("step-000300", 4, **told), picture("step-000300", 4, "fresh", **told)])
    assert [(one.judged.who, one.judged.round) for one in found] == [
        *(("step-000200", "first"), ("step-000300", "full"), ("step-000300", "fresh"))
    ]


def test_the_worst_pictures_are_those_with_the_least_of_an_axis():
    drawn = [picture("mira", number, values={"face": value}) for number, value in enumerate((0.9, 0.1, 0.5, 0.7))]
    drawn.append(picture("mira", 5, round="first", values={"face": -1.0}))
    worst = worst_of(drawn, {"mira": "full"})
    assert {axis: [one.value for one in some] for axis, some in worst.items()} == {"face": [0.1, 0.5, 0.7]}


def test_a_large_picture_is_made_smaller():
    large = Pictured(picture("base").judged, pixels(100, side=700))
    address = next(one for one in Words(render_scorecard(page(pictures=[large]))).addresses if one[0] != "#")
    assert decoded(address).size == (256, 256)


def test_a_chart_has_the_same_bytes_each_time(charts: dict[str, bytes]):
    assert charts == charts_of(page())
    assert set(charts) == {"axes", "front"}
    assert all(Image.open(io.BytesIO(png)).format == "PNG" for png in charts.values())
    assert not any(b"matplotlib" in png.lower() or b"tIME" in png for png in charts.values())


def test_another_step_that_is_chosen_is_marked_elsewhere():
    some = [one for one in scores() if one.axis == "identity"]
    assert axes_plot(some, chosen=200, limits={}) != axes_plot(some, chosen=300, limits={})


def test_no_curve_is_drawn_of_one_checkpoint_and_no_front_without_harm():
    assert axes_plot(single().scores, chosen=1, limits={}) is None
    names = {"step-000200": "200", "step-000300": "300"}
    likeness = [one for one in scores() if one.axis != "drift"]
    assert front_plot(likeness, names=names, chosen="", front=(), refused=()) is None


def named(*names: str) -> ScorecardPage:
    """A page of LoRAs with these names."""
    told = [
        score(who, place + 1, "full", axis, 0.5 + place / 10)
        for place, who in enumerate(names)
        for axis in ("identity", "drift")
    ]
    return page(scores=told, pictures=[], findings={})


def test_a_dollar_in_a_name_is_a_dollar_and_no_formula():
    assert charts_of(named(r"mira$\foo$", "fox"))["front"] != charts_of(named("mira", "fox"))["front"]


def test_a_name_that_the_font_cannot_write_has_a_number_in_the_chart_and_stands_below_it():
    katakana, plain = named("ミラ", "Zoë", "キツネ"), named("mira", "fox")
    charts = charts_of(katakana)
    shown = Words(render_scorecard(katakana, charts)).text
    assert "LoRA 1 ミラ LoRA 2 キツネ" in shown
    assert "LoRA 1" not in Words(render_scorecard(plain, charts_of(plain))).text
    assert charts["front"] == charts_of(named("鏡", "Zoë", "狐"))["front"]


def test_a_single_file_has_a_page_without_curves():
    alone = single()
    assert charts_of(alone) == {}
    text = text_of(alone)
    assert "mira v2 is chosen" in text
    assert "Over the steps" not in text
    assert LOST.found in text


def test_pictures_from_elsewhere_have_a_page_without_choice_plan_or_base():
    told = [score("mira at 0.8", None, "full", axis, 0.7) for axis in ("identity", "face")]
    drawn = [picture("mira at 0.8", 0, kind="yours", values={"identity": 0.4})]
    choice = Choice(step=None, reason="Pictures from elsewhere are measured.", axes={})
    elsewhere = page(scores=told, pictures=drawn, choice=choice, lora="", detectable=None, findings={}, sampling={})
    assert charts_of(elsewhere) == {}
    text = text_of(elsewhere)
    for words in ("how good is it?", "mira at 0.8", "prompts of your own 1 1", "drawn elsewhere", "Nobody can tell"):
        assert words in text


def test_a_checkpoint_is_called_by_its_step_and_a_file_by_its_name():
    assert [name_of(who) for who in ("step-000250", "base", "mira-step-1")] == ["step 250", "base", "mira-step-1"]


def test_the_page_is_written_with_its_charts_and_old_charts_go(tmp_path: Path):
    workspace = Workspace(tmp_path)
    written = write_page(workspace, page())
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "report/scorecard.html",
        "report/plots/axes.png",
        "report/plots/front.png",
    ]
    assert write_page(workspace, single()) == [workspace.scorecard_html]
    assert list((tmp_path / "report" / "plots").iterdir()) == []


@pytest.mark.parametrize("mirror", [True, False])
def test_an_evaluation_leaves_its_page_with_the_pictures_as_drawn_and_what_they_copy(tmp_path: Path, mirror: bool):
    workspace = Workspace(tmp_path)
    (tmp_path / "images").mkdir()
    save_png(tmp_path / "images" / "b.png", pixels(77))
    readings = [Reading(instrument="x", instrument_sha256="0" * 64)]
    copy = picture("step-000200", 4, values={"memorisation": 1.0}, nearest=1).judged
    base = picture("base", 4).judged
    drawn: dict[tuple[Round, str], Drawn] = {
        ("full", "base"): Drawn([base.shot], [pixels(11)], readings),
        ("full", "step-000200"): Drawn([copy.shot], [pixels(22)], readings),
    }
    known = cast("Known", SimpleNamespace(held_out=[real(33)]))
    side = Detail(
        name="mark side", share=0, low=0, high=0.3, samples=9, wanted="left", instead="right", instead_share=1
    )
    face = next(one for one in scores() if one.who == "step-000200").model_copy(
        update={"axis": "face", "round": "fresh", "details": (side,)}
    )
    found = Evaluation(page().choice, [*scores(), face], [base, copy], known, drawn)
    recipe = {"character": {"name": "Mira", "trigger": "mira", "kind": "original"}, "encode": {"mirror": mirror}}
    bench = SimpleNamespace(workspace=workspace, recipe=Recipe.model_validate(recipe))
    measured = Setup(instruments={}, sampling={}, base="ba5e", versions={})
    files = {"step-000200": tmp_path / "one.safetensors"}
    paths = write_evaluation(
        cast("Bench", bench), found, files, measured, trained_on=["images/gone.png", "images/b.png"]
    )
    assert {workspace.scorecard_html, workspace.choice_json} <= set(paths)
    (told,) = [one for one in read_verdict(workspace).findings["step-000200"] if one.fault == "side"]
    assert told.advice.startswith("Mirroring was on" if mirror else "Keep encode.mirror off")
    assert all(path.is_file() for path in paths)
    addresses = [one for one in Words(workspace.scorecard_html.read_text()).addresses if one.startswith("data:")]
    small = [image.getpixel((0, 0))[0] for one in addresses if (image := decoded(one)).size == (8, 8)]  # pyright: ignore
    assert small == [33, 11, 22, 22, 77]


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_the_charts_of_the_page_are_those_of_the_files(charts: dict[str, bytes]):
    shown = [address for address in Words(render_scorecard(page(pictures=[]), charts)).addresses if address[0] != "#"]
    assert [base64.b64decode(address.partition(",")[2]) for address in shown] == [charts["axes"], charts["front"]]
