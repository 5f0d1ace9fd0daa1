"""What opening a model file may take: seconds, and memory. A file may be made to take without end."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from andon_monitor.errors import ModelError

POLL_SECONDS = 0.02  # memory is filled at some GB/s: between two checks a few tens of MB too much
# CUDA and its libraries take this much more memory of the process, whatever the model.
GPU_LIBRARY_BYTES = 4 * 2**30


@dataclass(frozen=True)
class LoadLimits:
    """Opening a model file, with its self-test, may take `seconds` and `max_bytes` of memory.

    Memory is limited on Linux alone.
    """

    seconds: float = 60.0
    max_bytes: int = 512 * 2**20

    def excess(self, started: float, grown: int, on_gpu: bool) -> str | None:
        """What was exceeded since `started` (monotonic seconds), None if nothing was. `grown`: bytes of memory."""
        if time.monotonic() - started > self.seconds:
            return f"opening it took more than {self.seconds:g} s (model.load_timeout)"
        if grown > self.max_bytes + (GPU_LIBRARY_BYTES if on_gpu else 0):
            return f"opening it took more than {self.max_bytes // 2**20} MiB of memory (model.max_load_bytes)"
        return None

    @contextmanager
    def guard(self, path: Path, on_gpu: bool) -> Iterator[None]:
        """End this process with one line and exit code 2 where what is done inside takes more; `path` is the model.

        onnxruntime cannot be interrupted in a thread.
        """
        finished, started, before = threading.Event(), time.monotonic(), private_bytes()

        def watch() -> None:
            while not finished.wait(POLL_SECONDS):
                if (excess := self.excess(started, private_bytes() - before, on_gpu)) is not None:
                    sys.stderr.write(f"error: {path}: {excess}; it is no model of andon-trainer, or give more\n")
                    sys.stderr.flush()
                    os._exit(ModelError.exit_code)

        watcher = threading.Thread(target=watch, name="load-limits", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            finished.set()
            watcher.join()


def private_bytes(pid: int | str = "self") -> int:
    """Memory that a process has for itself alone, without mapped files; 0 where that is not known."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int((status.partition("RssAnon:")[2].split() or ["0"])[0]) * 1024
