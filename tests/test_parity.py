"""One file, one picture: ours, diffusers' with the file loaded, and peft's; and other programs' by their formulas."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import parities
import pytest
import torch
from client_formulas import FORMULAS
from parities import PREDICTIONS, VARIANTS, Case

from likeness.diffusion.files.conversion import read_lora
from likeness.diffusion.files.deltas import change_of
from likeness.diffusion.files.exports import to_diffusers

pytestmark = pytest.mark.parity

CASES = [(family, prediction) for family, predictions in PREDICTIONS.items() for prediction in predictions]


def marked(case: tuple[str, str]) -> Any:
    """One prediction of each family is enough for other versions of the libraries."""
    return pytest.param(case, marks=[pytest.mark.versions] if case[1] == "epsilon" else [])


LOADED = ("LoRA", "LoCon", "rsLoRA")  # what diffusers and peft compute as our files mean it


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], tuple[Path, Any]]:
    """Makes the base of a family and a prediction, once; none of them is changed."""
    return cache(lambda family, prediction: parities.built(tmp_path_factory.mktemp("base"), family, prediction))


@pytest.fixture(scope="module", params=[marked(case) for case in CASES], ids=lambda case: " ".join(case))
def base(request: pytest.FixtureRequest, built: Callable[[str, str], tuple[Path, Any]]) -> tuple[str, Path, Any]:
    family, prediction = request.param
    return family, *built(family, prediction)


def case_of(base: tuple[str, Path, Any], variant: str) -> Case:
    family, folder, model = base
    return parities.case_of(folder, model, family, variant)


def test_our_picture_is_diffusers_with_the_file_loaded(base: tuple[str, Path, Any]):
    draws_as_diffusers(case_of(base, "LoRA"))


@pytest.mark.parametrize("variant", LOADED[1:])
def test_of_each_kind_that_diffusers_loads_our_picture_is_its_own(family_base: tuple[str, Path, Any], variant: str):
    draws_as_diffusers(case_of(family_base, variant))


def draws_as_diffusers(case: Case) -> None:
    before = parities.picture(case)
    with parities.beside(case):
        ours = parities.picture(case)
    theirs, _ = parities.with_diffusers(case)
    assert numpy.abs(ours - before).max() > 3, "the adapter is to be seen"
    assert numpy.abs(ours - theirs).max() <= 1


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("variant", [pytest.param("LoRA", marks=pytest.mark.versions), *LOADED[1:]])
def test_pefts_answer_is_ours(family_base: tuple[str, Path, Any], variant: str):
    assert parities.peft_digits(case_of(family_base, variant)) >= 3


@pytest.fixture(scope="module", params=PREDICTIONS)
def family_base(request: pytest.FixtureRequest, built: Callable[[str, str], tuple[Path, Any]]) -> tuple[str, Path, Any]:
    """One base of each family: what a formula makes of weights has nothing to do with what is predicted."""
    return request.param, *built(request.param, "epsilon")


@pytest.mark.parametrize("variant", VARIANTS)
def test_other_programs_change_weights_as_we_do(family_base: tuple[str, Path, Any], variant: str):
    case = case_of(family_base, variant)
    for client in FORMULAS:
        found = parities.verdict(case, client)
        if found.unsupported:
            assert (client, variant) == ("kohya", "DoRA")
            continue
        assert found.takes_all, client
        assert parities.formula_digits(case, client) >= 4, client


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_diffusers_computes_an_output_axis_dora_as_merging_does(
    built: Callable[[str, str], tuple[Path, Any]], tmp_path: Path, family: str
):
    """Under its own names alone: under kohya-ss's it throws the lengths away."""
    folder, model = built(family, "epsilon")
    model = deepcopy(model)  # its weights are added to
    case = parities.case_of(folder, model, family, "LoRA")
    targets, lora = model.adapter_targets(), read_lora(case.file)
    tensors = dict(lora.tensors)
    for name in lora.layers():
        if name.startswith("lora_te"):
            tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith(name)}
            continue
        weight = targets[name].get_parameter("weight")
        lengths = weight.flatten(1).norm(dim=1) * 1.1
        tensors[f"{name}.dora_scale"] = lengths.reshape(-1, *(1,) * (weight.ndim - 1))
    outward = type(lora)(tensors, lora.metadata, family)
    to_diffusers(outward, tmp_path / "d.safetensors")
    _, pipeline = parities.with_diffusers(Case(family, folder, model, tmp_path / "d.safetensors"))
    with torch.no_grad():
        told = model.encode_prompts([parities.PROMPT])
        before = parities.answer(model.denoiser, case, told.tokens_BLE, told.pooled_BE)
        theirs = parities.answer(pipeline.unet, case, told.tokens_BLE, told.pooled_BE)
        for name, parts in outward.layers().items():
            weight = targets[name].get_parameter("weight")
            weight.add_(change_of(parts, weight))
        ours = parities.answer(model.denoiser, case, told.tokens_BLE, told.pooled_BE)
    assert parities.digits(theirs, ours, (ours - before).abs().max()) >= 3
