"""Gather what the report shows, and write it as one file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from andon_monitor.common.files import write_whole
from andon_monitor.common.html import environment
from andon_monitor.common.intervals import INTERVAL
from andon_monitor.model.card import Card
from andon_monitor.model.file import Model
from andon_monitor.model.heatmap import data_uri, heatmap
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.data.audit import Audit
from andon_trainer.data.dataset import GOOD, load_image, load_mask
from andon_trainer.evaluation import Evaluation, Judged
from andon_trainer.report import advice, heat, plots, words
from andon_trainer.report.learned import learned
from andon_trainer.training.schedule import Fitted

GOOD_SHOWN = 6
CAUGHT_SHOWN = 3  # of each kind: the clearest, a typical one and the one that was nearly missed
MISSED_SHOWN = 3  # of each kind, those with the lowest scores
FALSE_ALARMS_SHOWN = 6
SUSPECTS_SHOWN = 12
GOOD_LOOKED_AT = 64  # held-out frames that are scored to choose those shown


@dataclass(frozen=True)
class Picture:
    """One row of the gallery; the three pictures are data URIs."""

    name: str
    path: str
    outcome: str  # "caught", "missed", "false alarm", "passed"; of a suspect: what it was used for
    ratio: float
    original: str
    reconstruction: str
    heatmap: str


@dataclass(frozen=True)
class Group:
    """Pictures under one heading; `of` says how many there are in all."""

    title: str
    about: str
    pictures: tuple[Picture, ...]


def write_report(
    path: Path,
    *,
    model: Model,
    fitted: Fitted | None = None,
    evaluation: Evaluation | None = None,
    audit: Audit | None = None,
    good_frames: Pixels | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the report on a model as one self-contained HTML file, wholly or not at all.

    `fitted` adds the learning curve, `evaluation` all that needs labels, `audit` what was learned from; `good_frames`:
    uint8 [N, H, W, C], good frames that the weights never saw (shown where the report is on a fit); `notes`: further
    sentences about the data.
    Raises OutputError (the file cannot be written) and UsageError (an image of the evaluation cannot be read any more).
    """
    page = render(model, fitted, evaluation, audit, good_frames, notes)
    # A file name that is not UTF-8 is shown with question marks rather than not at all.
    write_whole(path, page.encode("utf-8", errors="replace"))


def render(
    model: Model,
    fitted: Fitted | None,
    evaluation: Evaluation | None,
    audit: Audit | None,
    good_frames: Pixels | None,
    notes: Sequence[str],
) -> str:
    """The page's HTML; see `write_report`."""
    templates = environment("andon_trainer.report")
    templates.filters |= {"percent": words.percent, "interval": words.interval, "duration": words.duration}
    card = model.card
    scores = np.array(card.calibration.scores)
    ranked = evaluation is not None and evaluation.image_auroc is not None
    return templates.get_template("report.html.jinja").render(
        card=card,
        model=model,
        fitted=fitted,
        evaluation=evaluation,
        warnings=advice.warnings(card, evaluation),
        remarks=advice.remarks(card),
        threshold_explained=advice.explain_threshold(card),
        ending=words.ENDINGS[fitted.ended] if fitted else None,
        kept=" and ".join(f"{look.iteration:,}" for look in fitted.kept) if fitted else None,
        histogram=plots.score_histogram(scores, evaluation, card.threshold, card.calibration.count),
        learning_curve=plots.learning_curve(fitted) if fitted else None,
        roc=plots.roc(evaluation) if evaluation and ranked else None,
        precision_recall=plots.precision_recall(evaluation) if evaluation and ranked else None,
        learned=learned(audit, card.input) if audit else None,
        suspects=_suspects(model, audit) if audit else (),
        groups=list(_groups(model, fitted, evaluation, good_frames)),
        colour_bar=heat.colour_bar(),
        interval_name=INTERVAL,
        masks=any(image.mask for image in evaluation.images) if evaluation else False,
        card_rows=_card_rows(model),
        notes=notes,
    )


def _groups(
    model: Model, fitted: Fitted | None, evaluation: Evaluation | None, good_frames: Pixels | None
) -> Iterable[Group]:
    images = evaluation.images if evaluation else ()
    passed = [image for image in images if image.label == GOOD and not image.defect]
    if passed and fitted is None:  # these have names, by which a person finds the file
        about = "Good test images that passed, from the lowest to the highest score."
        yield Group("Good parts", about, _pictures(model, _spread(passed, GOOD_SHOWN), "passed"))
    elif good_frames is not None and len(good_frames):
        several = model.card.training.networks > 1
        unseen = "one of the networks" if several else "the network"
        about = f"Held-out good frames, which {unseen} never learned from, from a typical to the highest score."
        if several:
            about += " Score and heatmap are of all, and those that have learned from a frame find less in it."
        yield Group("Good parts", about, tuple(_held_out(model, good_frames)))
    false_alarms = [image for image in images if image.label == GOOD and image.defect]
    if false_alarms:
        about = _shown("Good test images that were called defects", false_alarms, FALSE_ALARMS_SHOWN, "highest")
        shown = sorted(false_alarms, key=lambda image: -image.score)[:FALSE_ALARMS_SHOWN]
        yield Group("False alarms", about, _pictures(model, shown, "false alarm"))
    for kind in evaluation.kinds if evaluation else ():
        caught = [image for image in images if image.label == kind.kind and image.defect]
        missed = sorted(
            (image for image in images if image.label == kind.kind and not image.defect), key=lambda image: image.score
        )
        about = f"{len(caught)} of {kind.count} found."
        if len(caught) > CAUGHT_SHOWN:
            about += " Of those found: the clearest, a typical one, the narrowest."
        if missed:
            about += " " + _shown("Missed", missed, MISSED_SHOWN, "lowest")
        pictures = _pictures(model, _spread(caught, CAUGHT_SHOWN)[::-1], "caught")
        yield Group(kind.kind, about, pictures + _pictures(model, missed[:MISSED_SHOWN], "missed"))


def _suspects(model: Model, audit: Audit) -> tuple[Picture, ...]:
    """What may be no good part, the highest score first."""
    return tuple(
        _picture(
            model, load_image(odd.sample.path, model.card.input), odd.sample.path.name, str(odd.sample.path), odd.use
        )
        for odd in audit.suspects[:SUSPECTS_SHOWN]
    )


def _held_out(model: Model, frames: Pixels) -> Iterable[Picture]:
    chosen = np.unique(np.linspace(0, len(frames) - 1, GOOD_LOOKED_AT).round().astype(int))
    scored = sorted((float(model.score(frames[i : i + 1])[0]), i) for i in chosen)
    for score, i in _spread(scored[len(scored) // 4 :], GOOD_SHOWN):
        outcome = "false alarm" if score > model.card.threshold else "passed"
        yield _picture(model, frames[i], f"held-out frame {i + 1}", "", outcome)


def _pictures(model: Model, images: Sequence[Judged], outcome: str) -> tuple[Picture, ...]:
    return tuple(
        _picture(
            model,
            load_image(image.path, model.card.input),
            image.path.name,
            str(image.path),
            outcome,
            None if image.mask is None or image.label == GOOD else load_mask(image.mask, model.card.input),
        )
        for image in images
    )


def _picture(
    model: Model, frame: Pixels, name: str, path: str, outcome: str, mask: NDArray[np.bool_] | None = None
) -> Picture:
    seen = model.explain(frame[None])
    shown = heatmap(frame, seen.anomaly_map[0], model.card.threshold)
    if mask is not None:
        shown = heat.outline(shown, mask)
    return Picture(
        name=name,
        path=path,
        outcome=outcome,
        ratio=float(seen.score[0]) / max(model.card.threshold, 1e-6),
        original=data_uri(frame),
        reconstruction=data_uri(seen.reconstruction[0]),
        heatmap=data_uri(shown),
    )


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """`count` of the items in the order of their scores, evenly spread, the lowest and the highest among them."""
    ordered = sorted(items, key=lambda item: item.score if isinstance(item, Judged) else item)
    if not ordered:
        return []
    return [ordered[place] for place in np.unique(np.linspace(0, len(ordered) - 1, count).round().astype(int))]


def _shown(what: str, images: Sequence[Judged], limit: int, which: str) -> str:
    if len(images) <= limit:
        return f"{what}: {len(images)}."
    return f"{what}: {len(images)}, the {limit} with the {which} scores are shown."


def _card_rows(model: Model) -> list[tuple[str, str]]:
    """The model card as a person reads it: names and values."""
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
        ("Frames", f"{frames}, {region}" + (f", white at {spec.white_level}" if spec.white_level != 255 else "")),
        ("Threshold", f"{calibration.threshold:.6g}"),
        (
            "False-alarm rate",
            f"set for {words.percent(calibration.false_alarm_rate)}, {calibration.method}, "
            f"{calibration.count:,} calibration scores",
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
