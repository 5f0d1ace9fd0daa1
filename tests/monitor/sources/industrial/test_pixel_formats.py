"""Each pixel format against a reference that reads it bit by bit with plain integers."""

from typing import Any

import numpy as np
import pytest
from andon_monitor.errors import ImageError
from andon_monitor.image_files.decoding import decode, decode_values, read_header
from andon_monitor.sources.industrial.pixel_formats import (
    BAYER,
    FORMATS,
    SAMPLES,
    PixelFormat,
    decode_pixels,
    encode_pnm,
    find_format,
)

# Of these pypylon has no name: the code follows from the pattern of its neighbours in PFNC's list.
UNNAMED = {"Mono14", "BGR16", "YCbCr422_8", "YCbCr422_8_CbYCrY"} | {
    f"Bayer{c}10Packed" for c in ("GR", "RG", "GB", "BG")
}
WIDTH, HEIGHT = 6, 4


def stored_values(data: bytes, count: int, known: PixelFormat) -> list[int]:
    """The values in memory, one bit after the other."""
    found = []
    for i in range(count):
        if known.packing == "p":
            bits = [data[place // 8] >> (place % 8) & 1 for place in range(i * known.bits, (i + 1) * known.bits)]
            found.append(sum(bit << place for place, bit in enumerate(bits)))
        elif known.packing == "packed":
            low = known.bits - 8
            high = data[i // 2 * 3 + (2 if i % 2 else 0)]
            middle = data[i // 2 * 3 + 1]
            found.append(high * 2**low + (middle // (16 if i % 2 else 1)) % 2**low)
        else:
            size = 1 if known.bits == 8 else 2
            found.append(int.from_bytes(data[i * size : (i + 1) * size], "little"))
    return found


def reference(data: bytes, known: PixelFormat) -> dict[tuple[int, int], tuple[float, ...]]:
    """Colours by row and column; of a Bayer pattern only those pixels with all neighbours."""
    samples = SAMPLES.get(known.colour, 1)
    values = stored_values(data, WIDTH * HEIGHT * samples, known)
    at = {
        (y, x): values[(y * WIDTH + x) * samples : (y * WIDTH + x + 1) * samples]
        for y in range(HEIGHT)
        for x in range(WIDTH)
    }
    if known.colour in BAYER:
        return demosaiced({place: value[0] for place, value in at.items()}, known.colour)
    if known.colour in ("YUYV", "UYVY"):
        return {place: full_range(at, place, known.colour) for place in at}
    order = {"grey": (0,), "RGB": (0, 1, 2), "RGBA": (0, 1, 2), "BGR": (2, 1, 0), "BGRA": (2, 1, 0)}[known.colour]
    return {place: tuple(value[i] for i in order) for place, value in at.items()}


def demosaiced(at: dict[tuple[int, int], int], pattern: str) -> dict[tuple[int, int], tuple[float, ...]]:
    """Each colour as the mean of its nearest pixels."""
    found = {}
    for y in range(1, HEIGHT - 1):
        for x in range(1, WIDTH - 1):
            near: dict[str, dict[int, list[int]]] = {colour: {} for colour in "RGB"}
            for j in (-1, 0, 1):
                for i in (-1, 0, 1):
                    colour = pattern[(y + j) % 2 * 2 + (x + i) % 2]
                    near[colour].setdefault(i * i + j * j, []).append(at[y + j, x + i])
            nearest = [near[colour][min(near[colour])] for colour in "RGB"]
            found[y, x] = tuple(sum(some) / len(some) for some in nearest)
    return found


def full_range(at: dict[tuple[int, int], list[int]], place: tuple[int, int], colour: str) -> tuple[float, ...]:
    """RGB by the formula of JFIF 1.02."""
    y, x = place
    luma, chroma = (0, 1) if colour == "YUYV" else (1, 0)
    light, cb, cr = at[place][luma], at[y, x - x % 2][chroma] - 128, at[y, x - x % 2 + 1][chroma] - 128
    rgb = light + 1.402 * cr, light - 0.344136 * cb - 0.714136 * cr, light + 1.772 * cb
    return tuple(min(255.0, max(0.0, value)) for value in rgb)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_each_format_is_decoded_as_bit_by_bit(known: PixelFormat) -> None:
    rng = np.random.default_rng(known.code)
    data = bytearray(rng.integers(0, 256, known.size(WIDTH, HEIGHT), np.uint8).tobytes())
    if known.packing == "whole" and known.bits > 8:
        data[1::2] = bytes(value % 2 ** (known.bits - 8) for value in data[1::2])  # the high bits are 0
    image = decode_pixels(bytes(data) + b"chunks", WIDTH, HEIGHT, known)
    expected = reference(bytes(data), known)
    for (y, x), colour in expected.items():
        assert image[y, x].tolist() == pytest.approx(colour, abs=1.0 if len(colour) == 3 else 0), (y, x)
    assert int(image.max()) <= known.white
    file = encode_pnm(image, known.white)
    header = read_header(file)
    assert header.levels == known.white == 2**known.bits - 1
    assert np.array_equal(decode_values(file), image)
    assert find_format(known.code) is known
    assert known.code >> 16 & 0xFF == known.stored_bits  # PFNC's codes say the bits of a pixel


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
def test_codes_are_those_of_the_makers_library(known: PixelFormat, pylon: Any) -> None:
    names = {
        name.removeprefix("PixelType_").lower()
        for name in dir(pylon)
        if name.startswith("PixelType_") and getattr(pylon, name) & 0xFFFFFFFF == known.code
    }
    if known.name in UNNAMED:
        assert not names
        return
    old = {"YUV422_8": "yuv422_yuyv_packed", "YUV422_8_UYVY": "yuv422packed"}
    assert names & {
        known.name.lower(),
        f"{known.name.lower()}packed",
        f"{known.name[:3]}A8packed".lower(),
        old.get(known.name),
    }


def test_white_is_white_in_every_depth() -> None:
    for name, raw in (("Mono10p", b"\xff" * 5), ("Mono12Packed", b"\xff" * 6), ("Mono12", b"\xff\x0f" * 4)):
        known = next(known for known in FORMATS if known.name == name)
        image = decode_pixels(raw, 2, 2, known)
        assert decode(encode_pnm(image, known.white), 1).tolist() == [[[255], [255]], [[255], [255]]]


def test_values_that_the_format_cannot_have_are_damage() -> None:
    known = next(known for known in FORMATS if known.name == "Mono12")
    with pytest.raises(ImageError, match="values above 4095"):
        decode(encode_pnm(decode_pixels(b"\xff\xff" * 4, 2, 2, known), known.white), 1)


@pytest.mark.parametrize("name", ["Mono8", "Mono10p", "Mono12Packed", "BayerRG8"])
def test_padding_at_the_end_of_rows_is_left_out(name: str) -> None:
    known = next(known for known in FORMATS if known.name == name)
    width, height = 8, 6  # of all formats a row of 8 pixels ends with a whole byte
    plain = np.random.default_rng(1).integers(0, 256, known.size(width, height), np.uint8)
    padded = np.pad(plain.reshape(height, -1), ((0, 0), (0, 3)), constant_values=255)
    assert known.size(width, height, 3) == padded.size
    image = decode_pixels(padded.tobytes(), width, height, known, 3)
    assert np.array_equal(image, decode_pixels(plain.tobytes(), width, height, known))


def test_an_odd_number_of_packed_pixels() -> None:
    for name in ("Mono10p", "Mono12p", "Mono10Packed", "Mono12Packed"):
        known = next(known for known in FORMATS if known.name == name)
        data = bytes(range(1, 1 + known.size(3, 3)))
        read = decode_pixels(data, 3, 3, known).ravel().tolist()
        assert read == stored_values(data + bytes(3), 9, known)


@pytest.mark.parametrize(
    ("name", "width", "height", "size"),
    [("Mono8", 3, 3, 8), ("Mono12p", 4, 4, 23), ("Mono8", 0, 4, 9), ("BayerRG8", 1, 8, 8), ("YUV422_8", 3, 2, 12)],
)
def test_what_cannot_be_an_image_is_refused(name: str, width: int, height: int, size: int) -> None:
    known = next(known for known in FORMATS if known.name == name)
    with pytest.raises(ValueError, match=r"pixels"):
        decode_pixels(bytes(size), width, height, known)


def test_an_unknown_format_is_none() -> None:
    assert find_format(0x02180020) is None
