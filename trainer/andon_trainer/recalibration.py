"""A new threshold for a model that exists, from good images or from labels of the line; without torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, DecodingLimits
from andon_monitor.model import calibration, recalibration
from andon_monitor.model.card import Card, Reference
from andon_monitor.model.file import Model
from andon_monitor.model.imaging import input_mask
from numpy.typing import NDArray
from pydantic import BaseModel, FiniteFloat, TypeAdapter, ValidationError

from andon_trainer.data.audit import far_out
from andon_trainer.data.dataset import Dataset, DataSource, good_samples, open_dataset
from andon_trainer.data.images import ImageCache
from andon_trainer.data.known_images import are_known
from andon_trainer.data.pictures import check_pictures
from andon_trainer.export.reference import measure_reference, spread
from andon_trainer.options import check_range
from andon_trainer.progress import Progress, quiet

LINE_FILE = "line.json"
MIN_NEW_IMAGES = 10  # good images that a model was not fitted on; fewer support no rate


@dataclass(frozen=True)
class LabelNote:
    """What a new threshold does to the labelled frames of the line; counts."""

    good: int
    false_alarms: int
    remaining: int  # false alarms that stay above the threshold
    defects: int
    missed: int  # defects that are not above it
    unlabelled: int  # alarms

    def __str__(self) -> str:
        text = (
            f"set on {self.good} good frames of the line; {self.remaining} of {self.false_alarms} false alarms stay, "
            f"{self.missed} of {self.defects} confirmed defects would be missed"
        )
        if self.unlabelled:
            text += f"; {self.unlabelled} alarms without a sure label were left out, label them for an honest threshold"
        return text


@dataclass(frozen=True)
class CalibrationResult:
    """A model with a new threshold: the content of its file, its card and, if labels set it, what it does to them."""

    content: bytes
    card: Card
    note: LabelNote | None = None
    known: int = 0  # images that the model was fitted on: they were left out


class LineScores(BaseModel):
    """What the line scored under one model; see `andon_monitor.review.export.line_scores`."""

    sha256: str
    weights_sha256: str | None
    good: tuple[FiniteFloat, ...]
    false_alarms: tuple[FiniteFloat, ...]
    defects: tuple[FiniteFloat, ...]
    unlabelled: int


def calibrate(
    model_file: str | Path,
    good: DataSource | Sequence[DataSource] | Dataset | None = None,
    *,
    labels: str | Path | None = None,
    false_alarm_rate: float | None = None,
    progress: Progress = quiet,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> CalibrationResult:
    """Set a new threshold without training, on good images or on the line's own frames and labels; give one of the two.

    `good`: images of good parts that the model was not trained on, as `fit` takes them. `labels`: a folder that
    `andon-monitor export` wrote. `limits`: how large an image may be. Without a `false_alarm_rate` it is 1 %, or the
    lowest that the good images support. Images that the model was fitted on are left out. The same weights give the
    same scores; nothing is written.

    Raises UsageError (arguments, images, labels) and ModelError (the file).
    """
    if false_alarm_rate is not None:
        check_range("--false-alarm-rate", false_alarm_rate, 1e-9, 0.5)
    check_images(good, labels)
    if labels is not None:
        return _calibrate_on_labels(Path(model_file), Path(labels), false_alarm_rate)
    assert good is not None
    dataset = good if isinstance(good, Dataset) else open_dataset(good)
    return _calibrate_on_images(Path(model_file), dataset, false_alarm_rate, progress, limits)


def check_images(good: object | None, labels: object | None) -> None:
    """Raise UsageError where both or none of good parts and labels are given."""
    if (good is None) == (labels is None):
        raise UsageError("give either a folder of good parts or --labels, the folder that andon-monitor export wrote")


def _calibrate_on_images(
    path: Path, dataset: Dataset, false_alarm_rate: float | None, progress: Progress, limits: DecodingLimits
) -> CalibrationResult:
    model = Model.load(path, provider="cpu", threads=0)
    samples, files = good_samples(dataset), ImageCache(kept_bytes=0, limits=limits)
    frames = files.frames(samples, model.card.input, progress)
    check_pictures(samples, frames, files)
    known = are_known(frames, model.card.training.known_images)
    if files.fingerprint(samples) == model.card.training.fingerprint:
        known[:] = True
    if known.any() and (~known).sum() < MIN_NEW_IMAGES:
        raise UsageError(
            f"{path}: was fitted on {known.sum()} of these {len(known)} images, which score lower than new ones; give "
            f"at least {MIN_NEW_IMAGES} good images that were not among them"
        )
    frames = frames[~known]
    progress("calibrating", 0.0)
    scores = model.score(frames)
    used = ~far_out(scores)
    reference = measure_reference(scores[used], frames[used], input_mask(model.card.input))
    result = _with_threshold(path, model, scores[used], reference, false_alarm_rate, left_out=int((~used).sum()))
    return replace(result, known=int(known.sum()))


def _calibrate_on_labels(path: Path, folder: Path, false_alarm_rate: float | None) -> CalibrationResult:
    """Set the threshold on frames that passed and on false alarms.

    False alarms alone are no sample of good parts: they were chosen for their scores. Together with all frames that
    passed they are one, and the conformal quantile holds as far as all alarms have labels and the frames that passed
    are good. The scores are those of the line, so nothing is scored again.
    """
    model = Model.load(path, provider="cpu")
    lines = [line for line in read_line(folder) if model.sha256 == line.sha256 or _has_weights(model, line)]
    good = _joined(line.good for line in lines)
    if len(good) < calibration.MIN_SCORES:
        raise UsageError(
            f"{folder}: {len(good)} good frames that {path} scored, at least {calibration.MIN_SCORES} are needed; "
            "these labels are of another model, or its verdicts did not reach the review page"
        )
    alarms, defects = (_joined(getattr(line, name) for line in lines) for name in ("false_alarms", "defects"))
    reference = model.card.reference.model_copy(update={"score": spread(good)})
    result = _with_threshold(path, model, good, reference, false_alarm_rate)
    threshold = result.card.threshold
    note = LabelNote(
        good=len(good),
        false_alarms=len(alarms),
        remaining=int((alarms > threshold).sum()),
        defects=len(defects),
        missed=int((defects <= threshold).sum()),
        unlabelled=sum(line.unlabelled for line in lines),
    )
    return CalibrationResult(result.content, result.card, note)


def _with_threshold(
    path: Path,
    model: Model,
    scores: NDArray[np.floating],
    reference: Reference,
    false_alarm_rate: float | None,
    left_out: int = 0,
) -> CalibrationResult:
    """The model with a threshold from scores of good parts, float [N], without `left_out` that are far out."""
    rate = false_alarm_rate or calibration.supported_rate(len(scores))
    content, card = recalibration.with_calibration(
        model.content,
        str(path),
        calibration.calibrate(scores, rate),
        reference=reference,
        training=model.card.training.model_copy(update={"calibration_images": len(scores), "left_out": left_out}),
        metrics={},  # measured at the old threshold, on other images
    )
    return CalibrationResult(content, card)


def read_line(folder: Path) -> list[LineScores]:
    """The scores in a folder of labels. Raises UsageError."""
    path = folder / LINE_FILE
    try:
        return TypeAdapter(list[LineScores]).validate_json(path.read_bytes())
    except OSError:
        raise UsageError(f"{path}: cannot be read; give a folder that andon-monitor export wrote") from None
    except ValidationError as error:
        raise UsageError(f"{path}: damaged ({error.errors()[0]['msg']}); export the labels again") from None


def _has_weights(model: Model, line: LineScores) -> bool:
    return line.weights_sha256 == model.card.weights_sha256


def _joined(parts: Iterable[tuple[float, ...]]) -> NDArray[np.float64]:
    return np.array([score for part in parts for score in part], dtype=np.float64)
