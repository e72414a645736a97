"""Export: what other trainers get is what was chosen, as a viewer shows it, and never what is held out."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import ExifTags, Image, ImageCms

from likeness.dataset.export import RECORD, Plan, export
from likeness.errors import PictureError, WorkspaceError
from likeness.events import Event
from likeness.images import Pixels, cropped, open_pixels, save_png, sha256_of
from likeness.records import Box, Caption, Picture

FRONT = ("mira", "1girl")
PLAN = Plan(FRONT, 512, "")

# What `library/config_util.py` of sd-scripts allows where, as of 2025; another key makes it stop.
SUBSET = {
    "color_aug",
    "face_crop_aug_range",
    "flip_aug",
    "num_repeats",
    "random_crop",
    "shuffle_caption",
    "keep_tokens",
}
SUBSET |= {"keep_tokens_separator", "secondary_separator", "enable_wildcard", "caption_prefix", "caption_suffix"}
SUBSET |= {"caption_extension", "class_tokens", "cache_info"}
DATASET = {"batch_size", "bucket_no_upscale", "bucket_reso_steps", "enable_bucket", "max_bucket_reso"}
DATASET |= {"min_bucket_reso", "resolution"}


def noise(seed: int) -> Pixels:
    return numpy.random.default_rng(seed).integers(0, 256, (36, 40, 3), numpy.uint8)


def record(images: Path, path: str, **fields: Any) -> Picture:
    told = {"width": 40, "height": 36, "use": "train", "decided_by": "curate", **fields}
    return Picture(id=sha256_of(images / path), path=path, **told)


def drawn(images: Path, path: str, seed: int, **fields: Any) -> Picture:
    (images / path).parent.mkdir(parents=True, exist_ok=True)
    save_png(images / path, noise(seed))
    return record(images, path, **fields)


def captioned(pictures: Sequence[Picture]) -> list[Caption]:
    tags = (*FRONT, "smile", "blue hair")
    return [Caption(picture=one.id, tags=tags, text=", ".join(tags), written_by="reader") for one in pictures]


def exported(tmp_path: Path, pictures: Sequence[Picture], plan: Plan = PLAN, **options: Any) -> Path:
    to = tmp_path / "out"
    export(pictures, captioned(pictures), plan, images=tmp_path / "images", to=to, **options)
    return to


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


# -- what is in it -----------------------------------------------------------------------------------------------------


def test_an_export_holds_pictures_captions_toml_and_record(tmp_path: Path, images: Path):
    one = drawn(images, "raw/a.png", 1, source="https://example.org/a", rights="CC0", made_by="ComfyUI")
    to = exported(tmp_path, [one, drawn(images, "raw_a.png", 2, repeats=5)])
    assert tree(to) == [
        "dataset.toml",
        "img/1_mira 1girl/raw_a.png",
        "img/1_mira 1girl/raw_a.txt",
        "img/5_mira 1girl/raw_a-2.png",
        "img/5_mira 1girl/raw_a-2.txt",
        "likeness.json",
    ]
    assert (to / "img/1_mira 1girl/raw_a.txt").read_text() == "mira, 1girl, smile, blue hair\n"
    assert (to / "img/1_mira 1girl/raw_a.png").read_bytes() == (images / "raw/a.png").read_bytes()
    (told, _) = json.loads((to / RECORD).read_text())["pictures"]
    assert told == {
        "file": "img/1_mira 1girl/raw_a.png",
        **{"id": one.id, "path": "raw/a.png", "source": "https://example.org/a", "rights": "CC0", "made_by": "ComfyUI"},
        **{"repeats": 1, "crop": None, "caption": "mira, 1girl, smile, blue hair"},
    }


def test_the_toml_says_only_what_sd_scripts_allows(tmp_path: Path, images: Path):
    to = exported(tmp_path, [drawn(images, "a.png", 1), drawn(images, "b.png", 2, repeats=5)])
    said = tomllib.loads((to / "dataset.toml").read_text())
    (dataset,) = said["datasets"]
    assert said.keys() == {"general", "datasets"}
    assert said["general"].keys() <= SUBSET | DATASET
    assert dataset.keys() <= SUBSET | DATASET | {"subsets"}
    assert all(subset.keys() <= SUBSET | {"image_dir", "is_reg"} for subset in dataset["subsets"])
    assert said["general"] == {"caption_extension": ".txt", "shuffle_caption": True, "keep_tokens": 2, "flip_aug": True}
    assert dataset["resolution"] == 512
    assert dataset["min_bucket_reso"] <= 512 <= dataset["max_bucket_reso"]
    assert [subset["num_repeats"] for subset in dataset["subsets"]] == [1, 5]
    assert [subset["class_tokens"] for subset in dataset["subsets"]] == ["mira 1girl"] * 2
    for subset in dataset["subsets"]:
        assert len(list(Path(subset["image_dir"]).glob("*.png"))) == 1


@pytest.mark.parametrize("size", [64, 256, 512, 768, 1000, 1024])
def test_buckets_are_such_as_sd_scripts_takes(tmp_path: Path, images: Path, size: int):
    to = exported(tmp_path, [drawn(images, "a.png", 1)], Plan(FRONT, size))
    dataset = tomllib.loads((to / "dataset.toml").read_text())["datasets"][0]
    if size < 256:
        assert "enable_bucket" not in dataset
    else:
        assert dataset["min_bucket_reso"] % 64 == dataset["max_bucket_reso"] % 64 == 0
        assert 256 <= dataset["min_bucket_reso"] <= size <= dataset["max_bucket_reso"]


@pytest.mark.parametrize(
    ("no_mirror", "flips", "comment"),
    [
        ("", True, "nothing that was seen"),
        (
            "a scar on the left cheek.\nIn a mirrored picture it is on the other side",
            False,
            "# a scar on the left cheek. In",
        ),
        (None, False, "nobody has looked"),
    ],
)
def test_pictures_are_mirrored_only_where_the_plan_allows_it_and_the_reason_is_given(
    tmp_path: Path, images: Path, no_mirror: str | None, flips: bool, comment: str
):
    to = exported(tmp_path, [drawn(images, "a.png", 1)], Plan(FRONT, 512, no_mirror))
    text = (to / "dataset.toml").read_text()
    assert tomllib.loads(text)["general"]["flip_aug"] is flips
    assert comment in text


def test_sentences_are_not_shuffled_and_a_caption_is_one_line(tmp_path: Path, images: Path):
    picture = drawn(images, "a.png", 1)
    caption = Caption(picture=picture.id, tags=FRONT, text="mira, a girl,\nsmiles.", written_by="person")
    export([picture], [caption], PLAN, images=images, to=tmp_path / "out")
    general = tomllib.loads((tmp_path / "out" / "dataset.toml").read_text())["general"]
    assert general["shuffle_caption"] is False
    assert (tmp_path / "out/img/1_mira 1girl/a.txt").read_text() == "mira, a girl, smiles.\n"


def test_a_name_that_no_folder_can_have_is_made_safe(tmp_path: Path, images: Path):
    to = exported(tmp_path, [drawn(images, "a.png", 1)], Plan(("mi/ra", "a: girl?"), 512))
    (subset,) = tomllib.loads((to / "dataset.toml").read_text())["datasets"][0]["subsets"]
    assert Path(subset["image_dir"]) == to / "img" / "1_mi ra a_ girl_"
    assert Path(subset["image_dir"]).is_dir()
    assert subset["class_tokens"] == "mi/ra a: girl?"


# -- pictures as a viewer shows them -----------------------------------------------------------------------------------


def test_a_crop_is_what_is_exported(tmp_path: Path, images: Path):
    picture = drawn(images, "a.png", 1, crop=Box(left=4, top=2, right=30, bottom=20))
    to = exported(tmp_path, [picture])
    assert numpy.array_equal(open_pixels(to / "img/1_mira 1girl/a.png"), cropped(images / "a.png", picture.crop))


@pytest.mark.parametrize("kind", ["turned", "transparent", "profile", "16 bit", "gif", "avif", "capital suffix"])
def test_what_sd_scripts_would_see_otherwise_is_redrawn(tmp_path: Path, images: Path, kind: str):
    image, options = Image.fromarray(noise(1)), {}
    suffix = {"gif": ".gif", "avif": ".avif", "turned": ".jpg", "capital suffix": ".Png"}.get(kind, ".png")
    if kind == "turned":
        options["exif"] = Image.Exif()
        options["exif"][ExifTags.Base.Orientation] = 6
    elif kind == "transparent":
        image.putalpha(Image.fromarray(noise(2)[..., 0]))
    elif kind == "profile":
        options["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    elif kind == "16 bit":
        image = Image.fromarray(noise(1)[..., 0].astype(numpy.uint16) * 256)
    image.save(images / f"a{suffix}", **options)
    to = exported(tmp_path, [record(images, f"a{suffix}")])
    (file,) = [name for name in tree(to) if name.startswith("img/") and not name.endswith(".txt")]
    assert file == "img/1_mira 1girl/a.png"
    with Image.open(to / file) as seen:
        assert numpy.array_equal(numpy.asarray(seen.convert("RGB")), open_pixels(images / f"a{suffix}"))


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp"])
def test_what_sd_scripts_sees_rightly_is_copied_byte_for_byte(tmp_path: Path, images: Path, suffix: str):
    Image.fromarray(noise(1)).save(images / f"a{suffix}")
    to = exported(tmp_path, [record(images, f"a{suffix}")])
    assert (to / f"img/1_mira 1girl/a{suffix}").read_bytes() == (images / f"a{suffix}").read_bytes()


# -- what is never in it -----------------------------------------------------------------------------------------------


def test_only_pictures_to_train_on_are_exported(tmp_path: Path, images: Path):
    pictures = [
        drawn(images, f"{use}.png", seed, use=use) for seed, use in enumerate(("train", "held-out", "rejected"))
    ]
    to = exported(tmp_path, pictures)
    assert [name for name in tree(to) if name.endswith(".png")] == ["img/1_mira 1girl/train.png"]
    assert "held-out.png" not in (to / RECORD).read_text()


@pytest.mark.parametrize("trick", ["same bytes", "same group", "sealed", "swapped file"])
def test_a_held_out_picture_gets_out_under_no_other_name(tmp_path: Path, images: Path, trick: str):
    held = drawn(images, "held.png", 1, use="held-out", group="held.png")
    other, sealed = drawn(images, "other.png", 2), [held.id]
    if trick == "same bytes":
        other, sealed = drawn(images, "other.png", 1), []
    elif trick == "same group":
        other, sealed = drawn(images, "other.png", 2, group="held.png"), []
    elif trick == "sealed":
        held = held.model_copy(update={"use": "train"})
    else:
        (images / "other.png").write_bytes((images / "held.png").read_bytes())
    with pytest.raises(PictureError, match=r"held out|not what was curated"):
        exported(tmp_path, [held, other], sealed=sealed)
    assert not (tmp_path / "out").exists()


def test_where_nothing_is_chosen_or_captioned_it_is_told_what_to_do(tmp_path: Path, images: Path):
    picture = drawn(images, "a.png", 1)
    with pytest.raises(PictureError, match="likeness curate"):
        exported(tmp_path, [picture.model_copy(update={"use": "rejected"})])
    with pytest.raises(WorkspaceError, match=r"a\.png is without a caption.*likeness caption"):
        export([picture], [], PLAN, images=images, to=tmp_path / "out")


# -- the folder --------------------------------------------------------------------------------------------------------


def test_a_folder_with_other_files_is_not_touched(tmp_path: Path, images: Path):
    picture = drawn(images, "a.png", 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkspaceError, match=r"thesis\.txt"):
        exported(tmp_path, [picture])
    assert tree(tmp_path / "out") == ["thesis.txt"]


def test_an_earlier_export_is_replaced_as_long_as_nobody_changed_it(tmp_path: Path, images: Path):
    pictures = [drawn(images, "a.png", 1), drawn(images, "b.png", 2)]
    exported(tmp_path, pictures)
    to = exported(tmp_path, pictures[:1])
    assert [name for name in tree(to) if name.endswith(".png")] == ["img/1_mira 1girl/a.png"]
    (to / "img/1_mira 1girl/a.txt").write_text("a person's own words")
    with pytest.raises(WorkspaceError, match=r"a\.txt"):
        exported(tmp_path, pictures)
    assert (to / "img/1_mira 1girl/a.txt").read_text() == "a person's own words"


def test_it_never_lies_among_the_originals(tmp_path: Path, images: Path):
    picture = drawn(images, "a.png", 1)
    for to in (images, images / "out", tmp_path / "images" / ".." / "images" / "out"):
        with pytest.raises(WorkspaceError, match="own pictures"):
            export([picture], captioned([picture]), PLAN, images=images, to=to)
    assert tree(images) == ["a.png"]


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch):
    pictures = [drawn(images, "a.png", 1), drawn(images, "b.png", 2)]
    (images / "b.png").write_bytes(b"broken")
    pictures[1] = record(images, "b.png")
    with pytest.raises(PictureError, match=r"b\.png"):
        exported(tmp_path, pictures)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_every_picture_is_reported(tmp_path: Path, images: Path):
    told: list[Event] = []
    exported(tmp_path, [drawn(images, "a.png", 1), drawn(images, "b.png", 2)], report=told.append)
    assert [(event.stage, event.done, event.total) for event in told] == [("export", 1, 2), ("export", 2, 2)]
