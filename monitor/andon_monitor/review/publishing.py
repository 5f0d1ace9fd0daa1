"""Labels published to a topic: every step that people take, in order, at least once."""

import json
import threading
from typing import Any

from andon_monitor.common.times import rfc3339
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.delivery import Delivery
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.messages import Message, label_message
from andon_monitor.kafka.topics import must_exist
from andon_monitor.review import labels
from andon_monitor.review.store import Store
from andon_monitor.review.store.rows import LabelStep, Progress
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.telemetry.metrics import Metrics

INTERVAL_SECONDS = 0.5  # between two queries for new labels
MAX_STEPS = 100  # published and noted together
ONLY_PARTITION = 0  # the store numbers label steps as one sequence


class Publisher:
    """Publishes the history of labels, and waits while the brokers are away.

    After a crash the last steps may be published again, with the same ids.
    """

    def __init__(self, store: Store, uri: str, settings: KafkaSettings) -> None:
        self._store = store
        self._address = parse_address(uri)
        self._settings = settings

    def follow(self, closed: threading.Event) -> None:
        """Publish all steps, those to come too, until `closed`. Raises UsageError and OutputError."""
        name = str(self._address)
        must_exist(self._address, self._settings)
        delivery = Delivery(self._address, self._settings, Health(Metrics()))
        try:
            published = self._store.progress.next_offsets(name).get(ONLY_PARTITION, 0)
            while not closed.wait(INTERVAL_SECONDS):
                steps = self._store.labels.steps_after(published, MAX_STEPS)
                if steps:
                    delivery.send([self._message(step) for step in steps])
                    published = steps[-1].number
                    self._store.progress.set(Progress(name, ONLY_PARTITION, published))
        finally:
            delivery.close()

    def _message(self, step: LabelStep) -> Message:
        frame = self._store.frames.get(step.id)
        value: dict[str, Any] = {
            "id": step.id,
            "step": step.step,
            "judgement": step.label,
            "label": labels.truth(step.label, step.kind),
            "by": step.who,
            "at": rfc3339(step.at),
        }
        if frame is not None:
            value |= {
                "camera": frame.camera,
                "frame": frame.place,
                "score": frame.score,
                "threshold": frame.threshold,
                "model": {"alias": frame.alias, "sha256": frame.sha256},
            }
            if frame.identity:
                value["part"] = frame.identity
        camera = "unknown" if frame is None else frame.camera
        content = json.dumps(value, ensure_ascii=False).encode()
        return label_message(f"{step.id}-{step.number}", camera, step.at, content, self._address.topic)
