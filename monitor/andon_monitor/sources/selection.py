"""Part of a recording: a window of time, some of its cameras."""

from collections.abc import Sequence
from dataclasses import dataclass

from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame, parse_time, rfc3339
from andon_monitor.sources.base import Source

MAX_CAMERAS = 1000  # remembered to name them; a stream may invent any number
RIGHT = "right is 2026-01-05T06:00:00Z, or +90 for 90 seconds after the first frame"


@dataclass(frozen=True)
class Moment:
    """A time: in seconds since 1970, or where `relative` after a recording's first frame."""

    seconds: float
    relative: bool = False

    def after(self, first: float) -> float:
        """In seconds since 1970, given when the first frame was captured."""
        return first + self.seconds if self.relative else self.seconds


def parse_moment(option: str, text: str) -> Moment:
    """A time as the command line takes it. Raises UsageError."""
    try:
        return Moment(float(text[1:]), relative=True) if text.startswith("+") else Moment(parse_time(text))
    except ValueError:
        raise UsageError(f"{option}: {text!r} is not a time; {RIGHT}") from None


@dataclass(frozen=True)
class Selection:
    """Frames captured from `start` on and before `end`, of these `cameras`; () for all."""

    start: Moment | None = None
    end: Moment | None = None
    cameras: tuple[str, ...] = ()


class SelectedSource:
    """The frames of a source that a selection lets through."""

    length: int | None = None  # known only once all have been seen

    def __init__(self, source: Source, selection: Selection) -> None:
        self.source = source
        self.name = source.name
        self.live = source.live
        self.given = 0
        self._cameras: set[str] = set()
        self._selection = selection
        self._first: float | None = None

    @property
    def ready(self) -> bool:
        """As the source itself."""
        return self.source.ready

    @property
    def damage(self) -> str | None:
        """As the source itself."""
        return self.source.damage

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """See `Source.poll`; [] where none of the frames that came is wanted."""
        frames = self.source.poll(capacity, timeout)
        if frames is None:
            return None
        wanted = [frame for frame in frames if self._wanted(frame)]
        self.given += len(wanted)
        return wanted

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """As the source itself."""
        self.source.acknowledge(frames)

    def close(self) -> None:
        """As the source itself."""
        self.source.close()

    def check(self) -> None:
        """Once all frames have come: raise UsageError where a camera was asked for in vain, or no frame was wanted."""
        for camera in self._selection.cameras:
            if camera not in self._cameras:
                known = ", ".join(sorted(self._cameras)) or "none"
                raise UsageError(f"--camera {camera}: not in {self.name}; its cameras are {known}")
        if not self.given and self._first is not None:
            raise UsageError(f"{self.name}: no frame in that window; its first was captured at {rfc3339(self._first)}")

    def _wanted(self, frame: Frame) -> bool:
        wanted = self._selection
        if self._first is None:
            self._first = frame.captured_at
        if len(self._cameras) < MAX_CAMERAS:
            self._cameras.add(frame.camera)
        return (
            (not wanted.cameras or frame.camera in wanted.cameras)
            and (wanted.start is None or frame.captured_at >= wanted.start.after(self._first))
            and (wanted.end is None or frame.captured_at < wanted.end.after(self._first))
        )
