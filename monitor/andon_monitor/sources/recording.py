"""Recordings as a source of frames, and the verdicts in them."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path

from mcap.records import Channel, Message, Schema
from mcap.well_known import MessageEncoding

from andon_monitor.errors import SourceError, UsageError
from andon_monitor.formats.mcap_layout import (
    FRAMES,
    IMAGE,
    SUFFIX,
    VERDICTS,
    is_image,
    looks_like_images,
    unpack_foreign,
    unpack_frame,
)
from andon_monitor.formats.mcap_reader import Content, RecordingFile
from andon_monitor.image_files.folders import HIDDEN, OTHER_ENDING, SPECIAL, PassedOver
from andon_monitor.inspection.frames import Frame, Position

NO_FRAMES = f"no frames in it; right are messages of {IMAGE} in protobuf or JSON"
MAX_SHOWN = 200  # characters of a channel's description
MAX_CHANNELS = 20  # named in a message; a file may have any number
OTHER_CHANNELS = "other channels"
SUFFIXES = (SUFFIX, f"{SUFFIX}.part")
# So much of the start of another program's file is hashed, with its size, for the cluster in its frames' positions.
HASHED_BYTES = 2**16

log = logging.getLogger("andon")


class RecordingSource:
    """The frames of one recording, or of several in a row, in the order in which they were recorded.

    They keep their cluster, topic, partition and offset, so that the same model gives a frame the same verdict as on
    the line, with the same id. Images that another program recorded as foxglove.CompressedImage are frames too. Of
    damaged files the intact part is read; `damage` then says what is lost, and which channels have images of another
    kind. Channels of other things are in `passed_over`.

    Raises UsageError: no such file, not MCAP, no frames in it (SourceError where only reading it tells).
    """

    live = False
    ready = True

    def __init__(self, paths: Sequence[Path], name: str, passed_over: PassedOver | None = None) -> None:
        self.name = name
        self._files_passed_over = passed_over
        self.read_count = 0
        self._damaged: list[str] = []
        self._unread_images: Counter[str] = Counter()
        self._unread: Counter[str] = Counter()
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
        unread = (
            [f"{self.name}: images that are not read: {_counts(self._unread_images)}"] if self._unread_images else []
        )
        if not self._damaged and not unread:
            return None
        done = "recovered" if self._damaged else "read"
        return "; ".join([*self._damaged, *unread, f"{self.read_count} frames {done}"])

    @property
    def passed_over(self) -> str | None:
        """See `Source.passed_over`; complete after the last frame."""
        files = self._files_passed_over
        said = [
            *([str(files)] if files is not None and files.total else []),
            *([f"not read: {_counts(self._unread)}"] if self._unread else []),
        ]
        return "; ".join(said) or None

    def poll(self, capacity: int, timeout: float) -> list[Frame] | None:
        """The next `capacity` frames; None after the last. Raises SourceError where the medium fails."""
        frames = list(islice(self._frames, capacity))
        self.read_count += len(frames)
        return frames if frames or capacity == 0 else None

    def acknowledge(self, frames: Sequence[Frame], uninspectable: Collection[Frame] = ()) -> None:
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
                        continue
                    if not is_image(channel, schema):
                        self._count_unread(channel, schema)
                        continue
                    name = name or _name(file.path)
                    place = Position.of(name, channel.topic, 0, number)
                    if facts is not None and facts.sequence == message.sequence:
                        frame = unpack_frame(facts.data, message.data, place)
                    else:
                        frame = unpack_foreign(channel, place, message.log_time, message.data)
                    if frame.rejection is not None:
                        file.damage.unreadable += 1
                        log.warning("%s: frame %d: %s", file.path, number, frame.rejection.detail)
                    yield frame
                    number += 1
                    facts = None
            total += number
            if file.damage.found:
                self._damaged.append(f"{file.path}: damaged: {file.damage}")
        if not total and not self._damaged:
            unread = self._unread_images + self._unread
            found = f"; it has {_counts(unread)}" if unread else ""
            raise SourceError(f"{self.name}: {NO_FRAMES}{found}")
        if self.passed_over is not None:
            log.warning("%s: %s", self.name, self.passed_over)

    def _count_unread(self, channel: Channel, schema: Schema | None) -> None:
        if channel.topic == VERDICTS:
            return
        counts = self._unread_images if looks_like_images(schema) else self._unread
        kind = "no schema" if schema is None else schema.name
        what = f"{channel.topic} ({kind} in {channel.message_encoding})"[:MAX_SHOWN]
        counts[what if what in counts or len(counts) < MAX_CHANNELS else OTHER_CHANNELS] += 1


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} messages of {what}" for what, count in counts.items())


def open_recording(uri: str) -> RecordingSource:
    """Open a .mcap file, or a folder of such files as one recording. Raises UsageError."""
    passed_over = PassedOver()
    return RecordingSource(recording_paths(Path(uri), passed_over), uri, passed_over)


def recording_paths(path: Path, passed_over: PassedOver | None = None) -> list[Path]:
    """The files of a recording in their order: rotated files are numbered. Raises UsageError where there are none.

    What else is in the folder is noted in `passed_over`.
    """
    if not path.is_dir():
        return [path]
    passed_over = PassedOver() if passed_over is None else passed_over
    paths = []
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    for found in entries:
        reason = _why_no_recording(found)
        if reason is None:
            paths.append(found)
        else:
            passed_over.add(reason, found.name)
    if not paths:
        raise UsageError(f"{path}: no recordings (*{SUFFIX}) in it ({passed_over})")
    return sorted(paths, key=lambda found: found.name.endswith(".part"))  # an unfinished file is the newest


def is_recording(uri: str) -> bool:
    """Whether a path names a recording: a .mcap file, also an unfinished one, or a folder of them."""
    path = Path(uri)
    if uri.lower().endswith(SUFFIXES):
        return True
    try:
        return path.is_dir() and any(_why_no_recording(found) is None for found in path.iterdir())
    except OSError:
        return False


def _why_no_recording(path: Path) -> str | None:
    """Why a file of a folder is passed over; None for a recording."""
    if path.name.startswith("."):
        return HIDDEN
    if not path.name.lower().endswith(SUFFIXES):
        return OTHER_ENDING
    return None if path.is_file() else SPECIAL


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
