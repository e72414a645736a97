"""A run that was stopped, however it was, ends with the bytes of one that never was; or is refused, with the reason.

Run as a program (`python test_resume.py FOLDER`), this file trains in processes of its own and kills them.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file
from tiny import tiny_sd15
from tiny_data import NOTES, tiny_cache

from likeness.diffusion import load_model
from likeness.diffusion.family import DiffusionModel
from likeness.errors import Interrupted, ResumeError, WorkspaceError
from likeness.events import Event
from likeness.recipe import EncodeConfig, TrainConfig
from likeness.records import Checkpoint
from likeness.training import logbook
from likeness.training.train import train

FIELDS = {"steps": 5, "batch": 2, "learning_rate": 1e-2, "rank": 2, "save_every": 2, "ema_decay": 0.9, "preserve": 0.25}
RENAMES = 8
"""In three steps: after 2 and after 3 a checkpoint, the tensors and the state; then the character's file, and how hard
each picture was."""


def trained(cache: Path, run: Path, model: DiffusionModel, **fields: Any) -> list[Checkpoint]:
    defaults = {"seed": 7, "metadata": NOTES, "report": lambda event: None}
    options = {name: fields.pop(name, default) for name, default in defaults.items()}
    run.mkdir(parents=True, exist_ok=True)
    config = TrainConfig(**{**FIELDS, **fields})
    return train(cache, config, model=model, to=run, **options)


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(run.glob("*.safetensors"))}


# -- the program: a run is killed, gone on with, and compared --------------------------------------------------------


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dies_at(call: int, *, after: bool, of: Callable[..., Any]) -> Callable[..., Any]:
    """`of`, but the process is killed before, or right after, this call of it."""
    calls = iter(range(1, 1000))

    def mortal(*given: Any, **named: Any) -> Any:
        mine = next(calls) == call
        if mine and not after:
            die()
        answer = of(*given, **named)
        if mine:
            die()
        return answer

    return mortal


def in_a_child(work: Callable[[], Any]) -> int:
    """How a process of its own that does `work` ended, as os.waitpid says."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    return os.waitpid(child, 0)[1]


def kill_everywhere(folder: Path) -> dict[str, Any]:
    """For each place where a run was killed, how it died and whether it then ended as an undisturbed run does."""
    model = load_model(tiny_sd15(folder / "sd15"), device="cpu", dtype="float32")
    cache = tiny_cache(folder, model)
    whole = folder / "whole" / "0001"
    fields: dict[str, Any] = {"steps": 3, "blocks": ("lora_unet_mid_block_*",)}  # few layers: there are 23 runs
    assert in_a_child(lambda: trained(cache, whole, model, **fields)) == 0
    # After one rename is before the next, but for what that one has begun to write.
    places = [*(("rename", call, False) for call in range(1, RENAMES + 1)), ("rename", RENAMES, True)]
    places += [("predict", call, False) for call in (1, 3)]
    found = {}
    for what, call, after in places:
        name = f"{'after' if after else 'before'} {what} {call}"
        run = folder / name / "0001"

        def killed(what: str = what, call: int = call, after: bool = after, run: Path = run) -> None:
            if what == "rename":
                Path.replace = dies_at(call, after=after, of=Path.replace)
            else:
                model.predict = dies_at(call, after=after, of=model.predict)
            trained(cache, run, model, **fields)

        died = in_a_child(killed) == signal.SIGKILL
        left = [path.name for path in run.rglob("*.partial")]
        went_on = in_a_child(lambda run=run: trained(cache, run, model, **fields)) == 0
        same = files(run) == files(whole)
        swept = not list(run.rglob("*.partial")) and len(list((run / "state").glob("*.safetensors"))) == 1
        found[name] = {"died": died, "left": left, "went_on": went_on, "same": same, "swept": swept}
    return found


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_bit_identical_to_one_never_killed(tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == RENAMES + 3
    for place, fate in found.items():
        assert fate["died"], f"nothing was killed {place}"
        assert bool(fate["left"]) == place.startswith("before rename"), f"{place}: {fate['left']}"
        assert fate["went_on"], f"killed {place}: {done.stderr}"
        assert fate["same"], f"killed {place}, the run ended with other bytes"
        assert fate["swept"], f"killed {place}, something was left lying about"


# -- in this process ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, model: DiffusionModel) -> Path:
    return tiny_cache(tmp_path_factory.mktemp("data"), model)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, model: DiffusionModel, data: Path) -> dict[str, bytes]:
    run = tmp_path_factory.mktemp("whole") / "0001"
    trained(data, run, model)
    return files(run)


def stopped(data: Path, run: Path, model: DiffusionModel, kind: signal.Signals = signal.SIGTERM, at: int = 3) -> str:
    """A run that gets a signal while it tells of step `at`; the message that it ends with."""

    def report(event: Event) -> None:
        if event.done == at:
            signal.raise_signal(kind)

    with pytest.raises(Interrupted) as end:
        trained(data, run, model, report=report)
    assert end.value.exit_status == 130
    return str(end.value)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_state_says_how_to_go_on_and_loses_nothing(
    data: Path, tmp_path: Path, model: DiffusionModel, whole: dict[str, bytes], kind: signal.Signals
) -> None:
    run, before = tmp_path / "0001", signal.getsignal(kind)
    message = stopped(data, run, model, kind)
    assert "after step 4 of 5" in message  # the step after the one that was told
    assert "Repeat the command to go on" in message
    assert signal.getsignal(kind) is before
    told: list[Event] = []
    checkpoints = trained(data, run, model, report=told.append)
    assert (told[0].done, told[0].note) == (4, "going on after step 4")
    assert [each.step for each in checkpoints] == [2, 4, 5]
    assert files(run) == whole


OTHER_WAYS: list[dict[str, Any]] = [
    {"optimizer": "adamw8bit"},
    {"optimizer": "prodigy", "learning_rate": 1.0},
    {"optimizer": "adafactor"},
    {"optimizer": "schedule-free", "ema_decay": 0.0},
    {"accumulate": 2, "up_rate_ratio": 4},
    {"dropout": 0.2, "rank_dropout": 0.2, "layer_dropout": 0.2},
    {"variant": "dora", "loss": "huber", "noise_offset": 0.05},
    {"variant": "loha", "timesteps": "logit-normal", "input_perturbation": 0.1},
    {"variant": "lokr", "weighting": "debiased", "multires_noise": 4},
    {"text_encoder_rates": (1e-3,)},
    {"dtype": "float16"},
]


@pytest.mark.parametrize("fields", OTHER_WAYS, ids=lambda fields: " ".join(f"{name} {fields[name]}" for name in fields))
def test_however_it_learns_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    data: Path, tmp_path: Path, model: DiffusionModel, fields: dict[str, Any]
) -> None:
    library = {"adamw8bit": "bitsandbytes", "prodigy": "prodigyopt", "schedule-free": "schedulefree"}
    if package := library.get(fields.get("optimizer", "")):
        pytest.importorskip(package, reason=f"it is {package}'s")
    undisturbed, run = tmp_path / "whole" / "0001", tmp_path / "0001"
    trained(data, undisturbed, model, **fields)

    def report(event: Event) -> None:
        if event.done == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        trained(data, run, model, report=report, **fields)
    trained(data, run, model, **fields)
    assert files(run) == files(undisturbed)
    ends = [load_file(run / f"step-{step:06d}.safetensors") for step in (2, 5)]
    moved = [name for name, tensor in ends[1].items() if not torch.equal(tensor, ends[0][name])]
    assert len(moved) > len(ends[1]) / 4, "next to nothing was learnt"


def test_a_second_signal_acts_as_it_always_does(data: Path, tmp_path: Path, model: DiffusionModel) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job has it ignored

    def report(event: Event) -> None:
        if event.done == 1:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    try:
        with pytest.raises(KeyboardInterrupt):
            trained(data, tmp_path / "0001", model, report=report)
    finally:
        signal.signal(signal.SIGINT, before)


def test_losses_are_told_alike_by_a_run_that_was_stopped(
    data: Path, tmp_path: Path, model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logbook, "EVENTS", 1)  # one event, of all steps
    told: dict[str, list[Event]] = {"whole": [], "stopped": []}
    trained(data, tmp_path / "whole" / "0001", model, report=told["whole"].append)
    run = tmp_path / "0001"
    stopped(data, run, model, at=0)
    ends = trained(data, run, model, report=told["stopped"].append)
    last = {name: events[-1].numbers for name, events in told.items()}
    assert all(last["stopped"][name] == last["whole"][name] for name in ("loss", "gradient", "learning_rate"))
    assert ends[0].loss == trained(data, tmp_path / "whole" / "0001", model)[0].loss


def test_a_finished_run_is_not_run_again(data: Path, tmp_path: Path, model: DiffusionModel) -> None:
    run = tmp_path / "0001"
    first = trained(data, run, model)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert trained(data, run, model) == first
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        ({"rank": 3}, "train.rank: 2 -> 3"),
        ({"learning_rate": 2e-2}, "train.learning_rate: 0.01 -> 0.02"),
        ({"steps": 9}, "train.steps: 5 -> 9"),
        ({"seed": 8}, "seed: 7 -> 8"),
        ({"metadata": replace(NOTES, title="vix")}, "character.name: 'mira' -> 'vix'"),
        ({"metadata": replace(NOTES, trigger="vix")}, "character.trigger: '' -> 'vix'"),
        ({"metadata": replace(NOTES, tags=("fox",))}, "character.class_words: '' -> 'fox'"),
    ],
)
def test_a_resume_with_another_recipe_is_refused_and_says_what_changed(
    data: Path, tmp_path: Path, model: DiffusionModel, fields: dict[str, Any], change: str
) -> None:
    run = tmp_path / "0001"
    stopped(data, run, model)
    with pytest.raises(ResumeError) as refused:
        trained(data, run, model, **fields)
    assert "cannot go on after step 4" in str(refused.value)
    assert change in str(refused.value)
    assert all(line.startswith("  ") == ("->" in line) for line in str(refused.value).splitlines())


def test_a_resume_may_save_and_sample_in_another_way(
    data: Path, tmp_path: Path, model: DiffusionModel, whole: dict[str, bytes]
) -> None:
    run = tmp_path / "0001"
    stopped(data, run, model)
    other = {"save_dtype": "float32", "save_every": 1, "sample_every": 1, "sample_prompts": ("a fox",)}
    assert [each.step for each in trained(data, run, model, **other)] == [2, 4, 5]
    tensors, undisturbed = load_file(run / "step-000005.safetensors"), load(whole["step-000005.safetensors"])
    assert all(torch.equal(tensor.to(undisturbed[name].dtype), undisturbed[name]) for name, tensor in tensors.items())
    assert any(tensor.dtype != undisturbed[name].dtype for name, tensor in tensors.items())


def test_a_resume_with_other_data_or_another_base_is_refused(data: Path, tmp_path: Path, model: DiffusionModel) -> None:
    run = tmp_path / "0001"
    stopped(data, run, model)
    changed = tiny_cache(tmp_path / "changed", model, EncodeConfig(variants=2))
    with pytest.raises(ResumeError, match=r"the pictures or captions \(index of the cache\): [0-9a-f]{12}\.\.\. -> "):
        trained(changed, run, model)
    other = load_model(tiny_sd15(tmp_path / "other", seed=1), device="cpu", dtype="float32")
    with pytest.raises(ResumeError, match=r"the base \(fingerprint\): [0-9a-f]{12}\.\.\. -> "):
        trained(tiny_cache(tmp_path / "anew", other), run, other)


@pytest.mark.parametrize("damage", ["cut", "gone", "words"])
def test_a_damaged_state_is_refused_in_words(data: Path, tmp_path: Path, model: DiffusionModel, damage: str) -> None:
    run = tmp_path / "0001"
    stopped(data, run, model)
    (tensors,) = (run / "state").glob("*.safetensors")
    if damage == "cut":
        os.truncate(tensors, tensors.stat().st_size - 1)
    elif damage == "gone":
        tensors.unlink()
    else:
        (run / "state" / "state.json").write_text('{"step": 3}')
    with pytest.raises(ResumeError, match=r"cannot be read: it is damaged.*Delete .*0001/state and repeat"):
        trained(data, run, model)


def test_a_state_is_saved_every_so_often_also_where_no_checkpoint_is_due(
    data: Path, tmp_path: Path, model: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logbook, "STATE_SECONDS", 0.0)
    run, steps = tmp_path / "0001", list[int]()

    def report(event: Event) -> None:
        state = run / "state" / "state.json"
        steps.append(json.loads(state.read_text())["step"] if state.exists() else 0)

    trained(data, run, model, report=report, save_every=0)
    assert steps == [0, 0, 1, 2, 3, 4]  # an event is told before its step's state is saved


def test_a_full_disk_ends_the_run_in_words_and_it_goes_on_when_there_is_room(
    data: Path, tmp_path: Path, model: DiffusionModel, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, write = tmp_path / "0001", os.fsync
    calls = iter(range(100))

    def full(handle: int) -> None:
        if next(calls) == 8:
            raise OSError(28, "No space left on device")
        write(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WorkspaceError, match="the disk is full"):
            trained(data, run, model)
    trained(data, run, model)
    assert files(run) == whole


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write("\n" + json.dumps(kill_everywhere(Path(sys.argv[1]))) + "\n")
