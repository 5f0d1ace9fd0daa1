"""`evaluate`: how good a model is on labelled images."""

import json
from pathlib import Path
from typing import Annotated

import typer
from andon_monitor.common.files import write_whole

from andon_trainer.cli.arguments import Data, ModelFile, Report, check_all_writable
from andon_trainer.cli.console import out, progress_bar, say


def evaluate(
    model_file: ModelFile,
    data: Data,
    report: Report = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write all figures to this JSON file.")] = None,
    provider: Annotated[
        str, typer.Option(help="ONNX Runtime execution provider: auto, cpu, cuda or tensorrt.")
    ] = "auto",
) -> None:
    """Measure a model on labelled images: how well it separates good parts and defects, and how many it finds."""
    from andon_monitor.model.file import Model

    from andon_trainer import evaluation
    from andon_trainer.cli.tables import evaluation_table
    from andon_trainer.data.dataset import open_dataset

    model = Model.load(model_file, provider, threads=0)
    dataset = open_dataset(data)
    check_all_writable(report, json_file)
    with progress_bar() as progress:
        figures = evaluation.evaluate(model, dataset, progress)
    out.print(evaluation_table(figures))
    if json_file is not None:
        write_whole(json_file, (json.dumps(figures.to_dict(), indent=2) + "\n").encode())
    if report is not None:
        from andon_trainer.report.page import write_report

        write_report(report, model=model, evaluation=figures)
        say(f"{report}: the report")
