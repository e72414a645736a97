"""Framing: few shapes, each of no more pixels than the square, and the part kept holds the subject."""

from typing import Any

import pytest

from likeness.cache.framing import frame_of, shapes_of
from likeness.errors import PictureError
from likeness.records import Box, Picture, Reading


def picture(width: int, height: int, *, crop: Box | None = None, **seen: Any) -> Picture:
    reading = Reading(instrument="test", instrument_sha256="0" * 64, **seen) if seen else None
    return Picture(
        id="0" * 64,
        path="a.png",
        width=width,
        height=height,
        crop=crop,
        reading=reading,
        use="train",
        decided_by="person",
    )


def box(left: int, top: int, right: int, bottom: int) -> Box:
    return Box(left=left, top=top, right=right, bottom=bottom)


@pytest.mark.parametrize(("side", "step"), [(1024, 32), (1024, 64), (768, 64), (512, 64), (64, 16), (32, 16)])
def test_shapes_have_at_most_the_squares_pixels_and_most_of_them(side: int, step: int) -> None:
    shapes = shapes_of(side, step)
    assert (side, side) in shapes
    assert len(shapes) <= 7
    for width, height in shapes:
        assert width % step == height % step == 0
        assert 0.6 * side**2 <= width * height <= side**2
        assert 0.4 <= width / height <= 2.5


def test_the_shapes_of_sdxl_are_those_that_it_was_trained_in() -> None:
    assert {(896, 1152), (1024, 1024), (1216, 832)} <= {*shapes_of(1024, 64)}


@pytest.mark.parametrize(
    ("size", "shape"),
    [((3000, 2000), (1216, 832)), ((2000, 3000), (832, 1216)), ((1000, 1010), (1024, 1024)), ((9000, 1000), None)],
)
def test_a_picture_gets_the_shape_nearest_to_its_own_and_none_is_refused(
    size: tuple[int, int], shape: tuple[int, int] | None
) -> None:
    shapes = shapes_of(1024, 64)
    frame = frame_of(picture(*size), shapes)
    assert (frame.width, frame.height) == (shape or shapes[-1])
    left, top, right, bottom = frame.window
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    assert (right - left) / (bottom - top) == pytest.approx(frame.width / frame.height)


def test_what_is_left_out_is_left_out_around_the_middle() -> None:
    assert frame_of(picture(200, 100), [(64, 64)]).window == (50, 0, 150, 100)


@pytest.mark.parametrize(
    ("seen", "left"),
    [
        ({"subject": box(0, 0, 80, 100)}, 0),  # it stands at the edge
        ({"subject": box(110, 0, 190, 100)}, 90),  # as far as it must, and no farther
        ({"subject": box(60, 0, 140, 100)}, 50),  # it is in the middle as it is
        ({"subject": box(0, 0, 200, 100), "face": box(160, 0, 190, 30)}, 90),  # of a subject that is too wide, the face
        ({"subject": box(20, 0, 200, 100)}, 50),  # the window lies inside of what is larger
    ],
)
def test_the_subject_stays_in_the_frame_and_its_face_above_all(seen: dict[str, Box], left: float) -> None:
    assert frame_of(picture(200, 100, **seen), [(64, 64)]).window[:3] == (left, 0, left + 100)


def test_boxes_are_of_the_picture_and_frames_of_its_crop() -> None:
    frame = frame_of(picture(400, 100, crop=box(100, 0, 300, 100), subject=box(210, 0, 290, 100)), [(64, 64)])
    assert frame.source == (200, 100)
    assert frame.window[0] == 90


def test_what_a_moved_frame_leaves_out_is_what_the_base_is_told() -> None:
    frame = frame_of(picture(200, 100, subject=box(110, 0, 190, 100)), [(50, 50)])
    assert frame.sizes == (100, 200, 0, 45, 50, 50)
    assert frame.mirrored.sizes == (100, 200, 0, 5, 50, 50)  # 10 px are left out at the right
    assert frame.mirrored.mirrored == frame


def test_a_crop_outside_the_picture_is_told_in_words() -> None:
    with pytest.raises(PictureError, match=r"a\.png, from 300,0 to 400,100, leaves nothing"):
        frame_of(picture(200, 100, crop=box(300, 0, 400, 100)), [(64, 64)])
