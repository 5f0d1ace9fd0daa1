"""Pixel formats of industrial cameras, and the image file that a camera's raw pixels become.

Names and codes are those of the Pixel Format Naming Convention (PFNC), which GigE Vision and USB3 Vision share. Files
are PGM and PPM: lossless, a hundred times faster to write and read than PNG, and their header has the largest value, so
12 bits are 0 to 4095 for everybody who reads them.
"""

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Packing = Literal["whole", "p", "packed"]
Colour = Literal["grey", "RGGB", "GRBG", "GBRG", "BGGR", "RGB", "BGR", "RGBA", "BGRA", "YUYV", "UYVY"]

BAYER = ("RGGB", "GRBG", "GBRG", "BGGR")
SAMPLES = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "YUYV": 2, "UYVY": 2}  # values of a pixel; 1 for all others


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How a pixel is sent. `bits` of a value; its place in memory is its `packing`.

    `whole`: in 8 bits, or in the low bits of 16 (little endian). `p`: value after value in a stream of bits, the lowest
    first. `packed` (GigE Vision 1): two values in three bytes, their low bits in the middle one.
    """

    name: str
    code: int
    bits: int
    colour: Colour
    packing: Packing = "whole"

    @property
    def white(self) -> int:
        """The largest value: 4095 for 12 bits."""
        return (1 << self.bits) - 1

    @property
    def stored_bits(self) -> int:
        """Bits that a pixel takes."""
        if self.packing == "packed":
            return 12
        stored = self.bits if self.packing == "p" or self.bits == 8 else 16
        return stored * SAMPLES.get(self.colour, 1)

    def size(self, width: int, height: int, padding: int = 0) -> int:
        """Bytes of an image. With `padding`, bytes at the end of each row, a row begins with a byte; else none does."""
        if padding:
            return height * (-(-width * self.stored_bits // 8) + padding)
        return -(-width * height * self.stored_bits // 8)


def _bayer(bits: int, packing: Packing, suffix: str, codes: dict[str, int]) -> list[PixelFormat]:
    colours: dict[str, Colour] = {"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR"}
    return [PixelFormat(f"Bayer{name}{suffix}", code, bits, colours[name], packing) for name, code in codes.items()]


FORMATS = (
    PixelFormat("Mono8", 0x01080001, 8, "grey"),
    PixelFormat("Mono10", 0x01100003, 10, "grey"),
    PixelFormat("Mono12", 0x01100005, 12, "grey"),
    PixelFormat("Mono14", 0x01100025, 14, "grey"),
    PixelFormat("Mono16", 0x01100007, 16, "grey"),
    PixelFormat("Mono10p", 0x010A0046, 10, "grey", "p"),
    PixelFormat("Mono12p", 0x010C0047, 12, "grey", "p"),
    PixelFormat("Mono10Packed", 0x010C0004, 10, "grey", "packed"),
    PixelFormat("Mono12Packed", 0x010C0006, 12, "grey", "packed"),
    *_bayer(8, "whole", "8", {"GR": 0x01080008, "RG": 0x01080009, "GB": 0x0108000A, "BG": 0x0108000B}),
    *_bayer(10, "whole", "10", {"GR": 0x0110000C, "RG": 0x0110000D, "GB": 0x0110000E, "BG": 0x0110000F}),
    *_bayer(12, "whole", "12", {"GR": 0x01100010, "RG": 0x01100011, "GB": 0x01100012, "BG": 0x01100013}),
    *_bayer(16, "whole", "16", {"GR": 0x0110002E, "RG": 0x0110002F, "GB": 0x01100030, "BG": 0x01100031}),
    *_bayer(10, "p", "10p", {"BG": 0x010A0052, "GB": 0x010A0054, "GR": 0x010A0056, "RG": 0x010A0058}),
    *_bayer(12, "p", "12p", {"BG": 0x010C0053, "GB": 0x010C0055, "GR": 0x010C0057, "RG": 0x010C0059}),
    *_bayer(10, "packed", "10Packed", {"GR": 0x010C0026, "RG": 0x010C0027, "GB": 0x010C0028, "BG": 0x010C0029}),
    *_bayer(12, "packed", "12Packed", {"GR": 0x010C002A, "RG": 0x010C002B, "GB": 0x010C002C, "BG": 0x010C002D}),
    PixelFormat("RGB8", 0x02180014, 8, "RGB"),
    PixelFormat("BGR8", 0x02180015, 8, "BGR"),
    PixelFormat("RGBa8", 0x02200016, 8, "RGBA"),
    PixelFormat("BGRa8", 0x02200017, 8, "BGRA"),
    PixelFormat("RGB10", 0x02300018, 10, "RGB"),
    PixelFormat("BGR10", 0x02300019, 10, "BGR"),
    PixelFormat("RGB12", 0x0230001A, 12, "RGB"),
    PixelFormat("BGR12", 0x0230001B, 12, "BGR"),
    PixelFormat("RGB16", 0x02300033, 16, "RGB"),
    PixelFormat("BGR16", 0x0230004B, 16, "BGR"),
    PixelFormat("YUV422_8", 0x02100032, 8, "YUYV"),
    PixelFormat("YUV422_8_UYVY", 0x0210001F, 8, "UYVY"),
    PixelFormat("YCbCr422_8", 0x0210003B, 8, "YUYV"),
    PixelFormat("YCbCr422_8_CbYCrY", 0x02100043, 8, "UYVY"),
)
_BY_CODE = {known.code: known for known in FORMATS}

_DEMOSAICING = {
    "RGGB": cv2.COLOR_BayerRGGB2RGB,
    "GRBG": cv2.COLOR_BayerGRBG2RGB,
    "GBRG": cv2.COLOR_BayerGBRG2RGB,
    "BGGR": cv2.COLOR_BayerBGGR2RGB,
}


def find_format(code: int) -> PixelFormat | None:
    """The format with a PFNC code, None where it is not known."""
    return _BY_CODE.get(code & 0xFFFFFFFF)


def known_names() -> str:
    """Some names of formats that are known, for an error message."""
    return "Mono8, Mono10, Mono12, Mono16, Mono10p, Mono12p, BayerRG8, BayerRG12p, RGB8, BGR8, YUV422_8, ..."


def decode_pixels(
    data: bytes | memoryview | NDArray[np.uint8], width: int, height: int, pixel_format: PixelFormat, padding: int = 0
) -> NDArray[Any]:
    """Raw pixels as uint8 or uint16 [height, width, 1 or 3], RGB order, values up to `pixel_format.white`.

    Bayer patterns are interpolated. `padding`: see `PixelFormat.size`. Raises ValueError where bytes are missing, or a
    size cannot be that of an image.
    """
    needed = pixel_format.size(width, height, padding)
    raw = np.frombuffer(data, np.uint8)
    if min(width, height) < 1 or len(raw) < needed:
        raise ValueError(f"{len(raw)} bytes, {width} x {height} pixels of {pixel_format.name} are {needed}")
    raw = raw[:needed]
    samples = SAMPLES.get(pixel_format.colour, 1)
    if padding:
        rows = raw.reshape(height, -1)[:, :-padding]
        values = np.stack([_values(np.ascontiguousarray(row), width * samples, pixel_format) for row in rows])
    else:
        values = _values(raw, width * height * samples, pixel_format)
    return _to_rgb(values.reshape(height, width, samples), pixel_format.colour)


def encode_pnm(image: NDArray[Any], white: int) -> bytes:
    """A PGM or PPM file of uint8 or uint16 [H, W, 1 or 3] in RGB order, with `white` as its largest value."""
    height, width, channels = image.shape
    stored = image if image.dtype == np.uint8 else image.astype(">u2")
    return f"P{5 if channels == 1 else 6}\n{width} {height}\n{white}\n".encode() + stored.tobytes()


def _values(raw: NDArray[np.uint8], count: int, pixel_format: PixelFormat) -> NDArray[Any]:
    """The first `count` values in memory, uint8 or uint16."""
    if pixel_format.packing == "whole":
        return raw[:count] if pixel_format.bits == 8 else raw.view("<u2")[:count].astype(np.uint16)
    group = {"p": {10: (5, 4), 12: (3, 2)}, "packed": {10: (3, 2), 12: (3, 2)}}[pixel_format.packing]
    size, values = group[pixel_format.bits]  # so many bytes hold so many values
    groups = -(-count // values)
    if len(raw) < groups * size:  # the last values of an image do not fill a group
        raw = np.concatenate([raw, np.zeros(groups * size - len(raw), np.uint8)])
    parts = raw[: groups * size].reshape(groups, size).astype(np.uint16).T
    if pixel_format.packing == "packed":
        low = pixel_format.bits - 8
        mask = (1 << low) - 1
        split = [parts[0] << low | parts[1] & mask, parts[2] << low | parts[1] >> 4 & mask]
    elif pixel_format.bits == 12:
        split = [parts[0] | (parts[1] & 0xF) << 8, parts[1] >> 4 | parts[2] << 4]
    else:
        split = [
            parts[0] | (parts[1] & 0x3) << 8,
            parts[1] >> 2 | (parts[2] & 0xF) << 6,
            parts[2] >> 4 | (parts[3] & 0x3F) << 4,
            parts[3] >> 6 | parts[4] << 2,
        ]
    return np.stack(split, axis=1).ravel()[:count]


def _to_rgb(values: NDArray[Any], colour: Colour) -> NDArray[Any]:
    """Values [H, W, samples] as grey [H, W, 1] or RGB [H, W, 3]."""
    if colour in ("grey", "RGB"):
        return values
    if colour in ("BGR", "BGRA"):
        return np.ascontiguousarray(values[:, :, 2::-1])
    if colour == "RGBA":
        return np.ascontiguousarray(values[:, :, :3])
    if colour in BAYER:
        if min(values.shape[:2]) < 2:
            raise ValueError(
                f"a Bayer pattern of {values.shape[1]} x {values.shape[0]} pixels; at least 2 x 2 are needed"
            )
        demosaiced: NDArray[Any] = cv2.cvtColor(np.ascontiguousarray(values[:, :, 0]), _DEMOSAICING[colour])
        return demosaiced
    return _yuv_to_rgb(values, first=colour == "YUYV")


def _yuv_to_rgb(values: NDArray[Any], first: bool) -> NDArray[Any]:
    """Luma and chroma in turn, uint8 [H, W, 2], as RGB. `first`: luma stands first; its range is full, as in JPEG."""
    width = values.shape[1]
    if width % 2:
        raise ValueError(f"{width} pixels in a row share chroma in pairs; the width should be even")
    luma, chroma = (values[:, :, 0], values[:, :, 1]) if first else (values[:, :, 1], values[:, :, 0])
    blue, red = (chroma[:, start::2].repeat(2, axis=1) for start in (0, 1))
    rgb: NDArray[Any] = cv2.cvtColor(np.ascontiguousarray(np.stack([luma, red, blue], axis=2)), cv2.COLOR_YCrCb2RGB)
    return rgb
