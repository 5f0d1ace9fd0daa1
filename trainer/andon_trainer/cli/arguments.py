"""Arguments that several commands take."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from andon_monitor.common.files import check_writable

from andon_trainer.cli.console import note_all, progress_bar

if TYPE_CHECKING:
    from andon_trainer.data.dataset import Dataset

Data = Annotated[
    list[str],
    typer.Argument(
        help="A folder of images of good parts, a folder in MVTec AD layout (train/good, test/*), an array file, a "
        "recording (.mcap), a video, a folder of these, or kafka://.../topic up to its present end. Repeatable."
    ),
]
AssumeGood = Annotated[
    bool,
    typer.Option(
        "--assume-good",
        help="Count as good what neither a label, a recorded verdict nor the name of a folder tells: all frames of a "
        "video, of a topic, or of a recording without verdicts.",
    ),
]
Cameras = Annotated[
    list[str] | None,
    typer.Option("--camera", help="Of recordings and topics, only frames of this camera. Repeatable."),
]
LabelsFile = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Labels of the frames of recordings and topics, one a line, as andon-monitor export writes them.",
    ),
]
Images = Annotated[
    Path, typer.Argument(help="A folder of images with its subfolders, one image, or an array file (npy, npz, IDX).")
]
ModelFile = Annotated[Path, typer.Argument(help="A model file written by fit.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The file to write.")]
Report = Annotated[Path | None, typer.Option("--report", help="Also write a report: one self-contained HTML file.")]
Picture = Annotated[Path | None, typer.Option("--picture", help="Also draw the result to this PNG file.")]
FalseAlarmRate = Annotated[
    float | None,
    typer.Option(
        "--false-alarm-rate",
        help="The share of good parts that may be called defects: 0.001 is 1 in 1,000. At most 0.5. "
        "Default: the lowest that the number of good images supports.",
    ),
]
MaxPixels = Annotated[
    int,
    typer.Option(
        "--max-pixels", help="Images with more pixels are refused, as by inspection.max_pixels of andon-monitor."
    ),
]
MaxDecodingBytes = Annotated[
    int,
    typer.Option(
        "--max-decoding-bytes",
        help="Images that need more memory for decoding are refused, as by inspection.max_decoding_bytes.",
    ),
]


def open_data(
    data: Sequence[str], assume_good: bool, cameras: Sequence[str] | None, labels: Path | None = None
) -> "Dataset":
    """The data set of these sources; prints notes about it. Raises UsageError, SourceError."""
    from andon_trainer.data.dataset import open_dataset

    with progress_bar() as progress:
        dataset = open_dataset(data, assume_good=assume_good, cameras=cameras or (), labels=labels, progress=progress)
    note_all(dataset.notes)
    return dataset


def check_all_writable(*paths: Path | None) -> None:
    """Raise UsageError where one of these files could not be written."""
    for path in paths:
        if path is not None:
            check_writable(path)
