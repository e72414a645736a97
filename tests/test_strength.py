"""Strength: the weight that is recommended is the one at which the character is right and nothing else suffers."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from painters import WHO, Painter, Truth, base, being, good, instruments_of, real_of, seen_in, shots_of
from rich.console import Console

from likeness.cli.probing import strength_table
from likeness.errors import EvaluationError, RecipeError, WorkspaceError
from likeness.evaluation.choose import Choice
from likeness.evaluation.evaluate import BASE
from likeness.evaluation.instruments import Real
from likeness.evaluation.probe_charts import draw_strength
from likeness.evaluation.shots import Shot
from likeness.evaluation.strength import WEIGHTS, Strength, Weighed, few_of, name_of, sweep
from likeness.images import open_pixels
from likeness.maquette.world import Drawing
from likeness.pipeline.probing import weights_of
from likeness.pipeline.samples import best_lora
from likeness.pipeline.scores import Setup, Verdict
from likeness.recipe import EvaluateConfig
from likeness.workspace import Workspace

CONFIG = EvaluateConfig(leak_limit=0.5, drift_limit=2, first=4)
SHOTS = shots_of()


def weak(shot: Shot) -> Drawing:
    """The character with another one's face and hair."""
    return being(good(shot), left_eye="blue", right_eye="blue", mark="none", hair_colour="brown", ears="human")


def burnt(shot: Shot) -> Drawing:
    """The character also where it is not called, and always from the front."""
    return seen_in(being(base(shot), **WHO.traits) if shot.kind == "class" else good(shot), view="front")


def swept(**painters: Painter) -> Strength:
    """The strength of a LoRA that draws so at these weights."""
    truth = Truth()
    at = {float(name.removeprefix("at_").replace("_", ".")): painter for name, painter in painters.items()}
    drawers = {BASE: base, **{name_of(weight): painter for weight, painter in at.items()}}
    return sweep(sorted(at), SHOTS, real_of(truth), CONFIG, instruments=instruments_of(truth, drawers), seed=1)


def range_of(found: Strength) -> tuple[float | None, float | None, float | None]:
    return found.low, found.recommended, found.high


def test_a_few_prompts_of_each_kind_are_drawn_with_all_their_pictures():
    shots = [shot.model_copy(update={"seed": shot.seed + copy}) for shot in shots_of() for copy in range(2)]
    few = few_of(shots, ("own", "class"), 3)
    assert [shot.kind for shot in few] == ["own"] * 6 + ["class"] * 6
    assert few == [shot for shot in shots if shot in few], "the first ones, in their order"
    assert len({shot.number for shot in few}) == 6


def test_the_weight_at_which_it_is_right_and_does_no_harm_is_recommended():
    found = swept(at_0_5=weak, at_1_0=good, at_1_5=burnt)
    assert range_of(found) == (1.0, 1.0, 1.0)
    assert found.reason == "1 is the best."
    at = {one.weight: one for one in found.weights}
    assert "leak is" in at[1.5].refused
    assert not at[0.5].refused
    assert at[0.5].axes["identity"].mean < at[1.0].axes["identity"].mean == pytest.approx(1, abs=0.05)
    assert at[1.5].axes["leak"].mean > 0.8 > 0.1 > at[1.0].axes["leak"].mean
    assert {"face", "freedom", "variety", "artefacts", "economy", "drift"} <= at[1.0].axes.keys()


def test_weights_that_do_as_well_are_the_range_and_the_least_of_them_is_recommended():
    found = swept(at_0_4=weak, at_0_8=good, at_1_0=good, at_1_2=good, at_1_4=burnt)
    assert range_of(found) == (0.8, 0.8, 1.2)
    assert found.reason == "0.8 is the best, though 1, 1.2 cannot be told from it."


def test_a_weight_that_does_worse_ends_the_range():
    assert range_of(swept(at_0_8=good, at_1_0=weak, at_1_2=good)) == (0.8, 0.8, 0.8)


def test_where_the_range_ends_because_the_trial_did_that_is_told():
    assert swept(at_0_4=weak, at_0_8=good, at_1_0=good).reason.endswith(" More than 1 was not tried.")
    assert swept(at_0_8=good, at_1_2=burnt).reason.endswith(" Less than 0.8 was not tried.")


def test_where_each_weight_is_refused_none_is_recommended_and_each_fault_is_told():
    found = swept(at_0_8=burnt, at_1_2=burnt)
    assert range_of(found) == (None, None, None)
    assert found.reason.startswith("No weight may be used: at 0.8 leak is 0.974, above 0.5")
    assert "; at 1.2 leak is" in found.reason


def test_without_a_real_picture_nothing_is_measured():
    with pytest.raises(EvaluationError, match="no held-out picture"):
        sweep([1.0], SHOTS, Real((), ()), CONFIG, instruments=instruments_of(Truth(), {}), seed=1)


def test_a_record_is_read_back_as_it_was():
    found = swept(at_0_8=good, at_1_0=good)
    assert Strength.model_validate_json(found.model_dump_json()) == found


def test_chart_and_table_tell_how_much_of_the_likeness_the_trigger_brings(tmp_path: Path):
    found = swept(at_0_8=good, at_1_0=good)
    without = [one.model_copy(update={"axes": {**one.axes}}) for one in found.weights]
    for one in without:
        del one.axes["economy"]
    for name, one in {"with": found, "without": found.model_copy(update={"weights": tuple(without)})}.items():
        draw_strength(one, tmp_path / name)
    assert (tmp_path / "with").read_bytes() != (tmp_path / "without").read_bytes()
    console = Console(width=160, file=io.StringIO())
    with console.capture() as captured:
        console.print(strength_table(found, {}))
    words = captured.get()
    (heading,) = [line.split() for line in words.splitlines() if line.startswith("weight")]
    assert heading == ["weight", "identity", "freedom", "variety", "leak", "drift", "artefacts", "economy"]
    assert "Economy: of the likeness, what the trigger brings." in words


def test_a_chart_is_drawn_also_where_no_weight_is_recommended(tmp_path: Path):
    untold = Strength(reason="", weights=(Weighed(weight=1, axes={}),))
    for found in (swept(at_0_8=good, at_1_0=good), swept(at_0_8=burnt, at_1_0=burnt), untold):
        draw_strength(found, tmp_path / "plots" / "strength.png")
        pixels = open_pixels(tmp_path / "plots" / "strength.png")
        assert pixels.shape[1] > pixels.shape[0] > 300
        assert pixels.std() > 10


# -- from the command line ---------------------------------------------------------------------------------------------


def test_weights_are_read_as_they_are_typed():
    assert weights_of("") == WEIGHTS
    assert weights_of("1, 0.6,0.60,.8") == (0.6, 0.8, 1.0)


@pytest.mark.parametrize("words", ["1", "0,1", "-1,1", "0.5,9", "a,b", "nan,1", "1 2"])
def test_weights_that_say_nothing_are_refused(words: str):
    with pytest.raises(RecipeError, match=r"--weights .* as in --weights 0\.6,0\.8,1\."):
        weights_of(words)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.create(tmp_path)
    for place in ("0001/step-000100", "0002/step-000100", "0002/step-000200"):
        path = made.runs / f"{place}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return made


@pytest.fixture
def choosing(workspace: Workspace) -> Callable[[str], str]:
    """The LoRA that is probed once this one was chosen, by its place in `runs`."""

    def choose(place: str) -> str:
        measured = Setup(instruments={}, sampling={}, base="", versions={})
        choice = Choice(step=100, reason="", axes={})
        verdict = Verdict(lora=place, choice=choice, findings={}, detectable=None, measured=measured)
        workspace.choice_json.write_text(verdict.model_dump_json())
        return best_lora(workspace).relative_to(workspace.runs).as_posix()

    return choose


def test_the_chosen_lora_is_probed(choosing: Callable[[str], str]):
    assert choosing("runs/0002/step-000100.safetensors") == "0002/step-000100.safetensors"


@pytest.mark.parametrize("place", ["", "runs/0002/gone.safetensors", "runs/0001/step-000100.safetensors"])
def test_where_none_of_the_newest_run_was_chosen_its_last_one_is(choosing: Callable[[str], str], place: str):
    assert choosing(place) == "0002/step-000200.safetensors"


def test_a_choice_that_cannot_be_read_is_named(workspace: Workspace):
    for damaged in ("{", "[]", "{}"):
        workspace.choice_json.write_text(damaged)
        with pytest.raises(WorkspaceError, match=r"choice\.json cannot be read\. Delete it"):
            best_lora(workspace)


def test_before_a_choice_the_newest_is_probed(workspace: Workspace):
    assert best_lora(workspace).name == "step-000200.safetensors"


def test_without_a_lora_there_is_nothing_to_probe(tmp_path: Path):
    with pytest.raises(WorkspaceError, match="no LoRA yet"):
        best_lora(Workspace.create(tmp_path / "empty"))
