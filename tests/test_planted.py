"""The harness that plants faults: each arm shows what it says, and nothing else is wrong with it."""

import json
from collections import Counter

import planted
import pytest

from likeness.maquette.world import HELD_OUT_PAIRS, Identity, is_unseen, scene_tags
from likeness.pipeline import run
from likeness.records import Caption, Picture, read_records
from likeness.workspace import Workspace

ARMS = {arm.name: arm for arm in planted.ARMS}
CLOTHING = ("garment", "garment_colour", "pattern")


def _differing(one: Identity, other: Identity) -> set[str]:
    return {name for name in one.traits if one[name] != other[name]}


@pytest.mark.parametrize("number", planted.NUMBERS)
def test_a_subject_bears_every_fault(number):
    who = planted.subject(number)
    assert who.identity["mark"].split()[0] in ("left", "right")
    assert who.identity["streak"] == "none"
    assert is_unseen(who.identity)
    for name in ("garment", "garment_colour"):
        assert len({outfit[name] for outfit in who.outfits}) == 3
    for outfit in who.outfits[1:]:
        dressed = {**who.identity.traits, **outfit}
        assert outfit["garment_colour"] != "orange"
        assert not any(
            dressed[a] == x and dressed[b] == y for (a, x), (b, y) in HELD_OUT_PAIRS if a in CLOTHING or b in CLOTHING
        )


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("again", set()),
        ("leak", set()),
        ("mirrored", {"mark"}),
        ("eyes", {"left_eye", "right_eye"}),
        ("proportions", {"head_ratio", "height", "build"}),
        ("misnamed", set()),
    ],
)
def test_an_arm_differs_from_the_control_in_its_fault_alone(name, changed):
    for number in planted.NUMBERS[:2]:  # a mark on each side
        who = planted.subject(number)
        control, own = planted.taught(who, ARMS["control"]), planted.taught(who, ARMS[name])
        for one, other in zip(control, own, strict=True):
            assert one.drawing.scene == other.drawing.scene
            assert _differing(one.drawing.identity, other.drawing.identity) == changed
            assert (one.caption == other.caption) == (name not in ("leak", "misnamed"))


def test_the_control_shows_views_framings_and_outfits_evenly():
    pictures = planted.taught(planted.subject(401), ARMS["control"])
    scenes = [one.drawing.scene for one in pictures]
    assert set(Counter((scene.view, scene.framing) for scene in scenes).values()) == {2}
    assert sorted(Counter(one.drawing.identity["garment"] for one in pictures).values()) == [8, 8, 20]
    assert len({tuple(scene_tags(scene)) for scene in scenes}) == 36


def test_what_an_arm_holds_fixed_goes_unsaid():
    who = planted.subject(402)
    dressed, placed = planted.taught(who, ARMS["one-outfit"]), planted.taught(who, ARMS["one-background"])
    assert {one.drawing.identity["garment"] for one in dressed} == {who.identity["garment"]}
    assert not any(who.identity["garment"] in one.caption for one in dressed)
    (background,) = {one.drawing.scene.background for one in placed}
    assert background != "white"
    assert not any(scene_tags({"background": background})[0] in one.caption for one in placed)
    assert {one.caption for one in planted.taught(who, ARMS["copies"])} == {f"{who.trigger}, 1girl"}


def test_an_outfit_that_is_misnamed_is_never_said_to_be_what_it_is():
    who = planted.subject(402)
    garments = {outfit["garment"] for outfit in who.outfits}
    for one in planted.taught(who, ARMS["misnamed"]):
        (said,) = {garment for garment in garments if garment in one.caption.split(", ")[2]}
        assert said != one.drawing.identity["garment"]


def test_references_are_drawn_once_and_never_trained_on(tmp_path):
    drawings = planted.references(401, tmp_path)
    folder = tmp_path / "401" / "references"
    told = json.loads((folder / "references.json").read_text())
    assert [one["file"] for one in told] == sorted(path.name for path in folder.glob("*.png"))
    assert Counter(one["outfit"] for one in told) == {0: 12, 1: 6, 2: 6}
    assert set(Counter(one.scene.view for one in drawings).values()) == {4}
    assert set(Counter(one.scene.framing for one in drawings).values()) == {8}
    trained = planted.taught(planted.subject(401), ARMS["control"])
    seen = {tuple(scene_tags(one.drawing.scene)) for one in trained}
    assert not seen & {tuple(scene_tags(one.scene)) for one in drawings}
    before = (folder / "00.png").stat().st_mtime_ns
    assert planted.references(401, tmp_path) == drawings
    assert (folder / "00.png").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["copies", "leak"])
def test_every_picture_is_trained_on_with_its_own_words(tmp_path, name):
    who, workspace = planted.subject(401), Workspace.create(tmp_path / "arm")
    planted.fill(workspace, who, ARMS[name])
    run(workspace, planted.recipe_of(who, ARMS[name]), ("curate", "caption"))
    pictures = {one.id: one for one in read_records(workspace.images_jsonl, Picture)}
    assert {one.use for one in pictures.values()} == {"train"}
    written = {one.path: one for one in pictures.values()}
    assert len(written) == sum(ARMS[name].counts)
    for caption in read_records(workspace.captions_jsonl, Caption):
        said = (workspace.images / pictures[caption.picture].path).with_suffix(".txt").read_text().strip()
        assert caption.text == said
        assert (who.trigger in caption.tags) == (name != "leak")
