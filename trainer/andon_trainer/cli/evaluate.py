"""`evaluate`: how good a model is on labelled images."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from andon_monitor.common.files import write_whole
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS

from andon_trainer.cli.arguments import (
    AssumeGood,
    Cameras,
    Data,
    LabelsFile,
    MaxDecodingBytes,
    MaxPixels,
    ModelFile,
    Report,
    check_all_writable,
    open_data,
)
from andon_trainer.cli.console import note, note_all, out, progress_bar, say
from andon_trainer.options import check_limits, check_range

if TYPE_CHECKING:
    from andon_trainer.evaluation import Evaluation


def evaluate(
    model_file: ModelFile,
    data: Data,
    report: Report = None,
    assume_good: AssumeGood = False,
    cameras: Cameras = None,
    labels: LabelsFile = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this JSON file.")] = None,
    min_detection: Annotated[
        float | None,
        typer.Option(help="Fail (exit code 1) if a smaller share of the defects is found: 0.9 is 9 in 10."),
    ] = None,
    max_false_alarms: Annotated[
        float | None, typer.Option(help="Fail (exit code 1) if a larger share of the good parts is flagged.")
    ] = None,
    provider: Annotated[
        str, typer.Option(help="ONNX Runtime execution provider: auto, cpu, cuda or tensorrt.")
    ] = "auto",
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Measure a model on labelled images: how well it separates good parts and defects, and how many it finds."""
    limits = check_limits(max_pixels, max_decoding_bytes)
    for name, limit in (("--min-detection", min_detection), ("--max-false-alarms", max_false_alarms)):
        if limit is not None:
            check_range(name, limit, 0.0, 1.0)
    from andon_monitor.model.file import Model
    from andon_monitor.model.fitness import assess

    from andon_trainer import evaluation
    from andon_trainer.cli.tables import evaluation_table, print_fitness, rates_table
    from andon_trainer.data.images import ImageCache
    from andon_trainer.report.rates import rate_rows, what_would_help

    model = Model.load(model_file, provider, threads=0)
    dataset = open_data(data, assume_good, cameras, labels)
    check_all_writable(report, json_file)
    with progress_bar() as progress:
        figures = evaluation.evaluate(model, dataset, progress, ImageCache(kept_bytes=0, limits=limits))
    out.print(evaluation_table(figures))
    note_all(figures.notes)
    card = model.card.model_copy(update={"tested": figures.tested()})
    rows = rate_rows(card, figures)
    out.print(rates_table(rows))
    if json_file is not None:
        write_whole(json_file, (json.dumps(figures.to_dict(), indent=2) + "\n").encode())
    if report is not None:
        from andon_trainer.report.page import write_report

        write_report(report, model=model, evaluation=figures)
        say(f"{report}: the report")
    print_fitness(assess(card), what_would_help(card, rows))
    failed = gate(figures, min_detection, max_false_alarms)
    for text in failed:
        note(text)
    if failed:
        raise typer.Exit(1)


def gate(figures: "Evaluation", min_detection: float | None, max_false_alarms: float | None) -> list[str]:
    """Which of the limits an evaluation does not keep, a line for each. Raises UsageError without such images."""
    failed = []
    if min_detection is not None:
        if figures.detection is None:
            raise UsageError(f"--min-detection: {min_detection:g} needs test images of defects")
        if figures.detection.share < min_detection:
            found = f"{figures.detection.flagged} of {figures.detection.count} defects ({figures.detection.share:.1%})"
            failed.append(f"--min-detection: {found} were found, at least {min_detection:.1%} are asked for")
    if max_false_alarms is not None:
        if figures.false_alarms is None:
            raise UsageError(f"--max-false-alarms: {max_false_alarms:g} needs test images of good parts")
        if figures.false_alarms.share > max_false_alarms:
            alarms = f"{figures.false_alarms.flagged} of {figures.false_alarms.count} good parts"
            share = f"{figures.false_alarms.share:.1%}"
            failed.append(f"--max-false-alarms: {alarms} ({share}) were flagged, at most {max_false_alarms:.1%} may be")
    return failed
