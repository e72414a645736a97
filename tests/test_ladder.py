"""The ladder: a step that does not fit into memory is repeated in less of it, and what is learnt is the same."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_data import NOTES, tiny_cache

from likeness.diffusion.family import DiffusionModel
from likeness.errors import Interrupted, OutOfMemory, ResumeError
from likeness.events import Event
from likeness.recipe import TrainConfig
from likeness.records import Checkpoint, PictureLoss, read_records
from likeness.training.ladder import Ladder, is_out_of_memory
from likeness.training.train import prepared, train

QUICK = {"steps": 4, "batch": 4, "learning_rate": 1e-3, "rank": 2, "save_every": 2, "save_dtype": "float32"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, model: DiffusionModel) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("data"), model)


@pytest.fixture
def trained(cache: Path, model: DiffusionModel, tmp_path: Path) -> Callable[..., Path]:
    """Trains in a folder of this name, and answers with it."""

    def act(name: str, report: Callable[[Event], None] = lambda _: None, **fields: Any) -> Path:
        run = tmp_path / name / "0001"
        run.mkdir(parents=True, exist_ok=True)
        config = TrainConfig(**{**QUICK, **fields})
        ends: list[Checkpoint] = train(cache, config, model=model, to=run, seed=7, metadata=NOTES, report=report)
        assert ends[-1].step == 4
        return run

    return act


@contextmanager
def memory(model: DiffusionModel, *, fits: int, times: int = 1_000) -> Iterator[list[int]]:
    """A device on which so many pictures fit at once while gradients are kept; it runs out `times` times at most."""
    asked: list[int] = []

    def refuse(module: Any, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        if torch.is_grad_enabled():
            asked.append(len(inputs[0]))
            if asked[-1] > fits and sum(size > fits for size in asked) <= times:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    # In the middle block, so that half of the step is done when it happens.
    hook = model.denoiser.get_submodule("mid_block.resnets.0").register_forward_hook(refuse)
    try:
        yield asked
    finally:
        hook.remove()


def adapter(run: Path) -> bytes:
    return (run / "step-000004.safetensors").read_bytes()


def farthest(one: Path, other: Path) -> float:
    tensors = [load_file(run / "step-000004.safetensors") for run in (one, other)]
    return max((tensor - tensors[1][name]).abs().max().item() for name, tensor in tensors[0].items())


def test_a_run_that_is_out_of_memory_ends_as_one_that_was_set_so_from_the_beginning(
    model: DiffusionModel, trained: Callable[..., Path]
) -> None:
    told: list[Event] = []
    with memory(model, fits=1) as asked:
        climbed = trained("climbed", told.append)
    assert adapter(climbed) == adapter(trained("set", checkpointing="blocks", microbatch=1))
    assert farthest(climbed, trained("plain")) < 1e-5
    assert (asked[0], set(asked[-16:])) == (4, {1})
    notes = [event.note for event in told if "memory" in event.note]
    assert [words in note for words, note in zip(("anew for backward", "2 of the 4", "1 of the 4"), notes, strict=True)]
    seen = [{row.path: row.times for row in read_records(run / "pictures.jsonl", PictureLoss)}
            for run in (climbed, climbed.parents[1] / "plain" / "0001")]  # fmt: skip
    assert seen[0] == seen[1], "a step that was cut off was entered in the ledger"


@pytest.mark.parametrize("fields", [{}, {"accumulate": 2, "batch": 2}, {"dropout": 0.2, "layer_dropout": 0.2}], ids=str)
def test_where_gradient_checkpointing_is_enough_the_file_is_the_same_to_the_byte(
    model: DiffusionModel, trained: Callable[..., Path], fields: dict[str, Any]
) -> None:
    told: list[Event] = []
    with memory(model, fits=1, times=1):
        climbed = trained("climbed", told.append, **fields)
    assert len([event for event in told if "memory" in event.note]) == 1
    assert adapter(climbed) == adapter(trained("plain", **fields))


@pytest.mark.parametrize("microbatch", [1, 2, 3])
@pytest.mark.parametrize("fields", [{}, {"preserve": 0.4}, {"accumulate": 2}, {"weighting": "debiased"}], ids=str)
def test_a_batch_in_parts_has_the_gradient_of_the_whole(
    cache: Path, model: DiffusionModel, microbatch: int, fields: dict[str, Any]
) -> None:
    found = []
    for size in (0, microbatch):
        config = TrainConfig(**{**QUICK, "batch": 5, "microbatch": size, **fields})
        lesson, _ = prepared(cache, config, model=model, seed=7)
        loss = lesson.gradient(2)
        found.append([loss, *(parameter.grad for parameter in lesson.learner.adapter.parameters())])
        lesson.learner.adapter.detach()
    largest = max(gradient.abs().max().item() for gradient in found[0][1:])
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5 * largest)


def test_a_run_that_climbed_and_was_stopped_ends_with_the_same_bytes(
    model: DiffusionModel, trained: Callable[..., Path]
) -> None:
    def stop(event: Event) -> None:
        if event.done == 2:
            signal.raise_signal(signal.SIGTERM)

    with memory(model, fits=2):
        whole = trained("whole")
        with pytest.raises(Interrupted):
            trained("stopped", stop)
    run = trained("stopped")  # with memory enough: it still is computed as it was
    assert adapter(run) == adapter(whole)
    assert adapter(run) != adapter(trained("plain"))


def test_at_the_end_of_the_ladder_it_is_said_what_was_tried_and_the_run_goes_on_when_there_is_room(
    model: DiffusionModel, trained: Callable[..., Path]
) -> None:
    def fill(event: Event) -> None:
        if event.done == 2:
            full.append(True)

    full: list[bool] = []
    hook = model.denoiser.register_forward_hook(
        lambda *_: torch.empty(2**50, dtype=torch.uint8) if full and torch.is_grad_enabled() else None
    )
    try:
        with pytest.raises(OutOfMemory) as refused:
            trained("short", fill)
    finally:
        hook.remove()
    words = str(refused.value)
    assert "Tried: blocks are computed anew for backward; 2 of the 4" in words
    assert all(field in words for field in ("base.quantise", "base.dtype", "train.optimizer", "encode.size", "--plan"))
    assert adapter(trained("short", microbatch=1, checkpointing="blocks"))


def test_a_ladder_that_is_not_wanted_is_not_climbed(model: DiffusionModel, trained: Callable[..., Path]) -> None:
    with memory(model, fits=0), pytest.raises(OutOfMemory, match=r"train\.checkpointing = 'auto'") as refused:
        trained("none", checkpointing="none", microbatch=1)
    assert "Tried:" not in str(refused.value)


def test_only_memory_that_runs_out_is_climbed_for() -> None:
    ladder, told = Ladder(TrainConfig()), list[str]()

    def fail() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        ladder.climbing(fail, told.append)
    assert not told
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**50, dtype=torch.uint8)
    assert is_out_of_memory(real.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))


def test_how_a_step_is_made_to_fit_may_be_changed_in_the_middle_of_a_run_and_nothing_else(
    trained: Callable[..., Path],
) -> None:
    def stop(event: Event) -> None:
        if event.done == 2:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        trained("stopped", stop)
    with pytest.raises(ResumeError, match=r"train\.batch"):
        trained("stopped", batch=2)
    assert farthest(trained("stopped", microbatch=2, checkpointing="blocks"), trained("plain")) < 1e-5
