"""What the commands print: lines, notes, and progress."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from andon_trainer.progress import Progress

out = Console()
err = Console(stderr=True)

LOG_INTERVAL_S = 30.0  # between lines of progress where there is no terminal for a bar


def say(text: str) -> None:
    """Print a line on standard output as it is: rich must not read a path as markup, nor wrap it."""
    out.print(text, highlight=False, markup=False, soft_wrap=True)


def say_in_red(text: str) -> None:
    """Print a line on standard output that must not be overlooked."""
    out.print(text, style="bold red", highlight=False, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """Print a line on standard error as it is."""
    err.print(text, highlight=False, markup=False, soft_wrap=True)


def note_all(notes: Sequence[str]) -> None:
    """Print lines on standard error as notes."""
    for text in notes:
        note(f"note: {text}")


def say_picture(picture: Path | None) -> None:
    """Print where the picture is, if one was drawn."""
    if picture is not None:
        say(f"{picture}: the picture")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on standard error that shows what is being done and disappears at the end.

    Where standard error is no terminal, a line is printed every `LOG_INTERVAL_S`.
    """
    if not err.is_terminal:
        yield ProgressLines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Bar(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


class ProgressLines:
    """Progress for a log: a line every `LOG_INTERVAL_S`."""

    def __init__(self) -> None:
        self._next_line_at = time.monotonic() + LOG_INTERVAL_S

    def __call__(self, what: str, share: float) -> None:
        now = time.monotonic()
        if now >= self._next_line_at:
            self._next_line_at = now + LOG_INTERVAL_S
            note(f"{what}: {share:.0%}")


@contextmanager
def graceful_interrupt() -> Iterator[Event]:
    """An event that the first Ctrl-C (or SIGTERM) sets; the second one raises KeyboardInterrupt as usual."""
    interrupted = Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        note("stopping the training and keeping the best model so far; press Ctrl-C again to stop without a model")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
