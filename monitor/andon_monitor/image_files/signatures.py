"""The formats of image files, known by how a file begins: suffix, media type, name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageFormat:
    """One format. `name`: as Foxglove spells it, for recordings; a file starts with one of `signatures`."""

    name: str
    suffix: str
    media_type: str
    signatures: tuple[bytes, ...]


JPEG = ImageFormat("jpeg", ".jpg", "image/jpeg", (b"\xff\xd8\xff",))
PNG = ImageFormat("png", ".png", "image/png", (b"\x89PNG\r\n\x1a\n",))
WEBP = ImageFormat("webp", ".webp", "image/webp", (b"RIFF",))
BMP = ImageFormat("bmp", ".bmp", "image/bmp", (b"BM",))
TIFF = ImageFormat("tiff", ".tif", "image/tiff", (b"II*\0", b"MM\0*"))
PGM = ImageFormat("pgm", ".pgm", "image/x-portable-graymap", (b"P5",))
PPM = ImageFormat("ppm", ".ppm", "image/x-portable-pixmap", (b"P6",))
FORMATS = (JPEG, PNG, WEBP, BMP, TIFF, PGM, PPM)
# Other files than WebP are RIFF containers too: the kind stands behind the container's length.
WEBP_KIND = slice(8, 12)


def detect(data: bytes) -> ImageFormat | None:
    """The format of an image file, None where it is none of these."""
    found = next((known for known in FORMATS if data.startswith(known.signatures)), None)
    return None if found is WEBP and data[WEBP_KIND] != b"WEBP" else found


def suffix_of(data: bytes, unknown: str) -> str:
    """The suffix for an image file, `unknown` where its format is."""
    found = detect(data)
    return unknown if found is None else found.suffix
