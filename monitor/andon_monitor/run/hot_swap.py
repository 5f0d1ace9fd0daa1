"""Hot swap: a changed model file is verified and then taken into use between two batches, or refused."""

import hashlib
import logging
import threading
from pathlib import Path

from andon_monitor.common.process import lower_priority
from andon_monitor.errors import UsageError
from andon_monitor.model.file import read_model
from andon_monitor.recipes.library import Library, ModelFile
from andon_monitor.telemetry.metrics import Metrics

log = logging.getLogger("andon")

Mark = tuple[int, int, int]  # inode, modification time, size: one of them changes when a file does


class Watched:
    """What was seen of a model file: its mark at the last check, and the one that was acted upon."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.last_mark = self.handled = _mark(file.path)
        # The file may have changed since its model was opened.
        if file.model is not None and _digest(file.path) != file.model.sha256:
            self.handled = None


class Swapper:
    """Watches the files of all models, each a file that is replaced or a link that is changed.

    A new file is read once it has not changed between two checks, so that a half-copied file is not refused. The new
    model is verified in a process apart and then opened, while the old one scores. If it is refused, the old one stays
    in use; the other files have nothing to do with it. Frames keep the model that prepared them, so none is lost or
    delayed. A file whose model is not open is read when a frame needs it, or now if it was refused before.
    """

    def __init__(self, library: Library, every: float, metrics: Metrics) -> None:
        """`every`: seconds between two checks."""
        self._library = library
        self._every = every
        self._metrics = metrics
        self._watched = [Watched(file) for file in library.files]
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="swapper", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching, and opening models."""
        self._closed.set()
        self._library.close()  # ends a verification that goes on
        self._thread.join()

    def _watch(self) -> None:
        lower_priority()
        while not self._closed.wait(self._every):
            for watched in self._watched:
                self._check(watched)

    def _check(self, watched: Watched) -> None:
        file, before = watched.file, watched.last_mark
        mark = watched.last_mark = _mark(file.path)
        if mark != before or mark == watched.handled or not (file.inspectors or file.refused):
            return
        watched.handled = mark
        with file.lock:
            try:
                self._swap(file)
            except Exception as error:  # with any bad file, the old model goes on
                self._library.refuse(file, error)

    def _swap(self, file: ModelFile) -> None:
        content = read_model(file.path)
        if file.model is not None and hashlib.sha256(content).hexdigest() == file.model.sha256:
            for label in file.labels:  # touched, or changed back
                self._metrics.model_refused.labels(label).set(0)
            return
        old = self._library.replace(file, content)
        for name, new in file.inspectors.items():
            self._metrics.model_swaps.labels(new.alias, "taken").inc()
            before = old.get(name)
            log.info(
                "model swapped: %s %s, threshold %.4g, instead of %s",
                new.alias,
                new.model.sha256[:12],
                new.threshold(""),
                "none" if before is None else f"{before.alias} {before.model.sha256[:12]}",
            )


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
