"""The readers of what strangers send: how each is called, what it may raise, and inputs to begin with."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from andon_monitor.errors import ImageError
from andon_monitor.image_files.decoding import decode
from PIL import Image

from tests.fuzz import mutation
from tests.fuzz.mutation import PLAIN, Mutation
from tests.monitor.image_files.bombs import bombs


@dataclass(frozen=True)
class Reader:
    """`seeds` are sound inputs with the changes that suit them; `attacks` are tried as they are."""

    name: str
    read: Callable[[bytes], object]
    allowed: tuple[type[Exception], ...]
    seeds: tuple[tuple[bytes, tuple[Mutation, ...]], ...]
    attacks: tuple[bytes, ...] = ()


def images() -> Reader:
    """Image files, as frames are decoded."""
    rng = np.random.default_rng(1)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8), (0, 0), 2)
    deep = picture.astype(np.uint16) * 200

    def saved(kind: str, mode: str | None = None, **options: Any) -> bytes:
        buffer, image = io.BytesIO(), Image.fromarray(picture)
        (image.convert(mode) if mode else image).save(buffer, kind, **options)
        return buffer.getvalue()

    def encoded(suffix: str, pixels: np.ndarray) -> bytes:
        return cv2.imencode(suffix, pixels)[1].tobytes()

    by_kind: list[tuple[tuple[Mutation, ...], list[bytes]]] = [
        ((*PLAIN, *(mutation.jpeg_segments,) * 5),
         [saved("JPEG"), saved("JPEG", progressive=True), saved("JPEG", "L"), saved("JPEG", "CMYK"),
          saved("JPEG", restart_marker_blocks=2, optimize=True)]),
        ((*PLAIN, *(mutation.png_chunks,) * 5),
         [saved("PNG"), saved("PNG", "P"), saved("PNG", "LA"), encoded(".png", deep), encoded(".png", deep[:, :, 0])]),
        ((*PLAIN, *(mutation.riff_chunks,) * 5),
         [saved("WEBP"), saved("WEBP", lossless=True), saved("WEBP", "RGBA")]),
        ((*PLAIN, *(mutation.tiff_fields,) * 5),
         [saved("TIFF"), saved("TIFF", compression="tiff_lzw"), saved("TIFF", "P"), encoded(".tiff", deep)]),
        ((*PLAIN, *(mutation.number,) * 5), [saved("BMP"), saved("BMP", "P"), saved("PPM"), encoded(".ppm", deep)]),
    ]  # fmt: skip
    seeds = tuple((data, mutations) for mutations, files in by_kind for data in files)

    def read(data: bytes) -> None:
        for channels, reduction in ((3, 1), (1, 2)):
            pixels = decode(data, channels, (0, 65535), reduction=reduction if data.startswith(b"\xff\xd8") else 1)
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == channels

    return Reader("images", read, (ImageError,), seeds, tuple(bombs().values()))


READERS: dict[str, Callable[[], Reader]] = {"images": images}
