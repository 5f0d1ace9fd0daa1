"""What runs for a set-up, in processes of its own: a look at the source, collecting, fitting, trying in shadow."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from andon_monitor.common.files import read_within, remove_quietly, write_whole
from andon_monitor.errors import UsageError
from andon_monitor.review.background import Background, read_log
from andon_monitor.review.teach.job import progress_of

Kind = Literal["look", "collect", "fit", "trial", "run"]
NAMES: dict[Kind, str] = {
    "look": "look at the source",
    "collect": "collection",
    "fit": "fit",
    "trial": "trial",
    "run": "inspection",
}
# These only end when somebody stops them, which is no failure then.
ENDLESS: tuple[Kind, ...] = ("look", "trial")
WORK = "andon_monitor.setup.work"
JOB, RESULT, LIVE, PICTURE, SEEN = "job.json", "result.json", "live.json", "live.jpg", "seen"
MAX_JSON_BYTES = 100_000
START_SECONDS = 2.0  # to wait for the lock of a job, which a page that asks for its state holds for a moment
KAFKA_SETTINGS = "ANDON_KAFKA_"  # in the environment of a job that opens the source: passwords come that way

Content = TypeVar("Content", bound=BaseModel)


class Job(BaseModel):
    """A job that was started. `process` is its id, and that of its group."""

    model_config = ConfigDict(frozen=True)

    who: str
    started: float  # seconds since 1970
    process: int = 0


class Result(BaseModel):
    """How a job ended: `failure` is "" where nothing went wrong, `note` says what came out."""

    model_config = ConfigDict(frozen=True)

    failure: str = ""
    note: str = ""
    ended: float = 0.0


class Live(BaseModel):
    """What the source shows now. `frames` have come so far, `text` says how far a collection is."""

    model_config = ConfigDict(frozen=True)

    frames: int = 0
    unreadable: int = 0
    camera: str = ""
    width: int = 0
    height: int = 0
    at: float = 0.0
    text: str = ""


NO_RESULT, NO_LIVE = Result(), Live()


@dataclass(frozen=True, slots=True)
class State:
    """A job as the page shows it; `job` is None where it was never started."""

    phase: Literal["none", "running", "done", "failed"]
    job: Job | None = None
    result: Result = NO_RESULT
    live: Live = NO_LIVE
    log: tuple[str, ...] = ()

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self.phase == "running"

    @property
    def doing(self) -> str:
        """What it does now, from its log."""
        return progress_of(self.log)[0]

    @property
    def share(self) -> float | None:
        """The share of that which is done."""
        return progress_of(self.log)[1]


class SetupJob:
    """The job of a kind in a folder; its state is in files alone."""

    def __init__(self, folder: Path, kind: Kind, cores: int) -> None:
        self.folder = folder / kind
        self.kind = kind
        self._parent = folder
        self._work = Background(self.folder, NAMES[kind], cores)

    def state(self) -> State:
        """How it is now."""
        job = read(Job, self.folder / JOB)
        if job is None:
            return State("none")
        result, live, log = read(Result, self.folder / RESULT), self.live(), read_log(self.folder)
        if result is None and self._work.is_running():
            return State("running", job, NO_RESULT, live, log)
        result = result or read(Result, self.folder / RESULT)  # it may have ended in between
        if result is None:
            result = Result(
                failure=f"the {NAMES[self.kind]} was stopped, or its process ended; it can be started again"
            )
        return State("failed" if result.failure else "done", job, result, live, log)

    def live(self) -> Live:
        """What the source showed last."""
        return read(Live, self.folder / LIVE) or Live()

    def picture(self) -> bytes | None:
        """The newest picture, a JPEG; a look goes on as long as somebody asks for it."""
        try:
            (self.folder / SEEN).touch()
            return (self.folder / PICTURE).read_bytes()
        except OSError:
            return None

    def start(self, who: str, arguments: Sequence[str] = ()) -> None:
        """Start it. Raises UsageError where it runs, OutputError."""
        if os.name != "posix":
            raise UsageError("set-up from the page needs Linux or macOS")
        with self._work.locked(START_SECONDS) as descriptor:
            for name in (RESULT, LIVE, PICTURE):
                (self.folder / name).unlink(missing_ok=True)
            for half_written in self.folder.glob(".*"):
                remove_quietly(half_written)
            (self.folder / SEEN).touch()
            job = Job(who=who, started=time.time())
            write(self.folder / JOB, job)
            given = [self.kind, str(self._parent), str(self._work.cores), str(descriptor), *arguments]
            kept = "" if self.kind == "fit" else KAFKA_SETTINGS
            process = self._work.start(WORK, given, descriptor, kept)
            write(self.folder / JOB, job.model_copy(update={"process": process}))

    def stop(self, gently: bool = False) -> None:
        """Stop it. Raises UsageError where it does not run."""
        job = read(Job, self.folder / JOB)
        self._work.stop(0 if job is None else job.process, gently)
        if job is not None and self.kind in ENDLESS and read(Result, self.folder / RESULT) is None:
            write(self.folder / RESULT, Result(note="stopped", ended=time.time()))

    def stop_if_running(self, gently: bool = False) -> None:
        """Stop it where it runs."""
        if self.state().is_running:
            self.stop(gently)


def write(path: Path, content: BaseModel) -> None:
    """Write a file of a job, completely or not at all. Raises OutputError."""
    write_whole(path, content.model_dump_json().encode())


def read(content: type[Content], path: Path) -> Content | None:
    """The file of a job, None where there is none that can be read."""
    try:
        return content.model_validate_json(read_within(path, MAX_JSON_BYTES))
    except (OSError, ValidationError):
        return None
