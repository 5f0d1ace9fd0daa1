"""Frames worth keeping: one of each part, none of a hand, of the empty station, of the dark, or out of focus."""

import cv2
import numpy as np
import pytest
from andon_monitor.collect.picture import measure
from andon_monitor.collect.selection import Selection
from andon_monitor.image_files.decoding import DEFAULT_LIMITS
from andon_monitor.inspection.frames import Rejection

from tests.fixtures.small_model import draw, encode, make_frame
from tests.fixtures.station import encoded, film, station

PARTS = 12


def kept_of(selection: Selection, parts: int = PARTS, first: str | None = None) -> list[str]:
    return [what for what, frame in film(parts) if selection.judge(frame) is None]


def test_of_a_film_one_frame_of_each_part_is_kept() -> None:
    selection = Selection(DEFAULT_LIMITS, first_is_empty=True)
    kept = kept_of(selection)
    assert kept.count("part") == PARTS
    assert kept.count("empty") == 0
    assert kept.count("hand") <= 2  # the first one comes before it is known that this is a film
    assert selection.counts["near-duplicate"] >= PARTS * 15
    assert selection.counts["empty"] >= PARTS * 2
    assert selection.counts["moving"] >= PARTS * 4


def test_where_nine_frames_in_ten_are_near_duplicates_every_tenth_is_kept() -> None:
    selection = Selection(DEFAULT_LIMITS)
    frames = [make_frame(encoded(station(i // 10)), i, "station-1") for i in range(200)]
    kept = [i for i, frame in enumerate(frames) if selection.judge(frame) is None]
    assert len(kept) <= 22  # the camera's noise is only known after some frames
    assert {i // 10 for i in kept} == set(range(20))


def test_without_a_picture_of_the_empty_station_one_frame_of_it_is_kept() -> None:
    assert kept_of(Selection(DEFAULT_LIMITS)).count("empty") == 1
    empty = measure(encoded(station()), DEFAULT_LIMITS).thumbnail
    assert kept_of(Selection(DEFAULT_LIMITS, empty=[empty])).count("empty") == 0


def test_a_triggered_camera_shows_another_part_in_each_frame_and_nothing_moves() -> None:
    selection = Selection(DEFAULT_LIMITS)
    frames = [make_frame(encoded(station(i)), i) for i in range(20)]
    fast = [frame.__class__(frame.camera, frame.captured_at / 100, frame.data, frame.position) for frame in frames]
    assert [selection.judge(frame) for frame in fast] == [None] * 20
    assert selection.judge(make_frame(encoded(station(7)), 100)) == "near-duplicate"


def test_dark_blurred_damaged_and_defective_frames_are_left_out() -> None:
    selection = Selection(DEFAULT_LIMITS, wanted_camera="station-1")
    for i in range(6):
        assert selection.judge(make_frame(encoded(station(i)), i)) is None
    blurred = cv2.GaussianBlur(station(50), (0, 0), 4)
    cases = [
        (make_frame(encoded(blurred, noise=0.3), 10), "blurred"),
        (make_frame(encoded(station(51) / 12, noise=1), 11), "dark"),
        (make_frame(encode(np.full((96, 128), 255, np.uint8)), 12), "dark"),
        (make_frame(encoded(station(52))[:-40], 13), "damaged"),
        (make_frame(b"", 14, rejection=Rejection("malformed", "no image")), "damaged"),
        (make_frame(encoded(station(53)), 15, label="scratch"), "defect"),
        (make_frame(encoded(station(54)), 16, camera="station-2"), "other camera"),
        (make_frame(encoded(station(55)), 17, label="good"), None),
    ]
    assert [selection.judge(frame) for frame, _ in cases] == [reason for _, reason in cases]
    keeps = Selection(DEFAULT_LIMITS, kept_reasons=["dark"])
    assert keeps.judge(cases[1][0]) is None


def test_what_is_in_the_folder_is_not_kept_again() -> None:
    selection = Selection(DEFAULT_LIMITS)
    for i in range(200):
        selection.remember(measure(encode(draw(i)), DEFAULT_LIMITS).thumbnail)
    assert selection.judge(make_frame(encode(draw(123)))) == "near-duplicate"
    assert selection.judge(make_frame(encode(draw(500)), 1)) is None


def test_the_share_of_new_views_falls_when_parts_come_again() -> None:
    selection = Selection(DEFAULT_LIMITS)
    for i in range(60):
        selection.judge(make_frame(encoded(station(i % 50)), i))
    assert selection.new_share is None
    for i in range(60, 100):
        selection.judge(make_frame(encoded(station(i % 50)), i))
    assert selection.new_share == pytest.approx(0.5)
    for i in range(100, 200):
        selection.judge(make_frame(encoded(station(i % 50)), i))
    assert selection.new_share == 0


def test_levels_of_12_bits_in_16_are_not_dark() -> None:
    assert Selection(DEFAULT_LIMITS).judge(make_frame(encode((station(1) * 12).astype(np.uint16)))) is None
