"""Tables that the commands print."""

from collections.abc import Sequence

from andon_monitor.common.intervals import Rate
from rich.console import Group
from rich.table import Table
from rich.text import Text

from andon_trainer.cli.console import out
from andon_trainer.evaluation import Evaluation

UNDEFINED = "–"  # where good images, defects or masks are missing


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of text under headings; all columns but the first are aligned to the right."""
    table = Table(title=title, title_justify="left")
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # as text: a folder's name must not be read as markup
    out.print(table)


def evaluation_table(evaluation: Evaluation) -> Group:
    """The figures of an evaluation; what is undefined is a dash."""
    pixels = evaluation.pixels
    ranking = Table(title="Separation of good parts and defects, whatever the threshold", title_justify="left")
    figures = {
        "image AUROC": evaluation.image_auroc,
        "average precision": evaluation.average_precision,
        "F1-max": evaluation.f1_max,
        "pixel AUROC": pixels.auroc if pixels else None,
        "AU-PRO": pixels.au_pro if pixels else None,
    }
    for heading in figures:
        ranking.add_column(heading, justify="right")
    ranking.add_row(*(_figure(value) for value in figures.values()))
    rates = Table(title=f"At the stored threshold {evaluation.threshold:.4g}", title_justify="left")
    for heading in ("images", "count", "AUROC", "called defect", "may really lie between"):
        rates.add_column(heading, justify="left" if heading == "images" else "right")
    rates.add_row("good: false alarms", *_rate_cells(evaluation.false_alarms, None))
    rates.add_row("defects: detection", *_rate_cells(evaluation.detection, evaluation.image_auroc), end_section=True)
    for result in evaluation.kinds:
        rates.add_row(Text(f"  {result.kind}"), *_rate_cells(result.detection, result.auroc))
    meaning = (
        "image AUROC: the chance that a defect scores above a good part; 0.5 is a coin toss, 1 is perfect.\n"
        "pixel AUROC and AU-PRO: the same question for the place of the defect in the image."
    )
    return Group(ranking, Text(meaning, style="dim"), rates)


def _figure(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.4f}"


def _rate_cells(rate: Rate | None, auroc: float | None) -> tuple[str, ...]:
    if rate is None:
        return "0", UNDEFINED, UNDEFINED, UNDEFINED
    interval = f"{100 * rate.low:.1f} to {100 * rate.high:.1f} %"
    return str(rate.count), _figure(auroc), f"{rate.flagged} ({100 * rate.share:.1f} %)", interval
