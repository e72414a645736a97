"""The photo reader: what it makes of what YuNet, SFace and the expression model answer."""

from pathlib import Path

import numpy as np
import pytest
import tiny_networks

from likeness.errors import LikenessError
from likeness.images import Pixels
from likeness.perception import load_reader
from likeness.perception.head_pose import framing_of, view_of, yaw_of
from likeness.perception.models import MODELS, MissingModel
from likeness.perception.photo import PhotoReader
from likeness.records import Box

# Eyes, nose and mouth corners of MediaPipe's canonical face: x to the face's left, y up, z towards the viewer, in cm.
FACE = np.array([(-3.15, 2.6, 3.65), (3.15, 2.6, 3.65), (0, -1.13, 7.48), (-2.46, -4.34, 4.28), (2.46, -4.34, 4.28)])


def seen(yaw: float, *, roll: float = 0.0, pitch: float = 0.0) -> np.ndarray:
    """Where a picture shows the five points of a head that is turned to the picture's left by `yaw` degrees."""
    turn, nod, lean = np.radians((-yaw, pitch, roll))
    around = np.array([(np.cos(turn), 0, np.sin(turn)), (0, 1, 0), (-np.sin(turn), 0, np.cos(turn))])
    over = np.array([(1, 0, 0), (0, np.cos(nod), -np.sin(nod)), (0, np.sin(nod), np.cos(nod))])
    x, y, _ = over @ around @ FACE.T
    points = np.stack((x, -y), 1) @ np.array([(np.cos(lean), np.sin(lean)), (-np.sin(lean), np.cos(lean))])
    return (points * 20 + 300).astype(np.float32)


class TestTheYaw:
    @pytest.mark.parametrize("yaw", [-85, -60, -45, -30, -10, 0, 10, 30, 45, 60, 85])
    def test_that_of_an_average_head_is_found_to_six_degrees(self, yaw: float):
        assert yaw_of(seen(yaw)) == pytest.approx(yaw, abs=6)

    @pytest.mark.parametrize("roll", [-40, 25])
    def test_a_leaning_head_is_read_as_an_upright_one(self, roll: float):
        assert yaw_of(seen(30, roll=roll)) == pytest.approx(yaw_of(seen(30)), abs=0.5)

    @pytest.mark.parametrize("pitch", [-20, 20])
    def test_a_nod_hardly_moves_it(self, pitch: float):
        assert yaw_of(seen(30, pitch=pitch)) == pytest.approx(30, abs=10)

    @pytest.mark.parametrize("roll", [80, 180])
    def test_a_head_that_lies_on_its_side_or_stands_on_it_has_none(self, roll: float):
        assert yaw_of(seen(30, roll=roll)) is None

    def test_points_that_fall_together_have_none(self):
        assert yaw_of(np.full((5, 2), 7, np.float32)) is None

    @pytest.mark.parametrize(
        ("yaw", "view"),
        [
            (0, "front"),
            (19, "front"),
            (-19, "front"),
            (21, "three-quarter left"),
            (-54, "three-quarter right"),
            (56, "profile left"),
            (-90, "profile right"),
        ],
    )
    def test_it_makes_the_view(self, yaw: float, view: str):
        assert view_of(yaw)[0] == view

    def test_a_view_is_least_sure_at_the_edge_of_its_bin(self):
        assert view_of(20)[1] == view_of(-55)[1] == 0.5
        assert view_of(0)[1] == view_of(37)[1] == view_of(90)[1] == 1


class TestTheFraming:
    @pytest.mark.parametrize(
        ("top", "tall", "word"),
        [(100, 400, "face"), (100, 300, "upper body"), (100, 150, "upper body"), (60, 100, "full body")],
    )
    def test_it_is_told_by_the_room_below_the_chin(self, top: float, tall: float, word: str):
        assert framing_of(top, tall, 800)[0] == word

    def test_a_face_cut_by_the_lower_edge_is_a_close_up(self):
        assert framing_of(500, 400, 800)[0] == "face"


def models_in(folder: Path, *, with_expression: bool = True) -> Path:
    tiny_networks.yunet(MODELS["yunet"].path(folder))
    tiny_networks.sface(MODELS["sface"].path(folder))
    if with_expression:
        tiny_networks.expression(MODELS["photo-expression"].path(folder))
    return folder


def reader_in(folder: Path) -> PhotoReader:
    return PhotoReader(folder, registry=tiny_networks.registry_of(folder))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> PhotoReader:
    return reader_in(models_in(tmp_path_factory.mktemp("photo")))


BACK = (60, 90, 120)  # more blue than red: a detector that is fed RGB sees no face, but this


def photo(*faces: tuple[int, int], size: int = 8, nose: int = 128, width: int = 640, height: int = 640) -> Pixels:
    """A picture with red patches, each a face to the tiny YuNet, with the nose where `nose` puts it."""
    pixels = np.full((height, width, 3), BACK, np.uint8)
    for left, top in faces:
        pixels[top : top + size, left : left + size] = (255, nose, 0)
    return pixels


class TestThePhotoReader:
    def test_a_face_is_found_where_it_is(self, reader: PhotoReader):
        (reading,) = reader.read([photo((320, 240))])
        assert reading.face == Box(left=304, top=220, right=344, bottom=268)
        assert reading.people == 1

    def test_a_picture_of_another_shape_is_scaled_and_not_stretched(self, reader: PhotoReader):
        (reading,) = reader.read([photo((640, 240), size=16, width=1280, height=720)])
        assert reading.face == Box(left=608, top=200, right=688, bottom=296)

    def test_a_face_too_large_for_the_detector_is_found_in_a_smaller_copy(self, reader: PhotoReader):
        (reading,) = reader.read([photo((320, 240), size=80)])
        assert reading.face == Box(left=160, top=40, right=560, bottom=520)

    def test_without_a_face_it_says_nothing_at_all(self, reader: PhotoReader):
        (reading,) = reader.read([photo()])
        told = reading.model_dump(exclude={"instrument", "instrument_sha256"})
        assert all(value in (None, {}) for value in told.values())

    def test_blue_is_not_taken_for_red(self, reader: PhotoReader):
        swapped = np.ascontiguousarray(photo((320, 240))[..., ::-1])
        assert reader.read([swapped])[0].face is None

    @pytest.mark.parametrize(("nose", "view"), [(0, "left"), (255, "right")])
    def test_the_side_is_the_one_that_the_picture_shows(self, reader: PhotoReader, nose: int, view: str):
        (reading,) = reader.read([photo((320, 240), nose=nose)])
        assert reading.view == f"three-quarter {view}"
        assert reading.yaw == pytest.approx(39.8 if view == "left" else -39.6, abs=0.5)

    def test_a_nose_in_the_middle_is_a_front_view(self, reader: PhotoReader):
        (reading,) = reader.read([photo((320, 240))])
        assert (reading.view, reading.yaw) == ("front", pytest.approx(0, abs=0.5))

    def test_every_comparable_face_counts(self, reader: PhotoReader):
        assert reader.read([photo((160, 240), (480, 240))])[0].people == 2

    def test_a_small_face_in_the_background_does_not(self, reader: PhotoReader):
        pixels = photo((320, 224), size=32)
        pixels[560:568, 80:88] = (255, 128, 0)  # a face of 48 px beside one of 192
        assert len(reader._faces(pixels)) == 2
        (reading,) = reader.read([pixels])
        assert reading.people == 1
        assert reading.face == Box(left=256, top=144, right=416, bottom=336)

    def test_the_body_is_estimated_around_the_face_and_ends_with_the_picture(self, reader: PhotoReader):
        subject = reader.read([photo((320, 240))])[0].subject
        assert subject == Box(left=244, top=196, right=404, bottom=628)
        assert reader.read([photo((8, 600))])[0].subject == Box(left=0, top=556, right=92, bottom=640)

    def test_the_embedding_is_of_the_aligned_face_in_rgb_from_0_to_255(self, reader: PhotoReader):
        embedding = reader.read([photo((320, 240))])[0].embedding
        assert embedding is not None
        assert len(embedding) == 128
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-3)
        red, green, blue, hundred = np.array(embedding[:4]) * 100 / embedding[3]
        assert hundred == 100
        assert (red, green, blue) == pytest.approx((60 + 195 * 0.05, 90 + 38 * 0.05, 120 - 120 * 0.05), abs=12)
        assert blue > green > red

    @pytest.mark.parametrize(
        ("colour", "word"),
        [((0, 255, 0), "smile"), ((0, 0, 255), "surprised"), ((128, 128, 128), "neutral"), ((110, 0, 0), None)],
    )
    def test_the_expression_is_that_of_the_face(
        self, reader: PhotoReader, colour: tuple[int, int, int], word: str | None
    ):
        pixels = np.full((640, 640, 3), colour, np.uint8)
        pixels[240:248, 320:328] = (255, 128, 0)
        assert reader.read([pixels])[0].expression == word

    def test_what_it_is_sure_of_is_what_it_says(self, reader: PhotoReader):
        (reading,) = reader.read([photo((320, 240))])
        fields = ("view", "framing", "expression", "people", "face")
        said = {name for name in fields if getattr(reading, name) is not None}
        assert set(reading.confidence) == said
        assert all(0 < share <= 1 for share in reading.confidence.values())

    def test_no_pictures_give_no_readings(self, reader: PhotoReader):
        assert reader.read([]) == []

    def test_a_picture_of_one_pixel_is_read(self, reader: PhotoReader):
        assert reader.read([np.zeros((1, 1, 3), np.uint8)])[0].face is None

    def test_without_the_optional_model_only_the_expression_is_missing(self, tmp_path: Path, reader: PhotoReader):
        other = reader_in(models_in(tmp_path, with_expression=False))
        (reading,), (full,) = other.read([photo((320, 240))]), reader.read([photo((320, 240))])
        assert reading.expression is None
        assert reading.face == full.face
        assert reading.instrument_sha256 != full.instrument_sha256


class TestItsModels:
    def test_missing_ones_are_named_with_licence_and_the_command_that_fetches_them(self, tmp_path: Path):
        with pytest.raises(
            MissingModel,
            match=r"yunet \(0\.2 MB, licence MIT\); sface \(38\.7 MB, licence Apache-2\.0\).*"
            r"likeness models fetch yunet sface$",
        ):
            load_reader("photo", models=tmp_path)

    def test_one_with_another_hash_is_not_opened(self, tmp_path: Path):
        models_in(tmp_path)
        with pytest.raises(MissingModel, match=r"is not the model yunet: its sha256 is"):
            load_reader("photo", models=tmp_path)

    def test_one_that_opencv_cannot_open_is_told_in_words(self, tmp_path: Path):
        models_in(tmp_path)
        MODELS["sface"].path(tmp_path).write_bytes(b"no model")
        with pytest.raises(LikenessError, match=r"cannot open a model.*Delete it and fetch it again"):
            reader_in(tmp_path)
