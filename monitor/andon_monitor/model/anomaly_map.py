"""Anomaly maps enlarged to pixels; places that a mask covers have no value."""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

# The value of a cell that the model does not look at: far below any that a place can have.
NOT_INSPECTED = -1000.0


def enlarge(anomaly_map: ArrayLike, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """An anomaly map [h, w] enlarged bilinearly to a size (height, width).

    Returns the values float32 [height, width], and where they are `NOT_INSPECTED`, bool [height, width]; None where
    the model looks everywhere.
    """
    cells = np.asarray(anomaly_map, np.float32)
    shape = size[1], size[0]
    masked = cells <= NOT_INSPECTED / 2
    if not masked.any():
        return cv2.resize(cells, shape, interpolation=cv2.INTER_LINEAR), None  # type: ignore[return-value]
    # Next to the mask, the mean of the neighbours that are inspected.
    weights = cv2.resize((~masked).astype(np.float32), shape, interpolation=cv2.INTER_LINEAR)
    sums = cv2.resize(np.where(masked, np.float32(0), cells), shape, interpolation=cv2.INTER_LINEAR)
    hidden = cv2.resize(masked.astype(np.uint8), shape, interpolation=cv2.INTER_NEAREST).astype(np.bool_)
    values = np.where(hidden, np.float32(NOT_INSPECTED), sums / np.maximum(weights, np.float32(1e-6)))
    return values.astype(np.float32), hidden
