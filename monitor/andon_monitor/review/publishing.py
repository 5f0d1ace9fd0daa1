"""Labels on their way to a topic: every step that people take, in order, at least once."""

import json
import threading
from typing import Any

from andon_monitor.inspection.frames import rfc3339
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.delivery import Delivery
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.messages import Message, label_message
from andon_monitor.kafka.topics import must_exist
from andon_monitor.review import gallery, labels
from andon_monitor.review.labels import Step
from andon_monitor.review.store import Store
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.telemetry.metrics import Metrics

LOOK_SECONDS = 0.5
STEPS = 100  # in one go


class Publisher:
    """Publishes the history of labels; an outage of the brokers is waited out.

    After a crash the last steps may be published again, under the ids they had.
    """

    def __init__(self, store: Store, uri: str, settings: KafkaSettings) -> None:
        self._store = store
        self._address = parse_address(uri)
        self._settings = settings

    def follow(self, closed: threading.Event) -> None:
        """Publish what is there and what comes, until closed. Raises UsageError and OutputError."""
        name = str(self._address)
        must_exist(self._address, self._settings)
        delivery = Delivery(self._address, self._settings, Health(Metrics()))
        try:
            done = self._store.places(name).get(0, 0)
            while not closed.wait(LOOK_SECONDS):
                steps = labels.steps_after(self._store, done, STEPS)
                if steps:
                    delivery.send([self._message(step) for step in steps])
                    done = steps[-1].number
                    self._store.add(places=[(f"{name} 0", done)])
        finally:
            delivery.close()

    def _message(self, step: Step) -> Message:
        frame = gallery.frame(self._store, step.frame_id)
        value: dict[str, Any] = {
            "id": step.frame_id,
            "step": step.step,
            "judgement": step.label,
            "label": labels.truth(step.label, step.kind),
            "by": step.who,
            "at": rfc3339(step.at),
        }
        if frame is not None:
            value |= {
                "camera": frame["camera"],
                "frame": {key: frame[key] for key in ("topic", "partition", "offset")},
                "score": frame["score"],
                "threshold": frame["threshold"],
                "model": {"alias": frame["alias"], "sha256": frame["sha256"]},
            }
        camera = "unknown" if frame is None else frame["camera"]
        content = json.dumps(value, ensure_ascii=False).encode()
        return label_message(f"{step.frame_id}-{step.number}", camera, step.at, content, self._address.topic)
