"""The pictures of the report: originals, reconstructions and heatmaps, in groups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from andon_monitor.model.file import Model
from andon_monitor.model.heatmap import STOPS, data_uri, heatmap
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray

from andon_trainer.data.audit import Audit
from andon_trainer.data.images import ALREADY_DECODED, load_image
from andon_trainer.data.masks import load_mask
from andon_trainer.data.sample import GOOD
from andon_trainer.evaluation import Evaluation, Judged
from andon_trainer.training.schedule import TrainedNetwork

OUTLINE = (64, 224, 255)  # cyan: no colour of the heatmap, visible on dark and bright parts
GOOD_SHOWN = 6
CAUGHT_SHOWN = 3  # of each kind: the clearest, a typical one, and the one that was nearly missed
MISSED_SHOWN = 3  # of each kind, those with the lowest scores
FALSE_ALARMS_SHOWN = 6
SUSPECTS_SHOWN = 12
GOOD_SCORED = 64  # held-out frames that are scored to choose those shown


@dataclass(frozen=True)
class Picture:
    """One entry of the gallery; the three pictures are data URIs."""

    name: str
    path: str
    outcome: str  # "caught", "missed", "false alarm", "passed"; of a suspect: its use
    ratio: float
    original: str
    reconstruction: str
    heatmap: str


@dataclass(frozen=True)
class Group:
    """Pictures under one heading."""

    title: str
    about: str
    pictures: tuple[Picture, ...]


def gallery(
    model: Model, fitted: TrainedNetwork | None, evaluation: Evaluation | None, good_frames: Pixels | None
) -> Iterable[Group]:
    """The groups of pictures: good parts, false alarms, and each kind of defect."""
    images = evaluation.images if evaluation else ()
    passed = [image for image in images if image.label == GOOD and not image.defect]
    if passed and fitted is None:  # these have file names
        about = "Good test images that passed, from the lowest to the highest score."
        yield Group("Good parts", about, _pictures(model, _spread(passed, GOOD_SHOWN), "passed"))
    elif good_frames is not None and len(good_frames):
        several = model.card.training.networks > 1
        unseen = "one of the networks" if several else "the network"
        about = f"Held-out good images, which {unseen} was not trained on, from a typical to the highest score."
        if several:
            about += " Score and heatmap come from all networks together, so they are lower than on new parts."
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
            about += " Shown of those found: the clearest, a typical one, and the closest call."
        if missed:
            about += " " + _shown("Missed", missed, MISSED_SHOWN, "lowest")
        pictures = _pictures(model, _spread(caught, CAUGHT_SHOWN)[::-1], "caught")
        yield Group(kind.kind, about, pictures + _pictures(model, missed[:MISSED_SHOWN], "missed"))


def suspect_pictures(model: Model, audit: Audit) -> tuple[Picture, ...]:
    """Training images that may show no good part, the highest score first."""
    return tuple(
        _picture(
            model,
            load_image(suspect.sample.path, model.card.input, ALREADY_DECODED),
            suspect.sample.path.name,
            str(suspect.sample.path),
            suspect.use,
        )
        for suspect in audit.suspects[:SUSPECTS_SHOWN]
    )


def _held_out(model: Model, frames: Pixels) -> Iterable[Picture]:
    chosen = np.unique(np.linspace(0, len(frames) - 1, GOOD_SCORED).round().astype(int))
    scored = sorted((float(model.score(frames[i : i + 1])[0]), i) for i in chosen)
    for score, i in _spread(scored[len(scored) // 4 :], GOOD_SHOWN):
        outcome = "false alarm" if score > model.card.threshold else "passed"
        yield _picture(model, frames[i], f"held-out image {i + 1}", "", outcome)


def _pictures(model: Model, images: Sequence[Judged], outcome: str) -> tuple[Picture, ...]:
    return tuple(
        _picture(
            model,
            load_image(image.path, model.card.input, ALREADY_DECODED),
            image.path.name,
            str(image.path),
            outcome,
            None
            if image.mask is None or image.label == GOOD
            else load_mask(image.mask, model.card.input, limits=ALREADY_DECODED),
        )
        for image in images
    )


def _mask(model: Model, image: Judged) -> NDArray[np.bool_] | None:
    if image.mask is None or image.label == GOOD:
        return None
    return load_mask(image.mask, model.card.input, limits=ALREADY_DECODED)


def _picture(
    model: Model, frame: Pixels, name: str, path: str, outcome: str, mask: NDArray[np.bool_] | None = None
) -> Picture:
    seen = model.explain(frame[None])
    shown = heatmap(frame, seen.anomaly_map[0], model.card.threshold)
    if mask is not None:
        shown = outline(shown, mask)
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
    """`count` of the items, sorted by score and evenly spread, with the lowest and the highest."""
    ordered = sorted(items, key=lambda item: item.score if isinstance(item, Judged) else item)
    if not ordered:
        return []
    return [ordered[place] for place in np.unique(np.linspace(0, len(ordered) - 1, count).round().astype(int))]


def _shown(what: str, images: Sequence[Judged], limit: int, which: str) -> str:
    if len(images) <= limit:
        return f"{what}: {len(images)}."
    return f"{what}: {len(images)}, the {limit} with the {which} scores are shown."


def outline(picture: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    """A copy of a picture uint8 [H, W, 3] with the outline of a mask bool [H, W] drawn on it."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    drawn: Pixels = cv2.drawContours(picture.copy(), contours, -1, OUTLINE, 1)  # type: ignore[assignment]
    return drawn


def colour_bar() -> str:
    """The colours of the heatmap as a CSS gradient, from 0.25 to 1.25 times the threshold."""
    stops = [f"rgb({r} {g} {b} / {a}) {100 * (place - 0.25):.0f}%" for place, (r, g, b), a in STOPS]
    return f"linear-gradient(90deg, {', '.join(stops)})"
