"""`andon-monitor publish`: frames of a folder, a video or a camera into a topic."""

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from kafka import KafkaProducer
from kafka import errors as kafka_errors

from andon_monitor.common.progress import ProgressLine
from andon_monitor.errors import OutputError, UsageError
from andon_monitor.inspection.frames import Frame
from andon_monitor.kafka.address import Address
from andon_monitor.kafka.connection import describe, producer_options
from andon_monitor.kafka.delivery import submit, wait_for
from andon_monitor.kafka.diagnosis import diagnose
from andon_monitor.kafka.health import Health, until_connected
from andon_monitor.kafka.messages import Message, frame_message
from andon_monitor.kafka.topics import must_exist
from andon_monitor.settings.groups import CameraSettings, KafkaSettings, SourceSettings
from andon_monitor.sources.base import Source
from andon_monitor.sources.pacing import PacedSource
from andon_monitor.sources.uri import open_source

POLL_SECONDS = 0.5
CLOSE_SECONDS = 5.0

log = logging.getLogger("andon")

ToMessage = Callable[[Frame, str], Message]  # of a frame and the id of its event
Acknowledge = Callable[[Frame, bool], None]


@dataclass(frozen=True)
class Publication:
    """What to publish and how.

    `rate`: frames a second; None for the source's own rate (`paced`) or as fast as possible. `pending`: frames sent and
    not acknowledged at once, at most. `repeats`: how often a recording is played, 0 without end. `stamp`: frames are
    captured now, as if the line ran; otherwise a recording's frames keep their capture times. `source` and
    `industrial`: see `open_source`.
    """

    uri: str
    camera: str | None = None
    rate: float | None = None
    paced: bool = False
    stamp: bool = True
    repeats: int = 1
    pending: int = 64
    source: SourceSettings = field(default_factory=SourceSettings)
    industrial: CameraSettings = field(default_factory=CameraSettings)


@dataclass
class Published:
    """Frames acknowledged, frames refused by the broker, and the bytes of those acknowledged."""

    acknowledged: int = 0
    refused: int = 0
    size: int = 0

    def describe(self, seconds: float, pending: int) -> str:
        """The counts and rates on one line, after so many seconds."""
        seconds = max(seconds, 1e-6)
        return (
            f"{self.acknowledged} frames published, {self.acknowledged / seconds:.1f}/s, "
            f"{self.size / seconds / 1e6:.1f} MB/s, {pending} pending, {self.refused} refused"
        )


def publish(publication: Publication, address: Address, settings: KafkaSettings) -> Published:
    """Publish until the source ends or Ctrl-C is pressed, and wait until every frame sent is acknowledged.

    Raises UsageError for a source, address or topic that does not exist, OutputError where access is refused.
    """

    def message(frame: Frame, event_id: str) -> Message:
        return frame_message(frame, address.topic, event_id)

    # First: nobody waits for brokers because of a wrong path.
    player = _Player(publication)
    try:
        return send_frames(player.frames(), message, address, settings, publication.pending, player.acknowledge)
    finally:
        player.close()


def send_frames(
    frames: Iterator[Frame | None],
    to_message: ToMessage,
    address: Address,
    settings: KafkaSettings,
    pending: int,
    acknowledge: Acknowledge | None = None,
) -> Published:
    """Send frames, at most `pending` of them unacknowledged at once; see `publish`.

    `frames` gives None where there is none for a while. `acknowledge` is called with each frame, in their order, and
    whether the brokers have it.
    """
    health = Health()
    fault = diagnose(address, settings)
    if fault is None:
        must_exist(address, settings)
    elif fault.may_pass:
        health.failing(fault.message)
    else:
        raise UsageError(fault.message)
    producer = until_connected(
        lambda: KafkaProducer(**producer_options(settings, address)),
        address,
        settings,
        health,
    )
    published, line = Published(), ProgressLine()
    waiting: deque[tuple[Any, Frame]] = deque()
    run = uuid.uuid4().hex[:12]

    def settle() -> None:
        future, frame = waiting.popleft()
        sent = _settle(future, frame, published, health)
        if acknowledge is not None:
            acknowledge(frame, sent)

    try:
        for number, frame in enumerate(frames):
            if frame is not None:
                message = to_message(frame, f"{run}-{number}")
                waiting.append((_submit(producer, message, address, health), frame))
            while waiting and (len(waiting) >= pending or waiting[0][0].is_done):
                settle()
            if line.due:
                line.write(published.describe(time.monotonic() - line.started, len(waiting)))
    except KeyboardInterrupt:
        log.info("interrupted; waiting for %d frames to be acknowledged", len(waiting))
    while waiting:
        settle()
    producer.close(timeout=CLOSE_SECONDS)
    line.write(published.describe(time.monotonic() - line.started, 0), last=True)
    return published


def _submit(producer: KafkaProducer, message: Message, address: Address, health: Health) -> Any:
    while True:
        try:
            return submit(producer, message)
        except kafka_errors.KafkaTimeoutError as error:
            # No metadata: the brokers are away, or the topic does not exist.
            health.failing(f"{address}: no metadata ({describe(error)}); does the topic exist?")


def _settle(future: Any, frame: Frame, published: Published, health: Health) -> bool:
    """Wait for the brokers' answer about a frame; whether they have it. Raises OutputError."""
    try:
        wait_for(future, health)
    except kafka_errors.AuthorizationError as error:
        raise OutputError(f"no permission to publish ({describe(error)})") from None
    except (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError):
        published.refused += 1
        log.warning(
            "%s: a frame of %d bytes is larger than the topic's max.message.bytes", frame.camera, len(frame.data)
        )
    except kafka_errors.KafkaError as error:
        published.refused += 1
        log.warning("%s: a frame is refused (%s)", frame.camera, describe(error))
    else:
        health.working()
        published.acknowledged += 1
        published.size += len(frame.data)
        return True
    return False


class _Player:
    """Frames of a source at the rate asked for. A recording is repeated."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._source = self._open()

    def frames(self) -> Iterator[Frame | None]:
        """Every frame, None where there is none for a while. Those of a live source keep their capture times."""
        publication = self._publication
        played = 0
        started, count = time.monotonic(), 0
        while True:
            for frame in _read(self._source):
                if frame is None:
                    yield None
                    continue
                if publication.rate is not None:
                    time.sleep(max(0.0, started + count / publication.rate - time.monotonic()))
                count += 1
                stamp = publication.stamp and not self._source.live
                yield replace(frame, captured_at=time.time()) if stamp else frame
            self._source.close()
            played += 1
            if played == publication.repeats:
                return
            self._source = self._open()

    def acknowledge(self, frame: Frame, sent: bool) -> None:
        """Tell a live source that the brokers have a frame; a recording may be played again already."""
        if self._source.live:
            self._source.acknowledge([frame], () if sent else [frame])

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _open(self) -> Source:
        wanted = self._publication
        source = open_source(
            wanted.uri, wanted.camera, settings=wanted.source, industrial=wanted.industrial, in_hand=wanted.pending
        )
        return PacedSource(source) if wanted.paced and not source.live else source


def _read(source: Source) -> Iterator[Frame | None]:
    while (frames := source.poll(1, POLL_SECONDS)) is not None:
        yield from frames or (None,)
