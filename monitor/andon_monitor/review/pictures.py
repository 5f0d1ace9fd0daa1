"""Pictures for the pages, always encoded here: no byte of a camera's file reaches a browser."""

import cv2
import numpy as np

from andon_monitor.errors import EvidenceError, ImageError, first_line
from andon_monitor.formats.evidence_package import Evidence
from andon_monitor.image_files.decoding import Pixels, decode
from andon_monitor.model import heatmap, imaging

MAX_FRAME_SIDE = 1600  # pixels: more than a tablet shows
MAX_THUMBNAIL_SIDE = 320  # pixels
JPEG_QUALITY = 88
# |frame - reconstruction| is multiplied by this: a quarter of the range and more is white.
DIFFERENCE_GAIN = 4
LINE_SHARE = 500  # a line is this share of the longer side thick
BLACK, WHITE = (0, 0, 0, 255), (255, 255, 255, 255)
PICTURES = ("frame", "heat", "regions", "reconstruction", "difference")


def draw(evidence: Evidence, name: str) -> tuple[bytes, str]:
    """One of `PICTURES` as (bytes, content type). Raises EvidenceError if the frame cannot be decoded.

    `frame` is the inspected region in the frame's own resolution; `heat` is the anomaly map to show over it,
    transparent below half of the threshold; `regions` are outlines to show over it; the others have the size of the
    model's input.
    """
    try:
        return _draw(evidence, name)
    except (ImageError, cv2.error, ArithmeticError, ValueError) as error:
        raise EvidenceError(f"{name}: cannot be drawn ({first_line(error)})") from None


def _draw(evidence: Evidence, name: str) -> tuple[bytes, str]:
    if name == "frame":
        return _jpeg(_shrunk(_region(evidence), MAX_FRAME_SIDE)), "image/jpeg"
    if name == "heat":
        return _png(heat(evidence)), "image/png"
    if name == "regions":
        return _png(outlines(evidence)), "image/png"
    if name == "reconstruction":
        return _jpeg(evidence.reconstruction), "image/jpeg"
    return _jpeg(_difference(evidence)), "image/jpeg"


def heat(evidence: Evidence) -> Pixels:
    """The anomaly map as RGBA, uint8 [H, W, 4], in the size of the model's input."""
    height, width, _ = evidence.reconstruction.shape
    colour, opacity = heatmap.colours(evidence.anomaly_map, (height, width), evidence.verdict.threshold)
    return np.concatenate([colour, 255 * opacity], axis=2).round().astype(np.uint8)


def outlines(evidence: Evidence) -> Pixels:
    """The regions of a defect with their numbers, as RGBA, uint8 [H, W, 4], in the size of the picture `frame`."""
    region = _region(evidence)
    height, width, _ = _shrunk(region, MAX_FRAME_SIDE).shape
    picture = np.zeros((height, width, 4), np.uint8)
    _outline(evidence, picture, region.shape, with_numbers=True)
    return picture


def _outline(evidence: Evidence, picture: Pixels, inspected: tuple[int, ...], with_numbers: bool = False) -> None:
    """Draw the regions of a defect into a picture of what was inspected, which had the shape (height, width, ...)."""
    height, width, channels = picture.shape
    left, top, *_ = evidence.about.input.region or (0, 0)
    step = np.array([width / inspected[1], height / inspected[0]])
    line = max(1, round(max(height, width) / LINE_SHARE))
    for number, found in enumerate(evidence.verdict.regions or (), start=1):
        if not found.outline:
            continue
        corners = ((np.array(found.outline) - (left, top)) * step).round().astype(np.int32)
        place = int(corners[:, 0].min()), max(12 * line, int(corners[:, 1].min()) - 4 * line)
        for colour, thickness in ((BLACK[:channels], 3 * line), (WHITE[:channels], line)):
            cv2.polylines(picture, [corners], True, colour, thickness, cv2.LINE_AA)
            if with_numbers:
                cv2.putText(
                    picture, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, line / 2, colour, thickness, cv2.LINE_AA
                )


def thumbnail(evidence: Evidence) -> bytes:
    """The model's input under heatmap and regions, JPEG, sides up to `MAX_THUMBNAIL_SIDE`. Raises EvidenceError."""
    spec = evidence.about.input
    try:
        frame = imaging.prepare(_decoded(evidence), spec)
        drawn = _shrunk(heatmap.heatmap(frame, evidence.anomaly_map, evidence.verdict.threshold), MAX_THUMBNAIL_SIDE)
        _outline(evidence, drawn, _region(evidence).shape)
        return _jpeg(drawn)
    except (ImageError, cv2.error, ArithmeticError, ValueError) as error:
        raise EvidenceError(f"frame: {first_line(error)}") from None


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
        return decode(evidence.frame, spec.channels, spec.levels)
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
