"""Blocks: what holds the character is kept, what does harm is found, and a file without it is one that can be used."""

import hashlib
import io
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy
import pytest
import torch
from painters import WHO, Truth, base, being, good, instruments_of, real_of, shots_of
from safetensors import safe_open
from tiny_lora import tiny_lora
from typer.testing import CliRunner

from likeness.cli import app
from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.files.inspection import block_of
from likeness.diffusion.files.lora_files import adapter_from, load_lora
from likeness.errors import CheckpointError, EvaluationError
from likeness.evaluation.blocks import Blocks, Parts, dissect
from likeness.evaluation.instruments import Real
from likeness.evaluation.probe_charts import draw_blocks
from likeness.evaluation.shots import Shot
from likeness.images import Pixels, open_pixels, save_png
from likeness.maquette.world import Drawing
from likeness.pipeline.layer_painter import prune_file, with_layers
from likeness.recipe import EvaluateConfig
from likeness.records import Caption, Picture, Reading, write_records
from likeness.seeds import stream
from likeness.workspace import Workspace

SHOTS, CONFIG = shots_of(32), EvaluateConfig(first=8)
BLOCKS = {"down": ["d1", "d2"], "mid": ["m"], "up": ["u1", "u2"]}
Held = Callable[[Collection[str], Shot], Drawing]


def apart(layers: Collection[str], shot: Shot) -> Drawing:
    """The upper block holds the character, the middle one draws it where nobody asked, and the lower one is idle."""
    is_uncalled = shot.kind == "class"
    if is_uncalled:
        return being(base(shot), **WHO.traits) if "m" in layers else base(shot)
    return good(shot) if "u1" in layers else base(shot)


def twice(layers: Collection[str], shot: Shot) -> Drawing:
    """The upper and the middle block hold the same, and each does harm; the lower one is idle."""
    if shot.kind == "class":
        traits = ["mark", "ears", "hair_colour", "tail"] if "m" in layers else []
        traits += ["eye_shape", "skin", "horns", "accessory"] if "u1" in layers else []
        return being(base(shot), **{name: WHO[name] for name in traits})
    return good(shot) if {"u1", "m"} & set(layers) else base(shot)


def dissected(held: Held, sets: dict[str, list[str]] | None = None) -> tuple[Blocks, list[set[str]]]:
    """What is told of the blocks of a LoRA that draws so, and with which layers it drew."""
    truth, drawn = Truth(), []

    def draw(layers: Collection[str], shots: Sequence[Shot]) -> list[Pixels]:
        drawn.append(set(layers))
        return [truth.paint(held(layers, shot) if layers else base(shot)) for shot in shots]

    parts, instruments = Parts(BLOCKS, sets or {}, draw), instruments_of(truth, {})
    return dissect(parts, SHOTS, real_of(truth), CONFIG, instruments=instruments, seed=1), drawn


@pytest.fixture(scope="module")
def told() -> Blocks:
    found, _ = dissected(apart, {"all": ["d1", "d2", "m", "u1", "u2"], "mid-upper": ["m", "u1"], "upper": ["u1"]})
    return found


def difference(some: Sequence, axis: str) -> float:
    return next(one.difference.mean for one in some if one.axis == axis)


def test_each_block_is_drawn_without_and_alone(told: Blocks):
    _, drawn = dissected(apart)
    assert drawn[:2] == [set(), {"d1", "d2", "m", "u1", "u2"}]
    assert drawn[2:] == [
        {"m", "u1", "u2"},
        {"d1", "d2"},
        {"d1", "d2", "u1", "u2"},
        {"m"},
        {"d1", "d2", "m"},
        {"u1", "u2"},
    ]
    assert [(one.block, one.layers) for one in told.blocks] == [("down", 2), ("mid", 1), ("up", 2)]


def test_identity_and_harm_are_found_where_they_live(told: Blocks):
    down, mid, up = told.blocks
    assert told.whole["identity"].mean == pytest.approx(1, abs=0.1)
    assert difference(up.without, "identity") == pytest.approx(-1, abs=0.2)
    assert difference(up.alone, "identity") == pytest.approx(0, abs=1e-6)
    assert difference(mid.without, "leak") < -0.8
    assert difference(mid.without, "drift") < -0.8
    assert {one.difference.mean for one in down.without} == {0.0}
    assert [one.holds for one in told.blocks] == [False, False, True]


def test_a_block_that_does_harm_and_is_not_needed_can_be_left_out(told: Blocks):
    assert told.prune == ("mid",)
    assert told.pruned == told.blocks[1].without
    assert "Without mid identity is not less by more than 0.05, and there is surely less harm" in told.told


def test_of_many_blocks_that_do_nothing_none_is_left_out_by_chance():
    """Without each of them, strangers take on other traits of the character by chance; as with all of them."""
    truth, blocks = Truth(), {f"b{number}": [f"l{number}"] for number in range(12)}

    def held(layers: Collection[str], shot: Shot) -> Drawing:
        if shot.kind != "class":
            return good(shot)
        rng = stream(6, str(shot.seed), *sorted(layers))
        return being(base(shot), **{name: value for name, value in WHO.traits.items() if rng.random() < 0.5})

    def draw(layers: Collection[str], shots: Sequence[Shot]) -> list[Pixels]:
        return [truth.paint(held(layers, shot) if layers else base(shot)) for shot in shots]

    shots, config = shots_of(40), EvaluateConfig(first=10)
    parts, instruments = Parts(blocks, {}, draw), instruments_of(truth, {})
    found = dissect(parts, shots, real_of(truth), config, instruments=instruments, seed=1)
    leaks = [one for block in found.blocks for one in block.without if one.axis == "leak"]
    assert any(one.difference.high < 0 for one in leaks), "one by one that would be sure"
    assert "Leak lives in" not in found.told
    assert [one.block for one in found.blocks if one.does_harm] == []
    assert found.prune == ()
    assert "No block does harm that is surely not needed." in found.told


def test_too_few_prompts_say_how_many_would_tell_of_harm():
    truth = Truth()

    def draw(layers: Collection[str], shots: Sequence[Shot]) -> list[Pixels]:
        return [truth.paint(apart(layers, shot) if layers else base(shot)) for shot in shots]

    parts, instruments = Parts(BLOCKS, {}, draw), instruments_of(truth, {})
    found = dissect(parts, shots_of(16), real_of(truth), CONFIG, instruments=instruments, seed=1)
    assert found.prune == ()
    assert "4 prompts without the trigger cannot say surely that leak or drift is less without a block" in found.told
    assert "--set evaluate.count=32 --set evaluate.first=8" in found.told, "as the other tests have"


def test_the_smallest_set_that_holds_the_character_is_named(told: Blocks):
    assert told.block_set == "upper"
    assert difference(told.in_block_set, "identity") == pytest.approx(0, abs=1e-6)
    assert 'train.blocks = "upper"' in told.told


def test_of_two_blocks_that_hold_the_same_one_stays():
    found, drawn = dissected(twice)
    assert [one.holds for one in found.blocks] == [False, False, False]
    assert len(found.prune) == 1
    assert set(found.prune) < {"mid", "up"}
    assert {"d1", "d2"} in drawn[8:], "without both was tried"


def test_where_nothing_is_told_of_identity_nothing_is_left_out():
    truth = Truth()
    truth.same_character = None  # type: ignore[assignment]
    draw = lambda layers, shots: [truth.paint(apart(layers, shot)) for shot in shots]  # noqa: E731
    instruments = instruments_of(truth, {})
    found = dissect(Parts(BLOCKS, {}, draw), SHOTS, real_of(truth), CONFIG, instruments=instruments, seed=1)
    assert found.prune == ()
    assert found.told == "Nothing could be told of identity: no block is suggested to be left out."


class Blinded(Truth):
    """Knows nobody in the pictures of these drawings."""

    def __init__(self) -> None:
        super().__init__()
        self.unknown: set[bytes] = set()

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        found = zip(super().read(pictures), pictures, strict=True)
        return [one.model_copy(update={"embedding": None}) if p.tobytes() in self.unknown else one for one, p in found]


def test_a_block_without_which_nobody_is_known_may_be_needed():
    truth = Blinded()

    def draw(layers: Collection[str], shots: Sequence[Shot]) -> list[Pixels]:
        pictures = [truth.paint(apart(layers, shot) if layers else base(shot)) for shot in shots]
        truth.unknown |= {one.tobytes() for one in pictures} if layers and "u1" not in layers else set()
        return pictures

    found = dissect(
        Parts(BLOCKS, {}, draw), SHOTS, real_of(truth), CONFIG, instruments=instruments_of(truth, {}), seed=1
    )
    assert [one.holds for one in found.blocks] == [False, False, True]
    assert "Without up identity may be less by more than 0.05; that is not sure." in found.told


@pytest.mark.parametrize(("blocks", "match"), [({"up": ["u1"]}, "no second block"), (BLOCKS, "no held-out picture")])
def test_what_cannot_be_measured_is_refused(blocks: dict[str, list[str]], match: str):
    truth = Truth()
    real = real_of(truth) if len(blocks) == 1 else Real((), ())
    parts = Parts(blocks, {}, lambda layers, shots: [])
    with pytest.raises(EvaluationError, match=match):
        dissect(parts, SHOTS, real, CONFIG, instruments=instruments_of(truth, {}), seed=1)


def test_a_record_is_read_back_and_a_chart_is_drawn(told: Blocks, tmp_path: Path):
    assert Blocks.model_validate_json(told.model_dump_json()) == told
    draw_blocks(told, tmp_path / "plots" / "blocks.png")
    assert open_pixels(tmp_path / "plots" / "blocks.png").std() > 10


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lora(model: DiffusionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the middle and the upper blocks, with weights as if trained."""
    return tiny_lora(model, tmp_path_factory.mktemp("lora") / "mira.safetensors")


def test_a_file_without_a_block_gives_the_bases_answer_there_and_the_loras_elsewhere(
    model: DiffusionModel, lora: Path, tmp_path: Path
):
    pruned = load_lora(prune_file(lora, ["mid_block"], tmp_path / "pruned.safetensors"))
    whole, targets = load_lora(lora), model.adapter_targets()
    gone = [layer for layer in whole.layers() if block_of(layer) == "mid_block"]
    assert gone
    assert pruned.layers().keys() == whole.layers().keys() - set(gone)

    def answers(file: object) -> dict[str, torch.Tensor]:
        adapter = adapter_from(file, targets)  # type: ignore[arg-type]
        inputs = {name: torch.ones(2, targets[name].in_features) for name in whole.layers()}  # type: ignore[arg-type]
        try:
            return {name: targets[name](one) for name, one in inputs.items()}
        finally:
            adapter.detach()

    bare, all_on, some_on = answers(with_layers(whole, [])), answers(whole), answers(pruned)
    for layer in whole.layers():
        assert torch.equal(some_on[layer], bare[layer] if layer in gone else all_on[layer])
        assert not torch.equal(bare[layer], all_on[layer])


def test_a_pruned_file_keeps_its_notes_and_tells_hashes_of_its_own(lora: Path, tmp_path: Path):
    out = prune_file(lora, ["mid_block"], tmp_path)
    assert out.name == "mira-pruned.safetensors"
    with safe_open(lora, framework="pt") as one, safe_open(out, framework="pt") as other:
        before, after = one.metadata(), other.metadata()
    assert {name for name in before if before[name] != after[name]} == {
        "ss_output_name",
        "sshs_model_hash",
        "modelspec.hash_sha256",
    }
    data = out.read_bytes()
    tail = data[8 + int.from_bytes(data[:8], "little") :]
    assert after["sshs_model_hash"] == hashlib.sha256(tail).hexdigest()


def test_a_lora_is_not_written_over(lora: Path):
    with pytest.raises(CheckpointError, match="is the LoRA itself"):
        prune_file(lora, ["mid_block"], lora)


# -- from the command line ---------------------------------------------------------------------------------------------

RECIPE = """
[character]
name = "mira"
kind = "original"
trigger = "mirachar"
class_words = "girl"
[base]
path = "{base}"
device = "cpu"
[perception]
reader = "fake_reader:FakeReader"
[evaluate]
count = 4
first = 2
seeds = 1
[sample]
steps = 1
"""


@pytest.fixture
def workspace(folder: Path, lora: Path, tmp_path: Path) -> Workspace:
    """A character with a LoRA, of which nothing was measured."""
    made = Workspace.create(tmp_path / "mira")
    made.recipe.write_text(RECIPE.format(base=folder))
    uses = ("held-out", "train")
    for number in range(2):
        save_png(made.images / f"{number}.png", numpy.full((32, 32, 3), 90 * number, numpy.uint8))
    told = {"width": 32, "height": 32, "decided_by": "x"}
    write_records(
        made.images_jsonl, [Picture(id=f"{n:064x}", path=f"{n}.png", use=use, **told) for n, use in enumerate(uses)]
    )
    write_records(made.captions_jsonl, [Caption(picture=f"{1:064x}", tags=(), text="mirachar", written_by="x")])
    made.plan_json.write_text('{"traits": [], "pictures": 2}')
    place = made.runs / "0001" / "step-000100.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(lora.read_bytes())
    return made


def answer_of(*words: str) -> dict:
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_both_commands_leave_what_they_found_and_draw_nothing_twice(workspace: Workspace):
    root, pictures = workspace.root, workspace.evaluation / "pictures"
    strength = answer_of("strength", str(root), "--weights", "0.5,1")
    plots = {"chart": "strength.png", "pictures": "strength-pictures.png"}
    where = {name: str(workspace.plots / file) for name, file in plots.items()}
    where |= {"record": str(workspace.strength_json)}
    assert strength == json.loads(workspace.strength_json.read_text()) | where
    assert all(Path(place).is_file() for place in where.values())
    assert strength["sha256"] == hashlib.sha256((root / strength["lora"]).read_bytes()).hexdigest()
    assert len(list(pictures.iterdir())) == 3, "base and two weights"
    blocks = answer_of("blocks", str(root), "--write", str(root / "out.safetensors"))
    assert blocks["file"] == ""
    assert not (root / "out.safetensors").exists()
    where = {"record": str(workspace.blocks_json), "chart": str(workspace.plots / "blocks.png"), "file": ""}
    assert json.loads(workspace.blocks_json.read_text()) | where == blocks
    assert Path(where["chart"]).is_file()
    assert [one["block"] for one in blocks["blocks"]] == ["mid_block", "up_blocks.1", "up_blocks.2"]
    assert len(list(pictures.iterdir())) == 9, "without and alone of three; base and whole were there"
    drawn = {path.parent: path.read_bytes() for path in pictures.glob("*/own-*.png")}
    assert len(set(drawn.values())) == 9, "each set of layers draws otherwise"
    assert {path.name for path in workspace.plots.iterdir()} == {"strength.png", "strength-pictures.png", "blocks.png"}


def test_the_tables_tell_people_what_was_found(told: Blocks):
    from rich.console import Console

    from likeness.cli.probing import blocks_table

    console = Console(width=120, file=io.StringIO())
    places = {"record": "mira/blocks.json", "chart": "mira/blocks.png", "file": ""}
    with console.capture() as captured:
        console.print(blocks_table(told, places, Path("out.safetensors")))
    words = captured.get()
    headings = [line.strip() for line in words.splitlines() if line.strip() in ("without", "alone", "suggested")]
    assert headings == ["without", "alone", "suggested"]
    assert "Identity lives in up (" in words
    assert "Leak lives in mid (" in words
    assert "out.safetensors was not written" in words
    assert "chart: mira/blocks.png\nall of it: mira/blocks.json" in words
