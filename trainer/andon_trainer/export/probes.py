"""What a model is asked after every fit: frames that no line may pass, and good parts with made-up defects.

Both have a verdict that is known without a label. The made-up defects are plain (a spot, a scratch, a displaced patch
of a stated size and contrast) and not those that the network was trained on, which it knows too well.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from andon_monitor.model.calibration import DEFAULT_RATES, calibrate
from andon_monitor.model.card import Card, Probe
from andon_monitor.model.file import Model
from andon_monitor.model.fitness import assess
from andon_monitor.model.imaging import Pixels
from andon_monitor.model.mask import Masked
from numpy.typing import NDArray

Rng = np.random.Generator

SEED = 7
FRAMES_OF_EACH = 6  # for each kind of impossible frame
MADE_UP_FRAMES = 24  # for each size
SIZES = (0.02, 0.05, 0.1)  # of made-up defects, as a share of the frame's longer side
CONTRAST = 50  # grey levels by which a made-up mark differs from the part: a fifth of white
SENSOR_NOISE = 3.0  # grey levels, so that an empty frame is not the same everywhere
# A part that is turned upside down is another picture where the two differ by this many times what two good parts do.
MIN_TURN_DIFFERENCE = 2.0
MAX_TRIES = 50  # to place a made-up defect where the model looks
COMPARED = 20  # good frames with which that is found out


def probe(model: Model, good: Pixels, masked: Masked | None = None) -> tuple[Probe, ...]:
    """Scores of impossible frames and of made-up defects, made from held-out good frames uint8 [N, H, W, C].

    `masked`: bool [H, W], pixels that the model does not look at: made-up defects lie elsewhere.
    """
    rng = np.random.default_rng(SEED)
    asked: list[tuple[str, str, Pixels]] = [
        ("impossible", name, frames) for name, frames in impossible_frames(good, rng).items()
    ]
    asked += [("made-up", size_in_words(size, model), made_up_defects(good, size, rng, masked)) for size in SIZES]
    return tuple(
        Probe.model_validate({"kind": kind, "name": name, "scores": tuple(map(float, model.score(frames)))})
        for kind, name, frames in asked
    )


def impossible_frames(good: Pixels, rng: Rng) -> dict[str, Pixels]:
    """Frames that are no good parts, by name, from good ones [N, H, W, C]; each uint8 [FRAMES_OF_EACH, H, W, C]."""
    chosen = good[np.linspace(0, len(good) - 1, FRAMES_OF_EACH).round().astype(int)]
    frames = {
        "empty": np.stack([_noisy(np.full_like(frame, round(float(frame.mean()))), rng) for frame in chosen]),
        "only noise": rng.integers(0, 256, chosen.shape, dtype=np.uint8),
        "half covered": np.stack([_covered(frame, i, rng) for i, frame in enumerate(chosen)]),
        "another scene": np.stack([_scene(frame.shape, rng) for frame in chosen]),
    }
    if turning_changes(good):
        frames["upside down"] = np.ascontiguousarray(chosen[:, ::-1, ::-1])
    return frames


def turning_changes(good: Pixels) -> bool:
    """Whether good frames uint8 [N, H, W, C] turned by 180 degrees differ more than two good frames do."""
    some = good[:COMPARED]
    small = np.stack([cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA).reshape(32, 32, -1) for frame in some])
    values = small.astype(np.float64)
    values -= values.mean(axis=(1, 2), keepdims=True)  # the light may differ
    turned = np.abs(values - values[:, ::-1, ::-1]).mean()
    between = np.abs(values - np.roll(values, 1, axis=0)).mean()
    return bool(turned > MIN_TURN_DIFFERENCE * between)


def made_up_defects(good: Pixels, size: float, rng: Rng, masked: Masked | None = None) -> Pixels:
    """Good frames uint8 [N, H, W, C] with one defect each of `size` of the longer side: uint8 [MADE_UP_FRAMES, ...]."""
    kinds: Sequence[Callable[[NDArray[np.float32], float, Rng], None]] = (_spot, _scratch, _displaced)
    frames = []
    for i in range(MADE_UP_FRAMES):
        part = good[i % len(good)].astype(np.float32)
        for _ in range(MAX_TRIES):
            frame = part.copy()
            kinds[i % len(kinds)](frame, size * max(frame.shape[:2]), rng)
            changed = (frame != part).any(axis=2)
            if masked is None or (changed & ~masked).sum() > changed.sum() / 2:
                break
        frames.append(np.clip(np.round(frame), 0, 255).astype(np.uint8))
    return np.stack(frames)


def size_in_words(size: float, model: Model) -> str:
    """A made-up defect's size as a share of the picture, and in pixels of the camera where its frames have one size."""
    spec = model.card.input
    inspected = spec.region[2:] if spec.region else spec.frame_size
    pixels = f", {max(inspected) * size:.0f} pixels of the camera" if inspected else ""
    return f"{100 * size:g} % of the picture's side{pixels}"


def stop_impossible_frames(card: Card) -> Card:
    """A card whose rate nobody asked for, with the lowest default rate that lets no impossible frame pass, if one does.

    It comes from the card's own scores, where it has all of them. Where no such rate helps, the card stays as it is.
    """
    present = card.calibration
    higher = [share for share in DEFAULT_RATES if share > present.false_alarm_rate]
    if len(present.scores) == present.count:
        for tried in (present, *(calibrate(present.scores, share) for share in higher)):
            fitness = assess(card, tried.threshold)
            if fitness is None or not fitness.passing:
                return card.model_copy(update={"calibration": tried})
    return card


def _noisy(frame: Pixels, rng: Rng) -> Pixels:
    return np.clip(frame + rng.normal(0, SENSOR_NOISE, frame.shape), 0, 255).astype(np.uint8)


def _covered(frame: Pixels, side: int, rng: Rng) -> Pixels:
    """Half of a frame dark: a hand, a plate or a cable in front of the camera."""
    covered = frame.copy()
    height, width = frame.shape[:2]
    top, left = (0, height // 2)[side % 4 == 3], (0, width // 2)[side % 4 == 2]
    bottom, right = (height, height // 2)[side % 4 == 1], (width, width // 2)[side % 4 == 0]
    part = covered[top:bottom, left:right]
    part[:] = _noisy(np.full_like(part, 20 + int(rng.integers(60))), rng)
    return covered


def _scene(shape: tuple[int, ...], rng: Rng) -> Pixels:
    """Something else: boxes and discs of any brightness, slightly out of focus."""
    height, width = shape[:2]
    scene = np.full(shape, int(rng.integers(40, 200)), np.uint8)
    for _ in range(25):
        colour = [int(value) for value in rng.integers(0, 256, shape[2])]
        x, y = int(rng.integers(width)), int(rng.integers(height))
        reach = max(2, int(rng.uniform(0.03, 0.2) * max(height, width)))
        if rng.random() < 0.5:
            cv2.circle(scene, (x, y), reach, colour, -1)
        else:
            cv2.rectangle(scene, (x, y), (x + 2 * reach, y + reach), colour, -1)
    blurred = cv2.GaussianBlur(scene, (0, 0), 1.0).reshape(shape).astype(np.uint8)
    return _noisy(blurred, rng)


def _spot(frame: NDArray[np.float32], size: float, rng: Rng) -> None:
    """A dark or bright spot of a diameter of `size` pixels."""
    y, x = _place(frame, size, rng)
    region = np.zeros(frame.shape[:2], np.float32)
    cv2.circle(region, (x, y), max(1, round(size / 2)), 1.0, -1, cv2.LINE_AA)
    _mark(frame, region, rng)


def _scratch(frame: NDArray[np.float32], size: float, rng: Rng) -> None:
    """A straight line `2 * size` pixels long and an eighth of `size` wide."""
    y, x = _place(frame, size, rng)
    angle = rng.uniform(0, np.pi)
    step = np.array([np.cos(angle), np.sin(angle)]) * size
    region = np.zeros(frame.shape[:2], np.float32)
    ends = [tuple(round(float(value)) for value in (x, y) + sign * step) for sign in (-1, 1)]
    cv2.line(region, ends[0], ends[1], 1.0, max(1, round(size / 8)), cv2.LINE_AA)
    _mark(frame, region, rng)


def _displaced(frame: NDArray[np.float32], size: float, rng: Rng) -> None:
    """A square of `size` pixels of another place, upside down and marked: a wrong or twisted detail."""
    side = max(2, round(size))
    (y, x), (other_y, other_x) = (_place(frame, size, rng, corner=True) for _ in range(2))
    frame[y : y + side, x : x + side] = frame[other_y : other_y + side, other_x : other_x + side][::-1].copy()
    region = np.zeros(frame.shape[:2], np.float32)
    region[y : y + side, x : x + side] = 1
    _mark(frame, region, rng)


def _mark(frame: NDArray[np.float32], region: NDArray[np.float32], rng: Rng) -> None:
    inside = float(frame[region > 0].mean()) if (region > 0).any() else 0.0
    # Towards the side where there is room, or a bright mark on a white part would not be seen.
    sign = -1.0 if inside > 255 - CONTRAST or (inside >= CONTRAST and rng.random() < 0.5) else 1.0
    frame += sign * CONTRAST * region[:, :, None]


def _place(frame: NDArray[np.float32], size: float, rng: Rng, corner: bool = False) -> tuple[int, int]:
    """Row and column of a defect's centre, or its upper left corner, so that it lies within the middle of the frame."""
    height, width = frame.shape[:2]
    margin = 0.2
    y, x = rng.uniform(margin, 1 - margin) * height, rng.uniform(margin, 1 - margin) * width
    if corner:
        y, x = min(y, height - size - 1), min(x, width - size - 1)
    return max(0, int(y)), max(0, int(x))
