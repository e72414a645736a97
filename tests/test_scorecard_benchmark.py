"""The benchmark of the scorecard: that its figures are what their names say."""

from typing import Any

import numpy
import pytest
from scorecard_choices import choices_table, coverage_table, ranks_table
from scorecard_quality import PLANTED, _besides, _faults

from likeness.evaluation.details import Detail
from likeness.evaluation.scorecard import Score
from likeness.statistics import Interval


def run(chosen: int | None, **truth: float) -> dict[str, Any]:
    """A run of checkpoints with this true identity; the loss falls to the last but one."""
    steps = {name.removeprefix("at"): value for name, value in truth.items()}
    loss = {step: 1 / (1 + place) if place < len(steps) - 1 else 9.0 for place, step in enumerate(steps)}
    return {"chosen": chosen, "truth": {step: {"identity": value} for step, value in steps.items()}, "loss": loss}


def test_a_choice_is_held_against_the_best_of_its_run(capsys: pytest.CaptureFixture[str]):
    runs = {"control": run(80, at40=0.7, at80=0.9, at120=0.85), "again": run(120, at40=0.7, at80=0.9, at120=0.85)}
    ((_, figure, is_met),) = choices_table({402: {"choices": runs}})
    assert (figure, is_met) == ("1 of 2", False)
    told = capsys.readouterr().out
    assert "| chosen | 2 | 1 of 2 | 0.025 | 0.050 | 0 |" in told
    assert "| last | 2 | 0 of 2 | 0.050 | 0.050 | 0 |" in told
    assert "| lowest loss | 2 | 2 of 2 | 0.000 | 0.000 | 0 |" in told


def test_a_run_in_which_nothing_was_chosen_counts_as_missed(capsys: pytest.CaptureFixture[str]):
    ((_, figure, is_met),) = choices_table({402: {"choices": {"control": run(None, at40=0.7, at80=0.9)}}})
    assert (figure, is_met) == ("0 of 1", False)


def test_an_interval_is_held_against_the_other_repeats(capsys: pytest.CaptureFixture[str]):
    """Of four repeats one is far off, and its interval holds none of the others."""
    rows = [[0.5, 0.4, 0.7]] * 3 + [[0.9, 0.85, 0.95]]
    bars = dict.fromkeys(("identity", "face", "body", "clothing", "attributes", "freedom"), rows)
    for _, figure, is_met in coverage_table({402: {"coverage": bars}}):
        assert (figure, is_met) == ("75.0% of 4", False)


def test_ranks_are_told_of_all_truths_and_of_clothing_with_those_that_differ_in_it(capsys: pytest.CaptureFixture[str]):
    axes = ("identity", "face", "body", "clothing", "attributes")

    def one(value: float, clothing: float) -> dict[str, Any]:
        told = {**dict.fromkeys(axes, value), "clothing": 0.5 + value / 100}
        return {"scores": told, "truth": {**told, "nearness": -value, "clothing": clothing}}

    varied = [one(0.1, 0.53), one(0.2, 0.52), one(0.3, 0.51)]
    dressed = [
        {"scores": {"clothing": value}, "truth": {"clothing": value}} for value in numpy.linspace(0, 0.4, 9).tolist()
    ]
    found = {name: (figure, is_met) for name, figure, is_met in ranks_table({1: {"ranks": varied, "dressed": dressed}})}
    assert found["identity ranks as the truth does"] == ("1.000 over 3", True)
    assert found["clothing, those that misname outfits too ranks as the truth does"][0] == "0.972 over 12"
    table = capsys.readouterr().out
    assert "| identity | nearness | 3 | -1.000 |" in table
    assert "| clothing | clothing | 3 | -1.000 |" in table
    assert not any("nearness" in name for name in found)


def card(*leaks: float) -> dict[str, Any]:
    """What evaluation says of a LoRA whose leak, if any, is as surely as this."""
    scores = [
        Score(
            who="x",
            step=1,
            round="full",
            axis="leak",
            value=Interval(mean=leak, low=leak - 0.01, high=leak + 0.01, samples=24),
            raw=None,
            asked=24,
            details=(Detail(name="x", share=0, low=0, high=0, samples=0),),
        )
        for leak in leaks
    ]
    return {"scores": [one.model_dump(mode="json") for one in scores], "pictures": []}


def test_a_fault_is_sensitive_where_planted_and_specific_elsewhere(capsys: pytest.CaptureFixture[str]):
    """Of two leaks one is found; it is called where nothing or something else was planted in one of six."""
    found = {number: {one.name: card() for one in PLANTED} for number in (1, 2)}
    found[1]["leak"], found[2]["eyes"], found[2]["control"] = card(0.9), card(0.9), card(0.9)
    bars = {name: is_met for name, _, is_met in _faults(found)}
    assert bars["leak is found"] is False
    _besides(found)
    told = capsys.readouterr().out
    assert "| leak | 1 | 2 | 0.50 | 2 | 16 | 0.88 |" in told
    assert "| leak: leak | 1 | 1 |" in told, "also beside the bars"
