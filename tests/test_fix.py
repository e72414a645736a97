import json
from pathlib import Path

import pytest
from releases import NOTES, trained
from safetensors import safe_open
from safetensors.numpy import load_file

from likeness.catalog.fix import REQUIRED, Change, Known, fix
from likeness.catalog.foreign import card_of_file
from likeness.diffusion.files.headers import hashes_of, write_with_notes
from likeness.images import save_png

SDXL = Known(family="sdxl", trainer="kohya-ss/sd-scripts")


def notes_in(file: Path) -> dict[str, str]:
    with safe_open(file, framework="np") as opened:
        return opened.metadata() or {}


def said(changes: list[Change]) -> str:
    return "\n".join(f"{Path(one.file).name}: {one.what}" for one in changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """As kohya's trainer leaves it, but that its hash was never told."""
    return trained(tmp_path / "mira.safetensors", notes={**NOTES, "ss_output_name": "mira"})


def test_what_is_mended_is_told_and_then_there_is_nothing_more_to_mend(file: Path):
    changes = fix({file: Known(family="sd15")})
    assert "the hash of its tensors was missing" in said(changes)
    assert "mira.metadata.json: it was missing, and is written" in said(changes)
    assert fix({file: Known(family="sd15")}) == []


def test_only_looking_changes_nothing(file: Path):
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    assert fix({file: SDXL}, write=False)
    assert {path: path.read_bytes() for path in file.parent.iterdir()} == before


def test_tensors_stay(file: Path):
    before, digest = load_file(file), hashes_of(file).tensors
    fix({file: SDXL})
    after = load_file(file)
    assert all((before[name] == after[name]).all() for name in before)
    assert hashes_of(file).tensors == digest == notes_in(file)["sshs_model_hash"]


def test_the_hash_of_nothing_is_told_as_that(file: Path):
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    data = trained(file, notes={**NOTES, "ss_output_name": "mira", "sshs_model_hash": empty})
    assert "that of nothing at all" in said(fix({data: Known()}))
    assert notes_in(data)["sshs_model_hash"] == hashes_of(data).tensors


def test_a_base_that_its_notes_do_not_tell_is_told_by_its_tensors(tmp_path: Path):
    file = trained(tmp_path / "xl.safetensors", notes={"ss_output_name": "xl", "modelspec.title": "XL"})
    changes = said(fix({file: SDXL}))
    assert "ss_base_model_version was missing; it is 'sdxl_base_v1-0'" in changes
    assert notes_in(file)["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert json.loads((tmp_path / "xl.metadata.json").read_text())["base_model"] == "SDXL 1.0"


def test_an_old_way_of_naming_the_architecture_is_mended(file: Path):
    write_with_notes(file, {**notes_in(file), "modelspec.architecture": "stable-diffusion-v1-lora"}, file)
    assert "modelspec.architecture was 'stable-diffusion-v1-lora'" in said(fix({file: Known(family="sd15")}))


def test_two_files_of_one_alias_get_their_own(tmp_path: Path):
    files = [trained(tmp_path / f"{name}.safetensors", notes={"ss_output_name": "last"}) for name in ("a", "b")]
    changes = said(fix(dict.fromkeys(files, Known())))
    assert changes.count("which another file has, too") == 2
    assert [notes_in(file)["ss_output_name"] for file in files] == ["a", "b"]


def test_two_files_of_one_name_are_told_and_left(tmp_path: Path):
    files = [trained(tmp_path / place / "Mira.safetensors") for place in ("one", "two")]
    files[1] = files[1].rename(files[1].with_name("mira.safetensors"))
    assert "Rename one of them by hand" in said(fix(dict.fromkeys(files, Known())))


def test_a_header_that_comfyui_does_not_show_is_shortened_by_what_nothing_hangs_on(tmp_path: Path):
    tags = json.dumps({"mira": {f"tag number {number}": number for number in range(60_000)}})
    notes = {**NOTES, "ss_output_name": "mira", "ss_tag_frequency": tags}
    file = trained(tmp_path / "mira.safetensors", notes=notes)
    assert "100 most frequent are kept" in said(fix({file: Known(family="sd15")}))
    kept = json.loads(notes_in(file)["ss_tag_frequency"])["mira"]
    assert len(kept) == 100
    assert "tag number 59999" in kept
    assert int.from_bytes(file.read_bytes()[:8], "little") <= 1 << 20


def test_a_table_of_tags_of_another_form_goes(tmp_path: Path):
    file = trained(tmp_path / "mira.safetensors", notes={"ss_tag_frequency": '["mira"]', "ss_output_name": "mira"})
    assert "no table of tables" in said(fix({file: Known()}))
    assert "ss_tag_frequency" not in notes_in(file)


class TestLoraManagersSidecar:
    """What LoRA Manager drops a LoRA for."""

    @pytest.fixture
    def sidecar(self, file: Path) -> Path:
        return file.with_name("mira.metadata.json")

    def test_what_a_person_wrote_stays_and_what_is_missing_comes(self, file: Path, sidecar: Path):
        sidecar.write_text(json.dumps({"file_name": "mira", "notes": "mine", "tags": ["cat"], "sha256": "0" * 64}))
        fix({file: Known(family="sd15")})
        found = json.loads(sidecar.read_text())
        assert (found["notes"], found["tags"]) == ("mine", ["cat"])
        assert all(found[key] for key in REQUIRED)  # also the preview's place: it is dropped without
        assert found["sha256"] == hashes_of(file).sha256
        assert found["size"] == file.stat().st_size

    def test_a_weight_that_nobody_told_is_not_made_up(self, file: Path, sidecar: Path):
        fix({file: Known(family="sd15")})
        assert "usage_tips" not in json.loads(sidecar.read_text()) or "strength" not in sidecar.read_text()

    def test_one_that_cannot_be_read_is_kept_and_written_anew(self, file: Path, sidecar: Path):
        sidecar.write_text('{"file_name": ')
        assert "could not be read" in said(fix({file: Known(family="sd15")}))
        assert sidecar.with_name("mira.metadata.json.broken").read_text() == '{"file_name": '
        assert json.loads(sidecar.read_text())["file_name"] == "mira"

    def test_an_empty_place_of_the_preview_is_filled_where_there_is_one(self, file: Path, sidecar: Path):
        import numpy

        save_png(file.with_name("mira.preview.png"), numpy.zeros((8, 8, 3), numpy.uint8))
        sidecar.write_text(json.dumps({"preview_url": "", "model_name": "Mine"}))
        fix({file: Known(family="sd15")})
        found = json.loads(sidecar.read_text())
        assert (found["preview_url"], found["model_name"]) == ("mira.preview.png", "Mine")

    def test_what_it_writes_itself_of_a_file_that_nobody_told_it_about(self, tmp_path: Path):
        file = trained(tmp_path / "xl.safetensors", notes={"modelspec.trigger_phrase": "mirr"})
        empty = {"file_name": "xl", "base_model": "Unknown", "civitai": {}, "tags": [], "notes": "mine"}
        file.with_name("xl.metadata.json").write_text(json.dumps(empty))
        fix({file: SDXL})
        found = json.loads(file.with_name("xl.metadata.json").read_text())
        assert (found["base_model"], found["civitai"]["trainedWords"]) == ("SDXL 1.0", ["mirr"])
        assert found["notes"] == "mine"

    def test_after_lora_manager_has_written_it_anew_there_is_nothing_to_mend(self, file: Path, sidecar: Path):
        fix({file: Known(family="sd15")})
        told = json.loads(sidecar.read_text()) | {"modified": 1.5, "tags": [], "notes": "", "favorite": False}
        sidecar.write_text(json.dumps(told))
        assert fix({file: Known(family="sd15")}) == []

    def test_what_a_site_tells_of_it_stays(self, file: Path, sidecar: Path):
        told = {
            "id": 7,
            "trainedWords": ["mirr", "fox"],
            "model": {"name": "Mirr", "tags": ["fox"]},
            "images": [{"url": "x"}],
        }
        file.with_name("mira.civitai.info").write_text(json.dumps(told))
        sidecar.write_text(json.dumps({"tags": []}))
        fix({file: Known(family="sd15")})
        found = json.loads(sidecar.read_text())
        assert found["civitai"] == told
        assert (found["from_civitai"], found["tags"]) == (True, ["fox"])

    def test_no_notes_are_made_up(self, file: Path, sidecar: Path):
        file.with_name("mira.json").write_text(json.dumps({"notes": "use it softly"}))
        fix({file: Known(family="sd15")})
        assert json.loads(sidecar.read_text())["notes"] == "use it softly"

    def test_a_version_of_a1111_that_hides_it_is_mended(self, file: Path):
        file.with_name("mira.json").write_text(json.dumps({"sd version": "SD1", "activation text": "mine"}))
        fix({file: SDXL})
        found = json.loads(file.with_name("mira.json").read_text())
        assert (found["sd version"], found["activation text"]) == ("SDXL", "mine")

    def test_civitais_file_is_marked_as_the_one_that_is_meant(self, file: Path):
        other, own = {"name": "other"}, {"name": "mira", "hashes": {"AutoV3": hashes_of(file).auto_v3.upper()}}
        info = file.with_name("mira.civitai.info")
        info.write_text(json.dumps({"id": 7, "files": [other, own]}))
        fix({file: Known(family="sd15")})
        found = json.loads(info.read_text())
        assert [one.get("primary") for one in found["files"]] == [None, True]
        assert found["id"] == 7


class TestForeignCards:
    """What is known of a file that somebody made."""

    def test_sidecars_tell_more_than_notes(self, file: Path):
        file.with_name("mira.json").write_text(json.dumps({"activation text": "mira, fox", "preferred weight": 0.7}))
        file.with_name("mira.civitai.info").write_text(
            json.dumps(
                {
                    "trainedWords": ["other"],
                    "baseModel": "Pony",
                    "publishedAt": "2025-03-04T05:06:07.000Z",
                    "description": "<p>A <b>fox</b>.</p><p>More &amp; more.</p>",
                    "model": {"name": "Mira the fox", "tags": ["fox", "character"], "poi": False},
                    "images": [{"nsfwLevel": 1}],
                }
            )
        )
        card = card_of_file(file, family="sdxl")
        assert card.subject.trigger == "mira, fox"
        assert card.weight == 0.7
        assert card.base.name == "Pony"
        assert card.title == "Mira the fox"
        assert card.tags == ("fox", "character")
        assert card.published.isoformat() == "2025-03-04"
        assert card.description == "A fox.\nMore & more."
        assert card.rating == "PG"
        assert card.evaluated is None

    def test_the_trigger_is_found_where_kohya_notes_it(self, tmp_path: Path):
        notes = {"ss_datasets": json.dumps([{"subsets": [{"class_tokens": "mirr"}]}])}
        assert card_of_file(trained(tmp_path / "a.safetensors", notes=notes)).subject.trigger == "mirr"

    def test_of_whom_a_site_says_that_they_are_real_it_is_believed(self, file: Path):
        file.with_name("mira.civitai.info").write_text(json.dumps({"model": {"poi": True}}))
        assert card_of_file(file).subject.kind == "real-person"

    @pytest.mark.parametrize(
        "nonsense",
        [
            {"trainedWords": "not a list", "model": [], "images": {"a": 1}},
            {"trainedWords": [1, None], "model": {"tags": [None, 3], "name": 5}, "images": [3, {"nsfwLevel": "x"}]},
            {"usage_tips": "{", "files": 3},
            {"usage_tips": "[" * 100_000, "model_name": "half a letter \ud800"},
        ],
    )
    def test_nonsense_is_passed_over(self, file: Path, nonsense: dict):
        for ending in (".json", ".metadata.json", ".civitai.info"):
            file.with_name(f"mira{ending}").write_text(json.dumps(nonsense))
        assert card_of_file(file).name == "mira"

    def test_where_a_trainer_noted_the_bases_place_only_its_name_is_told(self, tmp_path: Path):
        file = trained(tmp_path / "a.safetensors", notes={"ss_sd_model_name": r"C:\models\sd_xl_base_1.0.safetensors"})
        assert card_of_file(file, family="sdxl").base.file == "sd_xl_base_1.0.safetensors"
