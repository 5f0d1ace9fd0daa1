"""The command line `andon-monitor`. Heavy modules are imported by the commands, so that --help answers at once."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from monitor.errors import AndonError, UsageError

if TYPE_CHECKING:
    from monitor.settings import Settings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Watch a production line through its cameras and say for every part: good, or defect.",
)

ConfigFile = Annotated[Path | None, Option("--config", envvar="ANDON_CONFIG", help="YAML file of settings.")]
ModelFile = Annotated[Path | None, Option("--model", help="Model file that andon-trainer fit made.")]
SourceUri = Annotated[str | None, Option("--source", help="Folder, image, video file, rtsp://... or camera:0.")]
Sets = Annotated[
    list[str] | None, Option("--set", metavar="KEY=VALUE", help="Any setting: --set inspection.too_dark=0")
]


@app.callback(invoke_without_command=True)
def andon_monitor(version: Annotated[bool, Option("--version", help="Print the version.")] = False) -> None:
    """Watch a production line."""
    if version:
        from importlib.metadata import version as version_of

        print(f"andon {version_of('andon')}")
        raise typer.Exit


@app.command()
def run(
    model: ModelFile = None,
    source: SourceUri = None,
    verdicts: Annotated[str | None, Option(help="A .jsonl file, or - for standard output (the default).")] = None,
    config: ConfigFile = None,
    camera: Annotated[str | None, Option(help="Name of the camera where the source does not say.")] = None,
    pace: Annotated[str | None, Option(help="Tempo of a recording: max (the default) or recorded.")] = None,
    provider: Annotated[str | None, Option(help="auto, cpu, cuda or tensorrt.")] = None,
    threads: Annotated[str | None, Option(metavar="N", help="Frames scored side by side on a CPU.")] = None,
    batch_size: Annotated[str | None, Option(metavar="N", help="Frames in one batch, at most.")] = None,
    dead_letters: Annotated[Path | None, Option(help="Folder for frames that could not be inspected.")] = None,
    summary: Annotated[Path | None, Option(help="JSON file for the summary.")] = None,
    port: Annotated[str | None, Option(metavar="N", help="Port of /metrics; 0: a free one.")] = None,
    server: Annotated[bool | None, Option("--server/--no-server", help="Serve /metrics, /healthz, /readyz.")] = None,
    log_level: Annotated[str | None, Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, Option(help="human or json.")] = None,
    settings: Sets = None,
) -> None:
    """Inspect every frame of a source and write a verdict for each.

    What is not given here comes from ANDON_... variables, then from the file. Ctrl-C or SIGTERM finishes what is in
    flight; a second one ends at once.
    """
    flags = {
        "model.path": model,
        "source.uri": source,
        "output.verdicts": verdicts,
        "source.camera": camera,
        "source.pace": pace,
        "model.provider": provider,
        "model.threads": threads,
        "inspection.batch_size": batch_size,
        "output.dead_letters": dead_letters,
        "output.summary": summary,
        "server.port": port,
        "server.enabled": server,
        "logging.level": log_level,
        "logging.format": log_format,
    }
    loaded = _load(flags, settings, config)
    from monitor import logs
    from monitor.report import console, print_summary, progress_bar
    from monitor.service import Service

    logs.set_up(loaded.logging.level, loaded.logging.format)
    page = console(error=True)
    to_terminal = loaded.output.verdicts == "-" and sys.stdout.isatty()
    with progress_bar(None if to_terminal else page) as watchers:
        result = Service(loaded, watchers).run()
    print_summary(result, page)


@app.command()
def check(
    model: ModelFile = None,
    source: SourceUri = None,
    config: ConfigFile = None,
    settings: Sets = None,
) -> None:
    """Say whether a run with these settings would work: the model, the source, the outputs, the port."""
    loaded = _load({"model.path": model, "source.uri": source}, settings, config)
    from monitor.checks import run_checks
    from monitor.report import console, print_checks, print_settings

    page = console(error=False)
    print_settings(loaded, page)
    if not print_checks(run_checks(loaded), page):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line: an error is one line on standard error and an exit code, never a traceback."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except AndonError as error:
        _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        _fail(error.format_message(), 2)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _load(flags: dict[str, Any], assignments: list[str] | None, config: Path | None) -> "Settings":
    import yaml

    from monitor.settings import load_settings

    for assignment in assignments or []:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment}: right is --set key=value, such as --set server.port=0")
        flags[key] = yaml.safe_load(value)
    return load_settings(flags, config)


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
