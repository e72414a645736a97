"""Training: what is learnt, what is left alone, and what a bad recipe gets.

Shapes: B batch, D h w latent.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import tiny_base, tiny_sd15
from tiny_data import FRONT, NOTES, tiny_cache, tiny_pictures
from torch import Tensor, nn

from likeness.cache.encode import encode
from likeness.diffusion import load_model
from likeness.diffusion.adapter import attach
from likeness.diffusion.blocks import BlockSet
from likeness.diffusion.family import DiffusionModel
from likeness.diffusion.files.lora_files import adapter_from, load_lora
from likeness.errors import CheckpointError, Diverged, RecipeError, WorkspaceError
from likeness.events import Event
from likeness.recipe import EncodeConfig, TrainConfig
from likeness.records import Checkpoint, PictureLoss, read_records
from likeness.training.batches import draw
from likeness.training.data import DataSet, load_data
from likeness.training.logbook import Looks
from likeness.training.noise import Noising
from likeness.training.train import train
from likeness.workspace import Run

QUICK = {"steps": 6, "batch": 2, "learning_rate": 1e-2, "rank": 2, "save_every": 3}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, model: DiffusionModel) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("data"), model)


@pytest.fixture(scope="module")
def data(cache: Path, model: DiffusionModel) -> DataSet:
    return load_data(cache, model)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "0001"
    path.mkdir(parents=True)
    return path


def trained(cache: Path, run: Path, model: DiffusionModel, **fields: Any) -> list[Checkpoint]:
    names = ("looks", "report", "seed")
    options = {"seed": 7, **{name: fields.pop(name) for name in names if name in fields}}
    return train(cache, TrainConfig(**{**QUICK, **fields}), model=model, to=run, metadata=NOTES, **options)


def last(run: Path, step: int = 6) -> dict[str, Tensor]:
    return load_file(run / f"step-{step:06d}.safetensors")


# -- what comes out ----------------------------------------------------------------------------------------------------


def test_a_run_leaves_a_checkpoint_at_each_interval_and_at_its_end(
    cache: Path, run: Path, model: DiffusionModel
) -> None:
    checkpoints = trained(cache, run, model, steps=5, save_every=2)
    assert [(each.step, each.path) for each in checkpoints] == [
        (step, f"runs/0001/step-{step:06d}.safetensors") for step in (2, 4, 5)
    ]
    assert all(math.isfinite(each.loss) and each.loss > 0 for each in checkpoints)
    assert [each.seconds for each in checkpoints] == sorted(each.seconds for each in checkpoints)
    names = {Path(each.path).name for each in checkpoints}
    assert {path.name for path in run.iterdir()} == {"state", "mira.safetensors", "pictures.jsonl", *names}


def test_the_last_checkpoint_has_the_characters_name_too(cache: Path, run: Path, model: DiffusionModel) -> None:
    trained(cache, run, model)
    named = load_file(run / "mira.safetensors")
    assert named.keys() == last(run).keys()
    assert all(torch.equal(tensor, last(run)[name]) for name, tensor in named.items())
    with safe_open(run / "mira.safetensors", framework="pt") as file:
        assert (file.metadata()["ss_output_name"], file.metadata()["ss_steps"]) == ("mira", "6")


def test_with_no_interval_only_the_last_step_is_saved(cache: Path, run: Path, model: DiffusionModel) -> None:
    assert [each.step for each in trained(cache, run, model, save_every=0)] == [6]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    cache: Path, tmp_path: Path, model: DiffusionModel
) -> None:
    files = []
    for number, seed in enumerate((7, 7, 8)):
        to = tmp_path / str(number) / "0001"
        to.mkdir(parents=True)
        trained(cache, to, model, seed=seed)
        files.append((to / "step-000006.safetensors").read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_the_file_says_how_it_was_trained(cache: Path, run: Path, model: DiffusionModel) -> None:
    trained(cache, run, model)
    with safe_open(run / "step-000003.safetensors", framework="pt") as file:
        notes = file.metadata()
    said = {
        name: notes[f"ss_{name}"] for name in ("steps", "max_train_steps", "seed", "num_train_images", "learning_rate")
    }
    assert said == {"steps": "3", "max_train_steps": "6", "seed": "7", "num_train_images": "5", "learning_rate": "0.01"}


def test_training_lowers_the_loss_on_what_it_is_shown(tmp_path: Path, run: Path, model: DiffusionModel) -> None:
    calm = tiny_cache(tmp_path, model, EncodeConfig(variants=1, caption_dropout=0))
    told: list[Event] = []
    fields = {"steps": 30, "batch": 4, "learning_rate": 3e-2, "rank": 8, "blocks": "all", "save_every": 0}
    trained(calm, run, model, report=told.append, **fields)
    losses = [event.numbers["loss"] for event in told if "loss" in event.numbers]
    assert sum(losses[-7:]) < 0.8 * sum(losses[:7])


def test_events_tell_loss_rate_and_memory(cache: Path, run: Path, model: DiffusionModel) -> None:
    told: list[Event] = []
    checkpoints = trained(cache, run, model, report=told.append)
    assert [event.done for event in told] == list(range(7))
    numbers = told[-1].numbers
    assert set(numbers) == {"loss", "gradient", "learning_rate", "steps_per_second", "memory_bytes"}
    assert numbers["memory_bytes"] > 1 << 20
    assert sum(event.numbers["loss"] for event in told[1:4]) / 3 == pytest.approx(checkpoints[0].loss)


def test_strips_are_drawn_when_due_with_the_adapter_in_place(
    cache: Path, run: Path, model: DiffusionModel, data: DataSet
) -> None:
    drawn: dict[int, Tensor] = {}
    shown = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([500])

    def strip(step: int) -> None:
        with torch.no_grad():
            drawn[step] = model.predict(*shown, data.texts.conditioning[[0]])

    trained(cache, run, model, sample_every=2, looks=Looks(strip=strip))
    assert list(drawn) == [2, 4, 6]
    with torch.no_grad():
        base = model.predict(*shown, data.texts.conditioning[[0]])
    assert not torch.equal(drawn[2], base)
    assert not torch.equal(drawn[2], drawn[6])


def test_what_watches_is_asked_at_each_checkpoint_but_the_last_with_nothing_beside_the_base(
    cache: Path, run: Path, model: DiffusionModel, data: DataSet
) -> None:
    shown = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([500])
    base = model.predict(*shown, data.texts.conditioning[[0]])
    asked: list[int] = []

    def watch(step: int) -> str:
        asked.append(step)
        assert Run(run).checkpoint(step).exists()
        with torch.no_grad():
            assert torch.equal(model.predict(*shown, data.texts.conditioning[[0]]), base)
        return ""

    trained(cache, run, model, save_every=2, looks=Looks(watch=watch))
    assert asked == [2, 4]
    watched = last(run)
    other = run.parent / "0002"
    other.mkdir()
    trained(cache, other, model, save_every=2)
    assert all(torch.equal(tensor, watched[name]) for name, tensor in last(other).items()), "it changes nothing"


def test_a_run_ends_where_it_is_told_to_and_says_why(cache: Path, run: Path, model: DiffusionModel) -> None:
    told: list[Event] = []
    looks = Looks(watch=lambda step: "nothing is gained" if step == 4 else "")
    checkpoints = trained(cache, run, model, save_every=2, looks=looks, report=told.append)
    assert [each.step for each in checkpoints] == [2, 4]
    assert "ends after step 4: nothing is gained" in [event.note for event in told]
    named, of_step = load_file(run / "mira.safetensors"), last(run, 4)
    assert all(torch.equal(named[name], tensor) for name, tensor in of_step.items())
    again = trained(cache, run, model, save_every=2)
    assert [each.step for each in again] == [2, 4], "a run that has ended does not go on"


def test_the_base_is_left_as_it_was(cache: Path, run: Path, model: DiffusionModel, data: DataSet) -> None:
    shown = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([500])
    before = model.predict(*shown, data.texts.conditioning[[0]])
    trained(cache, run, model)
    after = model.predict(*shown, data.texts.conditioning[[0]])
    assert torch.equal(after, before)
    assert not after.requires_grad
    assert all(parameter.grad is None for parameter in model.denoiser.parameters())


def test_the_running_average_is_what_is_saved(cache: Path, tmp_path: Path, model: DiffusionModel) -> None:
    plain, averaged = tmp_path / "plain" / "0001", tmp_path / "averaged" / "0001"
    for to, decay in ((plain, 0.0), (averaged, 0.9)):
        to.mkdir(parents=True)
        trained(cache, to, model, ema_decay=decay, save_dtype="float32", save_every=1)
    steps = [last(plain, step) for step in range(1, 7)]
    for name, saved in last(averaged).items():
        if "lora_up" not in name:
            continue
        average = torch.zeros_like(saved)  # it remembers that they began at 0
        for step, tensors in enumerate(steps):
            average.lerp_(tensors[name], 1 - (1 + step) / (10 + step))  # below 0.9 as yet
        torch.testing.assert_close(saved, average)


def test_a_zero_terminal_base_learns_a_black_picture_at_its_last_step_only_by_the_floor(
    tmp_path: Path, run: Path
) -> None:
    """Without it min-SNR weighs the step that decides light and dark by nothing, and there is no gradient."""
    base = load_model(tiny_base(tmp_path, "sd15", prediction="v_prediction", zero_terminal=True), device="cpu")
    cache = tiny_cache(tmp_path, base, EncodeConfig(variants=1, caption_dropout=0))
    for entry in json.loads((cache / "index.json").read_text())["pictures"]:
        black = torch.full((4, 8, 8), -1.5)
        save_file({"mean": black, "std": torch.zeros(4, 8, 8)}, cache / f"{entry['latents']}.safetensors")
    told: list[Event] = []
    fields = {"steps": 16, "batch": 4, "learning_rate": 3e-2, "rank": 8, "blocks": "all", "timestep_range": (999, 999)}
    with pytest.raises(CheckpointError, match="changes nothing"):
        trained(cache, run, base, weight_floor=0.0, report=told.append, **{**fields, "steps": 2})
    assert {event.numbers["gradient"] for event in told if "gradient" in event.numbers} == {0.0}
    again = run.with_name("0002")
    again.mkdir()
    trained(cache, again, base, **fields)
    adapter = adapter_from(load_lora(again / "mira.safetensors"), base.adapter_targets())
    noise = torch.randn(8, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    shown = (noise, torch.full((8,), 999), base.encode_prompts(["mira, fox"] * 8))
    with torch.no_grad():
        after = base.predict(*shown)
        adapter.weight = 0.0
        before = base.predict(*shown)
    velocity = 1.5  # there, it is the picture, negated
    errors = [(answer - velocity).square().mean() for answer in (before, after)]
    assert errors[1] < 0.7 * errors[0]


def test_a_text_encoder_learns_where_it_has_a_rate_and_the_file_has_its_layers(
    cache: Path, run: Path, model: DiffusionModel
) -> None:
    trained(cache, run, model, text_encoder_rates=(1e-2,), blocks="cross-attention")
    tensors = last(run)
    texts = [name for name in tensors if name.startswith("lora_te_text_model_encoder_layers_") and "lora_up" in name]
    assert len(texts) == 2 * 6
    assert sum(bool(tensors[name].any()) for name in texts) >= len(texts) - 1  # the last layer's keys may not matter


def test_a_text_encoder_learns_captions_of_which_one_is_longer_than_all_others(
    tmp_path: Path, run: Path, model: DiffusionModel
) -> None:
    pictures, captions = tiny_pictures(tmp_path / "images")
    tags = (*captions[-1].tags, *(f"blue ear {number}" for number in range(40)))
    captions[-1] = captions[-1].model_copy(update={"tags": tags, "text": ", ".join(tags)})
    options = {"model": model, "images": tmp_path / "images", "front": FRONT, "to": tmp_path / "cache"}
    cache = encode(pictures, captions, EncodeConfig(variants=1), **options)
    assert model.count_chunks(captions[-1].text) > model.count_chunks(captions[0].text)
    trained(cache, run, model, text_encoder_rates=(1e-2,), blocks="cross-attention")
    assert any(name.startswith("lora_te_") for name in last(run))


def test_pictures_are_told_by_how_hard_they_were_to_learn(cache: Path, run: Path, model: DiffusionModel) -> None:
    trained(cache, run, model, steps=12, save_every=0)
    rows = read_records(run / "pictures.jsonl", PictureLoss)
    assert {row.path for row in rows} == {f"{number}.png" for number in range(5)}
    assert sum(row.times for row in rows) == 12 * 2
    assert [row.relative for row in rows] == sorted((row.relative for row in rows), reverse=True)


# -- how it gets there -------------------------------------------------------------------------------------------------


class Graph:
    """Which layers of a denoiser answered with something that keeps a graph."""

    def __init__(self, denoiser: nn.Module) -> None:
        self.keeps: dict[str, bool] = {}
        self._hooks = [
            module.register_forward_hook(self._note(name)) for name, module in denoiser.named_modules() if name
        ]

    def _note(self, name: str) -> Any:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            outputs = output if isinstance(output, tuple) else (output,)
            self.keeps[name] = any(isinstance(each, Tensor) and each.requires_grad for each in outputs)

        return note

    def remove(self) -> None:
        for hook in self._hooks:
            hook.remove()


@pytest.fixture
def graph(model: DiffusionModel) -> Iterator[Graph]:
    graph = Graph(model.denoiser)
    yield graph
    graph.remove()


def test_backward_stops_at_the_lowest_trained_block(
    cache: Path, run: Path, model: DiffusionModel, graph: Graph
) -> None:
    trained(cache, run, model, blocks="upper", steps=1)
    below = {
        name for name in graph.keeps if name.startswith(("conv_in", "down_blocks", "mid_block", "up_blocks.0", "time"))
    }
    assert len(below) > 50
    assert [name for name in below if graph.keeps[name]] == []
    assert graph.keeps["conv_out"]


def test_the_average_and_the_precision_of_the_file_change_nothing_that_is_learnt(
    cache: Path, tmp_path: Path, model: DiffusionModel
) -> None:
    losses = []
    for number, fields in enumerate(({}, {"ema_decay": 0.9, "save_dtype": "float32", "save_every": 1})):
        to = tmp_path / str(number) / "0001"
        to.mkdir(parents=True)
        told: list[Event] = []
        trained(cache, to, model, report=told.append, **fields)
        losses.append([event.numbers["loss"] for event in told[1:]])
    assert losses[0] == losses[1]


def test_preserving_keeps_the_base_where_the_trigger_is_not_said(
    tmp_path: Path, model: DiffusionModel, folder: Path
) -> None:
    """The same training with and without: how far the trigger-free answer moves from the base's own."""
    calm = tiny_cache(tmp_path, model, EncodeConfig(variants=2, caption_dropout=0))
    data = load_data(calm, model)
    shown = torch.randn(10, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(0, 1000, 100)
    rows = data.texts.bare_PV[torch.arange(10) % 5, 0]
    with torch.no_grad():
        base = model.predict(*shown, data.texts.conditioning[rows])
    moved = []
    for share in (0.0, 0.5):
        to = tmp_path / str(share) / "0001"
        to.mkdir(parents=True)
        fields = {"steps": 12, "batch": 4, "learning_rate": 4e-2, "rank": 4, "save_every": 0, "save_dtype": "float32"}
        trained(calm, to, model, preserve=share, **fields)
        adapter = attach(model.adapter_targets(), [BlockSet("attention", 4)])
        adapter.load(last(to, 12))
        with torch.no_grad():
            moved.append((model.predict(*shown, data.texts.conditioning[rows]) - base).square().mean().item())
        adapter.detach()
    assert moved[1] < 0.5 * moved[0]


def test_half_of_what_is_preserved_is_the_prompts_of_others(cache: Path, model: DiffusionModel) -> None:
    others = ("a green dragon, night", "1boy, red hair")
    data = load_data(cache, model, others=others)
    told = model.encode_prompts(others).tokens_BLE
    assert torch.equal(data.texts.conditioning.tokens_BLE[data.texts.others_N], told)
    bare = torch.cat([draw(data, plain(model), 50, seed=3, number=step).bare_B for step in range(20)])
    shares = [(bare == row).float().mean().item() for row in data.texts.others_N]
    assert all(0.2 < share < 0.3 for share in shares), shares


def test_prompts_to_preserve_may_be_longer_than_every_caption(cache: Path, model: DiffusionModel) -> None:
    long = ", ".join(["a green dragon"] * 60)
    chunks = model.count_chunks(long)
    assert chunks > 1
    data, alone = load_data(cache, model, others=(long,)), load_data(cache, model)
    assert torch.equal(data.texts.conditioning.tokens_BLE[data.texts.others_N], model.encode_prompts([long]).tokens_BLE)
    windows = alone.texts.conditioning.tokens_BLE.shape[1]
    assert torch.equal(data.texts.conditioning.tokens_BLE[:-1, :windows], alone.texts.conditioning.tokens_BLE)
    nothing = model.encode_prompts([""], chunks=chunks).tokens_BLE
    assert torch.allclose(data.texts.conditioning.tokens_BLE[:-1, windows:], nothing[:, windows:], atol=1e-6)


def test_a_share_below_one_picture_is_preserved_in_some_steps(
    cache: Path, run: Path, model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda noisy, *told: sizes.append(len(noisy)) or predict(noisy, *told))
    trained(cache, run, model, steps=8, batch=1, preserve=0.25)
    probed, learnt = sizes[:2], sizes[2:]
    assert probed == [5, 5]
    assert len(learnt) == 8 + 2  # one answer of the base in each four steps
    assert set(learnt) == {1}


# -- batches -----------------------------------------------------------------------------------------------------------


def plain(model: DiffusionModel) -> Noising:
    """Noise to which nothing is done."""
    return Noising.of(model.schedule, TrainConfig())


def taken(data: DataSet, model: DiffusionModel, count: int, step: int) -> list[int]:
    """Which pictures a step sees, told from their latents."""
    (bucket,) = data.buckets
    sharp = replace(data, buckets=(replace(bucket, std_MDhw=torch.zeros_like(bucket.std_MDhw)),))
    clean_BDhw = draw(sharp, plain(model), count, seed=3, number=step).clean_BDhw
    return [[torch.equal(clean, mean) for mean in bucket.mean_MDhw].index(True) for clean in clean_BDhw]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_all_pictures_come_once_before_any_comes_again(data: DataSet, model: DiffusionModel, count: int) -> None:
    seen = [picture for step in range(10) for picture in taken(data, model, count, step)]
    rounds = [seen[start : start + 5] for start in range(0, len(seen) - 4, 5)]
    assert all(sorted(each) == [0, 1, 2, 3, 4] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1


def test_a_step_draws_the_same_whatever_was_drawn_before(data: DataSet, model: DiffusionModel) -> None:
    torch.manual_seed(1)
    first = draw(data, plain(model), 4, seed=3, number=9)
    torch.manual_seed(2)
    draw(data, plain(model), 4, seed=3, number=8)
    again, other = (draw(data, plain(model), 4, seed=3, number=step) for step in (9, 10))
    for name in ("clean_BDhw", "noise_BDhw", "t_B", "told_B", "bare_B"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.noise_BDhw, other.noise_BDhw)


def test_latents_are_drawn_from_their_posterior(data: DataSet, model: DiffusionModel) -> None:
    mean_MDhw, std_MDhw = torch.full((5, 4, 8, 8), 3.0), torch.full((5, 4, 8, 8), 2.0)
    wide = replace(data, buckets=(replace(data.buckets[0], mean_MDhw=mean_MDhw, std_MDhw=std_MDhw),))
    clean = draw(wide, plain(model), 64, seed=0, number=0).clean_BDhw
    assert clean.mean().item() == pytest.approx(3, abs=0.1)
    assert clean.std().item() == pytest.approx(2, abs=0.1)


def test_every_wording_is_seen_and_texts_belong_to_their_picture(
    cache: Path, data: DataSet, model: DiffusionModel
) -> None:
    index = json.loads((cache / "index.json").read_text())
    prompts = [*index["shared"]["prompts"], *(text for entry in index["pictures"] for text in entry["prompts"])]
    told: set[str] = set()
    for step in range(40):
        batch = draw(data, plain(model), 5, seed=3, number=step)
        pictures = taken(data, model, 5, step)
        for picture, row, bare in zip(pictures, batch.told_B.tolist(), batch.bare_B.tolist(), strict=True):
            told.add(prompts[row])
            if prompts[row] not in ("", "mira, fox"):
                assert prompts[row] == "mira, " + prompts[bare]
                assert prompts[row] in index["pictures"][picture]["prompts"]
    wordings = {entry["prompts"][row] for entry in index["pictures"] for row, _ in entry["variants"]}
    assert told == {*wordings, "", "mira, fox"}


def test_a_share_of_captions_is_dropped_for_no_words_or_the_trigger_alone(data: DataSet, model: DiffusionModel) -> None:
    often = replace(data, caption_dropout=0.4)
    batches = [draw(often, plain(model), 50, seed=0, number=step) for step in range(20)]
    told, bare = torch.cat([each.told_B for each in batches]), torch.cat([each.bare_B for each in batches])
    nothing, trigger = data.texts.shared_2.tolist()
    assert (told == nothing).float().mean().item() == pytest.approx(0.2, abs=0.05)
    assert (told == trigger).float().mean().item() == pytest.approx(0.2, abs=0.05)
    assert set(bare[told == nothing].tolist()) == {data.texts.bare_2[0].item()}
    assert set(bare[told == trigger].tolist()) == {data.texts.bare_2[1].item()}


def test_a_loss_far_above_others_of_its_level_names_step_and_picture(
    cache: Path, run: Path, model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeness.training.ledger.FEWEST", 1)
    monkeypatch.setattr("likeness.training.ledger.SPIKE", 1.0)
    told: list[Event] = []
    trained(cache, run, model, report=told.append)
    notes = [event.note for event in told if "times that of others" in event.note]
    assert notes
    assert all(re.fullmatch(r"step \d: the loss of \d\.png is \d+ times .* its noise level", note) for note in notes)


@pytest.mark.parametrize(
    ("family", "zero", "rates"), [("sd2", False, (1e-3,)), ("sdxl", True, (1e-3, 1e-3))], ids=["sd2 v", "sdxl v, ztsnr"]
)
def test_other_families_learn_too_with_their_text_encoders(
    tmp_path: Path, run: Path, family: str, zero: bool, rates: tuple[float, ...]
) -> None:
    base = load_model(tiny_base(tmp_path / "base", family, prediction="v_prediction", zero_terminal=zero), device="cpu")
    cache = tiny_cache(tmp_path, base, EncodeConfig(variants=1, shape="buckets"))
    fields = {"steps": 3, "weighting": "min-snr", "weight_floor": 0.05 * zero, "text_encoder_rates": rates}
    trained(cache, run, base, save_every=2, **fields)
    ends = [load_file(run / f"step-{step:06d}.safetensors") for step in (2, 3)]
    parts = {"lora_unet"} | ({"lora_te"} if family == "sd2" else {"lora_te1", "lora_te2"})
    assert {"_".join(name.split("_")[:2]) for name in ends[0]} == parts
    for part in parts:
        names = [name for name in ends[0] if name.startswith(f"{part}_") and name in ends[1]]
        assert any(not torch.equal(ends[0][name], ends[1][name]) for name in names), part


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_last_good_checkpoint(
    cache: Path, run: Path, model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(-2, 100))  # the base is asked twice what it predicts before the first step
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda *told: predict(*told) * (math.nan if next(calls) == 4 else 1))
    with pytest.raises(
        Diverged,
        match=r"from step 5 on\. It began with \d\.png\. .* checkpoint is runs/0001/step-000004\.safetensors",
    ):
        trained(cache, run, model, save_every=2)
    assert [path.name for path in sorted(run.glob("*.safetensors"))] == [  # and none by the character's name
        "step-000002.safetensors",
        "step-000004.safetensors",
    ]
    assert all(torch.isfinite(tensor).all() for tensor in last(run, 4).values())
    assert json.loads((run / "state" / "state.json").read_text())["step"] == 4


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"blocks": "lora_te_*"}, "which is not in the denoiser"),
        ({"blocks": "attentoin"}, "did you mean 'attention'"),
        ({"text_encoder_rates": [1e-5, 1e-5]}, "has 2 rates, and this base has 1 text"),
        ({"timestep_range": [0, 1000]}, "this base's last timestep is 999"),
    ],
)
def test_what_this_base_cannot_be_trained_in_is_refused(
    cache: Path, run: Path, model: DiffusionModel, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        trained(cache, run, model, **fields)
    assert list(run.iterdir()) == []


def test_a_base_in_float16_is_not_trained(run: Path, tmp_path: Path) -> None:
    half = load_model(tiny_sd15(tmp_path / "half"), device="cpu", dtype="float16")
    with pytest.raises(RecipeError, match="gradients underflow"):
        trained(tiny_cache(tmp_path, half), run, half)


def test_a_cache_of_another_base_is_refused(cache: Path, run: Path, tmp_path: Path) -> None:
    other = load_model(tiny_sd15(tmp_path / "other", seed=1), device="cpu", dtype="float32")
    with pytest.raises(WorkspaceError, match="encoded with another base"):
        trained(cache, run, other)


def test_a_cache_that_is_not_whole_is_refused(run: Path, tmp_path: Path, model: DiffusionModel) -> None:
    cache = tiny_cache(tmp_path, model)
    entry = json.loads((cache / "index.json").read_text())["pictures"][2]
    (cache / f"{entry['latents']}.safetensors").unlink()
    with pytest.raises(WorkspaceError, match=r"is missing\. Encode again"):
        trained(cache, run, model)
    (cache / "index.json").write_text("{")
    with pytest.raises(WorkspaceError, match=r"index\.json is damaged"):
        trained(cache, run, model)


def test_bfloat16_computes_in_bfloat16_and_learns_in_float32(cache: Path, run: Path, model: DiffusionModel) -> None:
    seen: list[torch.dtype] = []
    hook = model.denoiser.get_submodule("conv_out").register_forward_hook(lambda *told: seen.append(told[2].dtype))
    try:
        trained(cache, run, model, dtype="bfloat16", save_dtype="float32")
    finally:
        hook.remove()
    assert set(seen[2:]) == {torch.bfloat16}, "all but the two looks at what the base predicts"
    assert any((tensor != tensor.bfloat16().float()).any() for tensor in last(run).values())
