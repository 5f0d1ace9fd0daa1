"""Part of a recording: a period of time, some of its cameras."""

from dataclasses import dataclass

from andon_monitor.common.times import rfc3339
from andon_monitor.errors import UsageError
from andon_monitor.inspection.frames import Frame, parse_time
from andon_monitor.sources.base import Source, SourceOfSource

MAX_CAMERAS = 1000  # listed in an error; a stream may have any number of names
EXPECTED = "right is 2026-01-05T06:00:00Z, or +90 for 90 seconds after the first frame"


@dataclass(frozen=True)
class Moment:
    """A time in seconds since 1970, or with `relative` in seconds after the first frame of a recording."""

    seconds: float
    relative: bool = False

    def after(self, first: float) -> float:
        """The time in seconds since 1970; `first`: when the first frame was captured."""
        return first + self.seconds if self.relative else self.seconds


def parse_moment(option: str, text: str) -> Moment:
    """Parse a time of the command line; `option` is named in errors. Raises UsageError."""
    try:
        return Moment(float(text[1:]), relative=True) if text.startswith("+") else Moment(parse_time(text))
    except ValueError:
        raise UsageError(f"{option}: {text!r} is not a time; {EXPECTED}") from None


@dataclass(frozen=True)
class Selection:
    """Frames captured at `start` or later and before `end`, from these `cameras`; () for all."""

    start: Moment | None = None
    end: Moment | None = None
    cameras: tuple[str, ...] = ()


class SelectedSource(SourceOfSource):
    """The frames of a source that are in a selection."""

    def __init__(self, source: Source, selection: Selection) -> None:
        super().__init__(source)
        self.length = None  # not known before all frames have been read
        self.selected_count = 0
        self._cameras: set[str] = set()
        self._selection = selection
        self._first: float | None = None

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """See `Source.poll`; [] where none of the frames polled is selected."""
        frames = self.source.poll(capacity, timeout)
        if frames is None:
            return None
        selected = [frame for frame in frames if self._is_selected(frame)]
        self.selected_count += len(selected)
        return selected

    def check(self) -> None:
        """After the last frame: raise UsageError where a selected camera had no frame, or no frame was selected."""
        for camera in self._selection.cameras:
            if camera not in self._cameras:
                known = ", ".join(sorted(self._cameras)) or "none"
                raise UsageError(f"--camera {camera}: not in {self.name}; its cameras are {known}")
        if not self.selected_count and self._first is not None:
            raise UsageError(
                f"{self.name}: no frame between --from and --until; the first was captured at {rfc3339(self._first)}"
            )

    def _is_selected(self, frame: Frame) -> bool:
        selection = self._selection
        if self._first is None:
            self._first = frame.captured_at
        if len(self._cameras) < MAX_CAMERAS:
            self._cameras.add(frame.camera)
        return (
            (not selection.cameras or frame.camera in selection.cameras)
            and (selection.start is None or frame.captured_at >= selection.start.after(self._first))
            and (selection.end is None or frame.captured_at < selection.end.after(self._first))
        )
