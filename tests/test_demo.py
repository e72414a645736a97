"""The demo: an unseen character, drawn, learnt, measured and shown."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy
import pytest
from tiny import tiny_sd15
from typer.testing import CliRunner

from likeness.cli import app
from likeness.dataset.origins import Origin
from likeness.demo import DemoResult, demo
from likeness.demo.subject import SETTINGS, fill_pool
from likeness.errors import EvaluationError, RecipeError, WorkspaceError
from likeness.evaluation import grids, pages
from likeness.evaluation.scorecard import Judged
from likeness.evaluation.shots import Shot
from likeness.evaluation.tallies import ADHERENCE
from likeness.events import Event
from likeness.images import Pixels, save_png
from likeness.maquette.world import KINDS, SCENE_AXES, character, is_unseen, trait_tags
from likeness.pipeline.comparisons import compare_evaluations
from likeness.recipe import Recipe, load_recipe
from likeness.records import Caption, Picture, read_records
from likeness.seeds import stream
from likeness.workspace import Workspace

NUMBER = 7
PROMPTS, OTHERS = 36, 4  # each pair of view and expression once: the grid has a place for each


@pytest.fixture(scope="module", autouse=True)
def _fewer_prompts() -> Iterator[None]:
    """48 and 24 are for intervals that a person is shown."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("likeness.demo.subject.PROMPTS", PROMPTS)
        patch.setattr("likeness.demo.subject.OTHERS", OTHERS)
        yield


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    base = tiny_sd15(tmp_path_factory.mktemp("base"))
    quick = ("train.steps=2", "train.batch=2", "train.rank=1", "encode.variants=1", "encode.size=64", "sample.steps=1")
    few = ("evaluate.count=4", "evaluate.first=2", "evaluate.finalists=1", "evaluate.steps=1", "train.save_every=1")
    fakes = (f"base.path={base}", "base.device=cpu", "perception.reader=fake_reader:FakeReader", "sample.sampler=ddim")
    return (*quick, *few, *fakes)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """What `result` reported."""
    return []


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, settings: tuple[str, ...], events: list[Event]) -> DemoResult:
    return demo(tmp_path_factory.mktemp("demo") / "seven", NUMBER, settings=settings, report=events.append)


def test_it_leaves_pictures_a_lora_a_page_and_a_grid(result: DemoResult):
    workspace = Workspace(result.workspace)
    assert len(list(workspace.images.iterdir())) == 80, "a raw pool"
    assert workspace.curation_html.exists()
    assert result.lora == workspace.runs / "0001" / f"{result.name}.safetensors"
    assert result.grid.exists()
    assert result.page.read_text().startswith("<!doctype html>")


def test_it_says_why_its_lora_is_not_published(result: DemoResult):
    """A base of noise, which no limit lets through: on the embedded one it ends with a catalog."""
    assert result.catalog.startswith("none: ")
    assert "evaluation let none of its LoRAs through" in result.catalog
    assert not (result.workspace / "catalog").exists()


def test_it_learns_from_what_curation_chose(result: DemoResult):
    workspace = Workspace(result.workspace)
    pictures = read_records(workspace.images_jsonl, Picture)
    told = result.curation
    assert told["counts"]["pool"] == 80
    assert told["train"] == [one.path for one in pictures if one.use == "train"]
    assert len(told["held_out"]) >= 4
    index = json.loads((workspace.cache / "index.json").read_text())
    assert [entry["path"] for entry in index["pictures"]] == told["train"]
    page = result.page.read_text()
    assert f"{told['counts']['train']} of a raw pool of 80 files" in page
    assert all(f"<figcaption>{reason}</figcaption>" in page for reason in ("held out", "blur", "heavy JPEG", "text"))
    assert 'href="report/curation.html"' in page


def test_the_pool_is_drawn_once(tmp_path: Path):
    workspace = Workspace.create(tmp_path / "mira")
    scenes = fill_pool(workspace, NUMBER, character(NUMBER))
    before = {path: path.stat().st_mtime_ns for path in workspace.images.iterdir()}
    assert fill_pool(workspace, NUMBER, character(NUMBER)) == scenes
    assert {path: path.stat().st_mtime_ns for path in workspace.images.iterdir()} == before
    assert len(scenes) == 79, "of all files but the one that is no picture"
    assert {one.rights for one in read_records(workspace.sources_jsonl, Origin)} == {"Apache-2.0"}


def test_its_summary_has_every_number_that_a_program_wants(result: DemoResult):
    told = json.loads(json.dumps(result.summary()))
    assert {"workspace", "lora", "page", "grid"} <= told.keys()
    assert told["seconds"].keys() == {"curate", "encode", "train", "evaluate", "sample", "total"}
    assert told["curation"].keys() >= {"counts", "rejected", "train", "held_out", "coverage", "missing"}
    assert told["identity"].keys() == {"base", "lora", "by_kind"}
    assert told["identity"]["by_kind"].keys() == KINDS.keys()
    assert told["adherence"].keys() == set(ADHERENCE)
    for pair in (*told["identity"]["by_kind"].values(), *told["adherence"].values(), told["others"]):
        assert pair.keys() == {"base", "lora"}
        assert all(0 <= share <= 1 for share in pair.values())


def test_its_numbers_are_what_the_reader_saw(result: DemoResult):
    """The fake reader always sees a smile, from the front: a sixth of the prompts ask for each."""
    assert result.comparison.adherence["view"].lora.mean == pytest.approx(1 / 6)
    assert result.comparison.adherence["expression"].base.samples == PROMPTS - PROMPTS // 6, "not asked from behind"
    assert result.comparison.adherence["view"].base.samples == PROMPTS
    assert result.others.base.samples == OTHERS


def test_nothing_of_the_character_is_said_in_its_captions(result: DemoResult):
    captions = read_records(Workspace(result.workspace).captions_jsonl, Caption)
    own = set(trait_tags(character(NUMBER).traits))
    assert len(captions) == result.curation["counts"]["train"] + result.curation["counts"]["held_out"]
    assert all(
        caption.tags[0] == load_recipe(Workspace(result.workspace).recipe).character.trigger for caption in captions
    )
    assert not own & {tag for caption in captions for tag in caption.tags}


def test_its_recipe_is_the_demo_s_own_without_what_was_laid_over_it(result: DemoResult):
    recipe = load_recipe(result.workspace / "likeness.toml")
    assert recipe.train.steps == SETTINGS["train"]["steps"]
    assert recipe.base.path == "maquette"


def test_its_settings_are_a_valid_recipe_s():
    named = {"name": "A", "trigger": "a", "kind": "original"}
    recipe = Recipe.model_validate({"character": named, **SETTINGS})
    assert recipe.train.model_fields_set == SETTINGS["train"].keys()


def test_a_second_time_nothing_is_trained_again_and_no_other_command_gets_in_between(
    result: DemoResult, settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    told: list[Event] = []
    locked: list[str] = []
    lock = Workspace.lock

    def noted(self: Workspace, command: str) -> AbstractContextManager[None]:
        locked.append(command)
        return lock(self, command)

    def slow(page: pages.ProofPage) -> str:
        time.sleep(1)
        return pages.render_page(page)

    monkeypatch.setattr(Workspace, "lock", noted)
    monkeypatch.setattr("likeness.demo.render_page", slow)
    again = demo(result.workspace, NUMBER, settings=settings, report=told.append)
    assert [event.note for event in told if event.stage == "train"] == ["nothing has changed"]
    assert again.lora == result.lora
    assert again.comparison == result.comparison
    assert again.seconds["train"] < result.seconds["train"], "its seconds are those of this time"
    assert again.seconds["total"] >= 1 + again.seconds["sample"], "the page is part of it"
    assert again.summary() == json.loads((result.workspace / "proof.json").read_text())
    assert locked == ["likeness demo"]


def test_another_character_in_the_same_folder_is_refused(result: DemoResult, settings: tuple[str, ...]):
    with pytest.raises(WorkspaceError, match="holds another character"):
        demo(result.workspace, NUMBER + 1, settings=settings)


def test_base_and_lora_start_from_the_same_noise(
    result: DemoResult, tmp_path: Path, settings: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    """With a LoRA of no strength, both draw the same pictures."""
    shown: list[grids.Block] = []

    def kept(blocks: Sequence[grids.Block], **layout: int) -> Pixels:
        shown.extend(blocks)
        return grids.draw_grid(blocks, **layout)

    monkeypatch.setattr("likeness.demo.page.draw_grid", kept)
    again = shutil.copytree(result.workspace, tmp_path / "d")
    demo(again, NUMBER, settings=(*settings, "sample.weight=0"))
    assert [block.title for block in shown] == list(SCENE_AXES["view"])
    for block in shown:
        assert block.rows == ("real", "base", "LoRA")
        assert tuple(block.columns) == SCENE_AXES["expression"]
        real, base, lora = block.pictures
        assert all((one == other).all() for one, other in zip(base, lora, strict=True))
        assert not any(numpy.array_equal(one, other) for one, other in zip(real, base, strict=True))


def test_its_progress_counts_both_halves_of_the_sampling_once(result: DemoResult, events: list[Event]):
    sampled = [event.done for event in events if event.stage == "sample"]
    assert sampled == sorted(sampled)
    assert sampled[-1] == 2 * (PROMPTS + OTHERS)


@pytest.mark.slow
def test_the_embedded_base_learns_an_unseen_character(tmp_path: Path):
    """A short training, but enough that the likeness is there: the whole bars are held by benchmarks/."""
    assert is_unseen(character(NUMBER))
    train = ("train.steps=12", "train.learning_rate=4e-3", "train.preserve=0", "train.preserve_prompts=[]")
    drawn = ("sample.steps=3", "sample.guidance=1", "evaluate.steps=3", "evaluate.count=4", "evaluate.first=2")
    found = demo(tmp_path / "seven", NUMBER, settings=(*train, *drawn)).comparison
    assert found.identity.gain.low > 0.2
    assert found.adherence["view"].lora.mean > 0.6


@pytest.fixture(scope="module")
def told(result: DemoResult, settings: tuple[str, ...]) -> dict[str, Any]:
    words = [word for setting in settings for word in ("--set", setting)]
    answer = CliRunner().invoke(app, ["evaluate", str(result.workspace), "--json", *words])
    assert answer.exit_code == 0, answer.output
    (line,) = answer.stdout.splitlines()
    return json.loads(line)


ByFile = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def by_file(result: DemoResult, settings: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> ByFile:
    """Measures the demo's LoRA as a file of which no workspace is known, and answers with what is told."""
    folder = tmp_path_factory.mktemp("by file")
    (folder / "real").mkdir()
    for place in range(9):
        save_png(folder / "real" / f"{place}.png", numpy.full((64, 64, 3), 20 * place, numpy.uint8))
    said = [setting for setting in settings if not setting.startswith(("train", "encode"))]
    words = ["--references", str(folder / "real"), "--to", str(folder / "out"), "--json"]
    words += [word for setting in said for word in ("--set", setting)]

    def measured(*more: str) -> dict[str, Any]:
        answer = CliRunner().invoke(app, ["evaluate", str(result.lora), *words, *more])
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    return measured


class TestEvaluation:
    """`likeness evaluate` and `compare`, on the workspace that the demo left."""

    def test_it_answers_with_one_object(self, told: dict[str, Any]):
        assert told.keys() >= {"lora", "choice", "findings", "measured", "scores", "page", "detectable", "pictures"}
        assert all((Path(told["workspace"]) / one["picture"]).is_file() for one in told["pictures"])
        assert {score["who"] for score in told["scores"]} == {"base", "step-000001", "step-000002"}
        assert told["measured"]["instruments"]["encoder"].startswith("plain ")

    def test_what_a_reader_cannot_tell_is_counted_and_scored_by_nothing(self, told: dict[str, Any]):
        own = [score for score in told["scores"] if score["axis"] == "identity" and score["step"]]
        assert own
        for score in own:
            assert score["value"] is None
            assert score["missing"] == {"this reader does not tell characters apart": score["asked"]}

    def test_every_picture_is_kept_with_what_it_was_asked_for(self, result: DemoResult, told: dict[str, Any]):
        workspace = Workspace(result.workspace)
        pictures = read_records(workspace.pictures_jsonl, Judged)
        assert all((workspace.root / one.picture).is_file() for one in pictures)
        asked = {
            who: [one.shot for one in pictures if one.who == who and one.round == "first"] for who in told["findings"]
        }
        assert len({tuple(_keys(shots)) for shots in asked.values()}) == 1, "the same prompts and noise for all"

    def test_an_adapter_is_not_worse_than_itself(self, result: DemoResult, told: dict[str, Any]):
        name = next(iter(told["findings"]))
        same = CliRunner().invoke(app, ["compare", *[f"{result.workspace}={name}"] * 2, "--json"])
        answer = json.loads(same.stdout)
        assert answer["worse"] == []
        assert answer["is_decided"] is False, "the tiny reader here tells no likeness"
        assert same.exit_code == 2

    def test_a_name_that_was_not_measured_is_refused(self, result: DemoResult):
        with pytest.raises(EvaluationError, match="has no 'step-9' that was measured"):
            compare_evaluations(f"{result.workspace}=step-9", str(result.workspace))

    def test_any_file_is_measured_against_a_folder_of_real_pictures(self, by_file: ByFile, result: DemoResult):
        told = by_file()
        assert {score["who"] for score in told["scores"]} == {"base", result.lora.stem}
        assert Path(told["workspace"], "scores.jsonl").is_file()
        (by_class, *_) = [one["shot"]["prompt"] for one in told["pictures"] if one["shot"]["kind"] == "class"]
        assert by_class.startswith(f"{character(NUMBER).class_words}, "), "our files say the class words too"

    def test_a_copy_is_shown_beside_the_training_picture_that_it_copies(self, by_file: ByFile, tmp_path: Path):
        workspace = Workspace(Path(by_file()["workspace"]))
        drawn = next(one for one in read_records(workspace.pictures_jsonl, Judged) if one.who != "base")
        for place in range(3):
            save_png(tmp_path / f"{place}.png", stream(place, "learnt").integers(0, 256, (64, 64, 3), numpy.uint8))
        shutil.copy(workspace.root / drawn.picture, tmp_path / "learnt.png")
        told = by_file("--training", str(tmp_path))
        places = [(workspace.root / place).resolve() for place in told["trained_on"]]
        assert places == [(tmp_path / name).resolve() for name in ("0.png", "1.png", "2.png", "learnt.png")]
        again = [one for one in read_records(workspace.pictures_jsonl, Judged) if one.picture == drawn.picture]
        assert {(one.values["memorisation"], one.nearest) for one in again} == {(1, 3)}
        assert f"<code>{told['trained_on'][3]}</code>" in workspace.scorecard_html.read_text()

    def test_without_real_pictures_nothing_is_measured(self, result: DemoResult):
        with pytest.raises(RecipeError, match="--references is needed: a folder of at least 9 real pictures"):
            CliRunner().invoke(app, ["evaluate", str(result.lora)], catch_exceptions=False)


def _keys(shots: Sequence[Shot]) -> list[tuple[str, int]]:
    return [(shot.prompt, shot.seed) for shot in shots]
