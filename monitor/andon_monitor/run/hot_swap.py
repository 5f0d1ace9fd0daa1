"""Hot swap: a changed model file is verified and then taken into use between two batches, or refused."""

import hashlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from andon_monitor.common.process import lower_priority
from andon_monitor.errors import AndonError, UsageError, first_line
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model.file import Model, read_model
from andon_monitor.model.verification import verify_apart
from andon_monitor.run.pipeline import Pipeline
from andon_monitor.settings.groups import Settings
from andon_monitor.telemetry.metrics import Metrics

log = logging.getLogger("andon")

Mark = tuple[int, int, int]  # inode, modification time, size: one of them changes when a file does


class Swapper:
    """Watches the path of the model, a file that is replaced or a link that is changed.

    A new file is read once it has not changed between two checks, so that a half-copied file is not refused. The new
    model is verified in a process apart and then loaded, while the old one scores. If it is refused, the old one stays
    in use. Frames keep the model that prepared them, so none is lost or delayed. `accept` may refuse a model by raising
    AndonError.
    """

    def __init__(
        self, settings: Settings, pipeline: Pipeline, metrics: Metrics, accept: Callable[[Model], None]
    ) -> None:
        assert settings.model.path is not None  # the first model was loaded from there
        self._path: Path = settings.model.path
        self._settings = settings.model
        self._pipeline = pipeline
        self._metrics = metrics
        self._accept = accept
        self._last_mark = self._handled = _mark(self._path)
        # The file may have changed since the first model was loaded.
        if _digest(self._path) != pipeline.inspector.model.sha256:
            self._handled = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="swapper", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        lower_priority()
        while not self._closed.wait(self._settings.watch):
            mark, before = _mark(self._path), self._last_mark
            self._last_mark = mark
            if mark != before or mark == self._handled:
                continue
            self._handled = mark
            try:
                self._swap()
            except Exception as error:  # with any bad file, the old model goes on
                self._refuse(error)

    def _swap(self) -> None:
        old = self._pipeline.inspector
        content = read_model(self._path)
        if hashlib.sha256(content).hexdigest() == old.model.sha256:  # touched, or changed back
            self._metrics.model_refused.set(0)
            return
        settings, path = self._settings, str(self._path)
        verify_apart(content, path, settings.provider, settings.load_limits, self._closed)
        model = Model.from_bytes(content, path, settings.provider, settings.threads)
        inspector = Inspector(model, old.rules)
        inspector.check_golden()
        self._accept(model)
        self._metrics.use_model(model, inspector.alias)
        self._pipeline.inspector = inspector
        self._metrics.model_swaps.labels("taken").inc()
        self._metrics.model_refused.set(0)
        log.info(
            "model swapped: %s %s, threshold %.4g, instead of %s %s",
            inspector.alias,
            model.sha256[:12],
            model.card.threshold,
            old.alias,
            old.model.sha256[:12],
        )

    def _refuse(self, error: Exception) -> None:
        self._metrics.model_swaps.labels("refused").inc()
        self._metrics.model_refused.set(1)
        unexpected = f"{self._path}: {type(error).__name__}: {first_line(error)}"
        why = str(error) if isinstance(error, AndonError) else unexpected
        old = self._pipeline.inspector
        log.error("model refused: %s; %s %s stays in use", why, old.alias, old.model.sha256[:12])


def _mark(path: Path) -> Mark | None:
    """The mark of a file, None if it does not exist."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_model(path)).hexdigest()
    except UsageError:
        return None
