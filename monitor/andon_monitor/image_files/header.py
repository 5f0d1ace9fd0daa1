"""What an image file says about itself, read and checked before any decoder allocates memory for it.

A length, count or size that a file claims is believed only where the file is large enough for it.
"""

import io
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from andon_monitor.errors import ImageError

Format = Literal["JPEG", "PNG", "WebP", "BMP", "TIFF", "PNM"]
ORIENTATION_TAG = 0x0112  # of EXIF and TIFF
WORK_PER_COMPRESSED_BYTE = 2.5  # measured with natural, plain and noisy pictures, PNG and TIFF
SWAPPED = (5, 6, 7, 8)  # the orientations that swap width and height


@dataclass(frozen=True, slots=True)
class Header:
    """The picture in a file: size in pixels as stored (before its orientation is applied), channels, bits a channel.

    `channels` is 1 (grey) or 3 (colour), without transparency, which `alpha` tells. `orientation` is EXIF's, 1 to 8.
    `levels` is the largest value that a pixel can have. `working_bytes` is what decoding needs in addition to them.
    `inflating_work` says how long it takes to inflate data that are inflated twice, for the check and the picture, in
    bytes; 0 for all others.
    """

    format: Format
    width: int
    height: int
    channels: Literal[1, 3]
    depth: Literal[8, 16] = 8
    alpha: bool = False
    orientation: int = 1
    levels: int = 255
    working_bytes: int = 0
    inflating_work: int = 0

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height once the orientation is applied."""
        return (self.height, self.width) if self.orientation in SWAPPED else (self.width, self.height)

    @property
    def decoded_bytes(self) -> int:
        """Memory that decoding takes at most, in bytes."""
        stored = self.width * self.height * (self.channels + self.alpha) * self.depth // 8
        converted = self.width * self.height * self.channels if self.depth == 16 or self.alpha else 0
        return stored + converted + self.working_bytes


def inflating_work(inflated_bytes: int, compressed_bytes: int) -> int:
    """See `Header.inflating_work`: reading a compressed byte takes longer than writing one that comes out of it."""
    return inflated_bytes + round(WORK_PER_COMPRESSED_BYTE * compressed_bytes)


def damaged(what: str) -> ImageError:
    """A file that is not what it claims to be."""
    return ImageError("undecodable", f"damaged image: {what}")


def unsupported(what: str) -> ImageError:
    """A sound file of a kind that is not read."""
    return ImageError("undecodable", f"not supported: {what}")


def exif_orientation(exif: bytes) -> int:
    """The orientation in an EXIF block, which starts with the header of a TIFF file; 1 (upright) where it says none."""
    if len(exif) < 8 or exif[:2] not in (b"II", b"MM"):
        return 1
    order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"
    place = int.from_bytes(exif[4:8], order)
    for i in range(int.from_bytes(exif[place : place + 2], order)):
        entry = exif[place + 2 + 12 * i : place + 14 + 12 * i]
        if len(entry) < 12:
            break
        if int.from_bytes(entry[:2], order) == ORIENTATION_TAG:
            return valid_orientation(int.from_bytes(entry[8:10], order))
    return 1


def valid_orientation(value: int) -> int:
    """EXIF's orientation; 1 (upright) for a value that means nothing."""
    return value if 1 <= value <= 8 else 1


def name_of(data: bytes) -> str:
    """What another kind of file is, as far as Pillow knows; for an error message."""
    try:
        with Image.open(io.BytesIO(data[: 2**20])) as image:
            return image.format or "unknown"
    except Exception:  # whatever the file does to Pillow, all that is lost is a name
        return "unknown"
