"""Inspections that run on this machine, one for each line: started, watched, started again, stopped."""

import threading
from contextlib import suppress
from pathlib import Path

from andon_monitor.errors import AndonError, UsageError
from andon_monitor.setup.jobs import JOB, SetupJob, State
from andon_monitor.setup.lines import Lines

INTERVAL_SECONDS = 10.0  # between two checks whether an inspection has ended by an error


class Inspections:
    """The runs of lines that somebody started on the page. Each goes on without the page."""

    def __init__(self, folder: Path, lines: Lines) -> None:
        self._folder = folder
        self._lines = lines
        self._changing = threading.RLock()  # what somebody stops is not started again meanwhile

    def state(self, line: str) -> State:
        """How the inspection of a line is."""
        return self._job(line).state()

    def start(self, line: str, who: str) -> None:
        """Start it, or start it again with what its settings file says now. Raises UsageError."""
        settings = self._lines.read(line).settings
        # Two lines on one machine cannot share a port: any free one, unless the file says which.
        port = [] if "port" in settings.server.model_fields_set else ["--port", "0"]
        with self._changing:
            job = self._job(line)
            job.stop_if_running(gently=True)
            job.start(who, ["run", "--config", str(self._lines.path(line)), *port])

    def stop(self, line: str) -> None:
        """Stop it, once its frames in flight are finished; one that has ended by an error is not started again.

        Raises UsageError where there is none.
        """
        with self._changing:
            job = self._job(line)
            if job.state().phase == "none":
                raise UsageError(f"no inspection of {line} runs here")
            job.stop_if_running(gently=True)
            (job.folder / JOB).unlink(missing_ok=True)

    def restart_if_running(self, line: str, who: str) -> None:
        """Let it take over what its settings file says now."""
        if self.state(line).is_running:
            self.start(line, who)

    def follow(self, closed: threading.Event) -> None:
        """Start again what ended by an error, such as that of the machine, until `closed`."""
        while True:
            for line in self._lines.names():
                with self._changing, suppress(AndonError):  # the page shows it
                    state = self.state(line)
                    if state.phase == "failed" and state.job is not None:
                        self.start(line, state.job.who)
            if closed.wait(INTERVAL_SECONDS):
                return

    def _job(self, line: str) -> SetupJob:
        return SetupJob(self._folder / line, "run", 1)
