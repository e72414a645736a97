"""Curating a raw pool: each flaw is found, the best of what is left is chosen, and every picture says why."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile

import numpy
import pytest
from PIL import Image

from likeness.dataset.coverage import cell_of
from likeness.dataset.curate import Beforehand, Curation, curate
from likeness.dataset.labels import Label
from likeness.dataset.origins import Origin
from likeness.dataset.screening import RULES, screen, strangers
from likeness.dataset.summaries import candidates, missing, summary
from likeness.errors import PictureError, RecipeError, WorkspaceError
from likeness.events import Event
from likeness.images import Pixels, open_pixels, sha256_of
from likeness.maquette.pool import Member, make_pool
from likeness.maquette.world import character
from likeness.perception.maquette import MaquetteReader
from likeness.perception.plain import PlainReader
from likeness.recipe import CurateConfig, ScreenConfig
from likeness.records import Picture, Reading

SEED = 11  # any pool; benchmarks/curation_quality.py holds the bars over twenty others


class CountingReader(MaquetteReader):
    """The maquette's reader, counting what it is asked."""

    asked = 0

    def read(self, pictures: Sequence[Pixels]) -> list[Reading]:
        CountingReader.asked += 1
        return super().read(pictures)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pool")


@pytest.fixture(scope="module")
def members(pool: Path) -> dict[str, Member]:
    return {one.path: one for one in make_pool(character(SEED), pool / "images", seed=SEED)}


def run(pool: Path, config: CurateConfig | None = None, **options: object) -> Curation:
    """A curation of the pool, with what was seen of it kept beside it."""
    told: dict[str, object] = {"reader": MaquetteReader(), "key": "maquette", "side": 64} | options
    return curate(pool / "images", config or CurateConfig(), memory=pool / "looks", **told)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def curation(pool: Path, members: dict[str, Member]) -> Curation:
    assert members
    return run(pool)


def of(curation: Curation, path: str) -> Picture:
    return next(one for one in curation.pictures if one.path == path)


def used(curation: Curation, use: str) -> list[Picture]:
    return [one for one in curation.pictures if one.use == use]


# -- one pool ----------------------------------------------------------------------------------------------------------


def test_every_file_has_a_record_with_a_reason(curation: Curation, members: dict[str, Member]):
    assert [one.path for one in curation.pictures] == sorted(members)
    assert all(one.reason and one.decided_by == "curate" for one in curation.pictures)
    assert all(bool(one.fault) == (one.use == "rejected") for one in curation.pictures)


def test_each_flaw_is_found_and_no_good_picture_is_rejected(curation: Curation, members: dict[str, Member]):
    for one in curation.pictures:
        flaw = members[one.path].flaw
        if flaw.endswith("duplicate"):
            continue
        if flaw:
            assert one.fault == flaw, f"{one.path}: {one.reason}"
        else:
            assert one.use != "rejected" or one.fault.endswith("duplicate"), f"{one.path}: {one.reason}"


def test_of_each_scene_that_was_copied_one_picture_is_left(curation: Curation, members: dict[str, Member]):
    kept = Counter(members[one.path].original or one.path for one in curation.pictures if one.use != "rejected")
    copied = {one.original for one in members.values() if one.original}
    assert {scene: kept[scene] for scene in copied} == dict.fromkeys(copied, 1)


def test_the_copy_that_is_kept_is_the_one_with_most_detail(curation: Curation, members: dict[str, Member]):
    worse = {"rescaled duplicate", "recompressed duplicate", "cropped duplicate"}
    assert all(one.use == "rejected" for one in curation.pictures if members[one.path].flaw in worse)


def test_no_scene_is_both_trained_on_and_held_out(curation: Curation):
    train, held = ({one.group or one.path for one in used(curation, use)} for use in ("train", "held-out"))
    assert not train & held
    assert len(held) >= 4


def test_no_cell_is_lost_to_what_is_held_out(curation: Curation):
    train = {cell_of(one.reading) for one in used(curation, "train")}
    assert {cell_of(one.reading) for one in used(curation, "held-out")} <= train


def test_the_summary_is_what_a_program_wants(curation: Curation):
    told = json.loads(json.dumps(summary(curation.pictures)))
    counts = told["counts"]
    assert counts["pool"] == 80 == counts["train"] + counts["held_out"] + counts["rejected"]
    assert sum(map(len, told["rejected"].values())) == counts["rejected"]
    assert told["coverage"]["covered"] == told["coverage"]["reachable"] <= told["coverage"]["cells"] == 31
    assert len(told["train"]) == counts["train"]
    assert told["missing"] == [want.words for want in missing(curation.pictures)]


def test_a_chosen_picture_says_what_it_adds(curation: Curation):
    first = next(one for one in used(curation, "train") if one.reason.startswith("chosen as number 1:"))
    assert first.reading is not None
    numbers = sorted(int(one.reason.split("number ")[1].split(":")[0]) for one in used(curation, "train"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_is_missing_names_pictures_of_the_pool_that_would_fill_it(pool: Path, members: dict[str, Member]):
    backs = [path for path, one in members.items() if one.drawing and one.drawing.scene.view == "back"]
    blurred = next(path for path in members if members[path].flaw == "blur")
    labels = {path: Label(path=path, use="rejected") for path in backs}
    labels[blurred] = Label(path=blurred, view="back")
    pictures = run(pool, beforehand=Beforehand(labels=labels)).pictures
    assert "nothing from behind" in " ".join(summary(pictures)["missing"])
    for want in missing(pictures):
        found = candidates(pictures, want)
        assert want.value != "back" or blurred in {one.path for one in found}
        for one in found:
            assert one.reading is not None
            assert getattr(one.reading, want.axis) == want.value
            assert one.fault not in ("other character", "two characters", "truncated")


# -- a second time -----------------------------------------------------------------------------------------------------


def test_the_same_pool_gives_the_same_records_without_a_second_look(pool: Path, curation: Curation):
    CountingReader.asked = 0
    assert run(pool, reader=CountingReader()).pictures == curation.pictures
    assert CountingReader.asked == 0


def test_a_new_picture_alone_is_looked_at(pool: Path, curation: Curation):
    new = pool / "images" / "new.png"
    Image.fromarray(open_pixels(pool / "images" / used(curation, "train")[0].path)).rotate(180).save(new)
    CountingReader.asked = 0
    told: list[Event] = []
    try:
        again = run(pool, reader=CountingReader(), report=told.append)
    finally:
        new.unlink()
        run(pool)
    assert CountingReader.asked == 1
    assert [event.total for event in told if event.stage == "look"] == [1]
    assert len(again.pictures) == 81


def test_a_moved_threshold_needs_no_second_look(pool: Path, curation: Curation):
    CountingReader.asked = 0
    strict = run(pool, CurateConfig(screen=ScreenConfig(blur=0.25)), reader=CountingReader())
    assert CountingReader.asked == 0
    assert len(used(strict, "rejected")) > len(used(curation, "rejected"))


def test_what_is_held_out_stays_so_when_the_pool_is_curated_again(pool: Path, curation: Curation):
    held = {one.path for one in used(curation, "held-out")}
    more = run(pool, CurateConfig(held_out=0.3), beforehand=Beforehand(curation.pictures))
    assert held < {one.path for one in used(more, "held-out")}


def test_what_was_held_out_is_so_again_after_a_curation_that_rejected_it(pool: Path, curation: Curation):
    held = {one.id for one in used(curation, "held-out")}
    strict = run(pool, CurateConfig(screen=ScreenConfig(blur=0.05)), beforehand=Beforehand(curation.pictures))
    assert not used(strict, "held-out")
    again = run(pool, beforehand=Beforehand(strict.pictures, sealed=frozenset(held)))
    assert held <= {one.id for one in used(again, "held-out")}


# -- a person ----------------------------------------------------------------------------------------------------------


def test_a_person_s_lock_and_ban_win_over_everything(pool: Path, curation: Curation, members: dict[str, Member]):
    blurred = next(path for path, one in members.items() if one.flaw == "blur")
    copy = next(path for path, one in members.items() if one.flaw == "cropped duplicate")
    good = used(curation, "train")[0].path
    labels = {
        blurred: Label(path=blurred, use="train"),
        copy: Label(path=copy, use="train"),
        good: Label(path=good, use="rejected"),
    }
    found = run(pool, beforehand=Beforehand(labels=labels))
    assert [of(found, path).use for path in (blurred, copy, good)] == ["train", "train", "rejected"]
    assert all(of(found, path).decided_by == "person" for path in labels)
    original = members[copy].original
    assert of(found, original).use == "rejected", "the copy that a person wants is the one to keep"


def test_what_repeats_a_picture_that_a_person_rejected_goes_with_it(
    pool: Path, curation: Curation, members: dict[str, Member]
):
    copy = next(path for path, one in members.items() if one.flaw == "rescaled duplicate")
    original = members[copy].original
    found = run(pool, beforehand=Beforehand(labels={original: Label(path=original, use="rejected")}))
    assert of(found, copy).use == "rejected"
    assert of(found, copy).reason.endswith(f"copy of {original}, which you rejected")
    found = run(pool, beforehand=Beforehand(labels={copy: Label(path=copy, use="rejected")}))
    assert of(found, original).use != "rejected", "the better one may be what the person wants"


def test_a_scene_that_labels_hold_out_and_train_on_is_refused(pool: Path, members: dict[str, Member]):
    copy = next(path for path, one in members.items() if one.flaw == "rescaled duplicate")
    original = members[copy].original
    labels = {original: Label(path=original, use="held-out"), copy: Label(path=copy, use="train")}
    with pytest.raises(WorkspaceError, match="the same scene"):
        run(pool, beforehand=Beforehand(labels=labels))


def test_no_copy_of_what_a_person_holds_out_is_trained_on_in_a_set_chosen_by_hand(
    pool: Path, members: dict[str, Member]
):
    copy = next(path for path, one in members.items() if one.flaw == "rescaled duplicate")
    original = members[copy].original
    labels = {original: Label(path=original, use="held-out")}
    found = run(pool, CurateConfig(choose="all"), beforehand=Beforehand(labels=labels))
    assert (of(found, original).use, of(found, copy).use) == ("held-out", "rejected")


def test_of_two_files_with_the_same_bytes_the_one_that_a_person_wants_is_trained_on_alone(
    pool: Path, curation: Curation, members: dict[str, Member]
):
    twin = next(one for one in curation.pictures if one.fault == "exact duplicate")
    first = next(one for one in curation.pictures if one.id == twin.id and one.path != twin.path)
    found = run(pool, beforehand=Beforehand(labels={twin.path: Label(path=twin.path, use="train")}))
    assert of(found, twin.path).use == "train"
    assert of(found, first.path).fault == "exact duplicate"
    assert not any(one.id == twin.id and one.use == "held-out" for one in found.pictures)


def test_a_scene_that_a_person_locks_is_not_held_out(pool: Path, curation: Curation):
    held = used(curation, "held-out")[0]
    found = run(pool, beforehand=Beforehand(curation.pictures, {held.path: Label(path=held.path, use="train")}))
    assert of(found, held.path).use == "train"
    assert len(used(found, "held-out")) == len(used(curation, "held-out"))


def test_a_label_that_is_taken_back_decides_nothing_any_more(pool: Path, curation: Curation):
    good = used(curation, "train")[0].path
    for use in ("rejected", "held-out"):
        labelled = run(pool, beforehand=Beforehand(curation.pictures, {good: Label(path=good, use=use)}))
        assert of(labelled, good).use == use
        again = run(pool, beforehand=Beforehand(labelled.pictures))
        assert (of(again, good).use, of(again, good).decided_by) == ("train", "curate")


def test_a_reference_that_is_not_in_the_pool_is_named(pool: Path, members: dict[str, Member]):
    with pytest.raises(RecipeError, match=r"curate\.references: '1\.png'.*did you mean"):
        run(pool, CurateConfig(references=("1.png",)))


def test_a_person_s_words_win_over_the_reader_s(pool: Path, members: dict[str, Member]):
    two = next(path for path, one in members.items() if one.flaw == "two characters")
    found = run(pool, beforehand=Beforehand(labels={two: Label(path=two, people=1, view="back")}))
    reading = of(found, two).reading
    assert reading is not None
    assert (reading.view, reading.people) == ("back", 1)
    assert of(found, two).fault != "two characters"


def test_source_and_rights_are_on_record(pool: Path, curation: Curation):
    path = used(curation, "train")[0].path
    noted = [Origin(path=path, source="https://example.org/1", rights="CC BY 4.0", repeats=3)]
    one = of(run(pool, beforehand=Beforehand(noted=noted)), path)
    assert (one.source, one.rights, one.repeats) == ("https://example.org/1", "CC BY 4.0", 3)


# -- how many ----------------------------------------------------------------------------------------------------------


def test_as_many_are_chosen_as_are_asked_for_and_the_rest_says_so(pool: Path, curation: Curation):
    found = run(pool, CurateConfig(count=20))
    assert len(used(found, "train")) == 20
    left = [one for one in used(found, "rejected") if one.fault == "not needed"]
    assert len(left) == len(used(curation, "train")) - 20
    assert all("20 others show more together" in one.reason for one in left)


def test_a_set_that_was_chosen_by_hand_is_taken_whole(pool: Path, members: dict[str, Member]):
    found = run(pool, CurateConfig(choose="all"))
    reasons = {one.fault for one in used(found, "rejected")}
    assert reasons == {"exact duplicate", "truncated", "not a picture"}
    assert not used(found, "held-out")


def test_too_few_pictures_are_said_to_be_too_few_with_the_price(tmp_path: Path, pool: Path, curation: Curation):
    for one in used(curation, "train")[:6]:
        (tmp_path / "images").mkdir(exist_ok=True)
        copyfile(pool / "images" / one.path, tmp_path / "images" / one.path)
    found = run(tmp_path)
    assert "Only 6 pictures are usable, and 20 are wanted" in found.too_few
    assert "learns its pictures by heart" in found.too_few
    assert not run(tmp_path, CurateConfig(choose="all")).too_few


# -- strangers and rules -----------------------------------------------------------------------------------------------


def turned(angle: float) -> tuple[float, float]:
    return float(numpy.cos(angle)), float(numpy.sin(angle))


def test_who_is_unlike_the_largest_cluster_is_a_stranger():
    own = {f"own {index}": turned(0.1 * index) for index in range(5)}
    assert strangers({**own, "other": turned(2.0)}, same=0.5).keys() == {"other"}  # pyright: ignore[reportOptionalMemberAccess]
    assert strangers(own, same=0.5) == {}


def test_where_no_cluster_holds_half_nobody_can_tell_unless_a_reference_says_who():
    halves = {f"{name} {index}": turned(name + 0.05 * index) for name in (0, 2) for index in range(4)}
    assert strangers(halves, same=0.9) is None
    three = {f"{name} {index}": turned(name + 0.05 * index) for name in (0, 2, 4) for index in range(3)}
    assert strangers(three, same=0.9) is None
    found = strangers(three, same=0.9, references=["2 0"])
    assert found is not None
    assert {id.split()[0] for id in found} == {"0", "4"}


def test_a_pool_of_three_characters_asks_for_references(tmp_path: Path):
    for number in (1, 2, 3):
        folder = tmp_path / "images" / str(number)
        for member in make_pool(character(number), folder, seed=number)[25:]:
            (folder / member.path).unlink()  # a quarter of them is enough to tell
    found = run(tmp_path)
    assert any("curate.references" in note for note in found.notes)
    assert not any(one.fault == "other character" for one in found.pictures)


def test_the_plain_reader_rejects_nobody_and_says_that_it_cannot_tell(pool: Path, members: dict[str, Member]):
    found = curate(
        pool / "images", CurateConfig(), reader=PlainReader(), key="plain", side=64, memory=pool / "plain looks"
    )
    assert any("does not know characters apart" in note for note in found.notes)
    faults = {members[one.path].flaw: one.fault for one in found.pictures if one.use == "rejected"}
    assert "other character" not in faults.values()
    assert {"blur", "too dark", "heavy JPEG", "letterbox", "text", "truncated"} <= set(faults.values())
    assert summary(found.pictures)["coverage"]["reachable"] == 0


@pytest.mark.parametrize("fault", [fault for fault in RULES if fault != "two characters"])
def test_each_rule_can_be_switched_off_by_its_threshold(curation: Curation, fault: str):
    off = {
        "too small": {"smallest": 0},
        "too dark": {"dark": 0},
        "blown out": {"bright": 1},
        "flat": {"flat": 0},
        "letterbox": {"borders": False},
        "text": {"letters": 1000},
        "blur": {"blur": 1},
        "heavy JPEG": {"jpeg": 0, "blocks": 100},
        "noise": {"noise": 1},
    }[fault]
    looks = [look for look in curation.looks.looks.values() if not look.fault]
    spoilt = next(iter(looks)).model_copy(
        update={
            "measures": {
                "subject": 5,
                "light": 0.1,
                "shade": 0.9,
                "contrast": 0.01,
                "bars": 0.2,
                "letters": 20,
                "blur": 0.9,
                "jpeg": 5,
                "blocks": 3,
                "noise": 0.2,
                "detail": 1,
            }
        }
    )
    assert RULES[fault](spoilt, ScreenConfig(), 64)
    assert RULES[fault](spoilt, ScreenConfig.model_validate(off), 64) is None
    told = screen(spoilt, ScreenConfig(), 64)
    assert told is not None
    assert told[0] == "too small"


def test_a_folder_without_pictures_is_one_clear_error(tmp_path: Path):
    (tmp_path / "images").mkdir()
    with pytest.raises(PictureError, match="holds no pictures"):
        run(tmp_path)


def test_nothing_in_the_folder_is_changed(pool: Path, curation: Curation):
    for one in curation.pictures:
        assert sha256_of(pool / "images" / one.path) == one.id
