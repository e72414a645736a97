"""Judging by eye: that a person is asked blind, and what their answers say."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from typer.testing import CliRunner

from likeness.cli import app
from likeness.errors import EvaluationError, RecipeError, WorkspaceError
from likeness.evaluation.agreement import nominal_alpha, sign_test
from likeness.evaluation.choose import Choice
from likeness.evaluation.details import Detail
from likeness.evaluation.judgement import Judgement
from likeness.evaluation.judging import items_of, plan_key, tells
from likeness.evaluation.questions import Item, Key, Pair
from likeness.evaluation.scorecard import Judged, Score
from likeness.evaluation.shots import NO_SEED, Shot
from likeness.images import save_png
from likeness.maquette.world import TRAITS
from likeness.pipeline.judging import judge_answers, judged_sha256, write_sheet
from likeness.pipeline.scores import Setup, Verdict
from likeness.recipe import Recipe, load_recipe
from likeness.records import Picture, Reading, read_records, write_records
from likeness.seeds import stream
from likeness.statistics import Interval
from likeness.workspace import Workspace

FIRST, SECOND = "step-000100", "step-000200"
EARS = TRAITS["ears"][0]  # what the fake reader sees in every picture
RECIPE = """
[character]
name = "mira"
kind = "original"
trigger = "mirachar"
[base]
path = "maquette"
[perception]
reader = "fake_reader:FakeReader"
"""


def drawn(root: Path, who: str, round: str, number: int, better: float) -> Judged:
    """A picture of a prompt, kept in the workspace."""
    shot = Shot(kind="own", number=number, prompt=f"mirachar, {round} {number}", seed=number, asked={"view": "front"})
    place = f"evaluation/pictures/{who}/{round}-{number}.png"
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    pixels = stream(7, who, round, number).integers(0, 256, (8, 8, 3)).astype(numpy.uint8)
    save_png(root / place, pixels, {"parameters": f"Lora: {who}"})
    values = {"identity": 0.5 + better, "drift": 0.5 - better, "face": 0.5}
    told = {"who": who, "round": round, "shot": shot, "values": values, "raws": values, "missing": {}}
    return Judged(**told, picture=place, instrument_sha256="0" * 64)


def real(root: Path, number: int, **traits: str) -> Picture:
    save_png(root / f"images/{number}.png", numpy.full((20, 16, 3), 10 * number, numpy.uint8))
    named = {"ears": EARS, "horns": "none", **traits}
    reading = Reading(view="front", framing="face", traits=named, instrument="fake", instrument_sha256="0" * 64)
    return Picture(
        id=f"{number:064x}", path=f"{number}.png", width=16, height=20, reading=reading, use="held-out", decided_by="x"
    )


def score(who: str, step: int, *names: str) -> Score:
    value = Interval(mean=0.5, low=0.4, high=0.6, samples=24)
    details = tuple(Detail(name=name, wanted=EARS, share=0.5, low=0.3, high=0.7, samples=9) for name in names)
    told = {"who": who, "step": step, "round": "fresh", "axis": "attributes", "value": value, "raw": value}
    return Score(**told, asked=24, details=details)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace.create(tmp_path_factory.mktemp("mira"))
    root = workspace.root
    workspace.recipe.write_text(RECIPE)
    rounds = [("full", 14), ("fresh", 14)]
    pictures = [
        drawn(root, who, round, number, better)
        for who, better in ((FIRST, 0.0), (SECOND, 0.25))
        for round, count in rounds
        for number in range(count)
    ]
    write_records(workspace.pictures_jsonl, pictures)
    write_records(workspace.scores_jsonl, [score(FIRST, 100, "ears"), score(SECOND, 200, "ears")])
    write_records(workspace.images_jsonl, [real(root, number) for number in range(6)])
    verdict = Verdict(
        lora=f"runs/0001/{SECOND}.safetensors",
        choice=Choice(step=200, reason="It is the best.", axes={}),
        findings={},
        detectable=None,
        measured=Setup(instruments={}, sampling={}, base="", versions={}),
    )
    workspace.choice_json.write_text(verdict.model_dump_json())
    return workspace


@pytest.fixture(scope="module")
def recipe(workspace: Workspace) -> Recipe:
    return load_recipe(workspace.recipe)


@pytest.fixture(scope="module")
def key(workspace: Workspace, recipe: Recipe) -> Key:
    return write_sheet(workspace, recipe)


@pytest.fixture
def answered(workspace: Workspace, recipe: Recipe, key: Key, tmp_path: Path) -> Callable[..., Judgement]:
    """What answers come to: of a person who answers each pair as `prefers` does, and each tick with `tick`."""

    def answer(prefers: Callable[[Pair], str], tick: str = "yes", **other: object) -> Judgement:
        told = {
            "page": key.page,
            "pairs": {one.id: prefers(one) for one in key.pairs},
            "ticks": {one.id: tick for one in key.ticks},
        }
        (tmp_path / "answers.json").write_text(json.dumps(told | other))
        return judge_answers(workspace, recipe, tmp_path / "answers.json")

    return answer


def always(who: str) -> Callable[[Pair], str]:
    return lambda pair: "left" if pair.left.who == who else "right"


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_the_page_does_not_say_who_drew_what(workspace: Workspace, key: Key):
    page = workspace.judging_html.read_text()
    without_pictures = re.sub(r"data:image/[^\"]*", "", page)
    for word in (FIRST, SECOND, "step-", "evaluation/", "images/", ".png", "mirachar", str(workspace.root), "Lora"):
        assert word not in without_pictures, word
    assert key.page in page


def test_a_picture_on_the_page_has_lost_what_its_file_says(workspace: Workspace, key: Key):
    import base64

    pictures = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", workspace.judging_html.read_text())
    assert len(pictures) == len(key.pictures)
    assert not any(b"Lora" in base64.b64decode(picture) for picture in pictures)


def test_the_page_needs_no_network_and_says_that_it_needs_scripts(workspace: Workspace, key: Key):
    page = workspace.judging_html.read_text()
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "please allow scripts" in page


def test_ids_have_no_order_and_no_two_are_alike(key: Key):
    ids = [one.id for one in (*key.pairs, *key.ticks)]
    assert len(set(ids)) == len(ids)
    assert ids != sorted(ids)
    assert {len(one) for one in ids} == {10}
    lefts = [int(one.id, 16) for one in key.pairs if one.left.who == SECOND]
    rights = [int(one.id, 16) for one in key.pairs if one.left.who == FIRST]
    assert min(lefts) < max(rights)
    assert min(rights) < max(lefts)


def test_sides_are_balanced_and_shuffled(key: Key):
    sides = [one.left.who for one in key.pairs if not one.repeats]
    assert Counter(sides) == {FIRST: 10, SECOND: 10}
    assert sides != sorted(sides)
    assert sides[::2] != sides[1::2]


def test_each_prompt_is_asked_once_and_fresh_ones_first(key: Key):
    rounds = Counter(Path(one.left.picture).stem.split("-")[0] for one in key.pairs if not one.repeats)
    assert rounds == {"fresh": 14, "full": 6}
    prompts = [Path(one.left.picture).name for one in key.pairs if not one.repeats]
    assert len(set(prompts)) == 20
    assert all(Path(one.left.picture).name == Path(one.right.picture).name for one in key.pairs)


def test_two_pairs_come_again_with_sides_swapped(key: Key):
    place = {one.id: number for number, one in enumerate(key.pairs)}
    again = [one for one in key.pairs if one.repeats]
    assert len(again) == 2
    for one in again:
        before = key.pairs[place[one.repeats]]
        assert (one.left, one.right) == (before.right, before.left)
        assert place[one.id] - place[before.id] >= 5


def test_the_same_seed_gives_the_same_page_and_another_seed_another(workspace: Workspace, recipe: Recipe, key: Key):
    page = workspace.judging_html.read_text()
    other = write_sheet(workspace, recipe.model_copy(update={"seed": recipe.seed + 1}))
    assert other.page != key.page
    assert [one.left for one in other.pairs] != [one.left for one in key.pairs]
    assert write_sheet(workspace, recipe) == key
    assert workspace.judging_html.read_text() == page


def test_real_pictures_lie_among_the_ticks_unmarked(workspace: Workspace, key: Key):
    sheet = re.search(r'<script id="sheet"[^>]*>(.*?)</script>', workspace.judging_html.read_text(), re.DOTALL)
    assert sheet
    asked = {one["id"]: one for one in json.loads(sheet[1])["questions"]}
    controls = [one for one in key.ticks if not one.who]
    assert len(controls) == 2
    assert len(key.ticks) == 8
    assert all(set(asked[one.id]) == {"id", "pictures", "item"} for one in key.ticks)
    assert not {one.picture for one in controls} & {one.real for one in key.pairs}, "they were seen to be real"


def test_a_real_picture_of_a_tick_has_the_size_of_drawn_ones(workspace: Workspace, key: Key):
    import base64
    import io

    from PIL import Image

    sheet = re.search(r'<script id="sheet"[^>]*>(.*?)</script>', workspace.judging_html.read_text(), re.DOTALL)
    assert sheet
    addresses = dict(zip(key.pictures, json.loads(sheet[1])["pictures"], strict=True))
    sizes = {Image.open(io.BytesIO(base64.b64decode(addresses[one.picture].split(",")[1]))).size for one in key.ticks}
    assert sizes == {(8, 8)}


def test_items_are_the_checklist_or_else_what_was_told_least_surely():
    scores = [score(SECOND, 200, "ears", "tail side")]
    assert items_of(scores, SECOND, {"mark": "left scar"}) == [Item(name="mark", wanted="left scar")]
    assert items_of(scores, SECOND, {}) == [Item(name="ears", wanted=EARS)]
    assert items_of(scores, FIRST, {}) == []


def seen(root: Path, number: int, **told: object) -> Picture:
    (root / "images").mkdir(exist_ok=True)
    one = real(root, number, **({} if told.get("framing") == "face" else {"tail": "fox"}))
    assert one.reading
    return one.model_copy(update={"reading": one.reading.model_copy(update=told)})


def test_a_real_picture_of_the_view_that_is_asked_for_stands_between_a_pair_where_there_is_one(tmp_path: Path):
    views = ("front", "front", "front", "back", "profile left", "back", "front", "profile left")
    some = [seen(tmp_path, number, view=view) for number, view in enumerate(views)]
    asked = [("front", "back", "profile left")[number % 3] for number in range(12)]
    pictures = {who: [drawn(tmp_path, who, "full", number, 0.0) for number in range(12)] for who in (FIRST, SECOND)}
    for own in pictures.values():
        for one, view in zip(own, asked, strict=True):
            one.shot.asked["view"] = view
    wanted = {one.picture: view for own in pictures.values() for one, view in zip(own, asked, strict=True)}
    for seed in range(8):
        key = plan_key(pictures[FIRST], pictures[SECOND], some, (), seed=seed)
        between = {f"images/{one.path}": one.reading.view for one in some if one.reading}
        assert all(between[one.real] == wanted[one.left.picture] for one in key.pairs)


def test_no_trait_is_asked_for_that_such_a_crop_hides(tmp_path: Path):
    """No real picture shows just this view as close up, but others that are as close."""
    some = [seen(tmp_path, number, framing=("face", "full")[number % 2]) for number in range(6)]
    pictures = {who: [drawn(tmp_path, who, "full", number, 0.0) for number in range(6)] for who in (FIRST, SECOND)}
    for own in pictures.values():
        for number, one in enumerate(own):
            one.shot.asked.update(view="back", framing=("face", "full")[number % 2])
    key = plan_key(pictures[FIRST], pictures[SECOND], some, [Item(name="tail", wanted="fox")], seed=1)
    close = {one.picture for one in pictures[SECOND] if one.shot.asked["framing"] == "face"}
    shown = {one.picture for one in key.ticks if one.who}
    assert shown
    assert not shown & close


def test_nothing_seen_in_a_view_that_hides_a_trait_tells_nothing(tmp_path: Path):
    item = Item(name="tail", wanted="fox")
    (tmp_path / "images").mkdir()
    hidden, shown = real(tmp_path, 1, tail="none"), real(tmp_path, 2, tail="fox")
    assert hidden.reading
    assert not tells(hidden.reading, item, [hidden])
    assert tells(hidden.reading, item, [hidden, shown]), "this view shows it: there is none"


def test_pictures_whose_noise_nobody_knows_are_no_pair(workspace: Workspace):
    pictures = [one for one in read_records(workspace.pictures_jsonl, Judged) if one.round == "fresh"]
    unknown = [one.model_copy(update={"shot": one.shot.model_copy(update={"seed": NO_SEED})}) for one in pictures]
    real = read_records(workspace.images_jsonl, Picture)
    for some, pairs in ((pictures, 16), (unknown, 0)):
        first, second = ([one for one in some if one.who == who] for who in (FIRST, SECOND))
        assert len(plan_key(first, second, real, (), seed=1).pairs) == pairs


def test_traits_ask_with_words_that_cannot_be_misread(workspace: Workspace, key: Key):
    """'right star: is it right?' would ask twice in one word."""
    page = workspace.judging_html.read_text()
    assert "Does the picture show it so?" in page
    assert "Left and right are the character's own." in page


def test_without_held_out_pictures_that_is_said_and_not_that_nothing_was_measured(tmp_path: Path, recipe: Recipe):
    empty = Workspace.create(tmp_path / "empty")
    write_records(empty.images_jsonl, [])
    with pytest.raises(EvaluationError, match="has no held-out pictures"):
        write_sheet(empty, recipe)


def test_two_that_were_not_measured_are_refused_in_words(workspace: Workspace, recipe: Recipe):
    with pytest.raises(EvaluationError, match=f"does not name two that were measured: {FIRST}, {SECOND}"):
        write_sheet(workspace, recipe, ["step-1", "step-2"])


# -- what answers say --------------------------------------------------------------------------------------------------


def test_a_person_who_always_prefers_one_is_told_from_chance(answered: Callable[..., Judgement], workspace: Workspace):
    found = answered(always(SECOND))
    assert found.preference
    assert (found.preference.for_second, found.preference.for_first, found.preference.ties) == (20, 0, 0)
    assert found.preference.p < 0.05
    assert found.consistency
    assert (found.consistency.count, found.consistency.of) == (2, 2)
    assert found.told[0].startswith(f"{SECOND} is more like the character to you in 20 of 20 pairs")
    assert Judgement.model_validate_json(workspace.judging_json.read_bytes()) == found


def test_what_answers_say_is_of_the_evaluation_that_the_page_was_made_of(
    answered: Callable[..., Judgement], workspace: Workspace
):
    assert answered(always(SECOND)).sha256 == judged_sha256(workspace)
    pictures = workspace.pictures_jsonl.read_bytes()
    try:
        write_records(workspace.pictures_jsonl, [])  # another evaluation
        assert answered(always(SECOND)).sha256 != judged_sha256(workspace)
    finally:
        workspace.pictures_jsonl.write_bytes(pictures)


def test_ties_alone_prove_nothing(answered: Callable[..., Judgement]):
    found = answered(lambda pair: "no difference")
    assert found.preference
    assert (found.preference.p, found.preference.ties, found.preference.share) == (1.0, 20, None)
    assert found.agreements == ()


def test_a_person_who_always_says_left_is_found_inconsistent(answered: Callable[..., Judgement]):
    found = answered(lambda pair: "left")
    assert found.preference
    assert found.preference.p == 1.0
    assert found.consistency
    assert (found.consistency.count, found.consistency.of) == (0, 2)
    assert any("saw twice" in words for words in found.told)


def test_axes_agree_or_not_and_weights_are_proposed(answered: Callable[..., Judgement]):
    with_it = answered(always(SECOND))
    shares = {one.axis: (one.share.count, one.share.of) for one in with_it.agreements}
    assert shares == {"identity": (20, 20), "drift": (20, 20)}, (
        "less harm is better; an axis without a gap says nothing"
    )
    assert "You and `identity` agree in 20 of 20 pairs: it sees what you see." in with_it.told
    assert any("evaluate.weights.identity=2" in words for words in with_it.told)
    against = answered(always(FIRST))
    assert any("evaluate.weights.identity=0" in words for words in against.told)


def test_an_axis_agrees_for_sure_by_the_test_that_a_preference_is_told_by(answered: Callable[..., Judgement], key: Key):
    pairs = [one for one in key.pairs if not one.repeats]
    for count, is_sure in ((5, False), (6, True)):  # p = 0.0625 and 0.031
        some = {one.id for one in pairs[:count]}
        found = answered(lambda one, some=some: always(SECOND)(one) if one.id in some else "no difference")
        assert any(words.startswith("You prefer neither for sure") for words in found.told) is not is_sure
        assert any("it sees what you see" in words for words in found.told) is is_sure


def test_ticks_are_counted_apart_on_drawn_and_real_pictures(answered: Callable[..., Judgement]):
    (rate,) = answered(always(FIRST), tick="no").items
    assert rate.drawn
    assert rate.real
    assert (rate.drawn.count, rate.drawn.of, rate.real.count, rate.real.of) == (0, 6, 0, 2)
    assert any("0 of 2 real pictures" in words for words in answered(always(FIRST), tick="no").told)
    (untold,) = answered(always(FIRST), tick="cannot tell").items
    assert (untold.drawn, untold.real, untold.untold) == (None, None, 8)


def test_the_reader_is_compared_with_the_person(answered: Callable[..., Judgement]):
    against = answered(always(FIRST), tick="no")
    assert against.compared == 8
    assert against.alpha is not None
    assert against.alpha < 0
    assert answered(always(FIRST), tick="yes").alpha is None, "all is called the same: nothing could differ"


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"page": "0123456789abcdef"}, "answers another page"),
        ({"pairs": {"ffffffffff": "left"}}, "questions that the page did not ask: ffffffffff"),
        ({"ticks": {"ffffffffff": "perhaps"}}, "ticks.ffffffffff: Input should be 'yes', 'no' or 'cannot tell'"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"pairs": {}, "ticks": {}}, "answers nothing"),
    ],
)
def test_answers_that_are_not_this_pages_are_refused(answered: Callable[..., Judgement], other: dict, told: str):
    with pytest.raises(EvaluationError, match=re.escape(told)):
        answered(always(SECOND), **other)


def test_answers_without_a_page_are_refused(recipe: Recipe, tmp_path: Path):
    with pytest.raises(WorkspaceError, match="Make the page first: likeness judge"):
        judge_answers(Workspace.create(tmp_path), recipe, tmp_path / "answers.json")


def test_the_command_asks_and_then_tells(workspace: Workspace, key: Key, tmp_path: Path):
    asked = CliRunner().invoke(app, ["judge", str(workspace.root), "--json"])
    told = json.loads(asked.stdout)
    assert (told["id"], told["pairs"], told["ticks"]) == (key.page, 22, 8)
    answers = {"page": key.page, "pairs": {one.id: always(SECOND)(one) for one in key.pairs}, "ticks": {}}
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    done = CliRunner().invoke(app, ["judge", str(workspace.root), "--answers", str(tmp_path / "answers.json")])
    assert done.exit_code == 0
    assert "22 of 30 questions answered" in done.stdout
    assert "20 of 20 (0.84 to 1.00)" in done.stdout


def test_names_beside_answers_are_refused(workspace: Workspace):
    done = CliRunner().invoke(app, ["judge", str(workspace.root), FIRST, SECOND, "--answers", "answers.json"])
    assert isinstance(done.exception, RecipeError)


# -- the numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "p"), [(0, 5, 0.0625), (15, 5, 0.0414), (5, 15, 0.0414), (3, 3, 1), (0, 0, 1)]
)
def test_the_sign_test_is_the_exact_binomial(one: int, other: int, p: float):
    assert sign_test(one, other) == pytest.approx(p, abs=5e-5)


def units(*rows: str) -> list[list[str | None]]:
    return [[None if value == "." else value for value in column] for column in zip(*rows, strict=True)]


@pytest.mark.parametrize(
    ("rows", "alpha"),
    [
        (("0100000010", "1110010000"), 0.095),
        (("aabbdcccedda", "babbbccceddd"), 0.692),
        (("123321412...", "1233224125.3", ".3332342251.", "12332441251."), 0.743),
    ],
)
def test_alpha_is_that_of_krippendorffs_worked_examples(rows: tuple[str, ...], alpha: float):
    """Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, parts A, B and C."""
    assert nominal_alpha(units(*rows)) == pytest.approx(alpha, abs=5e-4)


def test_alpha_of_what_could_not_differ_is_untold():
    assert nominal_alpha([]) is None
    assert nominal_alpha([["yes", None]]) is None
    assert nominal_alpha([["yes", "yes"]]) is None
    assert nominal_alpha([["yes", "yes"], ["no", "no"]]) == 1
