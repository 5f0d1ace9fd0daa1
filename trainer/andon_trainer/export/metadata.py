"""What a model file holds next to its graph, as entries of ONNX metadata; without torch."""

from andon_monitor.model.card import CARD_KEY, GOLDEN_KEY, Card
from andon_monitor.model.file import Golden
from onnx import ModelProto


def pack(graph: ModelProto, card: Card, golden: Golden) -> bytes:
    """The content of a model file."""
    set_metadata(graph, GOLDEN_KEY, golden.pack())
    return with_card(graph, card)


def with_card(graph: ModelProto, card: Card) -> bytes:
    """The content of a model file whose golden frames are there already."""
    set_metadata(graph, CARD_KEY, card.model_dump_json())
    return serialise(graph)


def serialise(graph: ModelProto) -> bytes:
    """The bytes of an ONNX file."""
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def set_metadata(graph: ModelProto, key: str, value: str) -> None:
    """Set one entry of an ONNX model's metadata."""
    for entry in graph.metadata_props:
        if entry.key == key:
            entry.value = value
            return
    graph.metadata_props.add(key=key, value=value)
