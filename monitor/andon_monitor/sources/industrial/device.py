"""What the two kinds of industrial camera have in common: features, and grabbed images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from andon_monitor.sources.live import CameraLost

Value = bool | int | float | str
Kind = Literal["integer", "float", "boolean", "enumeration", "string", "command"]


class FeatureError(Exception):
    """A feature that the camera refuses; the message is the library's, on one line."""


@dataclass(frozen=True, slots=True)
class Grab:
    """What a camera delivered: raw pixels, or the `damage` because of which there are none.

    `code` is the PFNC code of the pixel format, `padding` the bytes at the end of each row. `camera_time` is in
    seconds of the camera's own clock, None where it has none; `arrived` in seconds since 1970. `chunks` are names and
    values of chunk data.
    """

    data: bytes
    width: int
    height: int
    code: int
    padding: int
    frame_id: int
    camera_time: float | None
    arrived: float
    damage: str | None = None
    chunks: tuple[tuple[str, str], ...] = ()


class Features(Protocol):
    """A camera's features, by their names in its GenICam description. All methods raise FeatureError."""

    def kind(self, name: str) -> Kind | None:
        """The kind of a feature; None where the camera does not have it."""

    def set(self, name: str, value: Value) -> None:
        """Set a feature to a value of its kind."""

    def bounds(self, name: str) -> tuple[float, float]:
        """The smallest and the largest value of a number."""

    def increment(self, name: str) -> int:
        """The step between two values of an integer, counted from the smallest one."""

    def entries(self, name: str) -> Mapping[str, int]:
        """The entries of an enumeration that can be chosen, with their numbers."""

    def number(self, name: str) -> int:
        """The number of the chosen entry of an enumeration."""

    def execute(self, name: str) -> None:
        """Execute a command."""


class Device(Protocol):
    """An open camera."""

    @property
    def features(self) -> Features:
        """What can be set."""

    def start(self) -> None:
        """Start to deliver images. Raises CameraLost."""

    def grab(self, timeout: float) -> Grab | None:
        """The next image, None after `timeout` seconds. Raises CameraLost where the camera is gone."""

    def lost_packets(self) -> int:
        """Packets that did not arrive, since the start."""

    def close(self) -> None:
        """Stop and close; takes seconds where the camera is gone. Never raises."""


def choose(wanted: str, found: Mapping[str, tuple[str, ...]]) -> str:
    """The key of the camera that is wanted, by one of its names (serial number, address, ...); "" for the only one.

    Raises CameraLost with the serial numbers that are there.
    """
    known = ", ".join(names[0] for names in found.values())
    if not wanted:
        if len(found) == 1:
            return next(iter(found))
        if found:
            raise CameraLost(f"there are {len(found)} cameras; give the serial number of one of them: {known}")
    for key, names in found.items():
        if wanted in names:
            return key
    raise CameraLost(f"no such camera; found: {known}" if found else "no camera found")
