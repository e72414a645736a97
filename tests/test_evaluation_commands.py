"""`likeness evaluate` and `compare` as a person types them: what is refused, in which words, and with which status."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from commands import called, refused
from safetensors.numpy import save_file

from likeness.cli.scorecards import answer_of
from likeness.cli.tables import figure
from likeness.errors import CheckpointError, EvaluationError, RecipeError, WorkspaceError
from likeness.evaluation.choose import Choice
from likeness.evaluation.questions import Key
from likeness.evaluation.scorecard import Judged
from likeness.evaluation.shots import Shot
from likeness.images import save_png, sha256_of
from likeness.pipeline.comparisons import compare_evaluations
from likeness.pipeline.judging import judged_sha256
from likeness.pipeline.scores import Setup, Verdict, read_verdict
from likeness.recipe import Recipe
from likeness.records import read_records, write_records
from likeness.seeds import stream
from likeness.workspace import Workspace

PROMPTS = 12
RECIPE = """
[character]
name = "mira"
kind = "original"
trigger = "mirachar"
"""


def drawn(who: str, number: int, values: dict[str, float]) -> Judged:
    shot = Shot(kind="own", number=number, prompt=f"mirachar, scene {number}", seed=number)
    told = {"who": who, "round": "full", "shot": shot, "values": values, "raws": values, "missing": {}}
    return Judged(**told, instrument_sha256="0" * 64)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which three checkpoints were measured: one good, one worse in many ways, one hardly different."""
    workspace = Workspace.create(tmp_path_factory.mktemp("mira"))
    workspace.recipe.write_text(RECIPE)
    workspace.evaluation.mkdir()
    axes = ("identity", "face", "body", "clothing", "attributes")
    lower = {"base": 0.9, "step-000100": 0.4, "step-000200": 0.0, "step-000300": 0.02}
    pictures = [
        drawn(who, number, {**{axis: 0.9 - less for axis in axes}, "drift": less})
        for who, less in lower.items()
        for number in range(PROMPTS)
    ]
    write_records(workspace.pictures_jsonl, pictures)
    verdict = Verdict(
        lora="runs/0001/step-000200.safetensors",
        choice=Choice(step=200, reason="It is the best.", axes={}),
        findings={},
        detectable=None,
        measured=Setup(instruments={}, sampling={}, base="", versions={}),
    )
    workspace.choice_json.write_text(verdict.model_dump_json())
    return workspace.root


@pytest.fixture
def references(tmp_path: Path) -> Path:
    (tmp_path / "real").mkdir()
    for place in range(9):
        save_png(tmp_path / "real" / f"{place}.png", numpy.full((64, 64, 3), 20 * place, numpy.uint8))
    return tmp_path / "real"


@pytest.fixture
def lora(tmp_path: Path) -> Callable[..., Path]:
    """A LoRA of one layer, for another base than the embedded one."""

    def made(**notes: str) -> Path:
        stem, ranked = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q", numpy.zeros((2, 320))
        tensors = {f"{stem}.lora_down.weight": ranked, f"{stem}.lora_up.weight": ranked.T.copy()}
        tensors[f"{stem}.alpha"] = numpy.array(2.0)
        path = tmp_path / "theirs.safetensors"
        save_file({name: tensor.astype(numpy.float32) for name, tensor in tensors.items()}, path, metadata=notes)
        return path

    return made


# -- evaluate ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nowhere", "nowhere.safetensors"])
def test_what_is_not_there_is_said_to_be_missing_before_anything_else_is_asked_for(name: str):
    assert f"{name} is not there" in refused("evaluate", name, by=WorkspaceError)


def test_options_that_a_character_s_folder_would_ignore_are_refused(evaluated: Path, references: Path):
    told = refused("evaluate", evaluated, "--references", references, "--reader", "plain", by=RecipeError)
    assert told.startswith("--references --reader would be ignored")


def test_a_file_and_pictures_are_not_measured_at_once(lora: Callable[..., Path], references: Path):
    assert "Leave out one" in refused("evaluate", lora(), "--pictures", references, by=RecipeError)


def test_a_file_that_does_not_say_its_trigger_asks_for_it(lora: Callable[..., Path], references: Path):
    assert "--trigger is needed" in refused("evaluate", lora(), "--references", references, by=RecipeError)


def test_a_file_that_is_no_lora_is_refused_before_a_trigger_is_asked_for(evaluated: Path, references: Path):
    told = refused("evaluate", evaluated / "likeness.toml", "--references", references, by=CheckpointError)
    assert "is not a safetensors file" in told


def test_a_lora_for_another_base_is_refused_before_anything_is_drawn(lora: Callable[..., Path], references: Path):
    path = lora(**{"modelspec.trigger_phrase": "theirs"})
    told = refused("evaluate", path, "--references", references, by=CheckpointError)
    assert "theirs.safetensors does not go with base.path = 'maquette' (--base)." in told
    assert not (path.parent / "theirs-evaluation").exists()


def test_the_embedded_base_is_read_by_its_own_reader_also_where_it_is_named(
    lora: Callable[..., Path], references: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []

    def noted(lora: Path, recipe: Recipe, **_: object):
        seen.append(recipe.perception.reader)
        raise EvaluationError("enough")

    monkeypatch.setattr("likeness.pipeline.foreign.evaluate_file", noted)
    told = ("evaluate", lora(), "--references", references, "--trigger", "theirs")
    for more in ((), ("--base", "maquette"), ("--base", "other"), ("--base", "other", "--reader", "anime")):
        refused(*told, *more, by=EvaluationError)
    assert seen == ["maquette", "maquette", "plain", "anime"]


@pytest.mark.parametrize(
    ("phrase", "trigger", "class_words"),
    [
        ("mira, blue hair, 1girl", "mira", "blue hair, 1girl"),
        *((word, word, "") for word in ("true", "3", '"mira"', "mira # 2", "['a']")),
    ],
)
def test_the_words_that_a_file_says_for_its_trigger_are_taken_as_they_are(
    lora: Callable[..., Path],
    references: Path,
    monkeypatch: pytest.MonkeyPatch,
    phrase: str,
    trigger: str,
    class_words: str,
):
    seen: list[tuple[str, str]] = []

    def noted(lora: Path, recipe: Recipe, **_: object):
        seen.append((recipe.character.trigger, recipe.character.class_words))
        raise EvaluationError("enough")

    monkeypatch.setattr("likeness.pipeline.foreign.evaluate_file", noted)
    path = lora(**{"modelspec.trigger_phrase": phrase})
    refused("evaluate", path, "--references", references, by=EvaluationError)
    refused("evaluate", lora(), "--references", references, "--trigger", phrase, by=EvaluationError)
    assert seen == [(trigger, class_words)] * 2


def test_scores_of_a_character_s_folder_are_never_written_over(
    lora: Callable[..., Path], references: Path, tmp_path: Path
):
    called("init", tmp_path / "mira")
    told = ("evaluate", lora(), "--references", references, "--trigger", "theirs", "--to", tmp_path / "mira")
    assert "its scores stay" in refused(*told, by=WorkspaceError)


def test_what_rounds_to_nothing_has_no_sign():
    assert [figure(-0.001), figure(-0.004, sign="+"), figure(-0.005123, 3), figure(0.5, sign="+")] == [
        *("0.00", "+0.00", "-0.005", "+0.50")
    ]


# -- compare -----------------------------------------------------------------------------------------------------------


def test_compare_exits_with_1_where_the_second_is_worse_and_names_every_axis(evaluated: Path):
    done = called("compare", evaluated, f"{evaluated}=step-000100")
    assert done.exit_code == 1
    told = " ".join(done.stdout.split())
    assert "step-000100 is worse on identity, face, body, clothing, attributes, drift." in told
    assert "Differences up to 0.05, and those that may be chance, do not count." in told
    assert "Of drift less is better." in told


def test_compare_exits_with_0_where_it_is_better_or_hardly_differs(evaluated: Path):
    better = called("compare", f"{evaluated}=step-000100", evaluated)
    assert better.exit_code == 0
    assert "is worse on no axis, better on identity, face" in better.stdout
    same = called("compare", evaluated, f"{evaluated}=step-000300", "--json")
    assert same.exit_code == 0
    told = json.loads(same.stdout)
    assert (told["worse"], told["better"], told["margin"]) == ([], [], 0.05)


def test_compare_exits_with_2_where_of_no_likeness_there_are_prompts_enough_to_say(evaluated: Path, other: Workspace):
    """Two that were hardly looked at are not told to be as good as each other."""
    few = [one for one in read_records(other.pictures_jsonl, Judged) if one.shot.kind != "own" or one.shot.number < 3]
    write_records(other.pictures_jsonl, [one for one in few if one.shot.kind in ("own", "bare")])
    done = called("compare", evaluated, other.root)
    assert done.exit_code == 2
    assert "Whether any likeness is worse cannot be said at all." in " ".join(done.stdout.split())


def test_compare_exits_with_2_where_a_likeness_could_be_told_of_the_first_alone(evaluated: Path, other: Workspace):
    """Who has lost the face is not as good for what is left."""
    pictures = read_records(other.pictures_jsonl, Judged)
    faceless = [
        one.model_copy(
            update={
                "values": {axis: value for axis, value in one.values.items() if axis != "face"},
                "missing": {**one.missing, **({"face": "no face was found"} if "face" in one.values else {})},
            }
        )
        for one in pictures
    ]
    write_records(other.pictures_jsonl, faceless)
    done = called("compare", evaluated, other.root)
    assert done.exit_code == 2
    assert "Of most pictures of the second face could not be told" in " ".join(done.stdout.split())
    assert called("compare", other.root, evaluated).exit_code == 0


def test_the_margin_is_what_the_first_ones_recipe_says_unless_it_is_typed(evaluated: Path):
    recipe = evaluated / "likeness.toml"
    recipe.write_text(f"{RECIPE}[evaluate]\nmargin = 0.01\n")
    try:
        assert called("compare", evaluated, f"{evaluated}=step-000300").exit_code == 1
        assert called("compare", evaluated, f"{evaluated}=step-000300", "--margin", "0.03").exit_code == 0
    finally:
        recipe.write_text(RECIPE)


@pytest.fixture
def other(evaluated: Path, tmp_path: Path) -> Workspace:
    """A copy of it."""
    shutil.copytree(evaluated, tmp_path / "other")
    return Workspace(tmp_path / "other")


def measured(workspace: Workspace, **told: object) -> None:
    """The workspace was measured otherwise."""
    verdict = read_verdict(workspace)
    changed = verdict.measured.model_copy(update=told)
    workspace.choice_json.write_text(verdict.model_copy(update={"measured": changed}).model_dump_json())


def test_scores_by_other_held_out_pictures_are_never_compared(evaluated: Path, other: Workspace):
    assert called("compare", evaluated, other.root).exit_code == 0
    measured(other, held_out="0" * 64)
    told = refused("compare", evaluated, f"{other.root}=step-000100", by=EvaluationError)
    assert "against different held-out pictures" in told
    assert told.endswith("likeness evaluate FILE --references FOLDER")


def test_scores_by_another_checklist_are_never_compared(evaluated: Path, other: Workspace):
    other.recipe.write_text(f"{RECIPE}[evaluate]\nchecklist = {{ mark = 'left scar' }}\n")
    told = refused("compare", evaluated, other.root, by=EvaluationError)
    assert "evaluate.checklist: none and {'mark': 'left scar'}" in told


def test_what_was_measured_otherwise_is_told_by_its_setting_with_what_to_do(evaluated: Path, other: Workspace):
    here = Workspace(other.root.parent / "here")
    shutil.copytree(evaluated, here.root)
    measured(here, instruments={"reader": "anime 1", "encoder": "my dino 5"}, sampling={"steps": 8, "guidance": 5.0})
    measured(
        other,
        instruments={"reader": "plain 2", "encoder": "my dino 6"},
        sampling={"steps": 20, "guidance": 5.0},
        base="7",
    )
    assert refused("compare", here.root, other.root, by=EvaluationError).splitlines()[1:] == [
        "  perception.reader: anime and plain",
        "  evaluate.encoder: my dino, with other weights",
        "  sample.steps or evaluate.steps: 8 and 20",
        "  [base]: another base, or the same with other settings or on another device",
        "Set the same in both recipes and repeat for both: likeness evaluate FOLDER",
    ]


def test_what_was_seen_at_first_is_not_compared_beside_the_full_set(evaluated: Path, other: Workspace):
    """There it is the same picture, whose variety and artefacts were told by fewer others."""
    pictures = read_records(other.pictures_jsonl, Judged)
    first = [
        one.model_copy(update={"round": "first", "values": {"identity": 0.0}})
        for one in pictures
        if one.shot.number < 6
    ]
    write_records(other.pictures_jsonl, [*pictures, *first])
    for pair in ((other.root, evaluated), (evaluated, other.root)):
        identity = compare_evaluations(*map(str, pair))["differences"][0]
        assert (identity["difference"]["samples"], identity["difference"]["mean"]) == (PROMPTS, 0)
    write_records(other.pictures_jsonl, [one for one in first if one.who == "step-000200"])
    only = compare_evaluations(str(evaluated), str(other.root))["differences"][0]
    assert (only["difference"]["samples"], only["second"]) == (6, 0), "who was seen at first alone is compared by that"


def test_too_few_prompts_and_what_could_not_be_told_are_said(evaluated: Path, other: Workspace):
    pictures = read_records(other.pictures_jsonl, Judged)
    hidden = {"face": range(3, PROMPTS), "body": range(1)}
    seen = [
        one.model_copy(
            update={
                "values": {
                    axis: value for axis, value in one.values.items() if one.shot.number not in hidden.get(axis, ())
                },
                "missing": {axis: "it is from behind" for axis, some in hidden.items() if one.shot.number in some},
            }
        )
        for one in pictures
        if one.shot.number not in range(3, 8)
    ]
    write_records(other.pictures_jsonl, seen)
    done = called("compare", evaluated, f"{other.root}=step-000100")
    assert done.exit_code == 1
    told = " ".join(done.stdout.split())
    assert "is worse on identity, clothing, attributes, drift." in told
    assert "Too few prompts to say (see evaluate.count): body." in told
    assert "of the second: face 0 and 4 of 7 (not compared), body 0 and 1 of 7." in told
    answer = json.loads(called("compare", evaluated, f"{other.root}=step-000100", "--json").stdout)
    assert answer["too_few_prompts"] == ["body"]
    assert {one["axis"]: one["is_decidable"] for one in answer["differences"]}["body"] is False
    assert answer["untold"][0] == {"axis": "face", "asked": 7, "first": 0, "second": 4, "is_compared": False}


def test_pictures_of_the_base_alone_are_nothing_to_compare(evaluated: Path, other: Workspace):
    write_records(
        other.pictures_jsonl, [one for one in read_records(other.pictures_jsonl, Judged) if one.who == "base"]
    )
    for name in ("", "=step-000100"):
        told = refused("compare", evaluated, f"{other.root}{name}", by=EvaluationError)
        assert "holds pictures of the base alone" in told


@pytest.mark.parametrize("margin", ["-1", "2", "x"])
def test_a_margin_that_is_none_is_refused(evaluated: Path, margin: str):
    assert called("compare", evaluated, evaluated, "--margin", margin).exit_code == 2


def test_compare_of_a_file_says_how_it_is_measured_first(evaluated: Path, lora: Callable[..., Path]):
    with pytest.raises(EvaluationError, match=r"theirs\.safetensors is a file. Measure it first"):
        compare_evaluations(str(lora()), str(evaluated))


def test_compare_of_a_folder_that_is_not_there_says_so(evaluated: Path, tmp_path: Path):
    with pytest.raises(WorkspaceError, match=r"nowhere/choice\.json is not there"):
        compare_evaluations(str(evaluated), str(tmp_path / "nowhere"))


# -- what was drawn elsewhere is judged by eye as well -----------------------------------------------------------------


def test_pictures_that_say_nothing_of_themselves_are_told_together_and_nothing_is_made(references: Path):
    done = called("evaluate", "--pictures", references, "--references", references, "--trigger", "mirachar")
    assert isinstance(done.exception, EvaluationError)
    assert "passed over: 0.png, 1.png, 2.png and 6 more: says nothing of how it was made" in done.stderr
    assert [path.name for path in references.parent.iterdir()] == ["real"]


def test_pictures_from_elsewhere_are_measured_and_then_judged(references: Path, tmp_path: Path):
    theirs = tmp_path / "drawn"
    for lora in ("", "<lora:mira:1>"):
        for seed in range(6):
            note = f"mirachar, 1girl, scene {seed} {lora}\nSteps: 8, Sampler: Euler, CFG scale: 2, Seed: {seed}"
            theirs.mkdir(exist_ok=True)
            pixels = stream(seed, lora).integers(0, 256, (64, 64, 3), numpy.uint8)
            save_png(theirs / f"{lora[6:10]}{seed}.png", pixels, {"parameters": note})
    words = ("--references", references, "--trigger", "mirachar", "--reader", "plain", "--base", "maquette")
    assert called("evaluate", "--pictures", theirs, *words).exit_code == 0
    done = called("evaluate", "--pictures", theirs, *words, "--json")
    assert done.exit_code == 0, "a second time in the same folder"
    folder = Path(json.loads(done.stdout)["workspace"])
    told = json.loads(called("judge", folder, "--json").stdout)
    assert (told["first"], told["second"], told["pairs"]) == ("base", "mira", 8), "six, and two of them again"
    key = Key.model_validate_json(Workspace(folder).key_json.read_bytes())
    assert {Path(one.left.picture).parent.as_posix() for one in key.pairs} == {"../drawn"}
    assert all((folder / one.left.picture).is_file() for one in key.pairs)
    assert {one.real.partition("/")[0] for one in key.pairs} == {"images"}
    assert len(read_verdict(Workspace(folder)).measured.held_out) == 64


def test_one_object_holds_what_was_found_of_the_chosen_lora_and_nothing_of_another(evaluated: Path, tmp_path: Path):
    workspace = Workspace(tmp_path / "mira")
    shutil.copytree(evaluated, workspace.root)
    write_records(workspace.scores_jsonl, [])
    lora = workspace.root / read_verdict(workspace).lora
    lora.parent.mkdir(parents=True)
    lora.write_bytes(b"weights")
    workspace.plots.mkdir(parents=True)
    (workspace.plots / "axes.png").touch()
    assert {answer_of(workspace)[name] for name in ("strength", "blocks", "judging")} == {None}
    strength = {"sha256": sha256_of(lora), "recommended": 0.8}
    workspace.strength_json.write_text(json.dumps(strength))
    workspace.blocks_json.write_text(json.dumps({"sha256": "0" * 64}))
    workspace.judging_json.write_text(json.dumps({"sha256": "0" * 64, "told": []}))
    found = answer_of(workspace)
    assert (found["strength"], found["blocks"], found["judging"]) == (strength, None, None)
    judging = {"sha256": judged_sha256(workspace), "told": []}
    workspace.judging_json.write_text(json.dumps(judging))
    assert answer_of(workspace)["judging"] == judging
    lora.write_bytes(b"of the next run")
    assert {answer_of(workspace)[name] for name in ("strength", "blocks", "judging")} == {None}
    assert found["charts"] == [str(workspace.plots / "axes.png")]
