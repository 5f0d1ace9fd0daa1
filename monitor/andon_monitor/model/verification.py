"""Opens a model file in a process apart first: a crash, a stall or full memory there does not touch this one."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress

from andon_monitor.common.process import lower_priority
from andon_monitor.common.system import limit_processor_time
from andon_monitor.common.text import shown
from andon_monitor.errors import AndonError, ModelError
from andon_monitor.model.limits import POLL_SECONDS, LoadLimits, private_bytes
from andon_monitor.model.session import uses_gpu

PROCESS_BYTES = 128 * 2**20  # of Python and the libraries, before anything of the file
MAX_MESSAGE = 1000  # characters


def verify_apart(
    content: bytes,
    path: str,
    provider: str,
    limits: LoadLimits,
    stopped: threading.Event | None = None,
    in_background: bool = True,
) -> None:
    """Open a model file's content and run its self-test in a process of its own, which is ended at the limits.

    `path` names it in errors. The process gets no settings, as passwords may be among them. Raises ModelError; also
    when `stopped` is set meanwhile. `in_background`: at low priority, as nobody waits for it.
    """
    on_gpu = uses_gpu(provider)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANDON_")}
    # -P: no module is looked for in the current folder.
    command = [sys.executable, "-P", "-m", __name__, path, provider, str(limits.seconds), str(int(in_background))]
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as output:
        file.write(content)
        file.seek(0)
        process = subprocess.Popen(
            command, stdin=file, stdout=output, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        started, excess = time.monotonic(), None
        try:
            while process.poll() is None and excess is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
                excess = limits.excess(started, private_bytes(process.pid) - PROCESS_BYTES, on_gpu)
                if process.returncode is None and stopped is not None and stopped.is_set():
                    excess = "not verified, because the run ends"
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        said = output.read(MAX_MESSAGE).decode(errors="replace").strip()
    if process.returncode == 0:
        return
    if process.returncode == ModelError.exit_code and said:
        raise ModelError(shown(said, MAX_MESSAGE))
    why = excess or f"opening it ended its process ({_ending(process.returncode)})"
    raise ModelError(f"{path}: {why}")


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def main() -> None:
    """The process apart: a model file on standard input; its name, provider, time limit and 1 for low priority."""
    path, provider, seconds, in_background = sys.argv[1:]
    if in_background == "1":
        lower_priority()
    # So that it ends even where the process that started it is gone.
    limit_processor_time(int(float(seconds) * (os.cpu_count() or 1)) + 1)
    from andon_monitor.model.file import Model

    try:
        Model.from_bytes(sys.stdin.buffer.read(), path, provider)
    except AndonError as error:
        print(str(error)[:MAX_MESSAGE], flush=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
