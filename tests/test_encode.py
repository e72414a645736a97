"""The cache: it holds what the model answers, is made again just where something changed, and no held-out picture."""

import json
import os
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file
from tiny import tiny_base, tiny_sd15
from tiny_data import FRONT, tiny_pictures

from likeness.cache.encode import cached_files, encode
from likeness.cache.framing import frame_of
from likeness.cache.wordings import variants
from likeness.diffusion import load_model
from likeness.diffusion.family import DiffusionModel
from likeness.errors import PictureError, WorkspaceError
from likeness.events import Event
from likeness.images import fit, open_pixels, save_png, sha256_of
from likeness.recipe import EncodeConfig
from likeness.records import Box, Caption, Picture
from likeness.training.data import load_data


class Shelf:
    """A folder of pictures with their records and captions, and the cache made of them."""

    def __init__(self, folder: Path, model: DiffusionModel) -> None:
        self.images, self.cache, self.model = folder / "images", folder / "cache", model
        self.pictures, self.captions = tiny_pictures(self.images, 3)

    def encode(self, **fields: Any) -> int:
        """How many files had to be made."""
        told: list[Event] = []
        config = EncodeConfig(**{"variants": 3, **fields})
        options = {"model": self.model, "images": self.images, "to": self.cache, "front": FRONT}
        assert encode(self.pictures, self.captions, config, **options, report=told.append) == self.cache
        self.index = json.loads((self.cache / "index.json").read_text())
        return int(told[-1].numbers["made"])

    def tensors(self, key: str) -> dict[str, torch.Tensor]:
        return load_file(self.cache / f"{key}.safetensors")

    def change(self, number: int, **fields: Any) -> None:
        self.pictures[number] = self.pictures[number].model_copy(update=fields)

    def files(self) -> set[str]:
        return {path.name for path in self.cache.iterdir()}


@pytest.fixture
def shelf(tmp_path: Path, model: DiffusionModel) -> Shelf:
    return Shelf(tmp_path, model)


def test_latents_are_the_posterior_of_the_picture_fitted_to_the_bases_size(shelf: Shelf) -> None:
    shelf.encode()
    entry = shelf.index["pictures"][1]
    kept = shelf.tensors(entry["latents"])
    pixels = torch.from_numpy(fit(open_pixels(shelf.images / "1.png"), 32, 32)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        mean, std = shelf.model.encode_posterior(pixels)
    assert (entry["path"], entry["sizes"][-2:]) == ("1.png", [32, 32])
    assert torch.equal(kept["mean"], mean[0])
    assert torch.equal(kept["std"], std[0])
    assert kept["mean"].dtype == torch.float32


def test_texts_are_what_the_text_encoder_says_to_the_prompts_in_the_index(shelf: Shelf) -> None:
    shelf.encode()
    for entry in (shelf.index["shared"], shelf.index["pictures"][0]):
        with torch.no_grad():
            told = shelf.model.encode_prompts(entry["prompts"])
        assert torch.equal(shelf.tensors(entry["texts"])["tokens"], told.tokens_BLE)
    assert shelf.index["shared"]["prompts"] == ["", "mira, fox", "fox"]
    assert shelf.index["shared"]["variants"] == [[0, 0], [1, 2]]


def test_each_wording_has_a_twin_that_differs_by_the_trigger_alone(shelf: Shelf) -> None:
    shelf.encode(variants=4)
    for entry in shelf.index["pictures"]:
        assert len(entry["variants"]) == 4
        for told, bare in entry["variants"]:
            assert entry["prompts"][told] == "mira, " + entry["prompts"][bare]


def test_a_second_time_nothing_is_made_and_the_index_is_the_same_bytes(shelf: Shelf) -> None:
    assert shelf.encode() == 7  # latents and texts of three pictures, and what they share
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in shelf.cache.glob("*.safetensors")}
    index = (shelf.cache / "index.json").read_bytes()
    assert shelf.encode() == 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before} == before
    assert (shelf.cache / "index.json").read_bytes() == index


def test_an_edited_picture_is_encoded_again_and_nothing_else(shelf: Shelf) -> None:
    shelf.encode()
    before, keys = shelf.files(), [entry["latents"] for entry in shelf.index["pictures"]]
    save_png(shelf.images / "1.png", numpy.zeros((36, 40, 3), numpy.uint8))
    edited = sha256_of(shelf.images / "1.png")
    shelf.change(1, id=edited)
    shelf.captions[1] = shelf.captions[1].model_copy(update={"picture": edited})
    shelf.encode(shuffle=False, tag_dropout=0)  # so that wordings do not hang on the picture's id
    after = [entry["latents"] for entry in shelf.index["pictures"]]
    assert [old == new for old, new in zip(keys, after, strict=True)] == [True, False, True]
    assert f"{after[1]}.safetensors" not in before


def test_an_edited_caption_is_encoded_again_and_nothing_else(shelf: Shelf) -> None:
    shelf.encode()
    before = shelf.files()
    shelf.captions[2] = shelf.captions[2].model_copy(update={"tags": (*FRONT, "frown")})
    assert shelf.encode() == 1
    assert len(shelf.files() - before) == 1


@pytest.mark.parametrize("fields", [{"size": 16}, {"size": 64}])
def test_another_size_is_other_latents_and_the_same_texts(shelf: Shelf, fields: dict[str, Any]) -> None:
    shelf.encode()
    assert shelf.encode(**fields) == 3


def test_a_crop_is_all_that_is_encoded_and_has_a_key_of_its_own(shelf: Shelf) -> None:
    shelf.encode()
    shelf.change(0, crop=Box(left=4, top=2, right=34, bottom=32))
    assert shelf.encode() == 1
    cut = fit(open_pixels(shelf.images / "0.png")[2:32, 4:34], 32, 32)
    with torch.no_grad():
        mean, _ = shelf.model.encode_posterior(torch.from_numpy(cut).permute(2, 0, 1)[None] / 127.5 - 1)
    assert torch.equal(shelf.tensors(shelf.index["pictures"][0]["latents"])["mean"], mean[0])


def test_a_crop_that_is_outside_is_an_error_in_words(shelf: Shelf) -> None:
    shelf.change(0, crop=Box(left=44, top=2, right=50, bottom=32))
    with pytest.raises(PictureError, match=r"The crop of .*0\.png.*leaves nothing of the picture, which is 40 x 36 px"):
        shelf.encode()


def test_another_base_has_other_keys(shelf: Shelf, tmp_path: Path) -> None:
    shelf.encode()
    before = shelf.files()
    shelf.model = load_model(tiny_sd15(tmp_path / "other", seed=1), device="cpu", dtype="float32")
    shelf.encode()
    assert len(shelf.files() - before) == 7


def test_the_files_of_a_cache_are_those_that_its_index_names(shelf: Shelf) -> None:
    shelf.encode()
    files = cached_files(shelf.cache)
    assert {path.name for path in files} == shelf.files()
    assert files[-1].name == "index.json"
    shelf.captions[2] = shelf.captions[2].model_copy(update={"tags": (*FRONT, "frown")})
    shelf.encode()
    assert len(cached_files(shelf.cache)) == len(shelf.files()) - 1 == len(files), "not what is left from earlier"


def test_a_file_that_is_cut_short_is_made_again(shelf: Shelf) -> None:
    shelf.encode()
    path = shelf.cache / f"{shelf.index['pictures'][1]['latents']}.safetensors"
    whole = path.read_bytes()
    os.truncate(path, len(whole) - 7)
    assert shelf.encode() == 1
    assert path.read_bytes() == whole


def test_held_out_and_rejected_pictures_are_never_encoded(shelf: Shelf) -> None:
    shelf.change(0, use="held-out")
    shelf.change(1, use="rejected", reason="blurred")
    shelf.encode()
    assert [entry["path"] for entry in shelf.index["pictures"]] == ["2.png"]
    assert len(shelf.files()) == 4  # latents, texts, shared texts, index
    shelf.change(2, use="held-out")
    with pytest.raises(
        PictureError, match=r"None of 3 pictures is for training\. The first was rejected: 1\.png, blur"
    ):
        shelf.encode()


def test_a_picture_without_a_caption_is_an_error_that_names_it(shelf: Shelf) -> None:
    del shelf.captions[1]
    with pytest.raises(WorkspaceError, match=r"1 of 3 pictures have no caption; the first is 1\.png"):
        shelf.encode()


def test_a_file_that_is_not_the_one_of_its_record_is_refused(shelf: Shelf) -> None:
    save_png(shelf.images / "1.png", numpy.zeros((36, 40, 3), numpy.uint8))
    with pytest.raises(PictureError, match=r"1\.png is not the picture that its record is about"):
        shelf.encode()


def test_a_caption_too_long_for_one_window_makes_all_rows_as_long(shelf: Shelf) -> None:
    long = (*FRONT, *(f"word{number}" for number in range(30)))
    shelf.captions[0] = shelf.captions[0].model_copy(update={"tags": long})
    shelf.encode()
    lengths = {
        shelf.tensors(entry["texts"])["tokens"].shape[1] for entry in (shelf.index["shared"], *shelf.index["pictures"])
    }
    (length,) = lengths
    assert length > 77
    assert length % 77 == 0


def test_each_picture_is_kept_with_its_sizes(shelf: Shelf) -> None:
    """Height and width before resizing, what the square cuts off at top and left, height and width of the square."""
    shelf.change(0, crop=Box(left=-4, top=2, right=30, bottom=32))
    shelf.encode()
    cropped, whole, _ = (entry["sizes"] for entry in shelf.index["pictures"])
    assert cropped == [30, 30, 0, 0, 32, 32]
    assert whole == [36, 40, 0, 2, 32, 32]  # 40 x 36 px at 32/36: 35.6 px wide, of which 1.8 go at each side


@pytest.mark.parametrize(
    ("width", "height", "sizes"),
    [
        (1536, 1024, (1024, 1536, 0, 256, 1024, 1024)),
        (512, 2048, (2048, 512, 1536, 0, 1024, 1024)),
        (64, 64, (64, 64, 0, 0, 1024, 1024)),
    ],
)
def test_what_a_square_cuts_off_is_told_in_its_own_pixels(width: int, height: int, sizes: tuple[int, ...]) -> None:
    picture = Picture(id="0" * 64, path="a.png", width=width, height=height, use="train", decided_by="person")
    assert frame_of(picture, [(1024, 1024)]).sizes == sizes


def test_the_vector_of_a_whole_prompt_goes_through_the_cache(tmp_path: Path) -> None:
    model = load_model(tiny_base(tmp_path / "sdxl", "sdxl"), device="cpu", dtype="float32")
    shelf = Shelf(tmp_path, model)
    shelf.captions[0] = shelf.captions[0].model_copy(update={"tags": (*FRONT, *(f"word{n}" for n in range(30)))})
    assert shelf.encode() == 7
    assert shelf.encode() == 0
    entry = shelf.index["pictures"][1]
    with torch.no_grad():
        told = model.encode_prompts(entry["prompts"], chunks=model.count_chunks(", ".join(shelf.captions[0].tags)))
        apart = model.encode_prompts(["a fox, not mira"])
    kept = shelf.tensors(entry["texts"])
    assert told.pooled_BE is not None
    assert apart.pooled_BE is not None
    assert torch.equal(kept["tokens"], told.tokens_BLE)
    assert torch.equal(kept["pooled"], told.pooled_BE)
    data = load_data(shelf.cache, model, others=["a fox, not mira"])
    row = int(data.texts.told_PV[1, 0])
    told_there, bare, other = (
        data.texts.conditioning[[at]].pooled_BE for at in (row, int(data.texts.bare_PV[1, 0]), -1)
    )
    assert told_there is not None
    assert bare is not None
    assert other is not None
    assert torch.equal(told_there[0], told.pooled_BE[entry["variants"][0][0]])
    assert torch.equal(bare[0], told.pooled_BE[entry["variants"][0][1]])
    torch.testing.assert_close(other, apart.pooled_BE)
    assert data.buckets[0].sizes_M6.tolist() == [one["sizes"] for one in shelf.index["pictures"]]


# -- wordings ----------------------------------------------------------------------------------------------------------

TAGS = tuple(f"tag{number}" for number in range(12))
CAPTION = Caption(picture="0" * 64, tags=(*FRONT, *TAGS), text="", written_by="person")


def test_the_first_wording_is_the_caption_and_the_others_are_shuffled_and_thinned() -> None:
    first, *others = variants(CAPTION, EncodeConfig(variants=20, tag_dropout=0.25), FRONT)
    assert first.text == ", ".join(CAPTION.tags)
    kept = [told.text.split(", ") for told in others]
    assert all(tags[:2] == ["mira", "fox"] for tags in kept)
    assert all(set(tags) <= set(CAPTION.tags) and tags[2:] != sorted(tags[2:], key=TAGS.index) for tags in kept)
    assert 0.65 < sum(len(tags) - 2 for tags in kept) / (len(kept) * len(TAGS)) < 0.85


def test_the_trigger_is_shuffled_too_where_asked_but_never_left_out() -> None:
    config = EncodeConfig(variants=20, tag_dropout=0.5, trigger_first=False)
    texts = [told.text.split(", ") for told in variants(CAPTION, config, FRONT)[1:]]
    assert all({"mira", "fox"} <= set(tags) for tags in texts)
    assert sum(tags[0] == "mira" for tags in texts) < 10
    assert all("mira" not in told.without_trigger for told in variants(CAPTION, config, FRONT))


def test_without_shuffling_tags_keep_their_order() -> None:
    for told in variants(CAPTION, EncodeConfig(variants=8, tag_dropout=0.3, shuffle=False), FRONT):
        tags = told.text.split(", ")
        assert tags == sorted(tags, key=CAPTION.tags.index)


def test_wordings_are_the_same_every_time_and_each_once() -> None:
    config = EncodeConfig(variants=6)
    assert variants(CAPTION, config, FRONT) == variants(CAPTION, config, FRONT)
    short = Caption(picture="0" * 64, tags=("smile",), text="", written_by="person")
    assert [told.text for told in variants(short, EncodeConfig(variants=6, tag_dropout=0), FRONT)] == [
        "mira, fox, smile"
    ]


def test_of_tags_and_a_sentence_training_sees_each_in_turn() -> None:
    told = "mira, a fox, is shown sitting."
    both = CAPTION.model_copy(update={"sentence": told})
    seen = variants(both, EncodeConfig(variants=6, tag_dropout=0.3), FRONT)
    assert [wording.text == told for wording in seen] == [False, True] * 3
    assert seen[1].without_trigger == "a fox, is shown sitting."
    assert len(variants(both, EncodeConfig(variants=1), FRONT)) == 2


def test_a_caption_of_sentences_alone_is_never_shuffled_or_thinned() -> None:
    prose = "A photo of mira, who sits in a mirador."
    alone = CAPTION.model_copy(update={"text": prose, "sentence": prose})
    seen = variants(alone, EncodeConfig(variants=8, tag_dropout=0.5), FRONT)
    assert [wording.text for wording in seen] == [prose]
    assert seen[0].without_trigger == "A photo of fox, who sits in a mirador."
