"""`evaluate`: how good a model is on labelled images."""

import json
from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import write_whole
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
from andon_trainer.cli.console import note_all, out, progress_bar, say
from andon_trainer.options import check_limits


def evaluate(
    model_file: ModelFile,
    data: Data,
    report: Report = None,
    assume_good: AssumeGood = False,
    cameras: Cameras = None,
    labels: LabelsFile = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this JSON file.")] = None,
    provider: Annotated[
        str, typer.Option(help="ONNX Runtime execution provider: auto, cpu, cuda or tensorrt.")
    ] = "auto",
    max_pixels: MaxPixels = DEFAULT_MAX_PIXELS,
    max_decoding_bytes: MaxDecodingBytes = DEFAULT_MAX_BYTES,
) -> None:
    """Measure a model on labelled images: how well it separates good parts and defects, and how many it finds."""
    limits = check_limits(max_pixels, max_decoding_bytes)
    from andon_monitor.model.file import Model

    from andon_trainer import evaluation
    from andon_trainer.cli.tables import evaluation_table
    from andon_trainer.data.images import ImageCache

    model = Model.load(model_file, provider, threads=0)
    dataset = open_data(data, assume_good, cameras, labels)
    check_all_writable(report, json_file)
    with progress_bar() as progress:
        figures = evaluation.evaluate(model, dataset, progress, ImageCache(kept_bytes=0, limits=limits))
    out.print(evaluation_table(figures))
    note_all(figures.notes)
    if json_file is not None:
        write_whole(json_file, (json.dumps(figures.to_dict(), indent=2) + "\n").encode())
    if report is not None:
        from andon_trainer.report.page import write_report

        write_report(report, model=model, evaluation=figures)
        say(f"{report}: the report")
