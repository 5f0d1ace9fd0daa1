"""Folders of images: what is found, what is refused, what size a model takes."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_trainer.data.dataset import (
    Sample,
    choose_input,
    fingerprint,
    good_samples,
    load_image,
    load_images,
    load_mask,
    open_dataset,
)
from PIL import Image

RNG = np.random.default_rng(0)


def save(path: Path, width: int = 64, height: int = 48, channels: int = 1, dtype: type = np.uint8) -> Path:
    """Write an image of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width) if channels == 1 else (height, width, channels)
    cv2.imwrite(str(path), RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype))
    return path


def samples(*paths: Path) -> list[Sample]:
    return [Sample(path, "good") for path in paths]


def test_mvtec_layout_is_read_with_its_masks(tmp_path: Path) -> None:
    save(tmp_path / "train/good/0.png")
    save(tmp_path / "test/good/0.png")
    save(tmp_path / "test/scratch/7.png")
    mask = save(tmp_path / "ground_truth/scratch/7_mask.png")
    dataset = open_dataset(tmp_path)
    assert [sample.label for sample in dataset.train] == ["good"]
    assert [(sample.label, sample.mask) for sample in dataset.test] == [("good", None), ("scratch", mask)]


def test_plain_folder_is_all_good(tmp_path: Path) -> None:
    save(tmp_path / "b.JPG")
    save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("not an image")
    dataset = open_dataset(tmp_path)
    assert [sample.path.name for sample in dataset.train] == ["a.png", "b.JPG"]
    assert dataset.test == ()


def test_folder_of_kinds_can_be_evaluated(tmp_path: Path) -> None:
    save(tmp_path / "good/0.png")
    save(tmp_path / "dent/0.png")
    dataset = open_dataset(tmp_path)
    assert {sample.label for sample in dataset.test} == {"good", "dent"}
    assert [sample.label for sample in dataset.train] == ["good"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "nowhere", "no such folder"),
        (lambda root: save(root / "file.png"), "a file; give a folder"),
        (lambda root: root, "no images in it"),
    ],
)
def test_what_is_not_a_folder_of_images_is_refused(tmp_path: Path, make, message: str) -> None:
    path = make(tmp_path)
    with pytest.raises(UsageError, match=message):
        open_dataset(path)


def test_only_defects_is_refused_and_names_the_kinds(tmp_path: Path) -> None:
    for i in range(9):
        save(tmp_path / f"test/scratch/{i}.png")
    with pytest.raises(UsageError, match="only scratch"):
        good_samples(open_dataset(tmp_path))


def test_three_images_are_too_few(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"{i}.png")
    with pytest.raises(UsageError, match="3 images of good parts, at least 8"):
        good_samples(open_dataset(tmp_path))


def test_one_image_of_another_size_is_named(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i:02}.png") for i in range(19)]
    odd = save(tmp_path / "odd.png", width=32)
    with pytest.raises(UsageError, match=r"odd\.png: 32 x 48 pixels, 19 of 20 images are 64 x 48"):
        choose_input(samples(*paths, odd), side=64)
    assert choose_input(samples(*paths, odd), side=64, any_size=True).frame_size is None


def test_one_image_of_another_colour_is_named(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i:02}.png") for i in range(9)]
    odd = save(tmp_path / "odd.png", channels=3)
    with pytest.raises(UsageError, match=r"odd\.png: colour, 9 of 10 images are grey"):
        choose_input(samples(*paths, odd), side=64)
    assert choose_input(samples(*paths, odd), side=64, colour="grey").channels == 1


def test_damaged_image_is_named(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.jpg") for i in range(9)]
    spec = choose_input(samples(*paths), side=64)
    paths[4].write_bytes(paths[4].read_bytes()[:400])
    with pytest.raises(UsageError, match=r"4\.jpg: truncated"):
        load_images(samples(*paths), spec)
    paths[4].write_bytes(b"not an image at all")
    with pytest.raises(UsageError, match=r"4\.jpg: not an image"):
        choose_input(samples(*paths), side=64)


def test_input_keeps_the_aspect_ratio_in_multiples_of_32(tmp_path: Path) -> None:
    spec = choose_input(samples(save(tmp_path / "0.png", width=550, height=380)), side=256)
    assert (spec.width, spec.height) == (320, 224)
    assert spec.frame_size == (550, 380)


def test_sizes_that_vary_give_a_square_input_and_no_size_to_insist_on(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{i}.png", width=100 + 20 * i, height=300 - 20 * i) for i in range(8)]
    spec = choose_input(samples(*paths), side=128)
    assert (spec.width, spec.height, spec.frame_size) == (128, 128, None)


def test_small_images_are_not_enlarged_beyond_the_next_multiple(tmp_path: Path) -> None:
    spec = choose_input(samples(save(tmp_path / "0.png", width=100, height=90)), side=256)
    assert (spec.width, spec.height) == (128, 96)


@pytest.mark.parametrize(
    ("size", "region", "reduction"),
    [
        ((640, 640), None, 4),  # at 80 x 80 it would be less than twice the model's 64
        ((250, 250), None, 1),
        ((640, 640), (8, 16, 320, 320), 2),
        ((640, 640), (8, 16, 321, 320), 1),  # not to be found again at a half
    ],
)
def test_jpegs_are_decoded_at_a_part_of_their_size_where_that_is_still_twice_the_models(
    tmp_path: Path, size: tuple[int, int], region: tuple[int, int, int, int] | None, reduction: int
) -> None:
    spec = choose_input(samples(save(tmp_path / "0.jpg", width=size[0], height=size[1])), side=64, region=region)
    assert spec.reduction == reduction
    assert load_images(samples(tmp_path / "0.jpg"), spec).shape == (1, spec.height, spec.width, 1)


def test_grey_images_stored_as_colour_are_grey(tmp_path: Path) -> None:
    grey = RNG.integers(0, 255, (48, 64), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "0.png"), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    assert choose_input(samples(tmp_path / "0.png"), side=64).channels == 1


def test_twelve_bit_images_use_their_own_white_level(tmp_path: Path) -> None:
    ramp = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "0.png"), ramp)
    spec = choose_input(samples(tmp_path / "0.png"), side=64)
    assert spec.white_level == 4095
    image = load_image(tmp_path / "0.png", spec)
    assert image.min() == 0
    assert image.max() == 255


def test_exif_rotation_is_honoured(tmp_path: Path) -> None:
    picture = Image.fromarray(RNG.integers(0, 255, (64, 128), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    picture.save(tmp_path / "0.jpg", exif=exif)
    spec = choose_input(samples(tmp_path / "0.jpg"), side=128)
    assert spec.frame_size == (64, 128)
    assert load_image(tmp_path / "0.jpg", spec).shape == (spec.height, spec.width, 1)


def test_region_crops_image_and_mask_alike(tmp_path: Path) -> None:
    image = np.zeros((100, 100), np.uint8)
    image[20:52, 40:72] = 255
    cv2.imwrite(str(tmp_path / "0.png"), image)
    spec = choose_input(samples(tmp_path / "0.png"), side=64, region=(40, 20, 32, 32))
    assert load_image(tmp_path / "0.png", spec).min() == 255
    assert load_mask(tmp_path / "0.png", spec).all()


def test_region_outside_the_image_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "0.png", width=64, height=48)
    with pytest.raises(UsageError, match="smaller than the region of interest 40,20,32,32"):
        choose_input(samples(path), side=64, region=(40, 20, 32, 32))


def test_fingerprint_names_the_content_not_the_names(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a.png"), save(tmp_path / "b.png")
    before = fingerprint(samples(a, b))
    renamed = a.rename(tmp_path / "z.png")
    assert fingerprint(samples(b, renamed)) == before
    save(b)
    assert fingerprint(samples(b, renamed)) != before
