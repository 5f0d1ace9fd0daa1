"""`calibrate`: a new threshold for a model, without training."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import check_writable, write_whole

from andon_trainer.cli.arguments import FalseAlarmRate, ModelFile, Output
from andon_trainer.cli.console import note, progress_bar, say


def calibrate(
    model_file: ModelFile,
    output: Output,
    good: Annotated[Path | None, typer.Argument(help="Images of good parts that the model was not fitted on.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Instead of images: labels from the review page, a folder written by andon-monitor export."),
    ] = None,
    false_alarm_rate: FalseAlarmRate = 0.001,
) -> None:
    """Set a new threshold without training: on images of good parts, or on the line's own frames and labels."""
    from andon_trainer import recalibration
    from andon_trainer.report.words import describe_calibration, few_images_note

    check_writable(output)
    with progress_bar() as progress:
        result = recalibration.calibrate(
            model_file, good, labels=labels, false_alarm_rate=false_alarm_rate, progress=progress
        )
    write_whole(output, result.content)
    say(f"{output}: {describe_calibration(result.card.calibration)}")
    if result.note is not None:
        say(f"{labels}: {result.note}")
    if (few := few_images_note(result.card.calibration)) is not None:
        note(few)
