"""A frame from a camera, and the verdict about it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Outcome = Literal["good", "defect", "uninspectable"]
OUTCOMES: tuple[Outcome, ...] = ("good", "defect", "uninspectable")

# Why a frame could not be inspected: values of a metric's label, which all exist from the start.
REASONS = ("empty", "undecodable", "too_large", "wrong_shape", "too_dark", "too_blurred", "stale", "failed")


@dataclass(frozen=True, slots=True)
class Position:
    """The origin of a frame, in Kafka's terms; a folder counts as a topic with one partition."""

    cluster: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded image with its origin.

    `captured_at` is in seconds since 1970-01-01 UTC. `label` is the true state of the part, "good" or a kind of defect,
    if the recording has it; the inspection never uses it. `file` is the image's path in a recording, for people.
    `key` and `headers` are those of the Kafka record, kept for dead letters.
    """

    camera: str
    captured_at: float
    data: bytes
    position: Position
    label: str | None = None
    file: str | None = None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds that a frame spent in each stage, up to its score."""

    queue: float
    decode: float
    inference: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one frame. If it is uninspectable, `reason` and `detail` say why and there is no `score`.

    `captured_at` is in seconds since 1970-01-01 UTC. `kind` is the most probable kind of a defect and
    `kind_probability` its probability, if the model tells kinds apart. `latency` is None for recordings, whose verdicts
    must not depend on the machine that replays them.
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

    def to_json(self) -> str:
        """One line of JSON: keys always in the same order, none without a value."""
        fields: dict[str, Any] = {
            "id": self.id,
            "camera": self.camera,
            "captured_at": rfc3339(self.captured_at),
            "verdict": self.outcome,
            "reason": self.reason,
            "detail": self.detail,
            "score": self.score,
            "threshold": self.threshold,
            "p_value": self.p_value,
            "kind": None if self.kind is None else {"name": self.kind, "probability": self.kind_probability},
            "model": {"alias": self.model, "sha256": self.model_sha256},
            "latency": None
            if self.latency is None
            else {
                "queue_seconds": self.latency.queue,
                "decode_seconds": self.latency.decode,
                "inference_seconds": self.latency.inference,
            },
            "frame": {
                "topic": self.position.topic,
                "partition": self.position.partition,
                "offset": self.position.offset,
                **({} if self.file is None else {"file": self.file}),
            },
        }
        return json.dumps({key: value for key, value in fields.items() if value is not None}, ensure_ascii=False)


def verdict_id(position: Position, model_sha256: str) -> str:
    """An id of 32 hexadecimal digits, the same for each delivery of a frame to a model."""
    parts = (position.cluster, position.topic, str(position.partition), str(position.offset), model_sha256)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as `2026-01-05T06:00:00.000Z`, to the millisecond, the precision of Kafka."""
    return datetime.fromtimestamp(round(seconds, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time, UTC if it names no zone; the reverse of `rfc3339`. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
