"""What may happen to a good frame on a line, done to test images before they are decoded for the model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from andon_monitor.image_files.decoding import decode
from andon_monitor.model.card import InputSpec
from andon_monitor.model.imaging import Pixels
from andon_trainer.data.images import read_bytes
from andon_trainer.data.sample import Sample

Disturbance = Callable[[Pixels], Pixels]  # uint8 [H, W, C] to the same shape

SHIFT = 0.03  # of the frame's sides
DEGREES = 3.0
QUALITY = 50  # of JPEG
NOISE = 5.0  # grey levels, one standard deviation
BLUR = 1.0  # pixels, one standard deviation


def darker(frame: Pixels) -> Pixels:
    """A lamp 20 % weaker."""
    return cv2.convertScaleAbs(frame, alpha=0.8)


def brighter(frame: Pixels) -> Pixels:
    """A lamp 20 % stronger; what was bright is clipped."""
    return cv2.convertScaleAbs(frame, alpha=1.2)


def shifted(frame: Pixels) -> Pixels:
    """The part lies further right and down."""
    height, width = frame.shape[:2]
    return _warp(frame, np.array([[1, 0, SHIFT * width], [0, 1, SHIFT * height]]))


def turned(frame: Pixels) -> Pixels:
    """The part lies turned."""
    height, width = frame.shape[:2]
    return _warp(frame, cv2.getRotationMatrix2D((width / 2, height / 2), DEGREES, 1))


def compressed(frame: Pixels) -> Pixels:
    """The camera compresses."""
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)


def noisy(frame: Pixels) -> Pixels:
    """The sensor's gain is up. The same noise for each frame, so that two models see the same."""
    noise = np.random.default_rng(0).normal(0, NOISE, frame.shape)
    return np.clip(frame + noise, 0, 255).round().astype(np.uint8)


def blurred(frame: Pixels) -> Pixels:
    """The lens is a little out of focus."""
    return cv2.GaussianBlur(frame, (0, 0), BLUR)


DISTURBANCES: dict[str, Disturbance] = {
    "brightness -20 %": darker,
    "brightness +20 %": brighter,
    "shift 3 %": shifted,
    "rotation 3°": turned,
    "JPEG quality 50": compressed,
    "Gaussian noise": noisy,
    "slight blur": blurred,
}


def disturb(samples: tuple[Sample, ...], spec: InputSpec, name: str, folder: Path) -> tuple[Sample, ...]:
    """Disturbed copies of images in a folder, at the size that the camera gave, without their masks."""
    copies = []
    for i, sample in enumerate(samples):
        frame = decode(read_bytes(sample.path), spec.channels, spec.levels)
        spoiled = DISTURBANCES[name](frame if spec.channels == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        path = folder / f"{i:05d}.png"
        cv2.imwrite(str(path), spoiled, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        copies.append(replace(sample, path=path, mask=None))
    return tuple(copies)


def _warp(frame: Pixels, matrix: np.ndarray) -> Pixels:
    height, width = frame.shape[:2]
    warped = cv2.warpAffine(frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return warped.reshape(frame.shape)
