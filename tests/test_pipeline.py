"""The wiring: steps in order, skipped while nothing changes, and refused where they must be."""

import json
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from PIL import Image
from safetensors import safe_open
from tiny import tiny_sd15

from likeness import pipeline
from likeness.errors import (
    CheckpointError,
    ConsentError,
    Interrupted,
    PictureError,
    RecipeError,
    ResumeError,
    WorkspaceError,
)
from likeness.evaluation.scorecard import Score, rules_of
from likeness.events import Event, Report, read_events, silent
from likeness.images import open_pixels, save_png
from likeness.perception.plain import PlainReader
from likeness.pipeline import adapted, draw_pictures, newest_lora, open_base, open_reader, run
from likeness.pipeline.bench import Bench
from likeness.recipe import BaseConfig, PerceptionConfig, Recipe, SampleConfig
from likeness.records import Caption, Picture, read_records, write_records
from likeness.workspace import Run, Workspace

TO_ENCODE = ("curate", "caption", "encode")
TO_TRAIN = (*TO_ENCODE, "train")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp("base"))


def workspace_in(folder: Path) -> Workspace:
    made = Workspace.create(folder / "mira")
    for number in range(3):
        save_png(made.images / f"{number}.png", numpy.full((32, 32, 3), 60 * number, numpy.uint8))
    return made


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return workspace_in(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Workspace:
    """A workspace in which all steps were done; for `done` alone."""
    made = workspace_in(tmp_path_factory.mktemp("finished"))
    run(made, recipe)
    return made


@pytest.fixture
def done(finished: Workspace, recipe: Recipe, tmp_path: Path) -> Workspace:
    """A workspace in which all steps were done: a copy, whose pictures are looked at anew and nothing else."""
    copy = Workspace(shutil.copytree(finished.root, tmp_path / "mira"))
    fresh = [outcome.step for outcome in run(copy, recipe) if outcome.is_fresh]
    assert fresh == ["encode", "train", "evaluate", "sample"]
    return copy


@pytest.fixture(scope="module")
def recipe(base: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "character": {"name": "Mira", "trigger": "mirachar", "class_words": "1girl", "kind": "original"},
            "base": {"path": str(base), "device": "cpu"},
            "perception": {"reader": "fake_reader:FakeReader"},
            "curate": {"choose": "all"},
            "encode": {"variants": 2},
            "train": {"steps": 3, "batch": 1, "rank": 2, "save_every": 2},
            "sample": {"steps": 2, "count": 2, "seed": 5, "sampler": "ddim"},
        }
    )


def changed(recipe: Recipe, section: str, **values: object) -> Recipe:
    before = recipe.model_dump(exclude_unset=True)  # what was left open stays open, for the preset
    return Recipe.model_validate({**before, section: {**before.get(section, {}), **values}})


def fresh_steps(workspace: Workspace, recipe: Recipe, steps: Sequence[str]) -> dict[str, bool]:
    return {outcome.step: outcome.is_fresh for outcome in run(workspace, recipe, steps)}


def test_all_steps_leave_what_they_promise(workspace: Workspace, recipe: Recipe):
    outcomes = run(workspace, recipe)
    assert [outcome.step for outcome in outcomes] == ["curate", "caption", "encode", "train", "evaluate", "sample"]
    assert not any(outcome.is_fresh for outcome in outcomes)
    assert len(read_records(workspace.images_jsonl, Picture)) == 3
    assert read_records(workspace.captions_jsonl, Caption)[0].text.startswith("mirachar, 1girl, ")
    assert [path.name for path in Run(workspace.runs / "0001").checkpoints] == [
        "step-000002.safetensors",
        "step-000003.safetensors",
    ]
    assert len(list(workspace.samples.glob("0001-Mira-*/*.png"))) == 2
    assert read_events(workspace.runs / "0001" / "events.jsonl")[-1].done == 3
    assert all((workspace.root / path).exists() for outcome in outcomes for path in outcome.made)


def test_what_has_not_changed_is_skipped_and_nothing_is_written(workspace: Workspace, recipe: Recipe):
    made = [outcome.made for outcome in run(workspace, recipe)]
    before = {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*.*") if path.name != ".lock"}
    again = run(workspace, recipe)
    assert all(outcome.is_fresh for outcome in again)
    assert [outcome.made for outcome in again] == made, "a fresh step names what it made before"
    assert {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*.*") if path.name != ".lock"} == before


@pytest.mark.parametrize(
    ("section", "values", "stale"),
    [
        ("sample", {"seed": 6}, {"sample"}),
        ("character", {"kind": "fictional"}, set()),
        ("train", {"sample_every": 2, "sample_prompts": ("a fox",)}, set()),
        ("character", {"name": "Vix"}, {"train", "evaluate", "sample"}),
        ("train", {"learning_rate": 3e-4}, {"train", "evaluate", "sample"}),
        ("encode", {"variants": 3}, {"encode", "train", "evaluate", "sample"}),
        ("caption", {"add": ("drawing",)}, {"caption", "encode", "train", "evaluate", "sample"}),
    ],
)
def test_a_changed_section_makes_its_own_step_and_those_after_it_stale(
    done: Workspace, recipe: Recipe, section: str, values: dict[str, object], stale: set[str]
):
    again = fresh_steps(done, changed(recipe, section, **values), tuple(pipeline.STEPS))
    assert {step for step, is_fresh in again.items() if not is_fresh} == stale


def test_an_edited_picture_is_seen_and_only_it_is_encoded_again(done: Workspace, recipe: Recipe):
    files = set(done.cache.glob("*.safetensors"))
    save_png(done.images / "1.png", numpy.full((32, 32, 3), 255, numpy.uint8))
    assert not any(fresh_steps(done, recipe, TO_ENCODE).values())
    assert len(set(done.cache.glob("*.safetensors")) - files) == 2, "its latents and its texts"


def test_what_a_person_decided_about_a_picture_reaches_the_cache(done: Workspace, recipe: Recipe):
    first, *others = read_records(done.images_jsonl, Picture)
    rejected = first.model_copy(update={"use": "rejected", "decided_by": "person", "reason": "another character"})
    write_records(done.images_jsonl, [rejected, *others])
    run(done, recipe, TO_ENCODE)
    index = json.loads((done.cache / "index.json").read_text())
    assert [entry["path"] for entry in index["pictures"]] == ["1.png", "2.png"]


def test_a_caption_file_is_read_when_it_appears(done: Workspace, recipe: Recipe):
    (done.images / "0.txt").write_text("a red scarf")
    run(done, recipe, TO_ENCODE)
    assert read_records(done.captions_jsonl, Caption)[0].tags == ("mirachar", "1girl", "a red scarf")


def test_missing_class_pictures_are_drawn_once_with_the_captions_without_the_trigger(
    workspace: Workspace, recipe: Recipe
):
    own = changed(recipe, "encode", class_pictures=3)
    workspace.class_pictures.mkdir()
    save_png(workspace.class_pictures / "mine.png", numpy.zeros((36, 40, 3), numpy.uint8))
    run(workspace, own, TO_ENCODE)
    drawn = sorted(path.name for path in workspace.class_pictures.iterdir())
    assert [name.partition("-")[2][:4] + name[-4:] for name in drawn[:4]] == [
        "0001.png",
        "0001.txt",
        "0002.png",
        "0002.txt",
    ]
    assert drawn[4:] == ["mine.png"]
    assert "mira" not in (workspace.class_pictures / drawn[1]).read_text()
    assert fresh_steps(workspace, own, TO_ENCODE)["encode"]
    (workspace.class_pictures / "mine.txt").write_text("fox, black")
    assert not fresh_steps(workspace, own, TO_ENCODE)["encode"]
    assert sorted(path.name for path in workspace.class_pictures.iterdir())[:4] == drawn[:4]
    run(workspace, changed(own, "sample", seed=5, steps=3), TO_ENCODE)
    anew = {path.name for path in workspace.class_pictures.iterdir()}
    assert len(anew) == 6
    assert not anew & {*drawn[:4]}  # drawn otherwise, they are other pictures


def test_a_deleted_cache_is_made_again(done: Workspace, recipe: Recipe):
    shutil.rmtree(done.cache)
    assert fresh_steps(done, recipe, TO_ENCODE) == {"curate": True, "caption": True, "encode": False}


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_cache_that_lost_a_file_or_part_of_one_is_mended(done: Workspace, recipe: Recipe, damage: str):
    index = json.loads((done.cache / "index.json").read_text())
    file = done.cache / f"{index['shared']['texts']}.safetensors"
    whole = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:-1])
    assert fresh_steps(done, recipe, TO_ENCODE) == {"curate": True, "caption": True, "encode": False}
    assert file.read_bytes() == whole


def test_a_real_person_without_consent_is_refused_before_anything_is_done(workspace: Workspace, recipe: Recipe):
    real = changed(recipe, "character", kind="real-person")
    with pytest.raises(ConsentError, match="consent"):
        run(workspace, real, TO_TRAIN)
    assert not workspace.images_jsonl.exists()
    assert run(workspace, real, TO_ENCODE)[-1].step == "encode"


def test_a_workspace_in_use_is_refused(workspace: Workspace, recipe: Recipe):
    with workspace.lock("likeness train"), pytest.raises(WorkspaceError, match="in use"):
        run(workspace, recipe, ("curate",))


def test_sampling_before_training_says_what_to_do(workspace: Workspace, recipe: Recipe):
    with pytest.raises(WorkspaceError, match="likeness train"):
        run(workspace, recipe, ("sample",))


def test_an_empty_folder_says_what_to_do(tmp_path: Path, recipe: Recipe):
    with pytest.raises(PictureError, match="holds no pictures"):
        run(Workspace.create(tmp_path / "empty"), recipe, TO_ENCODE)


def test_a_second_training_with_another_setting_is_a_run_of_its_own(done: Workspace, recipe: Recipe):
    first = newest_lora(done).read_bytes()
    run(done, changed(recipe, "train", rank=1), TO_TRAIN)
    assert newest_lora(done).parent.name == "0002"
    assert (done.runs / "0001" / "Mira.safetensors").read_bytes() == first


def interrupted_after(step: int) -> Report:
    """A report that stops training as Ctrl-C does, when `step` steps are told."""

    def report(event: Event) -> None:
        if event.stage == "train" and event.done == step:
            signal.raise_signal(signal.SIGINT)

    return report


def test_an_interrupted_run_goes_on_in_its_own_folder(workspace: Workspace, recipe: Recipe):
    with pytest.raises(Interrupted, match="Stopped after step"):
        run(workspace, recipe, TO_TRAIN, report=interrupted_after(1))
    run(workspace, recipe, TO_TRAIN)
    assert [folder.name for folder in workspace.runs.iterdir()] == ["0001"]
    assert newest_lora(workspace).name == "Mira.safetensors"


def test_what_is_not_finished_is_drawn_with_only_where_nothing_is_and_that_is_told(
    workspace: Workspace, recipe: Recipe
):
    notes: list[str] = []
    with pytest.raises(Interrupted):
        run(workspace, recipe, TO_TRAIN, report=interrupted_after(1))
    shutil.copytree(workspace.runs / "0001", workspace.runs / "0001-backup")
    run(workspace, recipe, ("sample",), report=lambda event: notes.append(event.note))
    assert notes[0].startswith("run 0001 is not on record as finished")
    assert [folder.name[:17] for folder in workspace.samples.iterdir()] == ["0001-step-000002-"]
    run(workspace, recipe, TO_TRAIN)
    with pytest.raises(Interrupted):
        run(workspace, changed(recipe, "train", rank=1), TO_TRAIN, report=interrupted_after(1))
    assert newest_lora(workspace) == workspace.runs / "0001" / "Mira.safetensors"


def test_an_interrupted_run_whose_recipe_changed_is_refused_with_a_way_on(workspace: Workspace, recipe: Recipe):
    with pytest.raises(Interrupted):
        run(workspace, recipe, TO_TRAIN, report=interrupted_after(1))
    other = changed(recipe, "train", learning_rate=0.01)
    with pytest.raises(ResumeError, match=r"learning_rate[\s\S]*delete .*state"):
        run(workspace, other, TO_TRAIN)
    shutil.rmtree(workspace.runs / "0001" / "state")
    run(workspace, other, TO_TRAIN)
    assert newest_lora(workspace).parent.name == "0002"


def test_a_run_that_was_killed_before_it_was_on_record_is_not_trained_again(
    workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
):
    def killed(self: Workspace, step: str, *told: object) -> None:
        raise KeyboardInterrupt

    run(workspace, recipe, TO_ENCODE)
    with monkeypatch.context() as patched:
        patched.setattr(Workspace, "mark_done", killed)
        with pytest.raises(KeyboardInterrupt):
            run(workspace, recipe, ("train",))
    before = {path: path.stat().st_mtime_ns for path in workspace.runs.rglob("*.safetensors")}
    told: list[Event] = []
    outcomes = run(workspace, recipe, ("train",), report=told.append)
    assert not any("loss" in event.numbers for event in told)
    assert {path: path.stat().st_mtime_ns for path in workspace.runs.rglob("*.safetensors")} == before
    assert outcomes[0].made[-1] == "runs/0001/Mira.safetensors"


def test_a_run_that_lost_a_file_or_is_not_this_one_is_not_taken_for_it(done: Workspace, recipe: Recipe):
    (done.runs / "0001" / "step-000002.safetensors").unlink()
    assert run(done, recipe, TO_TRAIN)[-1].made[-1] == "runs/0002/Mira.safetensors"
    exact = changed(recipe, "train", save_dtype="float32")
    assert run(done, exact, TO_TRAIN)[-1].made[-1] == "runs/0003/Mira.safetensors"


def test_a_damaged_state_has_one_cure(workspace: Workspace, recipe: Recipe):
    with pytest.raises(Interrupted):
        run(workspace, recipe, TO_TRAIN, report=interrupted_after(1))
    state = workspace.runs / "0001" / "state"
    (state / "state.json").write_text("{")
    with pytest.raises(ResumeError) as refused:
        run(workspace, recipe, TO_TRAIN)
    assert str(refused.value).lower().count("delete") == 1
    assert f"Delete {state} and repeat" in str(refused.value)
    shutil.rmtree(state)
    assert run(workspace, recipe, TO_TRAIN)[-1].made[-1] == "runs/0002/Mira.safetensors"


def test_a_sample_strip_has_a_picture_per_prompt(workspace: Workspace, recipe: Recipe):
    run(workspace, changed(recipe, "train", sample_every=2, sample_prompts=("one", "two")), TO_TRAIN)
    strip = open_pixels(workspace.runs / "0001" / "samples" / "step-000002.png")
    assert strip.shape == (32, 64, 3)


def test_a_sample_says_how_it_was_made(workspace: Workspace, recipe: Recipe):
    run(workspace, changed(recipe, "sample", prompts=("mirachar, waving",), negative="blurry", count=1))
    (path,) = workspace.samples.glob("0001-Mira-*/*")
    with Image.open(path) as picture:
        told = picture.info["parameters"]
    with safe_open(newest_lora(workspace), framework="pt") as file:
        short = file.metadata()["sshs_model_hash"][:12]
    assert told == (
        "mirachar, waving <lora:Mira:1>\nNegative prompt: blurry\n"
        "Steps: 2, Sampler: DDIM, CFG scale: 5, Seed: 5, Size: 32x32, RNG: CPU, "
        f'Lora hashes: "Mira: {short}"'
    )


def test_other_settings_leave_earlier_samples_as_they_are(done: Workspace, recipe: Recipe):
    made = [run(done, changed(recipe, "sample", guidance=guidance))[-1].made for guidance in (2.0, 3.0, 2.0)]
    assert made[0] == made[2]
    assert not set(made[0]) & set(made[1])
    assert all((done.root / path).exists() for path in (*made[0], *made[1]))


def test_what_was_drawn_before_a_stop_is_kept(workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    def stopped(event: Event) -> None:
        if event.stage == "sample" and event.done == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("likeness.pipeline.samples.AT_ONCE", 1, raising=False)
    with pytest.raises(KeyboardInterrupt):
        run(workspace, recipe, report=stopped)
    assert [path.name for path in workspace.samples.glob("*/*")] == ["001-seed-5.png"]


def test_a_lora_acts_inside_its_block_and_not_after_it(workspace: Workspace, recipe: Recipe):
    run(workspace, changed(recipe, "train", learning_rate=0.1), TO_TRAIN)
    model, config = open_base(recipe.base), SampleConfig(steps=2, sampler="ddim")
    before = draw_pictures(model, ["a fox"], config, seeds=[1])[0]
    with adapted(model, newest_lora(workspace)):
        inside = draw_pictures(model, ["a fox"], config, seeds=[1])[0]
    after = draw_pictures(model, ["a fox"], config, seeds=[1])[0]
    assert (before != inside).any()
    assert (before == after).all()


def test_names_that_are_not_there_are_refused_in_words(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"base\.path"):
        open_base(BaseConfig(path=str(tmp_path / "nowhere")))
    with pytest.raises(RecipeError, match=r"perception\.reader = 'nobody'"):
        open_reader(PerceptionConfig(reader="nobody"))
    assert isinstance(open_reader(PerceptionConfig(reader="plain")), PlainReader)


def test_another_base_makes_the_cache_stale(workspace: Workspace, recipe: Recipe, tmp_path: Path):
    run(workspace, recipe, TO_ENCODE)
    other = tiny_sd15(tmp_path / "other", seed=1)
    assert fresh_steps(workspace, changed(recipe, "base", path=str(other)), TO_ENCODE)["encode"] is False


def test_a_moved_workspace_and_a_copied_base_make_nothing_stale(
    workspace: Workspace, recipe: Recipe, base: Path, tmp_path: Path
):
    run(workspace, recipe, TO_ENCODE)
    copied = Path(shutil.copytree(base, tmp_path / "copied", copy_function=shutil.copyfile))
    moved = Workspace(workspace.root.rename(tmp_path / "moved"))
    assert all(fresh_steps(moved, changed(recipe, "base", path=str(copied)), TO_ENCODE).values())
    schedule = copied / "scheduler" / "scheduler_config.json"
    schedule.write_text(schedule.read_text().replace("epsilon", "v_prediction"))
    assert not fresh_steps(moved, changed(recipe, "base", path=str(copied)), TO_ENCODE)["encode"]


def test_a_base_is_read_once_until_it_changes(workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch):
    def refused(path: Path) -> str:
        raise AssertionError(f"{path} is read again")

    first = Bench(workspace, recipe, silent).base_digest
    monkeypatch.setattr("likeness.pipeline.bench.sha256_of", refused)
    assert Bench(workspace, recipe, silent).base_digest == first


# -- early stopping ----------------------------------------------------------------------------------------------------


def held_out(workspace: Workspace, count: int = 1) -> None:
    """A person holds out as many pictures, from 2.png on; there are enough of them."""
    for number in range(8 + count):
        red = numpy.full((32, 32, 3), (100 + 10 * number, 0, 0), numpy.uint8)
        save_png(workspace.images / f"{number}.png", red)
    rows = "".join(f"{number}.png,held-out\n" for number in range(2, 2 + count))
    workspace.labels_csv.write_text(f"path,use\n{rows}")


def test_a_run_that_gains_nothing_ends_early_and_evaluation_draws_nothing_twice(
    workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
):
    """None of them is like the character, so the first is the best; without limits it may be published."""
    unlimited = [replace(rule, limit=None) for rule in rules_of(recipe.evaluate)]
    monkeypatch.setattr("likeness.evaluation.watch.rules_of", lambda config: unlimited)
    held_out(workspace, 4)
    watched = changed(recipe, "perception", reader="fake_reader:KnowingReader")
    watched = changed(watched, "train", steps=5, save_every=1, early_stop=1)
    watched = changed(watched, "evaluate", count=8, first=2, seeds=1, finalists=1, confirm=False)
    run(workspace, watched, TO_TRAIN)
    trained = Run(workspace.runs / "0001")
    assert len(trained.checkpoints) == 2
    told = next(event for event in read_events(trained.events) if event.note.startswith("ends after"))
    assert told.note.startswith("ends after step 2: 1 checkpoint in a row is no better than step 1 (identity ")
    assert trained.lora("Mira").exists()
    assert fresh_steps(workspace, watched, ["train"]) == {"train": True}
    looked_at = {path: path.stat().st_mtime_ns for path in workspace.evaluation.rglob("*.png")}
    run(workspace, watched, ["evaluate"])
    assert {path: path.stat().st_mtime_ns for path in looked_at} == looked_at
    assert {one.step for one in read_records(workspace.scores_jsonl, Score)} == {None, 1, 2}


@pytest.mark.parametrize(
    ("holds_out", "told"), [(False, "no picture was held out"), (True, "tells no characters apart")]
)
def test_early_stopping_that_could_tell_nothing_is_refused(
    workspace: Workspace, recipe: Recipe, holds_out: bool, told: str
):
    if holds_out:
        held_out(workspace)
    with pytest.raises(RecipeError, match=f"train.early_stop = 2, but .*{told}"):
        run(workspace, changed(recipe, "train", early_stop=2), TO_TRAIN)
    assert workspace.numbered_runs() == []
