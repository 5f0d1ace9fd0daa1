"""Pictures of evidence, drawn anew: no byte of a camera's file reaches a browser."""

import cv2
import numpy as np

from andon_monitor.errors import EvidenceError, ImageError
from andon_monitor.formats.evidence_package import Evidence
from andon_monitor.model import heatmap, imaging
from andon_monitor.model.imaging import DEFAULT_MAX_PIXELS, Pixels

LONGEST_SIDE = 1600  # pixels of the frame as it is shown: more than a tablet has
THUMBNAIL_SIDE = 320
JPEG_QUALITY = 88
# What |frame - reconstruction| is multiplied with: a difference of a quarter of the range is white.
DIFFERENCE_GAIN = 4
PICTURES = ("frame", "heat", "reconstruction", "difference")


def draw(evidence: Evidence, name: str) -> tuple[bytes, str]:
    """One of `PICTURES` as (bytes, content type). Raises EvidenceError where the frame cannot be decoded.

    `frame` is the region that was inspected, in the frame's own resolution; `heat` is the anomaly map alone, to be
    laid over it, transparent below half the threshold; the others are as large as the model's input.
    """
    if name == "frame":
        return _jpeg(_shrunk(_region(evidence), LONGEST_SIDE)), "image/jpeg"
    if name == "heat":
        return _png(heat(evidence)), "image/png"
    if name == "reconstruction":
        return _jpeg(evidence.reconstruction), "image/jpeg"
    return _jpeg(_difference(evidence)), "image/jpeg"


def heat(evidence: Evidence) -> Pixels:
    """The anomaly map in colour and opacity: uint8 [H, W, 4], of the size of the model's input."""
    height, width, _ = evidence.reconstruction.shape
    colour, opacity = heatmap.colours(evidence.anomaly_map, (height, width), evidence.verdict.threshold)
    return np.concatenate([colour, 255 * opacity], axis=2).round().astype(np.uint8)


def thumbnail(evidence: Evidence) -> bytes:
    """The heatmap over the frame as the model took it, JPEG of at most `THUMBNAIL_SIDE`. Raises EvidenceError."""
    spec = evidence.about.input
    try:
        frame = imaging.prepare(_decoded(evidence), spec)
    except ImageError as error:
        raise EvidenceError(f"frame: {error}") from None
    return _jpeg(_shrunk(heatmap.heatmap(frame, evidence.anomaly_map, evidence.verdict.threshold), THUMBNAIL_SIDE))


def _difference(evidence: Evidence) -> Pixels:
    prepared = imaging.prepare(_decoded(evidence), evidence.about.input)
    difference: Pixels = cv2.absdiff(prepared, evidence.reconstruction).astype(np.float32)
    scaled: Pixels = np.minimum(DIFFERENCE_GAIN * difference, 255).astype(np.uint8)
    return scaled.reshape(prepared.shape)


def _region(evidence: Evidence) -> Pixels:
    image, region = _decoded(evidence), evidence.about.input.region
    if region is None:
        return image
    left, top, width, height = region
    return image[top : top + height, left : left + width]


def _decoded(evidence: Evidence) -> Pixels:
    spec = evidence.about.input
    try:
        return imaging.decode(evidence.frame, spec.channels, spec.white_level, DEFAULT_MAX_PIXELS)
    except ImageError as error:
        raise EvidenceError(f"frame: {error}") from None


def _shrunk(image: Pixels, longest: int) -> Pixels:
    height, width, channels = image.shape
    factor = min(1.0, longest / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized.reshape(size[1], size[0], channels))


def _jpeg(image: Pixels) -> bytes:
    ordered = image if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()


def _png(image: Pixels) -> bytes:
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))
    return data.tobytes()
