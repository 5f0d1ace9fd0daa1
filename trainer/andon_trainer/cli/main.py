"""`andon-trainer`: the commands, and nothing but their arguments and what they print."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from andon_monitor.common.files import check_writable, write_whole
from andon_monitor.errors import AndonError, UsageError

from andon_trainer.architecture import parse_layers
from andon_trainer.cli.console import (
    Data,
    FalseAlarmRate,
    ModelFile,
    Output,
    err,
    graceful_interrupt,
    out,
    parse_duration,
    progress_bar,
    say,
)
from andon_trainer.cli.uses import app as uses
from andon_trainer.options import FitOptions, check_range, parse_region

if TYPE_CHECKING:
    from andon_trainer.data.audit import Odd

# torch, onnx and scikit-learn take seconds to import: each command imports what it needs, so that --help is quick.

app = typer.Typer(
    help="Fit an autoencoder on images of good parts and export it as one ONNX file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(uses)
INTERRUPTED = 130  # the exit code that shells give for SIGINT
SUSPECTS_NAMED = 5
Report = Annotated[Path | None, typer.Option("--report", help="Also write a report: one self-contained HTML file.")]


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    train: Annotated[int, typer.Option(help="Good parts to learn from.")] = 300,
    test_good: Annotated[int, typer.Option(help="Good parts to test with.")] = 60,
    test_defects: Annotated[int, typer.Option(help="Defective parts to test with, of each kind.")] = 15,
    stream: Annotated[int, typer.Option(help="Frames of the recorded stream; about 2 % are defects.")] = 600,
) -> None:
    """Render a sample part: images in MVTec AD layout with masks, and a recorded stream of the same part."""
    from andon_trainer.sample.render import write_sample

    with progress_bar() as show:
        summary = write_sample(
            folder,
            seed=seed,
            train=train,
            test_good=test_good,
            test_defects=test_defects,
            stream=stream,
            progress=show,
        )
    say(
        f"{folder}: {summary.train} good parts to learn from, {summary.test_good} good and "
        f"{summary.test_defects * len(summary.kinds)} defective ({len(summary.kinds)} kinds) to test with, "
        f"a stream of {summary.stream} frames with {summary.stream_defects} defects"
    )


@app.command()
def fit(
    data: Data,
    output: Output,
    report: Report = None,
    false_alarm_rate: FalseAlarmRate = 0.001,
    architecture: Annotated[str, typer.Option(help="conv-dense, or dense for small images.")] = "conv-dense",
    layers: Annotated[
        str, typer.Option(help="Sizes of the dense architecture's layers, pixels to pixels.", metavar="N-...-N")
    ] = "784-128-64-32-64-128-784",
    kind: Annotated[
        str | None, typer.Option(help="Of dense: plain (the default), denoising, sparse or variational.")
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="Of rebuilding: l1-ssim (the default, not with dense), mse (the default of dense) or bce."),
    ] = None,
    budget: Annotated[str, typer.Option(help="The most time to take, as 90s, 10m or 1h.")] = "10m",
    iterations: Annotated[
        int | None, typer.Option(help="The most training steps to take, of all networks together; 9000, dense 3000.")
    ] = None,
    seed: Annotated[
        int, typer.Option(help="One seed, machine and number of threads, and time enough: the same weights.")
    ] = 0,
    side: Annotated[
        int | None,
        typer.Option(
            help="Resolution: frames are scaled to an area of about SIDE x SIDE pixels; default: 384 or 256, as the "
            "budget allows, textures 256, of which the network sees 128.",
            metavar="SIDE",
        ),
    ] = None,
    size: Annotated[str, typer.Option(help="Of the network: small, base or large; not of dense.")] = "base",
    networks: Annotated[
        int | None,
        typer.Option(
            help="How many are trained, each without another part of the images, and averaged: 1 to 5; default: up "
            "to 3, as the budget allows.",
            metavar="N",
        ),
    ] = None,
    colour: Annotated[str, typer.Option(help="auto, grey or rgb.")] = "auto",
    region: Annotated[
        str | None, typer.Option(help="Region of interest: left,top,width,height in pixels.", metavar="L,T,W,H")
    ] = None,
    any_size: Annotated[bool, typer.Option("--any-size", help="Accept images of other sizes than most.")] = False,
    keep_outliers: Annotated[
        bool,
        typer.Option("--keep-outliers", help="Set the threshold on held-out images that score far out, too."),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(help="Threads to train on, 0 for as many as are fastest.")] = 0,
    batch: Annotated[int | None, typer.Option(help="Frames in a training step; 16, dense 256.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest learning rate; 3e-3, dense 1e-3.")] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name in verdicts and metrics; default: the file's.")
    ] = None,
) -> None:
    """Fit an autoencoder on good parts, set its threshold, and write one ONNX file.

    Ctrl-C ends the training and writes the best model so far; a second one ends at once and writes nothing.
    """
    options = FitOptions(
        name=name or output.stem,
        false_alarm_rate=false_alarm_rate,
        architecture=architecture,
        layers=parse_layers(layers),
        kind=kind,
        loss=loss,
        budget=parse_duration("--budget", budget),
        iterations=iterations,
        batch=batch,
        learning_rate=learning_rate,
        seed=seed,
        side=side,
        size=size,
        networks=networks,
        colour=colour,
        region=None if region is None else parse_region(region),
        any_size=any_size,
        keep_outliers=keep_outliers,
        device=device,
        threads=threads,
    )

    from andon_trainer.data.dataset import open_dataset

    dataset = open_dataset(data)
    check_writable(output)
    if report is not None:
        check_writable(report)

    from andon_trainer import fitting
    from andon_trainer.evaluation import to_table
    from andon_trainer.report import write_report
    from andon_trainer.report.words import data_warnings

    with progress_bar() as show, graceful_interrupt() as interrupted:
        built = fitting.fit(dataset, options, progress=show, interrupted=interrupted)
    write_whole(output, built.content)
    if built.evaluation is not None:
        out.print(to_table(built.evaluation))
    card = built.model.card
    count = f"{card.training.networks} networks, " if card.training.networks > 1 else ""
    say(
        f"{output}: {card.training.images} images, {count}{card.training.iterations} iterations in "
        f"{card.training.seconds:.0f} s (ended by: {card.training.ended}), {card.milliseconds_per_image} ms an image; "
        f"threshold {card.threshold:.3f} for a false-alarm rate of {card.calibration.false_alarm_rate:g} "
        f"({card.calibration.method}, {card.calibration.count} held-out images)"
    )
    warn_of_few_images(card.calibration.method, card.calibration.count, card.calibration.false_alarm_rate)
    warn_of_data(built.audit.suspects, data_warnings(card.training))
    if report is not None:
        write_report(
            report,
            model=built.model,
            fitted=built.fitted,
            evaluation=built.evaluation,
            audit=built.audit,
            good_frames=built.held_out,
        )
        say(f"{report}: the report")


@app.command()
def evaluate(
    model_file: ModelFile,
    data: Data,
    report: Report = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write all figures as JSON.")] = None,
    provider: Annotated[str, typer.Option(help="auto, cpu, cuda or tensorrt.")] = "auto",
) -> None:
    """Measure a model on labelled images: AUROC, AU-PRO, false-alarm and detection rates at its threshold."""
    import json

    from andon_monitor.model.file import Model

    from andon_trainer.data.dataset import open_dataset
    from andon_trainer.evaluation import evaluate as measure
    from andon_trainer.evaluation import to_table

    model = Model.load(model_file, provider, threads=0)
    dataset = open_dataset(data)
    samples = dataset.test or dataset.train
    for path in (report, json_file):
        if path is not None:
            check_writable(path)
    with progress_bar() as show:
        evaluation = measure(model, samples, show)
    out.print(to_table(evaluation))
    if json_file is not None:
        write_whole(json_file, (json.dumps(evaluation.to_dict(), indent=2) + "\n").encode())
    if report is not None:
        from andon_trainer.report import write_report

        write_report(report, model=model, evaluation=evaluation)
        say(f"{report}: the report")


@app.command()
def calibrate(
    model_file: ModelFile,
    output: Output,
    good: Annotated[Path | None, typer.Argument(help="Good parts that the model was not trained on.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Instead: labels from the review page, as andon-monitor export writes them.")
    ] = None,
    false_alarm_rate: FalseAlarmRate = 0.001,
) -> None:
    """Set the threshold anew, without training: on images of good parts, or on the line's own frames and labels."""
    check_range("--false-alarm-rate", false_alarm_rate, 1e-9, 0.5)
    if (good is None) == (labels is None):
        raise UsageError("give either a folder of good parts or --labels, the folder that andon-monitor export wrote")
    from andon_monitor.model.file import Model

    from andon_trainer.data.dataset import open_dataset
    from andon_trainer.fitting import recalibrate
    from andon_trainer.recalibration import recalibrate_on_labels

    check_writable(output)
    note = None
    if labels is not None:
        content, note = recalibrate_on_labels(model_file, labels, false_alarm_rate)
    else:
        assert good is not None
        with progress_bar() as show:
            content = recalibrate(model_file, open_dataset(good), false_alarm_rate, show)
    card = Model.from_bytes(content, str(output), provider="cpu").card
    write_whole(output, content)
    say(
        f"{output}: threshold {card.threshold:.3f} for a false-alarm rate of {false_alarm_rate:g} "
        f"({card.calibration.method}, {card.calibration.count} images)"
    )
    if note is not None:
        say(f"{labels}: {note}")
    warn_of_few_images(card.calibration.method, card.calibration.count, false_alarm_rate)


@app.command()
def card(
    model_file: ModelFile,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with the calibration scores.")] = False,
) -> None:
    """Say what a model file says about itself; its golden frames are checked on this machine."""
    from andon_monitor.model.file import Model

    model = Model.load(model_file, provider="cpu")
    if as_json:
        typer.echo(model.card.model_dump_json(indent=2))
        return
    from rich.table import Table

    table = Table(title=str(model_file), show_header=False, title_justify="left")
    for key, value in card_rows(model.card.model_dump(mode="json", exclude={"calibration": {"scores"}})):
        table.add_row(key, value)
    table.add_row("file sha256", model.sha256)
    out.print(table)


def card_rows(fields: dict[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested fields as rows of text, `training.images` and the like."""
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from card_rows(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, f"{value:.6g}" if isinstance(value, float) else str(value)


def warn_of_few_images(method: str, count: int, rate: float) -> None:
    """Say so where the threshold is an extrapolation."""
    if method == "tail":
        from andon_monitor.model.calibration import MIN_CALIBRATION_IMAGES, needed_for

        few = count < MIN_CALIBRATION_IMAGES
        guess = ", and of so few it is a guess: two or three times as many may be flagged" if few else ""
        err.print(
            f"note: {count} good images are too few to measure a false-alarm rate of {rate:g}, which takes "
            f"{needed_for(rate)}; the threshold is extrapolated from the tail of their scores{guess}",
            highlight=False,
            soft_wrap=True,
        )


def warn_of_data(suspects: "Sequence[Odd]", lines: Sequence[str]) -> None:
    """Say what a person should look at in the images, and name the first of those that may be no good parts."""
    for line in lines:
        err.print(f"note: {line}", highlight=False, markup=False, soft_wrap=True)
    for odd in suspects[:SUSPECTS_NAMED]:
        text = f"      {odd.sample.path}: {odd.deviations:.0f} deviations above the median, {odd.use}"
        err.print(text, highlight=False, markup=False, soft_wrap=True)


def main() -> None:
    """The console script: errors are one line on standard error and an exit code, never a traceback."""
    try:
        code = app(standalone_mode=False) or 0
    except AndonError as error:
        fail(str(error), error.exit_code)
    except typer.TyperException as error:
        fail(error.format_message(), 2)
    except ModuleNotFoundError as error:  # installed as the monitor is, which needs less
        fail(f"{error.name}: not installed; right is pip install '.[trainer]'", 2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # which is also what typer gives for a Ctrl-C that it catches itself
        fail("interrupted; nothing was written", INTERRUPTED)
    sys.exit(code)


def fail(message: str, code: int) -> NoReturn:
    """End with one line on standard error."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
