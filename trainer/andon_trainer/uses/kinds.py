"""A model file that also tells kinds of defects: the classifier chosen, made honest about how sure it is, and added."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
import torch
from andon_monitor.model.autoencoder import RECONSTRUCTION, Autoencoder
from andon_monitor.model.card import CARD_KEY, Kinds
from andon_monitor.model.file import INPUT, KINDS, Model
from andon_monitor.model.imaging import Pixels
from numpy.typing import NDArray
from onnx.compose import add_prefix

from andon_trainer.export import graph as export
from andon_trainer.progress import Progress
from andon_trainer.uses.certainty import calibration_error, fit_temperature
from andon_trainer.uses.classification import Classifier, Learner
from andon_trainer.uses.curve import FOLDS, balanced_accuracy, folds

PREFIX = "kinds."
Way = Literal["frozen", "fine-tuned"]


@dataclass(frozen=True)
class Told:
    """A classifier that learned from every image, and what those before it said of images that they had not seen."""

    classifier: Classifier
    card: Kinds
    confusion: NDArray[np.int64]  # [K, K], true kinds in rows


def make(learner: Learner, way: Way, progress: Progress) -> Told:
    """Cross-validate for figures and temperature, then learn from all images."""
    data = learner.data
    fold_of = folds(data)
    logits = np.zeros((len(data.kinds), len(data.names)), np.float32)
    for fold in range(FOLDS):
        progress("cross-validating", fold / (FOLDS + 1))
        seen, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        logits[held] = learner.ways[way](seen, 0)(held)
    progress("learning from all", FOLDS / (FOLDS + 1))
    everything = np.arange(len(data.kinds))
    classifier = learner.frozen(everything) if way == "frozen" else learner.fine_tuned(everything, seed=0)
    temperature = fit_temperature(logits, data.kinds)
    classifier.head.temperature.fill_(temperature)
    predicted = logits.argmax(axis=1)
    confusion = np.zeros((len(data.names),) * 2, np.int64)
    np.add.at(confusion, (data.kinds, predicted), 1)
    # What a temperature of other folds does for each: measured on the images it was set by it would look too good.
    scaled = logits.copy()
    for fold in range(FOLDS):
        others = fold_of != fold
        scaled[~others] /= fit_temperature(logits[others], data.kinds[others])
    card = Kinds(
        names=data.names,
        way=way,
        images=len(data.kinds),
        accuracy=balanced_accuracy(data.kinds, predicted),
        temperature=temperature,
        calibration_error=calibration_error(scaled, data.kinds),
        calibration_error_before=calibration_error(logits, data.kinds),
    )
    return Told(classifier.eval(), card, confusion)


def add(part: Autoencoder, told: Told) -> bytes:
    """The content of the model file with the classifier behind its reconstruction, and said in its card.

    Scores, threshold and golden frames stay as they are.
    """
    spec = part.card.input
    shape = (spec.height, spec.width, spec.channels)
    classifier = export.to_onnx(told.classifier, shape, (KINDS,), (INPUT, RECONSTRUCTION))
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
def worst_difference(told: Told, content: bytes, frames: Pixels) -> float:
    """How far onnxruntime's probabilities are from torch's, for frames uint8 [N, H, W, C]."""
    model = Model.from_bytes(content, "new", "cpu")
    rebuilt = model.explain(frames).reconstruction
    ours = told.classifier(torch.from_numpy(frames), torch.from_numpy(rebuilt)).numpy()
    return float(np.abs(model.classify(frames) - ours).max())
