"""`card`: the model card of a file."""

from collections.abc import Iterator
from typing import Annotated

import typer

from andon_trainer.cli.arguments import ModelFile
from andon_trainer.cli.console import out


def card(
    model_file: ModelFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the calibration scores.")] = False,
) -> None:
    """Print a model's card, after its self-test on this machine: known images must give the scores of its training."""
    from andon_monitor.model.file import Model
    from andon_monitor.model.fitness import assess
    from rich.table import Table

    from andon_trainer.report.words import describe_mask

    model = Model.load(model_file, provider="cpu")
    if as_json:
        typer.echo(model.card.model_dump_json(indent=2))
        return
    table = Table(title=str(model_file), show_header=False, title_justify="left")
    fields = model.card.model_dump(
        mode="json",
        exclude={"calibration": {"scores"}, "input": {"mask"}, "training": {"known_images"}, "probes": True},
    )
    fields["input"]["mask"] = describe_mask(model.card.input)
    if (fitness := assess(model.card)) is not None:
        fields["fitness"] = str(fitness)
    for key, value in card_rows(fields):
        table.add_row(key, value)
    table.add_row("file sha256", model.sha256)
    out.print(table)


def card_rows(fields: dict[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested fields as rows of text with dotted keys, such as `training.images`."""
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from card_rows(value, f"{prefix}{key}.")
        elif value is not None:
            yield prefix + key, f"{value:.6g}" if isinstance(value, float) else str(value)
