"""What an evaluation reads: pictures and scores of before are used again only where all that made them is the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from likeness.evaluation.shots import Shot
from likeness.events import silent
from likeness.pipeline import layer_painter, painter
from likeness.pipeline.bench import Bench
from likeness.pipeline.evaluation import evaluation_inputs, instruments_for
from likeness.pipeline.layer_painter import LayerPainter
from likeness.recipe import Recipe
from likeness.workspace import Workspace

SHOT = Shot(kind="own", number=0, prompt="mirachar", seed=1)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A character with one checkpoint, an encoder of its own, and nothing else."""
    encoder = tmp_path / "dinov2"
    encoder.mkdir()
    (encoder / "model.safetensors").write_bytes(b"weights")
    character = {"name": "mira", "trigger": "mirachar", "kind": "original"}
    recipe = Recipe.model_validate({"character": character, "evaluate": {"encoder": str(encoder)}})
    workspace = Workspace.create(tmp_path / "mira")
    lora = workspace.runs / "0001" / "step-000100.safetensors"
    lora.parent.mkdir(parents=True)
    lora.write_bytes(b"lora")
    return Bench(workspace, recipe, silent)


def places(bench: Bench) -> list[Path]:
    """Where the pictures of base, LoRA, and some of its layers are kept."""
    lora = bench.workspace.runs / "0001" / "step-000100.safetensors"
    plain = bench.recipe.model_copy(update={"evaluate": bench.recipe.evaluate.model_copy(update={"encoder": "plain"})})
    at_hand = Bench(bench.workspace, plain, silent)
    draw = instruments_for(at_hand, {"mira": lora}).draw
    assert isinstance(draw, painter.Painter)
    return [*draw.files("base", [SHOT]), *draw.files("mira", [SHOT]), *LayerPainter(at_hand, lora).files(["a"], [SHOT])]


def test_pictures_that_another_version_drew_are_drawn_again(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    before = places(bench)
    assert places(bench) == before
    other = {**painter.drawing_versions(), "torch": "0.0"}
    for module in (painter, layer_painter):
        monkeypatch.setattr(module, "drawing_versions", lambda: other)
    assert not {*places(bench)} & {*before}


@pytest.mark.parametrize(
    "changed",
    [
        lambda bench: bench.workspace.plan_json.write_text("{}"),
        lambda bench: (Path(bench.recipe.evaluate.encoder) / "model.safetensors").write_bytes(b"other weights"),
    ],
    ids=["the plan", "an encoder"],
)
def test_scores_are_stale_when_what_they_rest_on_changes(bench: Bench, changed: Callable[[Bench], object]):
    before = evaluation_inputs(bench)
    assert evaluation_inputs(bench) == before
    changed(bench)
    assert evaluation_inputs(bench) != before
