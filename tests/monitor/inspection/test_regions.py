"""Where a defect is said to be, in pixels of the camera's frame: measured against what was drawn there."""

import json
from typing import Any

import cv2
import numpy as np
import pytest
from andon_monitor.inspection.inspector import Inspector, Rules
from andon_monitor.inspection.regions import MAX_OUTLINE_POINTS, MAX_REGIONS, Region, find_regions
from andon_monitor.model.anomaly_map import NOT_INSPECTED
from andon_monitor.model.card import InputSpec
from andon_monitor.model.file import Model

from tests.fixtures.small_model import draw, encode, make_frame

SPEC = InputSpec(height=32, width=64, channels=1)


def map_with(*boxes: tuple[int, int, int, int, float], size: tuple[int, int] = (32, 64)) -> np.ndarray:
    """An anomaly map of the model's own size, with values in boxes (left, top, width, height, value)."""
    cells = np.zeros(size, np.float32)
    for left, top, width, height, value in boxes:
        cells[top : top + height, left : left + width] = value
    return cells


@pytest.mark.parametrize(
    ("fields", "frame_size", "box"),
    [
        ({}, (64, 32), (8, 4, 16, 6)),
        ({}, (640, 320), (80, 40, 160, 60)),
        ({}, (640, 160), (80, 20, 160, 30)),
        ({"region": (100, 50, 128, 64)}, (640, 320), (116, 58, 32, 12)),
        ({"region": (100, 50, 128, 64), "frame_size": (640, 320), "reduction": 2}, (640, 320), (116, 58, 32, 12)),
    ],
)
def test_a_region_lies_where_it_is_in_the_frame(fields: Any, frame_size: Any, box: Any) -> None:
    spec = SPEC.model_copy(update=fields)
    cells = map_with((8, 4, 16, 6, 2.0))
    cells[7, 20] = 3.0
    (region,) = find_regions(cells, 1.0, spec, frame_size).found
    assert region.box == box
    assert region.peak[2] == 3.0
    drawn = np.zeros(frame_size[::-1], np.uint8)
    cv2.rectangle(drawn, box[:2], (box[0] + box[2] - 1, box[1] + box[3] - 1), 1, -1)
    outlined = np.zeros_like(drawn)
    cv2.fillPoly(outlined, [np.array(region.outline)], 1)
    assert (drawn & outlined).sum() > 0.9 * (drawn | outlined).sum() - 2 * (box[2] + box[3])
    assert abs(region.area - box[2] * box[3]) <= 1
    assert region.share == pytest.approx(box[2] * box[3] / (frame_size[0] * frame_size[1]), rel=0.01)
    assert drawn[region.peak[1], region.peak[0]]


def test_no_region_lies_where_the_model_does_not_look_and_one_next_to_it_is_whole() -> None:
    cells = map_with((2, 1, 4, 2, 2.0), size=(8, 16))
    cells[:, 4:7] = NOT_INSPECTED
    (region,) = find_regions(cells, 1.0, SPEC, (640, 320)).found
    left, top, width, height = region.box
    assert (left, top, left + width, top + height) == (80, 40, 160, 120)
    assert max(x for x, _ in region.outline) <= 160
    cells[:, :7] = NOT_INSPECTED
    assert find_regions(cells, 1.0, SPEC, (640, 320)).found == ()


def test_a_coarse_map_is_enlarged_as_heatmaps_are() -> None:
    (region,) = find_regions(map_with((2, 1, 2, 2, 2.0), size=(8, 16)), 1.0, SPEC, (64, 32)).found
    assert region.box == (8, 4, 8, 8)


def test_the_strongest_are_said_and_the_others_counted() -> None:
    boxes = [(6 * i, 3 * j, 2, 2, 2.0 + i + 10 * j) for i in range(10) for j in range(10)]
    regions = find_regions(map_with(*boxes), 1.0, SPEC, (64, 32))
    assert [region.peak[2] for region in regions.found] == [101.0 - i for i in range(MAX_REGIONS)]
    assert regions.left_out == 100 - MAX_REGIONS
    assert find_regions(map_with(), 1.0, SPEC, (64, 32)).found == ()


def test_an_outline_has_a_bounded_number_of_corners() -> None:
    rng = np.random.default_rng(0)
    cells = cv2.GaussianBlur(rng.random((256, 256), np.float32), (0, 0), 2)
    spec = SPEC.model_copy(update={"height": 256, "width": 256})
    regions = find_regions(cells, float(np.median(cells)), spec, (4000, 3000))
    assert max(len(region.outline) for region in regions.found) <= MAX_OUTLINE_POINTS
    assert len(json.dumps([region.to_dict() for region in regions.found])) < 2**13
    for region in regions.found:
        assert all(0 <= x <= 4000 and 0 <= y <= 3000 for x, y in region.outline)


def test_millimetres_are_there_where_a_scale_is() -> None:
    region = Region((1, 2, 30, 40), ((1, 2),), 900, 0.1, (3, 4, 1.5), 0.05)
    assert region.to_dict()["millimetres"] == {"width": 1.5, "height": 2.0, "area": 2.25}


def test_only_a_defect_has_regions_and_its_score_is_the_same(model: Model) -> None:
    frames = [make_frame(encode(draw(i, defect=i == 1)), i) for i in range(3)]
    told, silent = (
        inspector.inspect([inspector.prepare(frame) for frame in frames])
        for inspector in (Inspector(model, Rules(scales={"station-1": 0.1})), Inspector(model, Rules(regions=False)))
    )
    assert [verdict.regions is not None for verdict in told] == [False, True, False]
    for verdict, other in zip(told, silent, strict=True):
        lines = [json.loads(each.to_json()) for each in (verdict, other)]
        regions = lines[0].pop("regions", None)
        lines[0].pop("regions_left_out", None)
        assert lines[0] == lines[1]
        assert regions is None or regions[0]["millimetres"]["area"] > 0
