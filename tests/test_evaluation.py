"""What is asked of a model, how its answers are counted, and the page that shows it."""

import base64
import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy
import pytest
from PIL import Image

from likeness.evaluation.grids import Block, draw_grid
from likeness.evaluation.pages import Curve, PoolStrip, ProofPage, data_address, render_page
from likeness.evaluation.prompts import prompt_of, unseen_scenes
from likeness.evaluation.proof import compare_others, compare_with_base
from likeness.evaluation.tallies import ADHERENCE, Gauge, Tally, count_adherence, count_asked_traits, count_traits
from likeness.maquette.world import KINDS, SCENE_AXES, TRAITS, Drawing, Scene, character, random_scene, scene_tags
from likeness.maquette.world import visible_traits as visible
from likeness.records import Reading
from likeness.seeds import stream

WHO = character(3)
SEEN = [random_scene(stream(3, "seen", number)) for number in range(40)]
SCENES = unseen_scenes(48, seen=SEEN, seed=5)
ASKED = [Drawing(WHO, scene) for scene in SCENES]


def reading_of(asked: Drawing, **wrong: str) -> Reading:
    """A reading of the truth, but for what is given in `wrong`, by trait or by axis."""
    seen: dict[str, object] = {axis: wrong.get(axis, getattr(asked.scene, axis)) for axis in SCENE_AXES}
    seen["traits"] = {name: wrong.get(name, asked.identity[name]) for name in TRAITS}
    return Reading.model_validate({**seen, "instrument": "truth", "instrument_sha256": "0" * 64})


def test_no_scene_that_is_asked_for_reads_like_one_that_was_seen_or_like_another():
    tags = [tuple(scene_tags(scene)) for scene in SCENES]
    assert len(set(tags)) == 48
    assert not set(tags) & {tuple(scene_tags(scene)) for scene in SEEN}


def test_scenes_that_would_read_alike_are_replaced_by_others():
    taken = unseen_scenes(48, seen=[], seed=5)
    fresh = unseen_scenes(48, seen=taken, seed=5)
    assert not {tuple(scene_tags(scene)) for scene in fresh} & {tuple(scene_tags(scene)) for scene in taken}


def test_the_first_36_scenes_hold_each_pair_of_view_and_expression_once():
    assert len({(scene.view, scene.expression) for scene in SCENES[:36]}) == 36


@pytest.mark.parametrize("axis", ["view", "expression"])
def test_views_and_expressions_come_equally_often(axis: str):
    assert set(Counter(getattr(scene, axis) for scene in SCENES).values()) == {8}


@pytest.mark.parametrize("axis", ["framing", "pose", "background"])
def test_the_other_axes_come_about_equally_often(axis: str):
    counts = Counter(getattr(scene, axis) for scene in unseen_scenes(48, seen=[], seed=5))
    assert max(counts.values()) - min(counts.values()) <= 2
    assert len(counts) == len(SCENE_AXES[axis])


def test_another_seed_asks_for_other_scenes_and_the_same_seed_for_the_same():
    assert unseen_scenes(48, seen=SEEN, seed=5) == SCENES
    assert unseen_scenes(48, seen=SEEN, seed=6) != SCENES


def test_more_scenes_than_the_world_has_are_refused():
    with pytest.raises(ValueError, match="no unseen scene is left"):
        unseen_scenes(2400, seen=[], seed=5)


def test_a_prompt_says_trigger_class_words_traits_and_scene_in_this_order():
    scene = Scene(view="back", framing="upper body", pose="waving", background="night")
    prompt = prompt_of(scene, class_words="1girl", trigger="mirachar", traits={"ears": "cat", "horns": "none"})
    assert prompt == "mirachar, 1girl, cat ears, from behind, upper body, waving, night sky"
    assert prompt_of(scene, class_words="1boy") == "1boy, from behind, upper body, waving, night sky"


def test_a_perfect_reading_scores_one_on_every_measure():
    truth = [reading_of(asked) for asked in ASKED]
    found = compare_with_base(ASKED, base=truth, lora=truth)
    gauges = [found.identity, *found.by_kind.values(), *found.adherence.values()]
    assert len(gauges) == 1 + len(KINDS) + len(ADHERENCE)
    assert {gauge.lora.mean for gauge in gauges} == {1.0}
    assert {(gauge.gain.low, gauge.gain.high) for gauge in gauges} == {(0.0, 0.0)}


def test_only_traits_that_the_scene_shows_are_counted():
    tally = count_traits(ASKED, [reading_of(asked) for asked in ASKED], TRAITS)
    assert tally.counts == tuple(len(visible(WHO, scene)) for scene in SCENES)
    unseen_wrong = [reading_of(a, **{n: "?" for n in TRAITS if n not in visible(WHO, a.scene)}) for a in ASKED]
    assert count_traits(ASKED, unseen_wrong, TRAITS) == tally


def test_a_wrong_trait_lowers_its_own_kind_and_no_other():
    truth = [reading_of(asked) for asked in ASKED]
    wrong = [reading_of(asked, hair_colour="green", garment=WHO["garment"]) for asked in ASKED]
    found = compare_with_base(ASKED, base=wrong, lora=truth)
    shown = sum(len([n for n in visible(WHO, s) if n in KINDS["attributes"]]) for s in SCENES)
    assert found.by_kind["attributes"].base.mean == pytest.approx(1 - 48 / shown)
    assert {found.by_kind[kind].base.mean for kind in ("face", "body", "clothing")} == {1.0}


def test_an_instrument_that_abstains_has_not_read_it_right():
    silent = Reading(instrument="nobody", instrument_sha256="0" * 64)
    found = compare_with_base(ASKED, base=[silent] * 48, lora=[reading_of(asked) for asked in ASKED])
    assert (found.identity.base.mean, found.adherence["view"].base.mean) == (0.0, 0.0)
    assert found.identity.gain.mean == 1.0


@pytest.mark.parametrize(
    ("axis", "hidden"), [("expression", {"view": "back"}), ("pose", {"framing": "face"})], ids=["expression", "pose"]
)
def test_what_a_scene_cannot_show_is_not_asked_of_it(axis: str, hidden: dict[str, str]):
    shown, not_shown = Drawing(WHO, Scene()), Drawing(WHO, replace(Scene(), **hidden))
    tally = count_adherence([shown, not_shown], [reading_of(shown), reading_of(not_shown, **{axis: "?"})], axis)
    assert (tally.hits, tally.counts) == ((1, 0), (1, 0))


def test_a_gain_is_paired_by_prompt():
    base = Tally(hits=(0, 1) * 20, counts=(1,) * 40)
    lora = Tally(hits=(1, 1) * 20, counts=(1,) * 40)
    gauge = Gauge.of(base, lora)
    assert gauge.gain.mean == pytest.approx(0.5)
    assert gauge.gain.low <= 0.5 <= gauge.gain.high
    assert Gauge.of(base, base).gain.high == 0.0, "unpaired, the interval would be as wide as the base's own"


def test_other_characters_are_asked_only_for_traits_that_have_a_tag():
    asked = Drawing(WHO, Scene())
    named = [name for name in visible(WHO, asked.scene) if WHO[name] != "none"]
    assert count_asked_traits([asked], [reading_of(asked)]).counts == (len(named),)
    assert len(named) < len(visible(WHO, asked.scene)), "this character has no value of none; choose another"
    assert compare_others([asked], base=[reading_of(asked)], lora=[reading_of(asked, ears="?")]).gain.mean < 0


# -- the grid and the page ---------------------------------------------------------------------------------------------


def flat(colour: int) -> numpy.ndarray:
    return numpy.full((8, 8, 3), colour, numpy.uint8)


def test_a_grid_shows_every_picture_enlarged_and_in_its_place():
    blocks = [Block(t, ("a", "b"), ("real", "LoRA"), [[flat(10), flat(60)], [flat(110), flat(160)]]) for t in "xyz"]
    page = draw_grid(blocks, across=2, scale=4)
    for colour in (10, 60, 110, 160):
        assert (page == colour).all(axis=2).sum() >= 3 * 32 * 32
    rows = [numpy.argwhere((page == colour).all(axis=2))[:, 0].min() for colour in (10, 110)]
    columns = [numpy.argwhere((page == colour).all(axis=2))[:, 1].min() for colour in (10, 60)]
    assert rows[0] < rows[1]
    assert columns[0] < columns[1]


def test_a_grid_labels_its_rows_and_columns():
    named = draw_grid([Block("front", ("smile",), ("real",), [[flat(200)]])])
    bare = draw_grid([Block("", ("",), ("",), [[flat(200)]])])
    assert (named < 128).any()
    assert not (bare < 128).any()


def proof_page(**changes: object) -> ProofPage:
    truth = [reading_of(asked) for asked in ASKED]
    wrong = [reading_of(asked, hair_colour="?", view="?") for asked in ASKED]
    page = ProofPage(
        name="<Mira & co>",
        trigger="mirachar",
        class_words="1girl",
        base_name="maquette",
        asked=48,
        comparison=compare_with_base(ASKED, base=wrong, lora=truth),
        others=compare_others(ASKED, base=truth, lora=wrong),
        grid=flat(99),
        learnt_from=[flat(1), flat(2), flat(3)],
        pool=PoolStrip(
            {"pool": 9, "train": 5, "held_out": 2, "rejected": 2},
            {"cells": 31, "reachable": 5, "covered": 4},
            {"blur": [numpy.zeros((8, 8, 3), numpy.uint8)]},
            {"truncated": 1},
            "report/curation.html",
        ),
        losses=[(step, 1 / step) for step in range(1, 101)],
        facts=[("file", "mira.safetensors")],
        method=["First.", "Second."],
    )
    return replace(page, **changes)


class Addresses(HTMLParser):
    """Every address that a page would fetch or run, and its unclosed elements."""

    VOID = ("meta", "img", "rect", "line", "polyline", "br", "link")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts = 0
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.fetched += [value or "" for name, value in attrs if name == "src" or (name == "href" and tag != "a")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_beside_itself():
    html = render_page(proof_page())
    page = Addresses(html)
    assert page.scripts == 0
    assert len(page.fetched) == 1 + 3 + 1, "the grid, what was learnt from, and what was not"
    assert all(address.startswith("data:image/png;base64,") for address in page.fetched)
    assert not re.search(r"url\(|@import|https?://", html)
    assert page.open == []


def test_the_page_shows_each_number_with_its_interval():
    page = proof_page()
    html = render_page(page)
    rows = re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', html, re.S)
    assert [name for name, _ in rows][:5] == ["identity, in all", *(f"identity, {kind}" for kind in KINDS)]
    base = page.comparison.identity.base
    assert f"{100 * base.mean:.0f}%" in rows[0][1]
    assert f"{100 * base.low:.0f} to {100 * base.high:.0f}" in rows[0][1]


def test_the_page_escapes_what_a_person_named():
    html = render_page(proof_page())
    assert "&lt;Mira &amp; co&gt;" in html
    assert "<Mira" not in html


def test_the_page_of_a_run_without_events_has_no_curve():
    assert "<polyline" in render_page(proof_page())
    assert "<polyline" not in render_page(proof_page(losses=()))


def test_a_falling_loss_is_drawn_from_the_upper_left_to_the_lower_right():
    curve = Curve.of([(step, 1 - step / 100) for step in range(1, 101)])
    first, *_, last = (tuple(map(float, point.split(","))) for point in curve.smoothed.split())
    assert first[0] < last[0] == curve.width
    assert first[1] == 0
    assert last[1] == curve.height


def test_a_loss_that_never_changes_still_has_a_curve():
    assert Curve.of([(1, 0.5), (2, 0.5)]).low == 0.5


def test_a_picture_comes_back_from_its_data_address():
    pixels = numpy.arange(48, dtype=numpy.uint8).reshape(4, 4, 3)
    data = base64.b64decode(data_address(pixels).partition("base64,")[2])
    assert (numpy.asarray(Image.open(io.BytesIO(data))) == pixels).all()
