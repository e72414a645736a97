"""The seal: held-out pictures are on record by their bytes, and nothing that holds one is trained on."""

import json
from pathlib import Path

import numpy
import pytest
from tiny import tiny_sd15

from likeness.dataset.seal import read_seal, write_seal
from likeness.errors import PictureError, TooFewPictures, WorkspaceError
from likeness.images import save_png, sha256_of
from likeness.pipeline import run
from likeness.recipe import Recipe
from likeness.records import Picture, read_records, write_records
from likeness.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Five pictures of different views by a person's word, of which one is held out."""
    made = Workspace.create(tmp_path / "mira")
    for number in range(5):
        rng = numpy.random.default_rng(number)
        coarse = rng.integers(0, 255, (4, 4, 3), numpy.uint8)
        save_png(made.images / f"{number}.png", numpy.kron(coarse, numpy.ones((16, 16, 1), numpy.uint8)))
        (made.images / f"{number}.txt").write_text(f"view {number}")
    made.labels_csv.write_text("path,use\n3.png,held-out\n")
    return made


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    base = tiny_sd15(tmp_path / "base")
    return Recipe.model_validate(
        {
            "character": {"name": "Mira", "trigger": "mirachar", "kind": "original"},
            "base": {"path": str(base), "device": "cpu"},
            "curate": {"choose": "all"},
            "encode": {"variants": 1},
            "train": {"steps": 1, "batch": 1, "rank": 1},
        }
    )


def test_a_picture_that_is_held_out_is_not_trained_on(workspace: Workspace, recipe: Recipe):
    run(workspace, recipe, ("curate", "caption", "encode", "train"))
    index = json.loads((workspace.cache / "index.json").read_text())
    assert [entry["path"] for entry in index["pictures"]] == ["0.png", "1.png", "2.png", "4.png"]
    assert read_seal(workspace.held_out_json) == {sha256_of(workspace.images / "3.png")}


def test_training_refuses_a_held_out_picture_that_got_into_the_cache(workspace: Workspace, recipe: Recipe):
    """By a hand that changed the record after curation, say."""
    run(workspace, recipe, ("curate", "caption"))
    records = read_records(workspace.images_jsonl, Picture)
    write_records(workspace.images_jsonl, [one.model_copy(update={"use": "train"}) for one in records])
    run(workspace, recipe, ("encode",))
    with pytest.raises(PictureError, match=r"3\.png is held out for measuring.*Nothing was trained"):
        run(workspace, recipe, ("train",))
    assert not list(workspace.runs.glob("*/*.safetensors"))


def test_a_list_that_was_changed_by_hand_is_refused(workspace: Workspace, recipe: Recipe):
    run(workspace, recipe, ("curate", "caption", "encode"))
    told = json.loads(workspace.held_out_json.read_text())
    workspace.held_out_json.write_text(json.dumps({**told, "held_out": []}))
    with pytest.raises(WorkspaceError, match="changed since curation sealed it"):
        run(workspace, recipe, ("train",))


def test_a_person_may_unseal_a_picture_by_a_label(workspace: Workspace, recipe: Recipe):
    run(workspace, recipe, ("curate",))
    workspace.labels_csv.write_text("path,use\n3.png,train\n")
    run(workspace, recipe, ("curate", "caption", "encode", "train"))
    assert read_seal(workspace.held_out_json) == frozenset()


@pytest.mark.parametrize("choose", ["all", "auto"])
def test_a_label_that_is_taken_back_unseals_a_picture(workspace: Workspace, recipe: Recipe, choose: str):
    few = recipe.curate.model_copy(update={"choose": choose, "accept_few": True, "held_out": 0.0})
    recipe = recipe.model_copy(update={"curate": few})
    run(workspace, recipe, ("curate",))
    workspace.labels_csv.write_text("path,use\n")
    run(workspace, recipe, ("curate",))
    assert read_seal(workspace.held_out_json) == frozenset()
    assert all(one.use == "train" for one in read_records(workspace.images_jsonl, Picture))


def test_a_set_of_which_nothing_is_left_to_train_on_is_refused(workspace: Workspace, recipe: Recipe):
    workspace.labels_csv.write_text("path,use\n" + "".join(f"{number}.png,held-out\n" for number in range(5)))
    with pytest.raises(TooFewPictures, match="No picture is left to train on: all 5 are held out or rejected"):
        run(workspace, recipe, ("curate", "caption"))


def test_nothing_is_sealed_where_there_is_no_list(tmp_path: Path):
    assert read_seal(tmp_path / "held-out.json") == frozenset()
    write_seal(tmp_path / "held-out.json", [])
    assert read_seal(tmp_path / "held-out.json") == frozenset()


def test_what_was_sealed_stays_so_until_it_is_to_be_trained_on(workspace: Workspace, recipe: Recipe):
    run(workspace, recipe, ("curate",))
    records = read_records(workspace.images_jsonl, Picture)
    before = read_seal(workspace.held_out_json)
    rejected = [one.model_copy(update={"use": "rejected"}) for one in records]
    write_seal(workspace.held_out_json, rejected, before)
    assert read_seal(workspace.held_out_json) == before
    write_seal(workspace.held_out_json, [one.model_copy(update={"use": "train"}) for one in records], before)
    assert read_seal(workspace.held_out_json) == frozenset()
