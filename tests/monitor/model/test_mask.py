"""Masks: files that are read or refused in one line, and which pixels of a model's input they cover."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import ImageError, UsageError
from andon_monitor.model.anomaly_map import NOT_INSPECTED, enlarge
from andon_monitor.model.card import InputSpec
from andon_monitor.model.heatmap import heatmap
from andon_monitor.model.imaging import brightness, input_mask, prepare, sharpness
from andon_monitor.model.mask import MAX_AREAS, Mask, pack, read_mask, unpack
from pydantic import ValidationError

RNG = np.random.default_rng(0)
SQUARE = ((100.0, 60.0), (180.0, 60.0), (180.0, 120.0), (100.0, 120.0))
STAR = [[20, 20], [120, 20], [20, 100], [120, 100]]  # crosses itself


def spec_of(mask: Mask, width: int = 320, height: int = 240, **fields: object) -> InputSpec:
    return InputSpec(
        **{"height": 96, "width": 128, "channels": 1, "frame_size": (width, height), "mask": mask} | fields
    )


def write(tmp_path: Path, fields: object) -> Path:
    path = tmp_path / "mask.json"
    path.write_text(fields if isinstance(fields, str) else json.dumps(fields))
    return path


def test_areas_and_regions_are_drawn_on_the_frame_at_any_resolution() -> None:
    mask = Mask(size=(320, 240), regions=(((40, 20), (300, 20), (300, 200), (40, 200)),), ignore=(SQUARE,))
    for times in (0.5, 1, 2, 3.25):
        width, height = round(320 * times), round(240 * times)
        masked = mask.draw(width, height)
        assert masked.shape == (height, width)
        x, y = (np.arange(width) + 0.5) / times, (np.arange(height) + 0.5) / times
        slack = 1.01 / times

        def inside(left: float, top: float, right: float, bottom: float, by: float, x=x, y=y) -> np.ndarray:
            across, down = (x > left + by) & (x < right - by), (y > top + by) & (y < bottom - by)
            return down[:, None] & across[None]

        assert masked[inside(100, 60, 180, 120, slack)].all()
        assert masked[~inside(40, 20, 300, 200, -slack)].all()
        assert not masked[inside(40, 20, 300, 200, slack) & ~inside(100, 60, 180, 120, -slack)].any()


@pytest.mark.parametrize(
    ("frame", "fields"),
    [
        ((320, 240), {}),  # larger than the input
        ((64, 48), {}),  # smaller
        ((1000, 750), {}),  # by no whole number
        ((320, 240), {"region": (64, 32, 200, 160)}),
        ((1024, 768), {"region": (256, 128, 704, 512), "reduction": 2}),
    ],
)
def test_no_pixel_of_the_input_but_the_masked_ones_depends_on_a_masked_pixel(
    frame: tuple[int, int], fields: dict[str, object]
) -> None:
    spec = spec_of(Mask(size=(320, 240), ignore=(SQUARE,)), *frame, **fields)
    reduction = spec.reduction
    width, height = frame
    image = RNG.integers(0, 256, (height, width, 1), dtype=np.uint8)
    other = image.copy()
    hidden = spec.mask.draw(width, height)
    other[hidden] = RNG.integers(0, 256, (int(hidden.sum()), 1))
    masked = input_mask(spec)
    for by in {1, reduction}:
        # A JPEG decoder that gives the mean of blocks stands for any that decodes at a part of the size.
        small = [
            cv2.resize(each, (width // by, height // by), interpolation=cv2.INTER_AREA)[..., None]
            for each in (image, other)
        ]
        first, second = (prepare(each, spec, by)[..., 0] for each in small)
        assert (first != second).any()
        assert not (first != second)[~masked].any()
        assert brightness(first[..., None], masked) == brightness(second[..., None], masked)
        assert sharpness(first[..., None], masked) == sharpness(second[..., None], masked)
    grown = cv2.dilate((first != second).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert grown[masked].all(), "not many more pixels than needed"


def test_a_frame_of_another_aspect_ratio_is_refused() -> None:
    spec = InputSpec(height=96, width=128, channels=1, mask=Mask(size=(320, 240), ignore=(SQUARE,)))
    assert prepare(np.zeros((480, 640, 1), np.uint8), spec).shape == (96, 128, 1)
    with pytest.raises(ImageError, match="640 x 400 pixels, another aspect ratio than the mask's 320 x 240"):
        prepare(np.zeros((400, 640, 1), np.uint8), spec)
    with pytest.raises(ValidationError, match="does not fit frames of 640 x 400"):
        spec_of(spec.mask, 640, 400)


def test_a_card_without_a_mask_reads_as_before_and_one_with_a_mask_comes_back() -> None:
    assert "mask" not in InputSpec(height=96, width=128, channels=1).model_dump()
    spec = spec_of(Mask(size=(320, 240), ignore=(SQUARE,)))
    assert InputSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("{size", "not JSON"),
        ("{}", "not a mask; right is"),
        ([], "not a mask; right is"),
        ({"size": [320, 240], "ignore": []}, "has no area"),
        ({"ignore": [STAR]}, "size: Field required"),
        ({"size": [320, 240], "ignore": [STAR]}, "ignore 1: crosses or touches itself: its sides 2 and 4 meet"),
        ({"size": [320, 240], "ignore": [[[1, 1], [9, 9]]]}, "ignore 1: 2 different corners; a polygon has at least 3"),
        ({"size": [320, 240], "regions": [[[1, 1], [9, 9], [1, 1]]]}, "regions 1: 2 different corners"),
        (
            {"size": [320, 240], "regions": [[[0, 0], [321, 0], [0, 9]]]},
            "corner 321,0 is outside the frame of 320 x 240",
        ),
        ({"size": [320, 240], "ignore": [[[0, 0], [-1, 0], [0, 9]]]}, "greater than or equal to 0"),
        ({"size": [320, 240], "ignore": [[[0, 0], [5, 5], [9, 9]]]}, "crosses or touches itself"),
        ({"size": [320, 240], "ignore": [[[0, 0], [0.5, 0], [0, 0.5]]]}, "an area of 0.12 square pixels"),
        ('{"size": [320, 240], "ignore": [[[0, 0], [NaN, 0], [0, 9]]]}', "finite number|NaN|expected value"),
        ('{"size": [320, 240], "ignore": [[[0, 0], [1e999, 0], [0, 9]]]}', "finite number|out of range"),
        ({"size": [10**9, 240], "ignore": [STAR]}, "size 1: Input should be less than or equal to 65535"),
        ({"size": [65535, 65535], "ignore": [STAR]}, "at most 134217728 pixels"),
        ({"size": [320, 240], "ignore": [SQUARE] * 10_000}, f"10000 polygons in ignore, at most {MAX_AREAS}"),
        ({"size": [320, 240], "ignore": [[[i % 320, i / 100] for i in range(9000)]]}, "at most 501 items"),
        ({"size": [320, 240], "ignore": [SQUARE], "colour": 1}, "colour: Extra inputs are not permitted"),
        ({"size": [320, 240], "pixels": "AAAA"}, "its pixels are damaged"),
        ({"size": [320, 240], "pixels": pack(np.zeros((9, 9), np.bool_))}, "its pixels are not those of 320 x 240"),
        ("[" * 100_000, "not JSON"),
        ("{" + " " * 2_000_000 + "}", "2000002 bytes, at most 2000000 are right"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_bad_file_gets_one_line(tmp_path: Path, fields: object, message: str) -> None:
    path = write(tmp_path, fields)
    with pytest.raises(UsageError, match=message) as raised:
        read_mask(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_file_that_is_not_there_or_no_picture_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_mask(tmp_path / "none.json")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UsageError, match="neither a mask in JSON nor an image"):
        read_mask(tmp_path / "text.png")
    cv2.imwrite(str(tmp_path / "photo.png"), RNG.integers(0, 256, (60, 80), dtype=np.uint8))
    with pytest.raises(UsageError, match="neither black nor white"):
        read_mask(tmp_path / "photo.png")
    cv2.imwrite(str(tmp_path / "white.png"), np.full((60, 80), 255, np.uint8))
    with pytest.raises(UsageError, match="masks nothing"):
        read_mask(tmp_path / "white.png")
    cv2.imwrite(str(tmp_path / "noise.png"), (255 * RNG.integers(0, 2, (1000, 1000))).astype(np.uint8))
    with pytest.raises(UsageError, match="too many small areas"):
        read_mask(tmp_path / "noise.png")


def test_a_picture_is_a_mask_too_with_holes_and_at_another_size(tmp_path: Path) -> None:
    picture = np.full((240, 320), 255, np.uint8)
    cv2.circle(picture, (160, 120), 60, 0, -1)
    cv2.circle(picture, (160, 120), 20, 255, -1)
    cv2.imwrite(str(tmp_path / "mask.png"), picture)
    mask = read_mask(tmp_path / "mask.png")
    assert np.array_equal(mask.draw(320, 240), picture == 0)
    assert np.array_equal(mask.draw(640, 480), (picture == 0).repeat(2, 0).repeat(2, 1))
    smaller = mask.draw(160, 120)
    assert np.array_equal(smaller, (picture == 0).reshape(120, 2, 160, 2).any(axis=(1, 3)))
    assert np.array_equal(unpack(mask.pixels, mask.size), picture == 0)


def test_a_polygon_may_be_closed_by_its_first_corner(tmp_path: Path) -> None:
    closed = [*SQUARE, SQUARE[0]]
    mask = read_mask(write(tmp_path, {"size": [320, 240], "ignore": [closed]}))
    assert np.array_equal(mask.draw(320, 240), Mask(size=(320, 240), ignore=(SQUARE,)).draw(320, 240))


def test_heatmaps_hatch_what_is_masked_in_grey_and_never_blend_it_with_its_neighbours() -> None:
    cells = np.full((16, 16), 5.0, np.float32)
    cells[:, 8:] = NOT_INSPECTED
    values, hidden = enlarge(cells, (64, 64))
    assert (values[:, :32] == 5).all(), "hot up to the edge of the mask"
    assert np.array_equal(hidden, np.arange(64)[None].repeat(64, 0) >= 32)
    drawn = heatmap(np.full((64, 64, 1), 128, np.uint8), cells, 1.0).astype(int)
    saturation = drawn.max(axis=2) - drawn.min(axis=2)
    assert (saturation[:, 32:] <= 1).all()
    assert len(np.unique(drawn[:, 32:, 0])) == 2, "stripes"
    assert (saturation[:, :32] > 100).all()
    assert enlarge(np.ones((4, 4)), (8, 8))[1] is None
