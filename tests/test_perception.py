"""Readers: how one is found by name, and what the maquette's own sees."""

import sys

import numpy as np
import pytest
from fake_reader import FakeReader

from likeness.errors import MissingExtra, RecipeError
from likeness.maquette.draw import draw
from likeness.maquette.world import (
    SCENE_AXES,
    TRAITS,
    Drawing,
    random_identity,
    random_scene,
    visible_axes,
    visible_traits,
)
from likeness.perception import READERS, Reader, load_reader
from likeness.perception.maquette import MaquetteReader
from likeness.records import Reading


class TestFindingAReader:
    def test_an_unknown_name_is_refused_with_what_is_known(self):
        with pytest.raises(
            RecipeError, match=r"perception\.reader = 'maquete' is not known.*maquette.*package\.module:Class"
        ):
            load_reader("maquete")

    def test_a_reader_of_one_s_own_is_found_by_its_address(self):
        assert isinstance(load_reader("fake_reader:FakeReader"), FakeReader)

    def test_a_missing_library_is_named_with_what_installs_it(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(READERS, "test", ("a_library_that_is_not_there:Reader", "perception"))
        with pytest.raises(MissingExtra, match=r"a_library_that_is_not_there.*\[perception\]"):
            load_reader("test")

    @pytest.mark.parametrize(
        ("misspelt", "said"),
        [
            ("a_module_that_is_not_there:Reader", "no module 'a_module_that_is_not_there' is found"),
            ("fake_reader:FakeRaeder", "FakeRaeder"),
        ],
    )
    def test_a_misspelt_reader_of_one_s_own_is_told_in_words(self, misspelt: str, said: str):
        with pytest.raises(RecipeError, match=rf"perception\.reader = '{misspelt}': .*{said}.* Check the spelling"):
            load_reader(misspelt)

    def test_the_embedded_reader_needs_its_extra(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        monkeypatch.delitem(sys.modules, "likeness.perception.maquette", raising=False)
        with pytest.raises(MissingExtra, match=r"onnxruntime is needed.*\[perception\]"):
            load_reader("maquette")


@pytest.fixture(scope="module")
def reader() -> Reader:
    return load_reader("maquette")


@pytest.fixture(scope="module")
def truths() -> list[Drawing]:
    rng = np.random.default_rng(60)
    return [Drawing(random_identity(rng), random_scene(rng)) for _ in range(60)]


@pytest.fixture(scope="module")
def readings(reader: Reader, truths: list[Drawing]) -> list[Reading]:
    return reader.read([draw(truth.identity, truth.scene) for truth in truths])


class Network:
    """Answers every picture with the same logits."""

    def __init__(self, logits_N: np.ndarray) -> None:
        self.logits_N = logits_N

    def run(self, names: None, pictures: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return self.logits_N[None], np.ones((1, 1))


class TestTheMaquetteReader:
    def test_it_is_right_about_nearly_all_that_a_drawing_shows(self, truths: list[Drawing], readings: list[Reading]):
        right = []
        for truth, reading in zip(truths, readings, strict=True):
            shown = visible_traits(truth.identity, truth.scene)
            right += [reading.traits.get(name) == truth.identity[name] for name in shown]
            right += [getattr(reading, axis) == getattr(truth.scene, axis) for axis in visible_axes(truth.scene)]
        assert len(right) > 1000
        assert np.mean(right) >= 0.95

    def test_it_abstains_on_what_its_own_words_say_is_hidden(self, readings: list[Reading]):
        assert {reading.view for reading in readings} == set(SCENE_AXES["view"])
        for reading in readings:
            assert (reading.expression is None) == (reading.view == "back")
            assert (reading.pose is None) == (reading.framing == "face")
            assert reading.view != "back" or not {"eye_shape", "left_eye", "nose", "skin"} & reading.traits.keys()
            assert reading.framing != "face" or not {"height", "build", "garment", "tail"} & reading.traits.keys()
            assert reading.yaw is None

    def test_it_speaks_the_world_s_words(self, readings: list[Reading]):
        for reading in readings:
            assert all(value in TRAITS[name] for name, value in reading.traits.items())
            said = {axis: getattr(reading, axis) for axis in SCENE_AXES if getattr(reading, axis) is not None}
            assert all(value in SCENE_AXES[axis] for axis, value in said.items())
            assert reading.confidence.keys() == {*reading.traits, *said}
            assert all(0 < share <= 1 for share in reading.confidence.values())

    def test_its_confidence_is_the_share_that_the_network_gives(self, monkeypatch: pytest.MonkeyPatch):
        reader = MaquetteReader()
        odds = [row for values in reader.axes.values() for row in [3 * (len(values) - 1), *[1] * (len(values) - 1)]]
        monkeypatch.setattr(reader, "session", Network(np.log(np.array(odds))))
        (reading,) = reader.read([np.zeros((8, 8, 3), np.uint8)])
        assert len(reading.confidence) > 10
        assert set(reading.confidence.values()) == {0.75}

    def test_an_embedding_has_length_one(self, readings: list[Reading]):
        assert np.allclose([np.linalg.norm(reading.embedding or ()) for reading in readings], 1, atol=1e-3)

    def test_a_reading_names_the_weights_that_read(self, readings: list[Reading]):
        assert {(reading.instrument, len(reading.instrument_sha256)) for reading in readings} == {("maquette", 64)}

    def test_what_else_is_in_the_batch_does_not_matter(self, reader: Reader, truths: list[Drawing]):
        pictures = [draw(truth.identity, truth.scene) for truth in truths[:3]]
        alone = [reader.read([picture])[0].traits for picture in pictures]
        assert [reading.traits for reading in reader.read(pictures)] == alone

    def test_a_larger_picture_reads_nearly_the_same(self, reader: Reader, truths: list[Drawing]):
        small, large = (
            reader.read([draw(truth.identity, truth.scene, size=size) for truth in truths[:20]]) for size in (64, 160)
        )
        same = [
            a.traits.get(name) == b.traits.get(name) for a, b in zip(small, large, strict=True) for name in a.traits
        ]
        assert np.mean(same) >= 0.9

    def test_no_pictures_give_no_readings(self, reader: Reader):
        assert reader.read([]) == []
