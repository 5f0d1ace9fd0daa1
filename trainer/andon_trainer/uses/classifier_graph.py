"""The classifier of kinds as a part of the model file's graph."""

import numpy as np
import onnx
import torch
from andon_monitor.model.autoencoder import Autoencoder
from andon_monitor.model.card import Kinds
from andon_monitor.model.file import INPUT, KINDS, RECONSTRUCTION, Model
from andon_monitor.model.imaging import Pixels
from onnx.compose import add_prefix

from andon_trainer.export.graph import to_onnx
from andon_trainer.export.metadata import with_card
from andon_trainer.uses.learner import Classifier

PREFIX = "kinds."  # of the classifier's names in the graph


def add_classifier(autoencoder: Autoencoder, classifier: Classifier, kinds: Kinds) -> bytes:
    """The content of the model file with a classifier behind the reconstruction, and `kinds` in its card.

    Scores, threshold and self-test stay as they are.
    """
    spec = autoencoder.card.input
    shape = (spec.height, spec.width, spec.channels)
    exported = to_onnx(classifier, shape, (KINDS,), (INPUT, RECONSTRUCTION))
    added = add_prefix(exported, PREFIX, rename_inputs=False, rename_outputs=False).graph
    whole = onnx.load_from_string(autoencoder.model.content)
    remove_classifier(whole)
    whole.graph.node.extend(added.node)
    whole.graph.initializer.extend(added.initializer)
    whole.graph.output.extend(added.output)
    return with_card(whole, autoencoder.card.model_copy(update={"kinds": kinds}))


def remove_classifier(model: onnx.ModelProto) -> None:
    """Remove an earlier classifier from the graph."""
    graph = model.graph
    nodes = [node for node in graph.node if not any(name.startswith(PREFIX) or name == KINDS for name in node.output)]
    weights = [tensor for tensor in graph.initializer if not tensor.name.startswith(PREFIX)]
    outputs = [output for output in graph.output if output.name != KINDS]
    for field, values in (("node", nodes), ("initializer", weights), ("output", outputs)):
        kept = [type(value).FromString(value.SerializeToString()) for value in values]
        graph.ClearField(field)
        getattr(graph, field).extend(kept)


@torch.no_grad()
def max_difference(classifier: Classifier, content: bytes, frames: Pixels) -> float:
    """The largest difference between onnxruntime's and torch's probabilities for frames uint8 [N, H, W, C]."""
    model = Model.from_bytes(content, "new", "cpu")
    reconstructions = model.explain(frames).reconstruction
    expected = classifier(torch.from_numpy(frames), torch.from_numpy(reconstructions)).numpy()
    return float(np.abs(model.classify(frames) - expected).max())
