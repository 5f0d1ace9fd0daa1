"""A frame as it comes from a camera, and the verdict that goes out for it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Outcome = Literal["good", "defect", "uninspectable"]
OUTCOMES: tuple[Outcome, ...] = ("good", "defect", "uninspectable")

# Why a frame could not be inspected. Every one is a metric label that exists from the start.
REASONS = ("empty", "undecodable", "too_large", "wrong_shape", "too_dark", "too_blurred", "stale", "failed")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a frame came from, in Kafka's terms; a folder is a topic with one partition."""

    cluster: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded image and what is known about it.

    `captured_at` is in seconds since 1970-01-01 UTC. `label` is the truth where a recording carries it: "good" or a
    kind of defect; it is never used to decide. `file` is its path inside a recording, for people to find it. `key` and
    `headers` are the Kafka record's own, kept for dead letters.
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
    """Seconds a live frame spent in each stage, up to its score."""

    queue: float
    decode: float
    inference: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said about one frame. `score`, `p_value` are None, and `reason`, `detail` set, where it is uninspectable.

    `kind` is what kind of defect it looks like and `kind_probability` how sure that is, where the model tells kinds.
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

    def to_json(self) -> str:
        """One line of JSON, keys always in the same order, without keys that have no value."""
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
    """An id that a second delivery of the same frame to the same model gets again: 32 hexadecimal digits."""
    parts = (position.cluster, position.topic, str(position.partition), str(position.offset), model_sha256)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def rfc3339(seconds: float) -> str:
    """Seconds since 1970 as `2026-01-05T06:00:00.000Z`, to the millisecond, as Kafka keeps time."""
    return datetime.fromtimestamp(round(seconds, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """The reverse of `rfc3339`; any ISO 8601 time, UTC where it names no zone. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
