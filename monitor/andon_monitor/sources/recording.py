"""Recordings as a source of frames, and the verdicts in them."""

import logging
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path

from mcap.records import Message
from mcap.well_known import MessageEncoding

from andon_monitor.errors import SourceError, UsageError
from andon_monitor.formats.mcap_layout import FRAMES, IMAGE, SUFFIX, VERDICTS, is_image, unpack_foreign, unpack_frame
from andon_monitor.formats.mcap_reader import Content, RecordingFile
from andon_monitor.inspection.frames import Frame, Position

NO_FRAMES = f"no frames in it; right are messages of {IMAGE} in protobuf"
# So much of the start of another program's file is hashed, with its size, for the cluster in its frames' positions.
HASHED_BYTES = 2**16

log = logging.getLogger("andon")


class RecordingSource:
    """The frames of one recording, or of several in a row, in the order in which they were recorded.

    They keep their cluster, topic, partition and offset, so that the same model gives a frame the same verdict as on
    the line, with the same id. Images that another program recorded as foxglove.CompressedImage are frames too. Of
    damaged files the intact part is read; `damage` then says what is lost.

    Raises UsageError: no such file, not MCAP, no frames in it (SourceError where only reading it tells).
    """

    live = False
    ready = True

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.name = name
        self.read_count = 0
        self._damaged: list[str] = []
        self._files = [RecordingFile(path) for path in paths]
        indexes = [file.index for file in self._files]
        self.length: int | None = (
            None if None in indexes else sum(index.frames for index in indexes if index is not None)
        )
        if self.length == 0:
            raise UsageError(f"{name}: {NO_FRAMES}")
        self._frames = self._read()

    @property
    def damage(self) -> str | None:
        """See `Source.damage`."""
        if not self._damaged:
            return None
        return "; ".join([*self._damaged, f"{self.read_count} frames recovered"])

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next `capacity` frames; None after the last. Raises SourceError where the medium fails."""
        frames = list(islice(self._frames, capacity))
        self.read_count += len(frames)
        return frames if frames or capacity == 0 else None

    def acknowledge(self, frames: Sequence[Frame]) -> None:
        """Does nothing: a recording is always read from its start."""

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def _read(self) -> Iterator[Frame]:
        total = 0
        for file in self._files:
            name: str | None = None
            facts: Message | None = None
            number = 0
            for content in file.contents():
                for channel, schema, message in content.messages:
                    if channel.topic == FRAMES and channel.message_encoding == MessageEncoding.JSON:
                        facts = message
                    elif is_image(channel, schema):
                        try:
                            if facts is not None and facts.sequence == message.sequence:
                                yield unpack_frame(facts.data, message.data)
                            else:
                                name = name or _name(file.path)
                                place = Position(name, channel.topic, 0, number)
                                yield unpack_foreign(channel.topic, place, message.log_time, message.data)
                        except ValueError as error:
                            file.damage.unreadable += 1
                            log.warning("%s: frame %d: %s", file.path, number, error)
                        number += 1
                        facts = None
            total += number
            if file.damage.found:
                self._damaged.append(f"{file.path}: damaged: {file.damage}")
        if not total and not self._damaged:
            raise SourceError(f"{self.name}: {NO_FRAMES}")


def open_recording(uri: str) -> RecordingSource:
    """Open a .mcap file, or a folder of such files as one recording. Raises UsageError."""
    return RecordingSource(recording_paths(Path(uri)), uri)


def recording_paths(path: Path) -> list[Path]:
    """The files of a recording in their order: rotated files are numbered. Raises UsageError where there are none."""
    if not path.is_dir():
        return [path]
    paths = sorted(path.glob(f"*{SUFFIX}")) + sorted(path.glob(f"*{SUFFIX}.part"))  # an unfinished file is the newest
    if not paths:
        raise UsageError(f"{path}: no recordings (*{SUFFIX}) in it")
    return paths


def is_recording(uri: str) -> bool:
    """Whether a path names a recording: a .mcap file, also an unfinished one, or a folder of them."""
    path = Path(uri)
    return uri.lower().endswith((SUFFIX, f"{SUFFIX}.part")) or (path.is_dir() and any(path.glob(f"*{SUFFIX}*")))


def recorded_verdicts(paths: Sequence[Path]) -> Iterator[bytes]:
    """The verdicts in recordings, as JSON. Raises UsageError, SourceError."""
    for path in paths:
        file = RecordingFile(path)
        try:
            for content in file.contents():
                yield from _verdicts(content)
        finally:
            file.close()


def _verdicts(content: Content) -> Iterator[bytes]:
    for channel, _, message in content.messages:
        if channel.topic == VERDICTS:
            yield message.data


def _name(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(HASHED_BYTES)
    return "mcap-" + sha256(head + str(path.stat().st_size).encode()).hexdigest()[:16]
