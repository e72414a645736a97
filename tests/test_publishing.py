"""`likeness publish`, `fix`, `withdraw` and `catalog` as a person types them, on a workspace with all its records."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import called, refused
from releases import NOTES, interval, pictures, trained

from likeness.catalog.card import read_card
from likeness.diffusion.files.headers import hashes_of
from likeness.errors import ConsentError, PublishError
from likeness.evaluation.advice import Finding
from likeness.evaluation.choose import Choice
from likeness.evaluation.scorecard import Judged, Score
from likeness.evaluation.shots import Shot
from likeness.evaluation.strength import Row, Strength
from likeness.images import Pixels, save_png, sha256_of
from likeness.pipeline.scores import Setup, Verdict
from likeness.recipe import SampleConfig
from likeness.records import Picture, Reading, write_records
from likeness.workspace import Workspace

RECIPE = """
seed = 7

[character]
name = "Mira Fox"
kind = "original"
trigger = "mirr"
class_words = "1girl"

[base]
path = "{base}"

[publish]
author = "Ann"
tags = ["fox"]
rating = "PG"
"""
WHO = "step-000200"
VIEWS = ("front", "back", "front", "profile left")


class Strict:
    """A reader that finds everything explicit."""

    sha256, same_character = "0" * 64, 1.0

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        return [Reading(rating="explicit", instrument="strict", instrument_sha256=self.sha256) for _ in pictures]


def picture(place: int, use: str, **told: str) -> Picture:
    return Picture.model_validate(
        {"id": f"{place:064x}", "path": f"{place}.png", "width": 9, "height": 9, "use": use, "decided_by": "x", **told}
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace as training, evaluation and the sweep of weights leave it."""
    workspace = Workspace.create(tmp_path_factory.mktemp("made") / "mira")
    workspace.recipe.write_text(RECIPE.format(base="/models/v1-5-pruned.safetensors"))
    run = workspace.new_run()
    run.recipe.write_text(RECIPE.format(base="/models/v1-5-pruned.safetensors") + "[train]\nsteps = 300\nrank = 4\n")
    notes = {
        **NOTES,
        "ss_steps": "200",
        "modelspec.implementation_version": "likeness/0.1.0",
        "ss_new_sd_model_hash": "ab",
    }
    for step, seed in ((100, 1), (200, 2), (300, 3)):
        trained(run.checkpoint(step), seed=seed, notes=notes)
    shutil.copy(run.checkpoint(300), run.lora("Mira Fox"))
    workspace.mark_done("train", {}, [run.checkpoint(300), run.lora("Mira Fox")])
    records = [
        picture(1, "train", source="my own drawings", rights="mine"),
        picture(2, "train", source="my own drawings", rights="mine"),
        picture(3, "held-out", made_by="ComfyUI"),
        picture(4, "rejected"),
    ]
    write_records(workspace.images_jsonl, records)
    drawn = workspace.evaluation / "pictures"
    drawn.mkdir(parents=True)
    judged = []
    for place, shown in enumerate(pictures(5)):
        save_png(drawn / f"{place}.png", shown.pixels)
        asked = {"view": VIEWS[place % 4], "framing": "upper body"}
        shot = Shot(kind="own", number=place, prompt=f"mirr, 1girl, scene {place}", seed=place, asked=asked)
        values = {"identity": place / 10, "memorisation": float(place == 4), "artefacts": 0.0}
        told = {
            "round": "full",
            "shot": shot,
            "values": values,
            "raws": {},
            "missing": {},
            "instrument_sha256": "0" * 64,
        }
        judged.append(Judged(who=WHO, picture=f"evaluation/pictures/{place}.png", **told))
    write_records(workspace.pictures_jsonl, judged)
    scores = [
        Score(
            who=who, step=200 if who == WHO else None, round="full", axis=axis, value=interval(mean), raw=None, asked=5
        )
        for who, mean in (("base", 0.0), (WHO, 0.9))
        for axis in ("identity", "leak")
    ]
    write_records(workspace.scores_jsonl, scores)
    curve = {step: {"identity": interval(step / 300)} for step in (100, 200, 300)}
    finding = Finding(axis="identity", fault="weak view", found="the back is weak", advice="Add three.")
    verdict = Verdict(
        lora=f"runs/0001/{WHO}.safetensors",
        choice=Choice(step=200, reason="Step 200 is the best.", axes=curve),
        findings={WHO: (finding,)},
        detectable=None,
        measured=Setup(instruments={"reader": "x"}, sampling=SampleConfig(steps=9).model_dump(), base="", versions={}),
    )
    workspace.choice_json.write_text(verdict.model_dump_json())
    row = Row(prompt="mirr, 1girl, scene 0", seed=0, asked={"view": "front"}, pictures={})
    weights = {weight: "evaluation/pictures/0.png" for weight in ("0", "0.6", "1")}
    found = Strength(
        lora=verdict.lora,
        sha256=sha256_of(workspace.root / verdict.lora),
        recommended=0.6,
        low=0.6,
        high=1.0,
        reason="0.6 is the best.",
        weights=(),
        rows=(row.model_copy(update={"pictures": weights}),),
    )
    workspace.strength_json.write_text(found.model_dump_json())
    return workspace.root


@pytest.fixture
def workspace(made: Path, tmp_path: Path) -> Path:
    """One to change."""
    return shutil.copytree(made, tmp_path / "mira")


class TestPublish:
    """What a release says of a workspace."""

    def test_all_that_is_on_record_stands_on_the_card(self, workspace: Path):
        done = called("publish", workspace, "--json")
        assert done.exit_code == 0, done.output
        release = Path(json.loads(done.stdout)["release"])
        card = read_card(release / "likeness.json")
        assert (card.title, card.name, release.name) == ("Mira Fox", "Mira_Fox", "Mira_Fox")
        assert card.base.name == "SD 1.5"
        assert card.base.file == "v1-5-pruned.safetensors"
        assert card.rights.licence == "creativeml-openrail-m"
        assert card.trained_on
        assert (card.trained_on.train, card.trained_on.held_out, card.trained_on.generated) == (2, 1, 1)
        assert [(one.source, one.pictures) for one in card.trained_on.sources] == [("my own drawings", 2), ("", 1)]
        assert card.made
        assert (card.made.step, card.made.steps, card.made.rank, card.made.seed) == (200, 300, 4, 7)
        assert card.made.recipe["base"]["path"] == "v1-5-pruned.safetensors"
        assert card.evaluated
        assert [(one.axis, one.value.mean, one.base and one.base.mean) for one in card.evaluated.scores] == [
            ("identity", 0.9, 0.0),
            ("leak", 0.9, 0.0),
        ]
        assert [step for step, *_ in card.evaluated.curves["identity"]] == [100, 200, 300]
        assert card.evaluated.findings == ("the back is weak. Add three.",)
        assert card.strength
        assert (card.weight, card.strength.low) == (0.6, 0.6)
        assert {one.name: one.works for one in card.clients}["diffusers"]

    def test_its_pictures_are_the_most_alike_of_each_view_and_no_copies(self, workspace: Path):
        called("publish", workspace)
        card = read_card(workspace / "release" / "Mira_Fox" / "likeness.json")
        prompts = [one.prompt.rpartition(" ")[2] for one in card.samples if not one.row]
        assert prompts[0] == "2", "the front view that is the most alike"
        assert "4" not in prompts, "a copy of a training picture"
        assert sorted(prompts) == ["0", "1", "2", "3"]
        assert [one.weight for one in card.samples if one.row] == [0.0, 0.6, 1.0]
        assert card.samples[0].alt == "Mira Fox: front, upper body"

    def test_the_checkpoint_that_was_chosen_is_what_is_published(self, workspace: Path):
        called("publish", workspace)
        released = hashes_of(workspace / "release" / "Mira_Fox" / "Mira_Fox.safetensors").tensors
        assert released == hashes_of(workspace / "runs" / "0001" / f"{WHO}.safetensors").tensors

    def test_what_was_measured_of_another_file_is_not_told(self, workspace: Path):
        strength = Workspace(workspace).strength_json
        told = json.loads(strength.read_text()) | {"sha256": "0" * 64}
        strength.write_text(json.dumps(told))
        called("publish", workspace)
        assert read_card(workspace / "release" / "Mira_Fox" / "likeness.json").strength is None

    def test_before_it_was_measured_it_is_not_published(self, workspace: Path):
        Workspace(workspace).choice_json.unlink()
        assert "not measured" in refused("publish", workspace, by=PublishError)

    def test_a_trigger_that_it_was_not_trained_with_is_told_to_no_tool(self, workspace: Path):
        said = refused("publish", workspace, "--set", "character.trigger=other", by=PublishError)
        assert "character.trigger = 'other', but runs/0001/" in said
        assert "was trained with 'mirr'" in said

    def test_a_licence_that_nobody_knows_is_told_with_all_else(self, workspace: Path):
        words = ("--set", "publish.licence=foo", "--set", "character.kind=unknown", "--set", "publish.rating=X")
        said = refused("publish", workspace, *words, by=ConsentError)
        assert [word in said for word in ("'foo' is not known", "character.kind", "publish.rating")] == [True] * 3

    def test_where_evaluation_let_none_through_its_reason_is_told(self, workspace: Path):
        choice = Workspace(workspace).choice_json
        told = json.loads(choice.read_text())
        choice.write_text(json.dumps(told | {"lora": "", "choice": told["choice"] | {"reason": "Each copies."}}))
        said = refused("publish", workspace, by=PublishError)
        assert said == "Mira Fox is not published: evaluation let none of its LoRAs through. Each copies."

    def test_a_real_person_has_to_have_agreed(self, workspace: Path):
        told = refused("publish", workspace, "--set", "character.kind=real-person", by=ConsentError)
        assert "character.consent.publishing" in told

    def test_a_base_that_is_not_known_is_asked_about(self, workspace: Path):
        recipe = Workspace(workspace).recipe
        recipe.write_text(RECIPE.format(base="/models/some-finetune.safetensors"))
        assert "publish.base_licence" in refused("publish", workspace, by=PublishError)
        done = called("publish", workspace, "--set", "publish.base_licence=openrail++")
        assert done.exit_code == 0, done.output

    def test_what_pictures_show_is_asked_about_where_nobody_can_tell(self, workspace: Path):
        recipe = Workspace(workspace).recipe
        recipe.write_text(recipe.read_text().replace('rating = "PG"', ""))
        assert "publish.rating is not set" in refused("publish", workspace, by=PublishError)

    def test_what_the_reader_sees_of_its_pictures_counts(self, workspace: Path):
        told = refused("publish", workspace, "--set", "perception.reader=test_publishing:Strict", by=PublishError)
        assert "what the reader sees is 'X'" in told

    def test_a_person_reads_what_it_is_and_how_to_use_it(self, workspace: Path):
        said = called("publish", workspace).output
        assert "Mira Fox, version 1, for SD 1.5" in said
        assert "mirr, 1girl at 0.6" in said

    def test_a_second_time_it_says_what_was_written(self, workspace: Path):
        first = json.loads(called("publish", workspace, "--json").stdout)["changed"]
        assert {"Mira_Fox.safetensors", "README.md", "likeness.json", "images/01.png"} <= {*first}
        assert "nothing: all of it was there already" in called("publish", workspace).output
        file = workspace / "release" / "Mira_Fox" / "Mira_Fox.safetensors"
        before = hashes_of(file)
        said = called("publish", workspace, "--json", "--set", "publish.summary=Another fox.").stdout
        changed, after = json.loads(said)["changed"], hashes_of(file)
        assert "README.md" in changed
        assert "images/01.png" not in changed
        assert (after.tensors == before.tensors, after.sha256 == before.sha256) == (True, False)
        sidecar = json.loads(file.with_name("Mira_Fox.metadata.json").read_text())
        assert (sidecar["sha256"], sidecar["autov3"]) == (after.sha256, before.tensors[:12])

    def test_show_tells_of_it(self, workspace: Path):
        assert json.loads(called("show", workspace, "--json").stdout)["releases"] == []
        called("publish", workspace)
        (release,) = json.loads(called("show", workspace, "--json").stdout)["releases"]
        assert (release["version"], release["folder"]) == ("1", str(workspace / "release" / "Mira_Fox"))
        assert release["auto_v3"] in called("show", workspace).output

    def test_inspect_cuts_what_would_fill_the_screen(self, workspace: Path):
        called("publish", workspace)
        file = workspace / "release" / "Mira_Fox" / "Mira_Fox.safetensors"
        assert "signs)" in called("inspect", file).output
        assert len(json.loads(called("inspect", file, "--json").stdout)["metadata"]["modelspec.thumbnail"]) > 1000


class TestTheOthers:
    """Files of others, catalogs, and the end of an entry."""

    def test_fix_looks_first_and_mends_then(self, tmp_path: Path):
        trained(tmp_path / "a.safetensors")
        assert called("fix", tmp_path, "--check").exit_code == 1
        assert called("fix", tmp_path).exit_code == 0
        assert "Nothing is wrong" in called("fix", tmp_path, "--check").output
        (tmp_path / "broken.safetensors").write_bytes(b"x" * 100)
        looked = called("fix", tmp_path, "--check")
        assert looked.exit_code == 1
        assert "broken.safetensors: left as it is" in looked.output

    def test_a_workspace_comes_into_a_catalog_and_leaves_it(self, workspace: Path, tmp_path: Path):
        catalog = tmp_path / "catalog"
        called("publish", workspace)
        assert called("catalog", "add", workspace, "--to", catalog).exit_code == 0
        built = json.loads(called("catalog", "build", catalog, "--json").stdout)
        assert Path(built["home"]).is_file()
        place = "/characters/sd-1.5/mira-fox"
        assert (catalog / "site" / place.strip("/") / "index.html").is_file()
        assert called("catalog", "check", catalog).exit_code == 0
        assert called("catalog", "export-hugo", tmp_path / "hugo", "--from", catalog).exit_code == 0
        assert (tmp_path / "hugo" / "content" / place.strip("/") / "index.md").is_file()
        assert called("withdraw", place, "--from", catalog, "--because", "x").exit_code == 0
        assert "Withdrawn" in (catalog / "site" / place.strip("/") / "index.html").read_text()
        assert (catalog / "site" / "withdrawn.jsonl").is_file()

    def test_a_release_is_withdrawn_by_its_folder(self, workspace: Path):
        called("publish", workspace)
        assert called("withdraw", workspace / "release" / "Mira_Fox").exit_code == 0
        assert not (workspace / "release" / "Mira_Fox").exists()

    def test_faults_of_a_catalog_end_a_check_with_status_1(self, tmp_path: Path):
        (tmp_path / "content").mkdir()
        (tmp_path / "content" / "a.md").write_text("---\nrelated: [no/where]\n---\n")
        done = called("catalog", "check", tmp_path)
        assert done.exit_code == 1
        assert "no/where" in done.output
