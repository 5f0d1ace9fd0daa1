"""What a model takes: size, colour and region, chosen from the images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DecodingLimits
from andon_monitor.sources.industrial.pixel_formats import encode_pnm
from andon_trainer.data.images import ImageCache, load_image, load_images
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


def grey_parts(folder: Path, count: int) -> list[Path]:
    """Grey images, in turn as JPEG of one channel, JPEG of three, PNG of three, PNG with a palette of greys."""
    paths = []
    for i in range(count):
        grey = (120 + 40 * RNG.random((96, 96))).astype(np.uint8)
        paths.append(folder / f"{i:02}.{('jpg', 'jpg', 'png', 'png')[i % 4]}")
        if i % 4 == 3:
            Image.fromarray(grey).convert("P").save(paths[-1])
        else:
            cv2.imwrite(str(paths[-1]), grey if i % 4 == 0 else cv2.merge([grey] * 3))
    return paths


def test_a_folder_of_grey_pictures_is_grey_however_each_was_saved(tmp_path: Path) -> None:
    paths = grey_parts(tmp_path, 24)
    spec = choose_input(samples_of(*paths), side=64)
    assert spec.channels == 1
    as_grey = load_image(paths[0], spec)
    Image.open(paths[0]).convert("RGB").save(tmp_path / "rgb.png")
    assert np.array_equal(load_image(tmp_path / "rgb.png", spec), as_grey)


def test_grey_of_which_a_jpeg_changed_a_few_pixels_is_grey_and_a_lamp_is_a_colour(tmp_path: Path) -> None:
    picture = cv2.merge([RNG.integers(60, 180, (600, 800), dtype=np.uint8)] * 3)
    slight = np.clip(picture + RNG.integers(-2, 3, picture.shape), 0, 255).astype(np.uint8)
    slight[:10, :10, 0] -= 7
    lamp = picture.copy()
    lamp[300:304, 300:304] = (20, 20, 230)
    for name, image, channels in (("slight", slight, 1), ("lamp", lamp, 3)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
        assert choose_input(samples_of(tmp_path / f"{name}.png"), side=64).channels == channels


def test_one_picture_with_colours_among_grey_ones_that_were_saved_as_colour_is_named(tmp_path: Path) -> None:
    grey = [cv2.merge([RNG.integers(0, 255, (48, 64), dtype=np.uint8)] * 3) for _ in range(19)]
    paths = [tmp_path / f"{i:02}.png" for i in range(19)]
    for path, image in zip(paths, grey, strict=True):
        cv2.imwrite(str(path), image)
    odd = save_noise(tmp_path / "odd.png", channels=3)
    with pytest.raises(UsageError, match=r"odd\.png: colour, 19 of 20 images are grey"):
        choose_input(samples_of(*paths, odd), side=64)


def test_a_colour_camera_may_take_a_few_pictures_without_colours(tmp_path: Path) -> None:
    paths = [save_noise(tmp_path / f"{i}.png", channels=3) for i in range(8)]
    cv2.imwrite(str(tmp_path / "dark.png"), np.zeros((48, 64, 3), np.uint8))
    assert choose_input(samples_of(tmp_path / "dark.png", *paths), side=64).channels == 3


def test_an_image_beyond_the_limits_is_named(tmp_path: Path) -> None:
    paths = [save_noise(tmp_path / f"{i}.png") for i in range(8)]
    large = save_noise(tmp_path / "large.png", width=640)
    files = ImageCache(limits=DecodingLimits(max_pixels=10_000))
    with pytest.raises(UsageError, match=r"large\.png: 640 x 48 pixels, at most 10000 pixels are allowed"):
        choose_input(samples_of(*paths, large), side=64, files=files)


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


def test_the_white_level_of_a_pgm_is_the_one_it_says_also_where_the_scene_is_dark(tmp_path: Path) -> None:
    ramp = np.linspace(0, 900, 64 * 64).reshape(64, 64, 1).astype(np.uint16)
    (tmp_path / "0.pgm").write_bytes(encode_pnm(ramp, 4095))
    spec = choose_input(samples_of(tmp_path / "0.pgm"), side=64)
    assert (spec.black_level, spec.white_level) == (0, 4095)
    assert load_image(tmp_path / "0.pgm", spec).max() == round(900 / 4095 * 255)


def test_exif_rotation_is_honoured(tmp_path: Path) -> None:
    picture = Image.fromarray(RNG.integers(0, 255, (64, 128), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    picture.save(tmp_path / "0.jpg", exif=exif)
    spec = choose_input(samples_of(tmp_path / "0.jpg"), side=128)
    assert spec.frame_size == (64, 128)
    assert load_image(tmp_path / "0.jpg", spec).shape == (spec.height, spec.width, 1)
