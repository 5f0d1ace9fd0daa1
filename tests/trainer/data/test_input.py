"""What a model takes: size, colour and region, chosen from the images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_trainer.data.images import load_image, load_images
from andon_trainer.data.input import choose_input
from PIL import Image

from tests.fixtures.images import samples_of, save_noise

RNG = np.random.default_rng(0)


def test_one_image_of_another_size_is_named(tmp_path: Path) -> None:
    paths = [save_noise(tmp_path / f"{i:02}.png") for i in range(19)]
    odd = save_noise(tmp_path / "odd.png", width=32)
    with pytest.raises(UsageError, match=r"odd\.png: 32 x 48 pixels, 19 of 20 images are 64 x 48"):
        choose_input(samples_of(*paths, odd), side=64)
    assert choose_input(samples_of(*paths, odd), side=64, any_size=True).frame_size is None


def test_one_image_of_another_colour_is_named(tmp_path: Path) -> None:
    paths = [save_noise(tmp_path / f"{i:02}.png") for i in range(9)]
    odd = save_noise(tmp_path / "odd.png", channels=3)
    with pytest.raises(UsageError, match=r"odd\.png: colour, 9 of 10 images are grey"):
        choose_input(samples_of(*paths, odd), side=64)
    assert choose_input(samples_of(*paths, odd), side=64, colour="grey").channels == 1


def test_input_keeps_the_aspect_ratio_in_multiples_of_32(tmp_path: Path) -> None:
    spec = choose_input(samples_of(save_noise(tmp_path / "0.png", width=550, height=380)), side=256)
    assert (spec.width, spec.height) == (320, 224)
    assert spec.frame_size == (550, 380)


def test_sizes_that_vary_give_a_square_input_and_no_size_to_insist_on(tmp_path: Path) -> None:
    paths = [save_noise(tmp_path / f"{i}.png", width=100 + 20 * i, height=300 - 20 * i) for i in range(8)]
    spec = choose_input(samples_of(*paths), side=128)
    assert (spec.width, spec.height, spec.frame_size) == (128, 128, None)


def test_small_images_are_not_enlarged_beyond_the_next_multiple(tmp_path: Path) -> None:
    spec = choose_input(samples_of(save_noise(tmp_path / "0.png", width=100, height=90)), side=256)
    assert (spec.width, spec.height) == (128, 96)


def test_grey_images_stored_as_colour_are_grey(tmp_path: Path) -> None:
    grey = RNG.integers(0, 255, (48, 64), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "0.png"), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
    assert choose_input(samples_of(tmp_path / "0.png"), side=64).channels == 1


def test_region_outside_the_image_is_refused(tmp_path: Path) -> None:
    path = save_noise(tmp_path / "0.png", width=64, height=48)
    with pytest.raises(UsageError, match="smaller than the region of interest 40,20,32,32"):
        choose_input(samples_of(path), side=64, region=(40, 20, 32, 32))


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
    spec = choose_input(
        samples_of(save_noise(tmp_path / "0.jpg", width=size[0], height=size[1])), side=64, region=region
    )
    assert spec.reduction == reduction
    assert load_images(samples_of(tmp_path / "0.jpg"), spec).shape == (1, spec.height, spec.width, 1)


def test_twelve_bit_images_use_their_own_white_level(tmp_path: Path) -> None:
    ramp = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "0.png"), ramp)
    spec = choose_input(samples_of(tmp_path / "0.png"), side=64)
    assert spec.white_level == 4095
    image = load_image(tmp_path / "0.png", spec)
    assert image.min() == 0
    assert image.max() == 255


def test_exif_rotation_is_honoured(tmp_path: Path) -> None:
    picture = Image.fromarray(RNG.integers(0, 255, (64, 128), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    picture.save(tmp_path / "0.jpg", exif=exif)
    spec = choose_input(samples_of(tmp_path / "0.jpg"), side=128)
    assert spec.frame_size == (64, 128)
    assert load_image(tmp_path / "0.jpg", spec).shape == (spec.height, spec.width, 1)
