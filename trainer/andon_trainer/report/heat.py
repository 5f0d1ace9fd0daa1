"""What the report draws beside heatmaps: the outline of a mask, and the colours' legend."""

import cv2
import numpy as np
from andon_monitor.model.heatmap import STOPS
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

OUTLINE = (64, 224, 255)  # cyan: not one of the heatmap's colours, seen on dark and bright parts


def outline(picture: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """Draw a line around what a mask (bool [H, W]) marks, on a copy of a picture uint8 [H, W, 3]."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn: Pixels = cv2.drawContours(picture.copy(), contours, -1, OUTLINE, 1)  # type: ignore[assignment]
    return drawn


def colour_bar() -> str:
    """The heatmap's colours as a CSS gradient from 0.25 to 1.25 times the threshold."""
    stops = [f"rgb({r} {g} {b} / {a}) {100 * (place - 0.25):.0f}%" for place, (r, g, b), a in STOPS]
    return f"linear-gradient(90deg, {', '.join(stops)})"
