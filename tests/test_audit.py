"""The audit: what would be baked in, what contradicts, what says nothing; each with numbers and what to do."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from typer.testing import CliRunner

from likeness.captions.audit import Finding, audit
from likeness.captions.files import Written
from likeness.captions.traits import PlannedTrait, TraitPlan, plan_traits
from likeness.cli import app
from likeness.errors import WorkspaceError
from likeness.events import Event
from likeness.images import save_png, sha256_of
from likeness.pipeline.bench import Bench
from likeness.pipeline.captions import audit_captions, read_plan, write_captions
from likeness.recipe import CaptionConfig, Recipe
from likeness.records import Caption, Picture, Reading, write_records
from likeness.workspace import Workspace

FRONT = ("mira", "1girl")


class Set:
    """Pictures with their captions, one after another."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.captions: list[Caption] = []
        self.written: dict[str, Written] = {}

    def add(
        self, count: int, tags: str = "", *, by: str = "person", sentence: str = "", use: str = "train", **seen: Any
    ) -> "Set":
        for _ in range(count):
            id = f"{len(self.pictures):064x}"
            sure = dict.fromkeys((*seen, *seen.get("traits", {})), 0.95)
            reading = Reading(**seen, confidence=sure, instrument="eye", instrument_sha256="0" * 64) if seen else None
            record = {"id": id, "path": f"{len(self.pictures)}.png", "width": 8, "height": 8, "decided_by": "test"}
            self.pictures.append(Picture.model_validate({**record, "use": use, "reading": reading}))
            said = (*FRONT, *filter(None, tags.split(", ")))
            told = {"tags": said, "text": sentence or ", ".join(said), "sentence": sentence, "written_by": by}
            self.captions.append(Caption.model_validate({"picture": id, **told}))
        return self

    def findings(self, **options: Any) -> list[Finding]:
        readings = [picture.reading for picture in self.pictures if picture.reading]
        given = {
            "plan": plan_traits(readings, CaptionConfig(), trigger="mira"),
            "count_tokens": lambda text: len(text.split()),
        }
        return audit(self.pictures, self.captions, **{**given, "front": FRONT, "written": self.written, **options})

    def of(self, kind: str, **options: Any) -> list[str]:
        return [finding.found for finding in self.findings(**options) if finding.kind == kind]


def test_what_is_in_nearly_all_pictures_would_be_baked_in_with_the_numbers() -> None:
    pool = Set().add(23, by="eye", expression="smile", view="front").add(2, by="eye", expression="sad", view="back")
    assert pool.of("baked in") == [
        "view 'front' in 92% of the pictures (23 of 25)",
        "expression 'smile' in 92% of the pictures (23 of 25)",
    ]
    assert all("Add pictures" in finding.advice for finding in pool.findings() if finding.kind == "baked in")


def test_what_is_in_three_of_four_pictures_is_not_and_neither_is_anything_in_four_pictures() -> None:
    assert Set().add(15, by="eye", view="front").add(5, by="eye", view="back").of("baked in") == []
    assert Set().add(4, by="eye", view="front").of("baked in") == []


def test_held_out_pictures_do_not_count() -> None:
    assert Set().add(5, by="eye", view="front").add(5, by="eye", use="held-out", view="back").of("baked in") == [
        "view 'front' in 100% of the pictures (5 of 5)"
    ]


def test_without_readings_the_captions_tell_what_would_be_baked_in() -> None:
    pool = Set().add(9, "smile, meadow, drawing").add(1, "sad, beach, drawing")
    assert pool.of("baked in") == [
        "'drawing' in 100% of the pictures (10 of 10)",
        "expression 'smile' in 90% of the pictures (9 of 10)",
        "background 'meadow' in 90% of the pictures (9 of 10)",
    ]
    assert not any("drawing" in found for found in pool.of("baked in", added=["drawing"]))


def test_clothes_that_the_plan_leaves_to_the_trigger_are_told_and_those_that_a_person_left_are_not() -> None:
    pool = Set().add(10, by="eye", traits={"garment": "dress", "hair_colour": "blue"})
    assert pool.of("baked in") == ["garment 'dress' in 100% of the pictures where it can be told (10 of 10)"]
    row = {"name": "garment", "value": "dress", "pictures": 9, "told": 9, "values": {"dress": 9}, "reason": ""}
    plan = TraitPlan(traits=(PlannedTrait.model_validate({**row, "decision": "absorb", "decided_by": "person"}),))
    assert pool.of("baked in", plan=plan) == []


def test_a_caption_that_contradicts_its_picture_is_named_with_both_words() -> None:
    pool = Set().add(1, "from behind", view="front").add(3, "front view", view="front")
    assert pool.of("contradiction") == [
        "another thing than was read is said in 1 of 4 captions of yours: "
        "0.png says 'from behind', the reading says front (0.95)"
    ]
    assert [finding.pictures for finding in pool.findings() if finding.kind == "contradiction"] == [("0.png",)]
    assert Set().add(1, "from behind", by="eye", view="front").of("contradiction") == []


def test_a_caption_longer_than_the_window_is_a_warning_with_its_length() -> None:
    words = " ".join(["word"] * 160)
    found = Set().add(3, "smile").add(1, words).of("long")
    assert found == ["more than 75 tokens in 1 of 4 captions; the longest, of 3.png, has 162 and fills 3 windows"]
    assert Set().add(1, " ".join(["word"] * 73)).of("long") == []
    assert len(Set().add(1, "smile").of("not checked", count_tokens=None)) == 1


def test_a_caption_of_nothing_but_the_trigger_is_told_and_one_of_a_sentence_is_not() -> None:
    assert Set().add(2).add(1, "smile").of("only the trigger") == [
        "nothing but the trigger and class words in 2 of 3 captions: 0.png, 1.png"
    ]
    assert Set().add(2, sentence="mira stands in a field.").of("only the trigger") == []


def test_words_for_the_character_in_some_captions_and_not_in_others_are_told() -> None:
    pool = Set().add(4, "blue hair, smile").add(6, "smile")
    assert pool.of("said by halves") == ["'blue hair' in 4 of 10 captions"]
    assert Set().add(10, "blue hair").of("said by halves") == []
    assert Set().add(4, "blue hair", by="eye").add(6, "smile", by="eye").of("said by halves") == []


def test_words_for_a_trait_that_the_plan_exposes_may_come_and_go() -> None:
    pool = Set().add(10, "blue hair", traits={"hair_colour": "blue"}).add(10, "x", traits={"hair_colour": "red"})
    assert pool.of("said by halves") == []


def test_tags_of_one_caption_are_counted_and_listed() -> None:
    pool = Set().add(4, "smile").add(1, "simle").add(1, "medow")
    assert pool.of("said once") == ["in one caption only, 2 of 3 tags: medow, simle"]


def test_a_caption_file_without_the_trigger_is_told() -> None:
    pool = Set().add(2, "smile")
    pool.written = {
        pool.pictures[0].id: Written("0.txt", ("smile",), "", has_trigger=False),
        pool.pictures[1].id: Written("1.txt", ("mira", "smile"), "", has_trigger=True),
    }
    assert pool.of("no trigger") == ["no trigger in 1 of 2 caption files: 0.png"]


def test_good_captions_have_no_findings() -> None:
    pool = Set()
    for view, expression in (("front", "smile"), ("back", "sad"), ("profile left", "angry")):
        pool.add(4, f"{expression}, sitting", by="eye", view=view, expression=expression)
        pool.add(4, f"{expression}, standing", by="eye", view=view, expression=expression)
    assert pool.findings() == []


# -- in a workspace ------------------------------------------------------------------------------------------------


@pytest.fixture
def mira(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path / "mira")
    pictures = []
    for number in range(6):
        path = workspace.images / f"{number}.png"
        save_png(path, numpy.full((8, 8, 3), 40 * number, numpy.uint8))
        path.with_suffix(".txt").write_text("smile, meadow" + ("" if number else ", from behind"))
        seen = {"view": "front", "confidence": {"view": 0.9, "hair_colour": 0.9}, "traits": {"hair_colour": "blue"}}
        reading = Reading(**seen, instrument="eye", instrument_sha256="0" * 64)
        record = {"id": sha256_of(path), "path": path.name, "width": 8, "height": 8, "decided_by": "test"}
        pictures.append(Picture.model_validate({**record, "use": "train", "reading": reading}))
    write_records(workspace.images_jsonl, pictures)
    workspace.recipe.write_text(recipe().to_toml())
    return workspace


def recipe() -> Recipe:
    named = {"name": "Mira", "trigger": "mirachar", "class_words": "1girl", "kind": "original"}
    return Recipe.model_validate({"character": named, "caption": {"source": "files"}})


def test_the_caption_step_writes_captions_and_plan_and_tells_what_the_audit_finds(mira: Workspace) -> None:
    told: list[Event] = []
    made = write_captions(Bench(mira, recipe(), told.append))
    assert made == [mira.plan_json, mira.captions_jsonl]
    assert [trait.name for trait in read_plan(mira).traits] == ["hair_colour"]
    notes = [event.note for event in told if event.note]
    assert any(note.startswith("contradiction: another thing than was read is said in 1 of 6") for note in notes)
    assert len(notes) == len(audit_captions(mira, recipe()))


def test_the_commands_print_findings_and_never_fail_for_them(mira: Workspace) -> None:
    write_captions(Bench(mira, recipe(), lambda event: None))
    told = CliRunner().invoke(app, ["audit", str(mira.root)])
    assert told.exit_code == 0
    assert "contradiction" in told.stdout
    as_json = CliRunner().invoke(app, ["audit", str(mira.root), "--json"])
    found: Sequence[dict[str, str]] = json.loads(as_json.stdout)["findings"]
    assert {"baked in", "contradiction", "no trigger", "said once"} == {finding["kind"] for finding in found}
    assert all(finding["advice"] for finding in found)


def test_an_audit_before_the_captions_says_what_to_do_first(mira: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="no captions yet"):
        audit_captions(mira, recipe())
    mira.plan_json.write_text("{")
    with pytest.raises(WorkspaceError, match="cannot be read"):
        read_plan(mira)


def test_the_caption_command_ends_with_the_plan_for_people_and_for_programs(mira: Workspace) -> None:
    settings = ["--set", "perception.reader=fake_reader:FakeReader", "--set", "curate.choose=all"]
    settings += ["--set", "caption.source=reader", "--set", "caption.plan.ears=expose"]
    told = CliRunner().invoke(app, ["caption", str(mira.root), *settings])
    assert told.exit_code == 0, told.output
    assert "mirroring: allowed" in told.stdout
    as_json = CliRunner().invoke(app, ["caption", str(mira.root), *settings, "--json"])
    plan = json.loads(as_json.stdout.splitlines()[-1])["plan"]
    ears = next(trait for trait in plan["traits"] if trait["name"] == "ears")
    assert (ears["value"], ears["pictures"], ears["told"], ears["decision"]) == ("human", 6, 6, "expose")
    assert ears["decided_by"] == "person"
    assert plan == json.loads(mira.plan_json.read_text())
