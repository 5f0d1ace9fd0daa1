"""What a model file holds next to its graph, as entries of ONNX metadata; without torch."""

from andon_monitor.errors import ModelError
from andon_monitor.model.card import CARD_KEY, GOLDEN_KEY, Card, parse_card
from andon_monitor.model.golden import Golden, judge
from andon_monitor.model.graph_check import check_graph
from onnx import ModelProto

from andon_trainer.errors import ExportError


def pack(graph: ModelProto, card: Card, golden: Golden) -> bytes:
    """The content of a model file, whose card records what its threshold makes of the golden frames."""
    set_metadata(graph, GOLDEN_KEY, golden.pack())
    return with_card(graph, card.model_copy(update={"golden_outcomes": judge(golden.scores, card.threshold)}))


def with_card(graph: ModelProto, card: Card) -> bytes:
    """The content of a model file whose golden frames are there already.

    Raises ExportError where the monitor would refuse the file.
    """
    text = card.model_dump_json()
    set_metadata(graph, CARD_KEY, text)
    content = serialise(graph)
    try:
        check_graph(content, card.name)
        parse_card(text, card.name)
    except ModelError as error:
        raise ExportError(f"{error}; no model was written") from None
    return content


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
