"""The anime reader: what its networks are fed, and what it makes of tags and boxes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tiny_networks

from likeness.errors import LikenessError
from likeness.images import Pixels
from likeness.perception import load_reader
from likeness.perception.anime import AnimeReader
from likeness.perception.boxes import Found, count_of, framing_of, largest, overlap, view_of
from likeness.perception.models import MODELS, MissingModel
from likeness.perception.networks import BoxFinder, CharacterEncoder, Tagger
from likeness.perception.tag_meaning import background_of, expression_of, people_of, pose_of, traits_of
from likeness.records import Box

RED, GREEN, BLUE = range(3)


def patch(width: int, height: int, *places: tuple[int, int, int, int], colour: int, size: int) -> Pixels:
    """A black picture with squares of one colour."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for left, top, *_ in places:
        pixels[top : top + size, left : left + size, colour] = 255
    return pixels


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> BoxFinder:
    path = tmp_path_factory.mktemp("yolo") / "yolo.onnx"
    tiny_networks.yolo(path, RED, wide=64, tall=96)
    return BoxFinder(path, score=0.4, most_shared=0.4)


class TestTheBoxFinder:
    def test_a_box_is_found_where_it_is(self, finder: BoxFinder):
        (found,) = finder.find(patch(640, 640, (320, 320, 0, 0), colour=RED, size=32))
        assert found.box == Box(left=304, top=288, right=368, bottom=384)
        assert found.score == pytest.approx(1, abs=1e-3)

    def test_in_a_wide_picture_it_is_put_back_past_the_padding(self, finder: BoxFinder):
        (found,) = finder.find(patch(1280, 640, (640, 320, 0, 0), colour=RED, size=64))
        assert (found.box.left, found.box.right) == (608, 736)
        assert (found.box.top + found.box.bottom) / 2 == pytest.approx(352, abs=1)

    def test_the_padding_is_grey_114(self, finder: BoxFinder):
        """The tiny network's boxes grow by a hundred times the canvas's mean: half of it is padding here."""
        (found,) = finder.find(patch(1280, 640, (640, 320, 0, 0), colour=RED, size=64))
        mean = (114 / 2 + 255 / 3 * 32 * 32 / 640**2) / 255
        assert (found.box.bottom - found.box.top) / 2 == pytest.approx(96 + 100 * mean, abs=0.6)

    def test_blue_is_not_taken_for_red(self, finder: BoxFinder):
        assert finder.find(patch(640, 640, (320, 320, 0, 0), colour=BLUE, size=32)) == []

    def test_of_boxes_that_overlap_the_surest_stays(self, finder: BoxFinder):
        pixels = patch(640, 640, (320, 320, 0, 0), colour=RED, size=32)
        pixels[352:384, 320:352, RED] = 130  # the cell below, half as bright: its box shares half of the union
        (alone,) = finder.find(pixels)
        assert alone.box.top == 288
        tolerant = BoxFinder(finder.path, score=0.4, most_shared=0.6)
        assert [found.box.top for found in tolerant.find(pixels)] == [288, 320]

    def test_boxes_apart_are_all_found_surest_first(self, finder: BoxFinder):
        pixels = patch(640, 640, (64, 320, 0, 0), (480, 320, 0, 0), colour=RED, size=32)
        pixels[320:352, 64:96, RED] = 200
        assert [found.box.left for found in finder.find(pixels)] == [464, 48]

    def test_what_it_is_unsure_of_is_dropped(self, finder: BoxFinder):
        pixels = patch(640, 640, (320, 320, 0, 0), colour=RED, size=32)
        assert finder.find(pixels // 3) == []

    def test_a_box_ends_with_the_picture(self, finder: BoxFinder):
        (found,) = finder.find(patch(640, 640, (0, 0, 0, 0), colour=RED, size=32))
        assert (found.box.left, found.box.top) == (0, 0)

    def test_a_model_that_takes_any_size_is_given_640(self, tmp_path: Path):
        tiny_networks.yolo(tmp_path / "any.onnx", RED, wide=64, tall=96, side="size")
        finder = BoxFinder(tmp_path / "any.onnx", score=0.4, most_shared=0.5)
        (found,) = finder.find(patch(320, 320, (160, 160, 0, 0), colour=RED, size=16))
        assert (found.box.left, found.box.right) == (152, 184)

    def test_another_kind_of_model_is_refused_in_words(self, tmp_path: Path):
        tiny_networks.ccip(tmp_path / "ccip.onnx")
        with pytest.raises(LikenessError, match=r"answers with the shape \(1, 768\).*YOLOv8 detector"):
            BoxFinder(tmp_path / "ccip.onnx", score=0.4, most_shared=0.5).find(np.zeros((9, 9, 3), np.uint8))

    def test_a_file_that_is_no_model_is_refused_in_words(self, tmp_path: Path):
        (tmp_path / "no.onnx").write_bytes(b"no model")
        with pytest.raises(LikenessError, match=r"cannot be opened.*Delete it and fetch it again"):
            BoxFinder(tmp_path / "no.onnx", score=0.4, most_shared=0.5)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Tagger:
    folder = tmp_path_factory.mktemp("tagger")
    tiny_networks.tagger(folder / "wd.onnx", folder / "wd.csv", {"o_o": 0.5, "hair_over_one_eye": 0.25})
    return Tagger(folder / "wd.onnx", folder / "wd.csv")


class TestTheTagger:
    def test_it_is_fed_blue_green_red_from_0_to_255(self, tagger: Tagger):
        tags, _ = tagger.tag(np.full((448, 448, 3), (204, 102, 51), np.uint8))
        assert (tags["red skirt"], tags["green eyes"], tags["blue hair"]) == pytest.approx((0.8, 0.4, 0.2), abs=1e-4)

    def test_a_picture_that_is_not_square_is_padded_white_on_both_sides(self, tagger: Tagger):
        tags, _ = tagger.tag(np.zeros((300, 600, 3), np.uint8))
        assert tags["red skirt"] == pytest.approx(0.5, abs=0.01)
        assert (tags["white top"], tags["white bottom"]) == pytest.approx((1, 1), abs=1e-4)
        tags, _ = tagger.tag(np.zeros((600, 300, 3), np.uint8))
        assert (tags["white top"], tags["white bottom"]) == pytest.approx((0.5, 0.5), abs=0.01)

    def test_names_are_left_out_and_ratings_are_told_apart(self, tagger: Tagger):
        tags, rating = tagger.tag(np.zeros((8, 8, 3), np.uint8))
        assert not {"general", "somebody (game)"} & tags.keys()
        assert rating == "general"

    def test_words_are_parted_by_spaces_and_faces_made_of_signs_are_not(self, tagger: Tagger):
        tags, _ = tagger.tag(np.zeros((8, 8, 3), np.uint8))
        assert (tags["o_o"], tags["hair over one eye"]) == pytest.approx((0.5, 0.25))

    def test_a_list_of_words_of_another_model_is_refused(self, tmp_path: Path):
        tiny_networks.tagger(tmp_path / "wd.onnx", tmp_path / "wd.csv", {})
        tiny_networks.tagger(tmp_path / "other.onnx", tmp_path / "other.csv", {"1girl": 1})
        with pytest.raises(LikenessError, match=r"knows 7 tags and .* names 8: they do not belong together"):
            Tagger(tmp_path / "wd.onnx", tmp_path / "other.csv")

    def test_a_list_without_the_columns_is_refused(self, tmp_path: Path):
        tiny_networks.tagger(tmp_path / "wd.onnx", tmp_path / "wd.csv", {})
        (tmp_path / "bad.csv").write_text("id,word\n1,smile\n")
        with pytest.raises(LikenessError, match=r"no list of tags with the columns name and category"):
            Tagger(tmp_path / "wd.onnx", tmp_path / "bad.csv")


def test_the_character_encoder_is_fed_rgb_less_clip_s_mean_over_its_deviation(tmp_path: Path):
    tiny_networks.ccip(tmp_path / "ccip.onnx")
    embedding = CharacterEncoder(tmp_path / "ccip.onnx").encode(np.full((200, 100, 3), (204, 102, 51), np.uint8))
    assert embedding is not None
    assert len(embedding) == 768
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-3)
    means, deviations = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    wanted = [(share - mean) / wide for share, mean, wide in zip((0.8, 0.4, 0.2), means, deviations, strict=True)]
    assert np.array(embedding[:3]) / embedding[3] == pytest.approx(wanted, abs=1e-3)


def found(left: int, top: int, right: int, bottom: int, score: float = 0.9) -> Found:
    return Found(Box(left=left, top=top, right=right, bottom=bottom), score)


HEAD = found(100, 100, 200, 200, 0.8)


class TestTheView:
    @pytest.mark.parametrize(
        ("tags", "face", "view"),
        [
            ({"from behind": 0.8}, None, "back"),
            ({"from behind": 0.8, "looking back": 0.7}, None, None),
            ({"from behind": 0.8}, 150, None),
            ({"profile": 0.9}, 130, "profile left"),
            ({"profile": 0.9}, 170, "profile right"),
            ({"profile": 0.9}, 152, None),
            ({"profile": 0.9}, None, None),
            ({"straight-on": 0.7}, None, "front"),
            ({"looking at viewer": 0.9}, None, None),
            ({"looking at viewer": 0.9}, 150, "front"),
            ({}, 140, "three-quarter left"),
            ({}, 160, "three-quarter right"),
            ({"from behind": 0.2}, 150, "front"),
            ({}, None, None),
        ],
    )
    def test_tags_say_the_kind_and_the_face_s_place_the_side(
        self, tags: Mapping[str, float], face: int | None, view: str | None
    ):
        shown = found(face - 20, 140, face + 20, 180) if face else None
        told = view_of(tags, HEAD, shown)
        assert (told[0] if told else None) == view

    def test_it_is_as_sure_as_the_weakest_sign(self):
        assert view_of({"profile": 0.9}, HEAD, found(110, 140, 150, 180)) == ("profile left", 0.8)
        assert view_of({"from behind": 0.6}, None, None) == ("back", 0.6)


class TestTheFraming:
    @pytest.mark.parametrize(
        ("tags", "person_bottom", "framing"),
        [
            ({"portrait": 0.9}, 250, "face"),
            ({"portrait": 0.9}, 800, None),
            ({"upper body": 0.9}, 400, "upper body"),
            ({"cowboy shot": 0.9}, 600, "upper body"),
            ({"full body": 0.9}, 800, "full body"),
            ({"full body": 0.9}, 220, None),
            ({}, 800, "full body"),
            ({}, 995, None),
        ],
    )
    def test_boxes_that_contradict_the_tags_leave_it_open(
        self, tags: Mapping[str, float], person_bottom: int, framing: str | None
    ):
        told = framing_of(tags, found(50, 100, 250, person_bottom), HEAD, 1000)
        assert (told[0] if told else None) == framing

    def test_without_boxes_tags_are_believed_and_without_tags_boxes(self):
        assert framing_of({"full body": 0.9}, None, None, 1000) == ("full body", 0.9)
        assert framing_of({}, found(50, 100, 250, 400), HEAD, 400) == ("upper body", 0.8)
        assert framing_of({}, found(50, 100, 250, 240), HEAD, 240) == ("face", 0.8)
        assert framing_of({}, None, HEAD, 400) is None


class TestTheExpression:
    @pytest.mark.parametrize(
        ("tags", "word"),
        [
            ({"smile": 0.9}, "smile"),
            ({"smile": 0.9, "open mouth": 0.8}, "laughing"),
            ({"open mouth": 0.8}, None),
            ({"crying": 0.7, "smile": 0.4}, "sad"),
            ({"angry": 0.6}, "angry"),
            ({"frown": 0.6}, None),
            ({"frown": 0.6, "v-shaped eyebrows": 0.6}, "angry"),
            ({"surprised": 0.5}, "surprised"),
            ({"expressionless": 0.5}, "neutral"),
            ({"closed mouth": 0.9}, "neutral"),
            ({"closed mouth": 0.9, "smile": 0.9}, "smile"),
            ({"closed mouth": 0.6, "smile": 0.3}, None),
            ({"smile": 0.34}, None),
        ],
    )
    def test_it_is_told_by_tags_that_belong_together(self, tags: Mapping[str, float], word: str | None):
        told = expression_of(tags)
        assert (told[0] if told else None) == word


class TestTheTraits:
    @pytest.mark.parametrize(
        ("tags", "traits"),
        [
            ({"blue hair": 0.9, "black hair": 0.5}, {"hair_colour": "blue"}),
            ({"light brown hair": 0.9}, {"hair_colour": "light brown"}),
            ({"red hair": 0.8, "black hair": 0.7, "two-tone hair": 0.9}, {"hair_colour": "black and red"}),
            ({"red eyes": 0.8, "blue eyes": 0.7, "heterochromia": 0.9}, {"eye_colour": "blue and red"}),
            ({"twintails": 0.8, "long hair": 0.7}, {"hair_style": "twintails", "hair_length": "long hair"}),
            ({"animal ears": 0.9, "cat ears": 0.8}, {"ears": "cat"}),
            ({"animal ears": 0.9}, {}),
            ({"pointy ears": 0.9}, {"ears": "elf"}),
            ({"horns": 0.9, "demon horns": 0.4}, {"horns": "horns"}),
            ({"fox tail": 0.9, "tail": 0.95}, {"tail": "fox"}),
            ({"glasses": 0.9}, {"eyewear": "glasses"}),
            ({"blue hair": 0.3, "school uniform": 0.9}, {}),
        ],
    )
    def test_they_are_values_by_name(self, tags: Mapping[str, float], traits: Mapping[str, str]):
        assert {name: value for name, (value, _) in traits_of(tags).items()} == traits

    def test_they_are_as_sure_as_their_tags(self):
        assert traits_of({"red eyes": 0.8, "blue eyes": 0.7, "heterochromia": 0.9})["eye_colour"][1] == 0.7

    def test_pose_and_background_are_the_tagger_s_words(self):
        assert pose_of({"sitting": 0.9, "standing": 0.4}) == ("sitting", 0.9)
        assert background_of({"simple background": 0.9, "white background": 0.8}) == ("white background", 0.8)
        assert background_of({"simple background": 0.9}) == ("simple background", 0.9)
        assert background_of({"outdoors": 0.7}) == ("outdoors", 0.7)
        assert pose_of({}) is None
        assert background_of({}) is None


class TestHowMany:
    @pytest.mark.parametrize(
        ("tags", "count"),
        [
            ({"solo": 0.9, "1girl": 0.9}, 1),
            ({"1girl": 0.9, "1boy": 0.8}, 2),
            ({"2girls": 0.9, "1boy": 0.8}, 3),
            ({"6+girls": 0.9}, 6),
            ({"no humans": 0.9}, 0),
            ({}, None),
        ],
    )
    def test_tags_say_it(self, tags: Mapping[str, float], count: int | None):
        told = people_of(tags)
        assert (told[0] if told else None) == count

    def test_where_tags_and_figures_disagree_only_sure_tags_are_believed(self):
        two = [found(0, 0, 100, 500), found(200, 0, 300, 400)]
        assert count_of({"solo": 0.9}, two) == (1, 0.9)
        assert count_of({"solo": 0.6}, two) is None
        assert count_of({"2girls": 0.6}, two) == (2, 0.6)

    def test_without_tags_figures_of_comparable_height_count(self):
        assert count_of({}, [found(0, 0, 100, 500), found(200, 0, 300, 400, 0.7)]) == (2, 0.7)
        assert count_of({}, [found(0, 0, 100, 500), found(200, 0, 220, 100)]) == (1, 0.9)
        assert count_of({}, []) is None


def test_the_largest_part_is_sought_inside_another():
    small, large = found(10, 10, 30, 30), found(200, 10, 260, 70)
    assert largest([small, large]) == large
    assert largest([small, large], inside=found(0, 0, 100, 300)) == small
    assert largest([]) is None


def test_overlap_is_the_shared_part_of_the_union():
    one = Box(left=0, top=0, right=10, bottom=10)
    assert overlap(one, Box(left=5, top=0, right=15, bottom=10)) == pytest.approx(1 / 3)
    assert overlap(one, Box(left=20, top=20, right=30, bottom=30)) == 0


ALWAYS = {"1girl": 0.95, "solo": 0.9, "smile": 0.8, "profile": 0.7, "full_body": 0.6, "twintails": 0.5, "hat": 0.2}


def models_in(folder: Path, *, with_face: bool = True) -> Path:
    tiny_networks.yolo(MODELS["anime-head"].path(folder), RED, wide=96, tall=96)
    tiny_networks.yolo(MODELS["anime-person"].path(folder), BLUE, wide=192, tall=384)
    if with_face:
        tiny_networks.yolo(MODELS["anime-face"].path(folder), GREEN, wide=40, tall=40)
    tiny_networks.tagger(MODELS["wd-vit-tagger-v3"].path(folder), MODELS["wd-tags-v3"].path(folder), ALWAYS)
    tiny_networks.ccip(MODELS["ccip"].path(folder))
    return folder


def drawing() -> Pixels:
    """A figure around (336, 336), its head around (336, 208), and a face left of the head's middle."""
    pixels = np.zeros((640, 640, 3), np.uint8)
    pixels[320:352, 320:352, BLUE] = 255
    pixels[192:224, 320:352, RED] = 255
    pixels[224:256, 288:320, GREEN] = 255
    return pixels


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> AnimeReader:
    folder = models_in(tmp_path_factory.mktemp("anime"))
    return AnimeReader(folder, registry=tiny_networks.registry_of(folder))


class TestTheAnimeReader:
    def test_it_joins_what_its_networks_say(self, reader: AnimeReader):
        (reading,) = reader.read([drawing()])
        assert (reading.view, reading.framing, reading.expression) == ("profile left", "full body", "smile")
        assert reading.people == 1
        assert reading.subject is not None
        assert (reading.subject.left, reading.subject.right) == (240, 432)
        assert reading.face is not None
        assert (reading.face.left, reading.face.right) == (288, 384)
        assert reading.traits == {"hair_style": "twintails"}
        assert (reading.instrument, reading.instrument_sha256) == ("anime", reader.sha256)

    def test_the_head_is_that_of_the_main_figure(self, reader: AnimeReader):
        pixels = drawing()
        pixels[192:224, 320:352, RED] = 200
        pixels[64:96, 64:96, RED] = 255  # a surer head, but not in the figure
        (reading,) = reader.read([pixels])
        assert reading.face is not None
        assert (reading.face.left, reading.face.right) == (288, 384)

    def test_tags_over_the_threshold_are_kept_with_their_probability(self, reader: AnimeReader):
        tags = reader.read([drawing()])[0].tags
        assert tags["solo"] == pytest.approx(0.9, abs=1e-3)
        assert "full body" in tags
        assert "hat" not in tags

    def test_it_is_as_sure_of_each_field_as_the_tags_and_boxes_are(self, reader: AnimeReader):
        confidence = reader.read([drawing()])[0].confidence
        assert confidence["view"] == pytest.approx(0.7, abs=1e-3)
        assert confidence["expression"] == pytest.approx(0.8, abs=1e-3)
        assert confidence["hair_style"] == pytest.approx(0.5, abs=1e-3)
        assert {"subject", "face", "people", "framing"} < confidence.keys()
        assert all(0 < share <= 1 for share in confidence.values())

    def test_identity_is_that_of_the_main_figure_and_not_of_what_is_around_it(self, reader: AnimeReader):
        (first,) = reader.read([drawing()])
        other = drawing()
        other[:, :200] = (90, 90, 90)
        other[:, 460:] = (90, 90, 90)
        (second,) = reader.read([other])
        assert first.subject is not None
        assert first.embedding is not None
        assert second.embedding is not None
        assert np.dot(first.embedding, second.embedding) == pytest.approx(1, abs=2e-3)
        whole = reader.encoder.encode(other)
        assert whole is not None
        assert np.dot(first.embedding, whole) < 0.995

    def test_without_the_face_detector_a_profile_has_no_side(self, tmp_path: Path, reader: AnimeReader):
        folder = models_in(tmp_path, with_face=False)
        other = AnimeReader(folder, registry=tiny_networks.registry_of(folder))
        (reading,) = other.read([drawing()])
        assert reading.view is None
        assert reading.tags["profile"] == pytest.approx(0.7, abs=1e-3)
        assert other.sha256 != reader.sha256

    def test_a_picture_without_a_figure_has_no_boxes(self, reader: AnimeReader):
        (reading,) = reader.read([np.zeros((64, 48, 3), np.uint8)])
        assert (reading.subject, reading.face, reading.view) == (None, None, None)

    def test_no_pictures_give_no_readings(self, reader: AnimeReader):
        assert reader.read([]) == []

    def test_missing_models_are_named_with_the_command_that_fetches_them(self, tmp_path: Path):
        models_in(tmp_path)
        MODELS["ccip"].path(tmp_path).unlink()
        with pytest.raises(
            MissingModel, match=r"ccip \(150\.2 MB, licence OpenRAIL\).*unless you ask.*models fetch ccip$"
        ):
            load_reader("anime", models=tmp_path)
