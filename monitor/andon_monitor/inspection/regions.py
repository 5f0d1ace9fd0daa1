"""Where on a frame a defect is: regions of the anomaly map above the threshold, in pixels of the camera's own frame."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from andon_monitor.model.anomaly_map import enlarge
from andon_monitor.model.card import InputSpec

# A verdict is a message of some kilobytes at most.
MAX_REGIONS = 8
MAX_OUTLINE_POINTS = 32
FIRST_TOLERANCE = 0.5  # pixels of the model's input by which an outline may be simplified; doubled as needed
SCORE_DIGITS, SHARE_DIGITS = 5, 3  # significant ones


@dataclass(frozen=True, slots=True)
class Region:
    """One region. Places are in pixels of the camera's frame, upright as viewers show it, from its top left corner.

    `box`: left, top, width, height; `outline`: corners (x, y) of a polygon; `area` in square pixels, without holes;
    `share`: of the frame's area; `peak`: x, y and the highest value of the anomaly map, in the unit of the score.
    `scale`: millimetres per pixel, None where it is not known.
    """

    box: tuple[int, int, int, int]
    outline: tuple[tuple[int, int], ...]
    area: int
    share: float
    peak: tuple[int, int, float]
    scale: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        x, y, score = self.peak
        region: dict[str, Any] = {
            "box": list(self.box),
            "outline": [list(point) for point in self.outline],
            "area": self.area,
            "share": self.share,
            "peak": {"x": x, "y": y, "score": score},
        }
        if self.scale is None:
            return region
        width, height = self.box[2:]
        sizes = {"width": width * self.scale, "height": height * self.scale, "area": self.area * self.scale**2}
        return region | {"millimetres": {name: _rounded(size, SCORE_DIGITS) for name, size in sizes.items()}}


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of a defect, the strongest first; `left_out`: how many more there are.

    The strength is the sum by which the anomaly map is above the threshold: a scratch comes before a speck of noise.
    """

    found: tuple[Region, ...]
    left_out: int = 0


def find_regions(
    anomaly_map: NDArray[np.float32],
    threshold: float,
    spec: InputSpec,
    frame_size: tuple[int, int],
    scale: float | None = None,
) -> Regions:
    """Regions where an anomaly map [h, w], enlarged as heatmaps are, is above `threshold`; there may be none.

    None of them lies where the model does not look.

    The map lies over the model's input: of an aligned model, too, since its graph maps it back to the camera's frame.
    `frame_size`: width and height of the camera's frame in pixels, `scale` in millimetres per pixel.
    """
    enlarged, masked = enlarge(anomaly_map, (spec.height, spec.width))
    is_above = enlarged > threshold if masked is None else (enlarged > threshold) & ~masked
    above = is_above.astype(np.uint8)
    components: tuple[int, NDArray[Any], NDArray[Any], object] = cv2.connectedComponentsWithStats(above, connectivity=8)
    count, labels, facts, _ = components
    left, top, width, height = spec.region or (0, 0, *frame_size)
    view = _View((left, top), (width / spec.width, height / spec.height), frame_size)
    strengths = np.bincount(labels.ravel(), (enlarged - threshold).ravel(), count)
    order = sorted(range(1, count), key=lambda number: (-float(strengths[number]), number))
    found = tuple(_region(enlarged, labels, facts[number], number, view, scale) for number in order[:MAX_REGIONS])
    return Regions(found, max(0, len(order) - MAX_REGIONS))


@dataclass(frozen=True, slots=True)
class _View:
    """How the model's input lies on the frame: its corner, the frame's pixels for one of its own, the frame's size."""

    corner: tuple[int, int]
    step: tuple[float, float]
    frame_size: tuple[int, int]

    def place(self, x: float, y: float) -> tuple[int, int]:
        """The nearest corner between pixels of the frame."""
        across, down = self.corner[0] + x * self.step[0], self.corner[1] + y * self.step[1]
        return min(max(round(across), 0), self.frame_size[0]), min(max(round(down), 0), self.frame_size[1])


def _region(
    enlarged: NDArray[Any],
    labels: NDArray[Any],
    facts: NDArray[Any],
    number: int,
    view: _View,
    scale: float | None,
) -> Region:
    left, top, width, height, pixels = (int(fact) for fact in facts)
    window = slice(top, top + height), slice(left, left + width)
    inside = labels[window] == number
    row, column = np.unravel_index(int(np.where(inside, enlarged[window], -np.inf).argmax()), inside.shape)
    first, last = view.place(left, top), view.place(left + width, top + height)
    area = pixels * view.step[0] * view.step[1]
    x, y = view.place(left + int(column) + 0.5, top + int(row) + 0.5)
    return Region(
        box=(*first, last[0] - first[0], last[1] - first[1]),
        outline=tuple(view.place(left + x, top + y) for x, y in _outline(inside)),
        area=round(area),
        share=_rounded(area / (view.frame_size[0] * view.frame_size[1]), SHARE_DIGITS),
        peak=(
            min(x, view.frame_size[0] - 1),
            min(y, view.frame_size[1] - 1),
            _rounded(float(enlarged[window][row, column]), SCORE_DIGITS),
        ),
        scale=scale,
    )


def _outline(inside: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """The polygon around a region of a mask [h, w], at most MAX_OUTLINE_POINTS corners, in its pixels."""
    # OpenCV's contours go through the middle of pixels: of pixels half as large they are a quarter from the edge.
    twice = cv2.copyMakeBorder(inside.astype(np.uint8).repeat(2, 0).repeat(2, 1), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    contours, _ = cv2.findContours(twice, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    outline: NDArray[Any] = max(contours, key=cv2.contourArea)
    tolerance = 2 * FIRST_TOLERANCE
    simple = cv2.approxPolyDP(outline, tolerance, True)
    while len(simple) > MAX_OUTLINE_POINTS:
        tolerance *= 2
        simple = cv2.approxPolyDP(outline, tolerance, True)
    return [((float(x) - 0.5) / 2, (float(y) - 0.5) / 2) for x, y in simple[:, 0]]


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
