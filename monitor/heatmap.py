"""Anomaly maps laid over their frames, and pictures that stand in an HTML page themselves."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.imaging import Pixels

# Where colour begins, in units of the threshold, how strong it is there, and which colour (RGB): nothing below half
# the threshold, all of it from the threshold on.
STEPS = (0.5, 0.75, 1.0)
STRENGTH = (0.0, 0.5, 0.78)
COLOURS = ((255, 214, 64), (255, 140, 0), (224, 0, 70))
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 85]


def overlay(frame: Pixels, anomaly_map: NDArray[np.float32], threshold: float) -> Pixels:
    """An anomaly map over the frame in grey: uint8 [H, W, 3].

    `frame`: uint8 [H, W, C]; `anomaly_map`: float [h, w] in the units of the score and of `threshold`.
    """
    height, width, channels = frame.shape
    grey = frame[:, :, 0] if channels == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    large = cv2.resize(np.asarray(anomaly_map, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    level = large.astype(np.float64) / max(threshold, 1e-9)  # [H, W]
    strength = np.interp(level, STEPS, STRENGTH)[..., None]
    colour = np.stack([np.interp(level, STEPS, channel) for channel in zip(*COLOURS, strict=True)], axis=-1)
    return np.rint(grey[..., None] * (1 - strength) + colour * strength).astype(np.uint8)


def as_data_uri(picture: Pixels) -> str:
    """A picture, uint8 [H, W, 1] or [H, W, 3] in RGB, as a JPEG in a data URI."""
    ordered = picture if picture.shape[2] == 1 else np.ascontiguousarray(picture[:, :, ::-1])
    _, data = cv2.imencode(".jpg", ordered, JPEG)
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
