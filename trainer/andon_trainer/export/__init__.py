"""From a detector to the content of a model file: ONNX graph, scores of unseen images, card, metadata."""
