"""The command: `make bench-quality`, or .venv/bin/python -m tests.benchmarks.quality --help."""

import json
import os
from pathlib import Path
from typing import Annotated

import torch
import typer
from andon_monitor.common.console import console
from andon_monitor.common.files import write_whole
from andon_monitor.common.units import parse_duration
from andon_monitor.errors import AndonError, UsageError
from andon_trainer.cli.main import INTERRUPTED, fail
from andon_trainer.options import check_range
from andon_trainer.training.timing import use_fastest_threads
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.benchmarks.quality.cells import Bench, Cell
from tests.benchmarks.quality.methods import METHODS, NEED_ANOMALIB, find_method
from tests.benchmarks.quality.sets import DEFAULT, SAMPLE, open_set
from tests.benchmarks.quality.tables import TABLES, Choice, Results, draw, to_json

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
out, err = console(error=False), console(error=True)


@app.command()
def main(
    data: Annotated[
        list[str] | None,
        typer.Argument(help=f"Folders in MVTec AD's layout, or `{SAMPLE}`; default: it and what is in ../shared/data."),
    ] = None,
    table: Annotated[list[str] | None, typer.Option(help=f"{', '.join(TABLES)}; default: all.")] = None,
    method: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(METHODS)}, or andon:OPTION=VALUE; default: all that can run.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each, with seeds from 0.")] = 3,
    budget: Annotated[str, typer.Option(help="The time of one training, as 20s, 10m or 1h.")] = "10m",
    threads: Annotated[int, typer.Option(help="Threads to train on, 0 for as many as are fastest.")] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that keeps models and figures.")] = Path(
        "bench-quality"
    ),
    anomalib: Annotated[
        str | None, typer.Option(envvar="ANDON_ANOMALIB", help="Python of an environment with anomalib.")
    ] = None,
) -> None:
    """Measure, and print tables; what is in OUTPUT already is not measured again."""
    check_range("--seeds", seeds, 1, 100)
    check_range("--threads", threads, 0, 1024)
    seconds = parse_duration("--budget", budget)
    names = data or [SAMPLE, *(str(folder) for folder in DEFAULT if folder.is_dir())]
    if anomalib is not None and not os.access(anomalib, os.X_OK):
        raise UsageError(f"--anomalib {anomalib}: no such program; give the python of an environment with anomalib")
    python = None if anomalib is None else str(Path(anomalib).absolute())  # it is run in another folder
    methods = method or [name for name in METHODS if anomalib or name not in NEED_ANOMALIB]
    for name in methods:
        find_method(name)
        if name in NEED_ANOMALIB and anomalib is None:
            raise UsageError(f"--method {name}: give --anomalib, the python of an environment with anomalib")
    for name in table or ():
        if name not in TABLES:
            raise UsageError(f"--table {name}: choose {', '.join(TABLES)}")
    if threads:
        torch.set_num_threads(threads)
    else:
        use_fastest_threads()
    output.mkdir(parents=True, exist_ok=True)
    choice = Choice({name: len(open_set(name, output).train) for name in names}, tuple(methods), seeds, seconds)
    chosen = {name: TABLES[name] for name in table or TABLES}
    cells = [cell for each in chosen.values() for cell in each.cells(choice)]
    results = measure(cells, Bench(output, python))
    figures = {}
    for name, each in chosen.items():
        parts = each.parts(choice, results)
        figures[name] = {title: to_json(rows) for title, rows in parts.items()}
        for title, rows in parts.items():
            out.print(f"\n{each.title}: {title}", style="bold", markup=False, highlight=False)
            out.print(draw(rows))
    write_whole(output / "quality.json", (json.dumps(figures, indent=1) + "\n").encode())
    if missing := len(set(cells)) - len(results):
        raise AndonError(f"{missing} of {len(set(cells))} measurements failed, see above; the tables are without them")


def measure(cells: list[Cell], bench: Bench) -> Results:
    """The figures of cells, each trained and tested unless its file is there."""
    wanted = list(dict.fromkeys(cells))
    waiting = [cell for cell in wanted if not bench.is_done(cell)]
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err) as bar:
        task = bar.add_task("", total=len(waiting))
        for cell in waiting:
            bar.update(task, description=cell.name)
            try:
                bench.measure(cell)
            except AndonError as error:  # hours of others are not lost for one
                err.print(f"{cell.name}: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
            bar.advance(task)
    return {cell: bench.measure(cell) for cell in wanted if bench.is_done(cell)}


def run() -> None:
    """An error is one line, as in the trainer's own commands."""
    try:
        app(standalone_mode=False)
    except AndonError as error:
        fail(str(error), error.exit_code)
    except typer.TyperException as error:
        fail(error.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        fail("interrupted; what was finished is kept", INTERRUPTED)


if __name__ == "__main__":
    run()
