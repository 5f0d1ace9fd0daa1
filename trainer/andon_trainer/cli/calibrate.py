"""`calibrate`: a new threshold for a model, without training."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import check_writable, write_whole
from andon_monitor.errors import UsageError

from andon_trainer.cli.arguments import FalseAlarmRate, ModelFile, Output
from andon_trainer.cli.console import note, progress_bar, say
from andon_trainer.options import check_range


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
    check_range("--false-alarm-rate", false_alarm_rate, 1e-9, 0.5)
    if (good is None) == (labels is None):
        raise UsageError("give either a folder of good parts or --labels, the folder that andon-monitor export wrote")
    from andon_monitor.model.file import Model

    from andon_trainer.data.dataset import open_dataset
    from andon_trainer.fitting import recalibrate
    from andon_trainer.recalibration import recalibrate_on_labels
    from andon_trainer.report.words import describe_calibration, few_images_note

    check_writable(output)
    summary = None
    if labels is not None:
        content, summary = recalibrate_on_labels(model_file, labels, false_alarm_rate)
    else:
        assert good is not None
        with progress_bar() as progress:
            content = recalibrate(model_file, open_dataset(good), false_alarm_rate, progress)
    card = Model.from_bytes(content, str(output), provider="cpu").card
    write_whole(output, content)
    say(f"{output}: {describe_calibration(card.calibration)}")
    if summary is not None:
        say(f"{labels}: {summary}")
    if (few := few_images_note(card.calibration)) is not None:
        note(few)
