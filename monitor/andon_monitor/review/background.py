"""Long work started from the page, in processes of its own: one in each folder, few cores, low priority.

`python -m andon_monitor.review.background CORES LOCK MODULE ARGUMENTS...` runs a module that way; LOCK is the
descriptor of the locked file.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from andon_monitor.common.process import lower_priority
from andon_monitor.common.system import lock
from andon_monitor.errors import UsageError

LOG, LOCK = "log.txt", "lock"
ERROR = "error: "  # how a line of our commands begins that says why they end
MAX_LOG_BYTES = 64 * 1024  # shown, from the end
LOG_LINES, LOG_COLUMNS = 40, 120
CONTROL = re.compile(r"[^\x20-\x7e\u00a0-\uffff]")
LOCK_SECONDS, LOCK_POLL_SECONDS = 20.0, 0.05  # to wait for a process that ends, or for another visitor's page


class Background:
    """Work in a folder. Its processes inherit the lock of the folder: while one of them lives, the work is running.

    `name` is what messages call it, such as "refit".
    """

    def __init__(self, folder: Path, name: str, cores: int) -> None:
        self.folder = folder
        self.cores = cores
        self._name = name

    def is_running(self) -> bool:
        """Whether one of its processes lives, whoever started it."""
        try:
            with self.locked(patience=0.0):
                return False
        except UsageError:
            return True

    def start(self, module: str, arguments: Sequence[str], descriptor: int, kept: str = "") -> int:
        """Run a module of Python, with the lock that `locked` gave; returns its process group.

        No settings are in its environment, as passwords may be among them, but for those that begin with `kept`.
        """
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ANDON_") or (kept and name.startswith(kept))
        }
        environment["COLUMNS"] = str(LOG_COLUMNS)
        environment |= {
            name: str(self.cores) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        }
        with (self.folder / LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=(descriptor,),
                start_new_session=True,
            )
        return process.pid

    def stop(self, group: int, gently: bool = False) -> None:
        """End it; `group` is its process group. `gently`: it may finish what it has begun.

        Raises UsageError where nothing is running.
        """
        if group <= 0 or not self.is_running():
            raise UsageError(f"no {self._name} is running")
        # The lock is held, so the process group is still that of this work.
        if sys.platform != "win32":  # where the page starts no work
            if gently:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGTERM)
                with suppress(UsageError), self.locked():
                    return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        with self.locked():  # until its processes are gone
            pass

    @contextmanager
    def locked(self, patience: float = LOCK_SECONDS) -> Iterator[int]:
        """Hold the lock, a file descriptor. Raises UsageError where a process of the work holds it."""
        deadline = time.monotonic() + patience
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while True:
                try:
                    lock(descriptor)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise UsageError(f"a {self._name} is running; stop it first") from None
                    time.sleep(LOCK_POLL_SECONDS)
            yield descriptor
        finally:
            os.close(descriptor)

    def clear(self) -> None:
        """Remove everything but the lock, which the caller holds."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)


def read_log(folder: Path) -> tuple[str, ...]:
    """The last lines that the processes of a folder wrote."""
    try:
        with (folder / LOG).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_LOG_BYTES))
            text = file.read(MAX_LOG_BYTES).decode(errors="replace")
    except OSError:
        return ()
    return tuple(CONTROL.sub("", line)[:400] for line in text.splitlines()[-LOG_LINES:])


def last_error(folder: Path) -> str:
    """The error that a command of ours ended with, "" where its log has none."""
    errors = [line.removeprefix(ERROR) for line in read_log(folder) if line.startswith(ERROR)]
    return errors[-1] if errors else ""


def limit_process(cores: int) -> None:
    """Give this process, and those that it starts, low priority and so many cores: the last, as most take the first."""
    lower_priority()
    if sys.platform == "linux":
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-cores:])


def run_module(module: str, arguments: Sequence[str], lock: int) -> int:
    """Run a module and wait; it holds the lock as well, so that nobody starts more while it works. Its exit code."""
    command = [sys.executable, "-P", "-m", module, *arguments]
    return subprocess.run(command, pass_fds=(lock,), check=False, stdin=subprocess.DEVNULL).returncode


def main() -> None:
    """Run a module within limits."""
    cores, lock, module, *arguments = sys.argv[1:]
    limit_process(int(cores))
    code = run_module(module, arguments, int(lock))
    sys.stdout.flush()
    os._exit(code)  # at once, which frees the lock: at this priority the interpreter's own end may take seconds


if __name__ == "__main__":
    main()
