"""What a picture's file says of how it was made, as A1111's web UI writes it."""

import json
import re
from typing import get_args

import pytest

from likeness.diffusion.infotext import infotext
from likeness.recipe import SampleConfig

PROMPT, HASH = "mira, 1girl, smile", "0123456789ab"


def told(prompt: str = PROMPT, lora: str = "Mira", **fields: object) -> str:
    config = SampleConfig.model_validate(fields)
    return infotext(prompt, config, seed=7, size=(64, 48), lora=lora, lora_hash=HASH)


def test_it_reads_as_a1111_writes_it():
    text = told(negative="blurry, text", steps=20, guidance=6.5, sampler="euler-a", weight=0.8)
    assert text.splitlines() == [
        "mira, 1girl, smile <lora:Mira:0.8>",
        "Negative prompt: blurry, text",
        f'Steps: 20, Sampler: Euler a, CFG scale: 6.5, Seed: 7, Size: 64x48, RNG: CPU, Lora hashes: "Mira: {HASH}"',
    ]


def test_without_a_negative_prompt_there_is_no_line_for_one():
    assert [line[:7] for line in told().splitlines()] == ["mira, 1", "Steps: "]


def test_without_a_prompt_the_lora_is_still_named():
    assert told(prompt="").startswith("<lora:Mira:1>\nSteps")


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        ("dpm++", "DPM++ 2M, Schedule type: Uniform"),  # left out, it would be taken for Karras
        ("dpm++-karras", "DPM++ 2M, Schedule type: Karras"),
        ("ddim", "DDIM"),
        ("euler", "Euler"),
        ("euler-a", "Euler a"),
    ],
)
def test_each_sampler_has_the_name_that_a1111_gives_it(sampler: str, words: str):
    assert f"Sampler: {words}, CFG scale" in told(sampler=sampler)


def test_no_sampler_is_without_a_name():
    names = get_args(SampleConfig.model_fields["sampler"].annotation)
    assert len(names) == 5
    assert all("Sampler: " in told(sampler=name) for name in names)


@pytest.mark.parametrize("lora", ['Mira, the "fox"', "Zoë: 狐"])
def test_a_name_with_a_comma_or_a_colon_stays_one_entry_of_the_list(lora: str):
    hashes = re.search(r'Lora hashes: (".*")$', told(lora=lora))
    assert hashes is not None
    name, _, short = json.loads(hashes[1]).partition(": ")
    assert name == lora.replace(",", "").replace(":", "")
    assert short == HASH
