import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from likeness.errors import WorkspaceError
from likeness.records import write_atomically
from likeness.workspace import Workspace

HOLD = """
import sys
from likeness.workspace import Workspace
with Workspace(sys.argv[1]).lock("likeness train mira"):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "mira")


def holder_of(workspace: Workspace) -> "subprocess.Popen[str]":
    """Another process that has the workspace until its stdin closes or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_everything_has_its_place(workspace: Workspace):
    root = workspace.root
    assert workspace.recipe == root / "likeness.toml"
    assert workspace.images == root / "images"
    assert workspace.images_jsonl == root / "images.jsonl"
    assert workspace.captions_jsonl == root / "captions.jsonl"
    assert workspace.cache == root / "cache"
    assert workspace.runs == root / "runs"
    assert workspace.samples == root / "samples"
    assert workspace.done_json == root / "done.json"


def test_a_new_workspace_has_a_folder_for_pictures_and_making_it_again_changes_nothing(workspace: Workspace):
    (workspace.images / "a.png").write_bytes(b"x")
    again = Workspace.create(workspace.root)
    assert (again.images / "a.png").read_bytes() == b"x"


def test_a_workspace_holds_wherever_the_process_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    workspace = Workspace("mira")
    monkeypatch.chdir("/")
    assert workspace.root == tmp_path / "mira"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_read_only_folder_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    def denied(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(WorkspaceError, match="read-only"):
        Workspace.create(tmp_path / "mira")
    with pytest.raises(WorkspaceError, match="read-only"):
        Workspace(tmp_path).new_run()
    monkeypatch.setattr("os.open", denied)
    with pytest.raises(WorkspaceError, match="read-only"), Workspace(tmp_path).lock("likeness train"):
        pass


# -- the lock ----------------------------------------------------------------------------------------------------------


def test_a_second_command_is_told_which_process_and_command_is_at_work(workspace: Workspace):
    process = holder_of(workspace)
    try:
        with pytest.raises(WorkspaceError) as caught, workspace.lock("likeness encode mira"):
            pass
        assert f"{workspace.root} is in use" in str(caught.value)
        assert f"`likeness train mira` (process {process.pid})" in str(caught.value)
    finally:
        process.communicate("")
    with workspace.lock("likeness encode mira"):
        pass


def test_a_killed_process_keeps_nothing(workspace: Workspace):
    process = holder_of(workspace)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.communicate()
    with workspace.lock("likeness encode"):
        pass


def test_a_refused_command_does_not_take_the_lock_from_the_first(workspace: Workspace):
    with workspace.lock("likeness train"):
        for _ in range(2):
            first = rf"`likeness train` \(process {os.getpid()}\)"
            with pytest.raises(WorkspaceError, match=first), workspace.lock("likeness encode"):
                pass


def test_a_command_that_fails_gives_the_workspace_back(workspace: Workspace):
    with pytest.raises(ZeroDivisionError), workspace.lock("likeness train"):
        raise ZeroDivisionError
    with workspace.lock("likeness encode"):
        pass


def test_two_workspaces_do_not_wait_for_each_other(tmp_path: Path):
    first, second = Workspace.create(tmp_path / "a"), Workspace.create(tmp_path / "b")
    with first.lock("likeness train"), second.lock("likeness train"):
        pass


def test_a_shorter_command_leaves_nothing_of_a_longer_one(workspace: Workspace):
    with workspace.lock("likeness train --set train.steps=10000"):
        pass
    shown = pytest.raises(WorkspaceError, match=re.escape("`likeness show`"))
    with workspace.lock("likeness show"), shown, workspace.lock("x"):
        pass


def test_a_program_that_a_command_starts_does_not_inherit_the_lock(workspace: Workspace):
    with workspace.lock("likeness train"):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        with workspace.lock("likeness encode"):
            pass
    finally:
        child.communicate(b"\n")


def test_locking_a_folder_that_is_not_there_says_how_to_start_one(tmp_path: Path):
    with pytest.raises(WorkspaceError, match="likeness init"), Workspace(tmp_path / "none").lock("likeness train"):
        pass


def test_a_drive_that_knows_no_locks_is_told_in_words(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(WorkspaceError, match=os.strerror(errno.ENOLCK)), workspace.lock("train"):
        pass


def test_a_full_disk_is_told_in_words_and_leaves_no_lock(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("os.pwrite", full)
        with pytest.raises(WorkspaceError, match="disk is full"), workspace.lock("likeness train"):
            pass
    with workspace.lock("likeness train"):
        pass


# -- runs --------------------------------------------------------------------------------------------------------------


def test_runs_are_numbered_from_one_and_the_latest_is_found(workspace: Workspace):
    assert workspace.latest_run() is None
    assert [workspace.new_run().root.name for _ in range(3)] == ["0001", "0002", "0003"]
    latest = workspace.latest_run()
    assert latest is not None
    assert latest.root == workspace.runs / "0003"


def test_a_number_is_not_used_again_after_an_earlier_run_was_deleted(workspace: Workspace):
    runs = [workspace.new_run() for _ in range(3)]
    runs[1].root.rmdir()
    assert workspace.new_run().root.name == "0004"


def test_what_else_lies_among_the_runs_is_not_one(workspace: Workspace):
    for name in ("0002", "0007.old", "0008-backup", "11", "notes", "10000", "9999"):
        (workspace.runs / name).mkdir(parents=True)
    assert [run.root.name for run in workspace.numbered_runs()] == ["0002", "9999", "10000"]
    assert workspace.new_run().root.name == "10001"


def test_checkpoints_are_listed_by_step(workspace: Workspace):
    run = workspace.new_run()
    steps = (50, 250, 999_999, 1_000_000)
    for step in reversed(steps):
        run.checkpoint(step).touch()
    for name in (".step-000300.safetensors.abc.partial", "step-000300-old.safetensors"):
        (run.root / name).touch()
    assert [path.name for path in run.checkpoints] == [f"step-{step:06d}.safetensors" for step in steps]
    assert run.recipe.parent == run.events.parent == run.state.parent == run.samples.parent == run.root


@pytest.mark.parametrize(
    ("name", "file"),
    [("Mira", "Mira"), ("Mira, the Fox", "Mira_the_Fox"), ("step-000001", "step_000001"), ("明日香", "明日香")],
)
def test_a_finished_lora_has_the_characters_name(workspace: Workspace, name: str, file: str):
    assert workspace.new_run().lora(name).name == f"{file}.safetensors"


def test_the_longest_name_still_fits_into_a_files(workspace: Workspace):
    path = workspace.new_run().lora("\N{FOX FACE}香" * 40)
    write_atomically(path, "")
    assert path.exists()


# -- freshness ---------------------------------------------------------------------------------------------------------


def test_a_step_is_fresh_until_an_input_changes(workspace: Workspace):
    assert not workspace.is_fresh("encode", {"captions.jsonl": "a"})
    workspace.mark_done("encode", {"captions.jsonl": "a"})
    assert workspace.is_fresh("encode", {"captions.jsonl": "a"})
    assert not workspace.is_fresh("encode", {"captions.jsonl": "b"})
    assert not workspace.is_fresh("encode", {"captions.jsonl": "a", "[encode]": "c"})
    assert not workspace.is_fresh("encode", {})
    assert not workspace.is_fresh("train", {"captions.jsonl": "a"})


def test_a_step_is_stale_once_what_it_made_is_gone(workspace: Workspace):
    workspace.cache.mkdir()
    made = workspace.cache / "a.safetensors"
    made.touch()
    workspace.mark_done("encode", {"captions.jsonl": "a"}, [made])
    assert workspace.is_fresh("encode", {"captions.jsonl": "a"})
    made.unlink()
    assert not workspace.is_fresh("encode", {"captions.jsonl": "a"})


def test_a_step_is_stale_once_a_file_of_the_cache_is_cut_short_but_not_when_a_person_edits_a_record(
    workspace: Workspace,
):
    workspace.cache.mkdir()
    made = [workspace.cache / "a.safetensors", workspace.captions_jsonl]
    for path in made:
        path.write_text("whole")
    workspace.mark_done("encode", {}, made)
    made[1].write_text("edited")
    assert workspace.is_fresh("encode", {})
    made[0].write_text("who")
    assert not workspace.is_fresh("encode", {})


def test_what_a_step_made_is_remembered_in_its_order(workspace: Workspace):
    assert workspace.made_by("train") == []
    workspace.mark_done("train", {}, [workspace.root / "b", workspace.root / "a"])
    assert workspace.made_by("train") == [workspace.root / "b", workspace.root / "a"]


def test_a_moved_workspace_is_as_fresh_as_before(workspace: Workspace, tmp_path: Path):
    workspace.mark_done("caption", {"images.jsonl": "a"}, [workspace.images])
    moved = Workspace(workspace.root.rename(tmp_path / "elsewhere"))
    assert moved.is_fresh("caption", {"images.jsonl": "a"})


def test_steps_are_remembered_side_by_side(workspace: Workspace):
    workspace.mark_done("caption", {"a": "1"})
    workspace.mark_done("encode", {"b": "2"})
    workspace.mark_done("caption", {"a": "3"})
    assert workspace.is_fresh("encode", {"b": "2"})
    assert workspace.is_fresh("caption", {"a": "3"})
    assert not workspace.is_fresh("caption", {"a": "1"})


@pytest.mark.parametrize("text", ["", "[]", '{"encode": 3}', '{"encode": {"inputs": {}, "colour": 1}}'])
def test_a_broken_done_file_says_that_it_may_be_deleted(workspace: Workspace, text: str):
    workspace.done_json.write_text(text)
    with pytest.raises(WorkspaceError, match=r"done\.json cannot be read\. Delete it"):
        workspace.is_fresh("encode", {})
