"""A model file that also tells kinds of defects: the classifier chosen, made honest about how sure it is, and added."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.compose import add_prefix

from monitor.autoencoder import Autoencoder
from monitor.card import CARD_KEY, Kinds
from monitor.model import KINDS
from trainer import export
from trainer.uses.certainty import calibration_error, fit_temperature
from trainer.uses.classification import (
    FOLDS,
    Classifier,
    Labelled,
    balanced_accuracy,
    features_of,
    fine_tune,
    fit_head,
    predict,
)
from trainer.uses.encoder import Backbone

PREFIX = "kinds."
Way = Literal["frozen", "fine-tuned"]
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Told:
    """A classifier that learned from every image, and what those before it said of images that they had not seen."""

    classifier: Classifier
    card: Kinds
    confusion: NDArray[np.int64]  # [K, K], true kinds in rows


def make(part: Autoencoder, data: Labelled, way: Way, progress: Progress) -> Told:
    """Cross-validate for figures and temperature, then learn from all images."""
    fold_of = folds(data)
    logits = np.zeros((len(data.kinds), len(data.names)), np.float32)
    for fold in range(FOLDS):
        progress(fold / (FOLDS + 1), "cross-validating")
        seen, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        logits[held] = predict(learn(part, data, seen, way), data.frames[held])
    progress(FOLDS / (FOLDS + 1), "learning from all")
    classifier = learn(part, data, np.arange(len(data.kinds)), way)
    temperature = fit_temperature(logits, data.kinds)
    classifier.head.temperature.fill_(temperature)
    predicted = logits.argmax(axis=1)
    confusion = np.zeros((len(data.names),) * 2, np.int64)
    np.add.at(confusion, (data.kinds, predicted), 1)
    # What a temperature of other folds does for each: measured on the images it was set by it would look too good.
    scaled = np.concatenate(
        [
            logits[fold_of == fold] / fit_temperature(logits[fold_of != fold], data.kinds[fold_of != fold])
            for fold in range(FOLDS)
        ]
    )
    ordered = np.concatenate([data.kinds[fold_of == fold] for fold in range(FOLDS)])
    card = Kinds(
        names=data.names,
        way=way,
        images=len(data.kinds),
        accuracy=balanced_accuracy(data.kinds, predicted),
        temperature=temperature,
        calibration_error=calibration_error(scaled, ordered),
        calibration_error_before=calibration_error(logits, data.kinds),
    )
    return Told(classifier.eval(), card, confusion)


def learn(part: Autoencoder, data: Labelled, chosen: NDArray[np.int64], way: Way) -> Classifier:
    """A classifier from the images `chosen`."""
    if way == "fine-tuned":
        return fine_tune(part, data, chosen, seed=0)
    backbone = Backbone.of(part)
    head = fit_head(features_of(backbone, data.frames[chosen]), data.kinds[chosen])
    return Classifier(backbone, head).eval()


def folds(data: Labelled) -> NDArray[np.int64]:
    """The fold of each image, int [N]: near-twins in one, each kind in as many as it has groups."""
    fold_of = np.zeros(len(data.kinds), np.int64)
    rng = np.random.default_rng(0)
    for kind in range(len(data.names)):
        members = np.flatnonzero(data.kinds == kind)
        sizes = np.zeros(FOLDS, np.int64)
        for group in rng.permutation(np.unique(data.groups[members])):
            twins = members[data.groups[members] == group]
            fold = int(sizes.argmin())
            fold_of[twins] = fold
            sizes[fold] += len(twins)
    return fold_of


def add(part: Autoencoder, told: Told) -> bytes:
    """The content of the model file with the classifier beside its graph, and said in its card.

    Scores, threshold and golden frames stay as they are.
    """
    spec = part.card.input
    classifier = export.to_onnx(told.classifier, (spec.height, spec.width, spec.channels), (KINDS,))
    theirs = add_prefix(classifier, PREFIX, rename_inputs=False, rename_outputs=False).graph
    whole = onnx.load_from_string(part.model.content)
    remove(whole)
    whole.graph.node.extend(theirs.node)
    whole.graph.initializer.extend(theirs.initializer)
    whole.graph.output.extend(theirs.output)
    export.set_metadata(whole, CARD_KEY, part.card.model_copy(update={"kinds": told.card}).model_dump_json())
    return export.serialise(whole)


def remove(model: onnx.ModelProto) -> None:
    """Take an earlier classifier out."""
    graph = model.graph
    nodes = [node for node in graph.node if not any(name.startswith(PREFIX) or name == KINDS for name in node.output)]
    weights = [tensor for tensor in graph.initializer if not tensor.name.startswith(PREFIX)]
    outputs = [output for output in graph.output if output.name != KINDS]
    for field, values in (("node", nodes), ("initializer", weights), ("output", outputs)):
        kept = [type(value).FromString(value.SerializeToString()) for value in values]
        graph.ClearField(field)
        getattr(graph, field).extend(kept)


@torch.no_grad()
def worst_difference(told: Told, content: bytes, frames: NDArray[np.uint8]) -> float:
    """How far onnxruntime's probabilities are from torch's, for frames uint8 [N, H, W, C]."""
    from monitor.model import Model

    theirs = Model.from_bytes(content, "new", "cpu").classify(frames)
    return float(np.abs(theirs - told.classifier(torch.from_numpy(frames)).numpy()).max())
