"""Heatmaps: anomaly maps drawn over their frames, in units of the threshold; and pictures as data URIs."""

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from andon_monitor.model.anomaly_map import enlarge
from andon_monitor.model.imaging import Pixels

# score / threshold -> red, green, blue, opacity. Transparent below half the threshold; the last colour from the
# threshold on: a part that shows it over some area is a defect.
STOPS = (
    (0.50, (255, 214, 64), 0.00),
    (0.75, (255, 140, 0), 0.50),
    (1.00, (224, 0, 70), 0.78),
)
# What the model does not look at is hatched in greys, which are no colours of a defect: grey levels, opacity, and
# pixels from stripe to stripe.
MASK_GREYS, MASK_OPACITY, MASK_STRIPES = (96, 168), 0.75, 8
JPEG_QUALITY = 88


def heatmap(frame: Pixels, anomaly_map: NDArray[np.float32], threshold: float) -> Pixels:
    """Draw an anomaly map over its frame: uint8 [H, W, 3]; masked places are hatched in grey.

    `frame`: uint8 [H, W, C], drawn in grey, so that colour has one meaning; `anomaly_map`: float [h, w] in the
    units of the score, upsampled bilinearly; `threshold`: the score above which a part is a defect.
    """
    height, width, channels = frame.shape
    grey = frame[:, :, 0] if channels == 1 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    colour, opacity = colours(anomaly_map, (height, width), threshold)
    blended: Pixels = (grey[:, :, None] * (1 - opacity) + colour * opacity).round().astype(np.uint8)
    return blended


def colours(
    anomaly_map: NDArray[np.float32], size: tuple[int, int], threshold: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The overlay of `heatmap` for a size (height, width): RGB [H, W, 3] in 0..255 and opacity [H, W, 1] in 0..1."""
    upsampled, masked = enlarge(anomaly_map, size)
    ratio = upsampled.astype(np.float64) / max(threshold, 1e-6)  # [H, W]
    places = [place for place, _, _ in STOPS]
    opacity = np.interp(ratio, places, [opacity for _, _, opacity in STOPS])[:, :, None]
    colour = np.stack([np.interp(ratio, places, [rgb[i] for _, rgb, _ in STOPS]) for i in range(3)], axis=2)
    if masked is not None:
        y, x = np.indices(size)
        stripes = np.where((x + y) // (MASK_STRIPES // 2) % 2 == 0, *MASK_GREYS)
        colour = np.where(masked[:, :, None], stripes[:, :, None], colour)
        opacity = np.where(masked[:, :, None], MASK_OPACITY, opacity)
    return colour, opacity


def data_uri(picture: Pixels) -> str:
    """A picture (uint8 [H, W, 1] or [H, W, 3]) as a data URI that holds a JPEG."""
    ordered = picture if picture.shape[2] == 1 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    # No chroma subsampling: the outline of a mask is one pixel wide.
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, jpeg = cv2.imencode(".jpg", ordered, settings)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
