import datetime
import hashlib
import json
import struct
from pathlib import Path

import pytest
import yaml
from PIL import Image
from releases import ANN, MIRA, SDXL, card_of, pictures, released, trained
from safetensors import safe_open
from safetensors.numpy import load_file

from likeness.catalog.bases import base_of
from likeness.catalog.card import BaseFacts, Card, read_card
from likeness.catalog.publish import publish, renewed
from likeness.catalog.redaction import leaks_in
from likeness.catalog.scores import Evaluated
from likeness.dataset.provenance import made_by
from likeness.diffusion.checkpoints import read_header
from likeness.diffusion.files.headers import hashes_of, write_with_notes
from likeness.errors import CheckpointError, ConsentError, PublishError
from likeness.recipe import CharacterConfig, PublishConfig


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return trained(tmp_path / "runs" / "step-000100.safetensors")


@pytest.fixture
def release(tmp_path: Path, lora: Path) -> Path:
    return released(tmp_path / "release", lora, PublishConfig(rating="PG", civitai_info=True))


def notes_in(file: Path) -> dict[str, str]:
    with safe_open(file, framework="np") as opened:
        return opened.metadata()


def told(file: Path) -> dict:
    return json.loads(file.read_text())


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestTheFile:
    """What every tool expects of a LoRA's file."""

    def test_its_hash_of_tensors_is_told_under_both_names_and_is_that_of_the_bytes_behind_the_header(self, release):
        data = (release / "mira.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        digest, notes = hashlib.sha256(data[8 + length :]).hexdigest(), notes_in(release / "mira.safetensors")
        assert notes["sshs_model_hash"] == digest
        assert notes["modelspec.hash_sha256"] == f"0x{digest}"
        assert told(release / "likeness.json")["file"]["tensors"] == digest

    def test_all_its_notes_are_texts_and_its_header_is_short_and_begins_as_readers_ask(self, release):
        data = (release / "mira.safetensors").read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = data[8 : 8 + length]
        assert header.startswith(b'{"')
        assert length <= 1 << 20
        assert all(isinstance(value, str) for value in json.loads(header)["__metadata__"].values())

    def test_it_is_called_as_its_notes_say(self, release):
        assert notes_in(release / "mira.safetensors")["ss_output_name"] == "mira"

    @pytest.mark.parametrize(("family", "starts"), [("sd15", "sd_v1"), ("sd2", "sd_v2"), ("sdxl", "sdxl_")])
    def test_its_base_is_told_as_a1111_looks_for_it(self, tmp_path: Path, lora: Path, family: str, starts: str):
        base = BaseFacts(name="some", family=family, licence="openrail++")
        folder = released(tmp_path / "release", lora, base=base)
        notes = notes_in(folder / "mira.safetensors")
        assert notes["ss_base_model_version"].startswith(starts)
        assert notes["ss_v2"] == str(family == "sd2")
        assert notes["modelspec.architecture"].endswith("/lora")
        assert told(folder / "mira.json")["sd version"] == {"sd15": "SD1", "sd2": "SD2", "sdxl": "SDXL"}[family]

    def test_its_tags_are_an_object_of_objects(self, release):
        tags = json.loads(notes_in(release / "mira.safetensors")["ss_tag_frequency"])
        assert all(isinstance(counts, dict) for counts in tags.values())

    def test_modelspec_is_whole(self, release):
        notes = notes_in(release / "mira.safetensors")
        known = {key.removeprefix("modelspec."): value for key, value in notes.items() if key.startswith("modelspec.")}
        assert known["sai_model_spec"] == "1.0.1"
        assert known["title"] == "Mira"
        assert known["resolution"] == "512x512"
        assert known["trigger_phrase"] == "mira, 1girl"
        assert known["usage_hint"] == "mira, 1girl; at 0.8 (0.6 to 1)"
        assert known["license"] == "https://example.org/licence"
        assert known["thumbnail"].startswith("data:image/jpeg;base64,")
        datetime.date.fromisoformat(known["date"])

    def test_its_tensors_are_those_of_the_training(self, release, lora):
        before, after = load_file(lora), load_file(release / "mira.safetensors")
        assert before.keys() == after.keys()
        assert all((before[name] == after[name]).all() for name in before)

    @pytest.mark.parametrize(
        "name", ["none", "Addams", "my_optimizer", "Checkpoint one", "a:b", "a,b", "what?", ".hidden"]
    )
    def test_a_name_that_some_tool_does_not_find_is_refused(self, tmp_path: Path, lora: Path, name: str):
        with pytest.raises(PublishError, match="cannot be called"):
            released(tmp_path / "release", lora, name=name)

    def test_notes_that_are_too_long_to_be_shown_are_refused_and_nothing_is_left(self, tmp_path: Path, lora: Path):
        with pytest.raises(CheckpointError, match="header"):
            write_with_notes(lora, {"ss_tag_frequency": "x" * (1 << 20)}, tmp_path / "long.safetensors")
        assert list(tmp_path.glob("*long*")) == []


class TestSidecars:
    """What tools read beside the file."""

    def test_lora_manager_finds_all_that_it_asks_for(self, release):
        file, found = release / "mira.safetensors", told(release / "mira.metadata.json")
        asked = ["file_name", "model_name", "file_path", "size", "modified", "sha256", "base_model", "preview_url"]
        assert all(found[key] for key in asked)
        assert found["file_name"] == "mira"
        assert found["size"] == file.stat().st_size
        assert found["modified"] == file.stat().st_mtime
        assert found["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert (release / found["preview_url"]).is_file()
        assert found["civitai"]["trainedWords"] == ["mira, 1girl"]
        assert json.loads(found["usage_tips"])["strength"] == 0.8

    def test_a_click_in_a1111_puts_the_trigger_and_the_measured_weight_into_the_prompt(self, release):
        found = told(release / "mira.json")
        assert found["activation text"] == "mira, 1girl"
        assert found["preferred weight"] == 0.8

    def test_a_weight_that_nobody_measured_is_told_to_no_tool(self, tmp_path: Path, lora: Path):
        folder = released(tmp_path, lora, strength=None)
        assert told(folder / "mira.json")["preferred weight"] == 0
        assert told(folder / "mira.metadata.json")["usage_tips"] == "{}"
        assert " at 1" not in read_header(folder / "mira.safetensors").metadata["modelspec.usage_hint"]

    def test_civitais_form_names_the_file_that_is_meant_and_claims_no_place_there(self, release):
        found = told(release / "mira.civitai.info")
        assert found["id"] == found["modelId"] == 0
        assert [file["name"] for file in found["files"] if file["primary"]] == ["mira.safetensors"]
        assert found["files"][0]["hashes"]["AutoV3"].lower() == hashes_of(release / "mira.safetensors").auto_v3

    def test_civitais_form_is_there_where_it_was_asked_for_alone(self, tmp_path: Path, lora: Path, release):
        again = released(tmp_path / "release", lora)
        assert again == release
        assert not (release / "mira.civitai.info").exists()

    def test_the_model_card_says_what_the_hub_reads(self, tmp_path: Path, lora: Path):
        base = SDXL.model_copy(update={"hub": "stabilityai/stable-diffusion-xl-base-1.0"})
        folder = released(tmp_path / "release", lora, base=base)
        _, front, body = (folder / "README.md").read_text().split("---\n", 2)
        found = yaml.safe_load(front)
        assert found["base_model"] == "stabilityai/stable-diffusion-xl-base-1.0"
        assert found["license"] == "openrail++"
        assert found["instance_prompt"] == "mira, 1girl"
        assert {"text-to-image", "lora", "template:diffusion-lora", "stable-diffusion-xl", "fox"} <= {*found["tags"]}
        assert all((folder / one["output"]["url"]).is_file() for one in found["widget"])
        assert "<Gallery />" in body

    def test_a_licence_that_the_hub_does_not_know_is_named_with_its_link(self, tmp_path: Path, lora: Path):
        base = SDXL.model_copy(update={"name": "Illustrious", "licence": "faipl-1.0-sd"})
        rights = {"licence": "faipl-1.0-sd", "link": "https://freedevproject.org/faipl-1.0-sd/"}
        folder = released(tmp_path / "release", lora, base=base, rights=rights)
        found = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
        assert found["license"] == "other"
        assert found["license_name"] == "faipl-1.0-sd"
        assert found["license_link"] == "https://freedevproject.org/faipl-1.0-sd/"


class TestPictures:
    """What a release shows."""

    def test_each_tells_its_prompt_and_that_a_program_drew_it(self, release):
        for file in (release / "mira.preview.png", release / "images" / "02.png"):
            with Image.open(file) as image:
                text, xmp = image.info["parameters"], image.info["XML:com.adobe.xmp"]
            assert text.startswith("mira, 1girl, scene")
            assert hashes_of(release / "mira.safetensors").auto_v3 in text
            assert "<lora:mira:1>" in text
            assert "trainedAlgorithmicMedia" in xmp
            assert made_by(file)

    def test_the_card_knows_each_by_its_hash(self, release):
        for sample in read_card(release / "likeness.json").samples:
            assert hashlib.sha256((release / sample.file).read_bytes()).hexdigest() == sample.sha256


class TestAgain:
    """Publishing a second time."""

    def test_nothing_changes(self, tmp_path: Path, lora: Path):
        folder = released(tmp_path / "release", lora)
        before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
        released(tmp_path / "release", lora)
        assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}

    def test_the_day_on_which_a_version_was_published_stays(self, tmp_path: Path, lora: Path):
        folder = released(tmp_path / "release", lora)
        released(tmp_path / "release", lora, published=datetime.date(2027, 5, 5))
        assert read_card(folder / "likeness.json").published == datetime.date(2026, 12, 1)

    def test_other_words_change_the_files_hash_and_every_sidecar_that_tells_it_but_not_the_tensors_hash(
        self, tmp_path: Path, lora: Path
    ):
        folder = released(tmp_path / "release", lora)
        before, sidecar = hashes_of(folder / "mira.safetensors"), told(folder / "mira.metadata.json")
        renewed(folder, read_card(folder / "likeness.json").model_copy(update={"description": "Other words."}))
        after = hashes_of(folder / "mira.safetensors")
        assert after.auto_v3 == before.auto_v3
        assert after.auto_v2 != before.auto_v2
        assert told(folder / "mira.metadata.json")["sha256"] == after.sha256 != sidecar["sha256"]
        assert told(folder / "likeness.json")["file"]["sha256"] == after.sha256
        assert notes_in(folder / "mira.safetensors")["modelspec.description"] == "Other words."

    def test_another_lora_is_another_version_and_the_one_before_is_kept_under_a_name_of_its_own(
        self, tmp_path: Path, lora: Path
    ):
        folder = released(tmp_path / "release", lora)
        first = hashes_of(folder / "mira.safetensors").tensors
        released(tmp_path / "release", trained(tmp_path / "other.safetensors", seed=2))
        card, aside = read_card(folder / "likeness.json"), folder / "versions" / "1"
        assert card.version == "2"
        assert [(one.version, one.tensors) for one in card.previous] == [("1", first)]
        assert hashes_of(aside / "mira-v1.safetensors").tensors == first
        assert notes_in(aside / "mira-v1.safetensors")["ss_output_name"] == "mira-v1"
        assert told(aside / "mira-v1.metadata.json")["file_name"] == "mira-v1"
        assert read_card(aside / "likeness.json").version == "1"

    def test_a_version_of_which_something_is_lost_is_told_before_anything_is_moved(self, tmp_path: Path, lora: Path):
        folder = released(tmp_path / "release", lora)
        (folder / "images" / "02.png").unlink()
        before = bytes_in(folder)
        with pytest.raises(PublishError, match=r"lacks images/02\.png of version 1"):
            released(tmp_path / "release", trained(tmp_path / "other.safetensors", seed=2))
        assert bytes_in(folder) == before

    def test_a_version_that_was_another_lora_is_not_published_over(self, tmp_path: Path, lora: Path):
        folder = released(tmp_path / "release", lora)
        before = bytes_in(folder)
        with pytest.raises(PublishError, match=r"publish\.version"):
            released(
                tmp_path / "release",
                trained(tmp_path / "other.safetensors", seed=2),
                PublishConfig(rating="PG", version="1"),
            )
        assert bytes_in(folder) == before

    def test_a_refusal_that_comes_late_leaves_the_release_as_it_was(self, tmp_path: Path, lora: Path):
        folder = released(tmp_path / "release", lora)
        before = bytes_in(folder)
        tags = json.dumps({"mira": {f"tag number {number}": 1 for number in range(60_000)}})
        long = trained(tmp_path / "long.safetensors", seed=2, notes={"ss_tag_frequency": tags})
        with pytest.raises(CheckpointError, match="header"):
            released(tmp_path / "release", long)
        assert bytes_in(folder) == before
        released(tmp_path / "release", trained(tmp_path / "other.safetensors", seed=2))
        assert read_card(folder / "likeness.json").version == "2"

    def test_pictures_that_are_no_longer_shown_go(self, tmp_path: Path, lora: Path):
        to, config = tmp_path / "release", PublishConfig(rating="PG")
        publish(card_of(lora), lora, pictures(3), character=MIRA, config=config, to=to)
        publish(card_of(lora), lora, pictures(1), character=MIRA, config=config, to=to)
        assert [path.name for path in (to / "mira" / "images").iterdir()] == ["01.png"]


class TestGates:
    """What keeps a LoRA from being published; nothing is written then."""

    def refused(
        self, tmp_path: Path, lora: Path, config: PublishConfig, character: CharacterConfig = MIRA, **changes: object
    ) -> str:
        with pytest.raises((PublishError, ConsentError)) as caught:
            publish(card_of(lora, **changes), lora, pictures(), character=character, config=config, to=tmp_path / "to")
        assert not (tmp_path / "to").exists()
        return str(caught.value)

    def test_who_is_unknown_is_not_published(self, tmp_path: Path, lora: Path):
        unknown = MIRA.model_copy(update={"kind": "unknown"})
        assert "character.kind = 'unknown'" in self.refused(tmp_path, lora, PublishConfig(rating="PG"), unknown)

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"publishing": False}, "publishing"),
            ({"adult": False}, "adult"),
            ({"evidence_sha256": ""}, "evidence_sha256"),
            ({"evidence_sha256": hashlib.sha256(b"").hexdigest()}, "evidence_sha256"),
            ({"expires": datetime.date(2026, 6, 1)}, "expires"),
            ({"revoked": datetime.date(2026, 6, 1)}, "revoked"),
        ],
    )
    def test_a_real_person_has_agreed_to_it_and_still_does(self, tmp_path: Path, lora: Path, change: dict, field: str):
        assert ANN.consent
        ann = ANN.model_copy(update={"consent": ANN.consent.model_copy(update=change)})
        assert f"character.consent.{field}" in self.refused(tmp_path, lora, PublishConfig(rating="PG"), ann)

    def test_a_missing_consent_is_told_with_all_other_reasons(self, tmp_path: Path, lora: Path):
        unknown = MIRA.model_copy(update={"kind": "unknown"})
        said = self.refused(tmp_path, lora, PublishConfig(), unknown, rating=None, evaluated=None)
        assert [word in said for word in ("character.kind", "publish.rating", "not measured")] == [True] * 3

    def test_a_real_person_who_agreed_is_published_and_not_named(self, tmp_path: Path, lora: Path):
        subject = {"kind": "real-person", "trigger": "zxcv", "adult": True}
        config = PublishConfig(rating="PG")
        publish(card_of(lora, subject=subject), lora, pictures(), character=ANN, config=config, to=tmp_path / "to")
        assert not any(b"Ann Doe" in data for data in bytes_in(tmp_path / "to").values())

    def test_civitai_takes_no_real_person(self, tmp_path: Path, lora: Path):
        config = PublishConfig(rating="PG", target="civitai")
        subject = {"kind": "real-person", "trigger": "zxcv"}
        assert "Civitai" in self.refused(tmp_path, lora, config, ANN, subject=subject)

    def test_no_sexual_picture_of_a_real_person_is_published_whoever_agrees(self, tmp_path: Path, lora: Path):
        config, subject = PublishConfig(rating="X", allowed="X"), {"kind": "real-person", "trigger": "zxcv"}
        assert "whoever agrees" in self.refused(tmp_path, lora, config, ANN, subject=subject, rating="X")

    @pytest.mark.parametrize(
        ("base", "licence"),
        [
            ("creativeml-openrail-m", "apache-2.0"),
            ("openrail++", "mit"),
            ("faipl-1.0-sd", "openrail++"),
            ("faipl-1.0-sd-noobai", "faipl-1.0-sd"),
            ("cc-by-nc-4.0", "cc-by-4.0"),
        ],
    )
    def test_a_licence_that_does_not_carry_on_the_bases_is_refused(
        self, tmp_path: Path, lora: Path, base: str, licence: str
    ):
        facts = SDXL.model_copy(update={"licence": base})
        said = self.refused(tmp_path, lora, PublishConfig(rating="PG"), base=facts, rights={"licence": licence})
        assert f"publish.licence = {licence!r}" in said

    def test_a_base_whose_licence_nobody_knows_is_asked_about(self, tmp_path: Path, lora: Path):
        facts = SDXL.model_copy(update={"licence": ""})
        assert "publish.base_licence" in self.refused(tmp_path, lora, PublishConfig(rating="PG"), base=facts)

    def test_pictures_that_show_more_than_is_allowed_are_refused(self, tmp_path: Path, lora: Path):
        said = self.refused(tmp_path, lora, PublishConfig(rating="R"), rating="R")
        assert "publish.rating is 'R': its pictures show more than publish.allowed = 'PG'" in said

    def test_what_the_reader_sees_counts_whatever_a_person_says(self, tmp_path: Path, lora: Path):
        assert "what the reader sees is 'X'" in self.refused(tmp_path, lora, PublishConfig(rating="PG"), rating="X")

    def test_what_pictures_show_has_to_be_said(self, tmp_path: Path, lora: Path):
        assert "publish.rating is not set" in self.refused(tmp_path, lora, PublishConfig(), rating=None)

    def test_what_was_not_measured_is_refused(self, tmp_path: Path, lora: Path):
        assert "not measured" in self.refused(tmp_path, lora, PublishConfig(rating="PG"), evaluated=None)

    def test_all_reasons_are_told_at_once(self, tmp_path: Path, lora: Path):
        said = self.refused(tmp_path, lora, PublishConfig(), evaluated=None, rights={"licence": "mit"}, rating=None)
        assert len(said.splitlines()) == 4

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("trained from /home/ann/pictures/mira", "a path"),
            (r"see C:\Users\ann\mira", "a path"),
            (r"on \\server\share\mira", "a path"),
            ("in ~/mira/images", "a path"),
            ("write to ann.doe@example.org", "an e-mail address"),
            ("this is Ann Doe", "a person's name"),
            ("files of ann_doe", "a person's name"),
            ("Doe, Ann", "a person's name"),
            ("in 10_anndoe", "a person's name"),
            ("/run/media/ann/disk/x.png", "a path"),
            ("/data1/ann/x.png", "a path"),
            (r'{"\u0041nn Doe": 1}', "a person's name"),
            ("file:///srv/x", "a path"),
            ("/Volumes/disk/mira", "a path"),
            ("D:/loras/mira", "a path"),
        ],
    )
    def test_what_is_nobody_elses_business_is_found_wherever_it_stands(
        self, tmp_path: Path, lora: Path, text: str, what: str
    ):
        config, subject = PublishConfig(rating="PG"), {"kind": "real-person", "trigger": "zxcv"}
        assert what in self.refused(tmp_path, lora, config, ANN, subject=subject, description=text)

    def test_it_is_told_by_the_field_that_a_person_wrote(self, tmp_path: Path, lora: Path):
        config = PublishConfig(rating="PG", author="ann@example.org", summary="kept in /home/ann")
        said = self.refused(
            tmp_path, lora, config, summary=config.summary, rights={"licence": "openrail++", "owner": config.author}
        )
        assert "publish.author: an e-mail address: 'ann@example.org'" in said
        assert "publish.summary: a path: '/home/ann'" in said
        assert len(said.splitlines()) == 3

    @pytest.mark.parametrize(
        ("who", "text"),
        [("王小明", "這是王小明的照片"), ("A\u0301nn Doe", "by \u00c1nn Doe"), ("Ann Doe", "\uff21nn doe")],
    )
    def test_a_name_is_found_however_it_is_written(self, tmp_path: Path, lora: Path, who: str, text: str):
        assert ANN.consent
        ann = ANN.model_copy(update={"consent": ANN.consent.model_copy(update={"who": who})})
        config, subject = PublishConfig(rating="PG"), {"kind": "real-person", "trigger": "zxcv"}
        assert "a person's name" in self.refused(tmp_path, lora, config, ann, subject=subject, description=text)

    def test_a_path_that_the_trainer_left_in_the_file_is_found(self, tmp_path: Path):
        lora = trained(tmp_path / "other.safetensors", notes={"ss_training_comment": "from /home/ann/x"})
        said = self.refused(tmp_path, lora, PublishConfig(rating="PG"))
        assert "ss_training_comment" in said

    def test_very_long_notes_are_looked_through_in_one_go(self):
        for text in ("x", "a.", "~/", "\\"):
            assert leaks_in({"a": text * 300_000 + " ann@example.org"}, ["Ann Doe"])[-1].text == "ann@example.org"

    def test_addresses_on_the_web_and_plain_words_are_no_paths(self, tmp_path: Path, lora: Path):
        text = "See https://example.org/home/mira and either/or, 1/2; ratio 3:4."
        folder = released(tmp_path / "to", lora, description=text)
        assert text in (folder / "README.md").read_text()


def test_a_card_that_is_none_is_told_by_its_field(tmp_path: Path):
    (tmp_path / "likeness.json").write_text('{"name": "mira"}')
    with pytest.raises(PublishError, match="title"):
        read_card(tmp_path / "likeness.json")


@pytest.mark.parametrize(
    ("told", "family", "name"),
    [
        ("noobaiXLNAIXL_vPred10Version.safetensors", "sdxl", "NoobAI"),
        ("Illustrious-XL-v0.1.safetensors", "sdxl", "Illustrious"),
        ("ponyDiffusionV6XL.safetensors", "sdxl", "Pony"),
        ("sd_xl_base_1.0.safetensors", "sdxl", "SDXL 1.0"),
        ("v1-5-pruned-emaonly.safetensors", "sd15", "SD 1.5"),
        ("pony_for_sd15.safetensors", "sd15", "SD 1.5"),
        ("something.safetensors", "sdxl", "SDXL 1.0"),
        ("something.safetensors", "", "Other"),
    ],
)
def test_a_base_is_known_by_its_family_and_by_its_name(told: str, family: str, name: str):
    assert base_of(family, [told]).name == name


def test_only_a_base_that_is_known_by_its_name_has_a_licence():
    assert base_of("sdxl", ["sd_xl_base_1.0"]).licence == "openrail++"
    assert base_of("sdxl", ["some finetune"]).licence == ""


def test_hashes_are_those_that_others_compute(tmp_path: Path):
    file = trained(tmp_path / "a.safetensors", width=200_000)  # more than a megabyte, for the window of old tools
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    found = hashes_of(file)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.tensors == hashlib.sha256(data[8 + length :]).hexdigest()
    assert found.auto_v1 == hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]
    assert found.size == len(data)


def test_a_card_reads_back_as_it_was_written(tmp_path: Path, lora: Path):
    folder = released(tmp_path / "release", lora)
    card = read_card(folder / "likeness.json")
    assert Card.model_validate_json(card.model_dump_json()) == card
    assert card.evaluated == Evaluated(reason="Step 100 is the best.", scores=())


# -- content credentials -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> PublishConfig:
    """A certificate for signing, with its chain and its key, that nobody else trusts."""
    import shutil
    import subprocess

    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    home = tmp_path_factory.mktemp("certificate")
    (home / "ext").write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=critical,emailProtection\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
    )
    for command in (
        "ecparam -name prime256v1 -genkey -noout -out ca.key",
        "req -x509 -new -key ca.key -days 30 -subj /CN=CA/O=Test -out ca.pem "
        "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign",
        "ecparam -name prime256v1 -genkey -noout -out raw.key",
        "pkcs8 -topk8 -nocrypt -in raw.key -out leaf.key",
        "req -new -key leaf.key -subj /CN=Ann/O=Test -out leaf.csr",
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ext -out leaf.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=home, check=True, capture_output=True)
    (home / "chain.pem").write_text((home / "leaf.pem").read_text() + (home / "ca.pem").read_text())
    return PublishConfig(rating="PG", certificate=str(home / "chain.pem"), private_key=str(home / "leaf.key"))


def test_pictures_are_signed_where_there_is_a_certificate(tmp_path: Path, lora: Path, certificate: PublishConfig):
    c2pa = pytest.importorskip("c2pa", reason="c2pa-python is not installed")
    folder = released(tmp_path / "release", lora, certificate)
    for sample in read_card(folder / "likeness.json").samples:
        data = (folder / sample.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == sample.sha256
        with (folder / sample.file).open("rb") as file, c2pa.Reader("image/png", file) as reader:
            told = json.loads(reader.json())
        manifest = told["manifests"][told["active_manifest"]]
        (actions,) = [one for one in manifest["assertions"] if one["label"].startswith("c2pa.actions")]
        assert actions["data"]["actions"][0]["digitalSourceType"].endswith("trainedAlgorithmicMedia")
        with Image.open(folder / sample.file) as image:
            assert image.info["parameters"].startswith("mira, 1girl")
    before = bytes_in(folder)
    released(tmp_path / "release", lora, certificate)
    assert bytes_in(folder) == before, "what was signed stays"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"private_key": ""}, "go together"),
        ({"certificate": "/nowhere.pem"}, "publish.certificate = '/nowhere.pem' cannot be read"),
        ({"signature": "ed25519"}, "cannot sign"),
    ],
)
def test_a_certificate_that_cannot_sign_is_told_and_nothing_is_written(
    tmp_path: Path, lora: Path, certificate: PublishConfig, change: dict, said: str
):
    pytest.importorskip("c2pa", reason="c2pa-python is not installed")
    with pytest.raises(PublishError, match=said):
        released(tmp_path / "release", lora, certificate.model_copy(update=change))
    assert not (tmp_path / "release").exists()
