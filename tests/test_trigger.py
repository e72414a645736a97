"""The trigger: a word that the base does not know, that nobody else uses; and what the base draws for it."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from tiny import tiny_sd15
from typer.testing import CliRunner

from likeness.captions.trigger import Tongue, TriggerCheck, check_trigger, suggest_triggers
from likeness.cli import app
from likeness.errors import CheckpointError
from likeness.images import Pixels, open_pixels
from likeness.pipeline.trigger import DrawnTrigger, inspect_trigger, open_tongue, triggers_beside
from likeness.recipe import BaseConfig, Recipe
from likeness.records import Caption, Reading, write_records
from likeness.workspace import Workspace

KNOWN = ("the</w>", "fox</w>", "hair</w>", "blue</w>", "blue", "mira</w>", "mira", "zq</w>")
RANKS = {piece: rank for rank, piece in enumerate((*KNOWN, *(f"rare{n}</w>" for n in range(30)), "sks</w>"))}


def split(text: str) -> list[str]:
    """As CLIP does it in principle: whole words that are known, known beginnings, else letters; digits alone."""
    pieces: list[str] = []
    for word in text.replace("_", " _ ").split():
        if f"{word}</w>" in RANKS:
            pieces.append(f"{word}</w>")
            continue
        start = next((known for known in ("blue", "mira") if word.startswith(known)), "")
        rest = word.removeprefix(start)
        pieces += [start] if start else []
        pieces += [f"{rest}</w>"] if f"{rest}</w>" in RANKS else [*rest[:-1], f"{rest[-1]}</w>"]
    return pieces


TONGUE = Tongue(split, RANKS)


def kinds(check: TriggerCheck) -> set[str]:
    return {finding.kind for finding in check.findings}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("fox", {"known word"}),
        ("sks", set()),
        ("mirazq", {"a word in it"}),
        ("mira2", {"digits", "a word in it"}),
        ("qwxk", {"many pieces"}),
        ("qwx", set()),
        ("q_x", {"several words"}),
        ("qw x", {"several words"}),
        ("bluehair", {"a word in it"}),
    ],
)
def test_what_speaks_against_a_word(word: str, found: set[str]) -> None:
    check = check_trigger(word, TONGUE)
    assert kinds(check) == found
    assert check.is_good is (not found)
    assert all(finding.advice for finding in check.findings)


def test_a_word_of_another_character_or_of_the_captions_is_told_in_any_case_of_letters() -> None:
    assert kinds(check_trigger("QWX", TONGUE, taken={"qwx": "../zoe"})) == {"clash"}
    assert "../zoe" in check_trigger("qwx", TONGUE, taken={"qwx": "../zoe"}).findings[0].found
    assert kinds(check_trigger("qwx", TONGUE, said=["red Qwx", "1girl"])) == {"a tag"}
    assert check_trigger("qwx", TONGUE, taken={"qwxy": "../zoe"}, said=["qwxs"]).is_good


def test_a_finding_has_the_number_of_the_word_in_the_vocabulary() -> None:
    assert "number 1 of 39" in check_trigger("fox", TONGUE).findings[0].found


def test_suggestions_are_good_words_that_remind_of_the_name_and_always_the_same() -> None:
    tongue = open_tongue(BaseConfig())
    suggested = suggest_triggers("Mira", tongue)
    assert len(suggested) == len({check.word for check in suggested}) == 5
    assert all(
        (check.is_good and check.word[:3] in ("mir", "mra", "mr")) or check.word[:2] == "mr" for check in suggested
    )
    assert suggest_triggers("Mira", tongue) == suggested
    taken = {check.word: "../zoe" for check in suggested}
    assert not {check.word for check in suggest_triggers("Mira", tongue, taken=taken)} & taken.keys()


@pytest.mark.parametrize("name", ["Dog", "Sky", "Foxglove"])
def test_no_class_word_and_no_longer_word_of_a_tag_is_a_part_of_a_suggestion(name: str) -> None:
    said = ["a dog", "sky", "fox ears"]
    suggested = suggest_triggers(name, open_tongue(BaseConfig()), said=said)
    assert len(suggested) == 5
    assert not [check.word for check in suggested if any(part in check.word for part in ("dog", "sky", "fox", "ears"))]
    assert suggested[0].is_good


def test_a_word_that_only_an_ending_completes_is_no_part_of_a_suggestion_either() -> None:
    tongue = open_tongue(BaseConfig())
    ends = [check.word[-3:] for check in suggest_triggers("Mira", tongue)]
    again = [check.word for check in suggest_triggers("Mira", tongue, said=ends)]
    assert not [word for word in again if any(end in word for end in ends)]


def test_a_refused_word_is_not_suggested_again() -> None:
    tongue = open_tongue(BaseConfig())
    best, *others = [check.word for check in suggest_triggers("Mira", tongue)]
    again = [check.word for check in suggest_triggers("Mira", tongue, refused=best.upper())]
    assert again[:4] == others


@pytest.mark.parametrize("name", ["Zoë", "太郎", "R2-D2", "I"])
def test_any_name_makes_a_word_of_plain_letters(name: str) -> None:
    words = [check.word for check in suggest_triggers(name, open_tongue(BaseConfig()))]
    assert words
    assert all(word.isascii() and word.isalpha() and len(word) >= 4 for word in words)


# -- beside the base -----------------------------------------------------------------------------------------------


class Eye:
    """Reads a picture's brightness, and nothing of the character."""

    same_character = 0.5

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        return [
            Reading(
                background="light" if picture.mean() > 127 else "dark",
                embedding=(1.0, 0.0),
                instrument="eye",
                instrument_sha256="0" * 64,
            )
            for picture in pictures
        ]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp("base"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "mira")


def recipe(**sections: Any) -> Recipe:
    named = {"name": "Mira", "trigger": "mirachar", "class_words": "1girl", "kind": "original"}
    sample = {"steps": 2, "sampler": "ddim"}
    return Recipe.model_validate({"character": named, "sample": sample} | sections)


def test_the_embedded_base_knows_its_own_words_and_not_a_made_up_one() -> None:
    tongue = open_tongue(BaseConfig())
    assert kinds(check_trigger("glasses", tongue)) == {"known word"}
    assert tongue.split("fox") == ["fox</w>"]
    assert check_trigger("zokz", tongue).is_good


@pytest.mark.versions
def test_a_tokenizer_of_two_files_is_read_too(base: Path) -> None:
    assert not (base / "tokenizer" / "tokenizer.json").exists()
    tongue = open_tongue(BaseConfig(path=str(base)))
    assert tongue.split("blue fox") == ["blue</w>", "fox</w>"]
    assert tongue.ranks["blue</w>"] < tongue.ranks["fox</w>"]


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_base_without_a_sound_tokenizer_is_told_in_words(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "tokenizer").mkdir()
    if text is not None:
        (tmp_path / "tokenizer" / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match="The base is not whole"):
        open_tongue(BaseConfig(path=str(tmp_path)))


def lora_file(path: Path, trigger: str) -> None:
    """A LoRA file of no tensors."""
    header = json.dumps({"__metadata__": {"modelspec.trigger_phrase": trigger}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def test_triggers_of_workspaces_and_catalog_files_beside_are_known_and_broken_ones_are_passed_over(
    workspace: Workspace,
) -> None:
    beside = workspace.root.parent
    for name, text in (("zoe", '[character]\ntrigger = "zoechar"'), ("bad", "["), ("odd", "character = 3")):
        (beside / name).mkdir()
        (beside / name / "likeness.toml").write_text(text)
    workspace.recipe.write_text('[character]\ntrigger = "mirachar"')
    lora_file(beside / "catalog" / "ann" / "ann.safetensors", "annchar")
    (beside / "catalog" / "cut.safetensors").write_bytes(b"no")
    assert triggers_beside(workspace) == {
        "zoechar": str(beside / "zoe"),
        "annchar": str(beside / "catalog" / "ann" / "ann.safetensors"),
    }


def test_a_trigger_is_looked_at_without_drawing(workspace: Workspace) -> None:
    tags = ("mirachar", "1girl", "mirachardress")  # of an outfit
    write_records(workspace.captions_jsonl, [Caption(picture="0" * 64, tags=tags, text="", written_by="person")])
    report = inspect_trigger(workspace, recipe(), draw=False)
    assert (report.check.word, report.drawn) == ("mirachar", None)
    assert kinds(report.check) == {"many pieces"}
    assert all(check.is_good for check in report.suggestions)
    assert not workspace.trigger_png.exists()


def test_the_base_draws_with_the_word_and_without_at_the_same_seeds(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeness.pipeline.trigger.open_reader", lambda _: Eye())
    drawn = inspect_trigger(workspace, recipe(base={"path": str(base), "device": "cpu"})).drawn
    assert drawn is not None
    strip = open_pixels(workspace.trigger_png)
    assert strip.shape == (2 * 32, len(drawn.seeds) * 32, 3)
    above, below = strip[:32].astype(float), strip[32:].astype(float)
    assert drawn.word_changes == pytest.approx(numpy.abs(above - below).mean(), abs=0.01)
    assert 0 < drawn.word_changes < drawn.seed_changes
    assert drawn.identity_changes == 0
    assert inspect_trigger(workspace, recipe(base={"path": str(base), "device": "cpu"})).drawn == drawn


def test_a_word_that_changes_more_than_half_of_what_a_seed_does_is_found(
    workspace: Workspace, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(
        model: object, prompts: Sequence[str], config: object, *, seeds: Sequence[int], report: object
    ) -> list[Pixels]:
        return [
            numpy.full((4, 4, 3), 200 if "mirachar" in prompt else seed % 7, numpy.uint8)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]

    monkeypatch.setattr("likeness.pipeline.trigger.open_reader", lambda _: Eye())
    monkeypatch.setattr("likeness.pipeline.trigger.draw_pictures", draw)
    report = inspect_trigger(workspace, recipe(base={"path": str(base), "device": "cpu"}))
    assert "draws something" in kinds(report.check)
    assert report.drawn is not None
    assert report.drawn.read == {"background": ("dark", "light")}


@pytest.mark.parametrize("seed_changes", [10.0, 90.0])
def test_the_recipe_s_own_word_is_proposed_unless_something_speaks_against_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, seed_changes: float
) -> None:
    drawn = DrawnTrigger(strip="trigger.png", seeds=(1,), word_changes=20, seed_changes=seed_changes)
    monkeypatch.setattr("likeness.pipeline.trigger._drawn", lambda *_: drawn)
    best = inspect_trigger(workspace, recipe(), draw=False).suggestions[0].word
    named = {"name": "Mira", "trigger": best, "class_words": "1girl", "kind": "original"}
    report = inspect_trigger(workspace, recipe(character=named))
    assert (best in {check.word for check in report.suggestions}) is report.check.is_good is (seed_changes == 90)


def test_the_command_tells_pieces_findings_and_proposals_to_people_and_programs(workspace: Workspace) -> None:
    workspace.recipe.write_text(recipe().to_toml())
    told = CliRunner().invoke(app, ["trigger", str(workspace.root), "--no-draw"])
    assert told.exit_code == 0
    assert "mirachar: 6 pieces (m i ra c h ar)" in told.stdout
    as_json = CliRunner().invoke(app, ["trigger", str(workspace.root), "--no-draw", "--json"])
    report = json.loads(as_json.stdout)
    assert report["check"]["word"] == "mirachar"
    assert len(report["suggestions"]) == 5
    assert report["drawn"] is None
