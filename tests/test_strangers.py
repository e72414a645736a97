"""LoRAs and pictures by anyone, measured from the command line: their names, and what is taken for a picture."""

import json
import re
import shutil
from pathlib import Path

import numpy
import pytest
from tiny_lora import tiny_lora
from typer.testing import CliRunner

from likeness.cli import app
from likeness.diffusion.family import DiffusionModel
from likeness.errors import LikenessError
from likeness.evaluation.scorecard import Judged
from likeness.images import Pixels, open_pixels, save_png
from likeness.records import Picture, read_records
from likeness.workspace import Workspace

QUICK = [
    f"--set=evaluate.{name}" for name in ("count=4", "first=2", "seeds=1", "confirm=false", "steps=1", 'words="booru"')
]


@pytest.fixture(scope="module")
def lora(model: DiffusionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA with the name that the base's own pictures go by, with weights as if trained."""
    return tiny_lora(model, tmp_path_factory.mktemp("lora") / "base.safetensors", trigger="mirachar")


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    for place in range(9):
        save_png(folder / f"{place}.png", numpy.full((32, 32, 3), 20 * place, numpy.uint8))
    return folder


def measured(target: Path, references: Path, base: Path, to: Path, *more: str) -> Workspace:
    words = ["evaluate", target, "--references", references, "--base", base, "--to", to, *more]
    result = CliRunner().invoke(
        app, [*map(str, words), "--reader", "fake_reader:FakeReader", *QUICK, "--json"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return Workspace(json.loads(result.stdout)["workspace"])


def test_a_lora_called_base_is_measured_beside_the_base(lora: Path, references: Path, folder: Path, tmp_path: Path):
    workspace = measured(lora, references, folder, tmp_path / "scores")
    by_who: dict[str, list[Pixels]] = {}
    for one in read_records(workspace.pictures_jsonl, Judged):
        by_who.setdefault(one.who, []).append(open_pixels(workspace.root / one.picture))
    assert set(by_who) == {"base", "base (LoRA)"}
    assert all((one != other).any() for one, other in zip(*by_who.values(), strict=True))


def test_what_cannot_be_measured_so_says_what_can(lora: Path, references: Path, folder: Path, tmp_path: Path):
    picture = references / "0.png"
    for words, told in (
        (["evaluate", picture, "--references", references], f"Measure those of a folder: --pictures {references}"),
        (["evaluate", measured(lora, references, folder, tmp_path / "scores").root], "nothing to draw with"),
    ):
        with pytest.raises(LikenessError, match=re.escape(told)):
            CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)


def test_only_pictures_are_taken_for_such_and_records_name_them_by_relative_paths(
    lora: Path, references: Path, folder: Path, tmp_path: Path
):
    real, training = tmp_path / "real", tmp_path / "training"
    shutil.copytree(references, real)
    shutil.copytree(references, training)
    (real / "old.png").mkdir()
    for place in ("._0.png", ".trash/0.png"):
        (real / place).parent.mkdir(exist_ok=True)
        (real / place).write_bytes(b"no picture")
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to("there")
    workspace = measured(lora, real, folder, tmp_path / "here" / "scores", "--training", str(training))
    assert len(read_records(workspace.images_jsonl, Picture)) == 9
    trained_on = json.loads(workspace.choice_json.read_bytes())["trained_on"]
    assert trained_on == [f"../../training/{place}.png" for place in range(9)]
    assert all((workspace.root / place).is_file() for place in trained_on)
