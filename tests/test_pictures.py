"""The commands `add`, `label` and `export-dataset`: what they do to a workspace, and what they tell."""

import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from typer.testing import CliRunner

from likeness import cli
from likeness.dataset.labels import read_labels
from likeness.dataset.seal import write_seal
from likeness.images import save_png, sha256_of
from likeness.records import Caption, Picture, read_records, write_records
from likeness.workspace import Workspace


def draw(path: Path, level: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, numpy.full((8, 8, 3), level, numpy.uint8))
    return path


@pytest.fixture
def mira(tmp_path: Path) -> Workspace:
    """A workspace with three pictures."""
    folder = tmp_path / "mira"
    settings = ("--set", "character.trigger=mira", "--set", "character.class_words=1girl", "--set", "encode.size=64")
    assert CliRunner().invoke(cli.app, ["init", str(folder), *settings]).exit_code == 0
    for number in range(3):
        draw(folder / "images" / "raw" / f"{number}.png", number)
    return Workspace(folder)


def called(*arguments: Path | str) -> str:
    done = CliRunner().invoke(cli.app, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def told(*arguments: Path | str) -> dict[str, Any]:
    return json.loads(called(*arguments, "--json"))


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: Path | str) -> str:
    """The message of a command as a shell sees it."""
    monkeypatch.setattr(sys, "argv", ["likeness", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    return capsys.readouterr().err


# -- add ---------------------------------------------------------------------------------------------------------------


def test_what_is_added_is_told_and_on_record(tmp_path: Path, mira: Workspace):
    draw(tmp_path / "new" / "a.png", 9)
    draw(tmp_path / "new" / "b.png", 1)
    (tmp_path / "new" / "a.txt").write_text("smile")
    (tmp_path / "new" / "x.psd").write_bytes(b"x")
    result = told("add", mira.root, tmp_path / "new", "--source", "scans", "--licence", "CC0")
    assert [one["path"] for one in result["added"]] == ["new/a.png"]
    assert (result["notes"], result["present"]) == (1, {"b.png": "raw/1.png"})
    assert result["skipped"] == {"no picture: .psd": ["x.psd"]}
    recorded = [json.loads(line) for line in mira.sources_jsonl.read_text().splitlines()]
    assert [(one["path"], one["source"], one["rights"]) for one in recorded] == [
        ("new/a.png", "scans", "CC0"),
        ("raw/1.png", "scans", "CC0"),
    ]


def test_a_person_is_told_what_was_left_out_and_that_rights_are_missing(tmp_path: Path, mira: Workspace):
    draw(tmp_path / "new" / "[a].png", 9)
    draw(tmp_path / "new" / "b.png", 1)
    words = called("add", mira.root, tmp_path / "new")
    assert "pictures added" in words
    assert "there already: b.png as raw/1.png" in words
    assert "--licence" in words


def test_a_refused_archive_changes_nothing(
    tmp_path: Path, mira: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../a.png", b"x")
    before = sorted(mira.root.rglob("*"))
    assert "leads elsewhere" in refused(monkeypatch, capsys, "add", mira.root, tmp_path / "bad.zip")
    assert [path for path in sorted(mira.root.rglob("*")) if path.name != ".lock"] == before


def test_a_folder_that_is_no_workspace_is_not_made_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    draw(tmp_path / "a.png")
    assert "likeness init" in refused(monkeypatch, capsys, "add", tmp_path / "mria", tmp_path / "a.png")
    assert not (tmp_path / "mria").exists()


# -- label -------------------------------------------------------------------------------------------------------------


def test_pictures_are_labelled_by_path_by_pattern_and_by_a_path_from_here(
    mira: Workspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(mira.root)
    called("label", mira.root, "raw/*.png", "outfit=school uniform")
    called("label", mira.root, "raw/0.png", "images/raw/1.png", "view=profile left", "use=train")
    labels = read_labels(mira.labels_csv)
    assert [(one.path, one.view, one.use, one.traits) for one in labels.values()] == [
        ("raw/0.png", "profile left", "train", {"outfit": "school uniform"}),
        ("raw/1.png", "profile left", "train", {"outfit": "school uniform"}),
        ("raw/2.png", None, None, {"outfit": "school uniform"}),
    ]


def test_a_name_alone_is_the_one_picture_that_has_it(
    mira: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    called("label", mira.root, "0.png", "use=train")
    assert list(read_labels(mira.labels_csv)) == ["raw/0.png"]
    draw(mira.images / "more" / "0.png", 9)
    told = refused(monkeypatch, capsys, "label", mira.root, "0.png", "use=rejected")
    assert "'0.png' could be any of more/0.png, raw/0.png. Write the path from" in told
    assert [one.use for one in read_labels(mira.labels_csv).values()] == ["train"]


def test_without_pictures_the_labels_are_told(mira: Workspace):
    assert "No labels yet" in called("label", mira.root)
    called("label", mira.root, "raw/0.png", "view=back", "people=1")
    assert told("label", mira.root) == {"labels": [{"path": "raw/0.png", "view": "back", "people": 1}]}
    assert "raw/0.png" in called("label", mira.root)
    assert "back" in called("label", mira.root)


def test_an_empty_value_takes_a_label_back(mira: Workspace):
    called("label", mira.root, "raw/0.png", "use=rejected")
    assert told("label", mira.root, "raw/0.png", "use=") == {"labels": []}
    assert read_labels(mira.labels_csv) == {}


def test_a_name_with_an_equals_sign_is_a_picture_if_there_is_one(mira: Workspace):
    draw(mira.images / "view=back.png", 7)
    called("label", mira.root, "view=back.png", "use=train")
    assert list(read_labels(mira.labels_csv)) == ["view=back.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["more/0.png", "use=train"], "did you mean 'raw/0.png'"),
        (["raw/0.jpg", "use=train"], "did you mean 'raw/0.png'"),
        (["raw/0.png"], "what to say of them"),
        (["use=train"], "what to say of them"),
        (["raw/0.png", "veiw=back"], "did you mean 'view'"),
        (["raw/0.png", "view=side"], "view = 'side': use one of front"),
    ],
)
def test_what_cannot_be_said_is_told_and_nothing_is_written(
    mira: Workspace,
    words: Sequence[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    assert message in refused(monkeypatch, capsys, "label", mira.root, *words)
    assert not mira.labels_csv.exists()


# -- export-dataset ----------------------------------------------------------------------------------------------------


def curated(mira: Workspace, **plan: Any) -> None:
    """Records as curating and captioning leave them: two pictures to train on, one held out."""
    pictures = []
    for number, use in enumerate(("train", "train", "held-out")):
        id = sha256_of(mira.images / "raw" / f"{number}.png")
        fields = {"width": 8, "height": 8, "use": use, "decided_by": "curate"}
        pictures.append(Picture(id=id, path=f"raw/{number}.png", **fields))
    write_records(mira.images_jsonl, pictures)
    tags = ("mira", "1girl", "smile")
    captions = [Caption(picture=one.id, tags=tags, text=", ".join(tags), written_by="x") for one in pictures]
    write_records(mira.captions_jsonl, captions)
    if plan:
        mira.plan_json.write_text(json.dumps(plan))


TRAIT = {"name": "mark", "value": "scar", "pictures": 2, "told": 2, "values": {"scar": 2}, "decision": "absorb"}


@pytest.mark.parametrize(
    ("plan", "mirror"),
    [
        ({}, False),
        ({"traits": [], "may_mirror": True}, False),
        ({"traits": [{**TRAIT, "reason": "always there"}], "may_mirror": True}, True),
        ({"traits": [{**TRAIT, "reason": "always there"}], "may_mirror": False, "mirror_reason": "a scar"}, False),
    ],
)
def test_a_dataset_is_exported_and_mirrored_only_where_the_plan_says_so(
    tmp_path: Path, mira: Workspace, plan: dict[str, Any], mirror: bool
):
    curated(mira, **plan)
    result = told("export-dataset", mira.root, tmp_path / "out")
    assert result == {
        "to": str(tmp_path / "out"),
        "pictures": ["img/1_mira 1girl/raw_0.png", "img/1_mira 1girl/raw_1.png"],
        "mirror": mirror,
        "size": 64,
    }
    assert f"flip_aug = {str(mirror).lower()}" in (tmp_path / "out" / "dataset.toml").read_text()


def test_a_person_is_told_how_to_use_the_dataset(tmp_path: Path, mira: Workspace):
    curated(mira)
    words = called("export-dataset", mira.root, tmp_path / "out")
    assert f"--dataset_config {tmp_path / 'out' / 'dataset.toml'}" in words


def test_a_sealed_picture_is_not_exported_whatever_its_record_says(
    tmp_path: Path, mira: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    curated(mira)
    pictures = read_records(mira.images_jsonl, Picture)
    write_seal(mira.held_out_json, pictures)
    write_records(mira.images_jsonl, [one.model_copy(update={"use": "train"}) for one in pictures])
    assert "held out" in refused(monkeypatch, capsys, "export-dataset", mira.root, tmp_path / "out")


@pytest.mark.parametrize("lacking", ["images.jsonl", "captions.jsonl"])
def test_before_there_is_something_to_export_the_next_command_is_told(
    tmp_path: Path, mira: Workspace, lacking: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    curated(mira)
    (mira.root / lacking).unlink()
    command = "curate" if lacking == "images.jsonl" else "caption"
    assert f"likeness {command} {mira.root}" in refused(
        monkeypatch, capsys, "export-dataset", mira.root, tmp_path / "out"
    )
