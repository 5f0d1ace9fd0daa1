"""What the commands share: arguments, what they print, progress, and what a wrong value is told."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated

import typer
from andon_monitor.errors import UsageError
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from andon_trainer.progress import Progress

out = Console()
err = Console(stderr=True)

SECONDS_A_LINE = 30.0  # between lines of progress where there is no terminal for a bar

Data = Annotated[Path, typer.Argument(help="MVTec AD layout (train/good, test/*), or a plain folder of good parts.")]
ModelFile = Annotated[Path, typer.Argument(help="A model file made by fit.")]
FalseAlarmRate = Annotated[
    float, typer.Option("--false-alarm-rate", help="The share of good parts that may be flagged, between 0 and 0.5.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]


def say(text: str) -> None:
    """Print a line as it is: a path may hold what rich would take for markup, or would break."""
    out.print(text, highlight=False, markup=False, soft_wrap=True)


def parse_duration(option: str, text: str) -> float:
    """`90s`, `10m`, `1h` or a number of seconds, in seconds. Raises UsageError."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], units[text[-1]]) if text and text[-1] in units else (text, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds < float("inf"):
        raise UsageError(f"{option} {text}: give a time of at least a second, as 90s, 10m or 1h")
    return seconds


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on standard error that says what is being done, gone when it is done.

    Where standard error is no terminal, a line is printed every half a minute.
    """
    if not err.is_terminal:
        yield LinesOfProgress()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


class LinesOfProgress:
    """Progress for a log: a line every `SECONDS_A_LINE`."""

    def __init__(self) -> None:
        self._due = time.monotonic() + SECONDS_A_LINE

    def __call__(self, what: str, share: float) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + SECONDS_A_LINE
            err.print(f"{what}: {share:.0%}", highlight=False, markup=False, soft_wrap=True)


@contextmanager
def graceful_interrupt() -> Iterator[Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets; the second one raises KeyboardInterrupt as usual."""
    interrupted = Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        err.print("ending with the best model so far; again to stop at once")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
