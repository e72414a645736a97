"""The command line: what it prints, where, and with what exit status."""

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest
from tiny import tiny_sd15
from typer.testing import CliRunner

import likeness
from likeness import cli
from likeness.cli.checks import check_all, reinstall_cure, setting_cure
from likeness.cli.invocation import typed
from likeness.cli.progress import BarReport, JsonReport, LineReport, reporting
from likeness.errors import Interrupted, MissingExtra, WorkspaceError
from likeness.events import Event
from likeness.images import save_png
from likeness.maquette.draw import draw
from likeness.maquette.pool import make_pool
from likeness.maquette.world import Scene, character
from likeness.recipe import load_recipe
from likeness.records import Picture, read_records
from likeness.workspace import Workspace

COMMANDS = (
    *("init", "add", "label", "curate", "caption", "audit", "trigger", "encode", "train", "sample", "run"),
    *("show", "inspect", "demo", "doctor", "models", "export-dataset", "import-recipe"),
    *("evaluate", "compare", "strength", "blocks", "judge", "compat", "convert", "merge", "resize"),
)
WITHOUT_RECIPE = {"add", "label", "inspect", "models", "compare", "compat", "convert", "merge", "resize"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp("base"))


@pytest.fixture
def mira(tmp_path: Path, base: Path) -> Path:
    """A workspace with three pictures, a tiny base and a reader that needs no weights."""
    folder = tmp_path / "mira"
    settings = ["character.class_words=1girl", f"base.path={base}", "base.device=cpu", "encode.variants=1"]
    settings += ["perception.reader=fake_reader:FakeReader", "train.steps=2", "train.batch=1", "train.rank=1"]
    settings += ["curate.choose=all", "sample.steps=1", "sample.count=1", "sample.sampler=ddim"]
    assert called("init", str(folder), *(part for setting in settings for part in ("--set", setting))).exit_code == 0
    for number in range(3):
        save_png(folder / "images" / f"{number}.png", numpy.full((32, 32, 3), 60 * number, numpy.uint8))
    return folder


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a raw pool of an unseen character."""
    folder = tmp_path_factory.mktemp("pools") / "mira"
    called("init", str(folder), "--set", "perception.reader=maquette")
    make_pool(character(11), folder / "images", seed=11)
    return folder


@pytest.fixture
def bfloat16_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """doctor tries bfloat16 in a process of its own, which loads torch: not where something else is looked at."""
    done = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr("likeness.cli.checks.subprocess.run", lambda *told, **named: done)


def called(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of the command as a shell sees it."""
    monkeypatch.setattr(sys, "argv", ["likeness", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


# -- the commands ------------------------------------------------------------------------------------------------------


def test_help_names_every_command():
    told = called("--help").stdout
    assert [command for command in COMMANDS if f" {command} " not in told] == []


def test_the_readme_names_every_command():
    told = (Path(__file__).parent.parent / "README.md").read_text()
    assert [name for name in COMMANDS if not re.search(rf"likeness {name}\b|`{name}\b|make {name}\b", told)] == []


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in WITHOUT_RECIPE])
def test_every_command_with_a_recipe_takes_set_and_json(command: str):
    told = called(command, "--help").stdout
    assert "--set" in told
    assert "--json" in told


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "models"])
def test_every_command_takes_json_and_explains_every_option(command: str):
    told = called(command, "--help").stdout
    assert "--json" in told
    options = told.partition("Options:\n")[2].splitlines()
    assert [line for line in options if line.startswith("  -") and len(line.split("  ")) < 3] == []


def test_help_loads_nothing_that_is_slow():
    program = (
        "import sys; sys.argv = ['likeness', '--help']\nfrom likeness.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "slow = {'torch', 'diffusers', 'transformers', 'onnxruntime', 'numpy', 'PIL', 'pydantic'}\n"
        "print(*sorted(slow & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_every_command_fits_on_a_screen():
    import inspect

    for command in cli.app.registered_commands:
        assert command.callback
        assert len(inspect.getsource(command.callback).splitlines()) <= 16, command.callback.__name__


def test_init_makes_a_workspace_whose_recipe_is_valid(tmp_path: Path):
    done = called("init", str(tmp_path / "Mira Fox"))
    workspace = Workspace(tmp_path / "Mira Fox")
    assert done.exit_code == 0
    assert workspace.images.is_dir()
    recipe = load_recipe(workspace.recipe)
    assert (recipe.character.name, recipe.character.trigger) == ("Mira Fox", "mirafoxchar")
    assert "likeness curate" in done.stdout


def test_init_writes_what_set_says_into_the_recipe(tmp_path: Path):
    called("init", str(tmp_path), "--set", "train.batch=2", "--set", "character.trigger=vix")
    recipe = load_recipe(tmp_path / "likeness.toml")
    assert (recipe.train.batch, recipe.character.trigger) == (2, "vix")


def test_init_with_a_setting_that_is_not_valid_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main(monkeypatch, "init", str(tmp_path / "mira"), "--set", "train.rnk=2") == 2
    assert list(tmp_path.iterdir()) == []
    told = capsys.readouterr().err
    assert "What --set says is not valid:\n  --set train.rnk: no such field; did you mean rank?" in told
    assert "likeness.toml" not in told, "there is none to blame"


def test_init_names_no_reader_since_the_embedded_one_knows_its_own_world_only(tmp_path: Path):
    called("init", str(tmp_path))
    assert load_recipe(tmp_path / "likeness.toml").perception.reader == "plain"
    text = (tmp_path / "likeness.toml").read_text()
    assert "knows drawings of the maquette's world only" in " ".join(text.replace("#", "").split())


def test_init_takes_a_folder_of_any_name(tmp_path: Path):
    for name in ("a" * 200, "-", "42", "Мира", "$(x) 'y'"):
        assert called("init", str(tmp_path / name)).exit_code == 0, name


def test_init_never_overwrites_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    called("init", str(tmp_path))
    (tmp_path / "likeness.toml").write_text("# mine\n")
    assert main(monkeypatch, "init", str(tmp_path)) == 2
    assert (tmp_path / "likeness.toml").read_text() == "# mine\n"


def test_run_does_all_and_says_what_it_made(mira: Path):
    done = called("run", str(mira), "--json")
    told = json.loads(done.stdout)
    assert [step["step"] for step in told["steps"]] == ["curate", "caption", "encode", "train", "evaluate", "sample"]
    assert told["steps"][3]["made"] == ["runs/0001/step-000002.safetensors", "runs/0001/mira.safetensors"]
    assert told["steps"][4]["made"] == [], "no picture was held out"
    assert told["steps"][5]["made"][0].endswith("/001-seed-0.png")
    assert (mira / told["steps"][5]["made"][0]).exists()


def test_with_json_every_line_is_an_object(mira: Path):
    done = called("encode", str(mira), "--json")
    assert len(done.stdout.splitlines()) == 1
    events = [Event.model_validate_json(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert {event.stage for event in events} == {"look", "curate", "caption", "encode"}


def test_set_reaches_the_step(mira: Path):
    called("train", str(mira), "--set", "train.steps=1")
    assert (mira / "runs" / "0001" / "step-000001.safetensors").exists()


def test_show_tells_pictures_captions_and_runs(mira: Path):
    (mira / "images" / "broken.png").write_bytes(b"no picture")
    called("train", str(mira))
    told = json.loads(called("show", str(mira), "--json").stdout)
    assert told["pictures"] == {"train": 3, "rejected": 1}
    assert told["captions"] == {"fake": 3}
    assert told["runs"][0]["checkpoints"] == ["step-000002.safetensors"]
    assert told["runs"][0]["steps"] == 2
    words = called("show", str(mira)).stdout
    assert "3 train, 1 rejected" in words
    assert "broken.png" in words


def test_show_tells_rejected_files_by_fault_with_a_few_names_and_all_as_json(mira: Path):
    for number in range(9):
        (mira / "images" / f"broken {number}.png").write_bytes(b"no picture" + bytes([number]))
    called("curate", str(mira))
    (row,) = [line for line in called("show", str(mira)).stdout.splitlines() if "broken" in line]
    told = "not a picture 9 broken 0.png, broken 1.png, broken 2.png, broken 3.png and 5 more"
    assert " ".join(row.split()) == told
    told = json.loads(called("show", str(mira), "--json").stdout)
    assert len(told["rejected"]) == len(told["faults"]["not a picture"]) == 9


def test_show_of_a_new_workspace_says_that_there_is_nothing_yet(tmp_path: Path):
    called("init", str(tmp_path / "new"))
    told = called("show", str(tmp_path / "new")).stdout
    assert "not curated yet" in told
    assert f"next: put all the pictures that you have of the character into {tmp_path / 'new' / 'images'}" in told


def next_of(folder: Path, *settings: str) -> str:
    return json.loads(called("show", str(folder), "--json", *settings).stdout)["next"]


def test_show_says_what_to_do_next(mira: Path):
    assert next_of(mira).endswith(f" curate {mira}")
    called("curate", str(mira))
    assert next_of(mira).endswith(f" caption {mira}")
    called("caption", str(mira))
    assert next_of(mira).endswith(f" train {mira}")
    called("train", str(mira))
    assert next_of(mira).endswith(f" evaluate {mira}")
    assert "has no held-out pictures" in str(called("evaluate", str(mira)).exception)
    assert next_of(mira).endswith(f" sample {mira}")
    called("sample", str(mira))
    assert next_of(mira).startswith(f"nothing: all is done, and {mira}/runs/0001/mira.safetensors is the LoRA; to give")
    assert next_of(mira).endswith(f" publish {mira}")
    assert f"\nnext: {next_of(mira)}\n" in called("show", str(mira)).stdout
    assert next_of(mira, "--set", "base.path=/nowhere").endswith(f" doctor {mira}")
    save_png(mira / "images" / "one more.png", numpy.zeros((32, 32, 3), numpy.uint8))
    assert next_of(mira).endswith(f" curate {mira}")


def test_inspect_of_a_folder_says_that_it_takes_a_file(mira: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    assert main(monkeypatch, "inspect", str(mira)) == 2
    assert "is a folder. Name a LoRA file in it" in capsys.readouterr().err


def test_inspect_prints_ranks_metadata_and_hashes(mira: Path):
    called("train", str(mira))
    lora = mira / "runs" / "0001" / "step-000002.safetensors"
    told = json.loads(called("inspect", str(lora), "--json").stdout)
    assert {rank for block in told["blocks"] for rank in block["ranks"]} == {1}
    assert told["metadata"]["modelspec.trigger_phrase"] == "mirachar"
    assert told["auto_v3"] == told["metadata"]["sshs_model_hash"][:12]
    words = called("inspect", str(lora)).stdout
    assert told["sha256"] in words
    assert "up_blocks.1" in words


def test_doctor_names_what_is_missing_and_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
):
    from importlib.metadata import PackageNotFoundError, version

    def without_onnxruntime(name: str) -> str:
        if name == "onnxruntime":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("likeness.cli.checks.version", without_onnxruntime)
    checks = {check.name: check for check in check_all(tmp_path)}
    assert checks["onnxruntime"].mend == MissingExtra("onnxruntime", "perception").cure
    assert not checks["torch"].is_missing
    assert checks["bfloat16"].found.startswith(("works on this CPU", "kills the process on this CPU"))
    assert "GB free" in checks["memory"].found
    assert "none in" in checks["recipe"].found
    request.getfixturevalue("bfloat16_works")  # it was tried above
    done = called("doctor", str(tmp_path))
    assert done.exit_code == 1
    assert f"\nonnxruntime: {checks['onnxruntime'].mend}\n" in done.stdout  # on one line, however long: to be copied


def test_doctor_says_when_bfloat16_would_kill_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for status, words in ((0, "works"), (-4, "kills the process"), (1, "unknown")):
        outcome = subprocess.CompletedProcess([], status)
        monkeypatch.setattr("likeness.cli.checks.subprocess.run", lambda *_, outcome=outcome, **__: outcome)
        told = json.loads(called("doctor", str(tmp_path), "--json").stdout)
        assert words in next(check["found"] for check in told["checks"] if check["name"] == "bfloat16")


@pytest.mark.usefixtures("bfloat16_works")
def test_doctor_says_how_to_mend_a_base_or_reader_that_is_not_there(mira: Path):
    settings = ("--set", "base.path=/nowhere", "--set", "perception.reader=nobody")
    told = json.loads(called("doctor", str(mira), *settings, "--json").stdout)
    checks = {check["name"]: check for check in told["checks"]}
    assert "/nowhere" in checks["base"]["found"]
    assert checks["base"]["mend"].startswith(setting_cure("base", "path", "FILE"))
    assert checks["reader"]["mend"] == setting_cure("perception", "reader", "plain")


@pytest.mark.usefixtures("bfloat16_works")
def test_doctor_lays_set_over_the_first_recipe_where_there_is_none(tmp_path: Path):
    told = json.loads(called("doctor", str(tmp_path), "--set", "base.path=/nowhere", "--json").stdout)
    assert "/nowhere" in next(check["found"] for check in told["checks"] if check["name"] == "base")
    told = json.loads(called("doctor", str(tmp_path), "--set", "train.rnk=1", "--json").stdout)
    assert "did you mean rank?" in next(check["mend"] for check in told["checks"] if check["name"] == "recipe")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("bfloat16_works")
def test_doctor_tells_every_device_and_whether_the_one_that_is_asked_for_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    card = SimpleNamespace(name="NVIDIA H200", total_memory=150_000_000_000)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda index: card)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    checks = {check.name: check for check in check_all(tmp_path)}
    assert checks["device"].found == "cuda:0, by base.device = 'auto'"
    assert {"cpu", "mps", "cuda:0", "cuda:1"} <= checks.keys()
    assert checks["cuda:1"].found == "NVIDIA H200, 150 GB"
    third = {check.name: check for check in check_all(tmp_path, ["base.device=cuda:2"])}["device"]
    assert third.found == "cuda:2 is not there"
    assert third.mend == setting_cure("base", "device", "auto")


def test_doctor_brings_back_a_base_that_is_gone_from_a_checkout_with_git(monkeypatch: pytest.MonkeyPatch):
    assert shlex.split(reinstall_cure())[0] == "git"
    checkout = Path(shlex.split(reinstall_cure())[2])
    assert (checkout / "src" / "likeness" / "maquette" / "base").is_dir()


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        (None, f"likeness=={likeness.__version__}"),
        ({"url": "file:///downloads/likeness.whl", "archive_info": {}}, "file:///downloads/likeness.whl"),
        ({"url": "https://x.org/y", "vcs_info": {"vcs": "git", "commit_id": "abc"}}, "git+https://x.org/y@abc"),
    ],
)
def test_doctor_brings_back_a_base_that_is_gone_from_where_it_was_installed(
    origin: dict[str, object] | None, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(likeness, "__file__", str(tmp_path / "python3.11" / "likeness" / "__init__.py"))
    told = SimpleNamespace(read_text=lambda name: json.dumps(origin) if origin else None)
    monkeypatch.setattr("likeness.cli.checks.distribution", lambda name: told)
    pip = [sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps"]
    assert shlex.split(reinstall_cure()) == [*pip, source]


@pytest.mark.usefixtures("bfloat16_works")
def test_doctor_lists_the_faults_of_a_recipe(mira: Path):
    told = json.loads(called("doctor", str(mira), "--set", "train.rank=0", "--json").stdout)
    (recipe,) = [check for check in told["checks"] if check["name"] == "recipe"]
    assert "train.rank" in recipe["mend"]


# -- what a message tells to type --------------------------------------------------------------------------------------


def test_a_command_is_told_as_this_person_can_type_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ours = tmp_path / ".venv" / "bin" / "likeness"
    ours.parent.mkdir(parents=True)
    ours.write_text("#!/bin/sh\n")
    ours.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/likeness", "init", "mira"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert typed("run", "a fox") == ".venv/bin/likeness run 'a fox'"
    monkeypatch.setenv("PATH", str(ours.parent))
    assert typed("run", "mira") == "likeness run mira"
    monkeypatch.setattr(sys, "argv", ["/checkout/src/likeness/__main__.py", "init", "mira"])
    assert shlex.split(typed("run", "mira")) == [sys.executable, "-m", "likeness", "run", "mira"]


def test_init_tells_the_command_that_comes_next(tmp_path: Path):
    assert called("init", str(tmp_path / "mira fox")).stdout.endswith(
        f"Then: {typed('curate', tmp_path / 'mira fox')}\n"
    )


def test_curate_ends_with_one_object(pool: Path):
    """In a workspace with a raw pool, as a program calls it."""
    done = called("curate", str(pool), "--json")
    told = json.loads(done.stdout)
    assert told["counts"] == {"pool": 80, "train": 38, "held_out": 7, "rejected": 35}
    assert told["coverage"].keys() == {"cells", "reachable", "covered"}
    assert len(told["train"]) == 38
    assert all((pool / "images" / path).exists() for path in told["held_out"])
    assert {"blur", "text", "other character"} <= told["rejected"].keys()
    assert isinstance(told["missing"], list)
    assert told["seconds"] >= 0
    assert (pool / "report" / "curation.html").exists()


def test_curate_says_why_a_picture_is_in_or_out(pool: Path):
    told = json.loads(called("curate", str(pool), "--json").stdout)
    blurred = told["rejected"]["blur"][0]
    words = called("curate", str(pool), "--why", blurred).stdout
    assert "rejected (blur)" in words
    assert "blur of 0." in words
    why = json.loads(called("curate", str(pool), "--why", told["train"][0], "--json").stdout)
    assert why["use"] == "train"
    assert why["reason"].startswith("chosen as number")


def test_why_of_a_picture_that_is_not_there_proposes_one(
    pool: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main(monkeypatch, "curate", str(pool), "--why", "00l.png") == 2
    assert "did you mean '0" in capsys.readouterr().err


@pytest.fixture
def foldered(mira: Path) -> Path:
    """A workspace whose pictures lie in folders, two of them under one name, curated."""
    for place in ("pool/010.png", "pool/011.png", "other/011.png"):
        (mira / "images" / place).parent.mkdir(exist_ok=True)
        save_png(mira / "images" / place, numpy.full((32, 32, 3), 10 + len(place) + ord(place[7]), numpy.uint8))
    called("curate", str(mira))
    return mira


def test_why_finds_a_picture_by_path_by_pattern_and_by_its_name_alone(foldered: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(foldered)
    for name in ("pool/010.png", "images/pool/010.png", "pool/*0.png", "010.png"):
        told = json.loads(called("curate", str(foldered), "--why", name, "--json").stdout)
        assert told["path"] == "pool/010.png", name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrongdir/010.png", "There is no picture 'wrongdir/010.png'"),
        ("wrongdir/010.png", "did you mean 'pool/010.png'?"),
        ("011.png", "'011.png' could be any of other/011.png, pool/011.png"),
        ("pool/*", "'pool/*' could be any of pool/010.png, pool/011.png"),
    ],
)
def test_why_never_answers_for_another_picture(
    foldered: Path, name: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main(monkeypatch, "curate", str(foldered), "--why", name) == 2
    assert words in capsys.readouterr().err


def test_why_explains_the_records_that_are_there_and_changes_nothing(
    foldered: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    save_png(foldered / "images" / "new.png", numpy.full((32, 32, 3), 99, numpy.uint8))
    before = {path: path.read_bytes() for path in foldered.rglob("*") if path.is_file()}
    told = json.loads(called("curate", str(foldered), "--why", "1.png", "--set", "curate.count=1", "--json").stdout)
    assert told["use"] == "train"
    assert main(monkeypatch, "curate", str(foldered), "--why", "new.png") == 2
    assert "newer than the last curation" in capsys.readouterr().err
    assert main(monkeypatch, "curate", str(foldered), "--why", "1.png", "--licence", "CC0") == 2
    assert "without it" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in foldered.rglob("*") if path.is_file()} == before


def test_why_curates_where_nothing_was_curated_yet(mira: Path):
    assert json.loads(called("curate", str(mira), "--why", "1.png", "--json").stdout)["use"] == "train"
    assert (mira / "images.jsonl").exists()


def test_why_joins_only_what_is_known(mira: Path):
    told = called("curate", str(mira), "--why", "1.png", "--set", "perception.reader=plain").stdout
    assert [line.split(maxsplit=1)[1].strip() for line in told.splitlines() if line.startswith("seen")] == ["by plain"]


def test_what_a_person_rejected_is_told_as_theirs(mira: Path):
    called("label", str(mira), "1.png", "use=rejected")
    assert "rejected: by you" in called("curate", str(mira)).stdout
    assert "rejected (by you)" in called("curate", str(mira), "--why", "1.png").stdout
    assert "by you" in called("show", str(mira)).stdout


def test_source_and_licence_are_noted_of_pictures_of_which_nobody_said(pool: Path):
    called("curate", str(pool), "--source", "my sketchbook", "--licence", "CC0")
    called("curate", str(pool), "--source", "somebody else's")
    records = read_records(pool / "images.jsonl", Picture)
    assert {(one.source, one.rights) for one in records} == {("my sketchbook", "CC0")}


def test_too_few_pictures_stop_with_the_price_until_told_to_go_on(
    mira: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for number in range(3):
        page = draw(character(1), Scene(pose=("standing", "waving", "pointing")[number], background="beach"), size=128)
        save_png(mira / "images" / f"{number}.png", page)
    settings = ("--set", "curate.choose=auto", "--set", "encode.size=64")
    assert main(monkeypatch, "curate", str(mira), "--json", *settings) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["counts"]["train"] == 3
    assert "Only 3 pictures are usable, and 20 are wanted" in told.err
    assert "--set curate.accept_few=true" in told.err
    assert called("curate", str(mira), "--why", "1.png", *settings).exit_code == 0
    assert (mira / "report" / "curation.html").exists()
    assert called("curate", str(mira), *settings, "--set", "curate.accept_few=true").exit_code == 0
    advice = next_of(mira, *settings)
    assert "add pictures (3 are usable, 20 are wanted)" in advice
    assert f"accept_few = true under [curate] in {mira / 'likeness.toml'}; then: " in advice
    recipe = (mira / "likeness.toml").read_text()
    (mira / "likeness.toml").write_text(recipe.replace("[curate]", "[curate]\naccept_few = true"))
    assert next_of(mira, *settings).endswith(f" caption {mira}"), "who follows the advice goes on"
    (mira / "likeness.toml").write_text(recipe)
    save_png(mira / "images" / "new.png", numpy.zeros((32, 32, 3), numpy.uint8))
    assert next_of(mira, *settings).endswith(f" curate {mira}")
    assert "add pictures" not in next_of(mira, *settings), "they were"


def test_where_nothing_is_left_to_train_on_show_says_what_is_to_be_done_before_curating(mira: Path):
    called("label", str(mira), "*.png", "use=rejected")
    called("curate", str(mira))
    assert f" label {mira} PICTURE use=train; then: " in next_of(mira)


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_an_expected_error_is_one_message_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main(monkeypatch, "train", str(tmp_path)) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("likeness: ")
    assert "likeness init" in told.err
    assert "Traceback" not in told.err


def test_an_expected_error_is_an_object_with_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main(monkeypatch, "show", str(tmp_path), "--json") == 2
    assert "likeness.toml" in json.loads(capsys.readouterr().err)["error"]


def test_an_interruption_has_the_status_that_shells_give_it(mira: Path, monkeypatch: pytest.MonkeyPatch):
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("likeness.pipeline.run", stopped)
    assert main(monkeypatch, "train", str(mira)) == 130


def test_only_a_process_that_ends_leaves_its_garbage(mira: Path, monkeypatch: pytest.MonkeyPatch):
    frozen: list[bool] = []
    monkeypatch.setattr("gc.freeze", lambda: frozen.append(True))
    called("show", str(mira))
    assert not frozen, "a program that calls a command goes on"
    main(monkeypatch, "show", str(mira))
    assert frozen == [True]


def test_a_bug_keeps_its_traceback(mira: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("likeness.pipeline.run", broken)
    monkeypatch.setattr(sys, "argv", ["likeness", "train", str(mira)])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_an_unknown_option_is_refused_with_status_2(monkeypatch: pytest.MonkeyPatch):
    assert main(monkeypatch, "train", "--steps", "3") == 2


# -- readers of events -------------------------------------------------------------------------------------------------


def event(done: int, **more: object) -> Event:
    return Event.model_validate({"stage": "train", "done": done, "total": 100, **more})


def test_a_log_gets_the_first_line_the_last_and_one_in_ten_seconds():
    log, seconds = io.StringIO(), iter(range(0, 1000))
    report = LineReport(log, clock=lambda: float(next(seconds)))
    for done in range(1, 101):
        report(event(done))
    lines = log.getvalue().splitlines()
    assert lines[0].startswith("train: 1/100")
    assert lines[-1] == "train: 100/100"
    assert len(lines) == 11


def test_a_line_tells_the_time_left_and_the_numbers():
    log, seconds = io.StringIO(), iter([0.0, 30.0])
    report = LineReport(log, clock=lambda: next(seconds))
    report(event(0))
    report(event(25, numbers={"loss": 0.12345}))
    assert log.getvalue().splitlines()[1] == "train: 25/100, 1:30 left, loss 0.1235"


def test_the_time_left_after_a_resume_counts_only_what_was_done_since():
    log, seconds = io.StringIO(), iter([0.0, 30.0])
    report = LineReport(log, clock=lambda: next(seconds))
    report(event(50))
    report(event(75))
    assert log.getvalue().splitlines() == ["train: 50/100", "train: 75/100, 0:30 left"]


def test_a_note_before_anything_is_counted_stands_alone_and_no_line_comes_twice():
    log = io.StringIO()
    report = LineReport(log, clock=lambda: 0.0)
    report(Event(stage="evaluate", done=0, total=0, note="no picture was held out"))
    for _ in range(3):
        report(event(100))
    report(Event(stage="look", done=0, total=0))
    assert log.getvalue().splitlines() == ["evaluate: no picture was held out", "train: 100/100", "look: 0"]


def test_a_note_is_told_at_once():
    log = io.StringIO()
    report = LineReport(log, clock=lambda: 0.0)
    report(event(1))
    report(event(2, note="a.png: damaged"))
    assert "a.png: damaged" in log.getvalue()


def test_a_program_gets_one_object_a_line():
    out = io.StringIO()
    JsonReport(out)(event(7, numbers={"loss": 0.5}, note="first\nsecond"))
    assert Event.model_validate_json(out.getvalue()) == event(7, numbers={"loss": 0.5}, note="first\nsecond")
    assert out.getvalue().count("\n") == 1


def test_a_terminal_gets_a_bar_per_stage():
    with BarReport() as bars:
        for done in (1, 50, 100):
            bars(event(done, numbers={"loss": 0.25}))
        bars(Event(stage="sample", done=1, total=0))
    (train, sample) = bars.progress.tasks
    assert (train.description, train.completed, train.total) == ("train", 100, 100)
    assert "loss 0.25" in train.fields["numbers"]
    assert sample.total is None


def test_talk_in_a_log_is_plain(capsys: pytest.CaptureFixture[str]):
    with reporting(False) as report:
        report(event(100))
    assert capsys.readouterr().err == "train: 100/100\n"


def test_ctrl_c_says_that_what_was_finished_is_kept():
    with pytest.raises(Interrupted, match="kept"), reporting(False):
        raise KeyboardInterrupt


def test_an_error_passes_through_the_reporting():
    with pytest.raises(WorkspaceError, match="as it was"), reporting(False):
        raise WorkspaceError("as it was")
