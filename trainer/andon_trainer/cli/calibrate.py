"""`calibrate`: a new threshold for a model, without training."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import check_writable, write_whole
from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS

from andon_trainer.cli.arguments import (
    AssumeGood,
    Cameras,
    FalseAlarmRate,
    MaxDecodingBytes,
    MaxPixels,
    ModelFile,
    Output,
    open_data,
)
from andon_trainer.cli.console import note, progress_bar, say
from andon_trainer.options import check_limits


def calibrate(
    model_file: ModelFile,
    output: Output,
    good: Annotated[
        list[str] | None,
        typer.Argument(help="Images of good parts that the model was not fitted on, from any source that fit takes."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Instead of images: labels from the review page, a folder written by andon-monitor export."),
    ] = None,
    false_alarm_rate: FalseAlarmRate = None,
    assume_good: AssumeGood = False,
    cameras: Cameras = None,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Set a new threshold without training: on images of good parts, or on the line's own frames and labels."""
    from andon_trainer import recalibration
    from andon_trainer.report.words import (
        chosen_rate_note,
        describe_calibration,
        few_images_note,
        left_out_note,
        number_of,
    )

    good = good or None
    recalibration.check_images(good, labels)
    limits = check_limits(max_pixels, max_decoding_bytes)
    check_writable(output)
    dataset = None if good is None else open_data(good, assume_good, cameras)
    with progress_bar() as progress:
        result = recalibration.calibrate(
            model_file, dataset, labels=labels, false_alarm_rate=false_alarm_rate, progress=progress, limits=limits
        )
    write_whole(output, result.content)
    say(f"{output}: {describe_calibration(result.card.calibration)}")
    if result.known:
        note(f"note: {number_of(result.known, 'image')} of the fit were left out; they score lower than new ones")
    if false_alarm_rate is None:
        say(chosen_rate_note(result.card.calibration))
    if result.note is not None:
        say(f"{labels}: {result.note}")
    if (left_out := left_out_note(result.card)) is not None:
        note(f"note: {left_out}")
    if (few := few_images_note(result.card.calibration)) is not None:
        note(few)
