"""Training images that show nothing, or all the same, are refused before anything is learned."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_trainer.data.images import ImageCache
from andon_trainer.data.input import choose_input
from andon_trainer.data.pictures import check_pictures
from numpy.typing import NDArray

from tests.fixtures.commands import refused
from tests.fixtures.images import plates, samples_of

RNG = np.random.default_rng(0)
PARTS = plates(12)[..., 0]
PICTURE = PARTS[0]


def check(paths: list[Path]) -> None:
    samples, files = samples_of(*paths), ImageCache()
    check_pictures(samples, files.frames(samples, choose_input(samples, 64, files=files)), files)


def write(folder: Path, images: list[NDArray[np.generic]], suffixes: tuple[str, ...] = ("png",)) -> list[Path]:
    paths = [folder / f"{i:02}.{suffixes[i % len(suffixes)]}" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        cv2.imwrite(str(path), image)
    return paths


def test_parts_and_parts_on_a_dark_field_are_worth_learning(tmp_path: Path) -> None:
    check(write(tmp_path, list(PARTS)))
    check(write(tmp_path, [part // 10 for part in PARTS]))


@pytest.mark.parametrize(
    ("shade", "value", "kind"),
    [
        ("black", 0, np.uint8),
        ("white", 255, np.uint8),
        ("one shade", 90, np.uint8),
        ("black", 0, np.uint16),
        ("white", 65535, np.uint16),
        ("one shade", 29000, np.uint16),
    ],
)
def test_images_that_show_nothing_are_refused(tmp_path: Path, shade: str, value: int, kind: type) -> None:
    images: list[NDArray[np.generic]] = [np.full((64, 96), value, kind) for _ in range(12)]
    for i, image in enumerate(images):
        image[5, i] = np.iinfo(kind).max // 2  # a hot pixel
    with pytest.raises(UsageError, match=rf"12 of 12 images show nothing, .*: 00\.png \({shade}\), 01\.png"):
        check(write(tmp_path, images))


def test_noise_of_a_sensor_behind_a_lens_cap_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="show nothing"):
        check(write(tmp_path, [RNG.integers(0, 3, (64, 96)).astype(np.uint8) for _ in range(12)]))


def test_colour_of_one_shade_shows_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="show nothing"):
        check(write(tmp_path, [np.full((64, 96, 3), (200, 20, 90), np.uint8) for _ in range(12)]))


def test_mostly_nothing_is_refused_and_one_blank_image_is_not(tmp_path: Path) -> None:
    black = np.zeros_like(PICTURE)
    check(write(tmp_path, [*PARTS, black]))
    with pytest.raises(UsageError, match="2 of 9 images show nothing"):
        check(write(tmp_path, [*PARTS[:7], black, black]))
    with pytest.raises(UsageError, match="13 of 25 images show nothing"):
        check(write(tmp_path, [*PARTS, *[black] * 13]))


@pytest.mark.parametrize(
    "suffixes", [("png",), ("png", "bmp", "tif"), ("png", "jpg"), ("jpg", "webp"), ("png", "jpg", "bmp", "tif")]
)
def test_one_picture_many_times_is_refused_in_whatever_formats(tmp_path: Path, suffixes: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"24 images, but only 1 different picture, .* copies are 01"):
        check(write(tmp_path, [PICTURE] * 24, suffixes))


def test_one_picture_as_grey_and_as_colour_is_one(tmp_path: Path) -> None:
    images = [PICTURE if i % 2 else cv2.merge([PICTURE] * 3) for i in range(12)]
    with pytest.raises(UsageError, match="only 1 different picture"):
        check(write(tmp_path, images))


def test_a_picture_whose_files_differ_is_one(tmp_path: Path) -> None:
    for i in range(12):
        cv2.imwrite(str(tmp_path / f"{i}.png"), PICTURE, [cv2.IMWRITE_PNG_COMPRESSION, i % 10])
    with pytest.raises(UsageError, match="only 1 different picture"):
        check(sorted(tmp_path.glob("*.png")))


def test_a_picture_saved_in_several_qualities_is_one(tmp_path: Path) -> None:
    for i in range(12):
        cv2.imwrite(str(tmp_path / f"{i:02}.jpg"), PICTURE, [cv2.IMWRITE_JPEG_QUALITY, 50 + 4 * i])
    with pytest.raises(UsageError, match="only 1 different picture"):
        check(sorted(tmp_path.glob("*.jpg")))


def test_parts_in_one_and_in_several_qualities_are_different_pictures(tmp_path: Path) -> None:
    for i, part in enumerate(PARTS):
        cv2.imwrite(str(tmp_path / f"{i:02}.jpg"), part, [cv2.IMWRITE_JPEG_QUALITY, 50 + 4 * (i // 2)])
    check(sorted(tmp_path.glob("*.jpg")))


def test_few_pictures_many_times_are_refused_and_eight_are_enough(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="21 images, but only 7 different pictures, at least 8"):
        check(write(tmp_path, [*PARTS[:7]] * 3))
    check(write(tmp_path, [*PARTS[:8]] * 3))


def test_photographs_of_a_still_part_are_different_pictures(tmp_path: Path) -> None:
    noisy = [np.clip(PICTURE + RNG.normal(0, 1, PICTURE.shape), 0, 255).round().astype(np.uint8) for _ in range(9)]
    check(write(tmp_path, noisy))


@pytest.mark.parametrize("architecture", [("--side", "64"), (), ("--architecture", "dense", "--layers", "784-32-784")])
def test_fit_says_so_in_one_line_and_writes_nothing(tmp_path: Path, architecture: tuple[str, ...]) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    write(folder, [PICTURE] * 12)
    said = refused("fit", folder, "-o", tmp_path / "m.onnx", "--threads", "1", "--device", "cpu", *architecture)
    assert "12 images, but only 1 different picture" in said
    assert "\n" not in said
    assert not (tmp_path / "m.onnx").exists()


def test_calibrate_says_so_too(model_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    write(folder, [np.zeros((384, 384), np.uint8)] * 12)
    assert "show nothing" in refused("calibrate", model_file, folder, "-o", tmp_path / "m.onnx")
