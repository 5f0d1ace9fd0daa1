"""Every kind of image file is read as what it is, or refused by name; damage is reported; claims cost nothing."""

import io
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from andon_monitor.errors import ImageError
from andon_monitor.image_files import decoding, jpeg
from andon_monitor.image_files.decoding import (
    DEFAULT_MAX_BYTES,
    DEFAULT_MAX_PIXELS,
    DecodingLimits,
    decode,
    read_header,
)
from andon_monitor.image_files.png import MAX_CHUNKS
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.monitor.image_files.bombs import COLOUR, RNG, bombs, png, progressive, saved

GREY = cv2.cvtColor(COLOUR, cv2.COLOR_RGB2GRAY)
DEEP = (20000 + RNG.random((64, 80, 3)) * 40000).astype(np.uint16)


def encoded(suffix: str, pixels: NDArray[Any], *options: int) -> bytes:
    """A file as OpenCV writes it; RGB, or one channel."""
    ordered = pixels[:, :, ::-1] if pixels.ndim == 3 else pixels
    return cv2.imencode(suffix, np.ascontiguousarray(ordered), options)[1].tobytes()


def refusal(data: bytes, channels: int = 3, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode(data, channels, **options)
    assert "\n" not in str(caught.value)
    return caught.value


LOSSLESS = {
    "PNG": saved("PNG"),
    "PNG of OpenCV": encoded(".png", COLOUR),
    "PNG, opaque alpha": saved("PNG", mode="RGBA"),
    "BMP": saved("BMP"),
    "BMP, 32 bits": saved("BMP", mode="RGBA"),
    "TIFF": saved("TIFF"),
    "TIFF, LZW": saved("TIFF", compression="tiff_lzw"),
    "TIFF, deflate": saved("TIFF", compression="tiff_adobe_deflate"),
    "TIFF, PackBits": saved("TIFF", compression="packbits"),
    "TIFF, opaque alpha": saved("TIFF", mode="RGBA"),
    "WebP": saved("WEBP", lossless=True),
    "WebP, opaque alpha": saved("WEBP", mode="RGBA", lossless=True),
    "PPM": saved("PPM"),
}


@pytest.mark.parametrize("data", LOSSLESS.values(), ids=LOSSLESS)
def test_lossless_colour_is_read_as_it_is(data: bytes) -> None:
    header = read_header(data)
    assert (header.width, header.height, header.channels, header.depth) == (321, 123, 3, 8)
    assert np.array_equal(decode(data, 3), COLOUR)
    assert np.array_equal(decode(data, 1)[:, :, 0], GREY)


GREY_FILES = {
    "PNG": saved("PNG", GREY),
    "PNG, opaque alpha": saved("PNG", GREY, "LA"),
    "BMP": saved("BMP", GREY),
    "TIFF": saved("TIFF", GREY),
    "PGM": saved("PPM", GREY),
}


@pytest.mark.parametrize("data", GREY_FILES.values(), ids=GREY_FILES)
def test_lossless_grey_is_read_as_it_is(data: bytes) -> None:
    assert read_header(data).channels == 1
    assert np.array_equal(decode(data, 1)[:, :, 0], GREY)
    assert np.array_equal(decode(data, 3), np.repeat(GREY[:, :, None], 3, axis=2))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 4}])
def test_jpeg_is_read_as_other_decoders_do(options: dict[str, Any]) -> None:
    data = saved("JPEG", quality=90, **options)
    with Image.open(io.BytesIO(data)) as image:
        assert np.abs(decode(data, 3).astype(int) - np.asarray(image)).max() <= 1
    assert np.array_equal(decode(data, 1)[:, :, 0], cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE))


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm"])
def test_16_bit_colour_and_grey_are_scaled_by_their_levels(suffix: str) -> None:
    expected = np.clip((DEEP.astype(float) - 10000) / 40000 * 255, 0, 255)
    assert np.abs(decode(encoded(suffix, DEEP), 3, (10000, 50000)) - expected).max() <= 0.51
    grey = np.ascontiguousarray(DEEP[:, :, 0])
    name = ".pgm" if suffix == ".ppm" else suffix
    assert np.abs(decode(encoded(name, grey), 1, (10000, 50000))[:, :, 0] - expected[:, :, 0]).max() <= 0.51
    assert read_header(encoded(suffix, DEEP)).depth == 16


@pytest.mark.parametrize(("levels", "value"), [(100, 50), (1023, 512), (4095, 2048)])
def test_pnm_with_any_largest_value(levels: int, value: int) -> None:
    size = 1 if levels < 256 else 2
    data = b"P5\n# a comment\n3 2\n%d\n" % levels + 6 * value.to_bytes(size)
    assert read_header(data).levels == levels
    assert np.all(np.abs(decode(data, 1, (0, levels)).astype(int) - 128) <= 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_the_orientation_is_applied(kind: str, options: dict[str, Any], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(kind, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert read_header(data).upright_size == upright.shape[1::-1]
    assert np.abs(decode(data, 3).astype(int) - upright).max() <= 1


def several(kind: str) -> bytes:
    return saved(kind, save_all=True, append_images=[Image.fromarray(255 - COLOUR)])


RUN_LENGTH = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 200, 0, 0, 54, 40, 8, 8, 1, 8, 1, 0, 0, 0, 0, 0) + bytes(100)
HALF = np.dstack([COLOUR, np.full(COLOUR.shape[:2], 128, np.uint8)])


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (saved("JPEG", mode="CMYK"), "CMYK"),
        (saved("TIFF", mode="CMYK"), "grey or RGB"),
        (saved("GIF", mode="P"), "GIF"),
        (saved("TIFF", GREY, "F"), "floating-point"),
        (saved("TIFF", mode="1"), "1 bits"),
        (saved("TIFF", compression="jpeg"), "compression 7"),
        (several("TIFF"), "more than one page"),
        (several("PNG"), "animated PNG"),
        (several("WEBP"), "animated WebP"),
        (saved("PNG", HALF), "transparent"),
        (saved("WEBP", HALF, lossless=True), "transparent"),
        (saved("TIFF", HALF), "transparent"),
        (RUN_LENGTH, "run-length"),
    ],
)
def test_what_is_not_read_is_refused_by_name(data: bytes, name: str) -> None:
    error = refusal(data)
    assert error.reason == "undecodable"
    assert name in str(error)


JPEG_FILE = saved("JPEG", quality=90)
MIDDLE = len(JPEG_FILE) // 2


@pytest.mark.parametrize(
    "data",
    [
        JPEG_FILE[:MIDDLE] + JPEG_FILE[MIDDLE + 300 :],
        JPEG_FILE[:MIDDLE] + bytes(300) + JPEG_FILE[MIDDLE + 300 :],
        JPEG_FILE[:MIDDLE] + b"\xff\xd9",
        JPEG_FILE[:MIDDLE],
        LOSSLESS["PNG"][:300] + bytes([LOSSLESS["PNG"][300] ^ 1]) + LOSSLESS["PNG"][301:],
        png(zlib.compress(bytes(65 * 30))),
        png(zlib.compress(bytes(65 * 30)), interlaced=1),
        png(zlib.compress(bytes(65 * 65))),
        LOSSLESS["TIFF"][: len(LOSSLESS["TIFF"]) // 2],
        LOSSLESS["WebP"][:-40],
        LOSSLESS["BMP"][:-1],
        LOSSLESS["PPM"][:-1],
    ],
)
def test_damage_is_told(data: bytes) -> None:
    assert refusal(data).reason == "undecodable"


def scan_places(data: bytes) -> list[int]:
    """Where the scans of a JPEG begin, and where it ends."""
    return [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] in (0xDA, 0xD9)]


def test_a_progressive_jpeg_without_one_of_its_scans_is_damaged() -> None:
    """libjpeg draws a blurred picture from the others, and warns of nothing."""
    data = saved("JPEG", quality=90, progressive=True)
    places = scan_places(data)
    assert len(places) > 5
    for start, end in pairwise(places):
        assert refusal(data[:start] + b"\xff\xd9").reason == "undecodable"
        # Tables of the next scan may stand before it: they stay.
        body = data[start:end]
        tables = body.find(b"\xff\xc4")
        assert refusal(data[:start] + (body[tables:] if tables > 0 else b"") + data[end:]).reason == "undecodable"


def tiff_with(compressed: bytes) -> bytes:
    """A TIFF of one strip of deflate, as large as COLOUR."""
    height, width = COLOUR.shape[:2]
    fields = [(256, width), (257, height), (258, 8), (259, 8), (262, 2), (273, 8), (277, 3), (278, height)]
    fields.append((279, len(compressed)))
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0" + struct.pack("<I", 8 + len(compressed)) + compressed + struct.pack("<H", 9) + directory + bytes(4)


WHOLE = zlib.compress(COLOUR.tobytes())


def test_compressed_tiff_is_read_only_where_its_data_are_the_pixels() -> None:
    """OpenCV gives black or old memory for what is missing."""
    assert np.array_equal(decode(tiff_with(WHOLE), 3), COLOUR)
    short, long = zlib.compress(COLOUR[:60].tobytes()), zlib.compress(COLOUR.tobytes() * 2)
    for bad in (short, long, WHOLE[:-4], WHOLE[:-1] + bytes([WHOLE[-1] ^ 1]), WHOLE[: len(WHOLE) // 2]):
        assert refusal(tiff_with(bad)).reason == "undecodable"


@pytest.mark.parametrize("name", ["TIFF, LZW", "TIFF, deflate"])
def test_a_hole_in_a_compressed_tiff_is_damage(name: str) -> None:
    data = LOSSLESS[name]
    middle = len(data) // 2
    assert refusal(data[:middle] + bytes(64) + data[middle + 64 :]).reason == "undecodable"


def test_colours_that_a_palette_does_not_have_are_damage() -> None:
    data = saved("PNG", GREY)
    start = data.index(b"IDAT") - 4
    head = struct.pack(">IIBBBBB", 321, 123, 8, 3, 0, 0, 0)
    palette = png_chunk(b"PLTE", bytes(range(9)))
    for chunks in (png_chunk(b"IHDR", head), png_chunk(b"IHDR", head) + palette):
        assert "palette" in str(refusal(data[:8] + chunks + data[start:]))


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def test_colours_of_a_bmp_lie_where_they_are_looked_for_or_it_is_refused() -> None:
    body = bytes(4 * 8 * 8)
    head = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 66 + len(body), 0, 0, 66, 40, 8, 8, 1, 32, 3, 0, 0, 0, 0, 0)
    assert decode(head + struct.pack("<III", 0xFF0000, 0xFF00, 0xFF) + body, 3).shape == (8, 8, 3)
    assert "other bits" in str(refusal(head + struct.pack("<III", 0xFF, 0xFF00, 0xFF0000) + body))


def test_values_above_the_largest_of_a_pgm_are_damage() -> None:
    assert "above 1000" in str(refusal(b"P5 2 1 1000 " + b"\x03\xe8\x03\xe9", channels=1))


def test_kinds_of_known_formats_that_are_not_read_have_names_of_their_own() -> None:
    assert "BigTIFF images" in str(refusal(saved("TIFF", big_tiff=True)))
    assert "PNM other than binary" in str(refusal(b"P2\n2 2\n255\n1 2 3 4\n"))


def test_a_png_that_pillow_takes_for_a_bomb_is_read_where_the_limits_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for name in ("PNG", "PNG, opaque alpha"):
        assert np.array_equal(decode(LOSSLESS[name], 3), COLOUR)


@pytest.mark.parametrize("junk", [b"\0" * 3000, b"x" * 5000, JPEG_FILE])
@pytest.mark.parametrize("data", [JPEG_FILE, *LOSSLESS.values()])
def test_what_follows_the_end_is_no_damage(data: bytes, junk: bytes) -> None:
    assert np.array_equal(decode(data + junk, 3), decode(data, 3))


@pytest.mark.parametrize(("scans", "side"), [(jpeg.MAX_SCANS, 64), (18, 4000)])
def test_scans_are_counted_before_they_are_decoded(scans: int, side: int) -> None:
    assert refusal(progressive(scans, side)).reason == "too_large"


def test_what_scans_may_cost_is_above_what_encoders_write() -> None:
    """Work is counted, so the bound holds on every machine: here 16 scans of 16 megapixels."""
    assert read_header(progressive(10, 4000)).width == 4000  # in addition to the 6 of a grey picture
    assert 10 * DEFAULT_MAX_BYTES // 9 <= jpeg.MAX_SCANNED_PIXELS  # colour: 10 scans, 9 bytes a pixel
    assert 6 * DEFAULT_MAX_PIXELS <= jpeg.MAX_SCANNED_PIXELS  # grey: 6 scans


@pytest.mark.parametrize(
    "data",
    [
        JPEG_FILE[:2] + jpeg.MAX_SEGMENTS * b"\xff\xfe\0\2" + JPEG_FILE[2:],
        JPEG_FILE[:2] + jpeg.MAX_SEGMENTS * b"\xff\xd0" + JPEG_FILE[2:],
        png(zlib.compress(bytes(65 * 64)), MAX_CHUNKS * png_chunk(b"teXt", b"")),
        png(zlib.compress(bytes(65 * 64)), MAX_CHUNKS * png_chunk(b"IDAT", b"")),
    ],
    ids=range(4),
)
def test_pieces_without_content_are_counted(data: bytes) -> None:
    assert refusal(data).reason == "too_large"


def test_filling_before_a_marker_is_no_damage() -> None:
    assert np.array_equal(decode(JPEG_FILE[:2] + bytes([0xFF]) * 100_000 + JPEG_FILE[2:], 3), decode(JPEG_FILE, 3))


@pytest.mark.parametrize(
    ("suffix", "depth", "options"),
    [
        (".png", np.uint16, []),
        (".tif", np.uint8, [cv2.IMWRITE_TIFF_COMPRESSION, 5]),
        (".tif", np.uint8, [cv2.IMWRITE_TIFF_COMPRESSION, 8]),
    ],
    ids=["PNG", "LZW", "deflate"],
)
def test_a_picture_that_takes_too_long_to_inflate_is_too_large(
    suffix: str, depth: type, options: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    colours: NDArray[Any] = RNG.integers(0, np.iinfo(depth).max, (200, 200, 3)).astype(depth)
    noise, plain = (cv2.imencode(suffix, image, options)[1].tobytes() for image in (colours, np.zeros_like(colours)))
    decode(noise, 3)
    monkeypatch.setattr(decoding, "MAX_INFLATING_WORK", 2 * colours.nbytes)
    decode(plain, 3)
    with pytest.raises(ImageError, match="take as long to inflate as") as refused:
        decode(noise, 3)
    assert refused.value.reason == "too_large"
    decode(noise, 3, limits=DecodingLimits(max_pixels=4 * DEFAULT_MAX_PIXELS))


def test_a_picture_that_takes_too_much_memory_is_too_large() -> None:
    data = b"P6 8000 8000 65535 " + bytes(8000 * 8000 * 6)
    assert refusal(data, limits=DecodingLimits(10**9)).reason == "too_large"
    assert refusal(saved("PNG"), limits=DecodingLimits(321 * 123 - 1)).reason == "too_large"


def test_all_threads_decode_within_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for no more than one picture, one is decoded at a time."""
    monkeypatch.setattr(decoding, "_memory", decoding._Memory(1))
    inside: list[int] = []
    counts: list[int] = []
    decode_stored = decoding._decode_stored

    def counted(*arguments: Any) -> NDArray[Any]:
        inside.append(1)
        counts.append(len(inside))
        try:
            return decode_stored(*arguments)
        finally:
            inside.pop()

    monkeypatch.setattr(decoding, "_decode_stored", counted)
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda _: decode(JPEG_FILE, 3), range(40)))
    assert len(images) == 40
    assert counts == [1] * 40


BOMBS = """
import resource
from andon_monitor.image_files.decoding import decode
from andon_monitor.errors import ImageError
from tests.monitor.image_files.bombs import bombs, deep_png
files = bombs() | {"deep": deep_png(3000)}
decode(files["sound"], 3)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 350_000_000,) * 2)
for name, data in files.items():
    try:
        print(name, decode(data, 3).shape)
    except ImageError as error:
        print(name, error.reason)
"""


def test_no_claim_costs_more_memory_than_its_bound() -> None:
    """In a process that may take no more than 350 MB beyond what it has."""
    done = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    said = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if line.endswith(("undecodable", "too_large")))
    assert set(said) >= {*bombs()} - {"sound", "text", "profile"}, done.stdout
    assert "text (64, 64, 3)" in done.stdout  # what is not pixels is never looked at
    assert "deep (3000, 3000, 3)" in done.stdout
