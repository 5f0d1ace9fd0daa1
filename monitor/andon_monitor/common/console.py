"""Tables and progress bars on a terminal, with rich."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from andon_monitor.common.redaction import hide_addresses, one_line

PAGE_WIDTH = 160  # columns if the output is no terminal, which would have a width


def console(error: bool) -> Console:
    """A console on standard error, or on standard output."""
    terminal = Console(stderr=error)
    return terminal if terminal.is_terminal else Console(stderr=error, width=PAGE_WIDTH)


def table(headers: list[str], rows: list[list[object]], numbers: bool = True) -> Table:
    """A table with dim headers. With `numbers`, all columns but the first are aligned to the right."""
    drawn = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for i, header in enumerate(headers):
        drawn.add_column(header, justify="right" if i and numbers else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(one_line(hide_addresses(str(cell)))) for cell in row))
    return drawn


@contextmanager
def share_bar(what: str, console: Console) -> Iterator[Callable[[float], None]]:
    """A progress bar on the terminal; call the function it yields with the share done, from 0 to 1."""
    if not console.is_terminal:
        yield lambda share: None
        return
    with Progress(TextColumn(what), BarColumn(), TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)
