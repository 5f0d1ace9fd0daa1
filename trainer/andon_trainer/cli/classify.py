"""`classify`: a model file that also names the kind of a defect."""

from typing import TYPE_CHECKING, Annotated, cast

import typer
from andon_monitor.common.files import write_whole
from andon_monitor.image_files.decoding import DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS

from andon_trainer.cli.arguments import (
    AssumeGood,
    Cameras,
    LabelsFile,
    MaxDecodingBytes,
    MaxPixels,
    ModelFile,
    Output,
    Picture,
    check_all_writable,
    open_data,
)
from andon_trainer.cli.console import progress_bar, say, say_picture
from andon_trainer.options import check_choice, check_limits, check_range

if TYPE_CHECKING:
    from andon_trainer.uses.classification import FittedClassifier, Method
    from andon_trainer.uses.learning_curve import LearningCurve


def classify(
    model_file: ModelFile,
    data: Annotated[
        list[str],
        typer.Argument(
            help="A folder with a subfolder for each kind of defect, MVTec AD layout, an array file, or recordings "
            "with labels. Repeatable."
        ),
    ],
    output: Output,
    way: Annotated[
        str,
        typer.Option(
            help="frozen: the encoder stays as it is; fine-tuned: its last stages are trained too; auto: the better."
        ),
    ] = "auto",
    draws: Annotated[
        int, typer.Option(help="Times to repeat each point of the learning curve, each time with other images.")
    ] = 3,
    assume_good: AssumeGood = False,
    cameras: Cameras = None,
    labels: LabelsFile = None,
    picture: Picture = None,
    threads: Annotated[int, typer.Option(help="CPU threads to train on; 0 for one per core.")] = 0,
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Teach a model to name kinds of defects from a few labelled images, and show how many labels that takes."""
    check_choice("--way", way, ("auto", "frozen", "fine-tuned"))
    check_range("--draws", draws, 1, 100)
    check_range("--threads", threads, 0, 1024)
    limits = check_limits(max_pixels, max_decoding_bytes)
    check_all_writable(output, picture)
    import torch
    from andon_monitor.model.autoencoder import Autoencoder

    from andon_trainer.uses import classification, learning_curve

    if threads:
        torch.set_num_threads(threads)
    autoencoder = Autoencoder.load(model_file, threads=threads)
    dataset = open_data(data, assume_good, cameras, labels)
    with progress_bar() as progress:
        result = classification.classify(autoencoder, dataset, cast("Method", way), draws, progress, limits)
        write_whole(output, result.content)
        if picture is not None:
            learning_curve.draw(picture, result.curve, len(result.fitted.kinds.names))
    kinds = result.fitted.kinds
    print_curve(f"{result.images} defects of {len(kinds.names)} kinds, {draws} draws", result.curve)
    print_confusion(result.fitted)
    say(
        f"{output}: {kinds.way}, {100 * kinds.accuracy:.1f} % classified right in cross-validation; calibration "
        f"error {kinds.calibration_error:.3f} with temperature {kinds.temperature:.2f}, "
        f"{kinds.calibration_error_before:.3f} without"
    )
    say_picture(picture)


def print_curve(title: str, curve: "LearningCurve") -> None:
    """Print a row for each method and a column for each number of labelled images: mean and standard deviation."""
    from andon_trainer.cli.tables import print_table

    rows = [
        (method, *(f"{100 * column.mean():.1f} ± {100 * column.std():.1f}" for column in values.T))
        for method, values in curve.accuracy.items()
    ]
    print_table(f"{title}: per cent classified right, by labelled images of each kind", ("", *curve.shots), rows)


def print_confusion(fitted: "FittedClassifier") -> None:
    """Print how often each kind was taken for each kind."""
    from andon_trainer.cli.tables import print_table

    numbered = [f"{i + 1} {name}" for i, name in enumerate(fitted.kinds.names)]
    rows = [(name, *map(str, row)) for name, row in zip(numbered, fitted.confusion, strict=True)]
    headings = ("", *(str(i + 1) for i in range(len(rows))))
    print_table("What held-out images of each kind (rows) were taken for (columns)", headings, rows)
