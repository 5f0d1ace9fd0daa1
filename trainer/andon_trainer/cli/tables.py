"""Tables that the commands print."""

from collections.abc import Sequence

from andon_monitor.common.intervals import Rate
from andon_monitor.model.fitness import Fitness
from rich.console import Group
from rich.table import Table
from rich.text import Text

from andon_trainer.cli.console import out, say, say_in_red
from andon_trainer.evaluation import Evaluation
from andon_trainer.report.rates import RateRow

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


def rates_table(rows: Sequence[RateRow]) -> Table:
    """What each false-alarm rate costs and brings."""
    tested = any(row.found or row.alarms for row in rows)
    table = Table(title="What other false-alarm rates would do (--false-alarm-rate)", title_justify="left")
    headings = ["rate", "threshold", *(["good flagged", "defects found"] if tested else []), "made-up defects found"]
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i else "left")
    for row in rows:
        name = f"{100 * row.false_alarm_rate:g} %"
        name += " (present)" if row.is_current else "" if row.is_supported else " (too few images)"
        counts = [row.alarms, row.found] if tested else []
        table.add_row(name, f"{row.threshold:.4g}", *(_share(one) for one in (*counts, row.made_up)))
    return table


def print_fitness(fitness: Fitness | None, help_sentence: str | None) -> None:
    """Say in one sentence whether a model is good enough to run, in red where it is not, and what would help."""
    if fitness is None:
        return
    if fitness.by_size:
        sizes = "; ".join(f"{name}: {100 * found.share:.0f} %" for name, found in fitness.by_size)
        say(f"made-up defects found, by size: {sizes}")
    (say if fitness.grade == "good enough" else say_in_red)(str(fitness))
    if help_sentence is not None:
        say(f"What would help most: {help_sentence[0].lower()}{help_sentence[1:]}")


def _share(rate: Rate | None) -> str:
    return UNDEFINED if rate is None else f"{rate.flagged} of {rate.count} ({100 * rate.share:.0f} %)"


def _figure(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.4f}"


def _rate_cells(rate: Rate | None, auroc: float | None) -> tuple[str, ...]:
    if rate is None:
        return "0", UNDEFINED, UNDEFINED, UNDEFINED
    interval = f"{100 * rate.low:.1f} to {100 * rate.high:.1f} %"
    return str(rate.count), _figure(auroc), f"{rate.flagged} ({100 * rate.share:.1f} %)", interval
