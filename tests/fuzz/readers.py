"""The readers of what anybody may send: how each is called, what it may raise, and inputs to begin with."""

import io
import math
import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from andon_monitor.errors import ImageError, ModelError
from andon_monitor.image_files.decoding import decode
from andon_monitor.model.card import CARD_KEY, GOLDEN_KEY, parse_card
from andon_monitor.model.golden import Golden
from andon_monitor.model.graph_check import check_graph
from PIL import Image

from tests.fixtures.small_model import build_model, tell_kinds
from tests.fuzz import mutation
from tests.fuzz.frame_readers import archives, manifests, packages, parts, recordings, verdicts, views
from tests.fuzz.mutation import PLAIN, Mutation
from tests.fuzz.reader import Reader
from tests.monitor.image_files.bombs import bombs


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


def model_cards() -> Reader:
    """Model cards, as they are in a model file's metadata."""
    card = check_graph(tell_kinds(build_model()), "seed").metadata[CARD_KEY].encode()
    nan = re.sub(rb'"threshold":\s*[0-9.]+', b'"threshold": NaN', card)

    def read(data: bytes) -> None:
        read_card = parse_card(data.decode(errors="surrogatepass"), "fuzz.onnx")
        assert math.isfinite(read_card.threshold)
        assert 0 < read_card.calibration.p_value(read_card.threshold) <= 1
        assert read_card.name.isprintable()

    seeds = ((card, (*PLAIN, *(mutation.json_value,) * 20)),)
    return Reader("model-cards", read, (ModelError, UnicodeDecodeError), seeds, (nan, b"[" * 200_000))


def model_files() -> Reader:
    """Model files, up to where onnxruntime would read the graph."""

    def read(data: bytes) -> None:
        metadata = check_graph(data, "fuzz.onnx").metadata
        size = parse_card(metadata[CARD_KEY], "fuzz.onnx").input
        golden = Golden.unpack(metadata[GOLDEN_KEY], (size.height, size.width, size.channels))
        assert np.isfinite(golden.scores).all()
        assert len(golden.frames) == len(golden.scores) > 0

    mutations = (*PLAIN, mutation.onnx_node, *(mutation.onnx_golden,) * 4)
    return Reader("model-files", read, (ModelError, KeyError, ValueError), ((build_model(), mutations),))


READERS: dict[str, Callable[[], Reader]] = {
    "images": images,
    "model-cards": model_cards,
    "model-files": model_files,
    "manifests": manifests,
    "recordings": recordings,
    "packages": packages,
    "archives": archives,
    "verdicts": verdicts,
    "views": views,
    "parts": parts,
}
