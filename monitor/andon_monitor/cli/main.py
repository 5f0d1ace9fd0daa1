"""The command line `andon-monitor`: its commands, and errors as one line with an exit code."""

import os
import re
import sys
from typing import Annotated

import typer
from typer import Option

from andon_monitor.cli import bridge, collect, compare, draw, kafka, parts, recording, review, run
from andon_monitor.common.process import hide_from_process_list
from andon_monitor.common.redaction import hide_addresses, hide_addresses_in_argument, one_line
from andon_monitor.errors import AndonError
from andon_monitor.telemetry import logs

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Inspect the parts on a production line through its cameras: good, or defect.",
)


@app.callback(invoke_without_command=True)
def andon_monitor(version: Annotated[bool, Option("--version", help="Print the version.")] = False) -> None:
    """Inspect the parts on a production line."""
    if version:
        from importlib.metadata import version as version_of

        print(f"andon {version_of('andon')}")
        raise typer.Exit


# In the order of --help.
for command in (
    run.run,
    run.check,
    run.tune,
    parts.parts,
    bridge.bridge,
    kafka.publish,
    kafka.topics,
    collect.collect,
    draw.draw,
    recording.record,
    recording.replay,
    recording.repair,
    compare.compare,
    review.review,
    review.user,
    review.export,
):
    app.command()(command)


def main() -> None:
    """Run the command line: an error is one line on standard error and an exit code, never a traceback."""
    hide_from_process_list(hide_addresses_in_argument)
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except AndonError as error:
        _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        # What typer says of an argument too many repeats it: after a slip it may be a password.
        message = error.format_message()
        _fail(re.sub(r"^(Got unexpected extra arguments?) .*", r"\1; --help says which there are", message), 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _fail(message: str, code: int) -> None:
    if logs.is_json():
        logs.log.error(message)
    else:
        print(f"error: {one_line(hide_addresses(message))}", file=sys.stderr)
    sys.exit(code)
