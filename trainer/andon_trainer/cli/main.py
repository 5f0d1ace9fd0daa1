"""`andon-trainer`: all commands in one application, and the console script that runs it."""

import sys
from typing import NoReturn

import typer
from andon_monitor.errors import AndonError

from andon_trainer.cli.annotations import export, import_
from andon_trainer.cli.calibrate import calibrate
from andon_trainer.cli.card import card
from andon_trainer.cli.classify import classify
from andon_trainer.cli.compress import compress, decompress
from andon_trainer.cli.denoise import denoise
from andon_trainer.cli.evaluate import evaluate
from andon_trainer.cli.fit import fit
from andon_trainer.cli.reduce import reduce
from andon_trainer.cli.sample import sample

INTERRUPTED = 130  # the exit code that shells give for SIGINT

app = typer.Typer(
    help="Fit a model on images of good parts and write it as one ONNX file; measure it, calibrate it, use it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (sample, fit, evaluate, calibrate, card, reduce, denoise, compress, decompress, classify, export):
    app.command()(command)
app.command("import")(import_)


def main() -> None:
    """Run the console script: an error is one line on standard error and an exit code, never a traceback."""
    try:
        code = app(standalone_mode=False) or 0
    except AndonError as error:
        fail(str(error), error.exit_code)
    except typer.TyperException as error:
        fail(error.format_message(), 2)
    except ModuleNotFoundError as error:  # the monitor alone is installed, which needs less
        fail(f"{error.name}: not installed; run pip install 'andon[trainer,cpu]'", 2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer also returns this code for a Ctrl-C that it catches itself
        fail("interrupted; nothing was written", INTERRUPTED)
    sys.exit(code)


def fail(message: str, code: int) -> NoReturn:
    """End the program with one line on standard error."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
