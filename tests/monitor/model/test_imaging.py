import io
from typing import Any

import cv2
import numpy as np
import pytest
from andon_monitor.errors import ImageError
from andon_monitor.image_files.decoding import DecodingLimits, decode, decode_values, read_header
from andon_monitor.model.card import InputSpec
from andon_monitor.model.imaging import brightness, load, prepare, sharpness
from PIL import Image

from tests.fixtures.images import bomb
from tests.fixtures.small_model import draw, encode

COLOUR = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_lossless_formats_give_the_same_pixels_in_rgb_order(suffix: str) -> None:
    assert np.array_equal(decode(encode(COLOUR, suffix), 3), COLOUR[:, :, ::-1])


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_give_nearly_the_same_pixels(suffix: str) -> None:
    smooth = cv2.GaussianBlur(COLOUR, (0, 0), 4)
    assert np.abs(decode(encode(smooth, suffix), 3).astype(int) - smooth[:, :, ::-1]).mean() < 4


def test_a_grey_file_fills_three_channels_and_a_colour_file_one() -> None:
    grey = draw(0)
    assert np.array_equal(decode(encode(grey), 3), np.repeat(grey[:, :, None], 3, axis=2))
    assert decode(encode(COLOUR), 1).shape == (40, 60, 1)


@pytest.mark.parametrize(("white_level", "expected"), [(4095, 255), (65535, 16)])
def test_16_bit_images_are_scaled_by_the_white_level(white_level: int, expected: int) -> None:
    image = np.full((20, 20), 4095, np.uint16)
    assert read_header(encode(image)).depth == 16
    assert np.all(decode(encode(image), 1, (0, white_level)) == expected)


def test_levels_that_begin_above_0_spread_a_narrow_range_and_say_nothing_of_8_bits() -> None:
    image = np.linspace(28900, 29600, 400).reshape(20, 20).astype(np.uint16)
    seen = decode(encode(image), 1, (29000, 29510))[..., 0]
    assert np.array_equal(seen, np.clip((image.astype(int) - 29000) / 2, 0, 255).round())
    assert np.array_equal(decode_values(encode(image))[..., 0], image)
    with pytest.raises(ImageError, match="8 bits a channel, the model was trained on 16, of which 29000 is black"):
        decode(encode(draw(0)), 1, (29000, 29510))
    assert decode(encode(draw(0)), 1, (0, 4095)).max() > 200


def test_exif_rotation_is_applied() -> None:
    image = Image.fromarray(draw(0)[:, :32])
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    assert decode(buffer.getvalue(), 1).shape == (32, 64, 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_undecodable(suffix: str, share: float) -> None:
    data = encode(draw(0), suffix)
    with pytest.raises(ImageError) as caught:
        decode(data[: int(share * len(data))], 1)
    assert caught.value.reason == "undecodable"


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_even_the_last_bytes_must_be_there(suffix: str) -> None:
    """Decoders differ in what they make of a file without its end marker."""
    with pytest.raises(ImageError, match="truncated image: its end is missing"):
        decode(encode(draw(0), suffix)[:-8], 1)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": True}, {"comment": b"x" * 60000}])
@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "L"), ("JPEG", "RGB"), ("PNG", "RGB")])
def test_the_size_of_a_frame_is_known_before_it_is_decoded(kind: str, mode: str, options: dict[str, Any]) -> None:
    image = Image.new(mode, (321, 123))
    if "exif" in options:
        thumbnail = io.BytesIO()
        Image.new("L", (8, 9)).save(thumbnail, "JPEG")
        options = {"exif": b"Exif\0\0" + thumbnail.getvalue()}
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    header = read_header(buffer.getvalue())
    assert (header.width, header.height) == (321, 123)
    with pytest.raises(ImageError, match="321 x 123 pixels") as caught:
        decode(buffer.getvalue(), 1, limits=DecodingLimits(321 * 123 - 1))
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"not an image", "undecodable"),
        (b"\xff\xd8\xff\xe0 no more of a JPEG \xff\xd9", "undecodable"),
        (b"\x89PNG\r\n\x1a\n", "undecodable"),
        (b"GIF89a" + bytes(100), "undecodable"),
        (bomb(), "too_large"),
        (bomb(7072, 7072), "too_large"),
    ],
)
def test_what_cannot_be_decoded_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode(data, 1)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_the_region_is_cropped_before_the_resize() -> None:
    image = np.zeros((64, 64, 1), np.uint8)
    image[10:42, 20:52] = 200
    spec = InputSpec(height=32, width=32, channels=1, region=(20, 10, 32, 32))
    assert np.all(prepare(image, spec) == 200)


def test_shrinking_averages_areas() -> None:
    board = np.indices((64, 64)).sum(axis=0)[:, :, None] % 2 * np.uint8(200)
    assert np.all(prepare(board.astype(np.uint8), InputSpec(height=32, width=32, channels=1)) == 100)


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(height=32, width=32, channels=3),
        InputSpec(height=32, width=32, channels=1, frame_size=(64, 48)),
        InputSpec(height=32, width=32, channels=1, region=(40, 0, 32, 32)),
    ],
)
def test_a_frame_that_does_not_fit_the_model_is_of_the_wrong_shape(spec: InputSpec) -> None:
    with pytest.raises(ImageError) as caught:
        prepare(draw(0)[:, :, None], spec)
    assert caught.value.reason == "wrong_shape"


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_is_the_mean_and_sharpness_falls_with_blur(channels: int) -> None:
    spec = InputSpec(height=64, width=64, channels=channels)
    sharp = load(encode(draw(0)), spec)
    blurred = load(encode(cv2.GaussianBlur(draw(0), (0, 0), 2)), spec)
    assert brightness(sharp) == pytest.approx(draw(0).mean() / 255, abs=1e-6)
    assert sharpness(blurred) < 0.1 * sharpness(sharp)
    assert sharpness(np.full((64, 64, channels), 90, np.uint8)) == 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_jpeg_decoded_at_a_part_of_its_size_shows_nearly_the_same(channels: int, reduction: int) -> None:
    """And a model's input made from it differs by less than grey levels that noise moves."""
    picture = cv2.resize(cv2.GaussianBlur(COLOUR, (0, 0), 2), (643, 485), interpolation=cv2.INTER_CUBIC)
    data = encode(picture, ".jpg")
    assert decode(data, channels, reduction=reduction).shape == (-(-485 // reduction), -(-643 // reduction), channels)
    size = {"height": 480 // reduction // 2, "width": 640 // reduction // 2}
    spec = InputSpec(**size, channels=channels, frame_size=(643, 485), reduction=reduction)
    whole = load(data, spec.model_copy(update={"reduction": 1}))
    reduced = load(data, spec)
    assert reduced.shape == whole.shape
    assert np.abs(reduced.astype(int) - whole).mean() < 1.5


def test_a_reduced_frame_has_its_region_where_the_whole_has_it_and_its_size_is_checked() -> None:
    picture = np.zeros((480, 640), np.uint8)
    picture[160:320, 320:480] = 200
    spec = InputSpec(height=32, width=32, channels=1, frame_size=(640, 480), region=(320, 160, 160, 160), reduction=2)
    assert load(encode(picture, ".jpg"), spec).min() > 190
    assert np.all(load(encode(picture, ".png"), spec) == 200)  # another format is decoded whole
    for data in (encode(picture[:, :400], ".jpg"), encode(picture.T, ".jpg")):
        with pytest.raises(ImageError, match="the model was trained on 640 x 480") as caught:
            load(data, spec)
        assert caught.value.reason == "wrong_shape"


def test_exif_rotation_is_applied_to_a_reduced_jpeg_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    buffer = io.BytesIO()
    Image.fromarray(draw(0)[:, :32]).save(buffer, "JPEG", exif=exif)
    assert decode(buffer.getvalue(), 1, reduction=2).shape == (16, 32, 1)
