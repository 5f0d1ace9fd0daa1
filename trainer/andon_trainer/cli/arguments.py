"""Arguments that several commands take."""

from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import check_writable

Data = Annotated[
    Path,
    typer.Argument(
        help="A folder of images of good parts, a folder in MVTec AD layout (train/good, test/*), or an array file."
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
    float,
    typer.Option(
        "--false-alarm-rate",
        help="The share of good parts that may be called defects: 0.001 is 1 in 1,000. At most 0.5.",
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


def check_all_writable(*paths: Path | None) -> None:
    """Raise UsageError where one of these files could not be written."""
    for path in paths:
        if path is not None:
            check_writable(path)
