"""Entries of a model file next to its graph."""

import onnx
from andon_trainer.export.metadata import set_metadata


def test_metadata_is_replaced_not_repeated() -> None:
    model = onnx.ModelProto()
    set_metadata(model, "other", "kept")
    set_metadata(model, "key", "first")
    set_metadata(model, "key", "second")
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [("other", "kept"), ("key", "second")]
