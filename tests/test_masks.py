"""Masks, mirror images and class pictures: from files and readings, through the cache, into a batch and its loss."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file
from tiny_data import FRONT, NOTES, tiny_pictures

from likeness.cache.encode import encode
from likeness.diffusion.family import DiffusionModel
from likeness.errors import Interrupted, PictureError, RecipeError
from likeness.events import Event, silent
from likeness.images import fit, open_pixels, save_png, sha256_of
from likeness.recipe import EncodeConfig, TrainConfig
from likeness.records import Box, PictureLoss, Reading, read_records
from likeness.training.batches import Batch, draw
from likeness.training.buckets import planned
from likeness.training.data import DataSet, load_data, refuse_held_out
from likeness.training.noise import Noising
from likeness.training.objective import denoising_loss
from likeness.training.train import train


class Desk:
    """A folder with five pictures of 40 x 36 px, and what is made of it."""

    def __init__(self, folder: Path, model: DiffusionModel) -> None:
        self.folder, self.model, self.images = folder, model, folder / "images"
        self.pictures, self.captions = tiny_pictures(self.images)
        for name in ("masks", "class"):
            (folder / name).mkdir()

    def encode(self, **fields: Any) -> list[dict[str, Any]]:
        """The pictures' entries in the index, those of the class last."""
        options = {"model": self.model, "images": self.images, "to": self.folder / "cache", "front": FRONT}
        encode(self.pictures, self.captions, EncodeConfig(**{"variants": 2, **fields}), **options)
        index = json.loads((self.folder / "cache" / "index.json").read_text())
        return [*index["pictures"], *index["class"]]

    def data(self, **fields: Any) -> DataSet:
        return load_data(self.folder / "cache", self.model, **fields)

    def tensors(self, key: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / "cache" / f"{key}.safetensors")

    def see(self, number: int, **seen: Any) -> None:
        reading = Reading(instrument="test", instrument_sha256="0" * 64, **seen)
        self.pictures[number] = self.pictures[number].model_copy(update={"reading": reading})

    def batch(self, data: DataSet, number: int = 0, **train: Any) -> Batch:
        noising = Noising.of(self.model.schedule, TrainConfig(**train))
        turns = planned(data.buckets, number + 1, class_share=0.5)
        return draw(data, noising, 4, seed=0, number=number, turn=turns[number])


@pytest.fixture
def desk(tmp_path: Path, model: DiffusionModel) -> Desk:
    return Desk(tmp_path, model)


def test_a_drawn_mask_is_what_counts_at_each_latent(desk: Desk) -> None:
    whole = numpy.zeros((36, 40, 3), numpy.uint8)
    whole[:, :20] = 255
    save_png(desk.folder / "masks" / "0.png", whole)
    entries = desk.encode(masks="files")
    assert ["mask" in entry for entry in entries] == [True, False, False, False, False]
    mask_hw = desk.tensors(entries[0]["mask"])["mask"]
    assert mask_hw.shape == (8, 8)
    assert mask_hw[:, :4].tolist() == [[1.0] * 4] * 8
    assert mask_hw[:, 4:].tolist() == [[0.0] * 4] * 8
    (bucket,) = desk.data().buckets
    assert bucket.mask_M1hw is not None
    assert bucket.mask_M1hw[1:].min() == 1  # where nobody drew one, all counts


def test_a_mask_of_another_size_or_of_nothing_is_refused(desk: Desk) -> None:
    save_png(desk.folder / "masks" / "2.png", numpy.zeros((36, 36, 3), numpy.uint8))
    with pytest.raises(PictureError, match=r"36 x 36 px, and its picture 2\.png is 40 x 36 px"):
        desk.encode(masks="files")
    save_png(desk.folder / "masks" / "2.png", numpy.zeros((36, 40, 3), numpy.uint8))
    with pytest.raises(PictureError, match=r"mask of 2\.png leaves nothing"):
        desk.encode(masks="files")


@pytest.mark.parametrize("source", ["subject", "face"])
def test_what_the_reader_saw_is_a_mask(desk: Desk, source: str) -> None:
    desk.see(3, **{source: Box(left=20, top=0, right=40, bottom=36)})
    entries = desk.encode(masks=source)
    assert [number for number, entry in enumerate(entries) if "mask" in entry] == [3]
    mask_hw = desk.tensors(entries[3]["mask"])["mask"]
    assert mask_hw[:, 4:].min() == 1
    assert mask_hw[:, :3].max() == 0


def test_outside_of_a_mask_counts_as_the_recipe_says_and_area_does_not(desk: Desk) -> None:
    for number in range(5):
        desk.see(number, face=Box(left=16, top=0, right=24, bottom=8 + 4 * number))
    desk.encode(masks="face")
    map_B1hw = desk.batch(desk.data(), outside=0.25).map_B1hw
    assert map_B1hw is not None
    assert (map_B1hw.min().item(), map_B1hw.max().item()) == (0.25, 1.0)
    error_BDhw = torch.ones(4, 4, 8, 8)
    losses_B = denoising_loss(error_BDhw, torch.zeros_like(error_BDhw), torch.ones(4), map_B1hw=map_B1hw)
    assert torch.allclose(losses_B, torch.ones(4))


def test_mirror_images_are_of_the_mirrored_pixels_and_come_half_the_time(desk: Desk) -> None:
    entries = desk.encode(mirror=True)
    pixels = fit(open_pixels(desk.images / "1.png"), 32, 32)[:, ::-1].copy()
    with torch.no_grad():
        mean_1Dhw, _ = desk.model.encode_posterior(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1)
    assert torch.equal(desk.tensors(entries[1]["mirrored"])["mean"], mean_1Dhw[0])
    data = desk.data()
    (bucket,) = data.buckets
    assert bucket.twin_P.tolist() == [5, 6, 7, 8, 9]
    sharp = replace(data, buckets=(replace(bucket, std_MDhw=torch.zeros_like(bucket.std_MDhw)),))
    drawn = [clean for number in range(50) for clean in desk.batch(sharp, number).clean_BDhw]
    twins = sum(any(torch.equal(clean, mean) for mean in bucket.mean_MDhw[5:]) for clean in drawn)
    assert 70 <= twins <= 130  # of 200


def test_a_caption_that_names_a_side_is_never_learnt_from_a_mirror_image(desk: Desk) -> None:
    tags = (*FRONT, "looking left")
    desk.captions[2] = desk.captions[2].model_copy(update={"tags": tags, "text": ", ".join(tags)})
    assert ["mirrored" in entry for entry in desk.encode(mirror=True)] == [True, True, False, True, True]
    assert desk.data().buckets[0].twin_P.tolist() == [5, 6, 2, 7, 8]


@pytest.mark.parametrize(
    ("traits", "said"),
    [
        ({"mark": "left scar"}, "mark: left scar"),
        ({"mark": "Left scar"}, "mark: left scar"),
        ({"left_eye": "blue", "right_eye": "green"}, "left_eye: blue; right_eye: green"),
        ({"eyes": "heterochromia"}, "eyes: heterochromia"),
        ({"left_arm": "tattoo"}, "left_arm: tattoo"),
    ],
)
def test_a_character_with_sides_is_not_mirrored(desk: Desk, traits: dict[str, str], said: str) -> None:
    desk.see(0, traits=traits)
    with pytest.raises(RecipeError, match=said):
        desk.encode(mirror=True)
    desk.see(0, traits={"left_eye": "blue", "right_eye": "blue", "mark": "freckles"})
    assert "mirrored" in desk.encode(mirror=True)[0]


def test_views_are_balanced_by_repeats_where_asked(desk: Desk) -> None:
    for number in range(5):
        desk.see(number, view="back" if number == 4 else "front")
    desk.encode()
    assert desk.data(is_balanced=True).buckets[0].deck_N.tolist() == [0, 1, 2, 3, 4, 4, 4]
    assert desk.data().buckets[0].deck_N.tolist() == [0, 1, 2, 3, 4]


def wide(desk: Desk, number: int) -> None:
    """Picture `number` is twice as wide as it is high."""
    path = desk.images / f"{number}.png"
    save_png(path, numpy.random.default_rng(9).integers(0, 256, (40, 80, 3), numpy.uint8))
    old = desk.pictures[number]
    desk.pictures[number] = old.model_copy(update={"id": sha256_of(path), "width": 80, "height": 40})
    desk.captions[number] = desk.captions[number].model_copy(update={"picture": sha256_of(path)})


def test_pictures_of_other_shapes_are_in_buckets_of_their_own(desk: Desk) -> None:
    wide(desk, 1)
    desk.encode(size=64)
    data = desk.data()
    assert [bucket.pictures_P.tolist() for bucket in data.buckets] == [[0, 2, 3, 4], [1]]
    assert [tuple(bucket.mean_MDhw.shape[-2:]) for bucket in data.buckets] == [(16, 16), (12, 20)]
    desk.encode(size=64, shape="square")
    assert len(desk.data().buckets) == 1


def add_class_pictures(desk: Desk) -> None:
    folder = desk.folder / "class"
    for number in range(3):
        save_png(folder / f"{number}.png", numpy.random.default_rng(50 + number).integers(0, 256, (36, 40, 3), "uint8"))
    (folder / "1.txt").write_text("fox, sitting\n")


def test_class_pictures_are_told_by_their_text_or_the_class_and_never_by_the_trigger(desk: Desk) -> None:
    add_class_pictures(desk)
    entries = desk.encode(class_pictures=3, caption_dropout=0.5)
    assert [entry["prompts"] for entry in entries[5:]] == [["fox"], ["fox, sitting"], ["fox"]]
    data = desk.data()
    assert (len(data), data.paths[5:]) == (5, ("class/0.png", "class/1.png", "class/2.png"))
    told = [data.texts.prompts[row] for number in range(1, 40, 2) for row in desk.batch(data, number).told_B.tolist()]
    assert {*told} == {"", "fox", "fox, sitting"}
    assert all(desk.batch(data, number).is_class == bool(number % 2) for number in range(6))


def test_class_pictures_need_a_class_and_are_refused_where_they_are_held_out(desk: Desk) -> None:
    add_class_pictures(desk)
    desk.encode(class_pictures=3)
    with pytest.raises(PictureError, match="held out"):
        refuse_held_out(desk.folder / "cache", {sha256_of(desk.folder / "class" / "0.png")})
    with pytest.raises(RecipeError, match="class_words"):
        encode(
            desk.pictures,
            desk.captions,
            EncodeConfig(class_pictures=3),
            model=desk.model,
            images=desk.images,
            front=FRONT[:1],
            to=desk.folder / "cache",
        )


def test_a_run_over_buckets_masks_twins_and_class_goes_on_as_if_it_had_never_stopped(desk: Desk) -> None:
    wide(desk, 1)
    desk.see(0, face=Box(left=0, top=0, right=20, bottom=18), view="back")
    add_class_pictures(desk)
    desk.encode(size=64, mirror=True, masks="face", class_pictures=3)
    config = TrainConfig(steps=8, batch=2, accumulate=2, rank=2, learning_rate=1e-2, preserve=0.25, save_every=0)

    def trained(name: str, report: Any = silent) -> bytes:
        run = desk.folder / name
        run.mkdir(exist_ok=True)
        train(desk.folder / "cache", config, model=desk.model, to=run, seed=7, metadata=NOTES, report=report)
        assert all(not row.path.startswith("class/") for row in read_records(run / "pictures.jsonl", PictureLoss))
        return (run / "mira.safetensors").read_bytes()

    def stop(event: Event) -> None:
        if event.done == 5:
            signal.raise_signal(signal.SIGTERM)

    whole = trained("0001")
    with pytest.raises(Interrupted):
        trained("0002", stop)
    assert trained("0002") == whole
