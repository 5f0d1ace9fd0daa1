"""Commands of the line: run, check, tune."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from andon_monitor.cli.options import (
    Assignments,
    Camera,
    ConfigFile,
    LogFormat,
    LogLevel,
    ModelFile,
    Port,
    Serve,
    SourceUri,
    Then,
    load,
    load_and_log,
    service_flags,
)
from andon_monitor.errors import SourceError


def run(
    model: ModelFile = None,
    source: SourceUri = None,
    verdicts: Annotated[
        str | None, Option(help="kafka://..., a .jsonl file, or - for standard output (default).")
    ] = None,
    config: ConfigFile = None,
    shadow: Annotated[
        Path | None, Option(help="Second model that scores the same live frames, only for metrics.")
    ] = None,
    camera: Camera = None,
    then: Then = None,
    pace: Annotated[str | None, Option(help="Playback speed of a recording: max (default) or recorded.")] = None,
    provider: Annotated[
        str | None, Option(help="onnxruntime execution provider: auto (default), cpu, cuda or tensorrt.")
    ] = None,
    threads: Annotated[
        str | None, Option(metavar="N", help="Frames inspected in parallel; 0: one per CPU core (default).")
    ] = None,
    batch_size: Annotated[str | None, Option(metavar="N", help="Largest number of frames in a batch on a GPU.")] = None,
    dead_letters: Annotated[
        str | None, Option(help="Folder or kafka://... that keeps frames that could not be inspected.")
    ] = None,
    evidence: Annotated[
        str | None, Option(help="Where pictures of defects go: kafka://... or the folder of a review page.")
    ] = None,
    summary: Annotated[Path | None, Option(help="JSON file to write the summary to.")] = None,
    port: Port = None,
    server: Serve = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
    settings: Assignments = None,
) -> None:
    """Inspect every frame of a source and write a verdict for each.

    Options come first, then environment variables ANDON_..., then the settings file. Ctrl-C or SIGTERM stops after the
    frames in flight; a second one stops at once.
    """
    flags = {
        "model.path": model,
        "source.uri": source,
        "output.verdicts": verdicts,
        "shadow.path": shadow,
        "source.camera": camera,
        "source.then": then,
        "source.pace": pace,
        "model.provider": provider,
        "model.threads": threads,
        "inspection.batch_size": batch_size,
        "output.dead_letters": dead_letters,
        "output.evidence": evidence,
        "output.summary": summary,
        **service_flags(port, server, log_level, log_format),
    }
    loaded = load_and_log(flags, settings, config)
    from andon_monitor.common.console import console
    from andon_monitor.common.redaction import show_address
    from andon_monitor.run.service import Service
    from andon_monitor.run.text import print_summary, progress_bar, summary_line
    from andon_monitor.telemetry import logs

    page = console(error=True)
    to_terminal = loaded.output.verdicts == "-" and sys.stdout.isatty()
    with progress_bar(None if to_terminal else page) as watchers:
        result = Service(loaded, watchers).run()
    if logs.is_json():
        logs.log.info(summary_line(result))
    else:
        print_summary(result, page)
    if result.stopped:
        raise SourceError(
            f"{show_address(loaded.source.uri or '')}: stopped by a signal before its end, after "
            f"{result.outcomes.total()} frames; "
            "a file of verdicts keeps its .part"
        )
    if result.damage is not None:
        raise SourceError(result.damage)


def check(
    model: ModelFile = None,
    source: SourceUri = None,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Check whether a run with these settings would work.

    Tries the models, the source, Kafka, the outputs and the port, and changes nothing. With recipes, shows which camera
    and product meets which model.
    """
    loaded = load({"model.path": model, "source.uri": source}, settings, config)
    from andon_monitor.common.console import console
    from andon_monitor.run.check import open_models, run_checks
    from andon_monitor.run.text import print_checks, print_recipes, print_settings

    page = console(error=False)
    print_settings(loaded, page)
    opened = open_models(loaded) if loaded.recipes else None
    if opened is not None:
        print_recipes(opened, loaded, page)
    if not print_checks(run_checks(loaded, opened), page):
        raise typer.Exit(1)


def tune(
    model: ModelFile = None,
    source: SourceUri = None,
    output: Annotated[Path | None, Option("--output", "-o", help="YAML file to write the best settings to.")] = None,
    seconds: Annotated[float, Option(min=0.1, help="Approximate length of one measurement in seconds.")] = 2.0,
    rounds: Annotated[int, Option(min=1, help="Measurements of each candidate; the median counts.")] = 3,
    config: ConfigFile = None,
    settings: Assignments = None,
) -> None:
    """Find the fastest settings for this machine.

    Tries execution providers, numbers of threads and batch sizes on the first frames of a folder or recording, from
    memory. --output writes the file given with --config, if any, with the best settings in it.
    """
    loaded = load({"model.path": model, "source.uri": source}, settings, config)
    from andon_monitor.common.console import console, share_bar
    from andon_monitor.common.files import check_writable
    from andon_monitor.run import tune as tuning
    from andon_monitor.run.text import print_trials

    if output is not None:
        check_writable(output)
    with share_bar("measuring", console(error=True)) as progress:
        trials = tuning.tune(loaded, seconds, rounds, progress)
    print_trials(trials, console(error=False))
    if output is not None:
        tuning.write_settings(config, trials[0].values, output)
