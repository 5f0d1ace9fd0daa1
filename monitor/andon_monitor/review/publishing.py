"""Histories published to topics: every step that people take, in order, at least once."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from andon_monitor.common.times import rfc3339
from andon_monitor.errors import UsageError
from andon_monitor.formats.model_notice import ModelNotice
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.delivery import Delivery
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.messages import Message, change_message, label_message, model_message
from andon_monitor.kafka.topics import must_exist
from andon_monitor.review import labels
from andon_monitor.review.store import Store
from andon_monitor.review.store.model_files import ModelFiles
from andon_monitor.review.store.progress_table import ProgressTable
from andon_monitor.review.store.rows import Change, LabelStep, Progress
from andon_monitor.settings.groups import KafkaSettings
from andon_monitor.telemetry.metrics import Metrics

INTERVAL_SECONDS = 0.5  # between two queries for new steps
MAX_STEPS = 100  # published and noted together
ONLY_PARTITION = 0  # the store numbers the steps of a history as one sequence


class Numbered(Protocol):
    """A step of a history."""

    @property
    def number(self) -> int:
        """Its place among all of them."""


Step = TypeVar("Step", bound=Numbered)


@dataclass(frozen=True)
class History(Generic[Step]):
    """A history in the store: up to so many steps after a number, and the message of each in a topic, None for
    a step that is not published."""

    after: Callable[[int, int], Sequence[Step]]
    message: Callable[[Step, str], Message | None]


class Publisher(Generic[Step]):
    """Publishes a history, and waits while the brokers are away.

    After a crash the last steps may be published again, with the same ids.
    """

    def __init__(self, history: History[Step], progress: ProgressTable, uri: str, settings: KafkaSettings) -> None:
        self._history = history
        self._progress = progress
        self._address = parse_address(uri)
        self._settings = settings

    def follow(self, closed: threading.Event) -> None:
        """Publish all steps, those to come too, until `closed`. Raises UsageError and OutputError."""
        name = str(self._address)
        must_exist(self._address, self._settings)
        delivery = Delivery(self._address, self._settings, Health(Metrics()))
        try:
            published = self._progress.next_offsets(name).get(ONLY_PARTITION, 0)
            while not closed.wait(INTERVAL_SECONDS):
                steps = self._history.after(published, MAX_STEPS)
                if steps:
                    messages = [self._history.message(step, self._address.topic) for step in steps]
                    delivery.send([message for message in messages if message is not None])
                    published = steps[-1].number
                    self._progress.set(Progress(name, ONLY_PARTITION, published))
        finally:
            delivery.close()


def label_history(store: Store) -> History[LabelStep]:
    """The labels of frames."""

    def message(step: LabelStep, topic: str) -> Message:
        frame = store.frames.get(step.id)
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
        return label_message(f"{step.id}-{step.number}", camera, step.at, _json(value), topic)

    return History(store.labels.steps_after, message)


def change_history(store: Store) -> History[Change]:
    """The changes of model files."""

    def message(change: Change, topic: str) -> Message:
        value: dict[str, Any] = {
            "number": change.number,
            "step": change.step,
            "action": change.action,
            "file": change.file,
            "old": change.old,
            "new": change.new,
            "by": change.who,
            "why": change.why,
            "about": change.about,
            "at": rfc3339(change.at),
        }
        return change_message(f"change-{change.new[:16]}-{change.number}", change.file, change.at, _json(value), topic)

    return History(store.changes.after, message)


def model_history(store: Store, shared: Path) -> History[Change]:
    """The contents that people put on the line, for monitors on other machines; each is written to the shared folder.

    A content that is not kept any more has been replaced by a later one.
    """
    folder = ModelFiles(shared)

    def message(change: Change, topic: str) -> Message | None:
        if change.step != "applied" or not change.is_of_model or not store.model_files.has(change.new):
            return None
        if not shared.is_dir():
            raise UsageError(f"{shared}: no such folder (model.shared)")
        sha256 = folder.keep(store.model_files.read(change.new))
        notice = ModelNotice(file=change.file, sha256=sha256, place=folder.path(sha256).name, at=change.at)
        return model_message(f"model-{sha256[:16]}-{change.number}", change.file, change.at, notice.to_json(), topic)

    return History(store.changes.after, message)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
