"""Gather what the report shows and write it as one file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from andon_monitor.common.files import write_whole
from andon_monitor.common.html import environment
from andon_monitor.common.intervals import INTERVAL
from andon_monitor.model.card import Card
from andon_monitor.model.file import Model
from andon_monitor.model.fitness import assess
from andon_monitor.model.imaging import Pixels

from andon_trainer.data.audit import Audit
from andon_trainer.evaluation import Evaluation
from andon_trainer.report import advice, plots, words
from andon_trainer.report.gallery import colour_bar, gallery, suspect_pictures
from andon_trainer.report.learned import learned
from andon_trainer.report.rates import rate_rows, what_would_help
from andon_trainer.training.schedule import TrainedNetwork


def write_report(
    path: Path,
    *,
    model: Model,
    fitted: TrainedNetwork | None = None,
    evaluation: Evaluation | None = None,
    audit: Audit | None = None,
    good_frames: Pixels | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the report on a model as one self-contained HTML file, completely or not at all.

    `fitted` adds the learning curve, `evaluation` everything that needs labels, and `audit` the training images.
    `good_frames`: uint8 [N, H, W, C], held-out good frames, shown with `fitted`. `notes`: further sentences about the
    data. Raises OutputError (the file cannot be written) and UsageError (an image cannot be read any more).
    """
    page = render(model, fitted, evaluation, audit, good_frames, notes)
    # A file name that is not UTF-8 is shown with question marks.
    write_whole(path, page.encode("utf-8", errors="replace"))


def render(
    model: Model,
    fitted: TrainedNetwork | None,
    evaluation: Evaluation | None,
    audit: Audit | None,
    good_frames: Pixels | None,
    notes: Sequence[str],
) -> str:
    """The page's HTML; see `write_report`."""
    templates = environment("andon_trainer.report")
    templates.filters |= {
        "percent": words.percent,
        "interval": words.interval,
        "duration": words.duration,
        "count_of": words.number_of,
    }
    card = model.card
    scores = np.array(card.calibration.scores)
    tested = card.model_copy(update={"tested": evaluation.tested()}) if evaluation is not None else card
    rates = rate_rows(card, evaluation)
    ranked = evaluation is not None and evaluation.image_auroc is not None
    return templates.get_template("report.html.jinja").render(
        card=card,
        model=model,
        fitted=fitted,
        evaluation=evaluation,
        warnings=advice.warnings(card, evaluation),
        fitness=assess(tested),
        help=what_would_help(tested, rates),
        rates=rates,
        impossible=[probe.name for probe in card.probes if probe.kind == "impossible"],
        remarks=advice.remarks(card),
        threshold_explained=advice.explain_threshold(card),
        ending=words.ENDINGS[fitted.ended] if fitted else None,
        kept=" and ".join(f"{look.iteration:,}" for look in fitted.kept) if fitted else None,
        histogram=plots.score_histogram(scores, evaluation, card.threshold, card.calibration.count),
        learning_curve=plots.learning_curve(fitted) if fitted else None,
        roc=plots.roc(evaluation) if evaluation and ranked else None,
        precision_recall=plots.precision_recall(evaluation) if evaluation and ranked else None,
        learned=learned(audit, card) if audit else None,
        suspects=suspect_pictures(model, audit) if audit else (),
        groups=list(gallery(model, fitted, evaluation, good_frames)),
        colour_bar=colour_bar(),
        interval_name=INTERVAL,
        masks=any(image.mask for image in evaluation.images) if evaluation else False,
        card_rows=_card_rows(model),
        notes=notes,
    )


def _card_rows(model: Model) -> list[tuple[str, str]]:
    """Names and values of the model card, in words."""
    card: Card = model.card
    spec, training, calibration = card.input, card.training, card.calibration
    colour = "grey" if spec.channels == 1 else "RGB"
    frames = f"{spec.frame_size[0]} × {spec.frame_size[1]} pixels" if spec.frame_size else "any size"
    region = "{} × {} pixels at {}, {}".format(*spec.region[2:], *spec.region[:2]) if spec.region else "whole frame"
    rows = [
        ("Name", card.name),
        ("Created", f"{card.created_at:%Y-%m-%d %H:%M} {card.created_at.tzname() or ''}".strip()),
        ("Network", ", ".join(f"{name} {_value(value)}" for name, value in card.architecture.items())),
        ("Input", f"{spec.width} × {spec.height} pixels, {colour}"),
        ("Frames", f"{frames}, {region}"),
        *([] if (mask := words.describe_mask(spec)) is None else [("Mask", mask)]),
        *([("Levels", words.describe_levels(spec))] if spec.levels is not None else []),
        ("Threshold", f"{calibration.threshold:.6g}"),
        (
            "False-alarm rate",
            f"set for {words.percent(calibration.false_alarm_rate)}, {words.basis(calibration)} ({calibration.method})",
        ),
        ("Training", f"{training.iterations:,} iterations in {words.duration(training.seconds)} on {training.device}"),
        ("Seed", str(training.seed)),
        ("Training data", training.fingerprint),
        ("Weights (sha256)", card.weights_sha256),
        ("Model file (sha256)", model.sha256),
        ("Versions", ", ".join(f"{name} {version}" for name, version in card.versions.items())),
    ]
    if card.milliseconds_per_image is not None:
        rows.append(("Speed", f"{card.milliseconds_per_image:.3g} ms per image on one thread, measured at export"))
    rows += [(f"Measured: {name.replace('_', ' ')}", f"{value:.4g}") for name, value in card.metrics.items()]
    return rows


def _value(value: object) -> str:
    return " ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
