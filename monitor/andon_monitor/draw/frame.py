"""The picture that a mask is drawn on: the first frame of a source that can be decoded."""

import threading
from dataclasses import dataclass

import cv2
import numpy as np

from andon_monitor.errors import ImageError, SourceError
from andon_monitor.image_files.decoding import DecodingLimits, decode_values
from andon_monitor.sources.base import Source

MAX_SHOWN_SIDE = 2560  # pixels of the picture in the page; corners are in pixels of the frame nevertheless
JPEG_QUALITY = 92
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Picture:
    """A frame for the page: where it is from, its width and height, and its picture as a JPEG."""

    name: str
    size: tuple[int, int]
    jpeg: bytes


def first_picture(source: Source, skip: int, limits: DecodingLimits, stopped: threading.Event) -> Picture | None:
    """The first frame after `skip` others that can be decoded; None where `stopped` is set before.

    Raises SourceError where the source ends before.
    """
    problem = ""
    while not stopped.is_set():
        frames = source.poll(1, POLL_SECONDS)
        if frames is None:
            raise SourceError(f"{source.name}: no frame to draw on{problem}")
        for frame in frames:
            source.acknowledge([frame])
            if skip > 0:
                skip -= 1
            elif frame.rejection is not None:
                problem = f" ({frame.rejection.detail})"
            else:
                try:
                    return draw_picture(frame.data, f"{source.name}, camera {frame.camera}", limits)
                except ImageError as error:
                    problem = f" ({error})"
    return None


def draw_picture(data: bytes, name: str, limits: DecodingLimits, max_side: int = MAX_SHOWN_SIDE) -> Picture:
    """The bytes of an image file as a picture of at most `max_side` pixels a side. Raises ImageError."""
    values = decode_values(data, limits)
    height, width, channels = values.shape
    scale = min(1.0, max_side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], channels)
    if values.dtype != np.uint8:
        # Of 16 bits a camera uses some: the picture shows those, whatever the model will call black and white.
        low, high = np.percentile(small, (0.5, 99.5))
        small = ((small - low) / max(high - low, 1.0) * 255).clip(0, 255)
    shown = small.astype(np.uint8)
    ordered = cv2.cvtColor(shown, cv2.COLOR_RGB2BGR) if channels == 3 else shown
    _, jpeg = cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return Picture(name, (width, height), jpeg.tobytes())
