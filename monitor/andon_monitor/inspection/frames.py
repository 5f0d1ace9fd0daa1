"""A frame from a camera, and the verdict about it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from andon_monitor.common.times import rfc3339
from andon_monitor.inspection.part import Part, read_part
from andon_monitor.inspection.regions import Regions

_T = TypeVar("_T")

Outcome = Literal["good", "defect", "uninspectable"]
OUTCOMES: tuple[Outcome, ...] = ("good", "defect", "uninspectable")

# Why a frame could not be inspected: values of a metric's label, which all exist from the start.
REASONS = (
    "empty",
    "undecodable",
    "too_large",
    "wrong_shape",
    "too_dark",
    "too_blurred",
    "stale",
    "malformed",
    "failed",
    "no_recipe",
    "no_model",
)
# Where a capture time comes from: the camera's clock (RTCP sender reports), the stream's own times held against our
# clock, the arrival of the frame, or the modification time of its file.
TimeSource = Literal["sender_report", "stream", "arrival", "file"]
TIME_SOURCES: tuple[TimeSource, ...] = ("sender_report", "stream", "arrival", "file")

# As the model in the verdict of a frame that met none: readers of verdicts count on there being one.
NO_MODEL = "none"
NO_SHA256 = "0" * 64

# What comes with a frame is kept in memory, metrics, verdicts and databases: longer texts are cut, see `valid_text`.
MAX_NAME = 200  # characters of a camera or a label
MAX_PLACE = 500  # characters of a cluster or topic
MAX_FILE = 1000  # characters of a path
MAX_HEADERS = 1000
MAX_EVENTS = 1000  # in one record
HASH_DIGITS = 12  # that keep apart long texts with the same beginning
MIN_TIME, MAX_TIME = 0.0, 253_402_300_799.999  # seconds since 1970: from then to the end of the year 9999
SHOWN = 60  # characters of a wrong value in an error message
MAX_PARTITION, MAX_OFFSET = 2**31 - 1, 2**63 - 1


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a frame cannot be inspected: one of REASONS, and one line of detail.

    Not the exception itself: its traceback would keep the frame in memory.
    """

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Position:
    """The origin of a frame, in Kafka's terms; a folder counts as a topic with one partition.

    `topic_id` is the topic's UUID, where brokers say it; a topic that was deleted and created again has another one.
    `event` is the frame's index in a record that holds a batch of events, None where a record is one frame.
    """

    cluster: str
    topic: str
    partition: int
    offset: int
    topic_id: str | None = None
    event: int | None = None

    @classmethod
    def of(
        cls,
        cluster: object,
        topic: object,
        partition: object,
        offset: object,
        topic_id: object = None,
        event: object = None,
    ) -> "Position":
        """A position of facts that anybody may have sent; long or odd texts are mended. Raises ValueError."""
        return cls(
            "" if cluster == "" else valid_text("cluster", cluster, MAX_PLACE),
            "" if topic == "" else valid_text("topic", topic, MAX_PLACE),
            _whole("partition", partition, MAX_PARTITION),
            _whole("offset", offset, MAX_OFFSET),
            None if topic_id is None else valid_text("topic_id", topic_id, MAX_NAME),
            None if event is None else _whole("event", event, MAX_EVENTS),
        )

    def to_dict(self) -> dict[str, str | int]:
        """As `frame` of a verdict and of a label."""
        place: dict[str, str | int] = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        return place if self.event is None else place | {"event": self.event}


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded image with its origin.

    `captured_at` is in seconds since 1970-01-01 UTC. `label` is the true state of the part, "good" or a kind of defect,
    if the recording has it; the inspection never uses it. `file` is the image's path in a recording, for people.
    `time_source` says where `captured_at` comes from, None where that is not known.
    `key` and `headers` are those of the Kafka record, kept for dead letters. `rejection` is there where what came with
    the image is not valid: then it is not inspected. `part` is what the producer knows about the part; `cuts` says why
    something of it was left out. `more` is true where the next frame comes from the same record. Sources make frames
    with `Frame.of`.
    """

    camera: str
    captured_at: float
    data: bytes
    position: Position
    label: str | None = None
    file: str | None = None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    rejection: Rejection | None = None
    part: Part | None = None
    cuts: tuple[str, ...] = ()
    more: bool = False
    time_source: TimeSource | None = None

    @classmethod
    def of(
        cls,
        data: object,
        position: Position,
        camera: object,
        captured_at: object,
        *,
        default_camera: str = "camera",
        default_time: float = MIN_TIME,
        label: object = None,
        file: object = None,
        key: object = None,
        headers: object = (),
        rejection: Rejection | None = None,
        part: object = None,
        more: bool = False,
        time_source: object = None,
    ) -> "Frame":
        """The frame of facts that anybody may have sent. Never raises: what is wrong is its `rejection`.

        Texts become valid UTF-8 of limited length. A time is a number of seconds since 1970 or an ISO 8601 text. The
        defaults stand in for a camera or time that is not valid; a source of times that is not known counts as none.
        """
        wrong: list[str] = []

        def checked(read: Callable[[], _T], default: _T) -> _T:
            try:
                return read()
            except ValueError as error:
                wrong.append(str(error))
                return default

        identity, cuts = read_part(part)
        frame = cls(
            camera=checked(lambda: valid_text("camera", camera, MAX_NAME), valid_text("", default_camera, MAX_NAME)),
            captured_at=checked(lambda: valid_time("captured_at", captured_at), valid_time("", default_time)),
            data=checked(lambda: _bytes("image", data), b""),
            position=position,
            label=checked(lambda: None if label is None else valid_text("label", label, MAX_NAME), None),
            file=checked(lambda: None if file is None else valid_text("file", file, MAX_FILE), None),
            key=checked(lambda: None if key is None else _bytes("key", key), None),
            headers=checked(lambda: _headers(headers), ()),
            rejection=rejection,
            part=identity,
            cuts=cuts,
            more=more,
            time_source=None if time_source is None else _time_source(time_source),
        )
        return replace(frame, rejection=Rejection("malformed", wrong[0])) if wrong and rejection is None else frame


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that a frame spent in each stage, up to its score."""

    queue: float
    decode: float
    inference: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one frame. If it is uninspectable, `reason` and `detail` say why and there is no `score`.

    `captured_at` is in seconds since 1970-01-01 UTC. `false_alarm_rate` is the share of good parts that the threshold
    flags. `kind` is the most probable kind of a defect and `kind_probability` its probability, if the model tells kinds
    apart. `regions` is where a defect is. `recipe` is the name of the recipe that took the frame, None without recipes.
    `latency` is None for recordings, whose verdicts must not depend on the machine that replays them.
    """

    id: str
    camera: str
    captured_at: float
    outcome: Outcome
    model: str
    model_sha256: str
    threshold: float
    position: Position
    file: str | None = None
    score: float | None = None
    p_value: float | None = None
    reason: str | None = None
    detail: str | None = None
    kind: str | None = None
    kind_probability: float | None = None
    latency: Latency | None = None
    part: Part | None = None
    regions: Regions | None = None
    recipe: str | None = None
    false_alarm_rate: float | None = None
    time_source: TimeSource | None = None

    def to_json(self) -> str:
        """One line of JSON: keys always in the same order, none without a value."""
        fields: dict[str, Any] = {
            "id": self.id,
            "camera": self.camera,
            "captured_at": rfc3339(self.captured_at),
            "capture_time_source": self.time_source,
            "part": None if self.part is None else self.part.to_dict(),
            "verdict": self.outcome,
            "reason": self.reason,
            "detail": self.detail,
            "score": self.score,
            "threshold": self.threshold,
            "false_alarm_rate": self.false_alarm_rate,
            "p_value": self.p_value,
            "kind": None if self.kind is None else {"name": self.kind, "probability": self.kind_probability},
            "regions": None if self.regions is None else [region.to_dict() for region in self.regions.found],
            "regions_left_out": (self.regions and self.regions.left_out) or None,
            "recipe": self.recipe,
            "model": {"alias": self.model, "sha256": self.model_sha256},
            "latency": None
            if self.latency is None
            else {
                "queue_seconds": self.latency.queue,
                "decode_seconds": self.latency.decode,
                "inference_seconds": self.latency.inference,
            },
            "frame": self.position.to_dict() | ({} if self.file is None else {"file": self.file}),
        }
        return json.dumps({key: value for key, value in fields.items() if value is not None}, ensure_ascii=False)


def verdict_id(position: Position, model_sha256: str) -> str:
    """An id of 32 hexadecimal digits, the same for each delivery of a frame to a model."""
    parts = [position.cluster, position.topic, str(position.partition), str(position.offset), model_sha256]
    if position.topic_id is not None:
        parts.append(position.topic_id)
    if position.event is not None:
        parts.append(f"event {position.event}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def reject(frame: Frame, rejection: Rejection, recipe: str | None = None) -> Verdict:
    """The verdict on a frame that met no model; what is wrong with the frame itself comes first."""
    why = frame.rejection or rejection
    return Verdict(
        id=verdict_id(frame.position, NO_SHA256),
        camera=frame.camera,
        captured_at=frame.captured_at,
        outcome="uninspectable",
        model=NO_MODEL,
        model_sha256=NO_SHA256,
        threshold=0.0,
        position=frame.position,
        file=frame.file,
        reason=why.reason,
        detail=why.detail,
        part=frame.part,
        recipe=recipe,
        time_source=frame.time_source,
    )


def parse_time(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time, UTC if it names no zone; the reverse of `rfc3339`.

    Raises ValueError, also for times before 1970 and after 9999.
    """
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except OverflowError:
        raise ValueError(f"time {text[:SHOWN]!r} is not between 1970 and 9999") from None
    if not MIN_TIME <= seconds <= MAX_TIME:
        raise ValueError(f"time {text[:SHOWN]!r} is not between 1970 and 9999")
    return seconds


def valid_time(name: str, value: object) -> float:
    """Seconds since 1970 of a number or an ISO 8601 text. Raises ValueError."""
    if isinstance(value, str):
        return parse_time(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and MIN_TIME <= value <= MAX_TIME:  # not NaN
        return float(value)
    raise ValueError(f"{name} {_shown(value)} is not a time between 1970 and 9999")


def valid_text(name: str, value: object, limit: int) -> str:
    """A text that can be written as UTF-8, of at most `limit` characters: the end of a longer one becomes a hash.

    Raises ValueError for what is not a text, or an empty one.
    """
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} {_shown(value)} is not a name")
    if not value.isascii():
        value = _encodable(value)
    if len(value) > limit:
        digest = hashlib.sha256(value.encode()).hexdigest()[:HASH_DIGITS]
        return f"{value[: limit - HASH_DIGITS - 1]}~{digest}"
    return value


def _time_source(value: object) -> TimeSource | None:
    return next((known for known in TIME_SOURCES if known == value), None)


def _bytes(name: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"{name} {_shown(value)} is not bytes")
    return value


def _headers(value: object) -> tuple[tuple[str, bytes], ...]:
    if not isinstance(value, tuple) or len(value) > MAX_HEADERS:
        raise ValueError(f"headers: not a list, or more than {MAX_HEADERS}")
    if not all(isinstance(name, str) and isinstance(content, bytes) for name, content in value):
        raise ValueError("a header is not a name with bytes")
    if all(name.isascii() for name, _ in value):
        return value
    return tuple((_encodable(name), content) for name, content in value)


def _encodable(text: str) -> str:
    """A text without single surrogates, as of names that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass").decode(errors="replace")
    return text


def _whole(name: str, value: object, limit: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise ValueError(f"{name} {_shown(value)} is not a number from 0 to {limit}")
    return value


def _shown(value: object) -> str:
    """A value for an error message; only short, and without lone surrogates."""
    if isinstance(value, str):
        return ascii(value[:SHOWN])
    return f"{value!r}"[:SHOWN] if isinstance(value, float | bool | None) else f"of type {type(value).__name__}"
