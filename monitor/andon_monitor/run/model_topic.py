"""Models that a review page on another machine put on the line: fetched, verified, written to the model's file."""

import hashlib
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from andon_monitor.common.files import write_whole
from andon_monitor.common.process import lower_priority
from andon_monitor.errors import AndonError, EvidenceError, ModelError, UsageError, first_line
from andon_monitor.formats.model_notice import ModelNotice, read_model_notice
from andon_monitor.kafka.address import parse_address
from andon_monitor.kafka.health import Health
from andon_monitor.kafka.tap import KafkaTap
from andon_monitor.model.file import read_model
from andon_monitor.model.verification import verify_apart
from andon_monitor.recipes.table import model_files
from andon_monitor.settings.groups import Settings

POLL_RECORDS, POLL_SECONDS = 500, 1.0
RETRY_SECONDS = 10.0  # between two tries to fetch a content, or to read the topic

log = logging.getLogger("andon")


class ModelTopic:
    """Follows the topic of models. The newest notice of each file counts, also after a start.

    A content is fetched from the shared folder and has to have the sha256 that the notice says; its self-test runs in a
    process apart. Only then it is written to the model's file, all at once, and the swapper takes it over. What is
    refused is logged, and the file stays as it is; what cannot be fetched is tried again.
    """

    def __init__(self, settings: Settings) -> None:
        """`settings` have a topic and a shared folder."""
        assert settings.model.topic is not None
        assert settings.model.shared is not None
        self._address = parse_address(settings.model.topic)
        self._kafka = settings.kafka
        self._shared = settings.model.shared
        self._provider = settings.model.provider
        self._limits = settings.model.load_limits
        self._files: Mapping[str, Path] = model_files(settings)
        self._pending: dict[str, ModelNotice] = {}
        self._next_try = 0.0  # monotonic
        self._logged = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="model topic", daemon=True)

    def start(self) -> None:
        """Start following."""
        self._thread.start()

    def close(self) -> None:
        """Stop following; ends a verification that goes on."""
        self._closed.set()
        self._thread.join()

    def _follow(self) -> None:
        lower_priority()
        while not self._closed.is_set():
            try:
                self._read()
            except Exception as error:  # whatever it is, the models that are open go on
                self._say(
                    str(error) if isinstance(error, AndonError) else f"{type(error).__name__}: {first_line(error)}"
                )
                self._closed.wait(RETRY_SECONDS)

    def _read(self) -> None:
        tap = KafkaTap(self._address, self._kafka, Health(), "earliest")
        try:
            while not self._closed.is_set():
                records = tap.poll_records(POLL_RECORDS, POLL_SECONDS) or []
                for record in records:
                    self._note(record.value or b"")
                if not records and self._pending and time.monotonic() >= self._next_try:
                    self._install_all()  # now the newest of each file is known
                    self._next_try = time.monotonic() + RETRY_SECONDS
        finally:
            tap.close()

    def _note(self, data: bytes) -> None:
        try:
            notice = read_model_notice(data)
        except EvidenceError as error:
            log.warning("topic of models: %s", error)
            return
        if notice.file in self._files:
            self._pending[notice.file] = notice
            self._next_try = 0.0

    def _install_all(self) -> None:
        for notice in list(self._pending.values()):
            path = self._files[notice.file]
            try:
                if _digest(path) != notice.sha256:
                    self._install(notice, path)
            except ModelError as error:  # another try would say the same
                if not self._closed.is_set():
                    log.error("model refused: %s; %s stays as it is", error, path)
            except AndonError as error:
                self._say(f"model {notice.sha256[:12]} for {path}: {error}")
                continue
            del self._pending[notice.file]

    def _install(self, notice: ModelNotice, path: Path) -> None:
        place = self._shared / notice.place
        content = read_model(place)
        if (found := hashlib.sha256(content).hexdigest()) != notice.sha256:
            raise UsageError(f"{place}: holds {found[:12]}, not {notice.sha256[:12]}")
        verify_apart(content, str(place), self._provider, self._limits, self._closed)
        write_whole(path, content)
        log.info("model file %s: %s from the topic of models", path, notice.sha256[:12])

    def _say(self, what: str) -> None:
        if what != self._logged:
            log.error("topic of models: %s; trying again", what)
        self._logged = what


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_model(path)).hexdigest()
    except UsageError:
        return None
