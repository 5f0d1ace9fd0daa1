"""`andon-monitor record`: frames of any source, and verdicts if asked, into recordings."""

import logging
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon_monitor.common.units import describe_size
from andon_monitor.errors import UsageError
from andon_monitor.formats.mcap_writer import RecordingWriter
from andon_monitor.inspection.frames import parse_time, rfc3339
from andon_monitor.recording.progress import ProgressLine, Tempo
from andon_monitor.sources.base import Source

POLL_FRAMES = 16
POLL_SECONDS = 0.2
DISK_SECONDS = 0.5  # how often the free space is looked at; at 200 MB/s that is 100 MB, a tenth of what is kept free
# With verdicts asked for, a recording goes on so long after its last frame: they come when the frames are inspected.
VERDICTS_SECONDS = 3.0

log = logging.getLogger("andon")

# A source of verdicts: records as kafka-python gives them, None where there will be no more.
Verdicts = Callable[[], list[Any] | None]


@dataclass(frozen=True)
class Limits:
    """When to begin another file, and when to stop.

    `file_size` in bytes and `file_seconds` end a file, and then files are numbered: line-0001.mcap, ...; `keep` is how
    many of them stay. `frames` and `seconds` end the recording, as does the disk where less than `keep_free` bytes
    would be left.
    """

    file_size: int | None = None
    file_seconds: float | None = None
    keep: int | None = None
    frames: int | None = None
    seconds: float | None = None
    keep_free: int = 10**9

    @property
    def rotates(self) -> bool:
        """Whether there will be several files."""
        return self.file_size is not None or self.file_seconds is not None


class Recorder:
    """Takes frames until there are no more, a limit is reached or `stop` is called; the file is then closed."""

    def __init__(self, source: Source, path: Path, limits: Limits, verdicts: Verdicts | None = None) -> None:
        self._source = source
        self._path = path
        self._limits = limits
        self._verdicts = verdicts
        self._writer: RecordingWriter | None = None
        self._began = 0.0  # when the file was begun
        self._disk_looked_at = 0.0
        self._free = 0
        self._closed_size = 0
        self._line = ProgressLine()
        self._tempo = Tempo(), Tempo()  # of frames and of bytes
        self.frames = 0
        self.verdicts = 0
        self.files: list[Path] = []
        self.stopped = False

    def stop(self) -> None:
        """Take no more frames. May be called from a signal handler."""
        self.stopped = True

    def run(self) -> str | None:
        """Record. Returns why it ended before it was meant to, None where it was. Raises SourceError, OutputError."""
        if not self._limits.rotates:
            self._writer = self._begin()  # what is wrong with its name is known before a camera is asked for frames
        try:
            why = self._record()
        except BaseException:
            self._end()
            raise
        self._end()
        seconds = max(time.monotonic() - self._line.started, 1e-6)
        self._line.say(self._describe(self.frames / seconds, self._closed_size / seconds), last=True)
        return why

    def _record(self) -> str | None:
        limits = self._limits
        wanted = limits.frames
        stop_at = None if limits.seconds is None else time.monotonic() + limits.seconds
        ending: float | None = None  # frames are over, verdicts may come
        while not self.stopped and (stop_at is None or time.monotonic() < stop_at):
            if (short := self._short_of_disk()) is not None:
                return short
            frames: list[Any] | None = []
            if ending is None:
                capacity = POLL_FRAMES if wanted is None else min(POLL_FRAMES, wanted - self.frames)
                frames = self._source.poll(capacity, POLL_SECONDS) if capacity else None
            for frame in frames or ():
                self._file().write(frame)
                self.frames += 1
            if frames:
                self._source.acknowledge(frames)
            if frames is None:
                ending = time.monotonic()
            more = self._take_verdicts(waits=ending is not None)
            if ending is not None and (not more or time.monotonic() - ending > VERDICTS_SECONDS):
                return None
            if self._writer is not None:
                self._writer.file.flush_if_due()
                self._rotate()
            if self._line.due:
                frames_tempo, size_tempo = self._tempo
                self._line.say(self._describe(frames_tempo.of(self.frames), size_tempo.of(self._size)))
        return None

    def _take_verdicts(self, waits: bool) -> bool:
        """Write what verdicts there are; whether there may be more."""
        if self._verdicts is None:
            return False
        records = self._verdicts()
        for record in records or ():
            self._file().write_verdict(record.value or b"", (record.timestamp or 0) / 1000)
            self.verdicts += 1
        if waits and not records:
            time.sleep(0.05)
        return records is not None

    def _file(self) -> RecordingWriter:
        if self._writer is None:
            self._writer = self._begin()
        return self._writer

    def _begin(self) -> RecordingWriter:
        path = next_path(self._path) if self._limits.rotates else self._path
        writer = RecordingWriter(path, {"source": self._source.name, "recorded_at": rfc3339(time.time())})
        self._began = time.monotonic()
        self.files.append(path)
        return writer

    def _rotate(self) -> None:
        limits, writer = self._limits, self._writer
        assert writer is not None
        full = limits.file_size is not None and writer.file.size >= limits.file_size
        old = limits.file_seconds is not None and time.monotonic() - self._began >= limits.file_seconds
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
        if not writer.file.messages:  # nothing came: a file without frames is no recording
            writer.file.abandon()
            self.files.remove(writer.file.path)
            return
        writer.file.close()
        self._closed_size += writer.file.path.stat().st_size

    def _short_of_disk(self) -> str | None:
        now = time.monotonic()
        if now - self._disk_looked_at < DISK_SECONDS:
            return None
        self._disk_looked_at = now
        folder = next(parent for parent in self._path.absolute().parents if parent.exists())
        self._free = shutil.disk_usage(folder).free
        if self._free >= self._limits.keep_free:
            return None
        return (
            f"{folder}: {describe_size(self._free)} free, less than the {describe_size(self._limits.keep_free)} to be "
            f"left; stopped, {self.frames} frames are recorded"
        )

    @property
    def _size(self) -> int:
        return self._closed_size + (0 if self._writer is None else self._writer.file.size)

    def _describe(self, frames_tempo: float, size_tempo: float) -> str:
        verdicts = f", {self.verdicts} verdicts" if self._verdicts is not None else ""
        return (
            f"{self.frames} frames{verdicts}, {describe_size(self._size)} in {len(self.files)} "
            f"file{'' if len(self.files) == 1 else 's'}, {frames_tempo:.1f} frames/s, "
            f"{describe_size(round(size_tempo))}/s, {describe_size(self._free)} free"
        )


def numbered(path: Path) -> list[Path]:
    """The whole files of a recording that is rotated, the oldest first."""
    return sorted(found for found in path.parent.glob(f"{path.stem}-*{path.suffix}") if _number(path, found.name))


def next_path(path: Path) -> Path:
    """The name of its next file: after the last one there is, what a crash left included."""
    taken = [_number(path, found.name) for found in path.parent.glob(f"{path.stem}-*")]
    number = max(filter(None, taken), default=0) + 1
    return path.with_name(f"{path.stem}-{number:06d}{path.suffix}")


def _number(path: Path, name: str) -> int | None:
    match = re.fullmatch(rf"{re.escape(path.stem)}-([0-9]+){re.escape(path.suffix)}(?:\.part)?", name)
    return None if match is None else int(match.group(1))


def parse_start(text: str) -> str | float:
    """`latest`, `earliest` or a time, in seconds since 1970. Raises UsageError."""
    if text in ("latest", "earliest"):
        return text
    try:
        return parse_time(text)
    except ValueError:
        raise UsageError(f"--start: {text!r} should be latest, earliest or a time as 2026-01-05T06:00:00Z") from None
