"""Intake: what comes in is safe, whole and on record, and what is refused leaves nothing behind."""

import json
import os
import stat
import struct
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy
import pytest

from likeness.dataset import archives
from likeness.dataset.archives import safe_name
from likeness.dataset.intake import Intake, Origin, add, origins
from likeness.errors import PictureError, WorkspaceError
from likeness.events import Event
from likeness.images import open_pixels, save_png, sha256_of


def draw(path: Path, level: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, numpy.full((4, 6, 3), level, numpy.uint8))
    return path


def png(level: int = 0) -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (6, 4), (level, level, level)).save(file, "PNG")
    return file.getvalue()


def packed(path: Path, entries: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return tmp_path / "mira" / "images"


def tree(folder: Path) -> list[str]:
    """Every file in a folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def of(intake: Intake) -> dict[str, Origin]:
    return {origin.path: origin for origin in intake.added}


# -- folders and files -------------------------------------------------------------------------------------------------


def test_a_folder_comes_in_under_its_name_with_its_notes_and_stays_untouched(tmp_path: Path, images: Path):
    raw = tmp_path / "raw"
    draw(raw / "a.png", 1)
    draw(raw / "deep" / "b.PNG", 2)
    (raw / "a.txt").write_text("[trigger], smile")
    (raw / "deep" / "b.caption").write_text("1girl")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in raw.rglob("*") if path.is_file()}
    intake = add([raw], images, source="my scans", rights="CC0")
    assert tree(images) == ["raw/a.png", "raw/a.txt", "raw/deep/b.PNG", "raw/deep/b.caption"]
    assert (images / "raw" / "a.txt").read_text() == "[trigger], smile"
    assert intake.notes == 2
    assert of(intake)["raw/a.png"] == Origin(
        path="raw/a.png", sha256=sha256_of(raw / "a.png"), source="my scans", rights="CC0"
    )
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in raw.rglob("*") if path.is_file()} == before


def test_a_single_picture_keeps_its_name_and_its_caption(tmp_path: Path, images: Path):
    draw(tmp_path / "012.png")
    (tmp_path / "012.txt").write_text("smile")
    (tmp_path / "013.txt").write_text("of another picture")
    add([tmp_path / "012.png"], images)
    assert tree(images) == ["012.png", "012.txt"]


def test_kohya_folders_keep_their_names_and_say_their_repeats(tmp_path: Path, images: Path):
    draw(tmp_path / "set" / "10_mira 1girl" / "a.png", 1)
    draw(tmp_path / "set" / "3_face" / "b.png", 2)
    draw(tmp_path / "set" / "2024_summer" / "c.png", 3)
    draw(tmp_path / "set" / "01_first" / "d.png", 4)
    draw(tmp_path / "5_alone" / "e.png", 5)
    intake = add([tmp_path / "set", tmp_path / "5_alone"], images)
    assert {path: origin.repeats for path, origin in of(intake).items()} == {
        "set/10_mira 1girl/a.png": 10,
        "set/3_face/b.png": 3,
        "set/2024_summer/c.png": 1,
        "set/01_first/d.png": 1,
        "5_alone/e.png": 5,
    }


def test_a_name_that_is_taken_gets_a_number_and_its_notes_go_with_it(tmp_path: Path, images: Path):
    draw(images / "raw" / "a.png", 9)
    (images / "raw" / "a.txt").write_text("a person's own")
    draw(tmp_path / "raw" / "a.png", 1)
    (tmp_path / "raw" / "a.txt").write_text("new")
    add([tmp_path / "raw"], images)
    assert tree(images) == ["raw/a-2.png", "raw/a-2.txt", "raw/a.png", "raw/a.txt"]
    assert (images / "raw" / "a.txt").read_text() == "a person's own"
    assert open_pixels(images / "raw" / "a.png")[0, 0, 0] == 9


def test_names_that_differ_in_capital_letters_only_are_kept_apart(tmp_path: Path, images: Path):
    draw(images / "raw" / "a.png", 9)
    draw(tmp_path / "raw" / "A.png", 1)
    add([tmp_path / "raw"], images)
    assert tree(images) == ["raw/A-2.png", "raw/a.png"]


def test_two_pictures_of_one_stem_get_a_caption_each(tmp_path: Path, images: Path):
    draw(tmp_path / "raw" / "a.png", 1)
    (tmp_path / "raw" / "a.jpg").write_bytes(b"another picture")
    (tmp_path / "raw" / "a.txt").write_text("smile")
    add([tmp_path / "raw"], images)
    assert tree(images) == ["raw/a-2.png", "raw/a-2.txt", "raw/a.jpg", "raw/a.txt"]


def test_what_is_there_already_is_not_added_twice_and_is_said(tmp_path: Path, images: Path):
    draw(images / "old.png", 1)
    draw(tmp_path / "raw" / "a.png", 1)
    draw(tmp_path / "raw" / "b.png", 2)
    draw(tmp_path / "raw" / "c.png", 2)
    intake = add([tmp_path / "raw"], images)
    assert intake.present == {"a.png": "old.png", "c.png": "raw/b.png"}
    assert tree(images) == ["old.png", "raw/b.png"]


def test_adding_again_brings_what_was_lacking_and_overwrites_nothing(tmp_path: Path, images: Path):
    draw(tmp_path / "raw" / "a.png", 1)
    draw(tmp_path / "raw" / "b.png", 2)
    first = add([tmp_path / "raw"], images, rights="CC0")
    (images / "raw" / "a.caption").write_text("a person's own")
    (tmp_path / "raw" / "a.txt").write_text("late")
    (tmp_path / "raw" / "b.txt").write_text("late")
    again = add([tmp_path / "raw"], images, recorded=first.recorded, source="scans", rights="all reserved")
    assert again.added == ()
    assert tree(images) == ["raw/a.caption", "raw/a.png", "raw/b.png", "raw/b.txt"]
    assert {(origin.source, origin.rights) for origin in again.recorded} == {("scans", "CC0")}


def test_the_record_of_a_killed_command_is_made_by_the_next(tmp_path: Path, images: Path):
    draw(tmp_path / "raw" / "10_mira" / "a.png", 1)
    add([tmp_path / "raw"], images, source="scans")
    (images / ".adding-dead").mkdir()
    (images / ".adding-dead" / "0").write_bytes(b"half")
    again = add([tmp_path / "raw"], images, recorded=(), source="scans")
    assert [(one.path, one.source, one.repeats) for one in again.recorded] == [("raw/10_mira/a.png", "scans", 10)]
    assert tree(images) == ["raw/10_mira/a.png"]


def test_what_is_no_picture_is_skipped_and_counted_with_the_reason(tmp_path: Path, images: Path):
    draw(tmp_path / "raw" / "a.png")
    for name in ("a.psd", "notes", "readme.txt", "more.zip", ".DS_Store"):
        (tmp_path / "raw" / name).write_bytes(b"x")
    (tmp_path / "raw" / "a.json").write_text("{broken")
    intake = add([tmp_path / "raw"], images)
    assert tree(images) == ["raw/a.png"]
    assert intake.skipped == {
        "no JSON, though beside a picture": ("a.json",),
        "no picture: .psd": ("a.psd",),
        "an archive in a source: unpack it, and add the folder": ("more.zip",),
        "no picture: no suffix": ("notes",),
        "a note without its picture": ("readme.txt",),
    }


def test_a_downloaders_captions_get_the_name_that_goes_with_the_picture(tmp_path: Path, images: Path):
    draw(tmp_path / "raw" / "a.png")
    (tmp_path / "raw" / "a.png.txt").write_text("smile")
    (tmp_path / "raw" / "a.png.json").write_text('{"url": "https://example.org/1"}')
    intake = add([tmp_path / "raw"], images)
    assert tree(images) == ["raw/a.png", "raw/a.png.json", "raw/a.txt"]
    assert of(intake)["raw/a.png"].source == "https://example.org/1"


def test_every_picture_is_reported(tmp_path: Path, images: Path):
    for number in range(3):
        draw(tmp_path / "raw" / f"{number}.png", number)
    told: list[Event] = []
    add([tmp_path / "raw"], images, report=told.append)
    assert [(event.stage, event.done, event.total) for event in told] == [("add", 1, 3), ("add", 2, 3), ("add", 3, 3)]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("absent", "missing"),
        ("a.rar", "not opened"),
        ("a.psd", "is no picture"),
        ("empty", "No source holds a picture"),
        ("mira", "is part of"),
        ("mira/images", "is part of"),
        (".", "or holds it"),
    ],
)
def test_a_source_that_cannot_be_added_is_told_in_words(tmp_path: Path, images: Path, source: str, words: str):
    draw(images / "old.png")
    (tmp_path / "empty").mkdir()
    for name in ("a.rar", "a.psd"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(PictureError, match=words):
        add([tmp_path / source], images)
    assert tree(images) == ["old.png"]


def test_a_device_in_a_folder_is_passed_over_and_a_link_to_a_picture_followed(tmp_path: Path, images: Path):
    draw(tmp_path / "store" / "blob.png", 1)
    (tmp_path / "raw").mkdir()
    os.mkfifo(tmp_path / "raw" / "pipe.png")
    (tmp_path / "raw" / "a.png").symlink_to(tmp_path / "store" / "blob.png")
    (tmp_path / "raw" / "b.png").symlink_to(tmp_path / "gone.png")
    add([tmp_path / "raw"], images)
    assert tree(images) == ["raw/a.png"]
    assert not (images / "raw" / "a.png").is_symlink()


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch):
    draw(tmp_path / "raw" / "a.png", 1)
    draw(tmp_path / "raw" / "b.png", 2)
    calls = iter([None, OSError(28, "No space left on device")])

    def fsync(handle: int) -> None:
        if fault := next(calls):
            raise fault

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(WorkspaceError, match="disk is full"):
        add([tmp_path / "raw"], images)
    assert list(images.iterdir()) == []


# -- zip files ---------------------------------------------------------------------------------------------------------


def test_a_zip_comes_in_under_its_name(tmp_path: Path, images: Path):
    pack = packed(
        tmp_path / "pack.zip",
        {"10_mira/a.png": png(1), "10_mira/a.txt": b"smile", "__MACOSX/._a.png": b"x", ".hidden.png": b"x"},
    )
    intake = add([pack], images)
    assert tree(images) == ["pack/10_mira/a.png", "pack/10_mira/a.txt"]
    assert of(intake)["pack/10_mira/a.png"].repeats == 10


@pytest.mark.parametrize(
    "name", ["../a.png", "x/../../a.png", "/etc/a.png", "C:/a.png", "c:a.png", "..\\a.png", "\\\\server\\a.png", ".."]
)
def test_a_zip_that_would_leave_its_folder_is_refused_and_leaves_nothing(tmp_path: Path, images: Path, name: str):
    pack = packed(tmp_path / "pack.zip", {"fine.png": png(1), name: png(2)})
    before = tree(tmp_path)
    with pytest.raises(PictureError, match="leads elsewhere"):
        add([pack], images)
    assert tree(tmp_path) == before
    assert list(images.iterdir()) == []


def test_a_link_in_a_zip_is_refused(tmp_path: Path, images: Path):
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        link = zipfile.ZipInfo("a.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(PictureError, match="a link"):
        add([tmp_path / "pack.zip"], images)


def test_an_encrypted_zip_is_refused_in_words(tmp_path: Path, images: Path):
    pack = packed(tmp_path / "pack.zip", {"a.png": png(1)})
    whole = bytearray(pack.read_bytes())
    whole[6] |= 1  # the flag of the entry itself
    whole[whole.index(b"PK\1\2") + 8] |= 1  # and in the list
    pack.write_bytes(whole)
    with pytest.raises(PictureError, match="encrypted"):
        add([pack], images)


@pytest.mark.parametrize("harm", ["cut", "no zip", "bytes changed", "unknown packing"])
def test_a_damaged_zip_is_refused_in_words_and_leaves_nothing(tmp_path: Path, images: Path, harm: str):
    pack = packed(tmp_path / "pack.zip", {"a.png": png(1), "b.png": png(2)})
    whole = bytearray(pack.read_bytes())
    if harm == "bytes changed":
        whole[60:64] = b"\0\0\0\0"
    elif harm == "unknown packing":
        whole[8] = whole[whole.index(b"PK\1\2") + 10] = 77
    pack.write_bytes({"cut": whole[:-30], "no zip": b"x" * 99}.get(harm, whole))
    with pytest.raises(PictureError, match=r"damaged entry|no zip file"):
        add([pack], images)
    assert list(images.iterdir()) == []


def test_a_bomb_is_stopped_while_it_is_read_and_leaves_nothing(tmp_path: Path, images: Path):
    pack = packed(tmp_path / "pack.zip", {"a.png": png(1), "b.png": b"\0" * 80_000_000})
    with pytest.raises(PictureError, match="100 times its size"):
        add([pack], images)
    assert list(images.iterdir()) == []


def test_a_bomb_of_several_entries_is_stopped_also_if_it_lies_about_their_sizes(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(archives, "FREE_BYTES", 3_000_000)
    pack = packed(tmp_path / "pack.zip", {f"{name}.png": b"\0" * 1_500_000 + name.encode() for name in "abc"})
    with pytest.raises(PictureError, match="100 times its size"):
        add([pack], images)
    whole = pack.read_bytes().replace(struct.pack("<I", 1_500_001), struct.pack("<I", 99))
    pack.write_bytes(whole)
    with pytest.raises(PictureError, match=r"damaged entry|times its size"):
        add([pack], images)
    assert list(images.iterdir()) == []


def test_entries_that_share_their_bytes_count_each_time(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch):
    """A bomb of many entries over one packed block: each has a harmless ratio."""
    monkeypatch.setattr(archives, "FREE_BYTES", 1_000_000)
    pack = packed(tmp_path / "pack.zip", {"a.png": numpy.random.default_rng(0).bytes(60_000)})
    whole = pack.read_bytes()
    start, end = whole.index(b"PK\1\2"), whole.index(b"PK\5\6")
    entries = whole[start:end] * 3000
    count = struct.pack("<HHIIH", 3000, 3000, len(entries), start, 0)
    pack.write_bytes(whole[:start] + entries + whole[end : end + 8] + count)
    with pytest.raises(PictureError, match=r"Overlapped|times its size"):
        add([pack], images)
    assert list(images.iterdir()) == []


def test_a_zip_with_too_many_entries_is_refused(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archives, "MAX_ENTRIES", 3)
    pack = packed(tmp_path / "pack.zip", {f"{number}.png": png(number) for number in range(4)})
    with pytest.raises(PictureError, match="4 entries"):
        add([pack], images)


def test_a_huge_list_of_entries_is_not_even_read(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        archives, "MAX_DIRECTORY", 70_000
    )  # the end of a file, which is searched for the list, has 65 kB
    pack = packed(tmp_path / "pack.zip", {f"{'n' * 200}{number}.png": b"x" for number in range(400)})
    with pytest.raises(PictureError, match="list of entries"):
        add([pack], images)


def test_odd_names_are_made_safe_and_none_is_lost(tmp_path: Path, images: Path):
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        for number, name in enumerate(["a?.png", "a*.png", "A_.png", "con.png", "b\n.png", "d ./e.png", "f\\g.png"]):
            archive.writestr(name, png(number))
    add([tmp_path / "pack.zip"], images)
    assert tree(images) == [
        *("pack/A_-3.png", "pack/_con.png", "pack/a_-2.png", "pack/a_.png", "pack/b_.png", "pack/d/e.png"),
        "pack/f/g.png",
    ]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("mira/01.png", "mira/01.png"),
        ("10_mira 1girl/[trigger].png", "10_mira 1girl/[trigger].png"),
        ("./a//b.png", "a/b.png"),
        ("été.png", "été.png"),
        ("x\udc80.png", "x_.png"),
        ("x" * 300 + ".png", "x" * 116 + ".png"),
        ("...", "_"),
        ("", "_"),
    ],
)
def test_a_name_stays_as_like_itself_as_can_be(name: str, safe: str):
    assert safe_name(name) == safe


def test_one_refused_source_keeps_all_of_them_out(tmp_path: Path, images: Path):
    draw(tmp_path / "raw" / "a.png")
    pack = packed(tmp_path / "pack.zip", {"../a.png": png(1)})
    with pytest.raises(PictureError):
        add([tmp_path / "raw", pack], images)
    assert list(images.iterdir()) == []


# -- origins -----------------------------------------------------------------------------------------------------------


def test_a_sidecar_wins_over_the_record_and_the_record_over_nothing(images: Path):
    draw(images / "a.png", 1)
    draw(images / "b.png", 2)
    (images / "a.json").write_text(json.dumps({"source": "https://example.org/a", "tags": ["x"]}))
    recorded = [Origin(path=path, source="scans", rights="CC0", repeats=2) for path in ("a.png", "b.png", "gone.png")]
    found = origins(images, recorded)
    assert [(one.path, one.source, one.rights, one.repeats) for one in found.values()] == [
        ("a.png", "https://example.org/a", "CC0", 2),
        ("b.png", "scans", "CC0", 2),
    ]


@pytest.mark.parametrize(
    ("facts", "source", "rights"),
    [
        ({"url": "https://x.org/1"}, "https://x.org/1", ""),
        ({"source": "", "file_url": "https://x.org/1.png"}, "https://x.org/1.png", ""),
        ({"license": "CC BY 4.0"}, "", "CC BY 4.0"),
        ({"licence": "mine", "author": "Ann"}, "Ann", "mine"),
        ({"category": "danbooru", "tag_string_artist": "ann", "source": "https://x.org/2"}, "ann, https://x.org/2", ""),
        ({"artist": ["ann", "bob"], "license": 4, "copyright": "some show"}, "ann, bob", ""),
        ({"author": {"name": "Ann", "id": 7}, "rights": "by\n permission\t"}, "Ann", "by permission"),
        ({"source": None, "tags": "1girl"}, "", ""),
        (["1girl", "smile"], "", ""),
    ],
)
def test_a_sidecar_is_read_under_the_keys_that_people_use(images: Path, facts: object, source: str, rights: str):
    draw(images / "a.png")
    (images / "a.json").write_text(json.dumps(facts))
    assert (origins(images)["a.png"].source, origins(images)["a.png"].rights) == (source, rights)


@pytest.mark.parametrize("text", ["{broken", "", "[" * 100_000, '{"source": "' + "x" * 1_000_001 + '"}', "\xff"])
def test_a_sidecar_that_is_no_json_is_named(images: Path, text: str):
    draw(images / "a.png")
    (images / "a.json").write_text(text, encoding="latin-1")
    with pytest.raises(WorkspaceError, match=r"a\.json"):
        origins(images)


def test_a_kohya_folder_dropped_in_by_hand_says_its_repeats(images: Path):
    draw(images / "set" / "10_mira" / "deep" / "a.png")
    draw(images / "10_" / "b.png")
    draw(images / "10_c.png")
    assert [one.repeats for one in origins(images).values()] == [1, 1, 10]


def test_a_record_follows_a_renamed_file_and_is_not_believed_of_other_bytes(images: Path):
    new, old = draw(images / "new.png", 1), draw(images / "old.png", 2)
    ids = {"new.png": sha256_of(new), "old.png": sha256_of(old)}
    recorded = [Origin(path="old.png", sha256=ids["new.png"], source="scans")]
    found = origins(images, recorded, ids=ids)
    assert (found["new.png"].source, found["old.png"].source) == ("scans", "")
    assert origins(images, recorded)["old.png"].source == "scans"  # nobody has looked


def test_hidden_pictures_have_no_origin(images: Path):
    draw(images / ".thumbnails" / "a.png")
    draw(images / "b.png")
    assert list(origins(images)) == ["b.png"]


def test_a_thousand_pictures_with_sidecars_take_well_under_half_a_second(images: Path):
    images.mkdir(parents=True)
    for number in range(1000):
        (images / f"{number}.png").write_bytes(b"never opened")
        (images / f"{number}.json").write_text(json.dumps({"source": f"https://example.org/{number}"}))
    started = time.perf_counter()
    found = origins(images, [Origin(path=f"{number}.png", rights="CC0") for number in range(1000)])
    assert time.perf_counter() - started < 0.5
    assert found["7.png"].source.endswith("/7")
