"""The camera over the conveyor: the position of the part, the belt under it, optics and sensor."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from andon_trainer.sample.geometry import IMAGE_SIZE, SCALE, Array, f32
from andon_trainer.sample.part import Light

BELT_SIZE = 1024
SHADOW_REACH = 15.0  # pixels that the plate's shadow reaches: the plate is on supports of 24 pixels
JPEG_QUALITY = 92
TONE_STEPS = 4096
WHITE = 1.5  # linear light beyond this is white whatever the exposure


@dataclass(frozen=True)
class View:
    """Position of one part under the camera, and the settings of the camera for this image."""

    shift: tuple[float, float]  # pixels
    angle: float  # degrees
    exposure: float
    defocus: float  # standard deviation of the blur, in pixels
    belt: tuple[int, int, int]  # left and top of the crop of the belt, and how it is flipped
    noise_seed: int


def draw_view(rng: np.random.Generator) -> View:
    """Draw the position of a part placed by hand into the fixture, and an exposure within 8 % of the nominal one."""
    room = BELT_SIZE - IMAGE_SIZE
    return View(
        shift=(float(rng.uniform(-3, 3)), float(rng.uniform(-3, 3))),
        angle=float(rng.uniform(-1.5, 1.5)),
        exposure=float(rng.uniform(0.92, 1.08)),
        defocus=float(rng.uniform(0.35, 0.65)),
        belt=(int(rng.integers(room)), int(rng.integers(room)), int(rng.integers(-1, 3))),
        noise_seed=int(rng.integers(2**63)),
    )


@lru_cache(maxsize=1)
def belt() -> Array:
    """Matt, worn rubber of the conveyor: linear light around 0.03, float32 [BELT_SIZE, BELT_SIZE]."""
    rng = np.random.default_rng(20260105)
    texture = np.zeros((BELT_SIZE, BELT_SIZE), np.float32)
    for cell, weight in ((1, 0.16), (2, 0.13), (4, 0.06), (24, 0.06), (160, 0.10)):
        count = BELT_SIZE // cell + 1
        coarse = rng.standard_normal((count, count), dtype=np.float32)
        layer = f32(cv2.resize(coarse, (BELT_SIZE, BELT_SIZE), interpolation=cv2.INTER_CUBIC))
        texture += weight * layer
    y, x = np.mgrid[0:BELT_SIZE, 0:BELT_SIZE].astype(np.float32)
    # The fabric under the rubber shows through.
    texture += 0.09 * np.sin(x * 2 * np.pi / 5.3) * np.sin(y * 2 * np.pi / 5.3)
    scuffs = np.zeros((BELT_SIZE, BELT_SIZE), np.uint8)
    for _ in range(70):
        start = rng.integers(0, BELT_SIZE, 2)
        end = start + rng.normal(0, 26, 2).astype(int)
        cv2.line(scuffs, start.tolist(), end.tolist(), int(rng.integers(20, 90)), 1, cv2.LINE_AA)
    for _ in range(220):
        cv2.circle(scuffs, rng.integers(0, BELT_SIZE, 2).tolist(), 1, int(rng.integers(40, 200)), -1, cv2.LINE_AA)
    texture += cv2.GaussianBlur(scuffs, (0, 0), 0.8).astype(np.float32) * (0.9 / 255)
    return f32(0.030 * np.exp(texture))


@lru_cache(maxsize=1)
def vignette() -> Array:
    """The share of light that the lens passes, less towards the corners: float32 [IMAGE_SIZE, IMAGE_SIZE]."""
    axis = np.linspace(-1, 1, IMAGE_SIZE, dtype=np.float32)
    squared = axis[None, :] ** 2 + axis[:, None] ** 2
    return 1 - 0.11 * squared


def placement(view: View) -> Array:
    """The affine map [2, 3] from canvas samples to image pixels."""
    turn = np.deg2rad(view.angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = (IMAGE_SIZE * SCALE - 1) / 2
    target = (IMAGE_SIZE - 1) / 2 + np.array(view.shift)
    offset = target - matrix @ np.array([middle, middle]) / SCALE
    return f32(np.hstack([matrix / SCALE, offset[:, None]]))


def place(field: Array, view: View) -> Array:
    """A canvas field in image coordinates, blurred by the lens: float32 [IMAGE_SIZE, IMAGE_SIZE]."""
    blurred = cv2.GaussianBlur(field, (0, 0), view.defocus * SCALE)
    return f32(cv2.warpAffine(blurred, placement(view), (IMAGE_SIZE, IMAGE_SIZE), flags=cv2.INTER_LINEAR))


def on_belt(radiance: Array, coverage: Array, light: Light, view: View) -> Array:
    """The part with its shadow on the conveyor, linear light at the sensor: float32 [IMAGE_SIZE, IMAGE_SIZE]."""
    metal = place(radiance * coverage, view)
    covered = place(coverage, view)
    left, top, flip = view.belt
    ground = belt()[top : top + IMAGE_SIZE, left : left + IMAGE_SIZE]
    if flip < 2:
        ground = np.ascontiguousarray(cv2.flip(ground, flip))
    small = f32(cv2.resize(covered, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    reach = SHADOW_REACH / 2
    move = np.array([[1, 0, -np.cos(light.azimuth) * reach], [0, 1, -np.sin(light.azimuth) * reach]], np.float32)
    umbra = cv2.GaussianBlur(cv2.warpAffine(small, move, small.shape[::-1]), (0, 0), 3.0)
    contact = cv2.GaussianBlur(small, (0, 0), 5.0)
    lit = f32(cv2.resize((1 - 0.72 * umbra) * (1 - 0.55 * contact), (IMAGE_SIZE, IMAGE_SIZE)))
    scene = metal + ground * lit * (1 - covered)
    scene *= vignette()
    return scene


@lru_cache(maxsize=1)
def tone_curve() -> NDArray[np.float32]:
    """Grey levels (0..255) for `TONE_STEPS` steps of linear light up to `WHITE`: gamma 2.2 with a soft shoulder."""
    linear = np.linspace(0, WHITE, TONE_STEPS)
    return f32(255 * (linear / (1 + linear**4) ** 0.25) ** (1 / 2.2))


def develop(linear: Array) -> Array:
    """Grey levels (0..255, not rounded) of linear light, float32 of the same shape."""
    steps = np.clip(linear * ((TONE_STEPS - 1) / WHITE), 0, TONE_STEPS - 1)
    return f32(tone_curve()[steps.astype(np.int32)])


def expose(scene: Array, view: View) -> NDArray[np.uint8]:
    """The image of a scene after exposure, shot and read noise, and tone curve: uint8 [IMAGE_SIZE, IMAGE_SIZE]."""
    rng = np.random.default_rng(view.noise_seed)
    light = scene * np.float32(view.exposure)
    # A full well of 10,000 electrons, and ten electrons to read it.
    sigma = np.sqrt(np.maximum(light, 0) * 1e-4 + 1e-6)
    noisy = light + sigma * rng.standard_normal(scene.shape, dtype=np.float32)
    return np.rint(develop(noisy)).astype(np.uint8)


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """The image as a JPEG file, as the camera sends it."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise RuntimeError(f"no JPEG of an array of shape {image.shape}")
    return data.tobytes()
