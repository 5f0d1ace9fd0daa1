"""A model file that also names the kind of a defect, fitted on a few labelled images."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from andon_monitor.errors import UsageError
from andon_monitor.image_files.decoding import DEFAULT_LIMITS, DecodingLimits
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.card import Kinds
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from andon_trainer.data.dataset import Dataset
from andon_trainer.data.images import load_images
from andon_trainer.data.near_duplicates import group_samples
from andon_trainer.data.sample import GOOD
from andon_trainer.errors import ExportError
from andon_trainer.progress import Progress, quiet
from andon_trainer.uses.certainty import calibration_error, fit_temperature
from andon_trainer.uses.classifier_graph import add_classifier, max_difference
from andon_trainer.uses.learner import Classifier, Learner, label_defects
from andon_trainer.uses.learning_curve import (
    FOLDS,
    LearningCurve,
    balanced_accuracy,
    folds,
    measure_learning_curve,
)

Method = Literal["frozen", "fine-tuned"]
MAX_PROBABILITY_DIFFERENCE = 1e-3  # between onnxruntime and torch
CHECKED_FRAMES = 4  # that both runtimes classify


@dataclass(frozen=True)
class FittedClassifier:
    """A classifier fitted on all labelled images, and its figures from cross-validation.

    `confusion`, int [K, K]: how often each kind (row) was taken for each kind (column) when it was held out.
    """

    classifier: Classifier
    kinds: Kinds
    confusion: NDArray[np.int64]


@dataclass(frozen=True)
class Classification:
    """The content of the new model file, its classifier, and the learning curve of all methods."""

    content: bytes
    fitted: FittedClassifier
    curve: LearningCurve
    images: int


def classify(
    autoencoder: Autoencoder,
    dataset: Dataset,
    method: Method | Literal["auto"] = "auto",
    draws: int = 3,
    progress: Progress = quiet,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> Classification:
    """Fit a classifier of kinds of defects and add it to the model.

    `dataset`: defects with their kinds as labels; its good images, if any, serve the comparison with PCA. `method`:
    auto takes the better of frozen and fine-tuned. `draws`: how often each point of the learning curve is repeated.
    Raises UsageError (no defects, one kind, too few images of a kind, another architecture) and ExportError.
    """
    defects = [sample for sample in dataset.test or dataset.train if sample.label != GOOD]
    if not defects:
        raise UsageError(f"{dataset.root}: no defects in it; give a folder for each kind")
    spec = autoencoder.card.input
    # The regressions are small: with more threads each, they would mostly wait for each other.
    with threadpool_limits(1, user_api="blas"):
        frames = load_images(defects, spec, progress, limits)
        good_samples = [sample for sample in dataset.train if sample.label == GOOD]
        good = load_images(good_samples, spec, progress, limits)
        progress("encoding", 0.0)
        data = label_defects(autoencoder, frames, [sample.label for sample in defects], group_samples(defects, frames))
        learner = Learner(autoencoder, data, good if len(good) > 1 else frames)
        curve = measure_learning_curve(learner, draws, progress)
        fitted = fit_classifier(learner, choose_method(curve) if method == "auto" else method, progress)
        content = add_classifier(autoencoder, fitted.classifier, fitted.kinds)
        difference = max_difference(fitted.classifier, content, frames[:CHECKED_FRAMES])
    if difference > MAX_PROBABILITY_DIFFERENCE:
        raise ExportError(f"onnxruntime's probabilities differ from torch's by {difference:.1e}; nothing was written")
    return Classification(content, fitted, curve, len(defects))


def choose_method(curve: LearningCurve) -> Method:
    """The method that classified more images right when fitted on all labelled ones."""

    def accuracy(method: Method) -> float:
        return float(curve.accuracy[method][:, -1].mean())

    return "frozen" if accuracy("frozen") >= accuracy("fine-tuned") else "fine-tuned"


def fit_classifier(learner: Learner, method: Method, progress: Progress = quiet) -> FittedClassifier:
    """Cross-validate a method for its figures and temperature, then fit it on all images."""
    data = learner.data
    fold_of = folds(data)
    logits = np.zeros((len(data.kinds), len(data.names)), np.float32)
    for fold in np.unique(fold_of):  # fewer than FOLDS where the images show few parts
        progress("cross-validating", fold / (FOLDS + 1))
        others, held_out = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        logits[held_out] = learner.methods[method](others, 0)(held_out)
    progress("fitting on all images", FOLDS / (FOLDS + 1))
    everything = np.arange(len(data.kinds))
    classifier = learner.frozen(everything) if method == "frozen" else learner.fine_tuned(everything, seed=0)
    temperature = fit_temperature(logits, data.kinds)
    classifier.head.temperature.fill_(temperature)
    predicted = logits.argmax(axis=1)
    confusion = np.zeros((len(data.names),) * 2, np.int64)
    np.add.at(confusion, (data.kinds, predicted), 1)
    # Each fold's error is measured with the temperature of the other folds: with its own it would be too low.
    scaled = logits.copy()
    for fold in np.unique(fold_of):
        others = fold_of != fold
        scaled[~others] /= fit_temperature(logits[others], data.kinds[others])
    kinds = Kinds(
        names=data.names,
        way=method,
        images=len(data.kinds),
        accuracy=balanced_accuracy(data.kinds, predicted),
        temperature=temperature,
        calibration_error=calibration_error(scaled, data.kinds),
        calibration_error_before=calibration_error(logits, data.kinds),
    )
    return FittedClassifier(classifier.eval(), kinds, confusion)
