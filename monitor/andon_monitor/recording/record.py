"""Frames of any source, and verdicts where there are some, into recordings."""

import logging
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon_monitor.common.progress import ProgressLine, Rate
from andon_monitor.common.times import rfc3339
from andon_monitor.common.units import describe_size
from andon_monitor.errors import UsageError
from andon_monitor.formats.mcap_writer import RecordingWriter
from andon_monitor.inspection.frames import parse_time
from andon_monitor.sources.base import Source

POLL_FRAMES = 16
POLL_SECONDS = 0.2
# How often the free space is measured: at 200 MB/s 100 MB are written meanwhile, a tenth of what is kept free.
DISK_CHECK_SECONDS = 0.5
# How long verdicts are waited for after the last frame: they come once the frames are inspected.
VERDICTS_WAIT_SECONDS = 3.0
VERDICTS_PAUSE_SECONDS = 0.05  # between two polls for them
DEFAULT_KEEP_FREE = 10**9  # bytes

log = logging.getLogger("andon")

# Gives the verdicts that have arrived (kafka-python's ConsumerRecord), None after the last one.
Verdicts = Callable[[], list[Any] | None]


@dataclass(frozen=True)
class RecordingLimits:
    """When to begin another file, and when to stop.

    `file_size` in bytes and `file_seconds` end a file; files are then numbered (line-000001.mcap, ...) and the newest
    `keep` of them stay. `frames`, `seconds` and a disk with less than `keep_free` bytes free end the recording. Raises
    UsageError where `keep` is given without a limit of a file.
    """

    file_size: int | None = None
    file_seconds: float | None = None
    keep: int | None = None
    frames: int | None = None
    seconds: float | None = None
    keep_free: int = DEFAULT_KEEP_FREE

    def __post_init__(self) -> None:
        if self.keep is not None and not self.rotates:
            raise UsageError(f"--keep: {self.keep} needs --file-size or --file-time, which make several files")

    @property
    def rotates(self) -> bool:
        """Whether several files are written."""
        return self.file_size is not None or self.file_seconds is not None


class Recorder:
    """Records frames until the source ends, a limit is reached or `stop` is called; then closes the file."""

    def __init__(self, source: Source, path: Path, limits: RecordingLimits, verdicts: Verdicts | None = None) -> None:
        self._source = source
        self._path = path
        self._limits = limits
        self._verdicts = verdicts
        self._writer: RecordingWriter | None = None
        self._began_at = 0.0  # of the file, by the monotonic clock
        self._disk_checked_at = 0.0
        self._free = 0
        self._closed_size = 0
        self._line = ProgressLine()
        self._rates = Rate(), Rate()  # of frames and of bytes
        self.frames = 0
        self.verdicts = 0
        self.files: list[Path] = []
        self.stopped = False

    def stop(self) -> None:
        """End the recording after the current poll."""
        self.stopped = True

    def run(self) -> str | None:
        """Record. Returns the reason where it ended too early, else None. Raises SourceError, OutputError."""
        if not self._limits.rotates:
            self._writer = self._begin()  # so that a wrong name is reported before the first frame
        try:
            why = self._record()
        except BaseException:
            self._end()
            raise
        self._end()
        seconds = max(time.monotonic() - self._line.started, 1e-6)
        self._line.write(self._describe(self.frames / seconds, self._closed_size / seconds), last=True)
        return why

    def _record(self) -> str | None:
        limits = self._limits
        wanted = limits.frames
        stop_at = None if limits.seconds is None else time.monotonic() + limits.seconds
        ended_at: float | None = None  # when the frames ended; verdicts may still come
        while not self.stopped and (stop_at is None or time.monotonic() < stop_at):
            if (short := self._short_of_disk()) is not None:
                return short
            frames: list[Any] | None = []
            if ended_at is None:
                capacity = POLL_FRAMES if wanted is None else min(POLL_FRAMES, wanted - self.frames)
                frames = self._source.poll(capacity, POLL_SECONDS) if capacity else None
            for frame in (frames or ())[: None if wanted is None else wanted - self.frames]:  # a record may have more
                self._file().write(frame)
                self.frames += 1
            if frames:
                self._source.acknowledge(frames)
            if frames is None:
                ended_at = time.monotonic()
            more = self._take_verdicts(waits=ended_at is not None)
            if ended_at is not None and (not more or time.monotonic() - ended_at > VERDICTS_WAIT_SECONDS):
                return None
            if self._writer is not None:
                self._writer.file.flush_if_due()
                self._rotate()
            if self._line.due:
                frames_rate, bytes_rate = self._rates
                self._line.write(self._describe(frames_rate.at(self.frames), bytes_rate.at(self._size)))
        return None

    def _take_verdicts(self, waits: bool) -> bool:
        """Write the verdicts that have arrived; whether more may come. With `waits` pause where there were none."""
        if self._verdicts is None:
            return False
        records = self._verdicts()
        for record in records or ():
            self._file().write_verdict(record.value or b"", (record.timestamp or 0) / 1000)
            self.verdicts += 1
        if waits and not records:
            time.sleep(VERDICTS_PAUSE_SECONDS)
        return records is not None

    def _file(self) -> RecordingWriter:
        if self._writer is None:
            self._writer = self._begin()
        return self._writer

    def _begin(self) -> RecordingWriter:
        path = next_path(self._path) if self._limits.rotates else self._path
        writer = RecordingWriter(path, {"source": self._source.name, "recorded_at": rfc3339(time.time())})
        self._began_at = time.monotonic()
        self.files.append(path)
        return writer

    def _rotate(self) -> None:
        limits, writer = self._limits, self._writer
        assert writer is not None
        full = limits.file_size is not None and writer.file.size >= limits.file_size
        old = limits.file_seconds is not None and time.monotonic() - self._began_at >= limits.file_seconds
        if not (full or old) or not writer.file.messages:
            return
        self._end()
        if limits.keep is not None:
            for path in numbered(self._path)[: -limits.keep]:
                path.unlink(missing_ok=True)

    def _end(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        if not writer.file.messages:  # a file without frames is no recording
            writer.file.abandon()
            self.files.remove(writer.file.path)
            return
        writer.file.close()
        self._closed_size += writer.file.path.stat().st_size

    def _short_of_disk(self) -> str | None:
        now = time.monotonic()
        if now - self._disk_checked_at < DISK_CHECK_SECONDS:
            return None
        self._disk_checked_at = now
        folder = next(parent for parent in self._path.absolute().parents if parent.exists())
        self._free = shutil.disk_usage(folder).free
        if self._free >= self._limits.keep_free:
            return None
        return (
            f"{folder}: {describe_size(self._free)} free, less than --keep-free "
            f"{describe_size(self._limits.keep_free)}; stopped, {self.frames} frames are recorded"
        )

    @property
    def _size(self) -> int:
        return self._closed_size + (0 if self._writer is None else self._writer.file.size)

    def _describe(self, frames_rate: float, bytes_rate: float) -> str:
        verdicts = f", {self.verdicts} verdicts" if self._verdicts is not None else ""
        return (
            f"{self.frames} frames{verdicts}, {describe_size(self._size)} in {len(self.files)} "
            f"file{'' if len(self.files) == 1 else 's'}, {frames_rate:.1f} frames/s, "
            f"{describe_size(round(bytes_rate))}/s, {describe_size(self._free)} free"
        )


def numbered(path: Path) -> list[Path]:
    """The finished files of a rotated recording, the oldest first."""
    return sorted(found for found in path.parent.glob(f"{path.stem}-*{path.suffix}") if _number(path, found.name))


def next_path(path: Path) -> Path:
    """The name of the next file of a rotated recording: one more than the last, unfinished files included."""
    taken = [_number(path, found.name) for found in path.parent.glob(f"{path.stem}-*")]
    number = max(filter(None, taken), default=0) + 1
    return path.with_name(f"{path.stem}-{number:06d}{path.suffix}")


def _number(path: Path, name: str) -> int | None:
    match = re.fullmatch(rf"{re.escape(path.stem)}-([0-9]+){re.escape(path.suffix)}(?:\.part)?", name)
    return None if match is None else int(match.group(1))


def parse_start(text: str) -> str | float:
    """Parse --start: "latest", "earliest", or a time, which is returned in seconds since 1970. Raises UsageError."""
    if text in ("latest", "earliest"):
        return text
    try:
        return parse_time(text)
    except ValueError:
        raise UsageError(f"--start: {text!r} should be latest, earliest or a time as 2026-01-05T06:00:00Z") from None
